"""Reading an order file as people and Excel really write them, without guessing about money or identity.

Expected and accepted: UTF-8 with or without BOM, UTF-16 with BOM, Latin-1; comma, semicolon or tab; CRLF;
quoted newlines; blank lines; empty trailing columns; header aliases; spaces around a cell.
Refused with the row, the column, what was found and what was expected: whatever would have to be repaired
where an amount or an identity could change (``8.12E+11``, ``10.000``, ``12500.0``, a reused header …).

Rows are numbered as a spreadsheet shows them: the header is row 1, blank lines count.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from sat_hook.pipeline.cells import CONTROL, first_control, shape_of, shown
from sat_hook.pipeline.limits import (
    MAXIMUM_CELL_CHARACTERS,
    MAXIMUM_COLUMNS,
    MAXIMUM_FIELD_NAME_CHARACTERS,
    MAXIMUM_ORDER_ID_CHARACTERS,
    MAXIMUM_ORDER_RUPIAH,
)

FIELD_PREFIX = "field:"
NOTE_PREFIX = "note:"
# Written by the intake of table rows: why a row cannot be an order whatever its other cells say.
INTAKE_ERROR = "intake_error"
MAXIMUM_HEADER_CHARACTERS = 64 * 1024
LONGEST_CELL_CHARACTERS = 100_000

ALIASES: dict[str, tuple[str, ...]] = {
    "order_id": ("order", "orderid", "reference", "ref", "order_ref", "no_order", "id_pesanan"),
    "product_code": ("product", "productcode", "sku", "kode_produk", "produk"),
    "client_number": (
        "clientnumber",
        "customer_number",
        "msisdn",
        "phone",
        "phone_number",
        "meter_number",
        "no_hp",
        "no_pelanggan",
        "nomor_pelanggan",
        "id_pelanggan",
    ),
    "amount_rupiah": ("amount", "nominal", "jumlah"),
    "max_rupiah": ("max", "maximum", "max_amount", "maximum_rupiah", "batas"),
    "downline_id": ("downline", "downlineid"),
}
REQUIRED = ("order_id", "product_code", "client_number")
_CANONICAL = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}

_ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/#-]*")
_PRODUCT_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CLIENT_NUMBER = re.compile(r"[0-9]{4,20}")
_WHOLE = re.compile(r"[1-9][0-9]*|0")
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]{1,2}")
_SEPARATED = re.compile(r"(Rp\.?\s*)?[0-9]{1,3}([.,'\s][0-9]{3})+([.,][0-9]+)?", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_PRIVATE = ("client_number", "downline_id")

FIELD_NAME_EXPECTED = (
    f"names of 1 to {MAXIMUM_FIELD_NAME_CHARACTERS} characters without control characters, each once, "
    f"in all not more than fit into {MAXIMUM_COLUMNS} columns"
)


class OrderFileError(ValueError):
    """The file as a whole cannot be read as orders. ``code`` is a short name for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with one row: where, what was found, what was expected."""

    code: str
    column: str
    found: str
    expected: str

    def message(self, file_name: str, row_number: int) -> str:
        """One sentence for people. It goes into events and logs, so it holds no number and no value of a
        customer's: of those only the shape; the result file echoes the cells themselves.
        """
        return (
            f"{file_name} row {row_number}, column {self.column}: found {self._shown()}; "
            f"expected {self.expected}"
        )

    def _shown(self) -> str:
        if self.code == "control_character":
            return self.found  # that one character, in ASCII
        is_private = self.column in _PRIVATE or self.column.startswith((FIELD_PREFIX, NOTE_PREFIX))
        return shape_of(self.found) if is_private or self.code == "surplus_cells" else shown(self.found)


@dataclass(frozen=True, slots=True)
class OrderRow:
    """A row that can become an order. Amounts in rupiah."""

    order_id: str
    product_code: str
    client_number: str
    amount_rupiah: int | None
    max_rupiah: int | None
    downline_id: str | None
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of the file: its cells as they were, and the order or the problem that they are."""

    row_number: int
    cells: tuple[str, ...]
    order_id: str | None
    outcome: OrderRow | RowProblem


class OrderFile:
    """An order file opened for one pass (``with``). Memory stays constant whatever its length.

    :param stream: the bytes, seekable (the encoding is found in a first pass); closed with the file.
    :raises OrderFileError: for a missing or wrong header; the stream is closed then, too.
    """

    def __init__(self, stream: BinaryIO, file_name: str) -> None:
        self.file_name = file_name
        with ExitStack() as opened:
            opened.callback(stream.close)
            self._text = io.TextIOWrapper(stream, encoding=_encoding_of(stream, file_name), newline="")
            opened.callback(self._text.close)
            first_line = self._first_line()
            self._text.seek(0)
            self.delimiter = _delimiter_of(first_line)
            self._reader = csv.reader(self._text, delimiter=self.delimiter, strict=True)
            self._row_number = 0
            self.header = self._read_header()
            self._columns = self._understand_header()
            self._opened = opened.pop_all()

    def __enter__(self) -> OrderFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def rows(self) -> Iterator[FileRow]:
        """Each row that is not blank, in order.

        :raises OrderFileError: where the file stops being CSV (an unclosed quote, a giant cell).
        """
        while (cells := self._next_record()) is not None:
            if any(cell.strip() for cell in cells):
                yield self._row(tuple(cells))

    def _first_line(self) -> str:
        try:
            return self._text.readline(MAXIMUM_HEADER_CHARACTERS)
        except UnicodeDecodeError as error:
            raise OrderFileError(
                "not_csv",
                f"{self.file_name} row 1: found bytes that are no {error.encoding} ({error.reason}); "
                "expected text - save the file as UTF-8",
            ) from None

    def _next_record(self) -> list[str] | None:
        try:
            cells = next(self._reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            raise OrderFileError(
                "not_csv",
                f"{self.file_name} row {self._row_number + 1} (line {self._reader.line_num}): {error}; "
                "expected CSV - a quote that is never closed is the usual cause",
            ) from error
        if cells is not None:
            self._row_number += 1
            # The csv module has a limit, too, but one that anybody in the process may change.
            longest = max(map(len, cells), default=0)
            if longest > LONGEST_CELL_CHARACTERS:
                raise OrderFileError(
                    "not_csv",
                    f"{self.file_name} row {self._row_number} (line {self._reader.line_num}): found a cell "
                    f"of {longest:,} characters; expected at most {LONGEST_CELL_CHARACTERS:,} - a quote that "
                    "is never closed is the usual cause",
                )
        return cells

    def _read_header(self) -> tuple[str, ...]:
        while (cells := self._next_record()) is not None:
            if any(cell.strip() for cell in cells):
                while cells and not cells[-1].strip():
                    cells.pop()
                return tuple(cells)
        raise OrderFileError("empty", f"{self.file_name}: found no header; expected {_expected_header()}")

    def _understand_header(self) -> tuple[str, ...]:
        if len(self.header) > MAXIMUM_COLUMNS:
            raise OrderFileError(
                "too_many_columns",
                f"{self.file_name} row {self._row_number}: found {len(self.header)} columns; expected at "
                f"most {MAXIMUM_COLUMNS}",
            )
        columns = tuple(self._column(place, title) for place, title in enumerate(self.header, 1))
        for name in columns:
            if not name.startswith(NOTE_PREFIX) and columns.count(name) > 1:
                raise OrderFileError(
                    "column_twice",
                    f"{self.file_name} row {self._row_number}: found column {shown(name)} more than once; "
                    "expected it once",
                )
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise OrderFileError(
                "missing_column",
                f"{self.file_name} row {self._row_number}: column {', '.join(missing)} is missing; found "
                f"{', '.join(shown(title) for title in self.header)}; expected {_expected_header()}",
            )
        return columns

    def _column(self, place: int, title: str) -> str:
        text = title.strip()
        if len(title) > MAXIMUM_CELL_CHARACTERS:
            raise self._bad_title(
                place, f"{len(title)} characters", f"at most {MAXIMUM_CELL_CHARACTERS} characters"
            )
        lowered = re.sub(r"[\s-]+", "_", text.lower())
        if lowered in _CANONICAL:
            return _CANONICAL[lowered]
        if control := first_control(text):
            raise self._bad_title(place, control, "a title without control characters")
        if lowered == INTAKE_ERROR:
            return INTAKE_ERROR
        if lowered.startswith(FIELD_PREFIX) and len(text) > len(FIELD_PREFIX):
            name = text[len(FIELD_PREFIX) :].strip()
            if problem := field_name_problem(name):
                raise self._bad_title(place, shape_of(name), problem)
            return FIELD_PREFIX + name
        if lowered.startswith(NOTE_PREFIX):
            return lowered
        near = difflib.get_close_matches(lowered, _CANONICAL, n=1)
        hint = f" (did you mean {_CANONICAL[near[0]]}?)" if near else ""
        raise OrderFileError(
            "unknown_column",
            f"{self.file_name} row {self._row_number}, column {place}: found {shown(text)}{hint}; expected "
            f"{_expected_header()}, or note:<name> for a column of your own",
        )

    def _bad_title(self, place: int, found: str, expected: str) -> OrderFileError:
        return OrderFileError(
            "bad_title",
            f"{self.file_name} row {self._row_number}, column {place}: found {found}; expected {expected}",
        )

    def _row(self, cells: tuple[str, ...]) -> FileRow:
        values = dict(zip(self._columns, (cell.strip(" \t") for cell in cells), strict=False))
        order_id = values.get("order_id") or None
        outcome = self._check(cells, values)
        if isinstance(outcome, RowProblem) and order_id and not _ORDER_ID.fullmatch(order_id):
            order_id = None
        return FileRow(self._row_number, cells, order_id, outcome)

    def _check(self, cells: tuple[str, ...], values: dict[str, str]) -> OrderRow | RowProblem:
        surplus = [cell for cell in cells[len(self._columns) :] if cell.strip()]
        if surplus:
            return RowProblem(
                "surplus_cells",
                f"{len(self._columns) + 1}",
                surplus[0],
                f"{len(self._columns)} columns as in the header (is a cell with a {self.delimiter!r} "
                "not quoted?)",
            )
        for name, value in values.items():
            if len(value) > MAXIMUM_CELL_CHARACTERS:
                return RowProblem("too_long", name, value, f"at most {MAXIMUM_CELL_CHARACTERS} characters")
            if control := CONTROL.search(value):
                return RowProblem(
                    "control_character", name, ascii(control.group()), "text without control characters"
                )
        if error := values.get(INTAKE_ERROR):
            return RowProblem("bad_field_name", "fields", error, FIELD_NAME_EXPECTED)
        return _order_row(values)


def field_name_problem(name: str) -> str | None:
    """What is expected of a field's name when ``name`` is none; None when it is one."""
    if not 0 < len(name) <= MAXIMUM_FIELD_NAME_CHARACTERS or name != name.strip() or first_control(name):
        return FIELD_NAME_EXPECTED
    return None


def _order_row(values: dict[str, str]) -> OrderRow | RowProblem:
    order_id = values["order_id"]
    if _SCIENTIFIC.fullmatch(order_id):
        return _scientific("order_id", order_id)
    if not _ORDER_ID.fullmatch(order_id) or len(order_id) > MAXIMUM_ORDER_ID_CHARACTERS:
        return RowProblem(
            "bad_order_id" if order_id else "missing_order_id",
            "order_id",
            order_id,
            f"1 to {MAXIMUM_ORDER_ID_CHARACTERS} letters, digits, spaces or . _ : / # - beginning with a "
            "letter or digit",
        )
    product_code = values.get("product_code", "")
    if not _PRODUCT_CODE.fullmatch(product_code):
        return RowProblem("bad_product_code", "product_code", product_code, "a product code as SAT lists it")
    number = values.get("client_number", "")
    problem = _client_number_problem(number)
    if problem is not None:
        return problem
    amount = _rupiah("amount_rupiah", values.get("amount_rupiah", ""))
    if isinstance(amount, RowProblem):
        return amount
    maximum = _rupiah("max_rupiah", values.get("max_rupiah", ""))
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


def _client_number_problem(number: str) -> RowProblem | None:
    if _SCIENTIFIC.fullmatch(number):
        return _scientific("client_number", number)
    if _DECIMAL.fullmatch(number):
        return RowProblem("decimal", "client_number", number, "digits only; format the column as text")
    if not _CLIENT_NUMBER.fullmatch(number):
        code = "bad_client_number" if number else "missing_client_number"
        return RowProblem(code, "client_number", number, "4 to 20 digits, leading zeros kept")
    return None


def _scientific(column: str, found: str) -> RowProblem:
    return RowProblem(
        "scientific_notation",
        column,
        found,
        "the digits themselves; a spreadsheet has rounded them away - format the column as text",
    )


def _rupiah(column: str, text: str) -> int | RowProblem | None:
    if not text:
        return None
    if _SCIENTIFIC.fullmatch(text):
        return _scientific(column, text)
    if _WHOLE.fullmatch(text):
        amount = int(text) if len(text) <= len(str(MAXIMUM_ORDER_RUPIAH)) else MAXIMUM_ORDER_RUPIAH + 1
        if 0 < amount <= MAXIMUM_ORDER_RUPIAH:
            return amount
        return RowProblem("amount_bounds", column, text, f"1 to {MAXIMUM_ORDER_RUPIAH} rupiah")
    if _SEPARATED.fullmatch(text):
        return RowProblem(
            "thousand_separator", column, text, "whole rupiah without separators, such as 10000"
        )
    if _DECIMAL.fullmatch(text):
        return RowProblem("decimal", column, text, "whole rupiah without decimals, such as 10000")
    return RowProblem("bad_amount", column, text, "whole rupiah, digits only, such as 10000")


def _expected_header() -> str:
    return f"{', '.join(REQUIRED)} and optionally amount_rupiah, max_rupiah, downline_id, field:<name>"


def _delimiter_of(first_line: str) -> str:
    """The separator that splits the first line into most cells; a comma when there is none.

    Within quotes a separator separates nothing.
    """
    bare = _QUOTED.sub("", first_line)
    counts = {mark: bare.count(mark) for mark in (",", ";", "\t")}
    return max(counts, key=lambda mark: counts[mark])


def _encoding_of(stream: BinaryIO, file_name: str) -> str:
    head = stream.read(4)
    stream.seek(0)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(b"PK\x03\x04"):
        raise OrderFileError(
            "not_csv", f"{file_name}: found a spreadsheet workbook; expected CSV (use 'save as … CSV')"
        )
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := stream.read(1 << 16):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    finally:
        stream.seek(0)
    return "utf-8-sig"
