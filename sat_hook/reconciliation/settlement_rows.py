"""A settlement file as it was read: its rows as a frame, its totals, and notes about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import pandas as pd


class NoteKind(StrEnum):
    """Kinds of notes about a settlement file."""

    OTHER_SHEETS = "other sheets"
    FORMULAS_WITHOUT_VALUE = "formulas without a value"
    ERROR_CELLS = "error cells"
    HIDDEN_ROWS = "hidden rows"
    TOTALS = "totals"
    FOOTER = "footer"
    MOMENTS = "moments"


class SettlementNote(NamedTuple):
    """A note about a file as a whole; ``is_doubt`` when a person must check it."""

    kind: NoteKind
    text: str
    is_doubt: bool = False


class TotalRow(NamedTuple):
    """A row that adds others up, or closes the file; ``rupiah`` if it has an amount."""

    file_row: int
    rupiah: int | None


class RowsSum(NamedTuple):
    """Rows that are counted together."""

    rows: int
    rupiah: int


class Tally(NamedTuple):
    """The rows of a file that can be matched.

    :param sums: sales by status (``succeeded``, ``pending``, ``failed``), and ``refund``.
    :param charged_rupiah: what succeeded, less refunds.
    :param repeated: sales that have the request id of another one.
    """

    rows: int
    sums: Mapping[str, RowsSum]
    charged_rupiah: int
    repeated: int


@dataclass(frozen=True, slots=True)
class SettlementRows:
    """A file as a frame, one row for each of its rows about an order; totals and footers are separate.

    Columns: ``file_row`` (as a spreadsheet counts), ``request_id``, ``rupiah`` (int64; of a refund it is
    negative), ``kind`` (a :class:`RowKind`: sale, refund or unknown), ``status`` (succeeded, failed,
    pending), ``product_code``, ``client_mark``, ``client_alternative``, ``client_shown`` (of the client
    number, see ``settlement_cells.client_differs``; 0 and empty if the mapping has none), ``moment`` (UTC,
    NaT if none), ``trouble`` (why the row is set aside; empty when it is good).

    :param file_rupiah: the sum of all rows of the file, also when ``frame`` has those of a partition.
    :param samples: the cells of the first rows and of some that are set aside, by row and column of the
        mapping, as the file has them: for a person who looks at the file, never for a report.
    """

    frame: pd.DataFrame
    has_product: bool
    has_client: bool
    totals: tuple[TotalRow, ...] = ()
    notes: tuple[SettlementNote, ...] = ()
    file_rupiah: int = 0
    samples: Mapping[int, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def kept(self) -> pd.DataFrame:
        """The rows that can be matched."""
        return self.frame[self.frame["trouble"] == ""]

    @property
    def set_aside(self) -> pd.DataFrame:
        """The rows that cannot be matched, with their trouble."""
        return self.frame[self.frame["trouble"] != ""]

    def tally(self) -> Tally:
        """Count and add up the rows that can be matched."""
        kept = self.kept
        is_refund = kept["kind"] == "refund"
        sales = {
            status: _sum(kept[~is_refund & (kept["status"] == status)])
            for status in ("succeeded", "pending", "failed")
        }
        return Tally(
            rows=len(kept),
            sums={**sales, "refund": _sum(kept[is_refund])},
            charged_rupiah=int(kept.loc[kept["status"] == "succeeded", "rupiah"].sum()),
            repeated=int(kept.loc[~is_refund, "request_id"].duplicated(keep=False).sum()),
        )


def _sum(frame: pd.DataFrame) -> RowsSum:
    return RowsSum(len(frame), int(frame["rupiah"].sum()))
