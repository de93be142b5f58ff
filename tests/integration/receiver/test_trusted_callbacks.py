"""What the opt-in of a connection adds: its callbacks end orders in flight, and nothing else is different."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sat_hook.audit.log_verification import verify_log
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.order import OrderState
from sat_hook.operators.recovery import SATRecoverOrdersOperator
from sat_hook.pipeline.trusted_callbacks import BY_CALLBACK, CALLBACKS_READ_PER_ORDER
from sat_hook.protocol.signing import Signer, Verifier
from sat_hook.store.callbacks import KeptCallback
from sat_hook.store.database import Database
from sat_hook.triggers.batch import GAVE_UP
from stack.databases import ApplicationDatabase
from tests.airflow_connections import SUCCESS, fired, give_connections
from tests.integration.audit.damage import Found
from tests.integration.calling_back import receive_callback
from tests.integration.pipeline.test_steps import ready
from tests.integration.receiver.serving import OTHER_PRIVATE_PEM, OTHER_PUBLIC_PEM, SIGNER, order
from tests.integration.receiver.waiting_orders import KEYS, WaitingOrders
from tests.integration.test_batch_trigger import trigger
from tests.orders import T0, ManualClock
from tests.pipeline import Line
from tests.sql import execute

STRANGER = Signer(OTHER_PRIVATE_PEM)


def write_into_inbox(waiting: WaitingOrders, body: bytes, request_id: str, signature: str) -> None:
    """What an intruder in the receiver can do: put anything into the inbox."""
    receive_callback(waiting.database.receiver_dsn, request_id, body, signature=signature)


@pytest.mark.parametrize(("word", "end"), [("Success", OrderState.SUCCEEDED), ("Failed", OrderState.FAILED)])
def test_a_trusted_callback_ends_its_order_without_a_question(
    waiting: WaitingOrders, word: str, end: OrderState
) -> None:
    """The callback is the evidence: kept with its signature, named by the event, and it is the cause."""
    in_flight = ("submitting", "pending", "signed pending", "unknown", "sent again")
    bodies = {}
    for number, situation in enumerate(in_flight, 1):
        key = waiting.take_in(number, situation)
        bodies[key] = order(key, word, sales_price=52_000, voucher_code="5196 1584")
        assert waiting.served.post(bodies[key]).status_code == 200
    assert waiting.poll(waiting.trusting()).ended == len(in_flight)
    kept = "SELECT digest, body, signature, key_fingerprint FROM sat.status_evidence"
    evidence = {digest: rest for digest, *rest in execute(waiting.database.writer_dsn, kept)}
    for key, body in bodies.items():
        assert waiting.order(key).state is end
        last = waiting.events(key)[-1]
        assert last.provenance == BY_CALLBACK
        kept, signature, fingerprint = evidence[json.loads(last.data)["evidence_digest"]]
        assert kept.encode() == body
        assert KEYS.verify(body, signature) == fingerprint
    waiting.poll(waiting.trusting())
    assert waiting.sat.asked == [], "SAT was never asked, and they left the schedule"


@pytest.mark.parametrize(
    "odd",
    [
        {"sales_price": "52000", "admin_fee": "0", "partner_fee": "0.0", "fulfilled_at": 7},
        {"sales_price": "52.000", "admin_fee": True, "serial_number": ["X"], "fields": 3},
        {"sales_price": -(10**20), "fulfillment_result": {"Token": 12}},
    ],
)
def test_a_callback_with_members_of_other_types_ends_its_order(
    waiting: WaitingOrders, odd: dict[str, Any]
) -> None:
    """It is acknowledged and kept; the end counts, the price where it says one."""
    key = waiting.take_in(1, "pending")
    assert waiting.served.post(order(key, "Success", **odd)).status_code == 200
    assert waiting.poll(waiting.trusting()).ended == 1
    ended = waiting.order(key)
    assert ended.state is OrderState.SUCCEEDED
    assert ended.charged_rupiah == (None if ended.unknown_amounts else 52_000)


def test_by_default_a_callback_is_confirmed(waiting: WaitingOrders) -> None:
    """Without the opt-in SAT is asked, and what it says counts."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Success"))
    assert waiting.poll().ended == 0
    assert waiting.sat.asked == [key]
    assert waiting.order(key).state is OrderState.PENDING


def test_the_log_with_a_trusted_end_verifies(waiting: WaitingOrders) -> None:
    """Evidence, digest and event fit, like those of a status."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Success"))
    waiting.poll(waiting.trusting())
    found = Found()
    with closing(Database(waiting.database.owner_dsn)) as opened:
        verify_log(opened, found)
    assert found.findings == []


def test_what_the_receiver_wrote_proves_nothing_by_itself(waiting: WaitingOrders) -> None:
    """Forged, tampered with, unsigned, or about another order: the connection's own keys decide."""
    keys = [waiting.take_in(number, "pending") for number in range(1, 6)]
    genuine = order(keys[1], "Success")
    write_into_inbox(waiting, order(keys[0], "Success"), keys[0], STRANGER.sign(order(keys[0], "Success")))
    write_into_inbox(waiting, genuine + b" ", keys[1], SIGNER.sign(genuine))
    write_into_inbox(waiting, order(keys[2], "Success"), keys[2], "")
    write_into_inbox(waiting, genuine, keys[3], SIGNER.sign(genuine))
    write_into_inbox(waiting, b"no json", keys[4], SIGNER.sign(b"no json"))
    assert waiting.poll(waiting.trusting()).ended == 0
    assert sorted(waiting.sat.asked) == sorted(keys)
    assert {waiting.order(key).state for key in keys} == {OrderState.PENDING}


def test_keys_that_are_not_trusted_any_more_end_nothing(waiting: WaitingOrders) -> None:
    """The callback came before the key was withdrawn; or the connection has no key at all."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Success"))
    assert waiting.poll(waiting.trusting(Verifier([OTHER_PUBLIC_PEM]))).ended == 0
    waiting.served.post(order(key, "Success") + b" ")
    assert waiting.poll(waiting.trusting(None)).ended == 0
    assert waiting.sat.asked == [key, key]


def test_only_the_orders_own_account_speaks_for_it(waiting: WaitingOrders) -> None:
    """A callback on another account's path, and a batch that waits with another account's connection."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Success"), account="other", signer=STRANGER)
    write_into_inbox(waiting, order(key, "Pending"), key, SIGNER.sign(order(key, "Pending")))
    assert waiting.poll(waiting.trusting(Verifier([OTHER_PUBLIC_PEM]), "other")).ended == 0
    assert waiting.sat.asked == [key]
    assert waiting.order(key).state is OrderState.PENDING


@pytest.mark.parametrize("second", ["Failed", "Pending", "Unheard-of"])
def test_callbacks_that_do_not_agree_are_confirmed(waiting: WaitingOrders, second: str) -> None:
    """Nothing in them says which is newer, so SAT does."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Success"))
    waiting.served.post(order(key, second))
    waiting.sat.answers[key] = "Failed"
    waiting.poll(waiting.trusting())
    assert waiting.sat.asked == [key]
    assert waiting.order(key).state is OrderState.FAILED


def test_a_genuine_callback_beside_one_that_proves_nothing_is_confirmed(waiting: WaitingOrders) -> None:
    """The inbox was tampered with, or a key was withdrawn: SAT is asked."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Success"))
    write_into_inbox(waiting, order(key, "Failed"), key, STRANGER.sign(order(key, "Failed")))
    assert waiting.poll(waiting.trusting()).ended == 0
    assert waiting.sat.asked == [key]


def test_callbacks_that_agree_end_the_order(waiting: WaitingOrders) -> None:
    """The same end in other bytes is the same end."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Success"))
    waiting.served.post(order(key, "Success", serial_number="TLKM1"))
    assert waiting.poll(waiting.trusting()).ended == 1
    assert waiting.sat.asked == []


def test_an_order_with_very_many_callbacks_is_asked_about(waiting: WaitingOrders) -> None:
    """They are not all read; what is not read may disagree."""
    key = waiting.take_in(1, "pending")
    for number in range(CALLBACKS_READ_PER_ORDER):
        waiting.served.post(order(key, "Success", serial_number=str(number)))
    assert waiting.poll(waiting.trusting()).ended == 0
    assert waiting.sat.asked == [key]


def test_a_pending_callback_is_confirmed(waiting: WaitingOrders) -> None:
    """It ends nothing, and SAT may know more by now."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Pending"))
    waiting.poll(waiting.trusting())
    assert waiting.sat.asked == [key]


def test_a_callback_that_came_before_a_newer_status_is_confirmed(waiting: WaitingOrders) -> None:
    """SAT was asked after the callback came and said otherwise: that is the newer word."""
    key = waiting.take_in(1, "unknown")
    waiting.served.post(order(key, "Success"))
    waiting.poll()  # without trust: SAT says Pending
    assert waiting.order(key).state is OrderState.PENDING
    assert waiting.trusting().end(waiting.handler, [key]) == frozenset()


def test_a_clock_of_the_database_that_is_ahead_outdates_no_later_answer(waiting: WaitingOrders) -> None:
    """The evidence is never dated later than the moment at which it was taken."""
    waiting.clock = ManualClock(T0)  # weeks behind PostgreSQL
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Failed"))
    waiting.poll(waiting.trusting())
    assert waiting.order(key).evidence_at == T0


class Overtaken(CommandHandler):
    """Another process ends the order between the read and the decision."""

    def __init__(self, waiting: WaitingOrders) -> None:
        super().__init__(waiting.store, waiting.clock)
        self._waiting = waiting

    def apply(self, commands: Iterable[Any], *rest: Any) -> Any:
        commands = list(commands)
        key = commands[0].request_id
        self._waiting.sat.answers[key] = "Success"
        schedule_pass = self._waiting.poll()
        assert schedule_pass.ended == 1
        return super().apply(commands, *rest)


def test_whoever_loses_the_race_changes_nothing(waiting: WaitingOrders) -> None:
    """A late Failed must not reverse a Success that was confirmed while it was being looked at."""
    key = waiting.take_in(1, "pending")
    waiting.served.post(order(key, "Failed"))
    assert waiting.trusting().end(Overtaken(waiting), [key]) == frozenset()
    assert waiting.order(key).state is OrderState.SUCCEEDED


def test_a_kept_callback_shows_no_voucher() -> None:
    """It is evidence with goods in it."""
    assert "5196" not in repr(KeptCallback("S1", b'{"voucher_code":"5196"}', "sig", T0))


# Through Airflow's connections: the opt-in reaches the trigger and the janitor.


def sent_orders(line: Line, database: ApplicationDatabase, prefix: str) -> str:
    """A batch of two orders that SAT calls pending whenever it is asked, with a signed Success in the inbox
    for each; returns the batch id."""
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    batch_id = ready(line, 2, prefix)
    line.execute(batch_id)
    sat = Signer(line.server.keys.sat_private_pem)
    for each in line.orders(batch_id).values():
        body = order(each.request_id, "Success")
        receive_callback(database.receiver_dsn, each.request_id, body, signature=sat.sign(body))
    return batch_id


@pytest.mark.parametrize("trusts", [True, False])
def test_the_connections_opt_in_reaches_trigger_and_janitor(
    line: Line,
    database: ApplicationDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trusts: bool,
) -> None:
    """With it both end the orders; without it both ask, and SAT says Pending."""
    give_connections(monkeypatch, line, database, tmp_path, trust_callbacks=trusts)
    first = sent_orders(line, database, "P")
    end = asyncio.run(fired(trigger(first, seconds=15.0 if trusts else 1.0)))
    assert end == ({"end": SUCCESS, "return_value": 0} if trusts else {"end": GAVE_UP, "in_flight": 2})

    second = sent_orders(line, database, "Q")
    janitor = SATRecoverOrdersOperator(task_id="janitor", sat_conn_id="sat_test", db_conn_id="sat_test_db")
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=-1)
    report = janitor.execute(cast(Any, {"ti": ti}))
    assert report["ended"] == (2 if trusts else 0)
    expected = OrderState.SUCCEEDED if trusts else OrderState.PENDING
    for batch_id in (first, second):
        assert {each.state for each in line.orders(batch_id).values()} == {expected}
