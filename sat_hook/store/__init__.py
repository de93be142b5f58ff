"""PostgreSQL adapters: event store, projections, inbox, poll schedule and intake. All SQL is in ``sql/``."""
