"""One suite for both watches: when ended orders are rechecked, with either schedule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg2
import pytest

from sat_hook.domain import order_events as happened
from sat_hook.domain.event_record import Event
from sat_hook.domain.rechecks import RecheckFinding
from sat_hook.store.alerts import AlertBook
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change, EventStore
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.rechecks import PostgresRecheckSchedule, RecheckCount, RecheckKey, RecheckSchedule
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.rechecks import MemoryRecheckSchedule
from stack.databases import ApplicationDatabase
from tests.explained_database import ExplainedDatabase
from tests.orders import ACCOUNT, BY_TEST, ManualClock, received, stream_of

# 23:30 in Jakarta: the business day is the 2nd, whatever the day in UTC will be an hour later.
ENDED = datetime(2026, 11, 2, 16, 30, tzinfo=UTC)
DUE_D1 = datetime(2026, 11, 2, 23, 0, tzinfo=UTC)
OVER_D1 = datetime(2026, 11, 3, 17, 0, tzinfo=UTC)
LEASE = timedelta(minutes=5)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
REQUESTED = happened.CheckoutRequested(
    attempt=1, body="{}", price_rupiah=52_000, send_before=ENDED, settled_after=ENDED
)
REJECTED = happened.CheckoutRejected(attempt=1, code="P04", detail="", http_status=400)


def signed(kind: type[happened.SignedStatus], **more: object) -> happened.SignedStatus:
    """A signed status of some kind."""
    values = {
        "evidence_digest": "e" * 64,
        "observed_at": ENDED,
        "sales_price_rupiah": None,
        "admin_fee_rupiah": None,
        "partner_fee_rupiah": None,
    }
    return kind.model_validate({**values, **more})


SUCCEEDED = signed(happened.OrderSucceeded, fulfilled_at=None)
FAILED = signed(happened.OrderFailed, error_code="S02", error_detail="")
PENDING = signed(happened.OrderPending, reported_status="Pending")


@dataclass
class Kept:
    """A watch and the store beside it."""

    store: EventStore
    watch: RecheckSchedule

    def put(self, number: int, *events: Event, at: datetime = ENDED, account: str = ACCOUNT) -> str:
        """Append ``events`` to order ``number``, which begins with them if it is new; its request id."""
        stream = stream_of(number, account)
        before = self.store.load_orders([stream.key]).get(stream.key)
        if before is None:
            events = (received(number, account=account), *events)
        assert not self.store.append([Change.of_order(stream.key, before, events, at)], BY_TEST, at)
        return stream.key

    def claim(self, now: datetime, *, days: tuple[int, ...] = (1, 7), limit: int = 10) -> list[str]:
        """The request ids of what is due."""
        return [look.request_id for look in self.watch.claim_due(ACCOUNT, days, now, now + LEASE, limit)]


@pytest.fixture(params=["memory", "postgres"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Each watch in turn."""
    if request.param == "memory":
        store = MemoryEventStore(ManualClock())
        yield Kept(store, MemoryRecheckSchedule(store))
        return
    database = Database(request.getfixturevalue("database").writer_dsn)
    yield Kept(PostgresEventStore(database), PostgresRecheckSchedule(database))
    database.close()


def test_every_end_is_enrolled_once_and_nothing_else(kept: Kept) -> None:
    """Success, failure, rejection and what people decided; not what is under way."""
    kept.put(1, REQUESTED, SUCCEEDED)
    kept.put(2, REQUESTED, FAILED)
    kept.put(3, REQUESTED, REJECTED)
    kept.put(4, REQUESTED, happened.SucceededByOperator(reason="seen"))
    kept.put(5, REQUESTED, happened.FailedByOperator(reason="seen"))
    kept.put(6, REQUESTED, PENDING)
    kept.put(7, REQUESTED, happened.OrderEscalated(reason="late"))
    assert kept.watch.enroll(1, 6) == 5
    assert kept.watch.enroll(1, 6) == 0
    kept.put(8, REQUESTED, SUCCEEDED)
    assert kept.watch.enroll(1, 6) == 1


def test_marks_fall_on_business_days_of_jakarta(kept: Kept) -> None:
    """An end at 23:30 is looked at from 6 o'clock of the day that begins half an hour later."""
    key = kept.put(1, REQUESTED, SUCCEEDED)
    kept.watch.enroll(1, 6)
    kept.watch.enroll(7, 6)
    assert kept.claim(DUE_D1 - timedelta(seconds=1)) == []
    assert kept.claim(DUE_D1) == [key]
    assert kept.claim(DUE_D1) == [], "claimed once"
    week = DUE_D1 + timedelta(days=6)
    assert kept.claim(week - timedelta(seconds=1), days=(7,)) == []
    assert kept.claim(week, days=(7,)) == [key]


def test_a_mark_that_is_added_later_covers_what_ended_before(kept: Kept) -> None:
    """Each mark reads the log from its beginning."""
    key = kept.put(1, REQUESTED, SUCCEEDED)
    assert kept.watch.enroll(1, 6) == 1
    assert kept.watch.enroll(30, 0) == 1
    assert kept.claim(DUE_D1 + timedelta(days=40), days=(30,)) == [key]


def test_a_second_end_is_watched_anew(kept: Kept) -> None:
    """A late success has marks of its own; those of the failure stay."""
    key = kept.put(1, REQUESTED, FAILED)
    kept.watch.enroll(1, 6)
    kept.put(1, SUCCEEDED, at=ENDED + timedelta(days=1))
    assert kept.watch.enroll(1, 6) == 1
    assert kept.claim(DUE_D1) == [key]
    assert kept.claim(DUE_D1 + timedelta(days=1)) == [key, key], "the lease of the first has run out"


def test_a_claim_is_bounded_and_of_one_account(kept: Kept) -> None:
    """Another account's orders are not included."""
    mine = [kept.put(number, REQUESTED, SUCCEEDED) for number in (1, 2, 3)]
    kept.put(4, REQUESTED, SUCCEEDED, account="another")
    assert kept.watch.enroll(1, 6) == 4
    first = kept.claim(DUE_D1, limit=2)
    second = kept.claim(DUE_D1, limit=10)
    assert len(first) == 2
    assert sorted(first + second) == sorted(mine)


def test_a_look_is_had_once(kept: Kept) -> None:
    """Closed is closed; a second finding changes nothing."""
    kept.put(1, REQUESTED, SUCCEEDED)
    kept.watch.enroll(1, 6)
    (look,) = kept.watch.claim_due(ACCOUNT, (1,), DUE_D1, DUE_D1 + LEASE, 10)
    kept.watch.close({look.key: RecheckFinding.SAME}, DUE_D1)
    kept.watch.close({look.key: RecheckFinding.CHANGED}, OVER_D1)
    kept.watch.postpone({look.key: (DUE_D1, "late")})
    assert kept.claim(OVER_D1) == []
    assert kept.watch.counts(OVER_D1, LONG_AGO) == [
        RecheckCount(ACCOUNT, 1, date(2026, 11, 3), waiting=0, in_time=1, late=0, missed=0, changed=0)
    ]


def test_a_look_without_an_answer_comes_due_again(kept: Kept) -> None:
    """When it was told to, and it counts its tries."""
    kept.put(1, REQUESTED, SUCCEEDED)
    kept.watch.enroll(1, 6)
    (look,) = kept.watch.claim_due(ACCOUNT, (1,), DUE_D1, DUE_D1 + LEASE, 10)
    again = DUE_D1 + timedelta(hours=1)
    kept.watch.postpone({look.key: (again, "timeout")})
    assert kept.claim(again - timedelta(seconds=1)) == []
    (second,) = kept.watch.claim_due(ACCOUNT, (1,), again, again + LEASE, 10)
    assert (look.tries, second.tries) == (1, 2)


def test_misses_are_seen(kept: Kept) -> None:
    """To do, in time, late, missed and given up are told apart."""
    for number in range(1, 5):
        kept.put(number, REQUESTED, SUCCEEDED)
    kept.watch.enroll(1, 6)
    looks = kept.watch.claim_due(ACCOUNT, (1,), DUE_D1, DUE_D1 + LEASE, 10)
    assert kept.watch.counts(DUE_D1, LONG_AGO)[0].waiting == 4
    kept.watch.close({looks[0].key: RecheckFinding.SAME}, DUE_D1)
    kept.watch.close({looks[1].key: RecheckFinding.CHANGED}, OVER_D1 + LEASE)
    late = OVER_D1 + timedelta(days=1)
    (count,) = kept.watch.counts(late, LONG_AGO)
    assert (count.in_time, count.late, count.missed, count.changed) == (1, 1, 2, 1)
    assert kept.watch.give_up(ACCOUNT, OVER_D1, late) == 0, "not overdue for long enough"
    assert kept.watch.give_up(ACCOUNT, OVER_D1 + LEASE, late) == 2
    assert kept.watch.counts(late, LONG_AGO) == [count], "given up is missed for good"
    assert kept.claim(late) == []
    assert kept.watch.counts(late, OVER_D1 + LEASE) == [], "too long ago to be told"


def test_nothing_to_do_is_no_error(kept: Kept) -> None:
    """An empty log, and nothing to close or postpone."""
    assert kept.watch.enroll(1, 6) == 0
    assert kept.claim(DUE_D1) == []
    kept.watch.close({}, DUE_D1)
    kept.watch.postpone({})
    kept.watch.close({}, DUE_D1)
    assert RecheckKey(1, 7) > RecheckKey(1, 1)


_PAST = """
INSERT INTO sat.final_watch (
    end_position, days, request_id, account, due_at, overdue_at, next_try_at, closed_at, finding
)
SELECT
    n, 1, 'S' || lpad(n::text, 31, '2'), %(account)s, day, day + interval '18 h', day,
    CASE WHEN n <= 50000 THEN day END, CASE WHEN n <= 50000 THEN 'same' END
FROM generate_series(1, 60000) AS n
CROSS JOIN LATERAL (SELECT timestamptz '2026-11-02 23:00Z' + n / 1000 * interval '1 day') AS d (day);
INSERT INTO sat.alerts (key, kind, account, text, occurred_at, notified_at, announced_at)
SELECT n::text, 'break', %(account)s, 'x', now(), now(), now() FROM generate_series(1, 20000) AS n;
ANALYZE sat.final_watch;
ANALYZE sat.alerts;
"""


def test_a_round_reads_what_is_due_and_not_the_past(database: ApplicationDatabase) -> None:
    """Claims, overdue rechecks and untold alerts are found by indexes over what is open."""
    with closing(psycopg2.connect(database.owner_dsn)) as connection, connection:
        connection.cursor().execute(_PAST, {"account": ACCOUNT})
    with closing(ExplainedDatabase(database.writer_dsn)) as explained:
        watch, book = PostgresRecheckSchedule(explained), AlertBook(explained)
        late = datetime(2027, 3, 1, tzinfo=UTC)
        assert len(watch.claim_due(ACCOUNT, (1, 7), late, late + LEASE, 128)) == 128
        assert watch.give_up(ACCOUNT, datetime(2026, 12, 26, tzinfo=UTC), late) > 0
        assert book.claim(late, late + LEASE, 100) == []
        assert book.unannounced(100) == []
        claim, _, give_up, *alerts = explained.plans
    assert "final_watch_open" in claim
    assert "final_watch_overdue_open" in give_up
    for plan in (claim, give_up, *alerts):
        assert "Seq Scan" not in plan, plan
    assert "alerts_to_notify" in alerts[0]
    assert "alerts_to_announce" in alerts[1]
