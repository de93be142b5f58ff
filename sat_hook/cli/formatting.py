"""Formats tables, amounts, times, states and customers' numbers for output.

A table never shortens a value: if it is wider than the terminal, each row is stacked instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from sat_hook.domain import rupiah as amounts
from sat_hook.domain.business_day import WIB

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

STYLES: dict[str, str] = {
    "received": "dim",
    "rejected": "yellow",
    "quoted": "cyan",
    "held": "yellow",
    "cancelled": "yellow",
    "submitting": "blue",
    "pending": "blue",
    "unknown": "magenta",
    "escalated": "magenta",
    "succeeded": "green",
    "failed": "red",
    "reversed": "red",
}
"""A colour for every state of an order, by name. Names, because ``--help`` must not load the domain."""

MAXIMUM_LISTED = 1000
"""Lines shown by a command that lists things."""


def rupiah(amount: int | None) -> str:
    """``Rp 52,000``; a dash when there is no amount."""
    return "-" if amount is None else amounts.rupiah(amount)


def moment(at: datetime) -> str:
    """A time in Jakarta (WIB), to the millisecond."""
    return at.astimezone(WIB).isoformat(" ", "milliseconds").removesuffix("+07:00")


def counted(number: int, noun: str) -> str:
    """``1 order``, ``1,234 orders``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def plain(value: object) -> str:
    """A value as text that is safe for a terminal: no control characters, no line breaks."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "".join(mark if mark.isprintable() else " " for mark in text)


class Columns:
    """The columns of a table, declared once at the top of the module that fills it.

    :param titles: their names; a name that begins with ``>`` is a column of numbers.
    """

    def __init__(self, *titles: str) -> None:
        self.titles = tuple(title.removeprefix(">") for title in titles)
        self.are_figures = tuple(title.startswith(">") for title in titles)
        DECLARED.append(self)

    def table(self) -> Rows:
        """Return a table without rows."""
        return Rows(self)


DECLARED: list[Columns] = []
"""The columns of every table of the commands whose modules are imported."""


class Rows:
    """The rows of a table: padded columns if they fit the terminal, otherwise each row stacked."""

    GAP = 2

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._rows: list[tuple[Text, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, *cells: str | Text, style: str = "") -> None:
        """Add a row. A ``str`` is shown unchanged, even if it looks like markup."""
        from rich.text import Text

        row = tuple(cell.copy() if isinstance(cell, Text) else Text(plain(cell)) for cell in cells)
        for cell in row if style else ():
            cell.style = style
        if len(row) != len(self._columns.titles):
            raise ValueError(f"found {len(row)} cells; expected {len(self._columns.titles)}")
        self._rows.append(row)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        from rich.text import Text

        titles = tuple(Text(title, "bold") for title in self._columns.titles)
        lines = [titles, *self._rows]
        widths = [max(cell.cell_len for cell in column) for column in zip(*lines, strict=True)]
        if sum(widths) + self.GAP * (len(widths) - 1) <= options.max_width:
            yield from (self._line(line, widths) for line in lines)
            return
        for row in self._rows:
            yield from self._stacked(row, options.max_width)

    def _line(self, cells: tuple[Text, ...], widths: list[int]) -> Text:
        padded = []
        for cell, width, is_figure in zip(cells, widths, self._columns.are_figures, strict=True):
            blank = " " * (width - cell.cell_len)
            padded.append(_unbroken(blank, cell) if is_figure else _unbroken(cell, blank))
        line = _unbroken(" " * self.GAP).join(padded)
        line.rstrip()
        return line

    def _stacked(self, row: tuple[Text, ...], width: int) -> Iterator[Text]:
        """Pairs of title and value, as many as fit on a line. A longer value has its own line."""
        line, indent = _unbroken(), ""
        for title, cell in zip(self._columns.titles, row, strict=True):
            if not cell.plain:
                continue
            pair = _unbroken((f"{title}: ", "dim"), cell)
            if line.plain.strip() and line.cell_len + self.GAP + 1 + pair.cell_len > width:
                yield line
                line, indent = _unbroken(), "    "
            line = _unbroken(line, "   " if line.plain.strip() else indent, pair)
        yield line


def facts(pairs: Iterable[tuple[str, str | Text]]) -> Iterator[Text]:
    """Names and values, one pair per line of any length."""
    from rich.text import Text

    shown = list(pairs)
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        text = value if isinstance(value, Text) else Text(plain(value))
        yield _unbroken((f"{name:<{width}}  ", "dim"), text)


def _unbroken(*parts: str | Text | tuple[str, str]) -> Text:
    """Text that no console breaks or cuts. The terminal itself wraps lines that are too wide."""
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=True, overflow="ignore")
