"""A local SAT server that is also the judge: same wire, its own ledger and deposit, seeded faults.

It imports nothing of the product but :mod:`sat_hook.protocol.signing`, so that what it says about the product
is said from outside. Start it with ``sat-sandbox serve``, or from a test with :mod:`sandbox.testing`.
"""
