"""``sat pause`` and ``sat resume``: the kill switch of an account."""

from __future__ import annotations

from typing import Annotated

import typer

from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.formatting import counted, plain
from sat_hook.cli.options import Reason

Account = Annotated[
    str,
    typer.Argument(help="An account: its Airflow connection (sat_default) or its name in the log"),
]


def pause(context: typer.Context, account: Account, reason: Reason) -> None:
    """Stop all sending from an account within a second. Orders already sent are followed to their end."""
    _change(context, account, "pause", reason)


def resume(context: typer.Context, account: Account, reason: Reason) -> None:
    """Let an account send again, and list the stopped batches. They continue with their next run."""
    unsent = _change(context, account, "resume", reason)
    out = console()
    for batch_id, file_name, orders in unsent:
        waiting = f"{counted(orders, 'order')} of batch {batch_id} ({plain(file_name)})"
        out.print(f"not sent yet: {waiting}; send them: sat batch run {batch_id}", markup=False)
    if not unsent:
        out.print("no batch has orders that are not sent yet")


def _change(context: typer.Context, account: str, change: str, reason: str) -> list[tuple[str, str, int]]:
    with airflow_of(settings_of(context)) as airflow:
        standing = airflow.change_account(account, change, reason)
    state = "paused: nothing is sent" if standing["is_paused"] else "not paused: orders are sent"
    console().print(f"account {standing['account']} is {state}")
    return [(batch_id, file_name, orders) for batch_id, file_name, orders in standing.get("unsent", ())]
