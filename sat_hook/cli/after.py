"""``sat alerts`` and ``sat looks``: what people were told, and how ended orders were looked at again."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from sat_hook.cli.opened import console, database_of, settings_of
from sat_hook.cli.showing import MAXIMUM_LISTED, moment

FOUND_TROUBLE = 1


def alerts(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=MAXIMUM_LISTED, help="How many, newest first")] = 50,
    untold: Annotated[bool, typer.Option("--untold", help="Only what nobody was told of yet")] = False,
) -> None:
    """List what people were told of, and what they were not told yet: escalations, reversals, breaks, …"""
    from rich.markup import escape
    from rich.table import Table

    from sat_hook.store.alerts import AlertBook

    out = console()
    with database_of(settings_of(context)) as database:
        found = [one for one in AlertBook(database).recent(limit) if not (untold and one.notified_at)]
    table = Table("when (WIB)", "kind", "account", "what", "told", box=None)
    for told in found:
        state = "[green]yes[/]" if told.notified_at else f"[yellow]no[/], {told.tries} tries"
        if told.trouble:
            state += f": {escape(told.trouble)}"
        alert = told.alert
        table.add_row(
            moment(alert.occurred_at), alert.kind.value, escape(alert.account), escape(alert.text), state
        )
    out.print(table if found else "nothing")


def looks(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=3650, help="So many days back")] = 30,
) -> None:
    """Show how the later looks at ended orders stand, by day and mark. Exit code 1 when some were missed."""
    from rich.markup import escape
    from rich.table import Table

    from sat_hook.clients.system import SystemClock
    from sat_hook.store.final_watch import PostgresFinalWatch

    out = console()
    now = SystemClock().now()
    with database_of(settings_of(context)) as database:
        counts = PostgresFinalWatch(database).counts(now, now - timedelta(days=days))
    table = Table("day (WIB)", "mark", "account", box=None)
    for name in ("in time", "late", "to do", "missed", "changed"):
        table.add_column(name, justify="right")
    for count in counts:
        missed = f"[red]{count.missed:,}[/]" if count.missed else "0"
        table.add_row(
            count.due_on.isoformat(),
            f"D+{count.days}",
            escape(count.account),
            f"{count.in_time:,}",
            f"{count.late:,}",
            f"{count.waiting:,}",
            missed,
            f"{count.changed:,}",
        )
    out.print(table if counts else "nothing was due")
    if any(count.missed for count in counts):
        raise typer.Exit(FOUND_TROUBLE)
