"""A local SAT server: the same wire, its own ledger, seeded faults."""
