"""``sat alerts`` and ``sat rechecks``: the alerts, and the rechecks of ended orders."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from sat_hook.cli.context import console, database_of, settings_of
from sat_hook.cli.formatting import MAXIMUM_LISTED, Columns, moment

FOUND_TROUBLE = 1
ALERTS = Columns("when (WIB)", "kind", "account", "what", "told")
RECHECKS = Columns("day (WIB)", "mark", "account", ">in time", ">late", ">to do", ">missed", ">changed")


def alerts(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=MAXIMUM_LISTED, help="How many, newest first")] = 50,
    untold: Annotated[bool, typer.Option("--untold", help="Only alerts that were not sent yet")] = False,
) -> None:
    """List alerts, delivered or not yet: escalations, reversals, breaks, …"""
    from sat_hook.store.alerts import AlertBook

    out = console()
    with database_of(settings_of(context)) as database:
        found = [one for one in AlertBook(database).recent(limit) if not (untold and one.was_told)]
    table = ALERTS.table()
    for told in found:
        pending = "no" if told.notified_at else f"no, {told.tries} tries"
        state = "yes" if told.was_told else pending
        if told.trouble:
            state += f": {told.trouble}"
        alert = told.alert
        table.add(moment(alert.occurred_at), alert.kind.value, alert.account, alert.text, state)
    out.print(table if found else "nothing")


def rechecks(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days back")] = 30,
) -> None:
    """Show the rechecks of ended orders, by day. Exit code 1 when some were missed."""
    from rich.text import Text

    from sat_hook.clients.clock import SystemClock
    from sat_hook.store.rechecks import PostgresRecheckSchedule

    out = console()
    now = SystemClock().now()
    with database_of(settings_of(context)) as database:
        counts = PostgresRecheckSchedule(database).counts(now, now - timedelta(days=days))
    table = RECHECKS.table()
    for count in counts:
        table.add(
            count.due_on.isoformat(),
            f"D+{count.days}",
            count.account,
            f"{count.in_time:,}",
            f"{count.late:,}",
            f"{count.waiting:,}",
            Text(f"{count.missed:,}", "red" if count.missed else ""),
            f"{count.changed:,}",
        )
    out.print(table if counts else "nothing was due")
    if any(count.missed for count in counts):
        raise typer.Exit(FOUND_TROUBLE)
