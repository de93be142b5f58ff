"""What becomes of a callback that was kept: which order is asked about, when, and how often."""

from __future__ import annotations

import pytest

from sat_hook.domain.order import OrderState
from sat_hook.protocol.signing import Signer
from tests.integration.receiver.serving import OTHER_PRIVATE_PEM, order
from tests.integration.receiver.waiting_orders import WaitingOrders
from tests.orders import stream_of
from tests.sql import execute
from tests.unit.domain.situations import HISTORIES


def queued(waiting: WaitingOrders) -> int:
    """How many callbacks have not led to a question yet."""
    ((found,),) = execute(waiting.database.owner_dsn, "SELECT count(*) FROM sat.callback_queue")
    return int(found)


def test_a_callback_leads_to_the_question_that_ends_its_order(waiting: WaitingOrders) -> None:
    """Polls are an hour apart: the callback alone makes the order due, and what SAT answers ends it."""
    key = waiting.take_in(1, "pending")
    waiting.poll()
    assert waiting.sat.asked == []
    waiting.sat.answers[key] = "Success"
    assert waiting.served.post(order(key, "Failed")).status_code == 200
    assert waiting.poll().ended == 1
    assert waiting.sat.asked == [key]
    assert waiting.order(key).state is OrderState.SUCCEEDED, "the answer counts, not the callback"
    assert queued(waiting) == 0


@pytest.mark.parametrize("situation", [None, "received", "quoted"])
def test_a_callback_for_an_order_that_is_not_known_yet_waits_and_is_matched_later(
    waiting: WaitingOrders, situation: str | None
) -> None:
    """It was kept before the order was: nothing is asked until the order is sent, then at once."""
    key = stream_of(1).key
    if situation is not None:
        waiting.take_in(1, situation)
    assert waiting.served.post(order(key, "Success")).status_code == 200
    waiting.poll()
    assert waiting.sat.asked == []
    assert queued(waiting) == 1

    waiting.sat.answers[key] = "Success"
    if situation is None:
        waiting.take_in(1, "submitting")
    else:
        waiting.append(1, *HISTORIES["submitting"][len(HISTORIES[situation]) :])
    waiting.poll()
    assert waiting.sat.asked == [key]
    assert waiting.order(key).state is OrderState.SUCCEEDED
    assert queued(waiting) == 0


def test_a_replay_is_counted_and_asked_about_once(waiting: WaitingOrders) -> None:
    """The same bytes for ever: while the order waits, and long after it ended."""
    key = waiting.take_in(1, "pending")
    body = order(key, "Success")
    assert [waiting.served.post(body).status_code for _ in range(3)] == [200] * 3
    waiting.sat.answers[key] = "Success"
    waiting.poll()
    before = waiting.events(key)
    assert [waiting.served.post(body).status_code for _ in range(3)] == [200] * 3
    waiting.poll()
    assert waiting.sat.asked == [key]
    assert waiting.events(key) == before
    assert waiting.served.receiver.tally.repeated == 5


@pytest.mark.parametrize("trusts", [False, True])
def test_a_callback_that_is_older_than_the_state_changes_nothing(
    waiting: WaitingOrders, trusts: bool
) -> None:
    """Signed, new to us, and overtaken by what SAT said since: SAT is asked once, and its answer is known."""
    overtaken = [
        ("succeeded", "Success", "Pending"),
        ("succeeded", "Success", "Failed"),
        ("failed", "Failed", "Pending"),
        ("failed", "Failed", "Success"),
        ("reversed", "Failed", "Success"),
        ("reversed", "Failed", "Failed"),
        ("escalated", "Pending", "Pending"),
    ]
    before = {}
    for number, (situation, says, late) in enumerate(overtaken, 1):
        key = waiting.take_in(number, situation)
        before[key] = waiting.events(key)
        waiting.sat.answers[key] = says
        assert waiting.served.post(order(key, late)).status_code == 200
    for _ in range(2):
        waiting.poll(waiting.trusting() if trusts else None)
        assert sorted(waiting.sat.asked) == sorted(before)
    for key, events in before.items():
        assert waiting.events(key) == events


def test_callbacks_in_the_wrong_order_lead_to_what_sat_says_now(waiting: WaitingOrders) -> None:
    """Success, then the Failed that came before it: one end, the one that SAT confirms."""
    key = waiting.take_in(1, "pending")
    waiting.sat.answers[key] = "Success"
    for word in ("Success", "Failed"):
        assert waiting.served.post(order(key, word)).status_code == 200
    waiting.poll()
    assert waiting.sat.asked == [key]
    assert waiting.order(key).state is OrderState.SUCCEEDED


def test_a_callback_on_another_accounts_path_is_no_word_about_the_order(waiting: WaitingOrders) -> None:
    """Its sender has that account's key, not this one's: it stays where it is, and SAT is not asked."""
    key = waiting.take_in(1, "pending")
    sent = waiting.served.post(order(key, "Success"), account="other", signer=Signer(OTHER_PRIVATE_PEM))
    assert sent.status_code == 200
    waiting.poll()
    assert waiting.sat.asked == []
    assert queued(waiting) == 1
