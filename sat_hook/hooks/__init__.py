"""Airflow hooks: adapters between Airflow connections and the clients, without rules of their own."""
