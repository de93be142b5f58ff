"""Imports what tasks need, once.

Airflow imports this file as each of its parts starts. Tasks are forks of a worker or the scheduler, and forks
of the DAG processor read the DAG files: with these modules in memory, no fork takes a second to import them.
"""

from importlib import import_module
from pkgutil import iter_modules

from airflow.sdk import Asset
from airflow.sdk.listener import get_listener_manager

from sat_hook import operators, sensors
from sat_hook.shipped import shipped
from sat_hook.store.statements import queries

__all__ = ()

for package in (operators, sensors):
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
for file in (shipped("sql") / "queries").glob("*.sql"):
    queries(file.stem)
# The address of an asset makes Airflow import the modules of every provider that has assets.
Asset(name="sat_imports", uri="sat://imports")
# Each task asks the plugins for listeners, and so loads them.
get_listener_manager()
