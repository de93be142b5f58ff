"""Makes breaks, each with an id that stays the same on every day it is found, and limits their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sat_hook.domain.breaks import BreakCategory, BreakEvidence, MatchKind
from sat_hook.domain.identity import break_id_of
from sat_hook.reconciliation.model import Break

if TYPE_CHECKING:
    import pandas as pd

MAXIMUM_TEXT_CHARACTERS = 120
MAXIMUM_ITEMISED = 10_000
"""Maximum number of breaks of one rule that are itemised. The rest becomes one break with their number and
sum.
"""
REST = "rest:"


@dataclass(frozen=True, slots=True)
class BreakFactory:
    """Makes the breaks of one match of one account's day.

    :param day: the day that the breaks are about.
    :param seen_on: the first day of those not known from before; by default ``day``.
    :param is_adjustment: whether they are about a certified day.
    """

    account: str
    match: MatchKind
    day: date
    seen_on: date | None = None
    is_adjustment: bool = False

    def found(
        self,
        rule: str,
        subject: str,
        category: BreakCategory,
        what: str,
        *,
        ours: str = "",
        theirs: str = "",
        amount_rupiah: int = 0,
        order: tuple[str, str] | None = None,
        evidence: BreakEvidence | None = None,
    ) -> Break:
        """Return a break. ``rule`` and ``subject`` make its identity; its category may change from day to
        day.

        :param order: request id and order id, if the break is about an order.
        """
        return Break(
            break_id=break_id_of(self.account, self.match.value, rule, subject),
            match=self.match,
            category=category,
            subject=subject,
            day=self.day,
            first_seen=self.seen_on or self.day,
            is_adjustment=self.is_adjustment,
            request_id=order[0] if order else None,
            order_id=printable(order[1]) if order else None,
            what=what,
            ours=printable(ours),
            theirs=printable(theirs),
            amount_rupiah=amount_rupiah,
            evidence=evidence or BreakEvidence(),
        )

    def rest(self, rule: str, category: BreakCategory, what: str, count: int, amount_rupiah: int) -> Break:
        """Return the one break for everything beyond :data:`MAXIMUM_ITEMISED`. It stands until the day
        agrees.
        """
        return self.found(
            rule,
            f"{REST}{rule}:{self.day.isoformat()}",
            category,
            f"{count:,} more of the same: {what}",
            amount_rupiah=amount_rupiah,
        )


class FoundItem(NamedTuple):
    """One thing that a rule has found.

    :param place: where it is among all of its rule.
    :param rupiah: its part of :attr:`Found.rupiah`.
    """

    place: int
    rupiah: int
    breaks: tuple[Break, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What one rule of a match has found: the first items as breaks, and the number and the sum of all."""

    finder: BreakFactory
    rule: str
    category: BreakCategory
    what: str
    count: int
    rupiah: int
    items: tuple[FoundItem, ...]

    @classmethod
    def of(
        cls,
        finder: BreakFactory,
        rule: str,
        category: BreakCategory,
        what: str,
        rows: pd.DataFrame,
        rupiah: pd.Series[int],
        make: Callable[[Any], Iterable[Break]],
        places: pd.Series[int] | None = None,
    ) -> Self:
        """Return what a rule has found.

        :param make: returns the breaks of one of ``rows``.
        :param places: where the rows are among those of all partitions; by default, partitions follow each
            other.
        """
        kept = rows.iloc[:MAXIMUM_ITEMISED]
        where = [0] * len(kept) if places is None else places.iloc[:MAXIMUM_ITEMISED].tolist()
        amounts = rupiah.iloc[:MAXIMUM_ITEMISED].tolist()
        items = tuple(
            FoundItem(int(place), int(amount), tuple(make(row)))
            for place, amount, row in zip(where, amounts, kept.itertuples(index=False), strict=True)
        )
        return cls(finder, rule, category, what, len(rows), int(rupiah.sum()), items)

    @property
    def breaks(self) -> Iterator[Break]:
        """One break for each item, and one for all that are beyond :data:`MAXIMUM_ITEMISED`."""
        left = self.count - len(self.items)
        if left:
            rupiah = self.rupiah - sum(item.rupiah for item in self.items)
            yield self.finder.rest(self.rule, self.category, self.what, left, rupiah)
        for item in self.items:
            yield from item.breaks


def joined(found: Iterable[Found]) -> list[Found]:
    """Return what each rule of each match has found in all partitions.

    :param found: in the order of partitions.
    """
    of_rule: dict[tuple[BreakFactory, str], list[Found]] = {}
    for one in found:
        of_rule.setdefault((one.finder, one.rule), []).append(one)
    return [_joined(parts) for parts in of_rule.values()]


def _joined(parts: list[Found]) -> Found:
    first = parts[0]
    items = merge(*(part.items for part in parts), key=lambda item: item.place)
    return Found(
        first.finder,
        first.rule,
        first.category,
        first.what,
        sum(part.count for part in parts),
        sum(part.rupiah for part in parts),
        tuple(islice(items, MAXIMUM_ITEMISED)),
    )


def printable(text: str) -> str:
    """Return foreign text as one short line."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= MAXIMUM_TEXT_CHARACTERS else f"{clean[: MAXIMUM_TEXT_CHARACTERS - 1]}…"
