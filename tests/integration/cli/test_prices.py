"""``sat prices`` on a real history."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
import time_machine

from sat_hook.domain import order_events as happened
from sat_hook.domain.event_record import Event
from sat_hook.protocol.errors import ReplyTimeoutError
from sat_hook.protocol.exchange import FaultKind, TransportFault
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.conftest import Api
from tests.orders import BY_TEST, T0, received, stream_of
from tests.price_lists import product
from tests.price_shop import HOUR, LIST, Shop
from tests.unit.cli.running import Run, runner

SIMPATI = product("50k-simpati", 52_000, name="Simpati 50,000", operator_name="Telkomsel")


@pytest.fixture
def shop(database: ApplicationDatabase) -> Iterator[Shop]:
    """Six hours from Monday 2 November 2026, 10:00 WIB: a price, a status, a product that goes, a failure.

    Then five hours of nothing.
    """
    made = Shop(database)
    made.sat.products.append(SIMPATI)
    made.snapshot()
    made.change("50k-simpati", price_rupiah=54_500)
    made.snapshot()
    made.change("50k-simpati", status=3)
    made.remove("product-07")
    made.snapshot()
    made.sat.trouble[len(made.sat.questions)] = TransportFault(FaultKind.TIMEOUT, True, "no answer")
    with pytest.raises(ReplyTimeoutError):
        made.snapshot()
    made.clock.advance(HOUR)
    made.sat.products.append(LIST[7]._replace(price_rupiah=16_000))
    made.snapshot()
    made.clock.advance(5 * HOUR)
    with time_machine.travel(made.clock.now(), tick=False):
        yield made
    made.writer.close()


@pytest.fixture
def sat(
    shop: Shop,
    serve_api: Api,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """The command ``sat prices`` as a person who may do everything."""
    monkeypatch.chdir(tmp_path)
    run, env = runner(monkeypatch, capsys), serve_api(shop.database)
    return lambda *words: run("prices", *words, env=env)


def test_a_product_is_shown_as_it_is(sat: Run) -> None:
    """Price, status, since when; what it was before; how old the newest list is."""
    ran = sat("show", "50k-simpati")
    assert ran.code == 0, ran.err
    for words in ("Simpati 50,000", "Rp 54,500", "temporarily inactive", "Telkomsel", "2026-11-02 12:00:00"):
        assert words in ran.out
    assert "+4.8 %" in ran.out
    assert "known by   the list of 2026-11-02 14:00:00 WIB, 6 h before" in ran.out


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-11-02 10:59", "Rp 52,000"),
        ("2026-11-02 10:00", "known by   the list of 2026-11-02 10:00:00 WIB, 0 s before"),
        ("2026-11-02 11:00", "Rp 54,500"),
        ("2026-11-02 11:00", "known by   the list of 2026-11-02 11:00:00 WIB, 0 s before"),
        ("2026-11-02T04:30Z", "Rp 54,500"),
        ("5h", "temporarily inactive"),
        ("2026-11-02 09:59", "first at 2026-11-02 10:00:00 WIB"),
    ],
)
def test_a_product_is_shown_as_it_was(sat: Run, at: str, words: str) -> None:
    """At a moment in WIB, or with an offset, or so long ago."""
    ran = sat("show", "50k-simpati", "--at", at)
    assert ran.code == 0, ran.err
    head = ran.out.partition("since (WIB)")[0]
    assert words in head


def test_a_product_that_was_away_says_so(sat: Run) -> None:
    """Until when it was listed, and since when again."""
    ran = sat("show", "product-07", "--at", "2026-11-02 13:00")
    assert (
        "not listed: last listed until 2026-11-02 12:00:00 WIB, listed again at 2026-11-02 14:00:00 WIB"
        in ran.out
    )


def test_mistakes_are_one_line(sat: Run) -> None:
    """An unknown code with what it may have meant, a wrong time, account, file name, period."""
    for words, expected in (
        (
            ("show", "50k-simpatty"),
            "found '50k-simpatty'; expected a product that was ever listed (for example 50k-",
        ),
        (("show", "50k-simpati", "--at", "noon"), "--at: found 'noon'; expected a time like"),
        (("show", "50k-simpati", "--account", "north"), "--account: found 'north'; expected one of demo"),
        (("chart", "50k-simpati", "x.png"), "expected a name that ends in .svg or .html"),
        (("changes", "--since", "2027-01-01"), "--since: found '2027-01-01'; expected a time before"),
        (("week", "--of", "2026-12-24"), "expected a week that has begun"),
        (("margin", "--since", "1d", "--output", "no/such/place.csv"), "expected a file that can be written"),
    ):
        ran = sat(*words)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        assert expected in ran.err


def test_an_empty_history_is_said(
    database: ApplicationDatabase,
    serve_api: Api,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the command that fills it."""
    ran = runner(monkeypatch, capsys)("prices", "attempts", env=serve_api(database))
    assert ran.code == 2
    assert "sat prices snapshot" in ran.err


def test_changes_are_listed(sat: Run) -> None:
    """In their order, filtered by product and by jump; the time without lists is named."""
    ran = sat("changes", "--since", "2026-11-02 10:30")
    assert ran.code == 0, ran.err
    found = [re.sub(r" +", " ", line).strip() for line in ran.out.splitlines() if "2026-11-02 1" in line]
    assert found[:4] == [
        "2026-11-02 11:00:00 50k-simpati price Rp 52,000 Rp 54,500 +4.8 %",
        "2026-11-02 12:00:00 50k-simpati status active temporarily inactive",
        "2026-11-02 12:00:00 product-07 disappeared Rp 8,000",
        "2026-11-02 14:00:00 product-07 returned: price Rp 8,000 Rp 16,000 +100.0 %",
    ]
    assert "4 changes from" in ran.out
    assert "no list is known from 2026-11-02 14:00:00 to 2026-11-02 20:00:00 WIB (6 h)" in ran.out
    assert "1 change from" in sat("changes", "--since", "2026-11-02 10:30", "--jump-percent", "10").out
    assert "2 changes" in sat("changes", "--since", "2026-11-02 10:30", "--product", "50k-*").out


def test_attempts_show_failures_and_gaps(sat: Run) -> None:
    """Every attempt with its reason; exit code 1 because nothing has come for six hours."""
    ran = sat("attempts")
    assert ran.code == 1
    assert len(re.findall(r"complete", ran.out)) == 4
    assert re.search(r"2026-11-02 13:00:00 +failed .*ReplyTimeoutError", ran.out)
    assert "no list is known" in ran.out
    assert sat("attempts", "--until", "2026-11-02 14:30").code == 0


def test_a_chart_is_drawn(sat: Run, tmp_path: Path) -> None:
    """As a picture and as a page."""
    assert sat("chart", "50k-simpati", "p.svg", "--since", "1d").code == 0
    root = ElementTree.fromstring((tmp_path / "p.svg").read_text("utf-8"))
    label = root.get("aria-label", "")
    assert label.startswith("50k-simpati: ")
    assert label.endswith("Rp\u00a054,500")
    assert sat("chart", "product-07", "p.html", "--since", "1d").code == 0
    text = (tmp_path / "p.html").read_text("utf-8")
    assert "not listed: 2 Nov 2026 12:00\u00a0WIB – 2 Nov 2026 14:00\u00a0WIB" in text


def test_a_week_is_summed_up(sat: Run, tmp_path: Path) -> None:
    """On the terminal and as a page; a week of which nothing is known says so."""
    ran = sat("week", "--of", "2026-11-02", "--output", "week.html")
    assert ran.code == 0, ran.err
    assert "Week 2026-W45" in ran.out
    assert "4 complete, 1 failed" in ran.out
    assert "2026-W45" in (tmp_path / "week.html").read_text("utf-8")
    last = sat("week")
    assert (last.code, "Week 2026-W44" in last.out, "none" in last.out) == (0, True, True)


def order(shop: Shop, number: int, sent_after_hours: float, *end: Event) -> None:
    """Order ``number`` of 50k-simpati, sent so many hours after the first list."""
    sent_at = T0 + timedelta(hours=sent_after_hours)
    quoted = happened.OrderQuoted(
        price_rupiah=52_000,
        source=happened.QuoteSource.CATALOGUE,
        admin_fee_rupiah=None,
        valid_until=sent_at + timedelta(hours=1),
    )
    requested = happened.CheckoutRequested(
        attempt=1,
        body="{}",
        price_rupiah=52_000,
        send_before=sent_at + timedelta(seconds=15),
        settled_after=sent_at + timedelta(seconds=60),
    )
    validated = happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000)
    with closing(Database(shop.database.writer_dsn)) as database:
        store = PostgresEventStore(database)
        events = (received(number), validated, quoted, requested, *end)
        store.append([Change.of_order(stream_of(number).key, None, events, sent_at)], BY_TEST, sent_at)


def succeeded(charged_rupiah: int, fee_rupiah: int | None) -> Event:
    """A signed Success."""
    return happened.OrderSucceeded(
        evidence_digest="0" * 64,
        observed_at=T0,
        sales_price_rupiah=charged_rupiah,
        admin_fee_rupiah=None,
        partner_fee_rupiah=fee_rupiah,
        fulfilled_at=T0,
    )


def test_orders_are_joined_to_the_price_of_their_moment(shop: Shop, sat: Run, tmp_path: Path) -> None:
    """Before the first list nothing is known; a minute before the change the old price, then the new one."""
    order(shop, 1, -1, succeeded(52_000, 100))
    order(shop, 2, 59 / 60, succeeded(52_000, 1_000))
    order(shop, 3, 61 / 60, succeeded(54_500, None))
    order(shop, 4, 2)
    ran = sat("margin", "--since", "2026-11-02")
    assert ran.code == 0, ran.err
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["order_id"] for row in rows] == ["order-1", "order-2", "order-3", "order-4"]
    assert [row["listed_rupiah"] for row in rows] == ["", "52000", "54500", "54500"]
    assert [row["ordered_at_wib"][11:16] for row in rows] == ["09:00", "10:59", "11:01", "12:00"]
    assert [row["margin_rupiah"] for row in rows] == ["100", "1000", "", ""]
    assert "08121" not in ran.out, "no customer's number"

    shown = sat("margin", "--since", "2026-11-02 10:00", "--output", "margin.csv")
    assert re.search(r"50k-simpati +2 +Rp 106,500 +Rp 1,000 +0.94 +1 +0", shown.out)
    assert (tmp_path / "margin.csv").read_bytes().startswith(b"\xef\xbb\xbforder_id,")
