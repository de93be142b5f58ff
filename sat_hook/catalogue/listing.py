"""Price lists as they are read from SAT: checked, in a shape that can be compared and digested. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from sat_hook.domain.prices import ListedProduct, ProductChange, ordered
from sat_hook.protocol.messages import MAXIMUM_RUPIAH, Product

MAXIMUM_PRODUCTS = 100_000
MAXIMUM_CODE_CHARACTERS = 256
MAXIMUM_TEXT_CHARACTERS = 1_000


class PriceListRefusedError(ValueError):
    """The list is beyond what a price list can be; nothing follows from it. Says found and expected."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """What one answer lists, by code.

    :param contradictory: codes that are on it more than once with different lines: nobody knows which counts,
        so none of them is in ``products``.
    """

    products: dict[str, ListedProduct]
    contradictory: frozenset[str]


def price_list_of(products: Iterable[Product]) -> PriceList:
    """The products of an answer (protocol section 5.3).

    :raises PriceListRefusedError: when there are more, or longer ones, than a price list can have.
    """
    listed: dict[str, ListedProduct] = {}
    contradictory: set[str] = set()
    for product in products:
        line = _line_of(product)
        if listed.setdefault(line.code, line) != line:
            contradictory.add(line.code)
        if len(listed) > MAXIMUM_PRODUCTS:
            raise PriceListRefusedError(f"found more than {MAXIMUM_PRODUCTS:,} products; expected fewer")
    for code in contradictory:
        del listed[code]
    return PriceList(listed, frozenset(contradictory))


def _line_of(product: Product) -> ListedProduct:
    line = ListedProduct(
        product.code,
        product.name,
        product.price_rupiah,
        product.is_inquiry,
        int(product.status),
        product.operator_name,
        product.category_name,
    )
    if len(line.code) > MAXIMUM_CODE_CHARACTERS:
        raise PriceListRefusedError(
            f"found a product code of {len(line.code)} characters; expected at most {MAXIMUM_CODE_CHARACTERS}"
        )
    longest = max(len(line.name), len(line.operator_name), len(line.category_name))
    if longest > MAXIMUM_TEXT_CHARACTERS:
        raise PriceListRefusedError(
            f"found a name of {longest} characters; expected at most {MAXIMUM_TEXT_CHARACTERS}"
        )
    if abs(line.status) > MAXIMUM_RUPIAH:
        raise PriceListRefusedError("found a status of more than fifteen digits; expected a small number")
    return line


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
