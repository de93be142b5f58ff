"""The plugin, for an Airflow that reads this folder and has the sources on its path but no package.

An installed package registers the plugin itself, by an entry point; Airflow takes a name once.
"""

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="sat"):
    from sat_hook.plugin import SATPlugin

    __all__ = ["SATPlugin"]
