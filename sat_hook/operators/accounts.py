"""The accounts of a scheduled DAG: a parameter of its runs, and the task that maps the other tasks."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, task

from sat_hook.application.settings import read_settings


def accounts_of_installation() -> list[str]:
    """The connections that pay, as ``SAT_ACCOUNTS`` names them; ``sat_default`` when it names none.

    A scheduled run always uses the default of its parameters.
    """
    named = (name.strip() for name in read_settings().accounts.split(","))
    return list(dict.fromkeys(name for name in named if name)) or ["sat_default"]


def accounts_param(what: str) -> Param:
    """The parameter ``accounts``: ids of connections of type ``sat``; by default those of the installation.

    :param what: how the description goes on, as in "whose prices are followed".
    """
    return Param(
        accounts_of_installation(),
        type="array",
        items={"type": "string"},
        title="Accounts",
        description=f"The Airflow connections of type `sat` {what}",
    )


@task(doc_md="The accounts of this run, one mapped task or group each.")
def accounts(params: dict[str, Any] | None = None) -> Any:
    """The parameter ``accounts`` of the run: ``.expand(sat_conn_id=accounts())``."""
    return (params or {})["accounts"]
