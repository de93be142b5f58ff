"""What changed of a product, in words: for pages and for files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sat_hook.domain.prices import ChangeKind, ProductChange, SnapshotOutcome
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _

KINDS: Mapping[ChangeKind, str] = {
    ChangeKind.APPEARED: _("new"),
    ChangeKind.RETURNED: _("listed again"),
    ChangeKind.CHANGED: _("changed"),
    ChangeKind.DISAPPEARED: _("not listed any more"),
}
ATTRIBUTES: Mapping[str, str] = {
    "name": _("Name"),
    "price_rupiah": _("Price"),
    "is_inquiry": _("Asked for each order"),
    "status": _("For sale"),
    "operator_name": _("Operator"),
    "category_name": _("Category"),
}
STATUSES: Mapping[int, str] = {1: _("yes"), 2: _("no"), 3: _("not now")}

OUTCOMES: Mapping[SnapshotOutcome, str] = {
    SnapshotOutcome.SUSPECT: _("not believed"),
    SnapshotOutcome.OVERTAKEN: _("overtaken by a younger list"),
    SnapshotOutcome.FAILED: _("failed"),
}
"""What became of attempts to read a price list that changed nothing."""


class ChangedValue(NamedTuple):
    """An attribute before and after a change; a price is a number of rupiah, or None."""

    attribute: str
    before: str | int | None
    after: str | int | None
    moved: str


def values_of(change: ProductChange, wording: Wording) -> Iterator[ChangedValue]:
    """Each changed attribute; the price of a product that is new, or gone."""
    for name in change.attributes or ("price_rupiah",):
        values = [None if one is None else getattr(one, name) for one in (change.before, change.after)]
        moved = wording.change(*values) if name == "price_rupiah" and change.attributes else "–"
        before, after = (_value(name, value, wording) for value in values)
        yield ChangedValue(wording.text(ATTRIBUTES[name]), before, after, moved)


def _value(name: str, value: Any, wording: Wording) -> str | int | None:
    if value is None or name == "price_rupiah":
        return None if value is None else int(value)
    if name == "status":
        return wording.text(STATUSES[value]) if value in STATUSES else str(value)
    if isinstance(value, bool):
        return wording.text(_("yes")) if value else wording.text(_("no"))
    return str(value)
