"""The catalogue: price lists read, compared, kept and shown. Rules and steps, without Airflow."""
