"""Each event of a sent order leaves the row that the fold makes of it, and none is forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from sat_hook.domain import order_events as happened
from sat_hook.domain.event_record import Event, registered_events
from sat_hook.domain.order import Order, OrderState, Refusal, evolve
from sat_hook.domain.order_decisions import decide
from sat_hook.domain.order_movements import EndProof, movement_of, moving_types
from tests.orders import T0
from tests.unit.domain.situations import COMMANDS, HISTORIES, REQUEST_ID, SITUATIONS


def steps() -> Iterator[tuple[Order | None, Event, Order]]:
    """Every event of every history and of every command in every situation: before, event, after."""
    for events in HISTORIES.values():
        yield from _folded(None, events)
    for situation, command in itertools.product(SITUATIONS, COMMANDS.values()):
        answer = decide(situation.order, command)
        if not isinstance(answer, Refusal):
            yield from _folded(situation.order, answer)


def _folded(before: Order | None, events: tuple[Event, ...]) -> Iterator[tuple[Order | None, Event, Order]]:
    for event in events:
        after = evolve(before, REQUEST_ID, event, T0)
        yield before, event, after
        before = after


STEPS = list(steps())


def money_of(order: Order) -> tuple[object, ...]:
    """What of an order decides about money. Where nothing was sent, all states are one."""
    return (
        OrderState.QUOTED if order.state.was_never_sent else order.state,
        order.charged_rupiah,
        order.admin_fee_rupiah,
        order.partner_fee_rupiah,
        order.debit_proven_at,
        order.doubted_at,
        order.mismatch,
        order.ended_by_operator,
    )


def test_what_changes_the_money_of_a_sent_order_leaves_a_row() -> None:
    """An event type that does so is a SentOrderEvent, or closing a day would not see it."""
    forgotten = {
        event.type_name
        for before, event, after in STEPS
        if before is not None
        and after.attempt > 0
        and money_of(before) != money_of(after)
        and movement_of(after, event) is None
    }
    assert forgotten == set()


def test_only_sent_orders_leave_rows() -> None:
    """What happens before the first sending costs no row."""
    for _, event, after in STEPS:
        assert (movement_of(after, event) is None) or after.attempt > 0
    assert {event.type_name for _, event, after in STEPS if movement_of(after, event)} == set(moving_types())


def test_every_schema_of_an_event_leaves_a_row_or_none() -> None:
    """An earlier shape of a SentOrderEvent is one, too."""
    for (name, version), kind in registered_events().items():
        assert issubclass(kind, happened.SentOrderEvent) == (name in moving_types()), (name, version)


def test_the_end_types_are_those_that_end() -> None:
    """The state after an event of these types is an end; after any other that moves an order it is none."""
    for _, event, after in STEPS:
        movement = movement_of(after, event)
        if movement is not None and not movement.is_remark:
            assert (event.type_name in happened.END_TYPES) == after.state.is_signed_end, event.type_name
        else:
            assert event.type_name not in happened.END_TYPES


def test_a_remark_ends_nothing_and_brings_nothing_back() -> None:
    """What tells of an order leaves it ended or open as it was."""
    for before, event, after in STEPS:
        movement = movement_of(after, event)
        if before is not None and movement is not None and movement.is_remark:
            assert before.state.is_final == after.state.is_final, event.type_name
            assert before.state is after.state or not after.state.is_final


@pytest.mark.parametrize(
    ("history", "proof"),
    [
        ("pending", EndProof.NONE),
        ("succeeded", EndProof.SIGNED),
        ("reversed and doubted", EndProof.SIGNED),
        ("failed", EndProof.SIGNED),
        ("failed by operator", EndProof.BY_OPERATOR),
        ("rejected at checkout", EndProof.REJECTED),
    ],
)
def test_what_an_end_rests_on(history: str, proof: EndProof) -> None:
    """A signed status, a person, a listed rejection, or nothing yet."""
    *_, (_, event, after) = _folded(None, HISTORIES[history])
    movement = movement_of(after, event)
    assert movement is not None
    assert movement.end_proof is proof


def test_a_reply_that_names_no_price_leaves_a_known_charge() -> None:
    """A signed status has named the charge; a late reply to the checkout is silent about it."""
    pending = happened.OrderPending(
        evidence_digest="e" * 64,
        observed_at=T0,
        sales_price_rupiah=60_000,
        admin_fee_rupiah=500,
        partner_fee_rupiah=100,
        reported_status="Pending",
    )
    silent = happened.CheckoutAccepted(
        attempt=1,
        reported_status="Pending",
        sales_price_rupiah=None,
        partner_fee_rupiah=None,
        response_digest=None,
    )
    *_, (_, _, after) = _folded(None, (*HISTORIES["submitting"], pending, silent))
    assert (after.charged_rupiah, after.admin_fee_rupiah, after.partner_fee_rupiah) == (60_000, 500, 100)
