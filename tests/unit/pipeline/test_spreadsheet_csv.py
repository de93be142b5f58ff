"""CSV for spreadsheets: nothing in it runs, whatever it is split at, and it is read back as it was."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter, neutral, neutral_cells, plain

MARKS = ",;\t|"
pieces = st.text(alphabet="a0='+-@;,\t|\r\n \"\uff1d", max_size=12)


def written(cells: list[object], mark: str) -> str:
    """The cells as a row of a file."""
    out = io.StringIO(newline="")
    SpreadsheetWriter(out, mark).row(cells)
    return out.getvalue()


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        " =1+1",
        "a;=HYPERLINK(1)",
        "a,=1",
        "a\t=1",
        "a|=1",
        "a; @SUM(1)",
        'a;"=1"',
        "a\n=1",
        "a;-1",
        "sold out;=cmd|'/C calc'!A0",
        "a;\uff1d1",
    ],
)
def test_no_cell_runs_at_any_separator(cell: str, mark: str) -> None:
    """A spreadsheet of another region splits the file elsewhere: its cells are text all the same."""
    line = written(["A-1", cell, "x"], mark)
    for other in MARKS:
        for row in csv.reader(io.StringIO(line, newline=""), delimiter=other):
            assert not [piece for piece in row if piece.lstrip(' "')[:1] in tuple("=+-@\uff1d")]


@given(pieces)
def test_the_way_back_gives_what_was_written(text: str) -> None:
    """Text that already looks neutral, too."""
    assert plain(neutral(text)) == text


@given(cells=st.lists(pieces, min_size=1, max_size=4), mark=st.sampled_from(MARKS))
def test_a_file_is_read_back_as_it_was_written(cells: list[str], mark: str) -> None:
    """Through the file, with its own separator."""
    (row,) = csv.reader(io.StringIO(written(list(cells), mark), newline=""), delimiter=mark)
    assert [plain(cell) for cell in row] == cells


def test_numbers_stay_numbers() -> None:
    """A difference below nought is no formula."""
    assert written([-5, None, "-5", 7], ",") == "-5,,'-5,7\r\n"


@given(st.lists(pieces | st.from_regex(r"[a-z]{1,4}-[0-9]{1,3}", fullmatch=True), max_size=6))
def test_a_column_is_neutral_as_each_of_its_cells(cells: list[str]) -> None:
    """At once or one by one: the same texts."""
    assert neutral_cells(cells) == [neutral(cell) for cell in cells]
