"""Rechecks of ended orders in memory: small and single-threaded. Passes the same conformance suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sat_hook.domain.business_day import business_day
from sat_hook.domain.order_events import END_TYPES
from sat_hook.domain.rechecks import RecheckFinding, recheck_times
from sat_hook.store.rechecks import DueRecheck, RecheckCount, RecheckKey
from sat_hook.testing.event_store import MemoryEventStore


@dataclass(slots=True)
class _Look:
    request_id: str
    account: str
    due_at: datetime
    overdue_at: datetime
    next_try_at: datetime
    tries: int = 0
    closed_at: datetime | None = None
    finding: RecheckFinding | None = None

    def is_late(self) -> bool:
        return self.closed_at is not None and self.closed_at >= self.overdue_at

    def is_missed(self, now: datetime) -> bool:
        return self.finding is RecheckFinding.GIVEN_UP or (self.closed_at is None and self.overdue_at <= now)


class MemoryRecheckSchedule:
    """:class:`~sat_hook.store.rechecks.RecheckSchedule` beside a :class:`MemoryEventStore`."""

    def __init__(self, store: MemoryEventStore) -> None:
        self._store = store
        self._looks: dict[RecheckKey, _Look] = {}
        self._cursors: dict[int, int] = {}

    def enroll(self, days: int, hour: int) -> int:
        new = 0
        for recorded in self._store.log[self._cursors.get(days, 0) :]:
            if recorded.type_name in END_TYPES:
                order = self._store.orders[recorded.stream.key]
                due_at, overdue_at = recheck_times(recorded.occurred_at, days, hour)
                look = _Look(order.request_id, order.account, due_at, overdue_at, due_at)
                self._looks[RecheckKey(recorded.position, days)] = look
                new += 1
        self._cursors[days] = len(self._store.log)
        return new

    def claim_due(
        self, account: str, days: Sequence[int], now: datetime, lease_until: datetime, limit: int
    ) -> list[DueRecheck]:
        due = sorted(
            (look.next_try_at, key)
            for key, look in self._looks.items()
            if look.account == account
            and look.closed_at is None
            and look.next_try_at <= now
            and key.days in days
        )
        claimed = []
        for _, key in due[:limit]:
            look = self._looks[key]
            look.next_try_at = lease_until
            look.tries += 1
            claimed.append(DueRecheck(key, look.request_id, look.tries))
        return claimed

    def close(self, findings: Mapping[RecheckKey, RecheckFinding], now: datetime) -> None:
        for key, finding in findings.items():
            look = self._looks[key]
            if look.closed_at is None:
                look.closed_at, look.finding = now, finding

    def postpone(self, next_try: Mapping[RecheckKey, tuple[datetime, str]]) -> None:
        for key, (moment, _) in next_try.items():
            if self._looks[key].closed_at is None:
                self._looks[key].next_try_at = moment

    def give_up(self, account: str, overdue_before: datetime, now: datetime) -> int:
        overdue = [
            key
            for key, look in self._looks.items()
            if look.account == account and look.closed_at is None and look.overdue_at < overdue_before
        ]
        self.close(dict.fromkeys(overdue, RecheckFinding.GIVEN_UP), now)
        return len(overdue)

    def counts(self, now: datetime, since: datetime) -> list[RecheckCount]:
        groups: dict[tuple[str, datetime, int], list[_Look]] = {}
        for key, look in self._looks.items():
            if look.due_at <= now and look.overdue_at > since:
                groups.setdefault((look.account, look.due_at, key.days), []).append(look)
        return [
            RecheckCount(
                account,
                days,
                business_day(due_at),
                waiting=sum(look.closed_at is None and not look.is_missed(now) for look in looks),
                in_time=sum(
                    look.closed_at is not None and not look.is_late() and not look.is_missed(now)
                    for look in looks
                ),
                late=sum(look.is_late() and not look.is_missed(now) for look in looks),
                missed=sum(look.is_missed(now) for look in looks),
                changed=sum(look.finding is RecheckFinding.CHANGED for look in looks),
            )
            for (account, due_at, days), looks in sorted(groups.items(), key=lambda item: item[0])
        ]
