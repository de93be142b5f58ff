"""The inbox of verified callbacks: written by the receiver, read by the pipeline, exactly as received."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import psycopg2

from sat_hook.domain.grouping import grouped
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.statements import Statements, queries, run

COUNTS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, repr=False)
class Callback:
    """One verified callback, exactly as received. ``body`` may hold a voucher, so no repr shows it."""

    account: str
    request_id: str
    digest: str
    body: bytes
    signature: str
    key_fingerprint: str
    content_type: str
    remote_address: str

    def __repr__(self) -> str:
        return f"Callback(account={self.account}, request_id={self.request_id}, digest={self.digest})"


class CallbackTable(Statements, room="inbox"):
    """Writes ``sat.callback_inbox``, with the role ``sat_receiver``."""

    def is_reachable(self) -> bool:
        """Whether the database answers now, and could store a callback."""
        try:
            return bool(self._run(self._sql.is_reachable))
        except (StoreUnavailableError, psycopg2.Error):
            return False

    def receive(self, group: Sequence[Callback]) -> list[bool]:
        """Store a group of callbacks in one transaction, and wake their accounts.

        :returns: for each callback, in the order given, whether its bytes arrived for the first time.
        :raises StoreUnavailableError: the database gave up; the callbacks may be stored.
        """
        # Sorted, so that two receivers with the same callbacks cannot deadlock.
        places = sorted(range(len(group)), key=lambda place: (group[place].account, group[place].digest))
        callbacks = [group[place] for place in places]
        rows = self._run(
            self._sql.receive_callbacks,
            accounts=[c.account for c in callbacks],
            request_ids=[c.request_id for c in callbacks],
            digests=[c.digest for c in callbacks],
            bodies=[psycopg2.Binary(c.body) for c in callbacks],
            signatures=[c.signature for c in callbacks],
            key_fingerprints=[c.key_fingerprint for c in callbacks],
            content_types=[c.content_type for c in callbacks],
            remote_addresses=[c.remote_address for c in callbacks],
        )
        is_new = [False] * len(group)
        for place, row in zip(places, rows, strict=True):
            is_new[place] = row[0]
        return is_new

    def count_refused(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Add to this hour's counts of refused callbacks, by account and reason."""
        for part in grouped(counts.items(), COUNTS_AT_ONCE):
            self._run(
                self._sql.count_refused,
                accounts=[account for (account, _), _ in part],
                reasons=[reason for (_, reason), _ in part],
                counts=[count for _, count in part],
            )

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()


@dataclass(frozen=True, slots=True)
class KeptCallback:
    """One callback of the inbox. ``body`` may hold a voucher, so no repr shows it."""

    request_id: str
    body: bytes
    signature: str
    received_at: datetime

    def __repr__(self) -> str:
        return f"KeptCallback(request_id={self.request_id}, received_at={self.received_at}, body=***)"


@dataclass(frozen=True, slots=True)
class CallbackSeen:
    """A verified callback in the inbox, without its body."""

    received_at: datetime
    key_fingerprint: str
    remote_address: str
    repeats: int
    last_repeat_at: datetime | None
    is_waiting: bool


class CallbackInbox(Protocol):
    """Reads the inbox."""

    def callbacks_of(self, account: str, request_ids: Sequence[str], limit: int) -> list[KeptCallback]:
        """The callbacks for these orders of ``account``, by arrival; at most ``limit`` of each."""


class PostgresCallbackInbox(Statements, room="inbox"):
    """:class:`CallbackInbox` in the table ``sat.callback_inbox``, with the role ``sat_writer``."""

    def callbacks_of(self, account: str, request_ids: Sequence[str], limit: int) -> list[KeptCallback]:
        chosen = {"account": account, "request_ids": list(request_ids), "limit": limit}
        rows = self._run(self._sql.callbacks_of_orders, **chosen)
        return [
            KeptCallback(request_id, bytes(body), signature, received_at)
            for request_id, body, signature, received_at in rows
        ]

    def seen_of(self, account: str, request_id: str) -> list[CallbackSeen]:
        """The callbacks that came for one order of ``account``, by arrival."""
        rows = self._run(self._sql.callbacks_of_order, account=account, request_id=request_id)
        return [CallbackSeen(*row) for row in rows]


@dataclass(frozen=True, slots=True, repr=False)
class CallbackWithOrder:
    """One callback of the inbox with the order that was sent under its id."""

    inbox_id: int
    request_id: str
    body: bytes
    received_at: datetime
    batch_id: str
    product_code: str
    client_number: str


class CallbackReader:
    """Reads the callbacks of an account's orders by arrival, each once. Its cursor is in ``sat.log_cursors``.

    :param settled_seconds: callbacks younger than this are not read yet, because an earlier one may still be
        uncommitted.
    """

    def __init__(self, database: Database, settled_seconds: float = 60.0) -> None:
        self._database = database
        self._settled_seconds = settled_seconds
        self._inbox = queries("inbox")

    def read_new(self, account: str, limit: int) -> list[CallbackWithOrder]:
        chosen = {"account": account, "settled_seconds": self._settled_seconds, "limit": limit}
        rows = run(self._database, self._inbox.callbacks_with_orders, **chosen)
        return [
            CallbackWithOrder(inbox_id, request_id, bytes(body), *rest)
            for inbox_id, request_id, body, *rest in rows
        ]

    def move_on(self, account: str, inbox_id: int) -> None:
        """Advance the cursor to this callback."""
        run(self._database, self._inbox.callbacks_were_read, account=account, inbox_id=inbox_id)
