"""``sat prices``: SAT's prices, since when they hold, and what changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli import price_reports
from sat_hook.cli.context import console, database_of, settings_of
from sat_hook.cli.dag_runs import AskedRun, ask_for_run
from sat_hook.cli.formatting import Columns, Rows, plain
from sat_hook.cli.price_history import (
    Account,
    Code,
    PricesContext,
    Since,
    Until,
    at_text,
    count_text,
    period_of,
    periods_of,
    prices_context,
    rupiah,
    safe,
    tell_gaps,
)
from sat_hook.cli.time_options import moment_from

if TYPE_CHECKING:
    from rich.console import Console

    from sat_hook.domain.prices import PricePeriod, RecordedChange

app = typer.Typer(help="What SAT lists, since when, and what changed.", no_args_is_help=True)

DAG_ID = "product_price_snapshot"
FOUND_TROUBLE = 1
MAXIMUM_PERIODS_SHOWN = 20
PERIODS = Columns("since (WIB)", "until (WIB)", ">price", ">by", "status", "name")
ATTEMPTS = Columns("asked at (WIB)", "came to", ">listed", ">changes", ">unconfirmed", "by", "reason")
CHANGES = Columns("seen at (WIB)", "product", "change", "before", "after", ">by")


@app.command("show")
def show(
    context: typer.Context,
    code: Code,
    at: Annotated[
        str, typer.Option(metavar="TIME", help="When: 2026-11-23, '2026-11-23 14:30' (WIB), or an age: 7d")
    ] = "now",
    account: Account = None,
) -> None:
    """Show a product as it was listed at a time, and its earlier and later prices."""
    from sat_hook.domain.prices import percent_text

    with prices_context(context, account) as opened:
        moment = moment_from(at, opened.now, "--at")
        periods = periods_of(opened, code)
        current = next(
            (p for p in periods if p.since <= moment and (p.until is None or moment < p.until)), None
        )
        out = opened.out
        out.print(f"[bold]{safe(code)}[/]  account {safe(opened.account)}, at {at_text(moment)} WIB")
        if current is None:
            out.print(f"[yellow]not listed[/]: {_when_not(periods, moment)}")
        else:
            _tell(out, current)
        _tell_freshness(opened, moment)
        table = PERIODS.table()
        for number in range(len(periods) - 1, max(-1, len(periods) - 1 - MAXIMUM_PERIODS_SHOWN), -1):
            period, product = periods[number], periods[number].product
            before = periods[number - 1].product.price_rupiah if number else product.price_rupiah
            moved = before != product.price_rupiah
            table.add(
                at_text(period.since),
                "still" if period.until is None else at_text(period.until),
                rupiah(product.price_rupiah),
                percent_text(before, product.price_rupiah) if moved else "",
                product.status_text,
                product.name,
                style="bold" if period is current else "",
            )
        out.print(table)
        if len(periods) > MAXIMUM_PERIODS_SHOWN:
            out.print(f"… and {len(periods) - MAXIMUM_PERIODS_SHOWN} older ones (sat prices chart draws all)")


@app.command("changes")
def changes(
    context: typer.Context,
    since: Since,
    until: Until = "now",
    product: Annotated[str, typer.Option(metavar="PATTERN", help="Only these codes, like '*-xl'")] = "*",
    jump_percent: Annotated[
        int | None, typer.Option(min=1, help="Only prices that moved by at least that much at once")
    ] = None,
    account: Account = None,
) -> None:
    """List changes: prices, names, statuses, and new and removed products."""
    with prices_context(context, account) as opened:
        start, end = period_of(opened, since, until)
        found = [
            recorded
            for recorded in opened.history.changes(opened.account, start, end)
            if fnmatchcase(recorded.change.code, product)
            and (jump_percent is None or recorded.change.is_jump(jump_percent))
        ]
        if found:
            opened.out.print(_changes_table(found))
        words = "1 change" if len(found) == 1 else f"{len(found):,} changes"
        opened.out.print(f"{words} from {at_text(start)} to {at_text(end)} WIB")
        tell_gaps(opened, start, end)


@app.command("attempts")
def attempts(
    context: typer.Context, since: Since = "1d", until: Until = "now", account: Account = None
) -> None:
    """List every attempt to read the price list, and the times for which no list is known.

    The exit code is 1 when such a time lasts until the end of the period.
    """
    from rich.text import Text

    from sat_hook.domain.prices import SnapshotOutcome

    with prices_context(context, account) as opened:
        start, end = period_of(opened, since, until)
        table = ATTEMPTS.table()
        for attempt in opened.history.snapshots(opened.account, start, end):
            colour = "green" if attempt.outcome is SnapshotOutcome.COMPLETE else "red"
            table.add(
                at_text(attempt.asked_at),
                Text(attempt.outcome.value, colour),
                count_text(attempt.listed),
                count_text(attempt.changes),
                count_text(attempt.unconfirmed or None),
                attempt.actor,
                attempt.reason or "",
            )
        opened.out.print(table)
        if tell_gaps(opened, start, end):
            raise typer.Exit(FOUND_TROUBLE)


@app.command("snapshot")
def snapshot(
    context: typer.Context,
    connections: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONNECTION]...", help="Airflow connections (default: those of the DAG)"),
    ] = None,
    missing_limit_percent: Annotated[
        int | None,
        typer.Option(min=0, max=100, help="Believe a list of which up to that much is missing, this time"),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, and show what changed")] = False,
    timeout: Annotated[float, typer.Option(help="Stop waiting after so many seconds", min=1)] = 600,
) -> None:
    """Read the price list now, by a run of the DAG product_price_snapshot, as your Airflow user.

    With --wait the exit code is 0 when the list was read, 1 when it was not, 3 when --timeout passed first.
    """
    conf: dict[str, Any] = {"accounts": connections} if connections else {}
    if missing_limit_percent is not None:
        conf["missing_limit_percent"] = missing_limit_percent
    out = console()
    run = ask_for_run(context, out, DAG_ID, conf, wait=wait, timeout=timeout)
    if run.state is None:
        return
    _tell_run(context, out, run)
    if run.state != "success":
        raise typer.Exit(FOUND_TROUBLE)


def _tell_run(context: typer.Context, out: Console, run: AskedRun) -> None:
    """Print the outcome of a run's attempts, account by account."""
    from sat_hook.store.prices import PriceHistory

    # The clocks of two machines may differ.
    start, end = run.asked_at - timedelta(hours=1), run.asked_at + timedelta(days=1)
    with database_of(settings_of(context)) as database:
        history = PriceHistory(database)
        for account in history.accounts():
            mine = [a for a in history.snapshots(account, start, end) if f" run {run.run_id} try " in a.cause]
            for attempt in reversed(mine):
                reason = f": {safe(attempt.reason)}" if attempt.reason else ""
                out.print(
                    f"{at_text(attempt.asked_at)} WIB  {safe(account)}  {attempt.outcome.value}"
                    f"  {count_text(attempt.listed)} products{reason}"
                )
            numbers = {attempt.snapshot_id for attempt in mine}
            found = [c for c in history.changes(account, start, end) if c.snapshot_id in numbers]
            if found:
                out.print(_changes_table(found))
            elif mine:
                out.print("Nothing has changed")


def _tell(out: Console, period: PricePeriod) -> None:
    product = period.product
    colour = "green" if product.status == 1 else "yellow"
    kind = "a bill: the price comes from the inquiry" if product.is_inquiry else "fixed price"
    out.print(f"name      {safe(product.name)}")
    out.print(f"price     [bold]{rupiah(product.price_rupiah)}[/] ({kind})")
    out.print(f"status    [{colour}]{product.status_text}[/]")
    if product.operator_name or product.category_name:
        out.print(f"belongs   {safe(product.operator_name)}, {safe(product.category_name)}")
    until = "" if period.until is None else f" until {at_text(period.until)} WIB"
    out.print(f"so since  {at_text(period.since)} WIB{until} (snapshot {period.snapshot_id})")


def _when_not(periods: list[PricePeriod], moment: datetime) -> str:
    earlier = [period for period in periods if period.until is not None and period.until <= moment]
    later = [period for period in periods if period.since > moment]
    parts = []
    if earlier:
        assert earlier[-1].until is not None
        parts.append(f"last listed until {at_text(earlier[-1].until)} WIB")
    if later:
        parts.append(f"listed {'again' if earlier else 'first'} at {at_text(later[0].since)} WIB")
    return ", ".join(parts)


def _tell_freshness(opened: PricesContext, moment: datetime) -> None:
    """Print the age of the last list before the moment, prominently when it is too old."""
    from sat_hook.domain.business_day import span_text
    from sat_hook.domain.prices import GAP_HOURS

    just_after = moment + timedelta(microseconds=1)  # a list of this very moment counts
    lists = opened.history.complete_moments(opened.account, just_after, just_after)
    if not lists:
        opened.out.print("[yellow]no price list is known of that time[/]")
        return
    age = moment - lists[-1]
    words = f"known by   the list of {at_text(lists[-1])} WIB, {span_text(age)} before"
    opened.out.print(f"[yellow]{words}[/]" if age > timedelta(hours=GAP_HOURS) else words)


def _changes_table(found: list[RecordedChange]) -> Rows:
    table = CHANGES.table()
    for recorded in found:
        for row in _change_rows(recorded):
            table.add(at_text(recorded.seen_at), recorded.change.code, *row)
    return table


def _change_rows(recorded: RecordedChange) -> Iterator[tuple[str, ...]]:
    """Return a line for each changed attribute, and one for each new or removed product."""
    from sat_hook.domain.prices import ChangeKind, percent_text

    change = recorded.change
    if change.after is None or change.before is None:
        texts = ["" if p is None else rupiah(p.price_rupiah) for p in (change.before, change.after)]
        yield change.kind.value, *texts, ""
        return
    if change.kind is ChangeKind.RETURNED and not change.attributes:
        yield change.kind.value, "", rupiah(change.after.price_rupiah), ""
    for name in change.attributes:
        words = name.removesuffix("_rupiah").replace("_", " ")
        title = words if change.kind is ChangeKind.CHANGED else f"{change.kind.value}: {words}"
        if name == "price_rupiah":
            before, after = change.before.price_rupiah, change.after.price_rupiah
            yield title, rupiah(before), rupiah(after), percent_text(before, after)
        elif name == "status":
            yield title, change.before.status_text, change.after.status_text, ""
        else:
            yield title, plain(getattr(change.before, name)), plain(getattr(change.after, name)), ""


app.command("chart")(price_reports.chart)
app.command("week")(price_reports.week)
app.command("margin")(price_reports.margin)
