"""A closed day as people read it: its result, with its orders counted in groups instead of row by row.

It is stored when the day is closed, so a page of a million orders reads none of them. The rows of a group are
together in the CSV of the orders: a figure opens its rows without a search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay
from sat_hook.reconciliation.model import (
    Adjustment,
    Break,
    ControlTotal,
    MatchTotals,
    SaldoEquation,
    SettlementFile,
    TopUp,
)

if TYPE_CHECKING:
    import pandas as pd

    from sat_hook.reconciliation.model import DayClose

TOTALLED = (
    "quote_rupiah",
    "charged_rupiah",
    "admin_fee_rupiah",
    "partner_fee_rupiah",
    "debit_rupiah",
    "refund_rupiah",
    "in_transit_opening_rupiah",
    "in_transit_closing_rupiah",
)
"""Columns of ``DayClose.orders`` that are added up."""
_KEYS = ("product_code", "state", "evidence", "settlement")
_TERMS = ("debit_rupiah", "refund_rupiah", "in_transit_opening_rupiah", "in_transit_closing_rupiah")
_ROW_BYTES = 1_000_000
"""A row of an order is shorter; an order id has a limit."""


class OrderGroup(NamedTuple):
    """Orders of a day that are alike, with their totals.

    :param offset: where their rows begin in the CSV of the orders, in bytes; ``size`` is their length.
    """

    product_code: str
    state: str
    evidence: str
    settlement: str
    has_breaks: bool
    orders: int
    quote_rupiah: int
    charged_rupiah: int
    admin_fee_rupiah: int
    partner_fee_rupiah: int
    debit_rupiah: int
    refund_rupiah: int
    in_transit_opening_rupiah: int
    in_transit_closing_rupiah: int
    offset: int = 0
    size: int = 0

    def total(self, name: str) -> int:
        """One of the columns of :data:`TOTALLED`, or ``orders``."""
        return int(getattr(self, name))


@dataclass(frozen=True, slots=True)
class DayFigures:
    """A day, closed at a log position. The members are those of ``DayClose``; ``groups`` are its orders."""

    account: str
    business_day: BusinessDay
    position: int
    groups: tuple[OrderGroup, ...]
    matches: tuple[MatchTotals, ...]
    saldo: SaldoEquation | None
    breaks: tuple[Break, ...]
    controls: tuple[ControlTotal, ...]
    settlement_files: tuple[SettlementFile, ...]
    top_ups: tuple[TopUp, ...]
    adjustments: tuple[Adjustment, ...]

    @property
    def day(self) -> date:
        """The WIB day."""
        return self.business_day.day

    @property
    def order_count(self) -> int:
        return sum(group.orders for group in self.groups)

    @property
    def open_breaks(self) -> tuple[Break, ...]:
        """The breaks that are not explained, resolved or written off."""
        return tuple(item for item in self.breaks if item.state is BreakState.OPEN)


Places = NDArray[np.integer[Any]]
GroupKey = tuple[Any, ...]
"""Product, state, evidence, settlement, whether there are breaks, and which terms of the saldo are not 0."""
_STORED = TypeAdapter(DayFigures)


def figures_of(close: DayClose, groups: Sequence[OrderGroup]) -> DayFigures:
    """Return the figures of a close with its grouped orders."""
    return DayFigures(
        account=close.account,
        business_day=close.business_day,
        position=close.position,
        groups=tuple(groups),
        matches=close.matches,
        saldo=close.saldo,
        breaks=close.breaks,
        controls=close.controls,
        settlement_files=close.settlement_files,
        top_ups=close.top_ups,
        adjustments=close.adjustments,
    )


def to_bytes(figures: DayFigures) -> bytes:
    """Return figures as they are stored (JSON)."""
    return _STORED.dump_json(figures)


@lru_cache(maxsize=4)
def from_bytes(content: bytes) -> DayFigures:
    """Return stored figures. Those read last are kept: a page and the rows behind it read the same.

    :raises ValueError: they cannot be read.
    """
    return _STORED.validate_json(content)


def grouped_orders(orders: pd.DataFrame) -> tuple[Places, dict[GroupKey, OrderGroup]]:
    """Return the places of the orders in the frame, group by group, and the groups in the order of keys."""
    import pandas as pd  # takes a second; readers of stored figures need none

    keys = pd.DataFrame(index=orders.index)
    for name in _KEYS:
        words = orders[name].astype("category").cat
        keys[name] = words.set_categories(sorted(map(str, words.categories)))
    keys["has_breaks"] = orders["breaks"] > 0
    for name in _TERMS:
        keys[f"has_{name}"] = orders[name] != 0
    groups = keys.groupby(list(keys.columns), observed=True, sort=True)
    number = groups.ngroup()
    sums = orders.groupby(number, sort=True)[list(TOTALLED)].sum()
    sums.insert(0, "orders", orders.groupby(number, sort=True).size())
    firsts = keys.groupby(number, sort=True).first()
    found: dict[GroupKey, OrderGroup] = {}
    for (*names, has_breaks, debit, refund, opening, closing), totals in zip(
        firsts.itertuples(index=False, name=None), sums.itertuples(index=False, name=None), strict=True
    ):
        key = (*map(str, names), *map(bool, (has_breaks, debit, refund, opening, closing)))
        found[key] = OrderGroup._make((*key[:5], *map(int, totals), 0, 0))
    return number.argsort(kind="stable").to_numpy(), found


def joined_groups(parts: Sequence[dict[GroupKey, OrderGroup]]) -> dict[GroupKey, OrderGroup]:
    """Return the groups of all partitions, in the order of their keys."""
    found: dict[GroupKey, OrderGroup] = {}
    for key in sorted({key for part in parts for key in part}):
        alike = [part[key] for part in parts if key in part]
        totals = (sum(group.total(name) for group in alike) for name in ("orders", *TOTALLED))
        found[key] = OrderGroup._make((*key[:5], *totals, 0, 0))
    return found


def placed(groups: Sequence[OrderGroup], sizes: Sequence[int], first: int) -> list[OrderGroup]:
    """Return groups with the places of their rows in a file.

    :param sizes: the bytes of each group's rows.
    :param first: where the first row begins.
    """
    found = []
    for group, size in zip(groups, sizes, strict=True):
        found.append(group._replace(offset=first, size=size))
        first += size
    return found


def rows_from(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Yield the CSV records of a stretch of a file, each with the offset behind it.

    A quoted cell may have line breaks: a record ends where its quotes are even.
    """
    file.seek(start)
    record = b""
    while start < end and (line := file.readline(_ROW_BYTES)):
        record += line
        start += len(line)
        if record.count(b'"') % 2 == 0:
            yield record, start
            record = b""
