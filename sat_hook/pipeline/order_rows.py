"""One row of an order file: an order, or its problem in plain words.

A cell is refused when a repair could change an amount or an identity: ``8.12E+11``, ``10.000``, ``12500.0``,
``+62812…``. Text that cannot be meant for SAT is refused too: invisible characters, errors of a
spreadsheet's formulas, text read in a wrong encoding. Notes may hold any text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from sat_hook.domain.client_numbers import number_shape_of
from sat_hook.pipeline.cell_marks import mark_problem
from sat_hook.pipeline.limits import FILE_LIMITS, FileLimits
from sat_hook.pipeline.order_columns import INTAKE_ERROR, field_names_expected
from sat_hook.pipeline.order_problems import FIELD_PREFIX, NOTE_PREFIX, RowProblem
from sat_hook.presentation.spreadsheet_cells import first_invisible, is_misread

ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/#-]*")
_PRODUCT_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CLIENT_NUMBER = re.compile(r"[0-9]{4,20}")
_WHOLE = re.compile(r"[1-9][0-9]*|0")
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]{1,2}")
_SEPARATED = re.compile(r"(Rp\.?\s*)?[0-9]{1,3}([.,'\s][0-9]{3})+([.,]([0-9]+|-))?", re.IGNORECASE)
_SPREADSHEET_ERROR = re.compile(
    r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|BUSY!|GETTING_DATA|#+)"
    r"|Err:[0-9]{3}",
    re.IGNORECASE,
)
_COUNTRY = ("62", "0062")
_WITH_COUNTRY = re.compile(r"(?:\+\s*|00)?62[\s.()-]*[0-9][0-9\s.()-]*|\+[0-9\s.()-]+")
# Such a text has no mark, no error of a spreadsheet and nothing invisible. Most cells are so.
_PLAIN = re.compile(r"[0-9A-Za-z ._/-]+")
_LETTER = re.compile(r"[^\W0-9_]")


class OrderRow(NamedTuple):
    """A row that can become an order. Amounts in rupiah."""

    order_id: str
    product_code: str
    client_number: str
    amount_rupiah: int | None
    max_rupiah: int | None
    downline_id: str | None
    fields: tuple[tuple[str, str], ...]


def order_or_problem(values: Mapping[str, str], limits: FileLimits = FILE_LIMITS) -> OrderRow | RowProblem:
    """The order or problem of a row, given by column names; blanks around cells are already removed."""
    longest = limits.cell_characters
    together = "".join(values.values())
    if len(together) > longest or not _PLAIN.fullmatch(together):
        for name, value in values.items():
            if value and (problem := _unsuitable(name, value, limits)):
                return problem
    if error := values.get(INTAKE_ERROR):
        return RowProblem("bad_field_name", "fields", error, field_names_expected(limits))
    order_id = values.get("order_id", "")
    product_code = values.get("product_code", "")
    number = values.get("client_number", "")
    problem = (
        _order_id_problem(order_id, limits)
        or _product_code_problem(product_code)
        or _client_number_problem(number, product_code)
    )
    if problem is not None:
        return problem
    amount = _rupiah("amount_rupiah", values.get("amount_rupiah", ""), limits.order_rupiah)
    if isinstance(amount, RowProblem):
        return amount
    maximum = _rupiah("max_rupiah", values.get("max_rupiah", ""), limits.order_rupiah)
    if isinstance(maximum, RowProblem):
        return maximum
    fields = tuple(
        (name[len(FIELD_PREFIX) :], value)
        for name, value in values.items()
        if name.startswith(FIELD_PREFIX) and value
    )
    return OrderRow(
        order_id, product_code, number, amount, maximum, values.get("downline_id") or None, fields
    )


def _unsuitable(name: str, value: str, limits: FileLimits) -> RowProblem | None:
    """The problem of a cell, independent of its column."""
    if len(value) > limits.cell_characters:
        return RowProblem("too_long", name, value, f"at most {limits.cell_characters} characters")
    if name.startswith(NOTE_PREFIX):
        return None
    if invisible := first_invisible(value):
        return RowProblem(
            "control_character",
            name,
            invisible,
            "text without invisible characters - delete the cell and type it again",
            is_told=True,
        )
    if _SPREADSHEET_ERROR.fullmatch(value):
        return RowProblem(
            "spreadsheet_error",
            name,
            f"{value}, an error of the spreadsheet",
            "a value - mend the formula, or widen the column, and export the file again",
            is_told=True,
        )
    if problem := mark_problem(name, value):
        return problem
    if is_misread(value):
        return RowProblem(
            "misread_text",
            name,
            value,
            "the text as it was meant - UTF-8 was opened as Windows-1252 somewhere (é became Ã©); export it "
            "again as 'CSV UTF-8'",
        )
    return None


def _order_id_problem(order_id: str, limits: FileLimits) -> RowProblem | None:
    if _SCIENTIFIC.fullmatch(order_id):
        return _scientific("order_id", order_id)
    if len(order_id) <= limits.order_id_characters and ORDER_ID.fullmatch(order_id):
        return None
    return RowProblem(
        "bad_order_id" if order_id else "missing_order_id",
        "order_id",
        order_id,
        f"1 to {limits.order_id_characters} letters, digits, spaces or . _ : / # - beginning with a "
        "letter or digit",
    )


def _product_code_problem(product_code: str) -> RowProblem | None:
    if _PRODUCT_CODE.fullmatch(product_code):
        return None
    return RowProblem("bad_product_code", "product_code", product_code, "a product code as SAT lists it")


def _client_number_problem(number: str, product_code: str) -> RowProblem | None:
    is_whole = _CLIENT_NUMBER.fullmatch(number) is not None
    if is_whole and not number.startswith(_COUNTRY):
        return None
    if _SCIENTIFIC.fullmatch(number):
        return _scientific("client_number", number)
    if _DECIMAL.fullmatch(number):
        return RowProblem("decimal", "client_number", number, "digits only; format the column as text")
    shape = number_shape_of(product_code)
    is_local = shape is None or shape.fits(number)
    if _WITH_COUNTRY.fullmatch(number) and not (is_local and is_whole):
        expected = "digits without the country code - write 08… instead of +62… or 62…"
    elif is_whole:
        return None
    elif not _LETTER.search(number) and _CLIENT_NUMBER.fullmatch(re.sub("[^0-9]", "", number)):
        expected = "digits only - leave out spaces, dots, dashes, quotation marks and brackets"
    else:
        expected = "4 to 20 digits, leading zeros kept"
    code = "bad_client_number" if number else "missing_client_number"
    return RowProblem(code, "client_number", number, expected)


def _scientific(column: str, found: str) -> RowProblem:
    return RowProblem(
        "scientific_notation",
        column,
        found,
        "the digits themselves; a spreadsheet has rounded them away - format the column as text",
    )


def _rupiah(column: str, text: str, maximum: int) -> int | RowProblem | None:
    if not text:
        return None
    if _SCIENTIFIC.fullmatch(text):
        return _scientific(column, text)
    if _WHOLE.fullmatch(text):
        amount = int(text) if len(text) <= len(str(maximum)) else maximum + 1
        if 0 < amount <= maximum:
            return amount
        return RowProblem("amount_bounds", column, text, f"1 to {maximum:,} rupiah")
    if _SEPARATED.fullmatch(text):
        return RowProblem(
            "thousand_separator", column, text, "whole rupiah without separators, for example 10000"
        )
    if _DECIMAL.fullmatch(text):
        return RowProblem("decimal", column, text, "whole rupiah without decimals, for example 10000")
    return RowProblem(
        "bad_amount", column, text, "whole rupiah: digits only, the first one not 0, for example 10000"
    )
