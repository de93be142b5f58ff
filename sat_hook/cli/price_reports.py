"""``sat prices chart``, ``week`` and ``margin``: the price history as pictures, pages and tables."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated

import typer

from sat_hook.cli.errors import CommandError
from sat_hook.cli.formatting import Columns
from sat_hook.cli.options import day_from
from sat_hook.cli.price_history import (
    Account,
    Code,
    Since,
    Until,
    at_text,
    count_text,
    prices_context,
    rupiah,
    safe,
)

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
    if file.suffix not in (".svg", ".html"):
        raise CommandError.at("FILE", repr(file.name), "a name that ends in .svg or .html")
    with prices_context(context, account) as opened:
        asked = {**opened.period(since, until).query, "format": file.suffix[1:]}
        _write(file, opened.api.file("products", code, "chart", name=file.name, **asked).content)
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
    from sat_hook.domain.prices import percent_text

    with prices_context(context, account) as opened:
        day = None if of is None else day_from(of, "--of").isoformat()
        found, out = opened.read("price-records", "week", of=day), opened.out
        out.print(
            f"[bold]Week {found['week']}[/], account {safe(found['account'])}, "
            f"until {at_text(found['until'])} WIB"
        )
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in found["attempts"].items())
        out.print(f"price lists   {told or '[red]none[/]'}")
        out.print(
            f"products      {found['listed_before']:,} at the beginning, {found['listed_after']:,} at the end"
        )
        out.print(
            f"new, back     {found['appeared']:,}, {found['returned']:,};"
            f" gone {found['disappeared']:,}; other status {found['statuses']:,}"
        )
        table = MOVES.table()
        for move in found["largest"]:
            before, after = move["before_rupiah"], move["after_rupiah"]
            named = (move["product_code"], move["name"])
            table.add(*named, rupiah(before), rupiah(after), percent_text(before, after))
        out.print(f"dearer        {found['rises']:,}; cheaper {found['falls']:,}; the ten largest of each:")
        if len(table):
            out.print(table)
        opened.tell_gaps(opened.period(found["since"], found["until"]))
        if output is not None:
            page = opened.api.file("price-records", "week", "page", name=output.name, account=account, of=day)
            _write(output, page.content)
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
    from sat_hook.store.private_files import private_file

    with prices_context(context, account) as opened:
        period = opened.period(since, until)
        lines = opened.api.file(
            "price-records", "margins", "orders", name="margin.csv", **period.query
        ).content
        if output is None:
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()
            return
        try:
            with private_file(output) as file:
                file.write(BOM_UTF8 + lines)
        except OSError as error:
            raise _not_written(output, error) from None
        table = MARGINS.table()
        for total in opened.api.read("price-records", "margins", **period.query)["items"]:
            table.add(
                total["product_code"],
                f"{total['orders']:,}",
                rupiah(total["sales_price_rupiah"]),
                rupiah(total["margin_rupiah"]),
                total["margin_percent"],
                count_text(total["without_fee"]),
                count_text(total["above_listed"]),
            )
        opened.out.print(table)
        opened.out.print(f"Written: {output}")


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise _not_written(file, error) from None


def _not_written(file: Path, error: OSError) -> CommandError:
    return CommandError.of_system(str(file), error, "a file that can be written")
