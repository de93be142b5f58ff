"""Starts and stops the local stack: embedded PostgreSQL, Airflow and the local SAT server."""
