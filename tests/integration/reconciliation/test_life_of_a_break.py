"""Breaks over days: carried, ended by evidence only, decided by people; days signed, frozen, adjusted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sat_hook.domain import order_events as happened
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay
from sat_hook.reconciliation import book_commands
from sat_hook.reconciliation.day_sequence import days_to_close
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.model import Break, DayClose
from sat_hook.reconciliation.status_candidates import orders_to_ask
from tests.integration.reconciliation.planting import (
    BY_CHIEF,
    BY_FINANCE,
    CLOSES,
    DAY,
    NOON,
    PRICE,
    SECOND,
    Planted,
    described,
)

HOUR = timedelta(hours=1)
ONE_DAY = timedelta(days=1)
NEXT = replace(DAY, day=DAY.day + ONE_DAY)
AFTER_NEXT = replace(DAY, day=DAY.day + 2 * ONE_DAY)


def next_day(day: Planted, business_day: BusinessDay = NEXT) -> DayClose:
    """The following day passes, the order in transit succeeds on the first; then it is closed."""
    if business_day is NEXT:
        day.end("on its way", CLOSES + HOUR)
    closes = business_day.closes_at + SECOND
    day.clock.advance((closes + HOUR - day.clock.now()).total_seconds())
    day.observe(closes)
    return day.close(business_day).close


def only(close: DayClose) -> Break:
    """The one break of a close."""
    (item,) = close.breaks
    return item


def test_an_open_break_is_carried_with_its_first_day(day: Planted) -> None:
    """It ages; nothing else comes of the days that follow."""
    day.settle(*day.usual_rows("good-2"))
    day.observe(CLOSES + SECOND)
    first = only(day.close().close)
    second = only(next_day(day))
    third = only(next_day(day, AFTER_NEXT))
    assert first.break_id == second.break_id == third.break_id
    assert {item.first_seen for item in (first, second, third)} == {DAY.day}
    assert [third.age_days(AFTER_NEXT.day), third.age_band(AFTER_NEXT.day)] == [2, "2-7 days"]
    assert third.state is BreakState.OPEN


def test_what_was_in_transit_at_the_close_balances_the_next_day(day: Planted) -> None:
    """The terms chain: today's opening is yesterday's closing, in transit included."""
    day.observe(CLOSES + SECOND)
    first = day.close().close
    second = next_day(day)
    assert (first.breaks, second.breaks) == ((), ())
    assert first.saldo is not None
    assert second.saldo is not None
    assert second.saldo.opening == replace(first.saldo.closing, position=second.saldo.opening.position)
    assert second.saldo.in_transit_opening_rupiah == first.saldo.in_transit_closing_rupiah == PRICE
    assert (second.saldo.debits_rupiah, second.saldo.in_transit_closing_rupiah) == (PRICE, 0)
    assert [total.name for total in second.controls if "yesterday" in total.name]
    assert all(total.agrees for total in second.controls)
    assert second.orders.frame["order_id"].tolist() == ["on its way"]


def test_a_saldo_that_was_looked_at_too_early_evens_out(day: Planted) -> None:
    """Today too much, tomorrow exactly as much too little: both are closed by that, and by nothing less."""
    day.observe(CLOSES + SECOND, 10_000_000 + day.net_rupiah + PRICE)
    first = only(day.close().close)
    assert described(first) == ("saldo", "timing", None, PRICE)
    second = next_day(day)
    assert [(item.amount_rupiah, item.state) for item in second.breaks] == [
        (PRICE, BreakState.RESOLVED),
        (-PRICE, BreakState.RESOLVED),
    ]
    assert all(item.actor == "service:reconciliation" for item in second.breaks)
    assert next_day(day, AFTER_NEXT).breaks == ()


def test_a_timing_break_ends_when_the_next_file_has_the_order(day: Planted) -> None:
    """Only the date drifted."""
    day.succeed("late", CLOSES - HOUR)
    day.settle(*day.usual_rows())
    day.observe(CLOSES + SECOND)
    first = only(day.close().close)
    assert described(first) == ("settlement", "timing", "late", -PRICE)
    day.settle(day.settlement_row("late"), day.settlement_row("on its way"), day=NEXT.day, name="next.csv")
    assert days_to_close(day.keeper.books(day.account), NEXT.day) == [DAY.day, NEXT.day]
    second = only(next_day(day))
    assert (second.break_id, second.state) == (first.break_id, BreakState.RESOLVED)


def test_a_timing_break_that_no_file_ends_becomes_an_existence_break(day: Planted) -> None:
    """The same break under another category, with its first day."""
    day.succeed("late", CLOSES - HOUR)
    day.settle(*day.usual_rows())
    day.observe(CLOSES + SECOND)
    first = only(day.close().close)
    day.settle(day.settlement_row("on its way"), day=NEXT.day, name="next.csv")
    second = only(next_day(day))
    assert (second.break_id, second.first_seen) == (first.break_id, DAY.day)
    assert described(second) == ("settlement", "existence", "late", -PRICE)


def test_a_corrected_file_closes_the_day_again(day: Planted) -> None:
    """The new file replaces the old; the break of the old one is gone from both days."""
    day.settle(*day.usual_rows("good-2"))
    day.observe(CLOSES + SECOND)
    day.close()
    next_day(day)
    day.settle(*day.usual_rows(), day.settlement_row("on its way"), replaces=True, name="corrected.csv")
    assert days_to_close(day.keeper.books(day.account), AFTER_NEXT.day) == [
        DAY.day,
        NEXT.day,
        AFTER_NEXT.day,
    ]
    assert day.close().close.breaks == ()
    assert day.close(NEXT).close.breaks == ()


def test_a_signed_status_ends_what_a_person_had_ended(day: Planted) -> None:
    """Unsigned until then; such an order is asked about, and one that is well known is not."""
    day.send("x", NOON, accepted=False)
    day.net_rupiah -= PRICE
    day.happen("x", NOON + HOUR, happened.OrderEscalated(reason="no end after 24 hours"))
    day.happen("x", NOON + 2 * HOUR, happened.SucceededByOperator(reason="seen in the console"))
    day.observe(CLOSES + SECOND)
    first = only(day.close().close)
    assert described(first) == ("evidence", "matching", "x", -PRICE)
    asked = orders_to_ask(day.keeper, day.account, NEXT)
    assert set(asked) == {day.request_id("x"), day.request_id("on its way")}
    day.end("x", CLOSES + HOUR)
    second = only(next_day(day))
    assert (second.break_id, second.state) == (first.break_id, BreakState.RESOLVED)


def test_an_explained_break_is_carried_until_it_is_resolved(day: Planted) -> None:
    """A person's word with the name and the reason; a final one ends it."""
    day.net_rupiah -= 250_000
    day.observe(CLOSES + SECOND)
    first = only(day.close().close)
    explain = (day.keeper, day.account, first.break_id, BreakState.EXPLAINED, "the shop paid by hand")
    assert book_commands.settle_break(*explain, BY_FINANCE) is True
    assert book_commands.settle_break(*explain, BY_FINANCE) is False
    second = only(next_day(day))
    assert (second.state, second.reason, second.actor) == (
        BreakState.EXPLAINED,
        "the shop paid by hand",
        "user:finance",
    )
    day.decide(first.break_id, BreakState.WRITTEN_OFF, "too small to chase", BY_CHIEF)
    assert next_day(day, AFTER_NEXT).breaks == ()
    with pytest.raises(BooksRefusedError, match="found no break"):
        day.decide("K" + "A" * 15, BreakState.RESOLVED, "of nothing", BY_CHIEF)


def test_a_top_up_counts_once_and_explains_its_day(day: Planted) -> None:
    """The same again changes nothing, other facts of a reference are refused; its day is due again."""
    day.net_rupiah += 700_000
    day.observe(CLOSES + SECOND)
    assert only(day.close().close).amount_rupiah == 700_000
    record = {
        "reference": "BCA-7",
        "amount_rupiah": 700_000,
        "credited_at": NOON,
        "note": "by transfer",
        "provenance": BY_FINANCE,
    }
    assert book_commands.top_up(day.keeper, day.account, **record) is True
    assert book_commands.top_up(day.keeper, day.account, **record) is False
    assert book_commands.top_up(day.keeper, day.account, **{**record, "reference": " bca-7 "}) is False
    with pytest.raises(BooksRefusedError, match="expected another reference"):
        book_commands.top_up(day.keeper, day.account, **{**record, "amount_rupiah": 1})
    with pytest.raises(BooksRefusedError, match="expected a moment that has passed"):
        book_commands.top_up(
            day.keeper, day.account, **{**record, "reference": "B8", "credited_at": CLOSES + 9 * HOUR}
        )
    assert days_to_close(day.keeper.books(day.account), NEXT.day) == [DAY.day, NEXT.day]
    close = day.close().close
    assert close.breaks == ()
    assert [item.reference for item in close.top_ups] == ["BCA-7"]


def test_a_day_is_signed_by_two_and_frozen(day: Planted) -> None:
    """Preparer and approver differ, both sign one digest; later news adjust the open day, shown on both."""
    day.net_rupiah += 300_000
    day.settle(*day.usual_rows())
    day.observe(CLOSES + SECOND)
    closed = day.close()
    with pytest.raises(BooksRefusedError, match="found no preparation"):
        book_commands.certify(day.keeper, day.account, DAY.day, "fine", BY_CHIEF)
    prepared = book_commands.prepare(day.keeper, day.account, DAY.day, "looked at all of it", BY_FINANCE)
    assert (prepared.position, prepared.result_digest) == (closed.close.position, closed.digest)
    with pytest.raises(BooksRefusedError, match="another person"):
        book_commands.certify(day.keeper, day.account, DAY.day, "fine", BY_FINANCE)
    certified = book_commands.certify(day.keeper, day.account, DAY.day, "fine", BY_CHIEF)
    assert (certified.prepared_by, certified.certified_by) == ("user:finance", "user:chief")

    # A reversal, a late top-up, and a corrected file, all about the certified day.
    day.end("good-1", CLOSES + 2 * HOUR, happened.OrderReversed)
    day.top_up(300_000, NOON, "BCA-LATE")
    day.settle(*day.usual_rows("good-3"), day.settlement_row("on its way"), replaces=True, name="c.csv")
    assert days_to_close(day.keeper.books(day.account), NEXT.day) == [NEXT.day]
    again = day.close()
    assert (again.digest, again.is_new) == (closed.digest, False)

    second = next_day(day)
    assert {
        (item.certified_day, item.order_id, item.now, item.amount_rupiah) for item in second.adjustments
    } == {
        (DAY.day, "good-1", "reversed", PRICE),
        (DAY.day, "BCA-LATE", "topped up", 300_000),
    }
    found = {described(item): (item.state, item.is_adjustment) for item in second.breaks}
    assert found == {
        ("saldo", "amount", None, 300_000): (BreakState.RESOLVED, False),
        ("settlement", "existence", "good-3", -PRICE): (BreakState.OPEN, True),
        ("settlement", "status", "good-1", PRICE): (BreakState.OPEN, True),
    }
    assert second.saldo is not None
    assert (second.saldo.refunds_rupiah, second.saldo.unexplained_rupiah) == (PRICE, 0)
    books = day.keeper.books(day.account)
    assert books.adjusted_by(DAY.day) == [NEXT.day]
    assert books.closes[NEXT.day].event.adjusted_days == {DAY.day: 4}


def test_a_close_after_the_preparation_wants_another_signature(day: Planted) -> None:
    """Who approves has to approve what was prepared."""
    day.observe(CLOSES + SECOND)
    day.close()
    book_commands.prepare(day.keeper, day.account, DAY.day, "looked at all of it", BY_FINANCE)
    day.top_up(1_000)
    day.close()
    with pytest.raises(BooksRefusedError, match="closed since"):
        book_commands.certify(day.keeper, day.account, DAY.day, "fine", BY_CHIEF)


def test_a_day_with_an_open_control_break_is_not_signed(day: Planted) -> None:
    """Totals that do not agree have to be explained first."""
    close = day.close().close
    assert described(only(close))[:2] == ("control", "control")
    with pytest.raises(BooksRefusedError, match="open control breaks"):
        book_commands.prepare(day.keeper, day.account, DAY.day, "looked at all of it", BY_FINANCE)
    reason = "the server was away that night"
    day.decide(only(close).break_id, BreakState.EXPLAINED, reason)
    book_commands.prepare(day.keeper, day.account, DAY.day, "looked at all of it", BY_FINANCE)


def test_a_gap_in_the_chain_of_days_is_a_control_break(day: Planted) -> None:
    """A day that was never closed."""
    day.observe(CLOSES + SECOND)
    day.close()
    day.end("on its way", CLOSES + HOUR)
    day.observe(AFTER_NEXT.opens_at + SECOND)
    item = only(next_day(day, AFTER_NEXT))
    assert (item.category.value, item.what) == ("control", "the day before was not closed")


def test_another_cut_off_moves_orders_to_the_day_that_it_says(day: Planted) -> None:
    """A day that ends at 12:30 WIB has nothing of the afternoon."""
    early = BusinessDay(DAY.day, -690)  # from 12:30 the day before
    close = day.close(early).close
    assert set(close.orders.frame["order_id"]) == {"good-1", "good-2", "good-3", "bad", "refused"}
    assert close.business_day.closes_at.hour == 12
