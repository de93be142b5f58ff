"""Products that are not on the list are asked for by name, before anybody says that they are gone.

The unfiltered list is documented to hold active products only, it may be cut short, and whether a filter of
known and unknown codes is answered with the known ones or with P04 is not documented (protocol section 5.3).
So a product is gone when P04 answers the question for it alone, and not before; whatever cannot be settled
stays as it was.
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
    """Who can be asked for a price list: SAT's blocking client, or the hook."""

    def ask(self, call: Call[T]) -> Reply[T]:
        """The answer; raises SATError."""


@dataclass(slots=True)
class Confirmation:
    """What became of products that are not on the list.

    :param listed: SAT lists them after all, when asked by name.
    :param gone: SAT does not know them any more (P04).
    :param unconfirmed: nobody could tell; they stay as they were.
    """

    listed: dict[str, ListedProduct] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    unconfirmed: set[str] = field(default_factory=set)


def confirm(source: PriceSource, codes: Sequence[str]) -> Confirmation:
    """Ask for products by name.

    :raises SATError: when SAT does not answer; nothing follows then.
    :raises PriceListRefusedError: when an answer is no price list.
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
    """Put one question; what it could not settle comes back in smaller groups."""
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
        # The filter was not heeded: whatever this is a list of, it proves nothing about these codes.
        found.unconfirmed.update(group)
        return []
    found.listed.update(answer.products)
    found.unconfirmed.update(unclear - {""})
    absent = [code for code in group if code not in answer.products and code not in unclear]
    if len(group) > 1:
        return [[code] for code in absent]
    # Neither listed nor refused: an answer that may have been cut short.
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
