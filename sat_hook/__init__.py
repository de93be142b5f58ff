"""Bulk orders against the Tokopedia SAT distributor API, event-sourced in PostgreSQL.

The names below are the public interface, for DAGs of your own: ``from sat_hook import SATHook``. Everything
else may change with any release. A name is imported when it is used: ``import sat_hook`` imports no Airflow.

The package is a house with walls (see ``pyproject.toml``, import-linter): ``protocol`` and ``domain`` are
pure, ``clients`` and ``store`` do the input and output, ``pipeline`` holds the steps of a batch,
``application`` the use cases, and only ``hooks``, ``operators``, ``sensors``, ``triggers`` and ``plugin``
know Airflow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sat_hook.clients.asynchronous import AsyncSATClient
    from sat_hook.clients.blocking import BlockingSATClient
    from sat_hook.hooks.sat import SATHook
    from sat_hook.operators.inquiry import SATInquiryOperator
    from sat_hook.operators.order import SATCheckoutOperator
    from sat_hook.operators.status import SATStatusOperator
    from sat_hook.protocol.errors import SATError
    from sat_hook.sensors.batch import SATBatchSensor
    from sat_hook.sensors.funds import SATFundsSensor
    from sat_hook.sensors.order import SATOrderSensor

__version__ = "0.1.0"
__all__ = [
    "AsyncSATClient",
    "BlockingSATClient",
    "SATBatchSensor",
    "SATCheckoutOperator",
    "SATError",
    "SATFundsSensor",
    "SATHook",
    "SATInquiryOperator",
    "SATOrderSensor",
    "SATStatusOperator",
]

_MODULES = {
    "AsyncSATClient": "clients.asynchronous",
    "BlockingSATClient": "clients.blocking",
    "SATBatchSensor": "sensors.batch",
    "SATCheckoutOperator": "operators.order",
    "SATError": "protocol.errors",
    "SATFundsSensor": "sensors.funds",
    "SATHook": "hooks.sat",
    "SATInquiryOperator": "operators.inquiry",
    "SATOrderSensor": "sensors.order",
    "SATStatusOperator": "operators.status",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
