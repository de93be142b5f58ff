"""What Airflow loads from its folder of plugins. See :mod:`sat_hook.plugin`."""

from sat_hook.plugin import SATPlugin

__all__ = ["SATPlugin"]
