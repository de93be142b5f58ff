"""The sheets of the breaks: one line per break, and their ageing as formulas over those lines."""

from __future__ import annotations

from typing import Any

from sat_hook.domain.business_day import local_time
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Cell, Column, Formats, Formula, Kind, Sheet, letter, reference
from sat_hook.reconciliation.breaks_file import BREAK_COLUMNS, break_cells
from sat_hook.reconciliation.figures import BANDS, ageing, carried_on
from sat_hook.reconciliation.model import BreakCategory, BreakState, DayClose

BREAKS, AGEING = _("breaks"), _("ageing")
IS_CARRIED_ON = _("yes")
_HEADER_ROWS = 2
_PAGES = 3
"""Side by side on paper: all columns on one page would be too small to read."""


class BreakSheet:
    """The breaks' place in the workbook; formulas name their cells."""

    def __init__(self, close: DayClose, wording: Wording) -> None:
        self._close = close
        self._say = wording.text

    def cells(self, name: str) -> str:
        """The cells of a column, for example ``breaks!$B$3:$B$12``."""
        last = _HEADER_ROWS + len(self._close.breaks) - 1
        return reference(self._say(BREAKS), list(BREAK_COLUMNS).index(name), _HEADER_ROWS, last)

    def in_state(self, state: str) -> Formula:
        found = sum(1 for item in self._close.breaks if item.state.value == state)
        return Formula(f'=COUNTIFS({self.cells("state")},"{self._say(state)}")', found)

    def carried_on_rupiah(self) -> Formula:
        """The size of the breaks that stay in the books."""
        size = sum(abs(item.amount_rupiah) for item in carried_on(self._close.breaks))
        return Formula(f"=SUMIFS({self.cells('size_rupiah')},{self.which_are_carried_on()})", size)

    def which_are_carried_on(self) -> str:
        """The condition of a formula: the breaks that stay in the books."""
        return f'{self.cells("carried_on")},"{self._say(IS_CARRIED_ON)}"'

    def write(self, book: Any, formats: Formats) -> None:
        """Write the sheet. The number and sum of the filtered rows are above the titles."""
        columns = [column for column, _ in BREAK_COLUMNS.values()]
        sheet = Sheet(book, formats, BREAKS, [column.width for column in columns])
        breaks = self._close.breaks
        kinds = [column.kind for column in columns]
        totals: dict[str, Cell] = {
            "break_id": sheet.say(_("Total of the shown")),
            "state": Formula(f"=SUBTOTAL(103,{self.cells('break_id')})", len(breaks)),
            "amount_rupiah": Formula(
                f"=SUBTOTAL(109,{self.cells('amount_rupiah')})", sum(item.amount_rupiah for item in breaks)
            ),
            "size_rupiah": Formula(
                f"=SUBTOTAL(109,{self.cells('size_rupiah')})", sum(abs(item.amount_rupiah) for item in breaks)
            ),
        }
        sheet.line([totals.get(name) for name in BREAK_COLUMNS], kinds, is_total=True)
        sheet.header(columns)
        sheet.freeze(_HEADER_ROWS, 2)
        sheet.print_on(_PAGES, 2)
        for item in breaks:
            cells: dict[str, Cell] = dict(zip(BREAK_COLUMNS, break_cells(item, self._close), strict=True))
            cells["what"] = sheet.say(item.what)
            cells["day"], cells["first_seen"] = item.day, item.first_seen
            if item.decided_at is not None:
                cells["decided_at_wib"] = local_time(item.decided_at)
            sheet.line(list(cells.values()), kinds)
        last = _HEADER_ROWS + max(len(breaks) - 1, 0)
        sheet.inside.autofilter(_HEADER_ROWS - 1, 0, last, len(columns) - 1)
        state = list(BREAK_COLUMNS).index("state")
        is_open = f'"{sheet.say(BreakState.OPEN.value)}"'
        look = {"type": "cell", "criteria": "==", "value": is_open, "format": formats.attention}
        sheet.inside.conditional_format(_HEADER_ROWS, state, last, state, look)


class AgeingSheet:
    """The age of the breaks that stay in the books: their number, size and net amount."""

    def __init__(self, close: DayClose, breaks: BreakSheet) -> None:
        self._aged = ageing(close)
        self._breaks = breaks

    def write(self, book: Any, formats: Formats) -> None:
        """Write the sheet: three tables below one row of age bands."""
        columns = [
            Column(_("Category"), 26, Kind.TEXT),
            *(Column(band, 20, Kind.RUPIAH) for band in (*BANDS, _("Total"))),
        ]
        sheet = Sheet(book, formats, AGEING, [column.width for column in columns])
        sheet.title(
            _("Ageing of the breaks that are carried on (open or explained), since they were first seen")
        )
        sheet.header(columns)
        sheet.freeze(2, 1)
        self._write_table(sheet, _("Number of breaks"), None, [item.breaks for item in self._aged])
        sizes = [item.gross_rupiah for item in self._aged]
        self._write_table(sheet, _("Size (Rp), surpluses and shortages added up"), "size_rupiah", sizes)
        nets = [item.net_rupiah for item in self._aged]
        self._write_table(sheet, _("Net amount (Rp), theirs less ours"), "amount_rupiah", nets)

    def _write_table(self, sheet: Sheet, title: str, summed: str | None, values: list[int]) -> None:
        sheet.section(title)
        first = sheet.row
        kinds = [Kind.WORD, *[Kind.RUPIAH] * (len(BANDS) + 1)]
        value_of: dict[tuple[BreakCategory, str], int] = {
            (item.category, item.band): value for item, value in zip(self._aged, values, strict=True)
        }
        for category in BreakCategory:
            line = [value_of[category, band] for band in BANDS]
            row = sheet.row + 1
            cells: list[Cell] = [category.value]
            cells += [
                Formula(self._counted(summed, row, letter(place)), value)
                for place, value in enumerate(line, start=1)
            ]
            cells.append(Formula(f"=SUM($B{row}:${letter(len(BANDS))}{row})", sum(line)))
            sheet.line(cells, kinds)
        totals: list[Cell] = [_("Total")]
        for place, band in enumerate((*BANDS, None), start=1):
            total = sum(value for (_, at), value in value_of.items() if band in (at, None))
            column = letter(place)
            totals.append(Formula(f"=SUM({column}${first + 1}:{column}${sheet.row})", total))
        sheet.line(totals, kinds, is_total=True)

    def _counted(self, summed: str | None, row: int, column: str) -> str:
        of_cell = (
            f"{self._breaks.cells('category')},$A{row},"
            f"{self._breaks.cells('age_band')},{column}$2,{self._breaks.which_are_carried_on()}"
        )
        return f"=SUMIFS({self._breaks.cells(summed)},{of_cell})" if summed else f"=COUNTIFS({of_cell})"
