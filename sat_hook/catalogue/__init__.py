"""The catalogue: reads, compares, stores and shows price lists. Rules and steps, without Airflow."""
