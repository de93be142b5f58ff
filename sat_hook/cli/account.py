"""``sat pause`` and ``sat resume``: the kill switch of an account."""

from __future__ import annotations

from typing import Annotated

import typer

from sat_hook.cli.opened import airflow_of, console, settings_of
from sat_hook.cli.reasons import Reason

Account = Annotated[str, typer.Argument(help="The account's Airflow connection, such as sat_default")]


def pause(context: typer.Context, account: Account, reason: Reason) -> None:
    """Stop all sending from an account within a second. What was sent is still followed to its end."""
    _change(context, account, "pause", reason)


def resume(context: typer.Context, account: Account, reason: Reason) -> None:
    """Let an account send again. Batches that stopped go on when their failed tasks are cleared."""
    _change(context, account, "resume", reason)


def _change(context: typer.Context, account: str, change: str, reason: str) -> None:
    with airflow_of(settings_of(context)) as airflow:
        standing = airflow.change_account(account, change, reason)
    state = "paused: nothing is sent" if standing["is_paused"] else "not paused: orders are sent"
    console().print(f"account {standing['account']} is {state}")
