"""When each order's status is queried next. Operational state, shared by all pollers of a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sat_hook.domain.order import OrderState
from sat_hook.store.database import Database
from sat_hook.store.statements import queries, run

# An escalated order may still end by itself, and its callback may have been lost.
LATE_PAUSE_SECONDS = 3600.0
LATE_DAYS = 7
# A callback only hastens a poll; it is stored as evidence elsewhere. Others may pay from the same account, so
# a callback of an unknown order leaves the queue after this long.
STRANGER_DAYS = 7


@dataclass(frozen=True, slots=True)
class DuePoll:
    """An order that this caller may poll now; ``polls`` counts the polls, including this one."""

    request_id: str
    polls: int


@dataclass(frozen=True, slots=True)
class PollScope:
    """The orders to poll: those of one batch, all of an account, or those of some batches of an account."""

    batch_id: str | None = None
    account: str | None = None
    batch_ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.batch_id is None) == (self.account is None):
            raise ValueError("a scope is either a batch or an account")
        if self.batch_ids is not None and self.account is None:
            raise ValueError("batches are those of an account")

    @property
    def chosen(self) -> dict[str, Any]:
        """The scope as the arguments of a statement."""
        batch_ids = None if self.batch_ids is None else list(self.batch_ids)
        return {"batch_id": self.batch_id, "account": self.account, "batch_ids": batch_ids}


class PollSchedule(Protocol):
    """The schedule of one deployment. Concurrent pollers share the due orders; no order goes to both."""

    def enroll(self, scope: PollScope, due_at: datetime) -> None:
        """Add every order in flight of the scope to the schedule; orders already on it keep their place.

        For a whole account this includes escalated orders for ``LATE_DAYS`` after they were sent, due
        ``LATE_PAUSE_SECONDS`` after ``due_at``, and reversals that a signed Success has put in doubt, for
        ``LATE_DAYS`` after that. An account's callbacks for orders that are still unknown after
        ``STRANGER_DAYS`` leave the queue.
        """

    def hasten(self, scope: PollScope, now: datetime) -> int:
        """Make orders with a new callback due at once; returns how many."""

    def ask_now(self, request_ids: Sequence[str], now: datetime) -> list[str]:
        """Make these orders due at once, also ended ones; returns those that may have been sent at all."""

    def claim_due(self, scope: PollScope, now: datetime, lease_until: datetime, limit: int) -> list[DuePoll]:
        """Claim at most ``limit`` due orders; no other caller gets them before ``lease_until``."""

    def reschedule(self, due_at: Mapping[str, datetime], lease_until: datetime) -> None:
        """Set when each of these orders, claimed until ``lease_until``, is polled next.

        An order that a callback hastened meanwhile keeps its place, because the answer just recorded may be
        older than the callback's news.
        """

    def forget(self, request_ids: Sequence[str], lease_until: datetime) -> None:
        """Unschedule these orders, claimed until ``lease_until``, unless they were hastened."""

    def next_due(self, scope: PollScope) -> datetime | None:
        """When the next poll of the scope is due; None when there is none."""


class PostgresPollSchedule:
    """:class:`PollSchedule` in the table ``sat.poll_schedule``.

    Claims and reschedules do not wait for the disk: after a server crash an order becomes due again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._polls = queries("polls")

    def enroll(self, scope: PollScope, due_at: datetime) -> None:
        if scope.batch_ids is not None:
            run(
                self._database,
                self._polls.enroll_batches,
                account=scope.account,
                batch_ids=list(scope.batch_ids),
                due_at=due_at,
            )
            return
        with self._database.transaction() as connection:
            self._polls.enroll(
                connection,
                batch_id=scope.batch_id,
                account=scope.account,
                due_at=due_at,
                late_due_at=late_due_at(due_at),
                late_since=late_since(due_at),
            )
            if scope.account is not None:
                self._polls.forget_strangers(
                    connection, account=scope.account, before=due_at - timedelta(days=STRANGER_DAYS)
                )

    def hasten(self, scope: PollScope, now: datetime) -> int:
        return len(run(self._database, self._polls.hasten, due_at=now, **scope.chosen))

    def ask_now(self, request_ids: Sequence[str], now: datetime) -> list[str]:
        with self._database.transaction() as connection:
            rows = self._polls.ask_now(connection, request_ids=list(request_ids), due_at=now)
            return [request_id for (request_id,) in rows]

    def claim_due(self, scope: PollScope, now: datetime, lease_until: datetime, limit: int) -> list[DuePoll]:
        with self._database.transaction(durable=False) as connection:
            rows = self._polls.claim_due(
                connection, now=now, lease_until=lease_until, limit=limit, **scope.chosen
            )
            return [DuePoll(request_id, polls) for request_id, polls in rows]

    def reschedule(self, due_at: Mapping[str, datetime], lease_until: datetime) -> None:
        if not due_at:
            return
        with self._database.transaction(durable=False) as connection:
            self._polls.reschedule(
                connection,
                request_ids=list(due_at),
                due_ats=list(due_at.values()),
                lease_until=lease_until,
            )

    def forget(self, request_ids: Sequence[str], lease_until: datetime) -> None:
        if not request_ids:
            return
        with self._database.transaction(durable=False) as connection:
            self._polls.forget(connection, request_ids=list(request_ids), lease_until=lease_until)

    def next_due(self, scope: PollScope) -> datetime | None:
        due: datetime | None = run(self._database, self._polls.next_due, **scope.chosen)
        return due


class AwaitedOrders:
    """What the waits of one account look at: one statement for any number of them."""

    def __init__(self, database: Database, account: str) -> None:
        self._database = database
        self._account = account
        self._polls = queries("polls")

    def accounts_of(self, batch_ids: Sequence[str]) -> dict[str, str]:
        """The account of each batch; unknown ones are left out."""
        return dict(run(self._database, self._polls.accounts_of_batches, batch_ids=list(batch_ids)))

    def in_flight(self, batch_ids: Sequence[str]) -> dict[str, int]:
        """How many orders of each batch are in flight; batches without any are left out."""
        chosen = {"account": self._account, "batch_ids": list(batch_ids)}
        return dict(run(self._database, self._polls.in_flight_of_batches, **chosen))

    def states(self, request_ids: Sequence[str]) -> dict[str, OrderState]:
        """The state of each order; unknown ones are left out."""
        chosen = {"account": self._account, "request_ids": list(request_ids)}
        rows = run(self._database, self._polls.states_of_orders, **chosen)
        return {request_id: OrderState(state) for request_id, state in rows}


def late_due_at(due_at: datetime) -> datetime:
    """When an escalated order becomes due if an order in flight would be due at ``due_at``."""
    return due_at + timedelta(seconds=LATE_PAUSE_SECONDS)


def late_since(now: datetime) -> datetime:
    """Escalated orders that were sent before this are no longer polled."""
    return now - timedelta(days=LATE_DAYS)


def callback_channel(account: str) -> str:
    """The channel on which the receiver announces callbacks of ``account`` (``sat.callback_channel``)."""
    return f"sat_callback_{hashlib.md5(account.encode('utf-8'), usedforsecurity=False).hexdigest()}"
