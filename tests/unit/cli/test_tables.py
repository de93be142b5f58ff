"""Tables: whatever the terminal's width, no value is shortened."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

import sat_hook.cli
from sat_hook.cli.formatting import DECLARED, Columns, Rows, facts
from sat_hook.cli.run_progress import Seen, bars

WIDTHS = (60, 80, 120)
MODULES = [module.name for module in pkgutil.iter_modules(sat_hook.cli.__path__)]
LONG = "pembayaran token listrik untuk pelanggan di gudang utara, ditagih dua kali dan diperiksa lagi"
VALUES = (
    "BEC5NINSY6522WZKMWOMKRA4J4",
    "SXX5UELJOK3Q47RMZ6BQEVL6BWFDNILW",
    "Rp 10,266,350,000",
    "191",
    "KABCDEFGHIJKLMNO",
    "2026-11-30 00:30:00.000",
    "[red]gaji[/red] 注文 november.csv",
    LONG,
)


def declared() -> list[Columns]:
    """The columns of every table in every module of the command."""
    for name in MODULES:
        importlib.import_module(f"sat_hook.cli.{name}")
    return list(DECLARED)


def rows_of(columns: Columns) -> tuple[Rows, list[str]]:
    """A table with as many rows as there are values, so that each value stands once in each column."""
    table, shown = columns.table(), []
    for shift in range(len(VALUES)):
        cells = [VALUES[(shift + place) % len(VALUES)] for place in range(len(columns.titles))]
        table.add(*cells)
        shown += cells
    return table, shown


@contextmanager
def console(width: int, *, is_terminal: bool = True) -> Iterator[Console]:
    """A console like that of the command, which remembers."""
    with Path("/dev/null").open("w") as nowhere:
        yield Console(
            force_terminal=is_terminal,
            width=width,
            soft_wrap=True,
            highlight=False,
            record=True,
            file=nowhere,
        )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("columns", declared(), ids=lambda columns: ",".join(columns.titles))
def test_every_table_shows_every_value_whole(columns: Columns, width: int) -> None:
    """Amounts, ids, names and sentences, as often as they are in the table."""
    table, shown = rows_of(columns)
    with console(width) as out:
        out.print(table)
        text = out.export_text()
    for value in VALUES:
        assert text.count(value) >= shown.count(value), value
    assert "…" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_that_fits_is_columns_and_one_that_does_not_is_stacked(width: int) -> None:
    """A stacked row breaks between its values only, and names each of them."""
    table = Columns("batch", "file", "account", ">orders", ">quoted").table()
    DECLARED.pop()
    table.add("BEC5NINSY6522WZKMWOMKRA4J4", "november-gaji-karyawan.csv", "demo", "191", "Rp 10,266,350")
    with console(width) as out:
        out.print(table)
        lines = out.export_text().splitlines()
    if width == 120:
        assert lines[0].split() == ["batch", "file", "account", "orders", "quoted"]
        assert lines[1].endswith("191  Rp 10,266,350")
    else:
        assert lines[0].startswith("batch: BEC5NINSY6522WZKMWOMKRA4J4")
        assert "quoted: Rp 10,266,350" in lines[-1]
    assert all(len(line) <= width for line in lines)


def test_nothing_of_a_value_is_taken_for_markup_or_sent_to_the_terminal() -> None:
    """A file's name may hold anything; a control character becomes a blank."""
    table = Columns("file", "state").table()
    DECLARED.pop()
    table.add("[bold]x[/bold]\x1b[2J.csv", Text("paid", "green"))
    with console(80) as out:
        out.print(table)
        text = out.export_text()
    assert "[bold]x[/bold] [2J.csv" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_facts_are_whole(width: int) -> None:
    """One line for each, however long it is."""
    pairs = [(f"fact {number}", value) for number, value in enumerate(VALUES)]
    with console(width) as out:
        for line in facts(pairs):
            out.print(line)
        lines = out.export_text().splitlines()
    assert lines == [f"{name}  {value}" for name, value in pairs]


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_cut_no_amount(width: int) -> None:
    """Beside a bar there is little room: the words stand above the bars."""
    words = (
        "1,190 of 1,191, 300 a minute, the last about 12:30 WIB, paid Rp 10,266,350,000 of Rp 10,266,400,000"
    )
    with console(width) as out:
        with bars(out, "batch") as display:
            display.show(Seen("quoted", (words,), {"succeeded": 1_234_567}))
        text = out.export_text()
    assert " ".join(text.split()).count(words) >= 1
    assert "1,234,567" in text
    assert "…" not in text


def test_tables_are_made_in_one_place() -> None:
    """A table that is made otherwise would not be looked at here."""
    for name in MODULES:
        module = sys.modules.get(f"sat_hook.cli.{name}") or importlib.import_module(f"sat_hook.cli.{name}")
        assert module.__file__
        tree = ast.parse(Path(module.__file__).read_text("utf-8"))
        at_the_top = [statement.value for statement in tree.body if isinstance(statement, ast.Assign)]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("rich.table", "rich.columns"), name
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Columns":
                assert node in at_the_top, f"{name}: columns are declared at the top of a module"
