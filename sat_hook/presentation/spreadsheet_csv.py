"""Writes CSV that is safe to open in a spreadsheet: no text runs as a formula, whatever separator is used.

A spreadsheet splits a ``.csv`` at the separator of its locale, not at the file's. So formulas are neutralised
at the start of a cell and after every character at which the cell may be split. :func:`plain` reverses this:
for every text, ``plain(neutral(text)) == text``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

_FORMULA = r"'*[=+\-@\uff1d\uff0b\uff0d\uff20]"
# A spreadsheet may skip a tab or a line break at the start of a cell and run what follows.
_BEGIN = rf"""(?='*(?:[\t\r\n]|[\s"]*{_FORMULA}))"""
_EARLIER_BEGIN = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_MARKS = ",;\t|\r\n"
_MARK = rf"""([{_MARKS}][\s"]*)"""
_AT_THE_BEGIN, _NEUTRAL_BEGIN = re.compile(_BEGIN), re.compile("'" + _BEGIN)
_BEHIND_A_MARK, _NEUTRAL_MARK = (re.compile(f"{_MARK}{quote}(?={_FORMULA})") for quote in ("", "'"))


class TextTarget(Protocol):
    """The target of CSV text."""

    def write(self, text: str, /) -> object:
        """Write ``text``."""


class SpreadsheetWriter:
    """Writes rows of CSV: text as text, numbers as numbers, None as an empty cell."""

    def __init__(
        self, out: TextTarget, delimiter: str = ",", as_text: Callable[[str], str] | None = None
    ) -> None:
        self._writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
        self._as_text = as_text or neutral

    def row(self, cells: Iterable[object]) -> None:
        self._writer.writerow([self._as_text(cell) if isinstance(cell, str) else cell for cell in cells])


def neutral(cell: str) -> str:
    """The cell as text for a spreadsheet: a formula gets an apostrophe in front."""
    if cell.isalnum():
        return cell
    begun = f"'{cell}" if _AT_THE_BEGIN.match(cell) else cell
    return _BEHIND_A_MARK.sub(r"\1'", begun)


def neutral_cells(cells: Sequence[str]) -> list[str]:
    """All of the cells, each as :func:`neutral` gives it; fast for a long column."""
    whole = "\0".join(cells)
    if any(mark in whole for mark in _MARKS):
        return [neutral(cell) for cell in cells]
    # Without a mark in it, only the start of a cell can become a formula.
    return [cell if cell[:1].isalnum() else neutral(cell) for cell in cells]


def neutral_at_the_begin(cell: str) -> str:
    """The form of earlier releases, which neutralised only the start of the cell."""
    return f"'{cell}" if _EARLIER_BEGIN.match(cell) else cell


def plain(cell: str) -> str:
    """The text from which :func:`neutral` made ``cell``."""
    if "'" not in cell:
        return cell
    begun = _NEUTRAL_MARK.sub(r"\1", cell)
    return begun[1:] if _NEUTRAL_BEGIN.match(begun) else begun
