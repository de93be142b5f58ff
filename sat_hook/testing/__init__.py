"""In-memory implementations of the store ports: for tests, simulations and dry runs.

Small and single-threaded. They pass the conformance tests of PostgreSQL (``tests/integration/store``), so a
service that builds on the ports can be tested without a database::

    store = MemoryEventStore(clock)
    funds, guards, polls = MemoryFunds(store), MemoryGuardLedger(store), MemoryPollSchedule(store)
"""
