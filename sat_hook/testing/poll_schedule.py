"""The poll schedule in memory: single-threaded, for simulations. Passes the same conformance suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sat_hook.domain.order import Order, OrderState
from sat_hook.store.poll_schedule import DuePoll, PollScope, late_due_at, late_since
from sat_hook.testing.event_store import MemoryEventStore

_NOT_SENT_YET = (OrderState.RECEIVED, OrderState.QUOTED)


@dataclass(slots=True)
class _Entry:
    order: Order
    due_at: datetime
    polls: int = 0


class MemoryPollSchedule:
    """:class:`~sat_hook.store.poll_schedule.PollSchedule` beside a :class:`MemoryEventStore`.

    :meth:`receive` does what the receiver does: store a callback and queue its order.
    """

    def __init__(self, store: MemoryEventStore) -> None:
        self._store = store
        self._entries: dict[str, _Entry] = {}
        self._seen: set[tuple[str, str]] = set()
        self._queue: list[tuple[str, str]] = []

    def receive(self, account: str, request_id: str, digest: str) -> bool:
        """Queue the order of a verified callback; True when these bytes arrived for the first time."""
        if (account, digest) in self._seen:
            return False
        self._seen.add((account, digest))
        self._queue.append((account, request_id))
        return True

    def enroll(self, scope: PollScope, due_at: datetime) -> None:
        is_whole_account = scope.account is not None and scope.batch_ids is None
        for order in self._store.orders.values():
            if not _is_within(order, scope):
                continue
            if order.state.is_in_flight:
                self._entries.setdefault(order.request_id, _Entry(order, due_at))
            elif is_whole_account and _may_end_late(order, due_at):
                self._entries.setdefault(order.request_id, _Entry(order, late_due_at(due_at)))
            elif is_whole_account and _is_doubted(order, due_at):
                self._entries.setdefault(order.request_id, _Entry(order, due_at))

    def hasten(self, scope: PollScope, now: datetime) -> int:
        called: dict[str, Order] = {}
        left = []
        for account, request_id in self._queue:
            order = self._store.orders.get(request_id)
            if (
                order is None
                or order.account != account
                or not _is_within(order, scope)
                or order.state in _NOT_SENT_YET
            ):
                left.append((account, request_id))
            else:
                called[request_id] = order
        self._queue = left
        for request_id, order in called.items():
            entry = self._entries.setdefault(request_id, _Entry(order, now))
            entry.due_at = min(entry.due_at, now)
        return len(called)

    def ask_now(self, request_ids: Sequence[str], now: datetime) -> list[str]:
        found = {request_id: self._store.orders.get(request_id) for request_id in request_ids}
        sent = {key: order for key, order in found.items() if order and not order.state.was_never_sent}
        for request_id, order in sent.items():
            entry = self._entries.setdefault(request_id, _Entry(order, now))
            entry.due_at = min(entry.due_at, now)
        return sorted(sent)

    def claim_due(self, scope: PollScope, now: datetime, lease_until: datetime, limit: int) -> list[DuePoll]:
        due = sorted(
            (entry.due_at, request_id)
            for request_id, entry in self._entries.items()
            if _is_within(entry.order, scope) and entry.due_at <= now
        )
        claimed = []
        for _, request_id in due[:limit]:
            entry = self._entries[request_id]
            entry.due_at = lease_until
            entry.polls += 1
            claimed.append(DuePoll(request_id, entry.polls))
        return claimed

    def reschedule(self, due_at: Mapping[str, datetime], lease_until: datetime) -> None:
        for request_id, moment in due_at.items():
            entry = self._entries.get(request_id)
            if entry is not None and entry.due_at == lease_until:
                entry.due_at = moment

    def forget(self, request_ids: Sequence[str], lease_until: datetime) -> None:
        for request_id in request_ids:
            entry = self._entries.get(request_id)
            if entry is not None and entry.due_at == lease_until:
                del self._entries[request_id]

    def next_due(self, scope: PollScope) -> datetime | None:
        moments = (entry.due_at for entry in self._entries.values() if _is_within(entry.order, scope))
        return min(moments, default=None)


def _may_end_late(order: Order, now: datetime) -> bool:
    sent = order.first_sent_at
    return order.state is OrderState.ESCALATED and sent is not None and sent > late_since(now)


def _is_doubted(order: Order, now: datetime) -> bool:
    return order.doubted_at is not None and order.doubted_at > late_since(now)


def _is_within(order: Order, scope: PollScope) -> bool:
    # An order's account and batch never change, so its enrolled state stays valid here.
    if scope.batch_id is not None:
        return order.batch_id == scope.batch_id
    is_chosen = scope.batch_ids is None or order.batch_id in scope.batch_ids
    return is_chosen and order.account == scope.account
