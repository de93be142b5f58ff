"""In-memory implementations of the store ports: for tests, simulations and dry runs.

Small and single-threaded. They pass PostgreSQL's conformance tests (``tests/integration/store``), so a DAG or a
service that builds on the ports can be tested without a database::

    store = MemoryEventStore(clock)
    funds, guards, polls = MemoryFunds(store), MemoryGuardLedger(store), MemoryPollSchedule(store)
"""
