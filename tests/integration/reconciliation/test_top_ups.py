"""Top-ups: recorded, matched with rises, read from a statement, and taken back by a second entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sat_hook.application.errors import RightMissingError
from sat_hook.application.rights import Person, Right
from sat_hook.application.top_ups import MAXIMUM_RECORDED_AT_ONCE, NewTopUp, TopUps
from sat_hook.commands.errors import ReasonRefusedError
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.account import ReportMovement
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.funds import Movement, MovementKind
from sat_hook.reconciliation import book_commands
from sat_hook.reconciliation.day_sequence import days_to_close
from sat_hook.reconciliation.errors import BooksRefusedError
from tests.integration.reconciliation.planting import CLOSES, DAY, NOON, SECOND, Planted
from tests.integration.reconciliation.test_breaks import host_of
from tests.orders import BY_TEST

FINA = Person("fina", frozenset({Right.FINANCE}))
AUDITOR = Person("adi", frozenset({Right.AUDIT}))
MILLION = 1_000_000
HOUR = timedelta(hours=1)
NEXT = replace(DAY, day=DAY.day + timedelta(days=1))


def rises(planted: Planted, rupiah: int, hours: float) -> None:
    """The deposit is seen to have risen, hours after noon; the look before was an hour earlier."""
    at = NOON + hours * HOUR
    seen = Movement(MovementKind.TOP_UP, expected_rupiah=100, found_rupiah=100 + rupiah)
    handler = CommandHandler(planted.store, planted.clock)
    refusal = handler.apply_to_account(planted.account, ReportMovement(seen, at, at - HOUR), BY_TEST)[1]
    assert refusal is None


def settled(planted: Planted) -> None:
    """The day's file comes, and the deposit is looked at, with what was recorded so far."""
    planted.settle(*planted.usual_rows())
    planted.observe(CLOSES + SECOND)


def test_a_wrong_top_up_is_taken_back_by_a_second_entry(day: Planted) -> None:
    """It counts no more, both entries stay in the log, and the reference may be recorded as it should be."""
    top_ups = TopUps(host_of(day))
    wrong = NewTopUp("BCA-1", 5 * MILLION, NOON)
    assert top_ups.record(day.account, [wrong], "weekly transfer", FINA).new == ("BCA-1",)
    assert top_ups.record(day.account, [wrong], "weekly transfer", FINA).known == ("BCA-1",)
    again = top_ups.record(day.account, [replace(wrong, rupiah=MILLION)], "corrected", FINA)
    assert [reference for reference, _ in again.refused] == ["BCA-1"]
    assert top_ups.reverse(day.account, "bca-1", "a zero too many", FINA)
    assert not top_ups.reverse(day.account, "BCA-1", "a zero too many", FINA)
    with pytest.raises(BooksRefusedError, match="found no top-up"):
        top_ups.reverse(day.account, "BCA-2", "never recorded", FINA)
    assert top_ups.record(day.account, [replace(wrong, rupiah=MILLION)], "corrected", FINA).new == ("BCA-1",)
    rows = top_ups.page(AUDITOR, account=day.account).items
    assert [(row.rupiah, row.reversed_by, row.reversal_reason) for row in rows] == [
        (MILLION, None, ""),
        (5 * MILLION, "fina", "a zero too many"),
    ]
    day.net_rupiah += MILLION
    settled(day)
    close = day.close().close
    assert close.breaks == ()
    assert close.saldo is not None
    assert close.saldo.top_ups_rupiah == MILLION
    assert sorted(one.rupiah for one in close.top_ups) == [-5 * MILLION, MILLION, 5 * MILLION]


def test_a_reversal_after_the_close_closes_the_day_again(day: Planted) -> None:
    """The break that the wrong top-up had hidden is found; the day was not signed."""
    top_ups = TopUps(host_of(day))
    top_ups.record(day.account, [NewTopUp("BCA-1", MILLION, NOON)], "weekly transfer", FINA)
    day.settle(*day.usual_rows())
    day.observe(CLOSES + SECOND)
    (break_,) = day.close().close.breaks
    assert break_.amount_rupiah == -MILLION
    top_ups.reverse(day.account, "BCA-1", "it never arrived", FINA)
    assert days_to_close(day.keeper.books(day.account), NEXT.day) == [DAY.day, NEXT.day]
    assert day.close().close.breaks == ()


def test_a_reversal_about_a_signed_day_is_an_adjustment_of_the_next(day: Planted) -> None:
    """The signed day is as it was; the next one posts the entry with a negative amount."""
    top_ups = TopUps(host_of(day))
    top_ups.record(day.account, [NewTopUp("BCA-1", MILLION, NOON)], "weekly transfer", FINA)
    day.net_rupiah += MILLION
    settled(day)
    day.close()
    for act, name in ((book_commands.prepare, "fina"), (book_commands.certify, "boss")):
        act(day.keeper, day.account, DAY.day, "seen", replace(BY_TEST, actor=f"user:{name}"))
    top_ups.reverse(day.account, "BCA-1", "recorded for the wrong account", FINA)
    day.end("on its way", CLOSES + HOUR)
    day.clock.advance(86_400)
    day.observe(NEXT.closes_at + SECOND)
    close = day.close(NEXT).close
    assert [(item.certified_day, item.amount_rupiah) for item in close.adjustments] == [(DAY.day, -MILLION)]


def test_a_break_that_a_late_top_up_ended_comes_back_with_its_reversal(day: Planted) -> None:
    """What explained it is gone, so it is no break of the past."""
    top_ups = TopUps(host_of(day))
    day.net_rupiah += MILLION
    settled(day)
    (break_,) = day.close().close.breaks
    assert break_.amount_rupiah == MILLION
    top_ups.record(day.account, [NewTopUp("BCA-1", MILLION, NOON)], "forgotten", FINA)
    assert day.close().close.breaks == ()
    top_ups.reverse(day.account, "BCA-1", "it was another account's", FINA)
    (again,) = day.close().close.breaks
    assert (again.break_id, again.state) == (break_.break_id, BreakState.OPEN)


def test_rises_are_matched_and_the_others_are_shown(day: Planted) -> None:
    """A top-up is seen or not; a rise has a top-up or none; a reversed one frees its rise."""
    top_ups = TopUps(host_of(day))
    rises(day, MILLION, 1)
    rises(day, 3 * MILLION, 3)
    new = [NewTopUp("A", MILLION, NOON + 0.5 * HOUR), NewTopUp("B", 7, NOON + 0.5 * HOUR)]
    top_ups.record(day.account, new, "two transfers", FINA)
    page = top_ups.page(FINA, account=day.account)
    assert {row.reference: row.rise is not None for row in page.items} == {"A": True, "B": False}
    assert [(account, rise.rupiah) for account, rise in page.rises] == [(day.account, 3 * MILLION)]
    top_ups.reverse(day.account, "A", "never sent", FINA)
    assert len(top_ups.page(FINA, account=day.account).rises) == 2


def test_a_statement_is_held_against_rises_and_what_is_recorded(day: Planted) -> None:
    """Its lines are offered with the moment of their rise, and recorded once however often it is read."""
    top_ups = TopUps(host_of(day))
    rises(day, MILLION, -3)
    statement = (
        b"Tanggal;Keterangan;No. Referensi;Debet\n"
        b"02/11/2026;DEPOSIT;BCA-1;1.000.000\n02/11/2026;SEWA;BCA-2;700\nx;y;z;1\n"
    )
    read = top_ups.read(day.account, "mutasi.csv", statement, FINA)
    first, second = read.offered
    assert (first.line.reference, first.rupiah, first.rise is not None) == ("BCA-1", MILLION, True)
    assert first.credited_at == NOON - 3 * HOUR - SECOND
    assert (second.rise, second.credited_at, second.is_known) == (None, NOON, False)
    assert [one.number for one in read.troubles] == [4]
    chosen = NewTopUp(first.line.reference, first.rupiah, first.credited_at)
    assert top_ups.record(day.account, [chosen], "read from the statement", FINA).new == ("BCA-1",)
    again = top_ups.read(day.account, "mutasi.csv", statement, FINA)
    assert [one.is_known for one in again.offered] == [True, False]
    assert top_ups.page(FINA, account=day.account).items[0].rise is not None


def test_one_that_is_refused_costs_only_itself(day: Planted) -> None:
    """The others are recorded; without a reason none is."""
    top_ups = TopUps(host_of(day))
    good = NewTopUp("GOOD", 5, NOON)
    several = [good, NewTopUp("", 5, NOON), NewTopUp("LATE", 5, NOON + 900 * HOUR), NewTopUp("ZERO", 0, NOON)]
    with pytest.raises(ReasonRefusedError):
        top_ups.record(day.account, several, "", FINA)
    found = top_ups.record(day.account, several, "of the statement", FINA)
    assert (found.new, [name for name, _ in found.refused]) == (("GOOD",), ["", "LATE", "ZERO"])
    for number in (0, MAXIMUM_RECORDED_AT_ONCE + 1):
        with pytest.raises(BooksRefusedError):
            top_ups.record(day.account, [good] * number, "of the statement", FINA)


def test_top_ups_come_in_pages(day: Planted) -> None:
    """The last credited first; the cursor goes on where the page ended."""
    top_ups = TopUps(host_of(day))
    new = [NewTopUp(f"T-{number}", 5, NOON + number * SECOND) for number in range(5)]
    top_ups.record(day.account, new, "five transfers", FINA)
    found, cursor = [], None
    while not found or cursor is not None:
        page = top_ups.page(FINA, account=day.account, limit=2, cursor=cursor)
        found += [row.reference for row in page.items]
        cursor = page.next
    assert found == ["T-4", "T-3", "T-2", "T-1", "T-0"]


def test_everything_needs_its_right(day: Planted) -> None:
    """Finance records, audit reads, a viewer sees nothing."""
    top_ups = TopUps(host_of(day))
    new = [NewTopUp("T", 5, NOON)]
    acts = (
        lambda who: top_ups.record(day.account, new, "a reason", who),
        lambda who: top_ups.reverse(day.account, "T", "a reason", who),
        lambda who: top_ups.read(day.account, "a.csv", b"a", who),
    )
    for act in acts:
        for who in (AUDITOR, Person("vera", frozenset({Right.VIEW}))):
            with pytest.raises(RightMissingError):
                act(who)
    for reading in (top_ups.page, top_ups.accounts):
        with pytest.raises(RightMissingError):
            reading(Person("vera", frozenset({Right.VIEW})))
