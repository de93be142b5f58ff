"""Products as a price list names them, and what can happen to them from one list to the next. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sat_hook.domain.rupiah import tight_rupiah


class ListedProduct(NamedTuple):
    """One line of a price list (protocol section 5.3).

    ``price_rupiah`` is what the account is charged, None when the list has no price. ``status`` is SAT's own
    number (1 active, 2 inactive, 3 temporarily inactive), kept also when nobody knows what it means.
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
"""What of a product can change."""


class KnownProduct(NamedTuple):
    """A product as it was listed last, and whether it still is."""

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
    """One product's change; ``before`` is how it was listed last, ``after`` how it is listed now.

    ``before`` is None for a product that is seen for the first time, ``after`` for one that is gone.
    """

    kind: ChangeKind
    before: ListedProduct | None
    after: ListedProduct | None

    @property
    def code(self) -> str:
        """The product's code."""
        product = self.after or self.before
        assert product is not None
        return product.code

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of what differs between before and after; empty when there are not both."""
        if self.before is None or self.after is None:
            return ()
        return tuple(name for name in ATTRIBUTES if getattr(self.before, name) != getattr(self.after, name))

    @property
    def prices_rupiah(self) -> tuple[int | None, int | None] | None:
        """The price before and after, when the product is listed with another one than last time."""
        if self.before is None or self.after is None or self.before.price_rupiah == self.after.price_rupiah:
            return None
        return self.before.price_rupiah, self.after.price_rupiah

    def is_jump(self, percent: int) -> bool:
        """True when the price moved by at least ``percent`` of what it was, or from or to nothing."""
        prices = self.prices_rupiah
        if prices is None:
            return False
        before, after = (price or 0 for price in prices)
        if before <= 0 or after <= 0:
            return before != after
        return abs(after - before) * 100 >= percent * before


class SnapshotOutcome(StrEnum):
    """What came of reading a price list. Only a complete one changes the history."""

    COMPLETE = "complete"
    SUSPECT = "suspect"
    OVERTAKEN = "overtaken"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PriceSnapshot:
    """One attempt to read an account's price list. Times are UTC; numbers are None where nothing was read.

    :param asked_at: when the list was asked for: what it says was true after this moment.
    :param reason: why nothing follows from it; None for a complete one.
    :param listed: how many products are listed, those that had to be asked for by name included.
    :param missing: how many products that were listed before are gone.
    :param unconfirmed: how many are not on the list although nobody could say that they are gone, or are on
        it in a line that cannot be read.
    :param contradictory: how many are on the list twice and not alike.
    :param state_digest: digest of all products that are listed after it (:func:`sat_hook.catalogue`).
    :param missing_limit_percent: how much of the list may be gone before it is not believed.
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
    """A product as it was listed in [since, until); ``until`` is None while it still is. UTC."""

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
    """``Rp25,100``; in words where there is no price."""
    return "no price" if price_rupiah is None else tight_rupiah(price_rupiah)


def percent_text(before: int | None, after: int | None) -> str:
    """How much a price moved, for people: ``+12.5 %``; in words where no percentage exists."""
    if not before or before < 0:
        return "new price" if after else "no price"
    if not after:
        return "no price"
    tenths, rest = divmod(abs(after - before) * 1000, before)
    tenths += 2 * rest >= before
    sign = "+" if after >= before else "−"
    return f"{sign}{tenths // 10:,}.{tenths % 10} %"


def ordered(products: Iterable[ListedProduct]) -> list[ListedProduct]:
    """Products by code: the order of every list and digest."""
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
