"""``sat prices``: SAT's prices, since when they hold, and what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli import price_reports
from sat_hook.cli.context import console
from sat_hook.cli.dag_runs import AskedRun, ask_for_run
from sat_hook.cli.errors import ExitCode
from sat_hook.cli.for_programs import Form, Output, is_written
from sat_hook.cli.formatting import Columns, Rows, plain
from sat_hook.cli.options import moment_from
from sat_hook.cli.price_history import (
    Account,
    Code,
    Period,
    PricesContext,
    Since,
    Until,
    at_text,
    count_text,
    prices_context,
    read_as,
    rupiah,
    safe,
)

if TYPE_CHECKING:
    from rich.console import Console

    from sat_hook.domain.prices import PricePeriod

app = typer.Typer(help="What SAT lists, since when, and what changed.", no_args_is_help=True)

DAG_ID = "product_price_snapshot"
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
    output: Output = Form.TABLE,
) -> None:
    """Show a product as it was listed at a time, and its earlier and later prices."""
    from sat_hook.domain.prices import PricePeriod, percent_text

    with prices_context(context, account) as opened:
        moment = moment_from(at, opened.now, "--at")
        found, out = opened.read("products", code, "prices"), opened.out
        if is_written(found["items"], output):
            return
        periods = read_as(list[PricePeriod], found["items"])
        current = next(
            (p for p in periods if p.since <= moment and (p.until is None or moment < p.until)), None
        )
        out.print(f"[bold]{safe(code)}[/]  account {safe(found['account'])}, at {at_text(moment)} WIB")
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
    output: Output = Form.TABLE,
) -> None:
    """List changes: prices, names, statuses, and new and removed products."""
    with prices_context(context, account) as opened:
        period = opened.period(since, until)
        which = {"product": product, "jump_percent": None if jump_percent is None else str(jump_percent)}
        found = list(opened.api.every("price-records", "changes", **period.query, **which))
        if is_written(found, output):
            return
        if found:
            opened.out.print(_changes_table(found))
        words = "1 change" if len(found) == 1 else f"{len(found):,} changes"
        opened.out.print(f"{words} from {at_text(period.since)} to {at_text(period.until)} WIB")
        opened.tell_gaps(period)


@app.command("attempts")
def attempts(
    context: typer.Context,
    since: Since = "1d",
    until: Until = "now",
    account: Account = None,
    output: Output = Form.TABLE,
) -> None:
    """List every attempt to read the price list, and the times for which no list is known.

    The exit code of the table is 1 when such a time lasts until the end of the period.
    """
    from rich.text import Text

    with prices_context(context, account) as opened:
        period = opened.period(since, until)
        found = list(opened.api.every("price-records", "attempts", **period.query))
        if is_written(found, output):
            return
        table = ATTEMPTS.table()
        for attempt in found:
            colour = "green" if attempt["outcome"] == "complete" else "red"
            table.add(
                at_text(attempt["asked_at"]),
                Text(attempt["outcome"], colour),
                count_text(attempt["listed"]),
                count_text(attempt["changes"]),
                count_text(attempt["unconfirmed"] or None),
                attempt["actor"],
                attempt["reason"] or "",
            )
        opened.out.print(table)
        if opened.tell_gaps(period):
            raise typer.Exit(ExitCode.FOUND_TROUBLE)


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
    with prices_context(context, None) as opened:
        _tell_run(opened, run)
    if run.state != "success":
        raise typer.Exit(ExitCode.FOUND_TROUBLE)


def _tell_run(opened: PricesContext, run: AskedRun) -> None:
    """Print the outcome of a run's attempts, account by account."""
    out = opened.out
    for account in opened.api.every("price-records", "accounts"):
        # The clocks of two machines may differ.
        period = Period(run.asked_at - timedelta(hours=1), run.asked_at + timedelta(days=1), str(account))
        attempts = opened.api.every("price-records", "attempts", **period.query)
        mine = [attempt for attempt in attempts if f" run {run.run_id} try " in attempt["cause"]]
        for attempt in reversed(mine):
            reason = f": {safe(attempt['reason'])}" if attempt["reason"] else ""
            out.print(
                f"{at_text(attempt['asked_at'])} WIB  {safe(account)}  {attempt['outcome']}"
                f"  {count_text(attempt['listed'])} products{reason}"
            )
        numbers = {attempt["snapshot_id"] for attempt in mine}
        changes = opened.api.every("price-records", "changes", **period.query) if mine else ()
        found = [change for change in changes if change["snapshot_id"] in numbers]
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

    lists = opened.api.read("price-records", "lists", **Period(moment, moment, opened.account).query)
    if lists["last_list_at"] is None:
        opened.out.print("[yellow]no price list is known of that time[/]")
        return
    last = datetime.fromisoformat(lists["last_list_at"])
    age = moment - last
    words = f"known by   the list of {at_text(last)} WIB, {span_text(age)} before"
    opened.out.print(f"[yellow]{words}[/]" if age > timedelta(hours=GAP_HOURS) else words)


def _changes_table(found: Iterable[Mapping[str, Any]]) -> Rows:
    table = CHANGES.table()
    for change in found:
        code = (change["after"] or change["before"])["code"]
        for row in _change_rows(change):
            table.add(at_text(change["seen_at"]), code, *row)
    return table


def _change_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Return a line for each changed attribute, and one for each new or removed product."""
    from sat_hook.domain.prices import ChangeKind, ProductChange, percent_text

    change = read_as(ProductChange, found)
    before, after = change.before, change.after
    if after is None or before is None:
        texts = ["" if product is None else rupiah(product.price_rupiah) for product in (before, after)]
        yield change.kind.value, *texts, ""
        return
    if change.kind is ChangeKind.RETURNED and not change.attributes:
        yield change.kind.value, "", rupiah(after.price_rupiah), ""
    for name in change.attributes:
        words = name.removesuffix("_rupiah").replace("_", " ")
        title = words if change.kind is ChangeKind.CHANGED else f"{change.kind.value}: {words}"
        if name == "price_rupiah":
            yield (
                title,
                rupiah(before.price_rupiah),
                rupiah(after.price_rupiah),
                percent_text(before.price_rupiah, after.price_rupiah),
            )
        elif name == "status":
            yield title, before.status_text, after.status_text, ""
        else:
            yield title, plain(getattr(before, name)), plain(getattr(after, name)), ""


app.command("chart")(price_reports.chart)
app.command("week")(price_reports.week)
app.command("margin")(price_reports.margin)
