"""Products of a price list, and their changes from one list to the next. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sat_hook.domain.rupiah import rupiah


class ListedProduct(NamedTuple):
    """One line of a price list (protocol section 5.3).

    ``price_rupiah`` is what the account is charged, None when the list has no price. ``status`` is SAT's
    number (1 active, 2 inactive, 3 temporarily inactive); an unknown number is kept.
    """

    code: str
    name: str
    price_rupiah: int | None
    is_inquiry: bool
    status: int
    operator_name: str
    category_name: str

    @property
    def status_text(self) -> str:
        """The status in words."""
        return _STATUSES.get(self.status, f"unknown status {self.status}")


_STATUSES = {1: "active", 2: "inactive", 3: "temporarily inactive"}
ACTIVE = 1

ATTRIBUTES = tuple(name for name in ListedProduct._fields if name != "code")
"""The attributes of a product that can change."""


class KnownProduct(NamedTuple):
    """A product as it was last listed, and whether it is still listed."""

    product: ListedProduct
    is_listed: bool


class ChangeKind(StrEnum):
    """What happened to a product."""

    APPEARED = "appeared"
    RETURNED = "returned"
    CHANGED = "changed"
    DISAPPEARED = "disappeared"


@dataclass(frozen=True, slots=True)
class ProductChange:
    """One product's change. ``before`` is how it was last listed, ``after`` how it is listed now.

    ``before`` is None for a new product, ``after`` for one that is gone.
    """

    kind: ChangeKind
    before: ListedProduct | None
    after: ListedProduct | None

    @property
    def code(self) -> str:
        product = self.after or self.before
        assert product is not None
        return product.code

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes that differ between before and after; empty unless both exist."""
        if self.before is None or self.after is None:
            return ()
        return tuple(name for name in ATTRIBUTES if getattr(self.before, name) != getattr(self.after, name))

    @property
    def prices_rupiah(self) -> tuple[int | None, int | None] | None:
        """The price before and after, if it changed."""
        if self.before is None or self.after is None or self.before.price_rupiah == self.after.price_rupiah:
            return None
        return self.before.price_rupiah, self.after.price_rupiah

    def is_jump(self, percent: int) -> bool:
        """True when the price moved by at least ``percent`` of the old price, or from or to none."""
        prices = self.prices_rupiah
        if prices is None:
            return False
        before, after = (price or 0 for price in prices)
        if before <= 0 or after <= 0:
            return before != after
        return abs(after - before) * 100 >= percent * before


class SnapshotOutcome(StrEnum):
    """The outcome of reading a price list. Only a complete one changes the history."""

    COMPLETE = "complete"
    SUSPECT = "suspect"
    OVERTAKEN = "overtaken"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PriceSnapshot:
    """One attempt to read an account's price list. Times are UTC; numbers are None when nothing was read.

    :param asked_at: when the list was requested; its contents were true after this moment.
    :param reason: why the attempt changes nothing; None for a complete one.
    :param listed: how many products are listed, including those that had to be requested by code.
    :param missing: how many products that were listed before are gone.
    :param unconfirmed: how many are not on the list without being confirmed gone, or are on it in a line that
        cannot be read.
    :param contradictory: how many are on the list twice with different values.
    :param state_digest: digest of all products listed after it (:func:`sat_hook.catalogue`).
    :param missing_limit_percent: how much of the list may be missing before the list is not accepted.
    """

    account: str
    outcome: SnapshotOutcome
    asked_at: datetime
    ended_at: datetime
    missing_limit_percent: int
    actor: str
    cause: str
    reason: str | None = None
    response_digest: str | None = None
    listed: int | None = None
    missing: int | None = None
    unconfirmed: int | None = None
    contradictory: int | None = None
    changes: int | None = None
    state_digest: str | None = None
    snapshot_id: int | None = None


@dataclass(frozen=True, slots=True)
class PricePeriod:
    """A product as it was listed in [since, until); ``until`` is None while it is still listed so. UTC."""

    product: ListedProduct
    snapshot_id: int
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """A change as the history has it."""

    snapshot_id: int
    seen_at: datetime
    change: ProductChange


def price_text(price_rupiah: int | None) -> str:
    """``Rp 25,100``; words when there is no price."""
    return "no price" if price_rupiah is None else rupiah(price_rupiah)


def percent_text(before: int | None, after: int | None) -> str:
    """A price change as text: ``+12.5 %``; words when there is no percentage."""
    if not before or before < 0:
        return "new price" if after else "no price"
    if not after:
        return "no price"
    tenths, rest = divmod(abs(after - before) * 1000, before)
    tenths += 2 * rest >= before
    sign = "+" if after >= before else "−"
    return f"{sign}{tenths // 10:,}.{tenths % 10} %"


def ordered(products: Iterable[ListedProduct]) -> list[ListedProduct]:
    """Sort products by code, as in every list and digest."""
    return sorted(products, key=lambda product: product.code)


def state_digest(products: Iterable[ListedProduct]) -> str:
    """SHA-256 (hex) over a whole price list, whatever the order in which it came."""
    return _digest(ordered(products))


def changes_digest(changes: Iterable[ProductChange]) -> str:
    """SHA-256 (hex) over changes: code, kind and the product afterwards, by code."""
    lines = sorted(changes, key=lambda change: change.code)
    return _digest([(change.code, change.kind.value, change.after) for change in lines])


def _digest(document: object) -> str:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


GAP_HOURS = 3
"""A longer time without a list is a gap, in which the listings are unknown. Lists are read every hour."""


def gaps_between(
    moments: Sequence[datetime], since: datetime, until: datetime, gap_hours: float = GAP_HOURS
) -> list[tuple[datetime, datetime]]:
    """The spans in [since, until] between two lists, or after the last one, that are longer than allowed.

    :param moments: when lists were requested, oldest first; one before ``since`` may be included.
    """
    longest = timedelta(hours=gap_hours)
    ends = [*moments[1:], until]
    spans = [(start, end) for start, end in zip(moments, ends, strict=False) if end - start > longest]
    return [(max(start, since), end) for start, end in spans if end > since]
