"""Reads the receiver's inbox for the pipeline: verified callbacks of orders, exactly as received."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sat_hook.store.database import Database
from sat_hook.store.statements import queries


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


class PostgresCallbackInbox:
    """:class:`CallbackInbox` in the table ``sat.callback_inbox``, with the role ``sat_writer``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inbox = queries("inbox")

    def callbacks_of(self, account: str, request_ids: Sequence[str], limit: int) -> list[KeptCallback]:
        with self._database.transaction() as connection:
            rows = list(
                self._inbox.callbacks_of_orders(
                    connection, account=account, request_ids=list(request_ids), limit=limit
                )
            )
        return [
            KeptCallback(request_id, bytes(body), signature, received_at)
            for request_id, body, signature, received_at in rows
        ]

    def seen_of(self, account: str, request_id: str) -> list[CallbackSeen]:
        """The callbacks that came for one order of ``account``, by arrival."""
        with self._database.transaction() as connection:
            rows = list(self._inbox.callbacks_of_order(connection, account=account, request_id=request_id))
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
        """The next callbacks."""
        with self._database.transaction() as connection:
            rows = list(
                self._inbox.callbacks_with_orders(
                    connection, account=account, settled_seconds=self._settled_seconds, limit=limit
                )
            )
        return [
            CallbackWithOrder(inbox_id, request_id, bytes(body), *rest)
            for inbox_id, request_id, body, *rest in rows
        ]

    def move_on(self, account: str, inbox_id: int) -> None:
        """Advance the cursor to this callback."""
        with self._database.transaction() as connection:
            self._inbox.callbacks_were_read(connection, account=account, inbox_id=inbox_id)
