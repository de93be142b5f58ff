"""What a check finds in a row, in people's words: what is wrong, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sat_hook.application.draft_views import DraftRow
from sat_hook.domain.identity import request_id_of
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _

FINDINGS: Mapping[str, str] = {
    # The file's cells.
    "too_long": _("The text is too long. Shorten it."),
    "control_character": _("The cell has an invisible character. Delete the cell and type it again."),
    "spreadsheet_error": _("The spreadsheet shows an error here. Correct the formula, or type the value."),
    "misread_text": _("The letters were damaged on the way. Type the text again."),
    "missing_order_id": _("The order id is missing. Give every order its own."),
    "bad_order_id": _("This is not an order id. Use letters, digits, spaces and . _ : / # - only."),
    "bad_product_code": _("This is not a product code. Choose a product from the list."),
    "missing_client_number": _("The client number is missing."),
    "bad_client_number": _("This is not a client number. Write digits only, with the first 0, without +62."),
    "scientific_notation": _("The spreadsheet has rounded the digits away. Type all of them again, as text."),
    "decimal": _("The number has decimals. Write whole digits only."),
    "thousand_separator": _("The amount has separators. Write it without points or commas: 10000."),
    "amount_bounds": _("The amount is not within the limits."),
    "bad_amount": _("This is not an amount. Write whole rupiah, digits only: 10000."),
    "surplus_cells": _("The row has more cells than the header. Remove what is too much."),
    "cut_off": _("The file ends in this row: it may have been cut off. Check the last cell."),
    "bad_field_name": _("The name of an extra field cannot be used."),
    "lost_digits": _("The spreadsheet rounds this number. Type all digits again, as text."),
    "lost_zeros": _("The spreadsheet may have dropped a leading 0. Type the number again, as text."),
    "date_cell": _("The spreadsheet made a date of it. Type it again, as text."),
    "logical_cell": _("The cell is TRUE or FALSE. Type the text that belongs here."),
    "formula_without_value": _("The formula has no value. Save the workbook again, or type the value."),
    "unreadable_cell": _("The cell cannot be read. Save the workbook again, or type the value."),
    # Order ids of earlier rows.
    "order_id_reused": _("Another order has the order id %(order_id)s. Give this one its own."),
    "already_submitted": _("Order %(order_id)s was submitted before. It is not paid again."),
    # The catalogue.
    "unknown_product": _("SAT has no such product."),
    "inactive_product": _("SAT does not sell this product now. Choose another one."),
    "unreadable_product": _("SAT's list shows this product with an error. Choose another one, or ask SAT."),
    "no_price": _("The product has no price now. Choose another one, or wait."),
    "client_number_shape": _("The number does not fit the product. Check number and product."),
    "amount_not_allowed": _("The product has a fixed price. Leave the amount empty."),
    "above_maximum": _("The price %(price_rupiah)s is above the maximum of this row, %(max_rupiah)s."),
    # The guards, and the deposit.
    "business_duplicate": _("The same product and number as order %(order_id)s. A person must release it."),
    "limit": _("It exceeds a limit of the account. A person must release it."),
    "bill_without_price": _("A bill: its amount is known when the batch is paid."),
    "short_of_funds": _("The deposit does not reach this row. It waits for a top-up, or as you choose."),
}
"""By code. ``%(…)s`` stands for a parameter of the finding; money is formatted by the page."""

OF_MANY_ROWS: Mapping[str, str] = {
    "order_id_reused": _("another order has the same order id"),
    "already_submitted": _("submitted before, and not paid again"),
}
"""By code, where the words for one row name something of that row."""


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


def sentence(code: str, message: str, facts: Mapping[str, Any], wording: Wording) -> str:
    """What is wrong and what to do, in the person's language; ``message`` for a code without words."""
    known = FINDINGS.get(code)
    fields = {
        name: wording.rupiah(value) if name.endswith("_rupiah") else value for name, value in facts.items()
    }
    return wording.text(known) % fields if known else message


def _shown(
    one: Mapping[str, Any], row: DraftRow, columns: Sequence[str | None], account: str, wording: Wording
) -> ShownFinding:
    told, column = one["parameters"], one["column"]
    place = columns.index(column) + 1 if column in columns else int(column) if column.isdecimal() else 0
    cell = row.cells[place - 1] if 0 < place <= len(row.cells) else ""
    return ShownFinding(
        sentence(one["code"], one["message"], told, wording),
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
