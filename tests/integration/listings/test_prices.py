"""Prices over time as people read them: changes, one product, a comparison, a week, and margins."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import openpyxl
import pytest

from sat_hook.application import prices as application
from sat_hook.application.errors import CursorError, ListingRefusedError, RightMissingError
from sat_hook.application.price_files import ChartFormat, PriceFiles
from sat_hook.application.prices import ChangeFilter, Period, Prices
from sat_hook.application.rights import Person, Right
from sat_hook.catalogue.margin import ProductMargin, margin_lines
from sat_hook.domain.business_day import business_day, midnight
from sat_hook.domain.order_events import OrderSucceeded
from sat_hook.domain.prices import RecordedChange
from sat_hook.presentation.language import Language
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.listings.conftest import SENT, Office, office_in
from tests.orders import ACCOUNT, T0
from tests.price_shop import Shop
from tests.web_host import FakeAccounts, FakeHost, FakeUser, client_of

SEER = Person("vera", frozenset({Right.VIEW}))
FINANCE = Person("fina", frozenset({Right.VIEW, Right.FINANCE}))
NOBODY = Person("nemo", frozenset(Right) - {Right.VIEW})
ALL = Period("sat_default", T0 - timedelta(days=1), T0 + timedelta(days=60))
EVERY = ChangeFilter()


@pytest.fixture(scope="module")
def shop(module_database: ApplicationDatabase) -> Iterator[Shop]:
    """Four lists: twenty products, then one dearer, then one much cheaper, then one gone."""
    made = Shop(module_database)
    made.snapshot()
    made.change("product-03", price_rupiah=4_100)
    made.snapshot()
    made.change("product-04", price_rupiah=1_000, name="Voucher")
    made.snapshot()
    made.remove("product-05")
    made.snapshot()
    yield made
    made.writer.close()


@pytest.fixture
def prices(shop: Shop) -> Prices:
    """What people see of it."""
    host = FakeHost(store=PostgresEventStore(shop.writer))
    host.accounts = FakeAccounts({"sat_default": ACCOUNT})
    return Prices(host)


def all_of(
    prices: Prices, which: ChangeFilter, limit: int, period: Period = ALL, *, is_newest_first: bool = True
) -> list[RecordedChange]:
    """Every change that is meant, page by page."""
    found: list[RecordedChange] = []
    cursor = None
    while True:
        page = prices.changes(
            period, which, SEER, is_newest_first=is_newest_first, cursor=cursor, limit=limit
        )
        found += page.items
        if page.next is None:
            return found
        cursor = page.next


def test_pages_have_every_change_once_the_newest_first(prices: Prices, shop: Shop) -> None:
    """The same changes that the history has, whatever the size of a page."""
    known = shop.history.changes(ACCOUNT, ALL.since, ALL.until)
    for limit in (1, 7, 200):
        found = all_of(prices, EVERY, limit)
        assert Counter(map(repr, found)) == Counter(map(repr, known))
        assert [one.seen_at for one in found] == sorted((one.seen_at for one in known), reverse=True)
        assert all_of(prices, EVERY, limit, is_newest_first=False) == known
    assert [one.change.code for one in found[:3]] == ["product-05", "product-04", "product-03"]


def test_changes_are_filtered_by_text_jump_and_day(prices: Prices, monkeypatch: pytest.MonkeyPatch) -> None:
    """By code or name, before or after; a jump is what the alert calls one; short pages go on."""
    by_name = ChangeFilter(text="voucher")
    jumps = ChangeFilter(jump_percent=10)
    assert [one.change.code for one in all_of(prices, by_name, 5)] == ["product-04"]
    assert [one.change.code for one in all_of(prices, jumps, 5)] == ["product-04"]
    monkeypatch.setattr(application, "READ_AT_ONCE", 4)
    monkeypatch.setattr(application, "MAXIMUM_LOOKED_AT", 8)
    first = prices.changes(ALL, ChangeFilter(text="product-19"), SEER, is_newest_first=True)
    assert (first.items, first.next is None) == ((), False)
    assert [one.change.code for one in all_of(prices, by_name, 5)] == ["product-04"]
    later = Period(None, T0 + timedelta(minutes=1), ALL.until)
    assert len(all_of(prices, EVERY, 200, later)) == 3
    by_code = ChangeFilter(code="*-0[34]")
    found = all_of(prices, by_code, 1, later, is_newest_first=False)
    assert [one.change.code for one in found] == ["product-03", "product-04"]
    with pytest.raises(CursorError):
        prices.changes(ALL, by_name, SEER, is_newest_first=True, cursor=first.next)


def test_a_product_has_its_listings_and_the_lists_that_were_read(prices: Prices) -> None:
    """For a picture with a table; a product that was never listed has none."""
    history = prices.product(ALL, "product-03", SEER)
    assert [period.product.price_rupiah for period in history.periods] == [4_000, 4_100]
    assert history.prices_rupiah == (4_000, 4_100)
    assert len(history.moments) == 4
    assert prices.product(ALL, "nothing", SEER).periods == ()


def test_a_few_products_are_compared(prices: Prices) -> None:
    """Each once, in the order in which they are named; not more than a page can show."""
    codes = ["product-04", "product-03", "product-04"]
    found = prices.compare(ALL, codes, SEER)
    assert [one.code for one in found] == ["product-04", "product-03"]
    with pytest.raises(ListingRefusedError, match="found 5; expected at most 4"):
        prices.compare(ALL, [f"product-0{n}" for n in range(5)], SEER)


def test_a_week_is_that_of_a_day(prices: Prices) -> None:
    """As the weekly page has it; a week that has not begun is refused."""
    summary = prices.week("sat_default", business_day(T0), SEER)
    assert summary.week.since <= T0 < summary.week.until
    assert (summary.listed_before, summary.listed_after, len(summary.appeared)) == (0, 19, 19)
    with pytest.raises(ListingRefusedError, match="expected a week that has begun"):
        prices.week(ACCOUNT, business_day(T0) + timedelta(days=36_500), SEER)


def test_freshness_says_what_is_not_known(prices: Prices, shop: Shop) -> None:
    """When the last list was read, and the times without one."""
    last = max(shop.history.complete_moments(ACCOUNT, ALL.since, ALL.until))
    fresh = prices.freshness(Period(None, last, last + timedelta(hours=10)), SEER)
    assert fresh.last_list_at == last
    assert fresh.gaps == ((last, last + timedelta(hours=10)),)


def test_changes_leave_as_a_file(prices: Prices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every changed attribute has a line; CSV for programs, a workbook in words; too many are refused."""
    files = PriceFiles(prices.installation)
    lines = files.changes(ALL, EVERY, SEER, None).decode("utf-8-sig").splitlines()
    assert lines[0].startswith("seen_at_wib,product_code,name,change")
    assert sum("product-04,Voucher,changed" in one for one in lines) == 2
    assert any(one.endswith("price_rupiah,4000,4100,") for one in lines)
    book = openpyxl.load_workbook(io.BytesIO(files.changes(ALL, EVERY, SEER, Language.INDONESIAN)))
    rows = list(book.worksheets[0].iter_rows(values_only=True))
    assert (book.sheetnames, rows[0][:4]) == (
        ["Yang berubah"],
        ("Waktu (WIB)", "Produk", "Nama", "Perubahan"),
    )
    assert len(rows) == len(lines)
    assert ("diubah", "Harga", 4_000, 4_100, 0.025) in [row[3:] for row in rows]
    monkeypatch.setattr(application, "MAXIMUM_EXPORTED", 3)
    with pytest.raises(ListingRefusedError, match="choose a shorter period"):
        files.changes(ALL, EVERY, SEER, None)


async def test_a_program_takes_price_changes_and_margins_as_files(prices: Prices) -> None:
    """A workbook in a language, or CSV; margins need the right to finance."""
    host = prices.installation
    assert isinstance(host, FakeHost)
    host.users |= {one.name: FakeUser(one.name, one.rights) for one in (SEER, FINANCE)}
    query: dict[str, str] = {"since": ALL.since.isoformat(), "until": ALL.until.isoformat()}
    async with client_of(host, "/v1/price-records") as client:
        for path, title in (("changes", "Waktu (WIB)"), ("margins", "Hari")):
            asked = {"params": query, "headers": {"authorization": "Bearer fina"}}
            lines = await client.get(f"/{path}/file", **asked)
            assert lines.headers["content-type"].startswith("text/csv"), lines.text
            query |= {"format": "xlsx", "language": "id"}
            book = await client.get(f"/{path}/file", **asked)
            assert openpyxl.load_workbook(io.BytesIO(book.content)).worksheets[0]["A1"].value == title
            query = {"since": query["since"], "until": query["until"]}
        seen = await client.get("/margins/file", params=query, headers={"authorization": "Bearer vera"})
        assert seen.status_code == 403


@pytest.fixture
def office(database: ApplicationDatabase) -> Iterator[Office]:
    """A batch of which some orders succeeded, on two days."""
    shop = Shop(database)
    shop.snapshot()
    shop.writer.close()
    with office_in(database) as office:
        office.batch("sold", (10_000, 20_000, 30_000, 40_000))
        for row, fee in ((2, 100), (3, None), (4, 300)):
            order = office.order_of("sold", row)
            office.happen(order, SENT)
            office.happen(
                order,
                OrderSucceeded(
                    evidence_digest="0" * 64, observed_at=T0, sales_price_rupiah=10_000, admin_fee_rupiah=0,
                    partner_fee_rupiah=fee, fulfilled_at=None,
                ),
            )  # fmt: skip
            office.clock.advance(86_400)
        yield office


def test_margins_by_day_and_product_are_those_of_the_orders(office: Office) -> None:
    """The same sums as the report of every order; a product's days add up to its total."""
    prices = Prices(office.lists.installation)
    since, before = midnight(business_day(T0)), midnight(business_day(T0) + timedelta(days=5))
    period = Period(ACCOUNT, since, before)
    rows = prices.margins_by_day(period, FINANCE)
    totals: dict[str, ProductMargin] = {}
    lines = list(margin_lines(prices._history().margins(ACCOUNT, since, before), totals))
    assert len(lines) == 4  # the header, and three orders that were sent
    assert list(prices.margin_lines(period, FINANCE)) == lines
    assert prices.margins(period, FINANCE) == tuple(total for _, total in sorted(totals.items()))
    sums: dict[str, list[int]] = {}
    for one in rows:
        total = sums.setdefault(one.product_code, [0, 0, 0, 0])
        figures = (one.orders, one.sales_price_rupiah, one.margin_rupiah, one.without_fee)
        total[:] = map(sum, zip(total, figures, strict=True))
    assert sums == {
        code: [total.orders, total.sales_price_rupiah, total.margin_rupiah, total.without_fee]
        for code, total in totals.items()
    }
    assert len({one.day for one in rows}) == 3
    files = PriceFiles(prices.installation)
    assert len(files.margins(period, FINANCE, None).decode("utf-8-sig").splitlines()) == 1 + len(rows)
    book = openpyxl.load_workbook(io.BytesIO(files.margins(period, FINANCE, Language.ENGLISH)))
    written = list(book.worksheets[0].iter_rows(min_row=2, values_only=True))
    assert [row[2:5] for row in written] == [
        (one.orders, one.sales_price_rupiah, one.margin_rupiah) for one in rows
    ]
    with pytest.raises(ListingRefusedError, match="at most 366"):
        prices.margins_by_day(Period(ACCOUNT, since - timedelta(days=366), before), FINANCE)


def test_everything_needs_the_right_to_view(prices: Prices) -> None:
    """Nothing is read without it."""
    files = PriceFiles(prices.installation)
    for act in (
        lambda: prices.accounts(NOBODY),
        lambda: prices.listings(ACCOUNT, "x", NOBODY),
        lambda: prices.lists(ALL, NOBODY),
        lambda: prices.attempts(ALL, NOBODY),
        lambda: prices.changes(ALL, EVERY, NOBODY),
        lambda: prices.freshness(ALL, NOBODY),
        lambda: prices.product(ALL, "x", NOBODY),
        lambda: prices.compare(ALL, ["x"], NOBODY),
        lambda: prices.week(ACCOUNT, None, NOBODY),
        lambda: files.changes(ALL, EVERY, NOBODY, None),
        lambda: files.week_page(ACCOUNT, None, Language.ENGLISH, NOBODY),
        lambda: files.chart(ALL, "x", ChartFormat.SVG, Language.ENGLISH, NOBODY),
    ):
        with pytest.raises(RightMissingError, match="view"):
            act()


def test_margins_need_the_right_of_finance(prices: Prices) -> None:
    """What the company earns is not shown to all who see prices, on the page as in the API."""
    files = PriceFiles(prices.installation)
    for act in (
        lambda: prices.margins(ALL, SEER),
        lambda: prices.margins_by_day(ALL, SEER),
        lambda: prices.margin_lines(ALL, SEER),
        lambda: files.margins(ALL, SEER, None),
    ):
        with pytest.raises(RightMissingError, match="finance"):
            act()
