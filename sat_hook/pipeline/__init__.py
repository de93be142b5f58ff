"""The steps of a batch, free of Airflow: each can be run, killed and run again without harm (law 9)."""
