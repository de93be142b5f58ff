"""``sat reconcile preview``: shows how a settlement file would be read, before it counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.context import console
from sat_hook.cli.errors import CommandError, ExitCode
from sat_hook.cli.formatting import Columns, counted, facts, rupiah
from sat_hook.domain.masking import masked_number

if TYPE_CHECKING:
    import pandas as pd

    from sat_hook.reconciliation.settlement_rows import SettlementRows

LISTED_ROWS = 50
MAPPING_FILE = "mapping.json"
MAXIMUM_READ_BYTES = 513 * 1024 * 1024
FIRST = Columns(">row", "kind", ">rupiah", "status", "request id", "product", "client number", "moment (UTC)")
ASIDE = Columns(">row", "reason", "request id", "amount", "status")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The settlement file: CSV or XLSX")]


def preview(
    file: File,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help=f"How to read it, as JSON; default: {MAPPING_FILE} beside the file, if there is one"
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help=f"More than {LISTED_ROWS} rows that are set aside")
    ] = False,
) -> None:
    """Show how a settlement file would be read: rows, totals, and rows set aside with reasons.

    Needs no database and records nothing. Exit code 0 when every row can be matched, 1 when a row is set
    aside or something in the file is in doubt, 2 when the file or the mapping cannot be read.
    """
    from sat_hook.reconciliation.errors import SettlementRefusedError
    from sat_hook.reconciliation.settlement import mapping_from, read_settlement

    beside = file.parent / MAPPING_FILE
    chosen = mapping or (beside if beside.is_file() else None)
    try:
        agreed = mapping_from(_content(chosen) if chosen is not None else "")
        rows = read_settlement(_content(file), file.name, agreed)
    except SettlementRefusedError as error:
        raise CommandError(str(error)) from None
    out = console()
    for line in facts([("file", file.name), ("mapping", str(chosen or "the default one")), *_facts(rows)]):
        out.print(line)
    for note in rows.notes:
        out.print(f"{'in doubt' if note.is_doubt else 'note'}: {note.text}", markup=False)
    if len(rows.kept):
        out.print("\nThe first rows, as they are understood:")
        out.print(_first(rows))
    aside = rows.set_aside
    if len(aside):
        shown = aside if every else aside.iloc[:LISTED_ROWS]
        out.print("\nRows that are set aside; each would be a break:")
        out.print(_aside(rows, shown))
        if len(shown) < len(aside):
            out.print(f"The first {len(shown):,} of {len(aside):,} rows; all of them: --all")
    out.print("\nNothing was recorded")
    if len(aside) or any(note.is_doubt for note in rows.notes):
        raise typer.Exit(ExitCode.FOUND_TROUBLE)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_READ_BYTES)
    except OSError as error:
        raise CommandError.of_system(str(path), error, "a file that can be read") from None


def _facts(rows: SettlementRows) -> list[tuple[str, str]]:
    tally = rows.tally()
    shown = [
        ("rows", f"{len(rows.frame):,}: {tally.rows:,} can be matched, {len(rows.set_aside):,} set aside")
    ]
    for name, found in tally.sums.items():
        if found.rows:
            said = "refunds" if name == "refund" else f"sales, {name}"
            shown.append((said, f"{found.rows:,} of {rupiah(found.rupiah)}"))
    shown.append(("charged", f"{rupiah(tally.charged_rupiah)}: what succeeded, less refunds"))
    if tally.repeated:
        shown.append(("more than once", f"{counted(tally.repeated, 'row')} with a request id of another row"))
    if rows.totals:
        shown.append(("totals, footers", counted(len(rows.totals), "row")))
    return shown


def _first(rows: SettlementRows) -> object:
    import pandas as pd

    from sat_hook.presentation.spreadsheet_cells import has_long_number, shape_of
    from sat_hook.reconciliation.settlement_reader import FIRST_SAMPLES

    row: Any
    table = FIRST.table()
    for row in rows.kept.iloc[:FIRST_SAMPLES].itertuples():
        client = rows.samples.get(row.file_row, {}).get("client_number", "")
        moment = "" if pd.isna(row.moment) else f"{row.moment:%Y-%m-%d %H:%M:%S}"
        table.add(
            f"{row.file_row:,}",
            row.kind,
            rupiah(row.rupiah),
            row.status,
            _request_id(row.request_id) or masked_number(row.request_id),
            shape_of(row.product_code) if has_long_number(row.product_code) else row.product_code,
            masked_number(client),
            moment,
        )
    return table


def _aside(rows: SettlementRows, aside: pd.DataFrame) -> object:
    from sat_hook.presentation.spreadsheet_cells import shape_of, shown

    row: Any
    table = ASIDE.table()
    for row in aside.itertuples():
        cells = rows.samples.get(row.file_row, {})
        request_id = cells.get("request_id", row.request_id)
        table.add(
            f"{row.file_row:,}",
            row.trouble,
            _request_id(request_id) or shape_of(request_id) if request_id else "",
            shown(cells["amount"]) if cells.get("amount") else "",
            shown(cells["status"]) if cells.get("status") else "",
        )
    return table


def _request_id(text: str) -> str:
    """Return the text if it has letters and digits, as request ids do. Other text may be a customer's number
    or name from a shifted column."""
    from sat_hook.presentation.spreadsheet_cells import has_long_number
    from sat_hook.reconciliation.settlement_cells import OUR_REQUEST_ID

    if OUR_REQUEST_ID.fullmatch(text):
        return text
    has_both = any(map(str.isalpha, text)) and any(map(str.isdigit, text)) and not has_long_number(text)
    return text if text.isascii() and text.isprintable() and " " not in text and has_both else ""
