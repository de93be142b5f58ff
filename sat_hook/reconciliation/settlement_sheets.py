"""Chooses the sheet of a settlement workbook that is read, and notes what is not read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from sat_hook.domain.settlement_mapping import MAXIMUM_HEADER_ROW, SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement_csv import Chunk
from sat_hook.reconciliation.settlement_header import has_columns
from sat_hook.reconciliation.settlement_rows import NoteKind, SettlementNote
from sat_hook.spreadsheets.errors import WorkbookError, WorkbookTornError
from sat_hook.spreadsheets.workbook import Sheet, Workbook, open_workbook
from sat_hook.spreadsheets.workbook_xml import MAXIMUM_DIGITS, RawCell, SheetFacts

MAXIMUM_SHOWN_SHEETS = 10
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")


class SheetReading:
    """One sheet of a workbook, as a mapping chooses it.

    :param name: of the file.
    :raises SettlementRefusedError: the workbook cannot be opened, or has no such sheet.
    """

    def __init__(self, content: bytes, name: str, mapping: SettlementMapping) -> None:
        self._name, self._mapping = name, mapping
        try:
            self._book = open_workbook(content)
        except WorkbookError as error:
            raise _refused(name, error) from None
        self._facts = SheetFacts()
        chosen = [sheet for sheet in self._book.sheets if mapping.sheet in (None, sheet.name)]
        if not chosen:
            raise SettlementRefusedError(
                f"{name}: found the sheets {_named(self._book.sheets)}; expected {mapping.sheet!r} among them"
            )
        self._sheet = chosen[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sheet.name for sheet in self._book.sheets)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows of the sheet."""
        return self._chunks(self._sheet, self._facts)

    def notes(self) -> tuple[SettlementNote, ...]:
        """Return the notes, once the rows were read."""
        return tuple(self._notes())

    def hint(self) -> str:
        """Return which other sheet has the columns of the mapping."""
        alike = [sheet for sheet in self._others() if self._is_alike(sheet)]
        return f'; the sheet {alike[0].name!r} has them: "sheet": "{alike[0].name}"' if alike else ""

    def _notes(self) -> Iterator[SettlementNote]:
        used = [sheet for sheet in self._others() if self._first_rows(sheet, 1)]
        alike = [sheet for sheet in used if self._is_alike(sheet)]
        if alike and self._mapping.sheet is None:
            text = (
                f"{_named(alike)} has the same columns as {self._sheet.name!r}, the first sheet, which alone "
                'is read; say which one counts: "sheet"'
            )
            yield SettlementNote(NoteKind.OTHER_SHEETS, text, is_doubt=True)
        elif used:
            text = f"only the sheet {self._sheet.name!r} is read; {_named(used)} holds data, too"
            yield SettlementNote(NoteKind.OTHER_SHEETS, text)
        facts = self._facts
        if facts.formulas_without_value:
            text = (
                f"cells with a formula whose value was never stored: {facts.formulas_without_value:,}; open "
                "the workbook in a spreadsheet, save it, and take that one"
            )
            yield SettlementNote(NoteKind.FORMULAS_WITHOUT_VALUE, text, is_doubt=True)
        if facts.error_cells:
            text = f"cells with an error like #N/A, which count as empty: {facts.error_cells:,}"
            yield SettlementNote(NoteKind.ERROR_CELLS, text)
        if facts.hidden_rows:
            text = f"hidden rows, which are read like the others: {facts.hidden_rows:,}"
            yield SettlementNote(NoteKind.HIDDEN_ROWS, text)

    def _chunks(self, sheet: Sheet, facts: SheetFacts) -> Iterator[Chunk]:
        try:
            for rows in self._book.chunks(sheet, self._value_of, facts):
                yield Chunk([number for number, _ in rows], [row for _, row in rows], {})
        except WorkbookError as error:
            raise _refused(self._name, error) from None

    def _first_rows(self, sheet: Sheet, count: int) -> list[list[str]]:
        try:
            return self._book.first_rows(sheet, count, self._value_of)
        except WorkbookError as error:
            raise _refused(self._name, error) from None

    def _value_of(self, cell: RawCell, facts: SheetFacts) -> str:
        match cell.kind:
            case "s":
                return self._book.shared_text(cell)
            case "str" | "inlineStr" | "d":
                return cell.text
            case "b":
                return {"1": "True", "0": "False"}.get(cell.text, cell.text)
            case "e":
                facts.error_cells += 1
                return ""
            case _:
                return _number(self._book, cell)

    def _others(self) -> list[Sheet]:
        return [sheet for sheet in self._book.sheets if sheet != self._sheet]

    def _is_alike(self, sheet: Sheet) -> bool:
        rows = self._first_rows(sheet, MAXIMUM_HEADER_ROW)
        return any(has_columns(row, self._mapping) for row in rows)


def _named(sheets: tuple[Sheet, ...] | list[Sheet]) -> str:
    names = ", ".join(repr(sheet.name) for sheet in sheets[:MAXIMUM_SHOWN_SHEETS])
    return (
        f"{names} and {len(sheets) - MAXIMUM_SHOWN_SHEETS} more"
        if len(sheets) > MAXIMUM_SHOWN_SHEETS
        else names
    )


def _number(book: Workbook, cell: RawCell) -> str:
    """Return a number in the form that amounts are read in: a whole number as digits. Any other number has an
    exponent, so that no mark of a mapping makes an amount of it."""
    text = cell.text
    if _NUMBER.fullmatch(text) is None:
        return text
    try:
        number = Decimal(text)
        if abs(number.adjusted()) > MAXIMUM_DIGITS:
            return text
        if book.is_date(cell):
            return book.date_text(number) or text
        return str(int(number)) if number == number.to_integral_value() else f"{number:E}"
    except (InvalidOperation, ValueError, OverflowError):
        return text


def _refused(name: str, error: WorkbookError) -> SettlementRefusedError:
    if isinstance(error, WorkbookTornError):
        return SettlementRefusedError(
            f"{name}: found a workbook that is cut or damaged; expected a CSV or XLSX file: get it again"
        )
    return SettlementRefusedError(
        f"{name}, {error}" if str(error).startswith("sheet ") else f"{name}: {error}"
    )
