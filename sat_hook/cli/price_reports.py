"""``sat prices chart``, ``week`` and ``margin``: the price history as pictures, pages and tables."""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated

import typer

from sat_hook.cli.errors import CommandError
from sat_hook.cli.formatting import Columns
from sat_hook.cli.price_history import (
    Account,
    Code,
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
from sat_hook.cli.time_options import day_from

MOVES = Columns("product", "name", ">before", ">after", ">by")
MARGINS = Columns("product", ">succeeded", ">sales price", ">margin", ">percent", ">no fee", ">above list")


def chart(
    context: typer.Context,
    code: Code,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .svg picture, or an .html page")],
    since: Since = "30d",
    until: Until = "now",
    account: Account = None,
) -> None:
    """Draw a product's price over time, as one self-contained file for any browser."""
    from sat_hook.catalogue import chart as drawn

    if file.suffix not in (".svg", ".html"):
        raise CommandError.at("FILE", repr(file.name), "a name that ends in .svg or .html")
    with prices_context(context, account) as opened:
        start, end = period_of(opened, since, until)
        try:
            picture = drawn.PriceChart(
                account=opened.account,
                periods=periods_of(opened, code),
                moments=opened.history.complete_moments(opened.account, start, end),
                since=start,
                until=end,
            )
        except drawn.TooManyPeriodsError as error:
            raise CommandError.at("--since", str(error), f"at most {drawn.MAXIMUM_PERIODS:,}") from None
        _write(file, drawn.page(picture) if file.suffix == ".html" else drawn.svg(picture))
        opened.out.print(f"Drawn: {file}")


def week(
    context: typer.Context,
    of: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="A day of the week, for example 2026-11-23 (default: last week)"),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the page (.html) here")] = None,
    account: Account = None,
) -> None:
    """Summarise a week (Monday to Sunday, WIB): changes, new and removed products, and gaps in the record."""
    from sat_hook.catalogue.weekly import Week, read_week
    from sat_hook.catalogue.weekly_page import weekly_page
    from sat_hook.domain.prices import percent_text

    with prices_context(context, account) as opened:
        chosen = Week.last_before(opened.now) if of is None else Week.of(day_from(of, "--of"))
        if chosen.since >= opened.now:
            raise CommandError.at("--of", f"week {chosen.name}", "a week that has begun")
        summary = read_week(opened.history, opened.account, chosen, opened.now)
        out = opened.out
        out.print(
            f"[bold]Week {chosen.name}[/], account {safe(opened.account)}, until {at_text(summary.until)} WIB"
        )
        told = ", ".join(f"{count:,} {outcome.value}" for outcome, count in summary.attempts.items())
        out.print(f"price lists   {told or '[red]none[/]'}")
        out.print(
            f"products      {summary.listed_before:,} at the beginning, {summary.listed_after:,} at the end"
        )
        out.print(
            f"new, back     {len(summary.appeared):,}, {len(summary.returned):,};"
            f" gone {len(summary.disappeared):,}; other status {len(summary.statuses):,}"
        )
        table = MOVES.table()
        for move in (*summary.rises[:10], *summary.falls[:10]):
            before, after = move.prices_rupiah
            named = (move.after.code, move.after.name)
            table.add(*named, rupiah(before), rupiah(after), percent_text(before, after))
        out.print(
            f"dearer        {len(summary.rises):,}; cheaper {len(summary.falls):,}; the ten largest of each:"
        )
        if len(table):
            out.print(table)
        tell_gaps(opened, chosen.since, summary.until)
        if output is not None:
            _write(output, weekly_page(summary))
            out.print(f"Written: {output}")


def margin(
    context: typer.Context,
    since: Since,
    until: Until = "now",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the CSV here, and show a table of products")
    ] = None,
    account: Account = None,
) -> None:
    """Report sent orders as CSV: the price listed when each was sent, its cost and its margin.

    The margin is SAT's partner fee on succeeded orders. What your customers pay you is not known here.
    """
    from sat_hook.catalogue.margin import ProductMargin, margin_lines, percent_of
    from sat_hook.store.private_files import private_file

    with prices_context(context, account) as opened:
        start, end = period_of(opened, since, until)
        totals: dict[str, ProductMargin] = {}
        lines = margin_lines(opened.history.margins(opened.account, start, end), totals)
        if output is None:
            for line in lines:
                typer.echo(line, nl=False)
            return
        try:
            with private_file(output) as file:
                file.write(BOM_UTF8)
                file.writelines(line.encode() for line in lines)
        except OSError as error:
            raise _not_written(output, error) from None
        table = MARGINS.table()
        for total in sorted(totals.values(), key=lambda one: one.product_code):
            table.add(
                total.product_code,
                f"{total.orders:,}",
                rupiah(total.sales_price_rupiah),
                rupiah(total.margin_rupiah),
                percent_of(total.margin_rupiah, total.sales_price_rupiah),
                count_text(total.without_fee),
                count_text(total.above_listed),
            )
        opened.out.print(table)
        opened.out.print(f"Written: {output}")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise _not_written(file, error) from None


def _not_written(file: Path, error: OSError) -> CommandError:
    return CommandError.of_system(str(file), error, "a file that can be written")
