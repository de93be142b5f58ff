"""What spans several days: files, looks and closes that contradict, correct or follow each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sat_hook.clients.clock import SystemClock
from sat_hook.domain import order_events as happened
from sat_hook.domain.books_events import DepositObserved, SettlementMapping
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.decision import Record
from sat_hook.reconciliation import book_commands
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.day_sequence import days_to_close
from sat_hook.reconciliation.errors import ClocksApartError
from sat_hook.reconciliation.settlement import keep_settlement
from sat_hook.store.postgres import PostgresEventStore
from tests.integration.reconciliation.planting import CLOSES, DAY, NOON, PRICE, SECOND, Planted, described
from tests.integration.reconciliation.test_life_of_a_break import (
    AFTER_NEXT,
    BY_CHIEF,
    BY_FINANCE,
    HOUR,
    NEXT,
    ONE_DAY,
    next_day,
    only,
)
from tests.orders import BY_TEST


def signed(day: Planted, business_day: BusinessDay = DAY) -> None:
    """Prepared by one person, certified by another."""
    book_commands.prepare(day.keeper, day.account, business_day.day, "looked at all of it", BY_FINANCE)
    book_commands.certify(day.keeper, day.account, business_day.day, "fine", BY_CHIEF)


def test_two_foreign_movements_of_one_size_are_not_one_matter_of_the_moment(day: Planted) -> None:
    """A million leaves on one day and returns on the next, both unexplained. Neither break closes itself."""
    day.net_rupiah -= 1_000_000
    day.observe(CLOSES + SECOND)
    assert described(only(day.close().close)) == ("saldo", "amount", None, -1_000_000)
    day.net_rupiah += 1_000_000
    second = next_day(day)
    assert [(item.amount_rupiah, item.state) for item in second.breaks] == [
        (-1_000_000, BreakState.OPEN),
        (1_000_000, BreakState.OPEN),
    ]


def test_only_the_very_next_equation_evens_a_saldo_out(day: Planted) -> None:
    """What was looked at too early shows at the next opening, not two days later."""
    day.observe(CLOSES + SECOND, 10_000_000 + day.net_rupiah + PRICE)
    day.net_rupiah += PRICE  # it really was more, and stays so on the next day
    assert described(only(day.close().close)) == ("saldo", "timing", None, PRICE)
    assert [item.state for item in next_day(day).breaks] == [BreakState.OPEN]
    day.net_rupiah -= PRICE
    third = next_day(day, AFTER_NEXT)
    assert [(item.amount_rupiah, item.state) for item in third.breaks] == [
        (PRICE, BreakState.OPEN),
        (-PRICE, BreakState.OPEN),
    ]


@pytest.mark.parametrize("sent_at", [NOON, CLOSES - HOUR], ids=["at noon", "near the cut-off"])
def test_an_order_in_the_files_of_two_days_was_charged_twice(day: Planted, sent_at: object) -> None:
    """Both files have it once; the later one is where it is too much, and by how much."""
    day.succeed("x", sent_at)  # type: ignore[arg-type]
    day.settle(*day.usual_rows(), day.settlement_row("x"))
    day.settle(day.settlement_row("on its way"), day.settlement_row("x"), day=NEXT.day, name="next.csv")
    day.observe(CLOSES + SECOND)
    assert day.close().close.breaks == ()
    second = only(next_day(day))
    assert described(second) == ("settlement", "duplicate", "x", PRICE)
    assert second.evidence.file_name == "next.csv"
    assert second.evidence.file_rows == (3,)
    third = only(next_day(day, AFTER_NEXT))
    assert (third.break_id, third.state, third.first_seen) == (second.break_id, BreakState.OPEN, NEXT.day)
    day.settle(day.settlement_row("on its way"), day=NEXT.day, name="corrected.csv", replaces=True)
    assert day.close(NEXT).close.breaks == ()


def test_a_stranger_in_the_files_of_two_days_is_two_breaks(day: Planted) -> None:
    """Two unknown charges are two breaks."""
    stranger = f"S{'Q' * 31},10500,Success,10k-three,0812"
    day.settle(*day.usual_rows(), stranger)
    day.settle(day.settlement_row("on its way"), stranger, day=NEXT.day, name="next.csv")
    day.observe(CLOSES + SECOND)
    first = only(day.close().close)
    second = next_day(day)
    assert [(item.day, item.amount_rupiah) for item in second.breaks] == [
        (DAY.day, 10_500),
        (NEXT.day, 10_500),
    ]
    assert first.break_id == second.breaks[0].break_id != second.breaks[1].break_id


def test_an_order_that_ended_twice_is_one_end(day: Planted) -> None:
    """Succeeded, and reversed on the same day: the last end counts, once, with its own evidence."""
    day.send("x", NOON)
    day.end("x", NOON + SECOND, kept=False)
    day.end("x", NOON + HOUR, happened.OrderReversed)
    day.observe(CLOSES + SECOND)
    close = day.close().close
    assert close.breaks == ()
    evidence = close.matches[0]
    # good-1 to good-3, bad, x; "refused" has no signed end.
    assert (evidence.ours, evidence.theirs, evidence.matched) == (5, 5, 5)
    assert evidence.ours_rupiah == evidence.theirs_rupiah == evidence.matched_rupiah


def test_what_came_between_the_close_and_the_certificate_is_adjusted_once(day: Planted) -> None:
    """The next day was closed before the signature: the open day posts it all the same, and only once."""
    day.observe(CLOSES + SECOND)
    day.close()
    day.end("good-1", CLOSES + 2 * HOUR, happened.OrderReversed)
    assert next_day(day).adjustments == ()
    signed(day)
    signed(day, NEXT)
    third = next_day(day, AFTER_NEXT)
    assert [(item.certified_day, item.order_id, item.amount_rupiah) for item in third.adjustments] == [
        (DAY.day, "good-1", PRICE)
    ]
    fourth = replace(DAY, day=DAY.day + 3 * ONE_DAY)
    assert next_day(day, fourth).adjustments == ()
    books = day.keeper.books(day.account)
    assert (books.adjusted_by(DAY.day), books.adjusted_by(NEXT.day)) == ([AFTER_NEXT.day], [])


def test_a_day_closed_again_by_hand_has_the_days_after_it_closed_again(day: Planted) -> None:
    """Otherwise its new findings would be in no list."""
    day.settle(*day.usual_rows())
    day.observe(CLOSES + SECOND)
    day.close()
    day.end("good-1", CLOSES + 2 * HOUR, happened.OrderReversed)
    next_day(day)
    assert days_to_close(day.keeper.books(day.account), AFTER_NEXT.day) == [AFTER_NEXT.day]
    found = {described(item): item.break_id for item in day.close().close.breaks}
    status = found["settlement", "status", "good-1", PRICE]
    assert days_to_close(day.keeper.books(day.account), AFTER_NEXT.day) == [NEXT.day, AFTER_NEXT.day]
    assert status in {item.break_id for item in day.close(NEXT).close.breaks}
    assert days_to_close(day.keeper.books(day.account), AFTER_NEXT.day) == [AFTER_NEXT.day]


def test_a_day_that_was_closed_late_fills_the_gap_in_the_chain(day: Planted) -> None:
    """The control break of the day after it ends when that one is closed again."""
    day.observe(CLOSES + SECOND)
    day.close()
    day.end("on its way", CLOSES + HOUR)
    day.observe(AFTER_NEXT.opens_at + SECOND)
    assert only(next_day(day, AFTER_NEXT)).category.value == "control"
    day.close(NEXT)
    after = replace(DAY, day=DAY.day + 3 * ONE_DAY)
    assert days_to_close(day.keeper.books(day.account), after.day) == [AFTER_NEXT.day, after.day]
    assert day.close(AFTER_NEXT).close.breaks == ()


@pytest.mark.parametrize("minutes", [60, -60])
def test_a_cut_off_that_moves_leaves_no_hour_out_and_counts_none_twice(day: Planted, minutes: int) -> None:
    """The day after begins where the one before ended, and is an hour longer or shorter."""
    early, late = CLOSES + HOUR / 2, CLOSES - HOUR / 2
    day.succeed("before midnight", late)
    day.observe(CLOSES + SECOND)
    day.close()
    day.succeed("after midnight", early)
    day.settle(*day.usual_rows(), *(day.settlement_row(name) for name in ("before midnight", "on its way")))
    moved = BusinessDay(NEXT.day, minutes)
    day.end("on its way", CLOSES + HOUR)
    day.settle(day.settlement_row("after midnight"), day=NEXT.day, name="next.csv")
    day.clock.advance((moved.closes_at + 2 * HOUR - day.clock.now()).total_seconds())
    day.observe(moved.closes_at + SECOND)
    assert day.close().close.breaks == ()
    second = day.close(moved).close
    assert second.breaks == ()
    assert second.business_day.opens_at == DAY.closes_at
    assert second.business_day.closes_at == moved.closes_at
    sent = second.orders.frame[second.orders.frame["is_sent_in_day"]]
    assert sent["order_id"].tolist() == ["after midnight"]


def test_the_same_person_by_another_spelling_is_the_same_person(day: Planted) -> None:
    """Airflow's directories do not care for case; the four eyes do."""
    day.observe(CLOSES + SECOND)
    day.close()
    book_commands.prepare(day.keeper, day.account, DAY.day, "looked at all of it", BY_FINANCE)
    for spelling in ("user:Finance", "user:FINANCE", "user: finance ", "user:ﬁnance"):
        with pytest.raises(book_commands.BooksRefusedError, match="another person"):
            book_commands.certify(day.keeper, day.account, DAY.day, "fine", replace(BY_CHIEF, actor=spelling))


def test_a_look_by_a_clock_that_is_apart_is_not_kept(store: PostgresEventStore) -> None:
    """One from the future would be newer than every other until its moment has come."""
    now, keeper = datetime.now(UTC), BookKeeper(store, SystemClock())
    for apart in (HOUR, -HOUR):
        with pytest.raises(ClocksApartError, match="within 0:05:00 of the database's"):
            keeper.observe(looked_at("clocks", now + apart), BY_TEST)
    assert keeper.observe(looked_at("clocks", now), BY_TEST)
    assert keeper.observe(looked_at("clocks", now), BY_TEST) == ()
    assert keeper.observe(looked_at("clocks", now + SECOND), BY_TEST)


def test_what_a_person_gave_up_does_not_come_back_as_new(day: Planted) -> None:
    """An order that never ends is found every day: written off it stays so, with its first day."""
    day.send("x", DAY.opens_at - HOUR)
    day.net_rupiah += PRICE  # it was debited before the opening look
    day.observe(CLOSES + SECOND)
    first = only(day.close().close)
    assert described(first) == ("evidence", "timing", "x", -PRICE)
    day.decide(first.break_id, BreakState.WRITTEN_OFF, "too small to chase", BY_CHIEF)
    for business_day in (NEXT, AFTER_NEXT, replace(DAY, day=DAY.day + 3 * ONE_DAY)):
        close = next_day(day, business_day)
        (item,) = close.breaks
        assert (item.break_id, item.state, item.first_seen) == (
            first.break_id,
            BreakState.WRITTEN_OFF,
            DAY.day,
        )
        assert close.open_breaks == ()


def test_files_of_a_day_may_tell_different_things(day: Planted) -> None:
    """One names products and numbers, the other does not: only what a file says is compared."""
    plain = "\n".join(("request_id,amount,status", f"{day.request_id('good-2')},{PRICE},Success", ""))
    event = keep_settlement(
        day.spool,
        account=day.account,
        day=DAY.day,
        name="plain.csv",
        content=plain.encode(),
        mapping=SettlementMapping(),
    )
    day.keeper.post(day.account, Record(event), BY_TEST)
    day.settle(*day.usual_rows("good-2", "good-1"), day.settlement_row("good-1", product="100k-indosat"))
    day.observe(CLOSES + SECOND)
    assert described(only(day.close().close)) == ("settlement", "attribute", "good-1", 0)


@pytest.mark.parametrize("is_signed", [False, True], ids=["open", "certified"])
def test_a_success_that_comes_days_later_is_looked_for_in_the_files(day: Planted, is_signed: bool) -> None:
    """Its day was matched before its end was known; one of the provider's files must have it."""
    for name in ("found", "lost"):
        day.send(name, NOON)
    day.settle(*day.usual_rows())
    day.observe(CLOSES + SECOND)
    assert day.close().close.breaks == ()
    if is_signed:
        signed(day)
    day.settle(day.settlement_row("on its way"), day=NEXT.day, name="next.csv")
    next_day(day)
    for name in ("found", "lost"):
        day.end(name, NEXT.closes_at + HOUR)
    assert {described(item)[:2] for item in next_day(day, AFTER_NEXT).breaks} == {("evidence", "timing")}
    rows = (day.settlement_row("found"),)
    day.settle(*rows, day=AFTER_NEXT.day, name="after.csv")
    days = days_to_close(day.keeper.books(day.account), AFTER_NEXT.day + ONE_DAY)
    assert AFTER_NEXT.day in days
    day.close(NEXT)
    third = {described(item): item for item in day.close(AFTER_NEXT).close.breaks}
    lost = third["settlement", "existence", "lost", -PRICE]
    assert (lost.first_seen, lost.day, lost.is_adjustment) == (AFTER_NEXT.day, DAY.day, is_signed)
    assert ("settlement", "timing", "found", 0) in third
    assert not any(
        item.match.value == "settlement" and item.order_id == "found" and item.amount_rupiah
        for item in third.values()
    )
    fourth = next_day(day, replace(DAY, day=DAY.day + 3 * ONE_DAY))
    assert (lost.break_id, AFTER_NEXT.day) in {(item.break_id, item.first_seen) for item in fourth.breaks}


def test_a_duplicate_in_two_files_of_a_day_is_located_in_both(day: Planted) -> None:
    """A row number belongs to its own file."""
    day.settle(*day.usual_rows(), name="a.csv")
    day.settle(day.settlement_row("good-2"), name="b.csv")
    day.observe(CLOSES + SECOND)
    found = only(day.close().close)
    assert described(found) == ("settlement", "duplicate", "good-2", PRICE)
    assert (found.evidence.file_name, found.evidence.file_rows) == ("a.csv", (3,))
    assert found.theirs == "Rp 104,000; b.csv row 2"


def looked_at(account: str, at: datetime) -> DepositObserved:
    """A look at a deposit at a real moment."""
    return DepositObserved(
        account=account, saldo_rupiah=1, requested_at=at, received_at=at, response_digest="a" * 64
    )


def test_a_row_that_says_failed_takes_nothing(day: Planted) -> None:
    """An order that the file has as failed and as paid is there twice, and was charged once."""
    strange = f"S{'Q' * 31},10500,Failed,10k-three,0812"
    again = day.settlement_row("good-1", status="Failed")
    day.settle(*day.usual_rows(), again, strange, day.settlement_row("bad", status="Failed"))
    day.observe(CLOSES + SECOND)
    close = day.close().close
    assert {described(item) for item in close.breaks} == {
        ("settlement", "duplicate", "good-1", 0),
        ("settlement", "existence", "", 0),
    }
    settlement = close.matches[1]
    assert (settlement.ours, settlement.theirs, settlement.matched) == (3, 3, 2)
    assert settlement.ours_rupiah == settlement.theirs_rupiah == 3 * PRICE


def test_what_had_not_left_at_the_close_is_not_in_transit_at_the_next_opening(day: Planted) -> None:
    """SAT was away before the cut-off; sent again on the next day, the order is the next day's alone."""
    refused_at = CLOSES - 120 * SECOND
    day.receive("late", refused_at - SECOND)
    requested = happened.CheckoutRequested(
        attempt=1, body="{}", price_rupiah=PRICE, send_before=refused_at, settled_after=refused_at
    )
    day.happen("late", refused_at, requested)
    day.happen("late", refused_at + SECOND, happened.CheckoutNotSent(attempt=1, reason="connection refused"))
    day.observe(CLOSES + SECOND)
    first = day.close().close
    again = CLOSES + HOUR
    day.happen("late", again, requested.model_copy(update={"attempt": 2}))
    day.end("late", again + SECOND)
    day.net_rupiah -= PRICE
    second = next_day(day)
    assert (first.breaks, second.breaks) == ((), ())
    assert second.saldo is not None
    assert second.saldo.in_transit_opening_rupiah == PRICE  # "on its way" alone
    assert second.orders.frame.set_index("order_id").loc["late", "debit_rupiah"] == PRICE
