"""People's words for what a check finds in a row, and for uploads and changes that are refused."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sat_hook.application.draft_views import DraftRow
from sat_hook.domain.identity import request_id_of
from sat_hook.web.console.language import Wording


class Finding(NamedTuple):
    """What is wrong with a row, and what to do; ``to_do`` may have fields for the finding's amounts."""

    reason: str
    to_do: str = ""


def _(text: str) -> str:
    return text


_AS_TEXT = _("Type the digits here, or format the column as text in the spreadsheet and upload it again.")
_AMOUNT = _("Write whole rupiah with digits only, for example 10000.")
_NUMBER = _("Write 4 to 20 digits only, with the zeros that the number begins with.")
_CALL_SAT = _("Set the row aside, and ask SAT.")
_TYPE_AGAIN = _("Type the text of the cell again.")
_SAVE_AGAIN = _("Type the value here, or save the workbook again in the spreadsheet and upload it.")

FINDINGS: Mapping[str, Finding] = {
    "unknown_product": Finding(
        _("SAT does not list this product."), _("Write a product code of SAT's list.")
    ),
    "inactive_product": Finding(
        _("SAT does not sell this product now."), _("Choose another product, or set the row aside.")
    ),
    "unreadable_product": Finding(_("SAT's list has this product in a form that cannot be read."), _CALL_SAT),
    "no_price": Finding(_("SAT's list has no price for this product."), _CALL_SAT),
    "client_number_shape": Finding(
        _("The number does not fit the product."),
        _("Look at the number, and whether it is the right product."),
    ),
    "amount_not_allowed": Finding(
        _("The product has a fixed price, and the row has an amount."),
        _("Empty the amount. A maximum price is a column of its own."),
    ),
    "amount_bounds": Finding(
        _("The amount is too small or too large."), _("Write an amount that is allowed.")
    ),
    "above_maximum": Finding(
        _("The price is above the row's maximum."),
        _("The price is %(price)s, the maximum %(maximum)s. Raise it if the price is right."),
    ),
    "missing_order_id": Finding(_("The order id is missing."), _("Give each row an order id of its own.")),
    "bad_order_id": Finding(
        _("The order id has characters that it cannot have, or too many."),
        _("Use letters, digits, spaces or . _ : / # - and begin with a letter or digit."),
    ),
    "bad_product_code": Finding(
        _("The product code is missing or cannot be one."), _("Write a product code of SAT's list.")
    ),
    "missing_client_number": Finding(_("The customer's number is missing."), _NUMBER),
    "bad_client_number": Finding(_("The customer's number cannot be one."), _NUMBER),
    "scientific_notation": Finding(_("The spreadsheet has rounded the digits away."), _AS_TEXT),
    "lost_digits": Finding(_("The spreadsheet rounds this number, or does not show it whole."), _AS_TEXT),
    "lost_zeros": Finding(_("The spreadsheet may have dropped zeros in front of this number."), _AS_TEXT),
    "date_cell": Finding(_("The spreadsheet took this cell for a date."), _TYPE_AGAIN),
    "logical_cell": Finding(_("The spreadsheet took this cell for true or false."), _TYPE_AGAIN),
    "formula_without_value": Finding(_("The workbook does not hold the value of this formula."), _SAVE_AGAIN),
    "unreadable_cell": Finding(_("The workbook does not hold the text of this cell."), _SAVE_AGAIN),
    "decimal": Finding(_("The value has a decimal mark."), _("Write digits only.")),
    "thousand_separator": Finding(_("The amount has marks between the thousands."), _AMOUNT),
    "bad_amount": Finding(_("The amount cannot be read."), _AMOUNT),
    "too_long": Finding(_("The text is too long."), _("Shorten it.")),
    "control_character": Finding(_("The cell has an invisible character."), _TYPE_AGAIN),
    "spreadsheet_error": Finding(_("The cell shows an error of the spreadsheet."), _TYPE_AGAIN),
    "misread_text": Finding(_("Letters were damaged when the file was opened elsewhere."), _TYPE_AGAIN),
    "surplus_cells": Finding(
        _("The row has more cells than the header."),
        _("Look whether a cell was split in two, and empty the last."),
    ),
    "cut_off": Finding(
        _("The file ends in the middle of this row."), _("Complete the row, or upload the whole file again.")
    ),
    "order_id_reused": Finding(
        _("Another order has this order id."), _("Give the row an order id of its own.")
    ),
    "already_submitted": Finding(
        _("This order was submitted before; it is not paid again."),
        _("There is nothing to do. To pay it once more, give it a new order id."),
    ),
    "business_duplicate": Finding(
        _("The same payment was made or asked for before."),
        _("It will be held until a person releases it. Set the row aside if it is not meant."),
    ),
    "limit": Finding(
        _("It is over a limit of the account."), _("It will be held until a person releases it.")
    ),
    "bill_without_price": Finding(_("A bill: SAT tells its amount when the batch runs.")),
    "short_of_funds": Finding(
        _("The deposit does not reach this row."), _("Top up, or choose below what happens then.")
    ),
}

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


class ShownFinding(NamedTuple):
    """A finding of a row for a page.

    :param place: of the cell that it is about, from 1; 0 when it is about the row.
    :param mend: the text that probably was meant; empty when there is none.
    :param earlier: the order that the row repeats, if any.
    """

    code: str
    reason: str
    to_do: str
    place: int
    mend: str
    earlier: EarlierOrder | None


class EarlierOrder(NamedTuple):
    """An order that a row repeats. ``file_name`` is empty for one of the same file."""

    request_id: str
    order_id: str
    row: int
    state: str
    file_name: str
    maker: str
    submitted_at: datetime | None


def shown_findings(
    row: DraftRow, columns: Sequence[str | None], account: str, wording: Wording
) -> list[ShownFinding]:
    """The findings of a row in the person's language."""
    return [_shown(one, row, columns, account, wording) for one in row.findings]


def _shown(
    one: Mapping[str, Any], row: DraftRow, columns: Sequence[str | None], account: str, wording: Wording
) -> ShownFinding:
    told = one["parameters"]
    words = FINDINGS.get(one["code"], Finding(one["message"]))
    fields = defaultdict(
        lambda: "–",
        price=wording.rupiah(told.get("price_rupiah")),
        maximum=wording.rupiah(told.get("max_rupiah")),
    )
    column = one["column"]
    place = columns.index(column) + 1 if column in columns else int(column) if column.isdecimal() else 0
    cell = row.cells[place - 1] if 0 < place <= len(row.cells) else ""
    return ShownFinding(
        one["code"],
        wording.text(words.reason),
        wording.text(words.to_do) % fields if words.to_do else "",
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
        told["order_id"],
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
