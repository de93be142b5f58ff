"""Every situation with every command: a transition or a named refusal, and the laws hold after each."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_events as happened
from sat_hook.domain.decision import Refusal, RefusalReason
from sat_hook.domain.order import STATUS_MISMATCH, Order, OrderState, evolve
from sat_hook.domain.order_commands import OrderCommand
from sat_hook.domain.order_decisions import ORDER_MISMATCH, decide
from tests.orders import T0
from tests.unit.domain.draw_states import PAGE, page
from tests.unit.domain.situations import COMMANDS, HISTORIES, LATER, REQUEST_ID, SITUATIONS, Situation, status

PAIRS = list(itertools.product(SITUATIONS, COMMANDS.items()))


def after(order: Order | None, command: OrderCommand) -> tuple[Order | None, tuple[object, ...]]:
    """The order after the command, and what was appended."""
    answer = decide(order, command)
    if isinstance(answer, Refusal):
        return order, ()
    for event in answer:
        order = evolve(order, REQUEST_ID, event, T0)
    return order, answer


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_the_laws_hold_in_every_pair(situation: Situation) -> None:
    """No pair crashes, and no pair ends, revives or sends an order against the laws."""
    for name, command in COMMANDS.items():
        try:
            check_the_laws(situation.order, command)
        except Exception as broken:
            broken.add_note(f"the command was: {name}")
            raise


def check_the_laws(before: Order | None, command: OrderCommand) -> None:
    """An order and a command: what comes of them breaks no law."""
    now, events = after(before, command)
    if now is None or not events:
        return
    assert now.version == (before.version if before else 0) + len(events)
    # The fold validates nothing: it must make what a validated order is, in every member.
    assert Order.model_validate(now.model_dump()) == now
    assert now.model_copy() == now
    # An alarm beside the fact that it is about moves nothing, nor does what only asks for another look.
    alarms = {
        happened.AmountUnknown,
        happened.ChargedAboveQuote,
        happened.EvidenceContradicted,
        happened.ReversalDoubted,
        happened.StatusAskedByOperator,
    }
    if before is not None and now.state is before.state and before.state.is_final:
        alarms.add(happened.StatusMismatched)
    kinds = {type(event) for event in events} - alarms
    if now.state is OrderState.SUBMITTING and kinds:
        assert kinds == {happened.CheckoutRequested}, "only a recorded intent submits (law 1)"
        assert before is not None
        assert before.state in (OrderState.QUOTED, OrderState.UNKNOWN)
        if before.approved_rupiah is not None and before.state is OrderState.QUOTED:
            assert before.quote_rupiah is not None
            assert before.quote_rupiah <= before.approved_rupiah, "never above what was approved"
        if before.may_have_arrived:
            assert before.not_found_at is not None, "sent again only after SAT said not found (law 2)"
            assert now.checkout_body == before.checkout_body, "the same body for life (law 2)"
    if now.state in (OrderState.SUCCEEDED, OrderState.REVERSED):
        proofs = {happened.OrderSucceeded, happened.OrderReversed, happened.SucceededByOperator}
        assert kinds <= proofs
    if now.state is OrderState.FAILED and before is not None and before.state is not OrderState.FAILED:
        proven = {happened.OrderFailed, happened.FailedByOperator}
        if before.may_have_arrived:
            assert kinds <= proven, "after an ambiguous send only a signed status fails an order (law 3)"
        else:
            assert kinds <= proven | {happened.CheckoutRejected}
    if before is not None and before.may_have_arrived:
        assert not now.state.was_never_sent, "what may have arrived is never called unsent"
        assert now.may_have_arrived


def test_every_state_and_every_command_is_covered() -> None:
    """The table of situations is complete: a new state or command must be added to it."""
    states = {situation.order.state for situation in SITUATIONS if situation.order is not None}
    assert states == set(OrderState)
    assert {type(command) for command in COMMANDS.values()} == set(OrderCommand.__args__)
    used = {type(event) for events in HISTORIES.values() for event in events}
    order_events = {
        kind
        for kind in vars(happened).values()
        if isinstance(kind, type)
        and kind.__module__ == happened.__name__
        and issubclass(kind, happened.Event)
        and kind not in (happened.HoldingEvent, happened.SentOrderEvent, happened.SignedStatus)
    }
    produced = {
        type(event) for situation, (_, command) in PAIRS for event in after(situation.order, command)[1]
    }
    assert used | produced == order_events


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_a_signed_end_is_accepted_from_submitting_on(situation: Situation) -> None:
    """A callback may overtake the checkout's own reply: Success lands wherever something was sent."""
    order = situation.order
    command = COMMANDS["signed Success"]
    answer = decide(order, command)
    if order is None or order.attempt == 0:
        assert isinstance(answer, Refusal)
    elif order.state is OrderState.REVERSED and order.doubted_at is None:
        assert [type(event) for event in answer] == [happened.ReversalDoubted]
    elif order.state is OrderState.SUCCEEDED and not order.ended_by_operator:
        assert isinstance(answer, Refusal)
    else:
        assert after(order, command)[0].state is OrderState.SUCCEEDED  # type: ignore[union-attr]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_not_found_is_never_a_failure(situation: Situation) -> None:
    """P02 ends nothing, in no state (law 3)."""
    now, _ = after(situation.order, COMMANDS["not found"])
    if now is not None and situation.order is not None:
        assert now.state.is_final == situation.order.state.is_final


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_older_evidence_changes_nothing(situation: Situation) -> None:
    """A status that was asked for before the one already applied is stale, unless it is the first end."""
    order = situation.order
    if order is None or order.evidence_at is None:
        return
    for word in ("Pending", "Success", "Failed"):
        by_clock = asked.RecordStatus(word, order.evidence_at.replace(year=2025), "a" * 64)
        if word != "Pending" and not order.has_signed_end:
            assert after(order, by_clock)[0].state.is_final  # type: ignore[union-attr]
        else:
            assert isinstance(decide(order, by_clock), Refusal)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
@pytest.mark.parametrize("word", ["Pending", "Success", "Failed"])
def test_what_was_recorded_since_the_question_is_never_overtaken_by_its_answer(
    situation: Situation, word: str
) -> None:
    """Of an order with a signed end, an answer counts only if nothing was recorded after SAT was asked."""
    order = situation.order
    if order is None or not order.has_signed_end:
        return
    late = replace(status(word), asked_at_version=order.version - 1)
    answer = decide(order, late)
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.STALE_EVIDENCE


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
@pytest.mark.parametrize("ahead", [timedelta(seconds=20), timedelta(hours=7), timedelta(days=3650)])
def test_a_clock_that_was_ahead_keeps_no_signed_end_out(situation: Situation, ahead: timedelta) -> None:
    """Evidence that was dated ahead: the next answer is decided as if the clock had been right."""
    order = situation.order
    if order is None or order.evidence_at is None:
        return
    dated_ahead = order.model_copy(update={"evidence_at": LATER + ahead})
    for word in ("Success", "Failed", "Pending"):
        command = replace(status(word), asked_at_version=order.version)
        assert decide(dated_ahead, command) == decide(order, command)
    if not order.has_signed_end:
        now, _ = after(dated_ahead, status("Success"))
        assert now is not None
        assert now.state is OrderState.SUCCEEDED


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=7), timedelta(days=3650)])
def test_an_intent_that_was_dated_ahead_can_be_handed_over_and_ended(ahead: timedelta) -> None:
    """No attempt takes that long: people decide at once, whatever the clock of its sender said."""
    order = next(s.order for s in SITUATIONS if s.name == "unknown")
    assert order is not None
    dated_ahead = order.model_copy(update={"settled_after": LATER + ahead, "first_sent_at": LATER + ahead})
    escalated, events = after(dated_ahead, COMMANDS["escalate"])
    assert [type(event) for event in events] == [happened.OrderEscalated]
    ended, _ = after(escalated, COMMANDS["end as failed"])
    assert ended is not None
    assert ended.state is OrderState.FAILED
    # Sending again is another matter: what SAT does not know now may still be on its way to it.
    assert isinstance(decide(dated_ahead, COMMANDS["not found"]), Refusal)


MISMATCHES = [name for name in COMMANDS if "of another" in name]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
@pytest.mark.parametrize("name", MISMATCHES)
def test_a_status_about_something_else_ends_nothing(situation: Situation, name: str) -> None:
    """Product or number differ: recorded once, unknown with a reason of its own, then with people."""
    order = situation.order
    now, events = after(order, COMMANDS[name])
    kinds = [type(event) for event in events]
    is_asked_instead = name.startswith("callback") and order is not None and not order.state.is_in_flight
    if order is None or order.attempt == 0 or is_asked_instead:
        assert kinds == []
        return
    assert now is not None
    assert set(kinds) <= {happened.StatusMismatched, happened.OrderEscalated}
    assert now.charged_rupiah == order.charged_rupiah
    assert now.evidence_digest == order.evidence_digest
    assert (happened.StatusMismatched in kinds) is (
        order.mismatch is None and not isinstance(decide(order, COMMANDS[name]), Refusal)
    )
    waits = order.state.is_in_flight or order.state is OrderState.QUOTED
    if not waits:
        assert now.state is order.state
    elif "under way" in name:
        assert now.state in (OrderState.UNKNOWN, order.state)
    else:
        assert now.state is OrderState.ESCALATED
    if kinds and waits:
        assert now.reason_code == STATUS_MISMATCH
        assert "another" in (now.reason_detail or "")
        assert "0899" not in (now.reason_detail or "")


def test_an_order_that_sat_has_for_something_else_is_not_sent_again() -> None:
    """SAT knows the id, whatever it says later: only a person may have it sent once more."""
    told = next(s.order for s in SITUATIONS if s.name == "told of another number")
    now, _ = after(told, COMMANDS["not found"])
    assert now is not None
    assert now.not_found_at is not None
    assert isinstance(decide(now, COMMANDS["checkout, resend allowed"]), Refusal)
    handed_over = next(s.order for s in SITUATIONS if s.name == "told of another number, handed over")
    allowed, _ = after(handed_over, COMMANDS["allow resend"])
    asked_again, _ = after(allowed, COMMANDS["not found"])
    assert after(asked_again, COMMANDS["checkout, resend allowed"])[0].state is OrderState.SUBMITTING  # type: ignore[union-attr]


@pytest.mark.parametrize("end", ["end as succeeded", "end as failed", "allow resend", "signed Success"])
def test_people_and_evidence_still_resolve_an_order_told_of_something_else(end: str) -> None:
    """A person decides it, and a signed status about this order ends it."""
    handed_over = next(s.order for s in SITUATIONS if s.name == "told of another number, handed over")
    now, events = after(handed_over, COMMANDS[end])
    assert events
    assert now is not None
    assert now.state is not OrderState.ESCALATED


def test_a_reply_about_something_else_is_unknown() -> None:
    """An unsigned HTTP 200 with the right id and another number accepts nothing, as one with another id."""
    submitting = next(s.order for s in SITUATIONS if s.name == "submitting")
    now, events = after(submitting, COMMANDS["reply accepted, another number"])
    assert [type(event) for event in events] == [happened.CheckoutUnknown]
    assert now is not None
    assert (now.state, now.reason_code) == (OrderState.UNKNOWN, ORDER_MISMATCH)
    assert now.charged_rupiah is None


def test_a_success_after_a_reversal_is_asked_for_again() -> None:
    """One of the two answers was old: the second Success, asked for afterwards, or a Failed settles it."""
    order = next(s.order for s in SITUATIONS if s.name == "reversed")
    assert order is not None
    doubted, events = after(order, COMMANDS["signed Success"])
    assert [type(event) for event in events] == [happened.ReversalDoubted]
    assert doubted is not None
    assert doubted.state is OrderState.REVERSED
    # The very answer again, or one that was asked for before the doubt, settles nothing.
    assert isinstance(decide(doubted, COMMANDS["signed Success"]), Refusal)
    early = replace(status("Success"), asked_at_version=order.version)
    assert isinstance(decide(doubted, early), Refusal)
    fresh = doubted.version
    again = replace(status("Success"), asked_at_version=fresh)
    assert after(doubted, again)[0].state is OrderState.SUCCEEDED  # type: ignore[union-attr]
    confirmed, events = after(doubted, replace(status("Failed"), asked_at_version=fresh))
    assert [type(event) for event in events] == [happened.OrderReversed]
    assert confirmed is not None
    assert (confirmed.state, confirmed.doubted_at) == (OrderState.REVERSED, None)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_a_trusted_callback_ends_what_is_in_flight_and_nothing_else(situation: Situation) -> None:
    """It is as old as its sender likes: only an end of an order in flight is taken at its word."""
    order = situation.order
    for word, end in (("Success", OrderState.SUCCEEDED), ("Failed", OrderState.FAILED)):
        command = COMMANDS[f"callback {word}"]
        if order is not None and order.state.is_in_flight:
            now, events = after(order, command)
            assert now is not None
            assert (now.state, events) == (end, after(order, COMMANDS[f"signed {word}"])[1])
        else:
            assert isinstance(decide(order, command), Refusal)
    assert isinstance(decide(order, COMMANDS["callback Pending"]), Refusal)


def test_a_trusted_callback_that_came_before_a_newer_status_is_stale() -> None:
    """SAT said Pending after the callback had come: SAT is asked again, not the callback believed."""
    order = next(s.order for s in SITUATIONS if s.name == "signed pending")
    assert order is not None
    assert order.evidence_at is not None
    early = asked.RecordCallback(
        asked.RecordStatus("Success", order.evidence_at.replace(year=2025), "a" * 64)
    )
    answer = decide(order, early)
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.STALE_EVIDENCE


def test_a_command_given_twice_changes_nothing_the_second_time() -> None:
    """Whatever arrives again finds its work done, or is refused (law 9)."""
    # A person who asks twice has asked twice.
    repeatable = {"quote", "end as succeeded", "end as failed", "ask about it"}
    for situation, (name, command) in PAIRS:
        once, events = after(situation.order, command)
        twice, again = after(once, command)
        if name in repeatable or not events:
            continue
        contradiction = {type(event) for event in again} <= {happened.EvidenceContradicted}
        assert not again or contradiction, (situation.name, name)
        assert once is None or twice is None or once.state is twice.state


def test_the_documented_diagram_is_the_code() -> None:
    """``docs/order-states.md`` says what the rules do."""
    assert PAGE.read_text("utf-8") == page(), "run python -m tests.unit.domain.draw_states"


def test_an_order_that_changed_since_it_was_looked_at_is_not_sent() -> None:
    """Body and price were taken from an older version: the intent is refused, whatever they were."""
    quoted = next(s.order for s in SITUATIONS if s.name == "quoted")
    assert quoted is not None
    command = COMMANDS["checkout"]
    assert isinstance(command, asked.RequestCheckout)
    seen = replace(command, based_on_version=quoted.version - 1)
    assert isinstance(decide(quoted, seen), Refusal)
    assert not isinstance(decide(quoted, replace(command, based_on_version=quoted.version)), Refusal)


@pytest.mark.parametrize("name", ["submitting", "pending", "unknown"])
def test_nobody_hands_over_or_ends_what_may_still_be_under_way(name: str) -> None:
    """Before the last attempt has settled an order is neither escalated nor ended by a person."""
    order = next(s.order for s in SITUATIONS if s.name == name)
    assert order is not None
    assert order.settled_after is not None
    too_early = order.settled_after - timedelta(seconds=1)
    assert isinstance(decide(order, asked.Escalate("give up", too_early)), Refusal)
    escalated = next(s.order for s in SITUATIONS if s.name == "escalated")
    end = asked.EndByOperator(asked.OperatorEnd.FAILED, "seen", too_early)
    assert isinstance(decide(escalated, end), Refusal)


def test_a_late_acceptance_takes_an_escalated_order_back() -> None:
    """SAT has it after all: the order is pending again, not lost to people's view of it."""
    escalated = next(s.order for s in SITUATIONS if s.name == "escalated")
    now, _ = after(escalated, COMMANDS["reply accepted"])
    assert now is not None
    assert now.state is OrderState.PENDING
