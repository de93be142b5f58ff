"""Operators: each adapts one step of the pipeline to Airflow. They contain no rules."""
