"""PostgreSQL: the event store, projections, inbox, poll schedule and intake; all SQL lives in ``sql/``."""
