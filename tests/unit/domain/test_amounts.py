"""What an order counts for, whatever SAT says that it charges."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_events as happened
from sat_hook.domain.funds import commitment_of, may_come_back_rupiah
from sat_hook.domain.guards import GuardRules, Usage, amount_of, rule_on
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.domain.order_decisions import ORDER_DECIDER, decide
from sat_hook.domain.rupiah import MAXIMUM_AMOUNT_RUPIAH, committed_rupiah, is_above_quote
from tests.orders import T0
from tests.unit.domain.situations import COMMANDS, HISTORIES, REQUEST_ID, reply, status

QUOTE = 52_000
ANY = st.none() | st.integers(-(10**18), 10**18)


def situation(name: str) -> Order:
    """The order in one of the situations."""
    order = ORDER_DECIDER.fold(REQUEST_ID, ((event, T0) for event in HISTORIES[name]))
    assert order is not None
    return order


def after(order: Order, command: asked.OrderCommand) -> tuple[Order, list[str]]:
    """The order after a command, and the names of its events."""
    events = decide(order, command)
    assert isinstance(events, tuple)
    for event in events:
        order = evolve(order, REQUEST_ID, event, T0)
    return order, [event.type_name for event in events]


def replied(price: int | None, *unreadable: asked.UnreadableAmount) -> asked.RecordReply:
    """An accepting reply that names a price."""
    plain = reply(asked.ReplyVerdict.ACCEPTED)
    return asked.RecordReply(
        plain.attempt,
        plain.verdict,
        plain.reason,
        reported_status="Pending",
        sales_price_rupiah=price,
        unreadable_amounts=unreadable,
    )


@given(ANY)
def test_an_unsigned_price_never_lowers_what_an_order_counts_for(price: int | None) -> None:
    """Limits, approval and funds count the larger of quote and reply; a number that is no amount is none."""
    order, names = after(situation("submitting"), replied(price))
    is_amount = price is None or 0 <= price <= MAXIMUM_AMOUNT_RUPIAH
    expected = max(QUOTE, price) if is_amount and price is not None else QUOTE
    assert order.state is OrderState.PENDING
    assert amount_of(order) == expected
    commitment = commitment_of(order, 0)
    assert commitment is not None
    assert commitment.rupiah == may_come_back_rupiah(order, T0) == expected
    assert ("AmountUnknown" in names) is not is_amount
    assert order.charged_rupiah is None or 0 <= order.charged_rupiah <= MAXIMUM_AMOUNT_RUPIAH


@pytest.mark.parametrize("price", [None, QUOTE, 0, -1, -(10**15), 10**15])
def test_a_cheap_reply_frees_nothing_of_a_limit(price: int | None) -> None:
    """Five orders at 52,000 use 260,000 of the day, whatever their replies name; the sixth is held."""
    sent, _ = after(situation("submitting"), replied(price))
    used = Usage(5, 5 * amount_of(sent))
    (ruling,) = rule_on([situation("quoted")], [], Usage(), used, GuardRules(day_limit_rupiah=300_000), T0)
    assert used.rupiah == 260_000
    assert isinstance(ruling.command, asked.Hold)


@given(ANY, st.none() | st.integers(0, 10**10))
def test_a_charge_above_the_quote_is_noticed_however_absurd(charged: int | None, quote: int | None) -> None:
    """What stops a chunk is any larger number; what counts in sums is an amount."""
    assert is_above_quote(quote, charged) == (None not in (charged, quote) and charged > quote)  # type: ignore[operator]
    assert committed_rupiah(quote, charged) >= (quote or 0)


@pytest.mark.parametrize("word", ["Success", "Failed", "Pending"])
@pytest.mark.parametrize("price", [-1, MAXIMUM_AMOUNT_RUPIAH + 1, 2**40 + 25_100, 10**29])
def test_a_signed_amount_that_is_none_costs_no_end(word: str, price: int) -> None:
    """The order ends, its charge is unknown, the log has the number as text, the quote counts."""
    order, names = after(situation("pending"), status(word, price=price))
    expected = {"Success": OrderState.SUCCEEDED, "Failed": OrderState.FAILED, "Pending": OrderState.PENDING}
    assert order.state is expected[word]
    assert order.charged_rupiah is None
    assert amount_of(order) == QUOTE
    assert names[-1] == "AmountUnknown"
    (unknown,) = order.unknown_amounts or ()
    assert (unknown.member, unknown.found, unknown.is_signed) == ("sales_price", str(price), True)


def test_an_unreadable_amount_is_told_once_a_kind() -> None:
    """A reply, a signed Pending and a signed Success name nonsense: one alert unsigned, one signed."""
    odd = asked.UnreadableAmount("sales_price", "12.500")
    order, first = after(situation("submitting"), replied(None, odd))
    order, second = after(order, status("Pending", price=-1))
    order, third = after(order, status("Success", price=-1, observed_at=T0 + timedelta(hours=1)))
    assert [names.count("AmountUnknown") for names in (first, second, third)] == [1, 1, 0]


def test_a_later_amount_makes_the_charge_known() -> None:
    """SAT signs nonsense for a Pending and a price for the Success: the price counts."""
    order, _ = after(situation("pending"), status("Pending", price=-1))
    assert order.unknown_amounts
    order, _ = after(order, status("Success", price=51_000, observed_at=T0 + timedelta(hours=1)))
    assert (order.charged_rupiah, order.unknown_amounts) == (51_000, None)
    assert amount_of(order) == QUOTE


def test_fees_that_are_none_are_unknown_too() -> None:
    """A negative fee reaches no fold; the price beside it counts."""
    command = asked.RecordStatus(
        "Success", T0 + timedelta(hours=1), "f" * 64, sales_price_rupiah=QUOTE, partner_fee_rupiah=-100
    )
    order, names = after(situation("pending"), command)
    assert (order.charged_rupiah, order.partner_fee_rupiah) == (QUOTE, 0)
    assert names == ["OrderSucceeded", "AmountUnknown"]


@pytest.mark.parametrize("name", [name for name in COMMANDS if "unknown amount" in name])
def test_no_amount_that_is_none_reaches_an_order(name: str) -> None:
    """In every situation."""
    for history in HISTORIES:
        if not HISTORIES[history]:
            continue
        before = situation(history)
        events = decide(before, COMMANDS[name])
        for event in events if isinstance(events, tuple) else ():
            before = evolve(before, REQUEST_ID, event, T0)
        for amount in (before.charged_rupiah, before.admin_fee_rupiah, before.partner_fee_rupiah):
            assert amount is None or 0 <= amount <= MAXIMUM_AMOUNT_RUPIAH, history


def test_a_log_of_an_older_release_is_read_the_same_way() -> None:
    """Its events may hold such numbers themselves."""
    signed = {
        **HISTORIES["succeeded"][-1].model_dump(),
        "sales_price_rupiah": -1,
        "partner_fee_rupiah": 10**15,
    }
    old = (*HISTORIES["pending"], happened.OrderSucceeded.model_validate(signed))
    order = ORDER_DECIDER.fold(REQUEST_ID, ((event, T0) for event in old))
    assert order is not None
    assert (order.state, order.charged_rupiah, order.partner_fee_rupiah) == (OrderState.SUCCEEDED, None, None)
