"""Verifies the evidence of price snapshots against the ``PriceListChanged`` events of the log.

The log holds digests and the snapshots hold the lines. A line, a time or a whole snapshot that was changed,
removed or inserted outside our code no longer matches a digest, and is reported under the snapshot's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from psycopg2.extensions import connection as Connection

from sat_hook.audit.findings import Finding, FindingKind, Report
from sat_hook.audit.log_reader import read_any_time
from sat_hook.domain.account import PriceListChanged
from sat_hook.domain.prices import ChangeKind, ListedProduct, ProductChange, changes_digest, state_digest
from sat_hook.store.statements import queries

ROWS_PER_FETCH = 5_000


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """An accepted price list, from its evidence."""

    snapshot_id: int
    account: str
    asked_at: datetime
    listed: int
    changes: int
    state_digest: str
    lines: list[tuple[str, ChangeKind, ListedProduct | None]]


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
    for snapshot in _each_snapshot(connection):
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
            report(_finding(FindingKind.EVIDENCE_CHANGED, snapshot.snapshot_id, found, "what the log says"))
        account.digest = snapshot.state_digest
    for number in sorted(told.keys() - seen):
        report(
            _finding(FindingKind.EVIDENCE_MISSING, number, "no price snapshot", "the one that the log names")
        )
    for name, account in sorted(accounts.items()):
        # Every step was compared, so the last state covers them all.
        if account.digest != state_digest(account.listed.values()):
            report(
                Finding(
                    FindingKind.EVIDENCE_CHANGED,
                    f"price list of {name}",
                    None,
                    None,
                    "another list than the last snapshot digested",
                    "the sum of all changes",
                )
            )
    return count


def _difference(snapshot: _Snapshot, event: PriceListChanged | None, account: _Account) -> str | None:
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


def _each_snapshot(connection: Connection) -> Iterator[_Snapshot]:
    """The accepted snapshots by number, each with its lines, loaded one snapshot at a time."""
    with connection.cursor(name="price_evidence") as cursor:
        cursor.itersize = ROWS_PER_FETCH
        read_any_time(cursor)
        cursor.execute(queries("audit").price_evidence.sql)
        for head, rows in groupby(cursor, key=lambda row: row[:6]):
            lines = [_line(row) for row in rows if row[6] is not None]
            number, account, asked_at, listed, changes, digest = head
            yield _Snapshot(number, account, asked_at, listed, changes, digest, lines)


def _line(row: tuple[Any, ...]) -> tuple[str, ChangeKind, ListedProduct | None]:
    code, kind = row[6], ChangeKind(row[7])
    return code, kind, None if kind is ChangeKind.DISAPPEARED else ListedProduct(code, *row[8:14])


def _finding(kind: FindingKind, number: int, found: str, expected: str) -> Finding:
    return Finding(kind, f"price_snapshots/{number}", None, None, found, expected)
