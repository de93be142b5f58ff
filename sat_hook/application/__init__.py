"""The use cases, whole: what people and tasks do, without Airflow, HTTP or a terminal."""
