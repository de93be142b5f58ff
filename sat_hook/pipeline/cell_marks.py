"""Marks in a cell whose value a workbook has damaged: ``#DIGITS! 8.12346E+11``.

A workbook's cell is not always text. Where its number, date or formula cannot be taken for the digits that a
person meant, the cell becomes a mark and what the spreadsheet has. The rules of a row refuse every mark, with
what to do, so a damaged cell is never sent: neither by the check, nor by the intake, nor when a result file
is submitted again. Notes keep what the spreadsheet shows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sat_hook.domain.client_numbers import number_shape_of
from sat_hook.pipeline.order_problems import FIELD_PREFIX, RowProblem

TEXT, NUMBER, ROUNDED, DATE, LOGICAL, NO_FORMULA_VALUE, UNREADABLE = "tnNdbfu"
"""The kinds of a cell, one letter each. ``ROUNDED`` is a number that lost digits, or is not shown whole."""

_AMOUNTS = ("amount_rupiah", "max_rupiah")
_IDS = ("order_id", "product_code", "client_number", "downline_id")


class Mark(NamedTuple):
    """A mark: the code of its problem, what was found, and what is expected."""

    code: str
    found: str
    expected: str


MARKS = {
    "DIGITS": Mark(
        "lost_digits",
        "a number that the spreadsheet rounds, or does not show whole",
        "all digits - format the column as text, then type or paste them again",
    ),
    "ZEROS": Mark(
        "lost_zeros",
        "a number, and a spreadsheet drops the zeros that a number begins with",
        "digits as text - format the column as text, then type or paste them again",
    ),
    "DATE": Mark(
        "date_cell",
        "a date",
        "text - the spreadsheet took it for a date: format the column as text, then type it again",
    ),
    "LOGICAL": Mark("logical_cell", "TRUE or FALSE, a value of the spreadsheet", "text"),
    "FORMULA": Mark(
        "formula_without_value",
        "a formula whose value the workbook does not hold",
        "a value - open the workbook in a spreadsheet, save it, and upload it again",
    ),
    "CELL": Mark(
        "unreadable_cell",
        "a cell that refers to a text that the workbook does not hold",
        "a whole workbook - open it in a spreadsheet, save it, and upload it again",
    ),
}
_MARKED = re.compile(rf"#({'|'.join(MARKS)})!(?: (.*))?", re.DOTALL)
_MARK_OF_KIND = {DATE: "DATE", LOGICAL: "LOGICAL", NO_FORMULA_VALUE: "FORMULA", UNREADABLE: "CELL"}


def marked(column: str, text: str, kind: str, product_code: str) -> str:
    """The text of a cell for its column: as it is, or behind a mark.

    :param kind: one letter, see :data:`TEXT`.
    :param product_code: of the row; its client numbers may have a shape.
    """
    is_id = column in _IDS or column.startswith(FIELD_PREFIX)
    if kind == TEXT or not (is_id or column in _AMOUNTS):
        return text
    mark = _MARK_OF_KIND.get(kind)
    if mark is None and is_id:
        if kind == ROUNDED:
            mark = "DIGITS"
        elif column == "client_number" and may_lack_a_zero(text, product_code):
            mark = "ZEROS"
    return text if mark is None else f"#{mark}! {text}".rstrip()


def may_lack_a_zero(digits: str, product_code: str) -> bool:
    """Whether the client number may have had a zero in front.

    Only a shape of which no longer number could be meant proves that nothing was dropped.
    """
    shape = number_shape_of(product_code)
    return shape is None or not shape.fits(digits) or shape.fits(f"0{digits}")


def mark_problem(column: str, value: str) -> RowProblem | None:
    """The problem of a marked cell; None for any other cell."""
    if not value.startswith("#") or (found := _MARKED.fullmatch(value)) is None:
        return None
    mark = MARKS[found[1]]
    return RowProblem(mark.code, column, mark.found, mark.expected, is_told=True)
