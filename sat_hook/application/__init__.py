"""The complete use cases of people and tasks, without Airflow, HTTP or a terminal."""
