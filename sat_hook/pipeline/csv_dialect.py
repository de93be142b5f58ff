"""Find the separator of a CSV file, and the row and column of a position in it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TextIO

from sat_hook.pipeline.errors import OrderFileError

DELIMITERS = (",", ";", "\t", "|")
MAXIMUM_HEADER_CHARACTERS = 64 * 1024

_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=(.?)"?[,;|\s]*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class Dialect:
    """The separator of a file, and the number of lines before its first row (a ``sep=`` line)."""

    delimiter: str
    lines_before: int


def dialect_of(text: TextIO, file_name: str) -> Dialect:
    """Read to the first line with a cell and find the separator; ``text`` is then back at its start.

    A line ``sep=;`` names it. Excel writes that line and hides it, so it is not a row of the file. Otherwise
    the separator is the one that splits the header into the most cells, or a comma when none does.

    :raises OrderFileError: for a ``sep=`` line with a separator that is not allowed.
    """
    first = line = text.readline(MAXIMUM_HEADER_CHARACTERS)
    named = _SEPARATOR_LINE.fullmatch(first)
    if named is not None:
        line = text.readline(MAXIMUM_HEADER_CHARACTERS)
    while line and not line.strip():
        line = text.readline(MAXIMUM_HEADER_CHARACTERS)
    text.seek(0)
    mark = named[1].strip(" \r\n") if named is not None else ""
    if mark and mark not in DELIMITERS:
        raise OrderFileError(
            "not_csv",
            f"{file_name}: found separator {mark!a} in the line sep=; expected a comma, a semicolon, a tab "
            "or |",
        )
    # A separator within quotes is part of the cell.
    bare = _QUOTED.sub("", line)
    return Dialect(mark or max(DELIMITERS, key=bare.count), 0 if named is None else 1)


def place_behind(text: str) -> str:
    """Row and column of the character that follows ``text``, as a spreadsheet counts them."""
    lines = io.StringIO(text, newline="")
    row = width = 0
    try:
        dialect = dialect_of(lines, "")
        for _ in range(dialect.lines_before):
            lines.readline()
        for cells in csv.reader(lines, delimiter=dialect.delimiter):
            row, width = row + 1, len(cells)
    except (OrderFileError, csv.Error):
        return f"line {text.count(chr(10)) + 1}"
    if not row or text.endswith(("\n", "\r")):
        return f"row {row + 1}, column 1"
    return f"row {row}, column {max(1, width)}"
