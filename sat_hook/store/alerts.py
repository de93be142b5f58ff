"""The alerts table: what to notify people of, and whether they were notified. Operational state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extensions import connection as Connection

from sat_hook.domain.alerts import ALERTING_AFTER_AN_END, ALERTING_TYPES, ENDS, Alert, AlertKind
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.store.log import cursor_of, move_cursor, recorded_from_row
from sat_hook.store.statements import Statements, run

READER = "alerts"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event that may raise an alert, with the earlier ends of its stream, its account and its batch."""

    recorded: RecordedEvent
    earlier_ends: frozenset[str]
    account: str
    batch_id: str | None


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that this caller may send; ``tries`` counts the attempts, including this one."""

    alert: Alert
    tries: int


@dataclass(frozen=True, slots=True)
class ToldAlert:
    """An alert and its delivery state.

    :param notified_at: when its delivery was settled; None while it will still be tried.
    :param trouble: why it was not sent, or not yet; None once it was sent.
    :param number: its number in the table, where that was read.
    """

    alert: Alert
    tries: int
    raised_at: datetime
    notified_at: datetime | None
    trouble: str | None
    number: int = 0

    @property
    def was_told(self) -> bool:
        """Whether a notifier accepted it."""
        return self.notified_at is not None and self.trouble is None


class AlertBook(Statements, room="alerts"):
    """The tables ``sat.alerts`` and ``sat.log_cursors``."""

    def read_up_to(self) -> int:
        """The position up to which the log has been read."""
        return cursor_of(self._database, READER)

    def candidates(self, after_position: int, up_to_position: int, limit: int = 1000) -> list[Candidate]:
        """A page of the events that may raise alerts, by position."""
        rows = self._run(
            self._sql.alerting_events,
            after_position=after_position,
            up_to_position=up_to_position,
            types=list(ALERTING_TYPES),
            after_an_end=list(ALERTING_AFTER_AN_END),
            ends=list(ENDS),
            limit=limit,
        )
        return [
            Candidate(recorded_from_row(row[:11]), frozenset(row[11]), row[12], row[13] or None)
            for row in rows
        ]

    def add(
        self,
        alerts: Sequence[Alert],
        *,
        read_up_to: int | None = None,
        connection: Connection | None = None,
    ) -> int:
        """Store alerts, and how far the log was read, in one transaction; returns how many keys are new.

        :param connection: the caller's transaction, for alerts that must be rolled back with it.
        """
        if connection is not None:
            return self._add(connection, alerts, read_up_to)
        with self._database.transaction() as own:
            return self._add(own, alerts, read_up_to)

    def _add(self, connection: Connection, alerts: Sequence[Alert], read_up_to: int | None) -> int:
        new = 0
        if alerts:
            rows = self._sql.add_alerts(
                connection,
                keys=[alert.key for alert in alerts],
                kinds=[alert.kind.value for alert in alerts],
                accounts=[alert.account for alert in alerts],
                batch_ids=[alert.batch_id for alert in alerts],
                subjects=[alert.subject for alert in alerts],
                texts=[alert.text for alert in alerts],
                occurred_ats=[alert.occurred_at for alert in alerts],
            )
            new = len(list(rows))
        if read_up_to is not None:
            move_cursor(connection, READER, read_up_to)
        return new

    def claim(self, now: datetime, lease_until: datetime, limit: int) -> list[OpenAlert]:
        """Claim unsent alerts; no other caller gets them before ``lease_until``."""
        statement = self._sql.claim_alerts_to_notify
        rows = run(self._database, statement, now=now, lease_until=lease_until, limit=limit)
        return [OpenAlert(_alert(row[1:8]), row[8]) for row in rows]

    def settle_notified(self, keys: Collection[str], now: datetime) -> None:
        """Record that these were sent."""
        self._run(self._sql.settle_notified, keys=list(keys), now=now)

    def settle_logged(self, keys: Collection[str], now: datetime, trouble: str) -> None:
        """Record that these were only written to a task's log."""
        self._run(self._sql.settle_logged, keys=list(keys), now=now, trouble=trouble)

    def settle_not_notified(self, keys: Collection[str], next_try_at: datetime, trouble: str) -> None:
        """Record that the notifier did not accept these."""
        chosen = {"keys": list(keys), "next_try_at": next_try_at, "trouble": trouble}
        self._run(self._sql.settle_not_notified, **chosen)

    def unannounced(self, limit: int) -> list[Alert]:
        """Alerts that have no asset event yet, oldest first."""
        return [_alert(row[:7]) for row in self._run(self._sql.alerts_to_announce, limit=limit)]

    def settle_announced(self, keys: Collection[str], now: datetime) -> None:
        """Record that the asset events of these were emitted."""
        self._run(self._sql.settle_announced, keys=list(keys), now=now)

    def recent(
        self, limit: int = 50, *, only_untold: bool = False, before_id: int | None = None
    ) -> list[ToldAlert]:
        """The newest alerts, sent or not.

        :param before_id: only those before the alert of this number.
        """
        chosen = {"only_untold": only_untold, "before_id": before_id, "limit": limit}
        return [told_alert(row) for row in self._run(self._sql.recent_alerts, **chosen)]

    def of_kinds(self, kinds: Sequence[AlertKind], limit: int) -> list[ToldAlert]:
        """The newest alerts of some kinds, sent or not."""
        chosen = {"kinds": [kind.value for kind in kinds], "limit": limit}
        return [told_alert(row) for row in self._run(self._sql.alerts_of_kinds, **chosen)]


def told_alert(row: Sequence[Any]) -> ToldAlert:
    """A row of the alerts' queries as an alert with its delivery state."""
    return ToldAlert(_alert(row[:7]), *row[7:])


def _alert(row: Sequence[Any]) -> Alert:
    key, kind, account, text, occurred_at, batch_id, subject = row
    return Alert(key, AlertKind(kind), account, text, occurred_at, batch_id, subject)
