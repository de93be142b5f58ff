"""What a check finds in a row, for a page, and people's words for what is refused of a draft."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sat_hook.application.draft_views import DraftRow
from sat_hook.domain.identity import request_id_of
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.row_words import FINDINGS

REFUSALS: Mapping[str, str] = {
    "empty": _("There are no rows in it."),
    "bad_mapping": _("A column has a meaning that does not exist."),
    "too_many_mappings": _("There are too many saved mappings for this account. Delete one."),
    "bad_title": _("A column has a title that cannot be used."),
    "column_twice": _("Two columns have the same meaning. Call one of them a note."),
    "missing_column": _(
        "A column is missing: the order id, the product and the customer's number are needed."
    ),
    "unknown_column": _("Say for each column what it is."),
    "no_such_sheet": _("The workbook has no sheet of this name."),
    "not_csv": _("The file cannot be read as a table."),
    "too_large": _("It is too large. Split it in two."),
    "too_long": _("The text is too long for a cell."),
    "too_many_columns": _("There are too many columns."),
    "too_many_rows": _("There are too many rows. Split the file in two."),
    "too_many_changes": _(
        "There are too many changes. Mend the other rows in your spreadsheet, and upload it again."
    ),
    "workbook_damaged": _("The workbook is damaged. Save it again in your spreadsheet."),
    "workbook_limit": _("The workbook is too large. Split it in two."),
    "workbook_locked": _("The workbook has a password. Save it without one."),
    "workbook_old": _("The workbook has an old format. Save it as XLSX."),
    "workbook_other": _("This is no workbook that can be read. Save it as XLSX or CSV."),
    "too_many_drafts": _("You have too many drafts. Pay or discard one first."),
    "bad_start": _("The time must be ahead, and within 30 days."),
    "not_checked": _("Check the rows first."),
}


class EarlierOrder(NamedTuple):
    """An order that a row repeats. ``file_name`` is empty for one of the same file."""

    request_id: str
    row: int
    state: str
    file_name: str
    maker: str
    submitted_at: datetime | None


class ShownFinding(NamedTuple):
    """A finding of a row for a page.

    :param said: what is wrong, and what to do.
    :param place: of the cell that it is about, from 1; 0 when it is about the row.
    :param mend: the text that probably was meant; empty when there is none.
    :param earlier: the order that the row repeats, if any.
    """

    said: str
    place: int
    mend: str
    earlier: EarlierOrder | None


def shown_findings(
    row: DraftRow, columns: Sequence[str | None], account: str, wording: Wording
) -> list[ShownFinding]:
    """The findings of a row in the person's language."""
    return [_shown(one, row, columns, account, wording) for one in row.findings]


def _shown(
    one: Mapping[str, Any], row: DraftRow, columns: Sequence[str | None], account: str, wording: Wording
) -> ShownFinding:
    told, column = one["parameters"], one["column"]
    known = FINDINGS.get(one["code"])
    fields = {
        name: wording.rupiah(value) if name.endswith("_rupiah") else value for name, value in told.items()
    }
    place = columns.index(column) + 1 if column in columns else int(column) if column.isdecimal() else 0
    cell = row.cells[place - 1] if 0 < place <= len(row.cells) else ""
    return ShownFinding(
        wording.text(known) % fields if known else one["message"],
        place,
        told.get("nearest") or _meant(one["code"], cell),
        _earlier(told, account),
    )


def _earlier(told: Mapping[str, Any], account: str) -> EarlierOrder | None:
    if "row" not in told:
        return None
    at = told.get("submitted_at")
    return EarlierOrder(
        request_id_of(account, told["order_id"]),
        told["row"],
        told["state"],
        told.get("file_name", ""),
        told.get("maker", ""),
        datetime.fromisoformat(at) if at else None,
    )


def _meant(code: str, cell: str) -> str:
    """A number or an amount without the marks that people write into it; empty when that is not certain."""
    if code == "bad_client_number" and not re.search(r"[^0-9 +().-]", cell):
        digits = re.sub(r"\D", "", cell)
        local = re.sub(r"^62(?=8)", "0", digits)
        return local if 4 <= len(local) <= 20 and local != cell else ""
    if code == "thousand_separator" and re.fullmatch(
        r"[1-9]\d{0,2}(?:\.\d{3})+|[1-9]\d{0,2}(?:,\d{3})+", cell
    ):
        return re.sub(r"\D", "", cell)
    return ""
