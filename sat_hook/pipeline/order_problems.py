"""Problems of an order file and of its rows, with messages for people."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sat_hook.presentation.spreadsheet_cells import one_line, shape_of, shown

FIELD_PREFIX = "field:"
NOTE_PREFIX = "note:"
_PRIVATE = ("client_number", "downline_id")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """The problem of one row: where it is, what was found, what was expected.

    :param column: the column's name in this project; ``title`` is what the file calls it.
    :param is_told: ``found`` is our own sentence without any cell's content, and is shown as it is.
    """

    code: str
    column: str
    found: str
    expected: str
    title: str = ""
    is_told: bool = False

    def titled(self, title: str) -> RowProblem:
        """The problem, with the column's title in the file."""
        return replace(self, title=one_line(title))

    def message(self, file_name: str, row_number: int) -> str:
        """One sentence for people. It goes into events and logs, so it shows only the shape of a customer's
        number or value. The result file echoes the cells themselves.
        """
        return (
            f"{file_name} row {row_number}, column {self.title or self.column}: found {self.shown_found}; "
            f"expected {self.expected}"
        )

    @property
    def shown_found(self) -> str:
        """What was found, without a customer's number or value."""
        if self.is_told:
            return self.found
        is_private = self.column in _PRIVATE or self.column.startswith((FIELD_PREFIX, NOTE_PREFIX))
        return shape_of(self.found) if is_private or self.code == "surplus_cells" else shown(self.found)
