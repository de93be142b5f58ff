"""Compares two price lists: what appeared, returned, changed or disappeared. Pure.

A product that is only missing from the list has not disappeared. It disappears when SAT, asked for its code,
does not know it (:mod:`sat_hook.catalogue.snapshot`). Until then it stays unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sat_hook.domain.prices import ChangeKind, KnownProduct, ListedProduct, ProductChange


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
