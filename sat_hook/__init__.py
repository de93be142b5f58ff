"""Bulk orders against the Tokopedia SAT distributor API, event-sourced in PostgreSQL.

The package is a house with walls (see ``pyproject.toml``, import-linter): ``protocol`` and ``domain`` are
pure, ``clients`` and ``store`` do the input and output, ``pipeline`` holds the steps of a batch, and only
``hooks``, ``operators``, ``sensors`` and ``triggers`` know Airflow.
"""

__version__ = "0.1.0"
