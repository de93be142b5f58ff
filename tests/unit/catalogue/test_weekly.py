"""A week of prices, its page, and the margins of orders."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from sat_hook.catalogue import weekly_page as pages
from sat_hook.catalogue.announcement import MAXIMUM_CHANGES_TOLD, announcement_of
from sat_hook.catalogue.margin import MARGIN_COLUMNS, ProductMargin, margin_lines, percent_of
from sat_hook.catalogue.price_list import compare
from sat_hook.catalogue.snapshot import jump_alerts
from sat_hook.catalogue.weekly import Week, WeekSummary, summary_of
from sat_hook.catalogue.weekly_page import weekly_page
from sat_hook.domain.prices import (
    ChangeKind,
    KnownProduct,
    ListedProduct,
    PriceSnapshot,
    ProductChange,
    RecordedChange,
    SnapshotOutcome,
)
from sat_hook.presentation.language import Language, Wording
from sat_hook.store.prices import OrderMargin
from tests.orders import T0
from tests.price_lists import by_code, product

ENGLISH = Wording(Language.ENGLISH)
WEEK = Week.of(date(2026, 11, 18))


def story(*lists: dict[str, ListedProduct]) -> WeekSummary:
    """A week whose days have these lists, one after the other; the first is that of the Monday before."""
    known = {code: KnownProduct(line, True) for code, line in lists[0].items()}
    changes: list[RecordedChange] = []
    for number, listed in enumerate(lists[1:], 1):
        gone = [code for code, entry in known.items() if entry.is_listed and code not in listed]
        moment = WEEK.since + timedelta(days=number)
        found = compare(known, listed, gone)
        changes += [RecordedChange(number, moment, change) for change in found]
        known |= {code: KnownProduct(line, True) for code, line in listed.items()}
        known |= {code: KnownProduct(known[code].product, False) for code in gone}
    moments = [WEEK.since + timedelta(days=number) for number in range(len(lists))]
    attempts = [
        PriceSnapshot("demo", SnapshotOutcome.COMPLETE, moment, moment, 10, "a", "c") for moment in moments
    ]
    return summary_of(
        "demo",
        WEEK,
        WEEK.until + timedelta(days=1),
        before=lists[0],
        after=lists[-1],
        changes=changes,
        attempts=attempts,
        moments=moments,
        gap_hours=30,
    )


def test_weeks_are_jakartas() -> None:
    """Monday 00:00 WIB is Sunday 17:00 UTC; the name is that of ISO 8601."""
    assert (WEEK.name, WEEK.monday) == ("2026-W47", date(2026, 11, 16))
    assert WEEK.since == datetime(2026, 11, 15, 17, tzinfo=UTC)
    assert WEEK.until == datetime(2026, 11, 22, 17, tzinfo=UTC)
    assert Week.last_before(datetime(2026, 11, 22, 16, 59, tzinfo=UTC)).name == "2026-W46"
    assert Week.last_before(datetime(2026, 11, 22, 17, tzinfo=UTC)).name == "2026-W47"
    assert Week.of(date(2027, 1, 1)).name == "2026-W53"


def test_a_week_tells_ends_against_beginnings() -> None:
    """Rises by share, there and back apart, what came, what went, statuses; in between nothing counts."""
    first = by_code(*(product(code, 1_000) for code in "abcdefg"))
    middle = dict(first)
    middle["a"] = product("a", 1_500)
    middle["b"] = product("b", 5_000)
    del middle["c"]
    last = dict(middle)
    last["a"] = product("a", 1_100)
    last["b"] = first["b"]
    last["c"] = first["c"]
    last["d"] = product("d", 900)
    last["e"] = product("e", 2_000, status=3)
    last["h"] = product("h", 7)
    last["g"] = product("g", 1_000, name="Other")
    del last["f"]
    week = story(first, middle, last)
    assert [(m.after.code, m.prices_rupiah, m.changes) for m in week.rises] == [
        ("e", (1_000, 2_000), 1),
        ("a", (1_000, 1_100), 2),
    ]
    assert [m.after.code for m in week.falls] == ["d"]
    assert week.there_and_back == 1
    assert [p.code for p in week.appeared] == ["h"]
    assert week.returned == ()
    assert [p.code for p in week.disappeared] == ["f"]
    assert [after.code for _, after in week.statuses] == ["e"]
    assert week.other_changes == 1
    assert (week.listed_before, week.listed_after) == (7, 7)
    assert week.gaps == ((WEEK.since + timedelta(days=2), WEEK.until),)


def test_what_had_gone_before_the_week_is_back_not_new() -> None:
    """A product that was known once."""
    known = {"a": KnownProduct(product("a", 5), False)}
    [change] = compare(known, by_code(product("a", 5)), [])
    assert change.kind is ChangeKind.RETURNED
    week = summary_of(
        "demo",
        WEEK,
        WEEK.until,
        before={},
        after=by_code(product("a", 5)),
        changes=[RecordedChange(1, WEEK.since, change)],
        attempts=[],
        moments=[],
    )
    assert [p.code for p in week.returned] == ["a"]
    assert week.appeared == ()
    assert not week.was_watched


def test_the_page_says_all_of_it_and_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of the wire are text; long tables are cut and counted; a week without lists says so."""
    evil = '<script>alert("x")</script>'
    lines = [product(code, 1_000, name=evil) for code in "abc"]
    week = story(by_code(*lines), by_code(*(line._replace(price_rupiah=2_000) for line in lines)))
    text = weekly_page(week, ENGLISH)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "Dearer (3)" in text
    assert "+100.0%" in text
    assert "2026-W47" in text
    monkeypatch.setattr(pages, "MAXIMUM_LINES", 2)
    assert "and 1 more" in weekly_page(week, ENGLISH)
    in_indonesian = weekly_page(week, Wording(Language.INDONESIAN))
    assert all(said in in_indonesian for said in ('lang="id"', "Lebih mahal (3)", "Rp\u00a01.000", "+100,0%"))
    assert "nothing is known of this week" in weekly_page(replace(week, attempts={}), ENGLISH)


def order(**more: object) -> OrderMargin:
    """A succeeded order of 52,000 rupiah."""
    made = OrderMargin(
        order_id="NOV-1",
        request_id="S" * 32,
        batch_id="B" * 26,
        row_number=2,
        product_code="50k-simpati",
        product_name="Simpati 50,000",
        state="succeeded",
        ordered_at=datetime(2026, 11, 2, 20, 0, tzinfo=UTC),
        listed_rupiah=52_000,
        is_inquiry=False,
        listed_since=datetime(2026, 11, 1, 3, 7, tzinfo=UTC),
        quote_rupiah=52_000,
        sales_price_rupiah=52_500,
        admin_fee_rupiah=None,
        partner_fee_rupiah=1_000,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def report(*orders: OrderMargin) -> tuple[list[dict[str, str]], dict[str, ProductMargin]]:
    """The rows of the CSV, and the totals."""
    totals: dict[str, ProductMargin] = {}
    text = "".join(margin_lines(orders, totals))
    return list(csv.DictReader(io.StringIO(text))), totals


def test_an_order_stands_beside_the_price_of_its_moment() -> None:
    """Times in WIB, rupiah whole, the margin in percent of what was charged."""
    [row], _ = report(order())
    assert tuple(row) == MARGIN_COLUMNS
    assert row["ordered_at_wib"] == "2026-11-03 03:00:00"
    assert row["listed_since_wib"] == "2026-11-01 10:07:00"
    assert (row["listed_rupiah"], row["sales_price_minus_listed_rupiah"]) == ("52000", "500")
    assert (row["margin_rupiah"], row["margin_percent"]) == ("1000", "1.90")


def test_only_a_success_earns() -> None:
    """Others have no margin; a fee that SAT did not name is unknown, and counted as such."""
    rows, totals = report(
        order(),
        order(state="failed"),
        order(state="pending", partner_fee_rupiah=2_000),
        order(partner_fee_rupiah=None, sales_price_rupiah=52_000),
    )
    assert [row["margin_rupiah"] for row in rows] == ["1000", "", "", ""]
    assert totals == {
        "50k-simpati": ProductMargin("50k-simpati", 2, 104_500, 1_000, without_fee=1, above_listed=1)
    }


def test_what_is_not_known_is_empty() -> None:
    """No list of that moment, no charge yet; the list price of a bill is no price of the bill."""
    [row], _ = report(order(listed_rupiah=None, is_inquiry=None, listed_since=None, product_name=None))
    assert [row[name] for name in ("listed_rupiah", "listed_since_wib", "product_name")] == ["", "", ""]
    assert row["sales_price_minus_listed_rupiah"] == ""
    [bill], _ = report(order(is_inquiry=True, listed_rupiah=0))
    assert (bill["listed_rupiah"], bill["sales_price_minus_listed_rupiah"]) == ("0", "")
    assert percent_of(5, 0) == percent_of(None, 5) == percent_of(5, None) == ""


def test_formulas_stay_text() -> None:
    """Names come over the wire, ids from a submitter."""
    [row], _ = report(order(product_name="=1+1", order_id="@x"))
    assert (row["product_name"], row["order_id"]) == ("'=1+1", "'@x")


def test_no_order_is_a_header_alone() -> None:
    """An empty report is a report."""
    assert report() == ([], {})


def test_an_announcement_leads_with_jumps_and_is_bounded() -> None:
    """What does not fit is counted; attributes are before and after."""
    moment = datetime(2026, 11, 2, tzinfo=UTC)
    changes = [
        ProductChange(ChangeKind.CHANGED, product(f"p{n:04}", 1_000), product(f"p{n:04}", 1_001))
        for n in range(MAXIMUM_CHANGES_TOLD + 5)
    ]
    changes.append(ProductChange(ChangeKind.CHANGED, product("z", 1_000), product("z", 9_000, status=3)))
    changes.append(ProductChange(ChangeKind.DISAPPEARED, product("zz", 1), None))
    extra = announcement_of("demo", [RecordedChange(4, moment, change) for change in changes], 10)
    assert (extra["kind"], extra["jumps"], extra["snapshots"]) == ("price_jump", 1, [4])
    assert (len(extra["changes"]), extra["left_out"]) == (MAXIMUM_CHANGES_TOLD, 7)
    assert extra["counts"] == {"changed": MAXIMUM_CHANGES_TOLD + 6, "disappeared": 1}
    assert extra["changes"][0] == {
        "product_code": "z",
        "change": "changed",
        "seen_at": "2026-11-02T00:00:00+00:00",
        "is_jump": True,
        "attributes": {
            "price_rupiah": {"before": 1_000, "after": 9_000},
            "status": {"before": 1, "after": 3},
        },
    }
    [gone] = announcement_of("demo", [RecordedChange(4, moment, changes[-1])], 10)["changes"]
    assert gone["attributes"]["price_rupiah"] == {"before": 1, "after": None}
    assert announcement_of("demo", [RecordedChange(4, moment, changes[0])], 10)["kind"] == "price_change"


def test_an_alert_fits_whatever_the_code_is() -> None:
    """Codes come over the wire: long ones and unprintable ones become one line."""
    code = "a\n" * 120
    snapshot = PriceSnapshot("demo", SnapshotOutcome.COMPLETE, T0, T0, 10, "a", "c", snapshot_id=3)
    jump = ProductChange(ChangeKind.CHANGED, product(code, 0), product(code, 10**15))
    [alert] = jump_alerts(snapshot, [jump], 10)
    assert alert.key == f"price_jump/3/{code}"
    assert alert.text.endswith(": 0 → 1,000,000,000,000,000 rupiah (new price)")
    assert alert.subject == "a?" * 32
