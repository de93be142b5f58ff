"""The local stack: embedded PostgreSQL, Airflow and the local SAT server, started and stopped together."""
