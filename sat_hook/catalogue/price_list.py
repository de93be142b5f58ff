"""Price lists read from SAT: checked, in a form that can be compared and digested. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sat_hook.catalogue.errors import PriceListRefusedError
from sat_hook.domain.prices import ListedProduct
from sat_hook.protocol.messages import Product
from sat_hook.protocol.values import MAXIMUM_RUPIAH

MAXIMUM_PRODUCTS = 100_000
MAXIMUM_CODE_CHARACTERS = 256
MAXIMUM_TEXT_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class PriceList:
    """The products of one answer, by code.

    :param contradictory: codes that appear more than once with different lines. None of them is in
        ``products``, because it is unknown which line counts.
    :param unreadable: why a line could not be read, by code; these are not in ``products`` either. Lines
        without a readable code are under ``""``.
    """

    products: dict[str, ListedProduct]
    contradictory: frozenset[str]
    unreadable: dict[str, str]


def price_list_of(products: Iterable[Product]) -> PriceList:
    """The products of an answer (protocol section 5.3).

    :raises PriceListRefusedError: when there are more products than a price list can have.
    """
    listed: dict[str, ListedProduct] = {}
    contradictory: set[str] = set()
    unreadable: dict[str, str] = {}
    for product in products:
        line = _line_of(product)
        if reason := product.unreadable or _beyond_limits(line):
            code = "" if len(line.code) > MAXIMUM_CODE_CHARACTERS else line.code
            unreadable.setdefault(code, reason)
        elif listed.setdefault(line.code, line) != line:
            contradictory.add(line.code)
        if len(listed) + len(unreadable) > MAXIMUM_PRODUCTS:
            raise PriceListRefusedError(f"found more than {MAXIMUM_PRODUCTS:,} products; expected fewer")
    for code in contradictory | unreadable.keys():
        listed.pop(code, None)
    return PriceList(listed, frozenset(contradictory - unreadable.keys()), unreadable)


def _line_of(product: Product) -> ListedProduct:
    return ListedProduct(
        product.code,
        product.name,
        product.price_rupiah,
        product.is_inquiry,
        int(product.status),
        product.operator_name,
        product.category_name,
    )


def _beyond_limits(line: ListedProduct) -> str:
    """Why the line exceeds the limits of a price list; empty when it does not."""
    if len(line.code) > MAXIMUM_CODE_CHARACTERS:
        return f"found a code of {len(line.code)} characters; expected at most {MAXIMUM_CODE_CHARACTERS}"
    longest = max(len(line.name), len(line.operator_name), len(line.category_name))
    if longest > MAXIMUM_TEXT_CHARACTERS:
        return f"found a name of {longest} characters; expected at most {MAXIMUM_TEXT_CHARACTERS}"
    if abs(line.status) > MAXIMUM_RUPIAH:
        return "found a status of more than fifteen digits; expected a small number"
    return ""
