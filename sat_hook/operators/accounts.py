"""Which accounts a scheduled DAG works for: a parameter of its runs, and the task that maps the rest."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, task


def accounts_param(what: str) -> Param:
    """The parameter ``accounts``: ids of connections of type ``sat``.

    :param what: how the description goes on, as in "whose prices are followed".
    """
    return Param(
        ["sat_default"],
        type="array",
        items={"type": "string"},
        title="Accounts",
        description=f"The Airflow connections of type `sat` {what}",
    )


@task(doc_md="The accounts of this run, one mapped task or group each.")
def accounts(params: dict[str, Any] | None = None) -> Any:
    """The parameter ``accounts`` of the run: ``.expand(sat_conn_id=accounts())``."""
    return (params or {})["accounts"]
