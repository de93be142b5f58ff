"""When which order is asked about next: operational state, shared by every poller of a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sat_hook.store.database import Database
from sat_hook.store.statements import queries

# What was handed to people may still end by itself, and its callback may have been lost.
LATE_PAUSE_SECONDS = 3600.0
LATE_DAYS = 7
# A callback hastens a question and is kept as evidence elsewhere. Of an order that nobody ever submitted here
# it waits for so long: others may pay from the same account.
STRANGER_DAYS = 7


@dataclass(frozen=True, slots=True)
class DuePoll:
    """An order that this caller may ask about now; ``polls`` counts the questions, this one included."""

    request_id: str
    polls: int


@dataclass(frozen=True, slots=True)
class PollScope:
    """Whose orders: those of one batch, or all of an account."""

    batch_id: str | None = None
    account: str | None = None

    def __post_init__(self) -> None:
        if (self.batch_id is None) == (self.account is None):
            raise ValueError("a scope is either a batch or an account")


class PollSchedule(Protocol):
    """The schedule of one deployment. Two pollers at once share the due orders, they never both get one."""

    def enroll(self, scope: PollScope, due_at: datetime) -> None:
        """Put every order in flight of the scope on the schedule; those already there keep their place.

        Of an account, escalated orders too, for ``LATE_DAYS`` after they were sent: they come due
        ``LATE_PAUSE_SECONDS`` after ``due_at``. And reversals that a signed Success has put in doubt, for
        ``LATE_DAYS`` after that. Callbacks of an account that wait for an order which is not
        known after ``STRANGER_DAYS`` leave the queue.
        """

    def hasten(self, scope: PollScope, now: datetime) -> int:
        """Make orders due at once for which a callback came; returns how many."""

    def claim_due(self, scope: PollScope, now: datetime, lease_until: datetime, limit: int) -> list[DuePoll]:
        """Take at most ``limit`` orders that are due; nobody else gets them before ``lease_until``."""

    def reschedule(self, due_at: Mapping[str, datetime], lease_until: datetime) -> None:
        """Set when each of these orders, claimed until ``lease_until``, is asked about next.

        An order that a callback hastened meanwhile keeps its place: the answer that was just recorded may
        be older than what the callback was about.
        """

    def forget(self, request_ids: Sequence[str], lease_until: datetime) -> None:
        """These orders, claimed until ``lease_until``, need no more questions, unless they were hastened."""

    def next_due(self, scope: PollScope) -> datetime | None:
        """When the next question of the scope is due; None when there is none."""


class PostgresPollSchedule:
    """:class:`PollSchedule` in the table ``sat.poll_schedule``.

    What is claimed and put off is not waited for on disk: after a crash of the server an order comes due
    again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._polls = queries("polls")

    def enroll(self, scope: PollScope, due_at: datetime) -> None:
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
        with self._database.transaction() as connection:
            return len(
                list(
                    self._polls.hasten(connection, batch_id=scope.batch_id, account=scope.account, due_at=now)
                )
            )

    def claim_due(self, scope: PollScope, now: datetime, lease_until: datetime, limit: int) -> list[DuePoll]:
        with self._database.transaction(durable=False) as connection:
            rows = self._polls.claim_due(
                connection,
                batch_id=scope.batch_id,
                account=scope.account,
                now=now,
                lease_until=lease_until,
                limit=limit,
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
        with self._database.transaction() as connection:
            due: datetime | None = self._polls.next_due(
                connection, batch_id=scope.batch_id, account=scope.account
            )
            return due


def late_due_at(due_at: datetime) -> datetime:
    """When an escalated order comes due, where one in flight would at ``due_at``."""
    return due_at + timedelta(seconds=LATE_PAUSE_SECONDS)


def late_since(now: datetime) -> datetime:
    """Escalated orders that were sent before this are not asked about any more."""
    return now - timedelta(days=LATE_DAYS)


def callback_channel(account: str) -> str:
    """The channel on which the receiver announces callbacks of ``account`` (``sat.callback_channel``)."""
    return f"sat_callback_{hashlib.md5(account.encode('utf-8'), usedforsecurity=False).hexdigest()}"
