"""Alerts: noted once for each event, told at least once, by a notifier that may do what it likes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.commands.handler import CommandHandler
from sat_hook.domain import order_events as happened
from sat_hook.domain.account import ReportMovement
from sat_hook.domain.alerts import ALERTING_TYPES, Alert, AlertKind, AlertMessage, messages_of
from sat_hook.domain.batch_events import ChunkStopped, StopCause
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Event, registered_events
from sat_hook.domain.funds import Movement, MovementKind
from sat_hook.domain.notifications import Choice
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.operators.alerts import (
    ALERTS,
    SATCollectAlertsOperator,
    SATNotifyOperator,
    SATSettleAnnouncedOperator,
    SATTellUsersOperator,
)
from sat_hook.pipeline.alerting import collect_alerts, tell_people
from sat_hook.pipeline.limits import AlertingLimits
from sat_hook.store.event_store import Change
from sat_hook.store.notifications import NotificationBook
from stack.databases import ApplicationDatabase
from tests.airflow_connections import database_connection
from tests.integration.store.test_rechecks import FAILED, PENDING, REJECTED, REQUESTED, SUCCEEDED, signed
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock, received, stream_of, submitted
from tests.remembering import Remembering

REVERSED = signed(happened.OrderReversed, error_code="S02", error_detail="0812345678 is no number")
CONTRADICTED = signed(happened.EvidenceContradicted, reported_status="Pending")
ESCALATED = happened.OrderEscalated(reason="no end after 24 hours")


@dataclass
class Kept:
    """The application's database, as a task has it."""

    application: ApplicationHook
    clock: ManualClock = field(default_factory=ManualClock)
    sent: list[AlertMessage] = field(default_factory=list)

    def put(self, number: int, *events: Event) -> None:
        """Append ``events`` to order ``number``, which begins with them if it is new."""
        store, stream = self.application.store, stream_of(number)
        before = store.load_orders([stream.key]).get(stream.key)
        chain = events if before else (received(number), REQUESTED, *events)
        assert not store.append([Change.of_order(stream.key, before, chain, T0)], BY_TEST, T0)

    def collect(self) -> int:
        """Read the log."""
        return collect_alerts(self.application.store, self.application.alerts, AlertingLimits())

    def tell(self) -> int:
        """Tell people; how many alerts they were told of."""
        return tell_people(self.application.alerts, self.clock, self.sent.append, AlertingLimits()).told

    def kinds(self) -> list[AlertKind]:
        """What was noted so far, oldest first."""
        return [told.alert.kind for told in reversed(self.application.alerts.recent())]


@pytest.fixture
def kept(database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """A database that Airflow's hook finds."""
    monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST_DB", database_connection(database.writer_dsn))
    application = ApplicationHook("sat_test_db")
    yield Kept(application)
    application.database.close()


def test_what_is_watched_for_exists() -> None:
    """A renamed event must not fall silent."""
    assert set(ALERTING_TYPES) <= {name for name, _ in registered_events()}


def test_news_of_orders_is_noted_in_the_order_of_the_log(kept: Kept) -> None:
    """Escalations, reversals, late successes, contradictions, overcharges; ordinary ends are no news."""
    kept.put(1, SUCCEEDED)
    kept.put(2, FAILED)
    kept.put(3, REJECTED)
    kept.put(4, PENDING)
    assert kept.collect() == 0
    kept.put(5, ESCALATED)
    kept.put(1, REVERSED)
    kept.put(2, SUCCEEDED)
    kept.put(3, PENDING)
    kept.put(6, happened.FailedByOperator(reason="seen"), SUCCEEDED)
    kept.put(7, happened.SucceededByOperator(reason="seen"), FAILED)
    kept.put(8, SUCCEEDED, CONTRADICTED)
    kept.put(9, happened.ChargedAboveQuote(charged_rupiah=55_000, quote_rupiah=50_000), SUCCEEDED)
    assert kept.collect() == 8
    assert kept.kinds() == [
        AlertKind.ORDER_ESCALATED,
        AlertKind.ORDER_REVERSED,
        AlertKind.LATE_SUCCESS,
        AlertKind.EVIDENCE_CONTRADICTED,
        AlertKind.LATE_SUCCESS,
        AlertKind.EVIDENCE_CONTRADICTED,
        AlertKind.EVIDENCE_CONTRADICTED,
        AlertKind.CHARGED_ABOVE_QUOTE,
    ]
    assert kept.collect() == 0, "an event is news once"


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (
            (REJECTED, PENDING),
            "signed Pending after it was called failed; it may be paid yet: do not pay it again",
        ),
        (
            (happened.SucceededByOperator(reason="seen"), FAILED),
            "signed Failed after a person called it succeeded; it is failed now",
        ),
        ((SUCCEEDED, CONTRADICTED), "signed Pending fits nothing any more; the order stays as it is"),
        (
            (SUCCEEDED, signed(happened.EvidenceContradicted, reported_status="Lunas 0812345678")),
            "a signed status fits nothing any more; the order stays as it is",
        ),
    ],
)
def test_a_contradiction_says_what_it_means_for_the_money(
    kept: Kept, events: tuple[Event, ...], says: str
) -> None:
    """A person who reads it at night must not pay twice; an unknown word of SAT's stays out."""
    kept.put(1, *events)
    kept.collect()
    (told,) = kept.application.alerts.recent()
    assert told.alert.kind is AlertKind.EVIDENCE_CONTRADICTED
    assert told.alert.text == f"{stream_of(1).key}: {says}"


def test_news_of_batches_and_accounts_is_noted_with_whose_it_is(kept: Kept) -> None:
    """A stopped chunk and a foreign hand in the deposit."""
    store = kept.application.store
    store.append([submitted()], BY_TEST, T0)
    handler = CommandHandler(store, kept.clock)
    stopped = ChunkStopped(first_row=2, last_row=500, unsent=120, cause=StopCause.BREAKER)
    handler.apply_to_batch(BATCH, Record(stopped), BY_TEST)
    movement = Movement(MovementKind.FOREIGN_SPEND, expected_rupiah=1_000_000, found_rupiah=400_000)
    handler.apply_to_account(ACCOUNT, ReportMovement(movement, T0, T0 - timedelta(hours=1)), BY_TEST)
    assert kept.collect() == 2
    foreign, chunk = (told.alert for told in kept.application.alerts.recent())
    assert (chunk.kind, chunk.account, chunk.batch_id) == (AlertKind.CHUNK_STOPPED, ACCOUNT, BATCH)
    assert chunk.text == f"{BATCH}: 120 orders of rows 2 to 500 were not sent (breaker)"
    assert (foreign.kind, foreign.account, foreign.batch_id) == (AlertKind.FOREIGN_SPEND, ACCOUNT, None)
    assert foreign.text.startswith("400,000 rupiah found, at least 1,000,000 expected; compared with 2026-")


def test_a_thousand_alerts_are_one_message(kept: Kept) -> None:
    """Of one kind and account; the rest is counted."""
    for number in range(1, 31):
        kept.put(number, ESCALATED)
    kept.collect()
    assert kept.tell() == 30
    (message,) = kept.sent
    assert message.count == 30
    assert message.subject == "SAT account demo: orders without an end, handed to people (30)"
    lines = message.text.splitlines()
    assert len(lines) == 12
    assert lines[10:] == ["… and 20 more", f"batches: {BATCH}"]
    assert kept.tell() == 0, "told is told"


def test_texts_hold_no_customer_and_no_word_of_the_wire(kept: Kept) -> None:
    """Request ids, rows and rupiah only."""
    kept.put(1, SUCCEEDED, REVERSED)
    kept.collect()
    kept.tell()
    text = kept.sent[0].subject + kept.sent[0].text
    assert "0812" not in text
    assert "order-1" not in text


def test_a_notifier_that_fails_is_tried_again_later(kept: Kept) -> None:
    """Other messages go out, nothing is told twice, and its words are kept nowhere."""
    kept.put(1, ESCALATED)
    kept.put(2, SUCCEEDED, REVERSED)
    kept.collect()

    def send(message: AlertMessage) -> None:
        if message.kind is AlertKind.ORDER_ESCALATED:
            raise RuntimeError("https://hooks.example/secret")
        kept.sent.append(message)

    book = kept.application.alerts
    report = tell_people(book, kept.clock, send, AlertingLimits())
    assert (report.told, report.not_told) == (1, 1)
    assert "secret" not in str(report)
    assert {told.trouble for told in book.recent()} == {None, "RuntimeError"}
    assert kept.tell() == 0, "not before the pause is over"
    kept.clock.advance(61)
    assert kept.tell() == 1
    assert [message.kind for message in kept.sent] == [AlertKind.ORDER_REVERSED, AlertKind.ORDER_ESCALATED]


def test_messages_that_nobody_takes_do_not_silence_the_others(kept: Kept) -> None:
    """Three accounts' messages fail for good, and stop each round; the fourth's is told all the same."""
    for number, account in enumerate(["a", "b", "c", "d"]):
        alert = Alert(f"jump/{number}", AlertKind.PRICE_JUMP, account, "a jump", T0)
        kept.application.alerts.add([alert])

    def send(message: AlertMessage) -> None:
        if message.account != "d":
            raise ConnectionError("no such channel")
        kept.sent.append(message)

    for _ in range(24):
        tell_people(kept.application.alerts, kept.clock, send, AlertingLimits())
        kept.clock.advance(300)
    assert [message.account for message in kept.sent] == ["d"]


def test_a_process_that_dies_while_telling_costs_nothing(kept: Kept) -> None:
    """What it had taken is told again when its lease has run out."""
    kept.put(1, ESCALATED)
    kept.collect()
    book, now = kept.application.alerts, kept.clock.now()
    assert len(book.claim(now, now + timedelta(seconds=600), 10)) == 1
    assert kept.tell() == 0
    kept.clock.advance(601)
    assert kept.tell() == 1


def test_others_raise_alerts_under_a_key_of_their_own(kept: Kept) -> None:
    """Once for each key; a transaction that is undone takes its alerts with it."""
    alert = Alert(
        "price_jump/17/25k-xl", AlertKind.PRICE_JUMP, ACCOUNT, "25k-xl: 26,000 to 40,000 rupiah", T0
    )
    book = kept.application.alerts

    def raise_in_vain() -> None:
        with kept.application.database.transaction() as connection:
            book.add([alert], connection=connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        raise_in_vain()
    assert book.add([alert, alert]) == 1
    assert book.add([alert]) == 0
    assert kept.tell() == 1


@pytest.mark.parametrize("text", ["", "x" * 301, "two\nlines"])
def test_a_text_is_one_short_line(text: str) -> None:
    """For every kind of alert."""
    with pytest.raises(ValueError):
        Alert("key", AlertKind.PRICE_JUMP, ACCOUNT, text, T0)


def test_messages_are_grouped_by_kind_and_account() -> None:
    """No account gets another account's news."""
    alerts = [
        Alert(f"k/{number}", AlertKind.PRICE_JUMP, account, "a jump", T0)
        for number, account in enumerate(["a", "b", "a"])
    ]
    assert [(message.account, message.count) for message, _ in messages_of(alerts)] == [("a", 2), ("b", 1)]


class Outlets(dict[Any, Any]):
    """What a task's context has for its outlets."""

    def __missing__(self, key: Any) -> Any:
        events: list[tuple[str, dict[str, Any]]] = []
        self[key] = SimpleNamespace(events=events, add=lambda asset, extra: events.append((asset.uri, extra)))
        return self[key]


def configured(monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    """The variable ``sat_alerts``, from the environment."""
    monkeypatch.setenv("AIRFLOW_VAR_SAT_ALERTS", json.dumps(value))


def notify(kept: Kept) -> dict[str, int]:
    """One run of the operator."""
    return SATNotifyOperator(task_id="notify", db_conn_id="sat_test_db").execute({})  # type: ignore[typeddict-item]


NOTIFIER = "tests.remembering.Remembering"


def test_the_configured_notifier_is_called_with_its_template_filled_in(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any BaseNotifier, by import path, with arguments."""
    Remembering.told.clear()
    configured(monkeypatch, {"notifier": NOTIFIER, "kwargs": {"text": "{{ alert.kind }} {{ alert.count }}"}})
    kept.put(1, ESCALATED)
    kept.put(2, SUCCEEDED, REVERSED)
    kept.collect()
    assert notify(kept) == {"told": 2, "messages": 2}
    assert Remembering.told == ["order_escalated 1", "order_reversed 1"]


def test_without_a_notifier_there_is_a_line_in_the_log(kept: Kept) -> None:
    """By default it is visible without any configuration."""
    kept.put(1, ESCALATED)
    kept.collect()
    assert notify(kept) == {"told": 1, "messages": 1}


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {},
        {"notifier": 1},
        {"notifier": "no.such.Thing"},
        {"notifier": "x", "kwarg": {}},
        {"notifier": "datetime.datetime", "kwargs": {"year": 1, "month": 1, "day": 1}},
        {"notifier": "subprocess.check_output", "kwargs": {"args": ["false"]}},
        {"notifier": "tests.remembering.Remembering", "kwargs": {"no_such": 1}},
    ],
)
def test_a_wrong_configuration_fails_this_task_and_keeps_the_alerts(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    """They go out when it is mended, at once."""
    configured(monkeypatch, value)
    kept.put(1, ESCALATED)
    kept.collect()
    with pytest.raises(AirflowFailException, match="sat_alerts"):
        notify(kept)
    assert kept.tell() == 1


def tell_users(*, is_digest: bool = False) -> dict[str, int]:
    """One run of the operator."""
    task = SATTellUsersOperator(task_id="users", db_conn_id="sat_test_db", is_digest=is_digest)
    return task.execute({})  # type: ignore[typeddict-item]


def test_a_user_is_told_through_the_channel_that_the_user_chose(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its notifier, with the user's address; at once and in the digest."""
    Remembering.told.clear()
    text = "{{ user.name }} {{ user.address }}: {{ alert.kind }} {{ alert.count }}"
    channel = {"notifier": NOTIFIER, "kwargs": {"text": text}, "address_pattern": ".+"}
    monkeypatch.setenv("AIRFLOW_VAR_SAT_CHANNELS", json.dumps({"mail": channel}))
    book = NotificationBook(kept.application.database)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    kinds = frozenset({AlertKind.ORDER_ESCALATED})
    book.keep(Choice("rosa", "mail", "rosa@example.com", kinds, is_digest=False, changed_at=long_ago))
    book.keep(Choice("carl", "mail", "carl@example.com", kinds, is_digest=True, changed_at=long_ago))
    kept.put(1, ESCALATED)
    kept.collect()
    assert tell_users() == {"told": 1, "messages": 1}
    assert tell_users() == {"told": 0, "messages": 0}
    assert tell_users(is_digest=True) == {"told": 1, "messages": 1}
    assert Remembering.told == ["rosa rosa@example.com: order_escalated 1", "carl carl@example.com: digest 1"]


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"mail": {}},
        {"mail": {"notifier": "x", "no_such": 1}},
        {"mail": {"notifier": "no.such.Thing"}},
    ],
)
def test_a_wrong_channel_fails_this_task_and_keeps_the_alerts(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    """They go out when it is mended."""
    monkeypatch.setenv("AIRFLOW_VAR_SAT_CHANNELS", json.dumps(value))
    book = NotificationBook(kept.application.database)
    kinds = frozenset({AlertKind.ORDER_ESCALATED})
    choice = Choice("rosa", "mail", "", kinds, is_digest=False, changed_at=datetime(2026, 1, 1, tzinfo=UTC))
    book.keep(choice)
    kept.put(1, ESCALATED)
    kept.collect()
    with pytest.raises(AirflowFailException):
        tell_users()
    assert [alert.kind for alert in book.to_tell(choice, choice.changed_at, 10)] == [
        AlertKind.ORDER_ESCALATED
    ]


class Pushed:
    """What a task handed on."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[key] = value


def test_asset_events_are_raised_for_each_alert_until_airflow_has_them(kept: Kept) -> None:
    """With what happened in their extra. A worker that dies before Airflow knows of it raises them again."""
    kept.put(1, ESCALATED)
    kept.put(2, ESCALATED)
    kept.put(3, SUCCEEDED, REVERSED)
    operator = SATCollectAlertsOperator(task_id="collect", db_conn_id="sat_test_db")
    outlets = Outlets()
    pushed = Pushed()
    context: Any = {"outlet_events": outlets, "ti": pushed}
    assert operator.execute(context) == {"order_escalated": 2, "order_reversed": 1}
    uris = [uri for uri, _ in outlets[ALERTS].events]
    assert uris == ["sat://alerts/order_escalated", "sat://alerts/order_reversed"]
    extra = outlets[ALERTS].events[0][1]
    assert (extra["alerts"], extra["accounts"], extra["batches"]) == (2, [ACCOUNT], [BATCH])
    again = Outlets()
    assert operator.execute({**context, "outlet_events": again}) == {
        "order_escalated": 2,
        "order_reversed": 1,
    }
    assert again[ALERTS].events == outlets[ALERTS].events
    # The next task runs only after Airflow has taken the events together with the success.
    settle = SATSettleAnnouncedOperator(
        task_id="announced", keys=pushed.values["announced"], db_conn_id="sat_test_db"
    )
    assert settle.execute(context) == 3
    assert operator.execute(context) == {}
