"""Refunds in settlement files, as rows of their own: they are added to the sale that they are about."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from sat_hook.commands.handler import standing_of
from sat_hook.domain import order_events as happened
from sat_hook.domain.account import evolve_account
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.identity import digest_of
from sat_hook.domain.legacy_events import EarlierSettlementMapping, SettlementImported
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.model import DayClose
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from tests.integration.reconciliation.planting import CLOSES, DAY, NOON, PRICE, SECOND, Planted, described
from tests.orders import BY_TEST

HOUR = timedelta(hours=1)
NEXT = BusinessDay(DAY.day + timedelta(days=1))
#: The file's rows of one order: amount and status.
Rows = tuple[tuple[int, str], ...]
SALE = (PRICE, "Success")


DEFAULT = SettlementMapping()


@dataclass(frozen=True)
class Case:
    """What the file has of an order, and what is found for it: category and amount, or nothing."""

    rows: Rows
    found: tuple[str, int] | None = None
    is_reversed: bool = False
    mapping: SettlementMapping = DEFAULT


REFUND_IS_FAILED = SettlementMapping(statuses={"Success": "succeeded", "Refund": "failed"})
REFUND_IN_OTHER_WORDS = SettlementMapping(refund_words=("Kembali",))
CASES = {
    "reversed, refunded": Case((SALE, (-PRICE, "Refund")), is_reversed=True),
    "reversed, the refund comes first": Case(((-PRICE, "Refund"), SALE), is_reversed=True),
    "reversed, refund word mapped to failed": Case(
        (SALE, (-PRICE, "Refund")), is_reversed=True, mapping=REFUND_IS_FAILED
    ),
    "reversed, a positive amount with a refund word": Case((SALE, (PRICE, "REFUND")), is_reversed=True),
    "reversed, a word of the mapping": Case(
        (SALE, (PRICE, "kembali")), is_reversed=True, mapping=REFUND_IN_OTHER_WORDS
    ),
    "reversed, a negative amount that says Success": Case((SALE, (-PRICE, "Success")), is_reversed=True),
    "reversed, refunded in two parts": Case(
        (SALE, (-10_000, "Refund"), (-42_000, "Refund")), is_reversed=True
    ),
    "reversed, refunded in part": Case(
        (SALE, (-10_000, "Refund")), ("status", PRICE - 10_000), is_reversed=True
    ),
    "reversed, not refunded": Case((SALE,), ("status", PRICE), is_reversed=True),
    "reversed, refunded twice": Case(
        (SALE, (-PRICE, "Refund"), (-PRICE, "Refund")), ("status", -PRICE), is_reversed=True
    ),
    "reversed, the refund is on its way": Case(
        (SALE, (-PRICE, "Pending")), ("status", PRICE), is_reversed=True
    ),
    "paid, refunded in part": Case((SALE, (-10_000, "Refund")), ("amount", -10_000)),
    "paid, refunded": Case((SALE, (-PRICE, "Refund")), ("status", -PRICE)),
    "paid, charged twice and refunded once": Case((SALE, SALE, (-PRICE, "Refund"))),
    "paid, charged twice and refunded in part": Case(
        (SALE, SALE, (-10_000, "Refund")), ("duplicate", PRICE - 10_000)
    ),
    "paid, charged twice": Case((SALE, SALE), ("duplicate", PRICE)),
    "paid": Case((SALE,)),
}


def close_with(day: Planted, case: Case) -> DayClose:
    """The ordinary day with the order ``x``, and a file that has these rows of it."""
    day.succeed("x")
    if case.is_reversed:
        day.end("x", NOON + HOUR, happened.OrderReversed)
    rows = [day.settlement_row("x", rupiah, status) for rupiah, status in case.rows]
    day.settle(*day.usual_rows(), *rows, mapping=case.mapping)
    day.observe(CLOSES + SECOND)
    return day.close().close


@pytest.mark.parametrize("name", CASES)
def test_a_refund_is_added_to_its_sale(store: PostgresEventStore, tmp_path: Path, name: str) -> None:
    """What is left over is held against the ledger: nothing of a reversed order, all of a paid one."""
    case = CASES[name]
    day = Planted(store, tmp_path, f"refunds {name}")
    day.ordinary_day()
    close = close_with(day, case)
    found = [described(item) for item in close.breaks]
    wanted = [] if case.found is None else [("settlement", case.found[0], "x", case.found[1])]
    assert found == wanted


def test_the_break_names_the_refund_and_its_rows(day: Planted) -> None:
    """A partial refund: what is left, of what, and where to look; the totals are what the file comes to."""
    close = close_with(day, CASES["paid, refunded in part"])
    (item,) = close.breaks
    assert (item.ours, item.theirs) == ("Rp 52,000", "Rp 42,000 (Rp 52,000 less Rp 10,000 refunded)")
    assert item.evidence.file_rows == (5, 6)
    settled = close.matches[1]
    assert (settled.ours, settled.theirs) == (4, 4)
    assert (settled.ours_rupiah, settled.theirs_rupiah) == (4 * PRICE, 4 * PRICE - 10_000)
    assert close.orders.frame.set_index("order_id").loc["x", "settlement"] == "matched"


def test_a_refund_in_a_later_file_is_held_against_the_ledger(day: Planted) -> None:
    """Reversed since: it agrees. Still paid: a partial refund is a break of its amount. Unknown: strange."""
    for name in ("back", "part"):
        day.succeed(name)
    day.settle(*day.usual_rows(), day.settlement_row("back"), day.settlement_row("part"))
    day.observe(CLOSES + SECOND)
    assert day.close().close.breaks == ()
    day.end("back", CLOSES + HOUR, happened.OrderReversed)
    day.end("on its way", CLOSES + HOUR)
    day.settle(
        day.settlement_row("on its way"),
        day.settlement_row("back", -PRICE, "Refund"),
        day.settlement_row("part", -10_000, "Refund"),
        day.settlement_row("stranger", -700, "Refund"),
        day=NEXT.day,
    )
    day.clock.advance(86_400)
    day.observe(NEXT.closes_at + SECOND)
    found = {item.order_id: described(item)[1::2] for item in day.close(NEXT).close.breaks}
    assert found == {"part": ("amount", -10_000), "": ("existence", -700)}


def test_a_refund_that_comes_a_day_late_ends_the_break(day: Planted) -> None:
    """A reversed order whose sale stood alone in the first file."""
    close = close_with(day, CASES["reversed, not refunded"])
    (item,) = close.breaks
    day.end("on its way", CLOSES + HOUR)
    rows = (day.settlement_row("on its way"), day.settlement_row("x", -PRICE, "Refund"))
    day.settle(*rows, day=NEXT.day)
    day.clock.advance(86_400)
    day.observe(NEXT.closes_at + SECOND)
    (ended,) = day.close(NEXT).close.breaks
    assert (ended.break_id, ended.state) == (item.break_id, BreakState.RESOLVED)


def nights(day: Planted, *refunds: int) -> list[list[tuple[str, int]]]:
    """The days after the first, each with the file that has this refund of ``x``; what is open after each."""
    found = []
    for place, rupiah in enumerate(refunds, start=1):
        later = BusinessDay(DAY.day + timedelta(days=place))
        rows = [day.settlement_row("on its way")] if place == 1 else []
        rows += [day.settlement_row("x", rupiah, "Refund")] if rupiah else []
        day.settle(*rows, day=later.day, name=f"{later.day}.csv")
        day.clock.advance(86_400)
        day.observe(later.closes_at + SECOND)
        breaks = [item for item in day.close(later).close.breaks if not item.state.is_final]
        found.append([described(item)[1::2] for item in breaks])
    return found


@pytest.mark.parametrize("is_known_at_once", [True, False])
def test_a_refund_in_parts_over_days_comes_to_nothing(day: Planted, is_known_at_once: bool) -> None:
    """One break says what is left after each file; with the last part it ends, and stays so."""
    close_with(day, CASES["reversed, not refunded" if is_known_at_once else "paid"])
    day.end("on its way", CLOSES + HOUR)
    if not is_known_at_once:
        day.end("x", CLOSES + HOUR, happened.OrderReversed)
    rule = "status" if is_known_at_once else "amount"
    assert nights(day, -20_000, 0, -32_000, 0) == [[(rule, 32_000)], [(rule, 32_000)], [], []]


def test_a_second_refund_in_the_file_of_another_day_is_a_break(day: Planted) -> None:
    """The first one agreed; both together are more than was charged."""
    close_with(day, CASES["reversed, not refunded"])
    day.end("on its way", CLOSES + HOUR)
    assert nights(day, -PRICE, 0, -PRICE) == [[], [], [("amount", -PRICE)]]


def test_a_refund_of_an_order_that_was_never_sent_is_a_break(day: Planted) -> None:
    """It has no day of its own that files could be looked for in."""
    day.receive("x", NOON)
    day.settle(*day.usual_rows(), day.settlement_row("x", -PRICE, "Refund"))
    day.observe(CLOSES + SECOND)
    assert [described(item)[1::2] for item in day.close().close.breaks] == [("existence", -PRICE)]


def test_breaks_say_how_often_a_file_has_an_order(day: Planted) -> None:
    """A row that is set aside is no second charge; two files are two."""
    one = day.settlement_row("good-1")
    day.settle(one, day.settlement_row("good-1", status="Retur"), *day.usual_rows("good-1"))
    assert [item.what for item in day.close().close.breaks if item.category.value == "duplicate"] == [
        "the settlement file has the order again in a row that is set aside; neither is paired"
    ]
    day.settle(one, one, name="other.csv")
    assert [item.what for item in day.close().close.breaks if item.category.value == "duplicate"] == [
        "the settlement files have the order 3 times; none of these rows is paired"
    ]


def test_no_break_has_a_cell_that_may_be_a_customers(day: Planted) -> None:
    """A column slipped: the place of the row is said, and the shape of the product. An id of ours stays."""
    ours = day.request_id("good-2")
    day.settle(
        *day.usual_rows("good-1", "good-2"),
        day.settlement_row("good-1", product="BUDI 0812-3456-7890"),
        day.settlement_row("good-2", status="Retur"),
        "BUDI CONTOH 081234567890,1,Success,a,b",
        "BUDI81234567890,1,Retur,a,b",
        "081234567890,1,Success,a,b",
    )
    breaks = day.close().close.breaks
    said = json.dumps([item.theirs + item.what + (item.request_id or "") for item in breaks])
    assert re.search("BUDI|CONTOH|34567|3456-7890", said) is None
    cannot = sorted(item.theirs for item in breaks if item.category.value == "matching")
    assert cannot == sorted([ours, "row 5", "row 6", "row 7"])
    (product,) = [item.theirs for item in breaks if item.category.value == "attribute"]
    assert product == "19 characters, letters, digits, spaces and dashes"


def test_texts_of_a_file_of_an_earlier_release_stay(day: Planted) -> None:
    """They are part of the digest that was signed."""
    rows = (
        day.settlement_row("good-1"),
        day.settlement_row("good-1", status="Retur"),
        "Budi 0812,1,Success,a,b",
    )
    content = "\n".join(
        ("request_id,amount,status,product,number", *rows, *day.usual_rows("good-1"))
    ).encode()
    event = SettlementImported(
        account=day.account,
        day=DAY.day,
        name="s.csv",
        uri=day.spool.write("s.csv", content),
        digest=digest_of(content),
        size_bytes=len(content),
        rows=5,
        mapping=EarlierSettlementMapping(product_code="product", client_number="number"),
        replaces_earlier=False,
    )
    # No command makes such an event today: an earlier release wrote it.
    standing = standing_of(day.store, day.account)
    stream = StreamId(StreamKind.ACCOUNT, standing.account_id)
    change = Change(stream, standing.version, (event,), evolve_account(standing, event))
    assert not day.store.append([change], BY_TEST, day.clock.now())
    close = day.close().close
    said = {item.what: item.theirs for item in close.breaks}
    assert "the settlement file has the order 1 times; none of these rows is paired" in said
    assert said["a row of the settlement file cannot be matched: no usable request id"] == "Budi 0812"


def test_a_doubt_about_a_file_is_a_break_of_its_own(day: Planted) -> None:
    """A total that disagrees with the rows: the rows are matched, and a person looks at the file."""
    day.settle(*day.usual_rows(), "TOTAL,1,,,")
    day.observe(CLOSES + SECOND)
    close = day.close().close
    (item,) = close.breaks
    assert (item.category.value, item.evidence.file_name) == ("file", "s.csv")
    assert close.matches[1].matched == 3
    again = day.close().close
    assert [one.break_id for one in again.breaks] == [item.break_id]
