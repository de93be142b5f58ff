"""Operators: each adapts one step of the pipeline to Airflow and has no rules of its own."""
