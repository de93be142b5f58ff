"""Reads stored evidence for audits: signed texts, callbacks, price lists, and what a pack has of a period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection

from sat_hook.domain.prices import ChangeKind, ListedProduct
from sat_hook.store.statements import queries, streamed

CALLBACKS_PER_FETCH = 500
_TABLES_WITH_BYTES = ("callbacks", "signed_statuses")
PACK_TABLES = (*_TABLES_WITH_BYTES, "deposits", "price_snapshots", "price_changes")
"""The tables of an evidence pack beside its events."""


class SignedText(NamedTuple):
    """A signed status as it is stored. It may hold a voucher."""

    request_id: str
    body: str
    signature: str


class ListEvidence(NamedTuple):
    """An accepted price list, from its evidence; a line without a product is of one that disappeared."""

    snapshot_id: int
    account: str
    asked_at: datetime
    listed: int
    changes: int
    state_digest: str
    lines: list[tuple[str, ChangeKind, ListedProduct | None]]


class Evidence:
    """The evidence in the snapshot of a transaction.

    :param connection: of a role that may read evidence, where a method reads bytes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._evidence = queries("evidence")

    def may_read_bytes(self) -> bool:
        """Whether this role may recompute the digests of signed texts and callbacks."""
        return bool(self._evidence.may_read_evidence(self._connection))

    def missing_texts(self, digests: Sequence[str]) -> list[str]:
        """Which of these signed texts are not stored."""
        kept = {row[0] for row in self._evidence.kept_evidence(self._connection, digests=list(digests))}
        return [digest for digest in digests if digest not in kept]

    def changed_texts(self, digests: Sequence[str]) -> list[tuple[str, str]]:
        """Of these signed texts, those that no longer have their digest, and the digest that they have."""
        return list(self._evidence.changed_texts(self._connection, digests=list(digests)))

    def changed(self) -> Iterator[tuple[str, str, str]]:
        """Every signed text and callback that no longer has its digest: table, digest, its digest now."""
        found: Iterator[tuple[str, str, str]] = self._evidence.changed_evidence(self._connection)
        return found

    def signed_texts(self, digests: Sequence[str]) -> dict[str, SignedText]:
        rows = self._evidence.signed_texts(self._connection, digests=list(digests))
        return {digest: SignedText(*text) for digest, *text in rows}

    def beginnings(self, streams: Sequence[str]) -> dict[str, str]:
        """The text of the event with which each of these orders began, by stream."""
        return dict(self._evidence.first_events(self._connection, streams=list(streams)))

    def callbacks(self) -> Iterator[tuple[str, str, bytes, str]]:
        """Every callback by arrival: account, digest, body, signature."""
        rows = streamed(self._connection, self._evidence.kept_callbacks, rows_per_fetch=CALLBACKS_PER_FETCH)
        return ((account, digest, bytes(body), signature) for account, digest, body, signature in rows)

    def price_lists(self) -> Iterator[ListEvidence]:
        """The accepted price lists by number, each with its lines; memory holds one of them."""
        rows = streamed(self._connection, self._evidence.price_evidence, any_time=True)
        for head, of_list in groupby(rows, key=lambda row: row[:6]):
            lines = [_line(row) for row in of_list if row[6] is not None]
            yield ListEvidence._make((*head, lines))

    def table(self, name: str, *, with_bytes: bool, **chosen: Any) -> Iterator[dict[str, Any]]:
        """The rows of one of :data:`PACK_TABLES`, by column.

        :param with_bytes: also what was received and its signature, in base64.
        :param chosen: the period and the events, as the statement takes them.
        """
        query = f"{name}_with_bytes" if with_bytes and name in _TABLES_WITH_BYTES else name
        return streamed(self._connection, getattr(self._evidence, query), by_name=True, **chosen)


def _line(row: tuple[Any, ...]) -> tuple[str, ChangeKind, ListedProduct | None]:
    code, kind = row[6], ChangeKind(row[7])
    return code, kind, None if kind is ChangeKind.DISAPPEARED else ListedProduct(code, *row[8:14])
