"""Asks SAT by code for products that are missing from the list, before they count as gone.

The unfiltered list is documented to hold active products only, and it may be cut short. It is not documented
whether a filter of known and unknown codes returns the known ones or P04 (protocol section 5.3). So a product
is gone only when a request for its code alone returns P04. Products that cannot be settled stay unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sat_hook.catalogue.price_list import price_list_of
from sat_hook.domain.prices import ListedProduct
from sat_hook.protocol.calls import Call, Reply, T, products_call
from sat_hook.protocol.errors import ProductNotFoundError

CODES_PER_QUESTION = 50
CHARACTERS_PER_QUESTION = 1_500
MAXIMUM_QUESTIONS = 400

_NOT_FOUND = "P04"


class PriceSource(Protocol):
    """A source of price lists: SAT's blocking client, or the hook."""

    def ask(self, call: Call[T]) -> Reply[T]:
        """The answer; raises SATError."""


@dataclass(slots=True)
class Confirmation:
    """The result for products that are not on the list.

    :param listed: SAT does list them when asked by code.
    :param gone: SAT no longer knows them (P04).
    :param unconfirmed: not settled; they stay unchanged.
    """

    listed: dict[str, ListedProduct] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    unconfirmed: set[str] = field(default_factory=set)


def confirm(source: PriceSource, codes: Sequence[str]) -> Confirmation:
    """Ask for products by code.

    :raises SATError: when SAT does not answer; nothing changes then.
    :raises PriceListRefusedError: when an answer is not a price list.
    """
    found = Confirmation()
    found.unconfirmed.update(code for code in codes if not _can_be_asked(code))
    waiting = list(_groups([code for code in codes if _can_be_asked(code)]))
    waiting.reverse()
    for _ in range(MAXIMUM_QUESTIONS):
        if not waiting:
            break
        waiting.extend(reversed(_ask(source, waiting.pop(), found)))
    found.unconfirmed.update(code for group in waiting for code in group)
    return found


def _ask(source: PriceSource, group: list[str], found: Confirmation) -> list[list[str]]:
    """Make one request; codes that it could not settle are returned in smaller groups."""
    try:
        answer = price_list_of(source.ask(products_call(group)).value)
    except ProductNotFoundError as error:
        if set(error.codes) != {_NOT_FOUND}:
            raise
        if len(group) == 1:
            found.gone.update(group)
            return []
        half = len(group) // 2
        return [group[:half], group[half:]]
    unclear = answer.contradictory | answer.unreadable.keys()
    if not (answer.products.keys() | unclear) - {""} <= set(group):
        # SAT ignored the filter, so this list proves nothing about these codes.
        found.unconfirmed.update(group)
        return []
    found.listed.update(answer.products)
    found.unconfirmed.update(unclear - {""})
    absent = [code for code in group if code not in answer.products and code not in unclear]
    if len(group) > 1:
        return [[code] for code in absent]
    # Neither listed nor refused: the answer may have been cut short.
    found.unconfirmed.update(absent)
    return []


def _can_be_asked(code: str) -> bool:
    """The filter joins codes by commas, so a code with one cannot be asked for."""
    return "," not in code and code == code.strip()


def _groups(codes: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    length = 0
    for code in codes:
        if group and (len(group) >= CODES_PER_QUESTION or length + len(code) > CHARACTERS_PER_QUESTION):
            yield group
            group, length = [], 0
        group.append(code)
        length += len(code)
    if group:
        yield group
