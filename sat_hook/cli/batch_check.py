"""``sat batch check``: what a file would become, before any of it is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.batch import Account, File, OnBadRows, Reference, read_orders, upload_query
from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.errors import ExitCode
from sat_hook.cli.formatting import Columns, counted, facts, rupiah

if TYPE_CHECKING:
    from rich.console import Console

LISTED_ROWS = 50
ROWS = Columns(">row", "order", "standing", "reason", "message")


def check(
    context: typer.Context,
    file: File,
    account: Account = "sat_default",
    reference: Reference = None,
    on_bad_rows: Annotated[OnBadRows | None, typer.Option(help="As it would be given to submit")] = None,
    every: Annotated[bool, typer.Option("--all", help=f"Every row, not the first {LISTED_ROWS}")] = False,
) -> None:
    """Check a file without submitting it: rows, prices, deposit, approval, duplicates.

    Nothing is recorded. SAT is asked only for its price list and the deposit: the price of a bill is known
    when the batch runs. Exit code 0 when every row can be paid, 1 when a row needs you, 2 when the file
    cannot become a batch.
    """
    content, out = read_orders(file), console()
    with airflow_of(settings_of(context)) as api:
        found = api.check(content, upload_query(file, account, reference, on_bad_rows))
    if known := found["known_batch"]:
        out.print(
            f"This file is batch [bold]{known['batch_id']}[/], which is {known['state']}; submitting it "
            f"again changes nothing. Its rows: sat batch results {known['batch_id']}"
        )
        return
    for line in facts(_facts(found)):
        out.print(line)
    _print_rows(out, found["findings"], file.name, every=every)
    out.print("Nothing was recorded")
    if found["findings"]:
        raise typer.Exit(ExitCode.FOUND_TROUBLE)


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    shown = [("account", f"{found['account']} (connection {found['connection']})")]
    if found["pause_reason"]:
        shown.append(("paused", f"nothing is taken in: {found['pause_reason']}"))
    shown.append(("rows", f"{found['rows']:,}: {found['payable']:,} can be paid"))
    if found["needs_in_words"]:
        shown.append(("need you", found["needs_in_words"]))
    if found["known_rows"]:
        shown.append(("known", f"{counted(found['known_rows'], 'row')} submitted before, not paid again"))
    shown.append(("price", _price(found)))
    shown.append(("deposit", _deposit(found)))
    shown.append(("approval", _approval(found)))
    return shown


def _price(found: dict[str, Any]) -> str:
    bills = found["bills"]
    orders = counted(found["payable"] - bills, "order")
    priced = f"{rupiah(found['total_rupiah'])} for {orders} with a listed price"
    return f"{priced}; {counted(bills, 'bill')}, priced in the run" if bills else priced


def _deposit(found: dict[str, Any]) -> str:
    held = f"{rupiah(found['saldo_rupiah'])}, of which {rupiah(found['free_rupiah'])} are free"
    missing = found["missing_rupiah"]
    return f"{held}: {rupiah(missing)} are missing" if missing else f"{held}: enough for these"


def _approval(found: dict[str, Any]) -> str:
    over, needed = found["approval_over_rupiah"], found["needs_approval"]
    if over is None:
        return "not needed"
    limit = f"a batch over {rupiah(over)} needs a second person"
    if needed is None:
        return f"it depends on the bills: {limit}"
    return f"needed: {limit}" if needed else f"not needed: {limit}"


def _print_rows(out: Console, findings: list[list[Any]], file_name: str, *, every: bool) -> None:
    if not findings:
        return
    shown = findings if every else findings[:LISTED_ROWS]
    table = ROWS.table()
    for row_number, order_id, standing, code, message, *_ in shown:
        # The table already has the row.
        words = message.removeprefix(f"{file_name} row {row_number}").lstrip(":, ")
        table.add(f"{row_number:,}", order_id, standing, code, words)
    out.print()
    out.print(table)
    out.print()
    if len(shown) < len(findings):
        out.print(f"The first {len(shown):,} of {len(findings):,} rows; all of them: --all")
