"""Webhooks against real receivers: a well one, a slow one, one that is down, one that answers 500.

The well receiver is the example of docs/webhooks.md.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from sat_hook.clients.webhooks import networks_in, secrets_in
from sat_hook.commands.aggregates import WEBHOOKS
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain import books_events
from sat_hook.domain import order_events as happened
from sat_hook.domain.batch import evolve_batch
from sat_hook.domain.batch_events import BatchCompleted
from sat_hook.domain.books_commands import RecordClose
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.identity import webhooks_id
from sat_hook.domain.webhooks import WebhookRemoved, WebhookSet, WebhookTopic
from sat_hook.operators.webhooks import SATTellWebhooksOperator
from sat_hook.pipeline.limits import WebhookLimits
from sat_hook.pipeline.webhooks import (
    WebhookReport,
    collect_messages,
    deliver_messages,
    forget_old_messages,
    webhooks_of,
)
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.webhooks import MessageState, WebhookQueue
from stack.databases import ApplicationDatabase
from tests.airflow_connections import database_connection
from tests.integration.web.test_who_did_what import GIVEN_UP, HELD, INTENT, LOST, QUOTED, break_of
from tests.loopback import QuietHandler, http_server, serving
from tests.orders import ACCOUNT, BATCH, BY_TEST, ManualClock, change_of, received, submitted
from tests.web_host import FakeAccounts, FakeHost, FakeUser, client_of

NEW, OLD = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
EVERYTHING = tuple(WebhookTopic)
LIMITS = WebhookLimits(timeout_seconds=0.3, failures_to_stop=2, in_flight=4)
PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"
DAY_SECONDS = 86_400


@dataclass
class Odd:
    """A receiver that keeps what it is sent, and answers as it is told to, after a while."""

    status: int = 500
    seconds: float = 0.0
    told: list[tuple[dict[str, str], str]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The ids of what it was sent."""
        return [headers["webhook-id"] for headers, _ in self.told]

    @contextmanager
    def open(self) -> Iterator[str]:
        """Listen while the block lasts."""
        odd = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.body().decode()
                odd.told.append(({name.lower(): text for name, text in self.headers.items()}, body))
                time.sleep(odd.seconds)
                with suppress(OSError):  # the sender did not wait
                    self.reply(odd.status, **({"Location": "/elsewhere"} if odd.status == 302 else {}))

        with http_server(Handler) as url:
            yield f"{url}/sat"


@dataclass
class Ledger:
    """The receiver of the documentation, and what it keeps."""

    namespace: dict[str, Any]

    @property
    def rows(self) -> list[tuple[str, int, dict[str, Any]]]:
        """What it has taken: id, position and message."""
        found = self.namespace["database"].execute("SELECT * FROM messages ORDER BY position")
        return [(row[0], row[1], json.loads(row[2])) for row in found.fetchall()]


@contextmanager
def documented_receiver(secret: str, folder: Path) -> Iterator[tuple[str, Ledger]]:
    """The example of docs/webhooks.md, as it stands there."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "receiver"}
    before = dict(os.environ)
    os.environ |= {"WEBHOOK_SECRET": secret, "WEBHOOK_DATABASE": str(folder / "messages.db")}
    try:
        exec(compile(example, str(PAGE), "exec"), namespace)
    finally:
        os.environ.clear()
        os.environ.update(before)
    with (
        closing(namespace["database"]),
        serving(HTTPServer(("127.0.0.1", 0), namespace["Receiver"])) as server,
    ):
        yield f"http://127.0.0.1:{server.server_port}/sat", Ledger(namespace)


@dataclass
class Desk:
    """A log, its webhooks, and a clock that moves when told to."""

    store: PostgresEventStore
    clock: ManualClock
    password: str = NEW

    @property
    def queue(self) -> WebhookQueue:
        """The messages."""
        return WebhookQueue(self.store.database)

    def add(self, name: str, url: str, *topics: WebhookTopic, accounts: tuple[str, ...] = ()) -> None:
        """Set a webhook."""
        event = WebhookSet(
            name=name, url=url, connection=name, topics=topics or EVERYTHING, accounts=accounts, reason="told"
        )
        self.apply(event)

    def apply(self, event: WebhookSet | WebhookRemoved) -> None:
        """Record an act about a webhook."""
        handler = CommandHandler(self.store, self.clock)
        assert handler.apply_to(WEBHOOKS, webhooks_id(), Record(event), BY_TEST).is_accepted

    def append(self, *changes: Change) -> None:
        """Put events into the log."""
        assert self.store.append(changes, BY_TEST, datetime.now(UTC)) == frozenset()

    def run(self, limits: WebhookLimits = LIMITS) -> WebhookReport:
        """What the task does once."""
        # Messages are due by the database's clock.
        self.clock.advance(5)
        report = WebhookReport()
        collect_messages(self.store, self.queue, limits, report)
        webhooks = {name: one for name, (one, _) in webhooks_of(self.store).items()}
        networks = networks_in("127.0.0.1/32")
        secrets = {"broken": "hunter2"}
        asyncio.run(
            deliver_messages(
                self.queue,
                webhooks,
                lambda name: secrets_in(secrets.get(name, self.password), name),
                networks,
                self.clock,
                limits,
                report,
            )
        )
        return report

    def messages(self, state: MessageState, webhook: str | None = None) -> list[str]:
        """The ids of the messages in a state."""
        return [row.message_id for row in self.queue.page(state, webhook, 100)]


@pytest.fixture
def desk(database: ApplicationDatabase) -> Iterator[Desk]:
    """An empty log."""
    store = PostgresEventStore(Database(database.writer_dsn))
    yield Desk(store, ManualClock(datetime.now(UTC)))
    store.database.close()


def rejected(number: int) -> Change:
    """An order that ended without being sent."""
    refusal = happened.OrderRejected(reason=happened.RejectionReason.UNKNOWN_PRODUCT, detail="081234567890")
    return change_of(None, number, received(number), refusal)


def completed() -> Change:
    """A batch that has completed."""
    begun = submitted()
    done = BatchCompleted(counts={"rejected": 1}, charged_rupiah=0)
    return Change(begun.stream, 0, (*begun.events, done), evolve_batch(begun.after, BATCH, done))  # type: ignore[arg-type]


def close_day(desk: Desk, position: int) -> None:
    """A closed day with a new break and one that is carried."""
    day = date(2026, 11, 2)
    closed = books_events.DayClosed(
        account=ACCOUNT, day=day, cut_off_minutes=0, position=position, result_digest="0" * 64, orders=1,
        open_breaks=2, saldo=None, adjusted_days={},
    )  # fmt: skip
    new, carried = break_of("K" + "A" * 15), break_of("K" + "B" * 15)
    carried = carried.model_copy(update={"first_seen": day - timedelta(days=1)})
    found = books_events.BreaksRecorded(account=ACCOUNT, day=day, position=position, breaks=(new, carried))
    BookKeeper(desk.store, desk.clock).post(ACCOUNT, RecordClose(closed, (found,)), BY_TEST)


def test_every_topic_is_told_once_with_its_position_and_without_a_number(desk: Desk, tmp_path: Path) -> None:
    """To the documented receiver, which verifies each; what was before the webhook is not told."""
    desk.append(rejected(9))
    with documented_receiver(NEW, tmp_path) as (url, ledger), Odd(status=204).open() as other:
        desk.add("erp", url)
        desk.add("another-account", other, accounts=("else",))
        escalated = (received(3), QUOTED, INTENT, LOST, GIVEN_UP)
        desk.append(completed(), rejected(1), change_of(None, 2, received(2), QUOTED, HELD))
        desk.append(change_of(None, 3, *escalated))
        close_day(desk, 5)
        report = desk.run()
        assert (report.new, report.delivered, report.failed, report.trouble) == (5, 5, 0, [])
        rows = ledger.rows
        close_day(desk, 6)
        assert desk.run().new == 0, "the day is closed once more: its break was told"
    assert sorted(message["type"] for _, _, message in rows) == sorted(EVERYTHING)
    by_type = {message["type"]: message["data"] for _, _, message in rows}
    assert {position for _, position, _ in rows} == {data["position"] for data in by_type.values()}
    assert by_type["order.ended"] | {"position": 0, "request_id": ""} == {
        "position": 0, "account": ACCOUNT, "order_id": "order-1", "request_id": "", "batch_id": BATCH,
        "row_number": 1, "product_code": "50k-simpati", "state": "rejected", "reason_code": "unknown_product",
        "quote_rupiah": None, "charged_rupiah": None,
    }  # fmt: skip
    assert (by_type["order.held"]["state"], by_type["order.held"]["reason_code"]) == ("held", "limit")
    assert by_type["order.escalated"]["state"] == "escalated"
    assert by_type["batch.completed"]["reference"] == "a batch"
    assert by_type["break.found"]["break_id"] == "K" + "A" * 15
    text = json.dumps(rows)
    assert "08121" not in text
    assert "081234567890" not in text
    for row in desk.queue.page(MessageState.DELIVERED, None, 100):
        state = desk.store.read_log(row.position - 1, row.position, 1)[0]
        assert state.position == row.position, "the position is the event's"


def test_a_message_says_how_an_order_stood_right_after_its_event(desk: Desk) -> None:
    """However late it is made: by then the order has moved on."""
    odd = Odd(status=204)
    with odd.open() as url:
        desk.add("erp", url, WebhookTopic.ORDER_HELD)
        released = happened.OrderReleased(reason="checked")
        desk.append(change_of(None, 1, received(1), QUOTED, HELD, released))
        desk.run()
    ((_, body),) = odd.told
    assert json.loads(body)["data"]["state"] == "held"


def test_a_secret_is_changed_while_both_are_valid(desk: Desk) -> None:
    """A receiver with either one verifies the message; with a third one it does not."""
    odd = Odd(status=200)
    with odd.open() as url:
        desk.add("erp", url)
        desk.password = f"{NEW} {OLD}"
        desk.append(rejected(1))
        desk.run()
    ((headers, body),) = odd.told
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(body, headers)["type"] == "order.ended"
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(bytes(32)).decode()).verify(body, headers)


@pytest.mark.parametrize(
    ("odd", "trouble"),
    [
        (Odd(status=500), "HTTP 500"),
        (Odd(status=302), "HTTP 302"),
        (Odd(status=200, seconds=0.6), "no answer in time"),
        (None, "ClientConnectorError"),
    ],
    ids=["fails", "redirects", "is slow", "is down"],
)
def test_what_a_receiver_does_not_take_is_tried_for_a_day(desk: Desk, odd: Odd | None, trouble: str) -> None:
    """It rests after some failures and holds up no other one; then it is given up, and can be sent again."""
    well = Odd(status=204)
    with ExitStack() as opened:
        url = opened.enter_context(odd.open()) if odd else "http://127.0.0.1:9/"
        desk.add("poor", url)
        desk.add("well", opened.enter_context(well.open()))
        desk.append(*(rejected(number) for number in range(1, 7)))
        report = desk.run()
        assert (report.delivered, report.failed, report.trouble) == (6, LIMITS.in_flight, [])
        assert len(set(well.ids)) == 6
        (tried,) = {row.trouble for row in desk.queue.page(MessageState.WAITING, "poor", 100) if row.tries}
        assert tried == trouble

        deaths, rounds = 0, 0
        while desk.messages(MessageState.WAITING):
            desk.clock.advance(6 * 3600)
            report = desk.run(WebhookLimits(timeout_seconds=0.05))
            deaths += report.dead
            rounds += 1
        assert deaths == 6
        assert rounds * 6 * 3600 >= DAY_SECONDS
        assert report.trouble == ["webhook poor: gave up 2 messages"]
        dead = desk.messages(MessageState.DEAD)
        assert sorted(dead) == sorted(desk.messages(MessageState.DEAD, "poor"))
        if odd is not None:
            assert set(odd.ids) == set(dead), "a message keeps its id"
            odd.status, odd.seconds = 202, 0
            desk.queue.resend("poor", dead[:1], desk.clock.now())
            assert desk.run().delivered == 1
            assert desk.messages(MessageState.DELIVERED, "poor") == dead[:1]


def test_secrets_that_cannot_be_read_cost_only_their_webhook(desk: Desk) -> None:
    """Its messages wait; the report does not quote the password."""
    well = Odd(status=204)
    with well.open() as url:
        desk.add("broken", url)
        desk.add("well", url)
        desk.append(rejected(1))
        report = desk.run()
    assert report.trouble == ["webhook broken: connection broken is unusable (WebhookRefusedError)"]
    assert len(well.told) == 1
    assert len(desk.messages(MessageState.WAITING, "broken")) == 1


KILLED = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from pydantic import SecretStr
from sat_hook.clients.webhooks import networks_in
from sat_hook.pipeline import webhooks as running
from sat_hook.pipeline.limits import WebhookLimits
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.webhooks import WebhookQueue
store = PostgresEventStore(Database(sys.argv[1]))
queue, report, limits = WebhookQueue(store.database), running.WebhookReport(), WebhookLimits()
running.collect_messages(store, queue, limits, report)
webhooks = {name: one for name, (one, _) in running.webhooks_of(store).items()}
clock = SimpleNamespace(now=lambda: datetime.now(UTC) + timedelta(seconds=5))
secrets, networks = (SecretStr(sys.argv[2]),), networks_in("127.0.0.1/32")
asyncio.run(running.deliver_messages(queue, webhooks, lambda _: secrets, networks, clock, limits, report))
"""


def test_a_process_that_is_killed_in_the_middle_loses_nothing(
    desk: Desk, database: ApplicationDatabase
) -> None:
    """It had posted and not noted that: when its lease ends, the same message is posted once more."""
    odd = Odd(status=204, seconds=30)
    with odd.open() as url:
        desk.add("erp", url)
        desk.append(rejected(1))
        task = subprocess.Popen([sys.executable, "-c", KILLED, database.writer_dsn, NEW])
        give_up = time.monotonic() + 60
        while not odd.told and time.monotonic() < give_up:
            time.sleep(0.02)
        task.send_signal(signal.SIGKILL)
        assert task.wait() == -signal.SIGKILL
        odd.seconds = 0
        assert desk.run().delivered == 0, "its lease has not ended"
        desk.clock.advance(LIMITS.lease_seconds + 60)
        assert desk.run().delivered == 1
    (_, first), (_, second) = odd.told
    assert (first, len(set(odd.ids))) == (second, 1)


def test_the_task_reads_its_secrets_from_the_connection(
    desk: Desk, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Private networks are closed until the deployment opens them."""
    odd = Odd(status=204)
    monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST_DB", database_connection(database.writer_dsn))
    monkeypatch.setenv("AIRFLOW_CONN_ERP", json.dumps({"conn_type": "generic", "password": NEW}))
    task = SATTellWebhooksOperator(task_id="tell", db_conn_id="sat_test_db")
    with odd.open() as url:
        desk.add("erp", url)
        desk.append(rejected(1))
        assert task.execute({}) == {"new": 1, "delivered": 0, "failed": 1, "dead": 0}
        (row,) = desk.queue.page(MessageState.WAITING, "erp", 9)
        assert (row.trouble or "").startswith("url: found the private address 127.0.0.1")
        monkeypatch.setenv("SAT_WEBHOOK_NETWORKS", "127.0.0.0/8")
        desk.append(rejected(2))
        assert task.execute({})["delivered"] == 1
    ((headers, body),) = odd.told
    assert Webhook(NEW).verify(body, headers)


def test_old_messages_are_forgotten(desk: Desk) -> None:
    """Those that were delivered after a week, those that were given up after a month."""
    with Odd(status=204).open() as url:
        desk.add("well", url)
        desk.add("poor", "http://127.0.0.1:9/")
        desk.append(rejected(1))
        desk.run()
        desk.clock.advance(DAY_SECONDS)
        desk.run()
    for days, left in ((5, {"well", "poor"}), (2, {"poor"}), (22, {"poor"}), (2, set())):
        desk.clock.advance(days * DAY_SECONDS)
        forget_old_messages(desk.queue, desk.clock.now(), LIMITS)
        assert {one.webhook for state in MessageState for one in desk.queue.page(state, None, 9)} == left


async def test_a_person_sees_and_resends_messages_and_removes_a_webhook(desk: Desk) -> None:
    """Each act is an event with its reason; without the right nothing is shown or done."""
    desk.add("erp", "https://127.0.0.1:9/")
    desk.append(rejected(1))
    for seconds in (0, DAY_SECONDS):
        desk.clock.advance(seconds)
        await asyncio.to_thread(desk.run)
    host = FakeHost(FakeUser("ana"), FakeUser("rudi", frozenset()), store=desk.store)
    host.accounts = FakeAccounts({"x": ACCOUNT})
    async with client_of(host) as client:

        async def ask(method: str, path: str, who: str = "ana", **more: Any) -> Any:
            answer = await client.request(method, path, headers={"authorization": f"Bearer {who}"}, **more)
            return answer.json() | {"code": answer.status_code}

        (shown,) = (await ask("GET", "/webhooks"))["items"]
        assert (shown["dead"]["messages"], shown["waiting"]) == (1, None)
        assert shown["trouble"] == "connection erp: UnknownNameError"
        (message,) = (await ask("GET", "/webhook-messages"))["items"]
        assert json.loads(message["body"])["data"]["order_id"] == "order-1"
        again = {"messages": [message["message_id"]], "reason": "it was down"}
        assert (await ask("POST", "/webhooks/erp/resend", json=again))["resent"] == 1
        assert (await ask("POST", "/webhooks/erp/resend", json=again))["type"] == "webhook_refused"
        assert (await ask("POST", "/webhooks/else/resend", json=again))["type"] == "webhook_not_found"
        for path in ("/webhooks", "/webhook-messages"):
            assert (await ask("GET", path, "rudi"))["type"] == "right_missing"
        new = {"name": "shop", "url": "https://10.0.0.1/", "connection": "erp_webhook", "reason": "told"}
        wrong = (await ask("POST", "/webhooks", json={**new, "topics": ["order.held"]}))["detail"]
        assert wrong.startswith("url: found the private address 10.0.0.1")
        new |= {"url": "https://shop.example.com/", "topics": ["order.held"], "accounts": ["x"]}
        made = await ask("POST", "/webhooks", json=new)
        assert (made["accounts"], len(made["key_ids"])) == ([ACCOUNT], 1)
        assert (await ask("POST", "/webhooks/erp/remove", json={"reason": "replaced"}))["code"] == 200
    recorded = desk.store.read_stream(StreamId(StreamKind.WEBHOOK, webhooks_id()))
    acts = [(item.type_name, item.provenance.actor) for item in recorded][1:]
    assert acts == [
        ("WebhookMessagesResent", "user:ana"),
        ("WebhookSet", "user:ana"),
        ("WebhookRemoved", "user:ana"),
    ]
    assert not [row for state in MessageState for row in desk.queue.page(state, "erp", 9)]
    secret = host.webhook_password.removeprefix("whsec_")
    assert secret not in "".join(item.data for item in recorded)
