"""Every kind of break is planted once, found, categorised and located; and none is invented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from sat_hook.domain import order_events as happened
from sat_hook.domain.breaks import BreakState
from sat_hook.store.postgres import PostgresEventStore
from tests.integration.reconciliation.planting import (
    CLOSES,
    NOON,
    OPENS,
    PRICE,
    SALDO,
    SECOND,
    Planted,
    described,
)

HOUR = timedelta(hours=1)
MISMATCHED = happened.StatusMismatched(
    evidence_digest="a" * 64, observed_at=NOON, reported_status="Success", members=("client_number",)
)


@dataclass(frozen=True)
class Plant:
    """What goes wrong in an ordinary day, and the one break that has to be found for it.

    :param found: match, category, order id, amount.
    :param rows: of the settlement file at which the break points.
    """

    name: str
    plant: Callable[[Planted], None]
    found: tuple[str, str, str | None, int]
    rows: tuple[int, ...] = ()


def usual(day: Planted, *more: str, without: tuple[str, ...] = ()) -> None:
    """The ordinary day's file with other lines, and the closing look."""
    day.settle(*day.usual_rows(*without), *more)
    day.observe(CLOSES + SECOND)


def evidence_missing(day: Planted) -> None:
    day.send("x", NOON)
    day.end("x", NOON + SECOND, kept=False)
    usual(day, day.settlement_row("x"))


def evidence_says_failed(day: Planted) -> None:
    day.send("x", NOON)
    day.end("x", NOON + SECOND, said="Failed")
    usual(day, day.settlement_row("x"))


def evidence_says_more(day: Planted) -> None:
    day.send("x", NOON)
    day.end("x", NOON + SECOND, said_rupiah=PRICE + 500)
    usual(day, day.settlement_row("x"))


def ended_by_person(day: Planted) -> None:
    day.send("x", NOON)
    day.happen("x", NOON + HOUR, happened.OrderEscalated(reason="no end after 24 hours"))
    day.happen("x", NOON + 2 * HOUR, happened.SucceededByOperator(reason="seen in the console"))
    usual(day, day.settlement_row("x"))


def contradicted(day: Planted) -> None:
    day.succeed("x")
    day.end("x", NOON + HOUR, happened.EvidenceContradicted)
    usual(day, day.settlement_row("x"))


def told_of_another_number(day: Planted) -> None:
    day.send("x", NOON)
    day.happen("x", NOON + HOUR, MISMATCHED)
    day.happen("x", NOON + HOUR, happened.OrderEscalated(reason="about another client number"))
    usual(day)


def told_of_another_number_afterwards(day: Planted) -> None:
    day.succeed("x")
    day.happen("x", NOON + HOUR, MISMATCHED)
    usual(day, day.settlement_row("x"))


def reversal_doubted(day: Planted) -> None:
    day.succeed("x")
    day.end("x", NOON + HOUR, happened.OrderReversed)
    day.end("x", NOON + HOUR + SECOND, happened.ReversalDoubted)
    usual(day)


def open_since_yesterday(day: Planted) -> None:
    day.send("x", OPENS - HOUR)
    day.net_rupiah += PRICE  # it was debited before the opening look
    usual(day)


def file_has_unknown(day: Planted) -> None:
    usual(day, f"S{'Q' * 31},10500,Success,10k-three,0812")


def file_lacks_order(day: Planted) -> None:
    usual(day, without=("good-2",))


def file_lacks_late_order(day: Planted) -> None:
    day.succeed("x", CLOSES - HOUR)
    usual(day)


def file_has_it_twice(day: Planted) -> None:
    usual(day, day.settlement_row("good-1"))


def file_charges_more(day: Planted) -> None:
    usual(day, day.settlement_row("good-1", PRICE + 1), without=("good-1",))


def file_says_failed(day: Planted) -> None:
    usual(day, day.settlement_row("good-1", status="Failed"), without=("good-1",))


def file_paid_what_failed(day: Planted) -> None:
    usual(day, day.settlement_row("bad"))


def file_has_other_product(day: Planted) -> None:
    usual(day, day.settlement_row("good-1", product="100k-indosat"), without=("good-1",))


def file_has_other_number(day: Planted) -> None:
    usual(day, day.settlement_row("good-1", number="081200000000"), without=("good-1",))


def file_row_without_id(day: Planted) -> None:
    usual(day, ",10500,Success,10k-three,0812")


def file_row_without_amount(day: Planted) -> None:
    usual(day, f'S{"Q" * 31},"10,5",Success,10k-three,0812')


def order_of_another_day(day: Planted) -> None:
    day.succeed("x", OPENS - 10 * HOUR)
    day.net_rupiah += PRICE
    usual(day, day.settlement_row("x"))


def somebody_spends(day: Planted) -> None:
    day.net_rupiah -= 1_000_000
    usual(day)


def one_rupiah_too_much(day: Planted) -> None:
    day.net_rupiah += 5_000_001
    usual(day)


def not_debited_yet(day: Planted) -> None:
    day.net_rupiah += PRICE  # what is in transit was not taken when the deposit was looked at
    usual(day)


def file_cannot_be_used(day: Planted) -> None:
    day.set_aside(
        "settlement-2026-11-02-b.csv", "found the columns id, nilai; expected 'request_id' among them"
    )
    usual(day)


def nobody_looked(day: Planted) -> None:
    day.settle(*day.usual_rows())


PLANTS = (
    Plant("evidence missing", evidence_missing, ("evidence", "existence", "x", -PRICE)),
    Plant("evidence says Failed", evidence_says_failed, ("evidence", "status", "x", -PRICE)),
    Plant("evidence says more", evidence_says_more, ("evidence", "amount", "x", 500)),
    Plant("ended by a person", ended_by_person, ("evidence", "matching", "x", -PRICE)),
    Plant("contradicted", contradicted, ("evidence", "status", "x", PRICE)),
    Plant("told of another number", told_of_another_number, ("evidence", "identity", "x", -PRICE)),
    Plant("told so after the end", told_of_another_number_afterwards, ("evidence", "identity", "x", -PRICE)),
    Plant("reversal doubted", reversal_doubted, ("evidence", "status", "x", PRICE)),
    Plant("open since yesterday", open_since_yesterday, ("evidence", "timing", "x", -PRICE)),
    Plant("unknown in the file", file_has_unknown, ("settlement", "existence", "", 10_500), (5,)),
    Plant("missing in the file", file_lacks_order, ("settlement", "existence", "good-2", -PRICE)),
    Plant("not yet in the file", file_lacks_late_order, ("settlement", "timing", "x", -PRICE)),
    Plant("twice in the file", file_has_it_twice, ("settlement", "duplicate", "good-1", PRICE), (2, 5)),
    Plant("file charges more", file_charges_more, ("settlement", "amount", "good-1", 1), (4,)),
    Plant("file says Failed", file_says_failed, ("settlement", "status", "good-1", -PRICE), (4,)),
    Plant("file paid a failure", file_paid_what_failed, ("settlement", "status", "bad", PRICE), (5,)),
    Plant("other product", file_has_other_product, ("settlement", "attribute", "good-1", 0), (4,)),
    Plant("other number", file_has_other_number, ("settlement", "attribute", "good-1", 0), (4,)),
    Plant("row without an id", file_row_without_id, ("settlement", "matching", None, 10_500), (5,)),
    Plant("row without an amount", file_row_without_amount, ("settlement", "matching", None, 0), (5,)),
    Plant("another day's order", order_of_another_day, ("settlement", "timing", "x", 0), (5,)),
    Plant("foreign spend", somebody_spends, ("saldo", "amount", None, -1_000_000)),
    Plant("a rupiah too much", one_rupiah_too_much, ("saldo", "amount", None, 5_000_001)),
    Plant("not debited yet", not_debited_yet, ("saldo", "timing", None, PRICE)),
    Plant("a file that cannot be used", file_cannot_be_used, ("settlement", "file", None, 0)),
    Plant("nobody looked", nobody_looked, ("control", "control", None, 0)),
)


@pytest.mark.parametrize("plant", PLANTS, ids=[plant.name for plant in PLANTS])
def test_what_was_planted_is_found_and_nothing_else(
    store: PostgresEventStore, tmp_path: Path, plant: Plant
) -> None:
    """One break, of the right category, about the right order and rows, with the right amount."""
    day = Planted(store, tmp_path, plant.name)
    day.ordinary_day()
    plant.plant(day)
    close = day.close().close
    assert [described(item) for item in close.breaks] == [plant.found]
    (item,) = close.breaks
    assert (item.state, item.first_seen, item.day) == (BreakState.OPEN, close.day, close.day)
    assert item.evidence.file_rows == plant.rows
    if item.match.value in ("evidence", "saldo"):
        assert item.evidence.positions
    assert all(total.agrees for total in close.controls)


def test_every_category_is_planted() -> None:
    """The control category is planted by a missing observation."""
    found = {plant.found[1] for plant in PLANTS}
    assert found == {
        "timing",
        "existence",
        "duplicate",
        "amount",
        "status",
        "attribute",
        "identity",
        "matching",
        "file",
        "control",
    }


def test_a_day_in_which_everything_agrees_has_no_break(store: PostgresEventStore, tmp_path: Path) -> None:
    """None is invented, and every sum is what the day was made of."""
    day = Planted(store, tmp_path, "ordinary")
    day.ordinary_day()
    day.top_up(1_000_000)
    day.net_rupiah += 1_000_000
    usual(day)
    close = day.close().close
    assert close.breaks == ()
    assert close.saldo is not None
    assert (close.saldo.debits_rupiah, close.saldo.refunds_rupiah) == (4 * PRICE, PRICE)
    assert (close.saldo.in_transit_opening_rupiah, close.saldo.in_transit_closing_rupiah) == (0, PRICE)
    assert close.saldo.top_ups_rupiah == 1_000_000
    assert close.saldo.closing.saldo_rupiah == SALDO + 1_000_000 - 4 * PRICE
    assert close.saldo.unexplained_rupiah == 0
    assert [line.after_rupiah for line in close.saldo.waterfall][-2:] == [close.saldo.expected_rupiah] * 2
    orders = close.orders.frame.set_index("order_id")
    assert orders["state"].astype("str").to_dict() == {
        "good-1": "succeeded",
        "good-2": "succeeded",
        "good-3": "succeeded",
        "bad": "failed",
        "refused": "failed",
        "on its way": "pending",
    }
    assert orders.loc["refused", "charged_rupiah"] == 0
    assert orders.loc["bad", "evidence"] == "signed"
    assert orders["settlement"].value_counts().to_dict() == {"matched": 3, "not expected": 3}
    evidence, settlement, *_ = close.matches
    assert (settlement.ours, settlement.theirs, settlement.matched) == (3, 3, 3)
    assert evidence.breaks == 0


def test_without_a_settlement_file_nothing_is_a_break_for_it(
    store: PostgresEventStore, tmp_path: Path
) -> None:
    """Files come a day later, or not at all."""
    day = Planted(store, tmp_path, "no file")
    day.ordinary_day()
    day.observe(CLOSES + SECOND)
    close = day.close().close
    assert close.breaks == ()
    assert not close.matches[1].was_made
    assert close.orders.frame["settlement"].unique().tolist() == ["no file"]


def test_the_same_day_at_the_same_position_is_the_same(store: PostgresEventStore, tmp_path: Path) -> None:
    """Closing again finds nothing new; the digests are equal; the books have it once."""
    day = Planted(store, tmp_path, "again")
    day.ordinary_day()
    usual(day, without=("good-1",))
    first, second = day.close(), day.close()
    assert (first.is_new, second.is_new) == (True, False)
    assert first.digest == second.digest
    assert first.close.position == second.close.position
    closed = [r for r in day.keeper.recorded(day.account) if r.type_name == "DayClosed"]
    assert len(closed) == 1
