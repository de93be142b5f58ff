"""Price lists read from SAT: checked, in a form that can be digested, and compared with what was known. Pure.

A product that is only missing from the list has not disappeared. It disappears when SAT, asked for its code,
does not know it (:mod:`sat_hook.catalogue.snapshot`). Until then it stays unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sat_hook.catalogue.errors import PriceListRefusedError
from sat_hook.domain.prices import ChangeKind, KnownProduct, ListedProduct, ProductChange
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


def compare(
    known: Mapping[str, KnownProduct], listed: Mapping[str, ListedProduct], gone: Collection[str]
) -> list[ProductChange]:
    """The changes of the new list, by code.

    :param known: every product that was ever listed, as last listed.
    :param listed: the new list.
    :param gone: codes that are certainly no longer listed.
    :raises ValueError: when a product is listed and gone at once.
    """
    if contradiction := sorted(listed.keys() & set(gone)):
        raise ValueError(f"product {contradiction[0]!r} is listed and gone at once")
    changes = []
    for code, after in listed.items():
        before = known.get(code)
        if before is None:
            changes.append(ProductChange(ChangeKind.APPEARED, None, after))
        elif not before.is_listed:
            changes.append(ProductChange(ChangeKind.RETURNED, before.product, after))
        elif before.product != after:
            changes.append(ProductChange(ChangeKind.CHANGED, before.product, after))
    for code in set(gone):
        before = known.get(code)
        if before is not None and before.is_listed:
            changes.append(ProductChange(ChangeKind.DISAPPEARED, before.product, None))
    return sorted(changes, key=lambda change: change.code)


def after_changes(
    known: Mapping[str, KnownProduct], changes: Collection[ProductChange]
) -> dict[str, ListedProduct]:
    """The listed products after ``changes``, by code."""
    listed = {code: entry.product for code, entry in known.items() if entry.is_listed}
    for change in changes:
        if change.after is None:
            del listed[change.code]
        else:
            listed[change.code] = change.after
    return listed


def missing_from(known: Mapping[str, KnownProduct], listed: Collection[str]) -> list[str]:
    """Codes that were listed and are missing from the new list, in order."""
    return sorted(code for code, entry in known.items() if entry.is_listed and code not in listed)
