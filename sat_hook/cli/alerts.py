"""``sat alerts`` and ``sat rechecks``: the alerts, and the rechecks of ended orders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.errors import ExitCode
from sat_hook.cli.for_programs import Form, Output, is_written
from sat_hook.cli.formatting import MAXIMUM_LISTED, Columns, moment

ALERTS = Columns("when (WIB)", "kind", "account", "what", "told")
RECHECKS = Columns("day (WIB)", "mark", "account", ">in time", ">late", ">to do", ">missed", ">changed")


def alerts(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=MAXIMUM_LISTED, help="How many, newest first")] = 50,
    untold: Annotated[bool, typer.Option("--untold", help="Only alerts that were not sent yet")] = False,
    output: Output = Form.TABLE,
) -> None:
    """List alerts, delivered or not yet: escalations, reversals, breaks, …"""
    with airflow_of(settings_of(context)) as api:
        found = api.listed("alerts", limit=limit, untold="true" if untold else None)[:limit]
    if is_written(found, output):
        return
    table = ALERTS.table()
    for alert in found:
        pending = "no" if alert["settled_at"] else f"no, {alert['tries']} tries"
        state = "yes" if alert["was_told"] else pending
        if alert["trouble"]:
            state += f": {alert['trouble']}"
        at = moment(datetime.fromisoformat(alert["occurred_at"]))
        table.add(at, alert["kind"], alert["account"], alert["text"], state)
    console().print(table if found else "nothing")


def rechecks(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days back")] = 30,
    output: Output = Form.TABLE,
) -> None:
    """Show the rechecks of ended orders, by day. Exit code 1 when some were missed."""
    from rich.text import Text

    with airflow_of(settings_of(context)) as api:
        counts = api.read("rechecks", days=str(days))["items"]
    table = RECHECKS.table()
    for count in counts:
        table.add(
            count["due_on"],
            f"D+{count['days']}",
            count["account"],
            f"{count['in_time']:,}",
            f"{count['late']:,}",
            f"{count['waiting']:,}",
            Text(f"{count['missed']:,}", "red" if count["missed"] else ""),
            f"{count['changed']:,}",
        )
    if not is_written(counts, output):
        console().print(table if counts else "nothing was due")
    if any(count["missed"] for count in counts):
        raise typer.Exit(ExitCode.FOUND_TROUBLE)
