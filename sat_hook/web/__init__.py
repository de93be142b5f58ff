"""The JSON API and the pages for users, as a FastAPI app. It does not import Airflow: its host knows the
users.
"""
