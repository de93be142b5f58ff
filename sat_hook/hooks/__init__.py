"""Airflow hooks: adapters between Airflow connections and the clients, without rules of their own."""

from sat_hook.application.settings import read_settings

# Operators, sensors, triggers and routes all come by here: a wrong or misspelled limit stops the process.
read_settings()
