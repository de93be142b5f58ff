"""One suite for both poll schedules: what pollers and receivers may rely on with either schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import psycopg2
import pytest

from sat_hook.domain import order_events as happened
from sat_hook.domain.event_record import Event
from sat_hook.domain.identity import batch_id_of
from sat_hook.store.callbacks import Callback, CallbackTable
from sat_hook.store.database import Database
from sat_hook.store.event_store import EventStore
from sat_hook.store.poll_schedule import (
    LATE_DAYS,
    LATE_PAUSE_SECONDS,
    STRANGER_DAYS,
    DuePoll,
    PollSchedule,
    PollScope,
    PostgresPollSchedule,
)
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.poll_schedule import MemoryPollSchedule
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock, change_of, received, stream_of

OTHER_BATCH = batch_id_of(ACCOUNT, "another batch")
OF_BATCH = PollScope(batch_id=BATCH)
OF_ACCOUNT = PollScope(account=ACCOUNT)
LEASE = T0 + timedelta(seconds=60)
VALIDATED = happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000)
REQUESTED = happened.CheckoutRequested(
    attempt=1,
    body="{}",
    price_rupiah=52_000,
    send_before=T0 + timedelta(seconds=15),
    settled_after=T0 + timedelta(seconds=55),
)


@dataclass
class Kept:
    """A schedule, the store beside it, and the receiver's way in."""

    store: EventStore
    schedule: PollSchedule
    receive: Callable[[str, str, str], bool]

    def take_in(self, number: int, *events: Event, batch_id: str = BATCH) -> str:
        """Order ``number`` after ``events``; returns its request id."""
        first = received(number, batch_id=batch_id)
        self.store.append([change_of(None, number, first, *events)], BY_TEST, T0)
        return stream_of(number).key


@pytest.fixture(params=["memory", "postgres"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Each schedule in turn."""
    if request.param == "memory":
        store = MemoryEventStore(ManualClock())
        schedule = MemoryPollSchedule(store)
        yield Kept(store, schedule, schedule.receive)
        return
    application = request.getfixturevalue("new_database")()
    writer, receiver = Database(application.writer_dsn), Database(application.receiver_dsn)
    inbox = CallbackTable(receiver)

    def receive(account: str, request_id: str, digest: str) -> bool:
        [is_new] = inbox.receive(
            [Callback(account, request_id, digest, b"{}", "s", "k", "application/json", "")]
        )
        return is_new

    yield Kept(PostgresEventStore(writer), PostgresPollSchedule(writer), receive)
    writer.close()
    receiver.close()


def test_only_orders_in_flight_are_enrolled_and_keep_their_place(kept: Kept) -> None:
    """Enrolling again neither moves an order nor forgets how often it was asked about."""
    flying = kept.take_in(1, VALIDATED, REQUESTED)
    kept.take_in(2, VALIDATED)
    kept.schedule.enroll(OF_BATCH, T0)
    assert kept.schedule.claim_due(OF_BATCH, T0, LEASE, 10) == [DuePoll(flying, 1)]
    kept.schedule.enroll(OF_BATCH, T0)
    assert kept.schedule.claim_due(OF_BATCH, T0, LEASE, 10) == []
    assert kept.schedule.next_due(OF_BATCH) == LEASE
    assert kept.schedule.claim_due(OF_BATCH, LEASE, LEASE + timedelta(seconds=60), 10) == [DuePoll(flying, 2)]


def test_a_claim_takes_what_is_due_longest_and_no_more_than_its_limit(kept: Kept) -> None:
    """Two pollers share the due orders; neither gets what the other has."""
    keys = [kept.take_in(number, VALIDATED, REQUESTED) for number in (1, 2, 3)]
    kept.schedule.enroll(OF_BATCH, T0)
    kept.schedule.claim_due(OF_BATCH, T0, LEASE, 3)
    due = {key: T0 + timedelta(seconds=number) for number, key in enumerate(keys, 1)}
    kept.schedule.reschedule(due, LEASE)

    now = T0 + timedelta(seconds=2)
    first = kept.schedule.claim_due(OF_BATCH, now, LEASE, 1)
    second = kept.schedule.claim_due(OF_BATCH, now, LEASE, 10)
    assert [poll.request_id for poll in (*first, *second)] == keys[:2]
    assert kept.schedule.next_due(OF_BATCH) == due[keys[2]]


def test_a_scope_is_a_batch_or_an_account(kept: Kept) -> None:
    """A batch's poller leaves other batches alone; the account's has them all."""
    here = kept.take_in(1, VALIDATED, REQUESTED)
    there = kept.take_in(2, VALIDATED, REQUESTED, batch_id=OTHER_BATCH)
    kept.schedule.enroll(OF_BATCH, T0)
    assert [poll.request_id for poll in kept.schedule.claim_due(OF_ACCOUNT, T0, LEASE, 10)] == [here]
    kept.schedule.enroll(OF_ACCOUNT, T0)
    assert kept.schedule.claim_due(OF_BATCH, T0, LEASE, 10) == []
    assert [poll.request_id for poll in kept.schedule.claim_due(OF_ACCOUNT, T0, LEASE, 10)] == [there]
    assert kept.schedule.next_due(PollScope(account="nobody")) is None


def test_a_callback_makes_its_order_due_at_once_whatever_its_state(kept: Kept) -> None:
    """Also for an order that has ended by then: something may have changed."""
    key = kept.take_in(1, VALIDATED, REQUESTED, happened.OrderEscalated(reason="long ago"))
    kept.schedule.enroll(OF_BATCH, T0)
    assert kept.schedule.next_due(OF_BATCH) is None
    assert kept.receive(ACCOUNT, key, "a" * 64) is True
    assert kept.schedule.hasten(OF_BATCH, T0) == 1
    assert kept.schedule.claim_due(OF_BATCH, T0, LEASE, 10) == [DuePoll(key, 1)]


def test_a_person_makes_orders_due_at_once(kept: Kept) -> None:
    """Also an ended one and one that is scheduled for later; what was never sent is not asked about."""
    ended = kept.take_in(1, VALIDATED, REQUESTED, happened.OrderEscalated(reason="long ago"))
    later, unsent = kept.take_in(2, VALIDATED, REQUESTED), kept.take_in(3, VALIDATED)
    kept.schedule.enroll(OF_BATCH, T0 + timedelta(hours=1))
    asked = kept.schedule.ask_now([ended, later, unsent, "S-strange"], T0)
    assert set(asked) == {ended, later}
    assert set(kept.schedule.claim_due(OF_BATCH, T0, LEASE, 10)) == {DuePoll(ended, 1), DuePoll(later, 1)}


def test_the_same_bytes_count_once(kept: Kept) -> None:
    """A callback that came before makes no order due again."""
    key = kept.take_in(1, VALIDATED, REQUESTED)
    assert kept.receive(ACCOUNT, key, "a" * 64) is True
    assert kept.receive(ACCOUNT, key, "a" * 64) is False
    assert kept.receive(ACCOUNT, key, "b" * 64) is True
    assert kept.schedule.hasten(OF_BATCH, T0) == 1
    assert kept.schedule.hasten(OF_BATCH, T0) == 0


def test_a_callback_for_an_order_that_was_not_sent_yet_waits(kept: Kept) -> None:
    """It may overtake the commit of the intent and is not lost for that. Strangers' orders stay queued."""
    unsent = kept.take_in(1, VALIDATED)
    kept.receive(ACCOUNT, unsent, "a" * 64)
    kept.receive("somebody else", unsent, "b" * 64)
    kept.receive(ACCOUNT, "SUNKNOWN", "c" * 64)
    assert kept.schedule.hasten(OF_ACCOUNT, T0) == 0

    order = kept.store.load_orders([unsent])[unsent]
    quoted = happened.OrderQuoted(
        price_rupiah=52_000,
        source=happened.QuoteSource.CATALOGUE,
        admin_fee_rupiah=None,
        valid_until=T0 + timedelta(hours=1),
    )
    kept.store.append([change_of(order, 1, quoted, REQUESTED)], BY_TEST, T0)
    assert kept.schedule.hasten(OF_ACCOUNT, T0) == 1


def test_an_order_hastened_meanwhile_keeps_its_place(kept: Kept) -> None:
    """The answer that is being recorded may be older than what the callback was about."""
    key = kept.take_in(1, VALIDATED, REQUESTED)
    kept.schedule.enroll(OF_BATCH, T0)
    kept.schedule.claim_due(OF_BATCH, T0, LEASE, 1)
    kept.receive(ACCOUNT, key, "a" * 64)
    kept.schedule.hasten(OF_BATCH, T0)
    kept.schedule.reschedule({key: T0 + timedelta(hours=1)}, LEASE)
    kept.schedule.forget([key], LEASE)
    assert kept.schedule.next_due(OF_BATCH) == T0


def test_a_forgotten_order_is_asked_about_no_more(kept: Kept) -> None:
    """Until it is enrolled again; nothing to set or forget is no error."""
    key = kept.take_in(1, VALIDATED, REQUESTED)
    kept.schedule.enroll(OF_BATCH, T0)
    kept.schedule.claim_due(OF_BATCH, T0, LEASE, 1)
    kept.schedule.forget([key], LEASE)
    assert kept.schedule.next_due(OF_BATCH) is None
    kept.schedule.reschedule({}, LEASE)
    kept.schedule.forget([], LEASE)


def test_what_was_handed_to_people_is_asked_about_seldom_and_for_a_week(kept: Kept) -> None:
    """A late end whose callback was lost is found by the account's rounds; a batch's wait passes it over."""
    key = kept.take_in(1, VALIDATED, REQUESTED, happened.OrderEscalated(reason="late"))
    kept.schedule.enroll(OF_BATCH, T0)
    assert kept.schedule.next_due(OF_BATCH) is None
    kept.schedule.enroll(OF_ACCOUNT, T0)
    assert kept.schedule.next_due(OF_ACCOUNT) == T0 + timedelta(seconds=LATE_PAUSE_SECONDS)
    due = T0 + timedelta(seconds=LATE_PAUSE_SECONDS)
    assert kept.schedule.claim_due(OF_ACCOUNT, due, due + timedelta(seconds=60), 10) == [DuePoll(key, 1)]
    kept.schedule.forget([key], due + timedelta(seconds=60))
    kept.schedule.enroll(OF_ACCOUNT, T0 + timedelta(days=LATE_DAYS, seconds=1))
    assert kept.schedule.next_due(OF_ACCOUNT) is None


def test_a_doubted_reversal_is_asked_about_at_once_and_for_a_week(kept: Kept) -> None:
    """A signed Success after a reversal: the account's rounds ask again, until SAT has settled it."""
    signed = {
        "evidence_digest": "e" * 64,
        "observed_at": T0,
        "sales_price_rupiah": 52_000,
        "admin_fee_rupiah": None,
        "partner_fee_rupiah": None,
    }
    reversed_ = happened.OrderReversed(**signed, error_code="S02", error_detail="")
    succeeded = happened.OrderSucceeded(**signed, fulfilled_at=None)
    life = (VALIDATED, REQUESTED, succeeded, reversed_)
    kept.take_in(1, *life)
    key = kept.take_in(2, *life, happened.ReversalDoubted(**signed))
    kept.schedule.enroll(OF_BATCH, T0)
    assert kept.schedule.next_due(OF_BATCH) is None
    kept.schedule.enroll(OF_ACCOUNT, T0)
    assert kept.schedule.claim_due(OF_ACCOUNT, T0, LEASE, 10) == [DuePoll(key, 1)]
    kept.schedule.forget([key], LEASE)
    kept.schedule.enroll(OF_ACCOUNT, T0 + timedelta(days=LATE_DAYS, seconds=1))
    assert kept.schedule.next_due(OF_ACCOUNT) is None


def test_callbacks_of_other_peoples_orders_do_not_pile_up(database: ApplicationDatabase) -> None:
    """An account that other systems pay from, too: every look would read all that was ever called back."""
    opened = Database(database.writer_dsn)
    schedule = PostgresPollSchedule(opened)
    store = PostgresEventStore(opened)
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:

        def waiting() -> list[str]:
            cursor.execute("SELECT request_id FROM sat.callback_queue ORDER BY 1")
            found = [row[0] for row in cursor]
            connection.rollback()
            return found

        known = stream_of(1).key
        store.append([change_of(None, 1, received(1))], BY_TEST, T0)
        cursor.executemany(
            "INSERT INTO sat.callback_queue VALUES (%s, %s, %s, %s)",
            [
                (1, ACCOUNT, "A-STRANGER", T0),
                (2, ACCOUNT, known, T0),
                (3, ACCOUNT, "B-FRESH", T0 + timedelta(days=2)),
                (4, "another", "C-OF-ANOTHER", T0),
            ],
        )
        connection.commit()
        schedule.enroll(OF_ACCOUNT, T0 + timedelta(days=STRANGER_DAYS) - timedelta(seconds=1))
        assert len(waiting()) == 4
        schedule.enroll(OF_ACCOUNT, T0 + timedelta(days=STRANGER_DAYS) + timedelta(seconds=1))
        assert waiting() == ["B-FRESH", "C-OF-ANOTHER", known], "ours waits as long as it takes"
    opened.close()
