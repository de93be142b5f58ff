"""Checks a row and its price against the catalogue. Pure rules for validation and quoting."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from sat_hook.domain.client_numbers import number_shape_of
from sat_hook.domain.order import Order
from sat_hook.domain.order_events import RejectionReason
from sat_hook.domain.rupiah import MAXIMUM_AMOUNT_RUPIAH, is_amount

MAXIMUM_CODES_LOOKED_FOR = 30
"""Most unlisted codes of one validation for which a similar code is searched."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One product of the catalogue. ``price_rupiah`` is what SAT charges; None when unlisted.

    ``unreadable`` says why SAT's line about it could not be read; nothing else is known then.
    """

    code: str
    price_rupiah: int | None
    is_inquiry: bool
    is_active: bool
    status: int
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a row cannot become a checkout: what was found and expected."""

    reason: RejectionReason
    detail: str


class OrderedRow(Protocol):
    """What a row orders: an order has it, and so has the event that received it. Amounts in rupiah."""

    @property
    def product_code(self) -> str: ...
    @property
    def client_number(self) -> str: ...
    @property
    def amount_rupiah(self) -> int | None: ...
    @property
    def max_rupiah(self) -> int | None: ...


class SimilarCodes:
    """Finds the listed code that an unlisted one probably meant.

    :param codes: the codes that are listed.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        self._codes = tuple(codes)
        self._by_parts: dict[str, str] = {}
        self._found: dict[str, str | None] = {}

    def to(self, code: str) -> str | None:
        """The most similar code; None when none is close, or after too many searches."""
        if code not in self._found and len(self._found) < MAXIMUM_CODES_LOOKED_FOR:
            self._found[code] = self._look_for(code)
        return self._found.get(code)

    def _look_for(self, code: str) -> str | None:
        self._by_parts = self._by_parts or {_parts(listed): listed for listed in self._codes}
        if listed := self._by_parts.get(_parts(code)):
            return listed
        close = get_close_matches(code.lower(), self._codes, n=1, cutoff=0.75)
        return close[0] if close else None


def _parts(code: str) -> str:
    """Letters and digits, ignoring case, order and separators."""
    return "-".join(sorted(re.findall(r"[0-9a-z]+", code.lower())))


def judge_row(row: OrderedRow, entry: CatalogueEntry | None) -> Rejection | None:
    """Why ``row`` cannot be bought from the current catalogue, or None when it can."""
    code = row.product_code
    if entry is None:
        # The product column may hold a client number by mistake.
        found = f"{len(code)} digits" if code.isdigit() else repr(code)
        return Rejection(
            RejectionReason.UNKNOWN_PRODUCT, f"found product {found}; expected one that SAT lists"
        )
    if entry.unreadable:
        return Rejection(
            RejectionReason.UNREADABLE_PRODUCT,
            f"found product {code!r} in a line of SAT's list that cannot be read ({entry.unreadable})",
        )
    if not entry.is_active:
        meaning = {2: "inactive", 3: "temporarily inactive"}.get(entry.status, "not known to be active")
        return Rejection(
            RejectionReason.INACTIVE_PRODUCT,
            f"found product {code!r} with status {entry.status} ({meaning}); expected an active one",
        )
    shape = number_shape_of(code)
    if shape is not None and not shape.fits(row.client_number):
        return Rejection(
            RejectionReason.CLIENT_NUMBER_SHAPE,
            f"found {len(row.client_number)} digits beginning with {row.client_number[:1]}; expected "
            f"{shape.expected}",
        )
    if entry.is_inquiry:
        return None
    return _judge_fixed_price(row, entry)


def _judge_fixed_price(row: OrderedRow, entry: CatalogueEntry) -> Rejection | None:
    if not entry.price_rupiah or entry.price_rupiah < 0:
        return Rejection(RejectionReason.NO_PRICE, f"product {entry.code!r} is listed without a price")
    if not is_amount(entry.price_rupiah):
        return Rejection(RejectionReason.NO_PRICE, _beyond(f"a price of {entry.price_rupiah} rupiah"))
    if row.amount_rupiah is not None:
        return Rejection(
            RejectionReason.AMOUNT_NOT_ALLOWED,
            f"found amount_rupiah {row.amount_rupiah} for product {entry.code!r}, which has a fixed price; "
            "expected none (max_rupiah sets a ceiling)",
        )
    return judge_price(row, entry.price_rupiah)


def judge_bill(order: Order, sales_price_rupiah: int, base_price_rupiah: int | None) -> Rejection | None:
    """Why the bill of an inquiry may not be paid for this row, or None when it may."""
    if sales_price_rupiah <= 0:
        return Rejection(RejectionReason.NO_PRICE, f"the inquiry returned {sales_price_rupiah} rupiah")
    if not is_amount(sales_price_rupiah):
        return Rejection(RejectionReason.NO_PRICE, _beyond(f"a bill of {sales_price_rupiah} rupiah"))
    asked = order.amount_rupiah
    if asked is not None and asked not in (sales_price_rupiah, base_price_rupiah):
        return Rejection(
            RejectionReason.AMOUNT_BOUNDS,
            f"found a bill of {sales_price_rupiah} rupiah; expected amount_rupiah {asked}",
        )
    return judge_price(order, sales_price_rupiah)


def _beyond(found: str) -> str:
    return f"found {found}; expected at most {MAXIMUM_AMOUNT_RUPIAH}"


def judge_price(row: OrderedRow, price_rupiah: int) -> Rejection | None:
    """Check the price against the row's maximum price."""
    if row.max_rupiah is not None and price_rupiah > row.max_rupiah:
        return Rejection(
            RejectionReason.ABOVE_MAXIMUM,
            f"found a price of {price_rupiah} rupiah; expected at most max_rupiah {row.max_rupiah}",
        )
    return None
