"""The JSON API and pages for people, as a FastAPI app. It imports no Airflow: its host knows the users."""
