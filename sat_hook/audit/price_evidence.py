"""Verifies the evidence of price snapshots against the ``PriceListChanged`` events of the log.

The log holds digests and the snapshots hold the lines. A line, a time or a whole snapshot that was changed,
removed or inserted outside our code no longer matches a digest, and is reported under the snapshot's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg2.extensions import connection as Connection

from sat_hook.audit.findings import Finding, FindingKind, Report
from sat_hook.domain.account import PriceListChanged
from sat_hook.domain.prices import ChangeKind, ListedProduct, ProductChange, changes_digest, state_digest
from sat_hook.store.evidence import Evidence, ListEvidence


@dataclass(slots=True)
class _Account:
    """The state of an account's list so far."""

    listed: dict[str, ListedProduct] = field(default_factory=dict)
    digest: str | None = None


def verify_prices(connection: Connection, told: Mapping[int, PriceListChanged], report: Report) -> int:
    """Compare every accepted snapshot with the log; returns how many there were.

    :param connection: a snapshot of the database; the role may be the reader's.
    :param told: the log's events by snapshot number.
    """
    accounts: dict[str, _Account] = {}
    seen: set[int] = set()
    count = 0
    for snapshot in Evidence(connection).price_lists():
        count += 1
        seen.add(snapshot.snapshot_id)
        account = accounts.setdefault(snapshot.account, _Account())
        for code, _, line in snapshot.lines:
            if line is None:
                account.listed.pop(code, None)
            else:
                account.listed[code] = line
        event = told.get(snapshot.snapshot_id)
        if found := _difference(snapshot, event, account):
            place = f"price_snapshots/{snapshot.snapshot_id}"
            report(Finding.at(FindingKind.EVIDENCE_CHANGED, place, found, "what the log says"))
        account.digest = snapshot.state_digest
    for number in sorted(told.keys() - seen):
        place, expected = f"price_snapshots/{number}", "the one that the log names"
        report(Finding.at(FindingKind.EVIDENCE_MISSING, place, "no price snapshot", expected))
    for name, account in sorted(accounts.items()):
        # Every step was compared, so the last state covers them all.
        if account.digest != state_digest(account.listed.values()):
            place, found = f"price list of {name}", "another list than the last snapshot digested"
            report(Finding.at(FindingKind.EVIDENCE_CHANGED, place, found, "the sum of all changes"))
    return count


def _difference(snapshot: ListEvidence, event: PriceListChanged | None, account: _Account) -> str | None:
    """How a snapshot differs from the log; None when it does not."""
    if not snapshot.lines and not snapshot.changes and event is None:
        same = account.digest == snapshot.state_digest
        return None if same else "another list without any change"
    if event is None:
        return "changes that the log does not know"
    changes = [
        # The digest covers code, kind and the product afterwards.
        ProductChange(kind, None, line) if line is not None else _gone(code)
        for code, kind, line in snapshot.lines
    ]
    pairs = (
        ("account", snapshot.account, event.account),
        ("time", snapshot.asked_at, event.asked_at),
        ("number of products", snapshot.listed, event.listed),
        ("number of changes", snapshot.changes, event.changes),
        ("digest of the list", snapshot.state_digest, event.state_digest),
        ("lines", changes_digest(changes), event.changes_digest),
    )
    differing = [name for name, kept, logged in pairs if kept != logged]
    return f"another {', '.join(differing)}" if differing else None


def _gone(code: str) -> ProductChange:
    line = ListedProduct(code, "", None, False, 0, "", "")
    return ProductChange(ChangeKind.DISAPPEARED, line, None)
