"""A local SAT server that is also the judge: same wire, its own ledger and deposit, seeded faults.

The only part of the product that it imports is :mod:`sat_hook.protocol.signing`, so that its judgement is
independent. Start it with ``sat-sandbox serve``, or from a test with :mod:`sandbox.testing`.
"""
