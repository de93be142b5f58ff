"""When ended orders are rechecked. Operational state, shared by all recheckers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol

from sat_hook.domain.order_events import END_TYPES
from sat_hook.domain.rechecks import RecheckFinding
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries, run

POSITIONS_AT_ONCE = 50_000
COUNTED = timedelta(days=60)
"""Counts of rechecks that were overdue for longer change no more."""
MAXIMUM_GIVEN_UP = 50_000
"""Overdue rechecks that one call gives up at most; the rest is the next run's."""


class RecheckKey(NamedTuple):
    """One recheck: the position of its end event, and how many business days after it."""

    end_position: int
    days: int


@dataclass(frozen=True, slots=True)
class DueRecheck:
    """A recheck that this caller may do now; ``tries`` counts the attempts, including this one."""

    key: RecheckKey
    request_id: str
    tries: int


@dataclass(frozen=True, slots=True)
class RecheckCount:
    """Counts of one account's rechecks on one business day (WIB), ``days`` after the end.

    :param waiting: due, and the day is not over.
    :param in_time: done on their day.
    :param late: done after their day.
    :param missed: the day is over without an answer that proves anything.
    :param changed: how many of the completed rechecks found something new.
    """

    account: str
    days: int
    due_on: date
    waiting: int
    in_time: int
    late: int
    missed: int
    changed: int


class RecheckSchedule(Protocol):
    """The rechecks of one deployment. Every method may raise StoreUnavailableError."""

    def enroll(self, days: int, hour: int) -> int:
        """Schedule a recheck ``days`` after every end in the log that has none yet; returns how many are new.

        ``hour`` (0 to 23, WIB) is the hour at which they become due.
        """

    def claim_due(
        self, account: str, days: Sequence[int], now: datetime, lease_until: datetime, limit: int
    ) -> list[DueRecheck]:
        """Claim at most ``limit`` due rechecks; no other caller gets them before ``lease_until``."""

    def close(self, findings: Mapping[RecheckKey, RecheckFinding], now: datetime) -> None:
        """Record the findings of these rechecks; a recheck that is already closed keeps its finding."""

    def postpone(self, next_try: Mapping[RecheckKey, tuple[datetime, str]]) -> None:
        """Set when to retry rechecks whose answers proved nothing, and what was wrong."""

    def give_up(self, account: str, overdue_before: datetime, now: datetime) -> int:
        """Close rechecks that are overdue since before ``overdue_before``, a limited number; returns how
        many."""

    def counts(self, now: datetime, since: datetime) -> list[RecheckCount]:
        """Counts of the rechecks that are due and were not over at ``since``, by account and day."""


class PostgresRecheckSchedule:
    """:class:`RecheckSchedule` in the table ``sat.final_watch``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watch = queries("final_watch")

    def enroll(self, days: int, hour: int) -> int:
        reader = f"final_watch/D+{days}"
        closed = PostgresEventStore(self._database).horizon()
        new = 0
        after = -1
        while after < closed:
            with self._database.transaction() as connection:
                after = int(self._watch.watch_cursor(connection, reader=reader))
                if after >= closed:
                    break
                up_to = min(closed, after + POSITIONS_AT_ONCE)
                new += self._watch.enroll_ends(
                    connection,
                    days=days,
                    hour=hour,
                    after_position=after,
                    up_to_position=up_to,
                    types=list(END_TYPES),
                )
                self._watch.move_watch_cursor(connection, reader=reader, position=up_to)
        return new

    def claim_due(
        self, account: str, days: Sequence[int], now: datetime, lease_until: datetime, limit: int
    ) -> list[DueRecheck]:
        chosen = {"account": account, "days": list(days), "limit": limit}
        rows = run(self._database, self._watch.claim_looks, now=now, lease_until=lease_until, **chosen)
        return [DueRecheck(RecheckKey(row[0], row[1]), row[2], row[3]) for row in rows]

    def close(self, findings: Mapping[RecheckKey, RecheckFinding], now: datetime) -> None:
        if not findings:
            return
        run(
            self._database,
            self._watch.close_looks,
            end_positions=[key.end_position for key in findings],
            days=[key.days for key in findings],
            findings=[finding.value for finding in findings.values()],
            now=now,
        )

    def postpone(self, next_try: Mapping[RecheckKey, tuple[datetime, str]]) -> None:
        if not next_try:
            return
        run(
            self._database,
            self._watch.postpone_looks,
            end_positions=[key.end_position for key in next_try],
            days=[key.days for key in next_try],
            next_try_ats=[moment for moment, _ in next_try.values()],
            troubles=[trouble for _, trouble in next_try.values()],
        )

    def give_up(self, account: str, overdue_before: datetime, now: datetime) -> int:
        chosen = {"account": account, "overdue_before": overdue_before, "limit": MAXIMUM_GIVEN_UP}
        with self._database.transaction() as connection:
            self._watch.put_counts_together(connection, account=account, since=now - COUNTED)
            return int(self._watch.give_up_looks(connection, now=now, **chosen))

    def counts(self, now: datetime, since: datetime) -> list[RecheckCount]:
        rows = run(self._database, self._watch.count_looks, now=now, since=since)
        return [RecheckCount(*row) for row in rows]
