"""The stack as on several machines: two of each part of Airflow, Celery, a pooler, a proxy and S3."""
