"""A spreadsheet program for exactly the formulas of the report: it computes what a finance person sees."""

from __future__ import annotations

import io
import re
from typing import Any

import openpyxl
from openpyxl.utils import range_boundaries
from openpyxl.worksheet.worksheet import Worksheet

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Z]+)(?=\()"
    r"|(?P<cells>(?:(?:'[^']+'|[A-Za-z_]+)!)?\$?[A-Z]{1,3}\$?[0-9]+(?::\$?[A-Z]{1,3}\$?[0-9]+)?)"
    r"|(?P<number>[0-9]+)|\"(?P<text>[^\"]*)\"|(?P<mark>[-+(),]))"
)
Values = list[Any]


class Spreadsheet:
    """A workbook with its formulas, and beside it the values that were stored with them."""

    def __init__(self, content: bytes) -> None:
        self.book = openpyxl.load_workbook(io.BytesIO(content))
        self.stored = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
        self._known: dict[tuple[str, str], Any] = {}

    def sheet(self, name: str) -> Worksheet:
        """A sheet, with its formulas."""
        found = self.book[name]
        assert isinstance(found, Worksheet)
        return found

    def formulas(self) -> list[tuple[str, str]]:
        """Sheet and cell of every formula."""
        return [
            (sheet.title, cell.coordinate)
            for sheet in self.book.worksheets
            for row in sheet.iter_rows()
            for cell in row
            if cell.data_type == "f"
        ]

    def value(self, sheet: str, cell: str) -> Any:
        """What a cell comes to: computed when it is a formula."""
        at = (sheet, cell)
        if at not in self._known:
            found = self.sheet(sheet)[cell]
            self._known[at] = (
                _Reading(self, sheet, found.value).result() if found.data_type == "f" else found.value
            )
        return self._known[at]

    def row_of(self, sheet: str, *keys: str) -> list[Any]:
        """The computed cells of the first row that begins with ``keys``."""
        for row in self.sheet(sheet).iter_rows():
            if tuple(cell.value for cell in row[: len(keys)]) == keys:
                return [self.value(sheet, cell.coordinate) for cell in row]
        raise AssertionError(f"no row {keys} in {sheet}")

    def values(self, sheet: str, cells: str) -> Values:
        """The computed cells of a stretch, row by row."""
        if "!" in cells:
            sheet, cells = cells.rsplit("!", 1)
            sheet = sheet.strip("'")
        left, top, right, bottom = range_boundaries(cells.replace("$", ""))
        return [
            self.value(sheet, self.sheet(sheet).cell(row, column).coordinate)
            for row in range(top, bottom + 1)
            for column in range(left, right + 1)
        ]


class _Reading:
    """One formula, read from left to right."""

    def __init__(self, spreadsheet: Spreadsheet, sheet: str, formula: str) -> None:
        self._spreadsheet, self._sheet = spreadsheet, sheet
        assert formula.startswith("=")
        self._tokens: list[tuple[str, str]] = []
        place = 1
        while place < len(formula):
            token = _TOKEN.match(formula, place)
            assert token, f"{formula[place:]!r} of {formula!r} is not a formula that this program knows"
            kind = token.lastgroup
            assert kind
            self._tokens.append((kind, token.group(kind)))
            place = token.end()

    def result(self) -> Any:
        found = self._sum()
        assert not self._tokens, self._tokens
        return found[0] if isinstance(found, list) else found

    def _sum(self) -> Any:
        total = self._term()
        while self._tokens and self._tokens[0] in (("mark", "+"), ("mark", "-")):
            sign = 1 if self._tokens.pop(0)[1] == "+" else -1
            total = _one(total) + sign * _one(self._term())
        return total

    def _term(self) -> Any:
        kind, text = self._tokens.pop(0)
        if (kind, text) == ("mark", "-"):
            return -_one(self._term())
        if kind == "number":
            return int(text)
        if kind == "text":
            return text
        if kind == "cells":
            return self._spreadsheet.values(self._sheet, text)
        assert kind == "name", text
        self._expect("(")
        given = [self._sum()]
        while self._tokens[0] == ("mark", ","):
            self._tokens.pop(0)
            given.append(self._sum())
        self._expect(")")
        return _FUNCTIONS[text](*given)

    def _expect(self, mark: str) -> None:
        assert self._tokens.pop(0) == ("mark", mark)


def _one(value: Any) -> Any:
    if isinstance(value, list):
        assert len(value) == 1
        return value[0] or 0
    return value


def _numbers(cells: Values) -> Values:
    return [cell for cell in cells if isinstance(cell, int | float)]


def _count_all(cells: Values) -> int:
    return sum(1 for cell in cells if cell is not None)


def _chosen(*criteria: Any) -> list[bool]:
    """Which rows fulfil every criterion. Spreadsheets do not tell capitals from small letters."""
    chosen = [True] * len(criteria[0])
    for cells, wanted in zip(criteria[::2], criteria[1::2], strict=True):
        assert len(cells) == len(chosen)
        word = wanted[0] if isinstance(wanted, list) else wanted
        assert re.fullmatch(r"[A-Za-z0-9][^*?~]*", word), f"{word!r} would be read as more than a text"
        assert re.search(r"[A-Za-z]", word), f"{word!r} would be read as a number"
        chosen = [
            had and isinstance(cell, str) and cell.casefold() == word.casefold()
            for had, cell in zip(chosen, cells, strict=True)
        ]
    return chosen


def _sum_ifs(summed: Values, *criteria: Any) -> int:
    pairs = zip(summed, _chosen(*criteria), strict=True)
    return sum(cell for cell, is_chosen in pairs if is_chosen and cell is not None)


def _subtotal(kind: int, cells: Values) -> int:
    return {103: _count_all, 109: lambda given: sum(_numbers(given))}[kind](cells)


_FUNCTIONS: dict[str, Any] = {
    "SUM": lambda *cells: sum(sum(_numbers(stretch)) for stretch in cells),
    "COUNTA": _count_all,
    "COUNTIFS": lambda *criteria: sum(_chosen(*criteria)),
    "SUMIFS": _sum_ifs,
    "SUBTOTAL": _subtotal,
}
