"""Routes of products and of the records of prices: listings, changes, missing lists, a week, margins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from sat_hook.application import prices as application
from sat_hook.application.errors import ListingRefusedError
from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.price_files import ChartFormat
from sat_hook.application.prices import ChangeFilter, Period
from sat_hook.application.rights import Right
from sat_hook.catalogue.margin import ProductMargin
from sat_hook.catalogue.weekly import Move
from sat_hook.domain.prices import ChangeKind, ListedProduct, PricePeriod, PriceSnapshot, SnapshotOutcome
from sat_hook.presentation.language import Language
from sat_hook.presentation.text_tables import TableFormat
from sat_hook.store.account_lists import FoundProduct
from sat_hook.web.api.models import Cursor, Document, Limit, Page, Text, at, route
from sat_hook.web.dependencies import (
    AccountQuery,
    CurrentPerson,
    DayQuery,
    ListingsDep,
    Moment,
    PriceFilesDep,
    PricesDep,
)
from sat_hook.web.files import TABLES, as_download, written

LARGEST_MOVES = 10

router = APIRouter(tags=["prices"])


class Listing(Document, of=ListedProduct):
    """A product as a price list has it. SAT's status: 1 active, 2 inactive, 3 temporarily inactive."""


class Price(Document, of=PricePeriod):
    """A product as it was listed in a period; ``until`` is null while it still is."""

    product: Listing


class Product(Document, of=FoundProduct):
    """A product as it was listed last; ``gone_at`` is null while it is listed."""

    product: Listing


class ProductPrices(Page[Price]):
    """Every listing of a product of an account."""

    account: str


class Gap(Document):
    """A time for which no price list is known."""

    since: datetime
    until: datetime


class PriceLists(Document, of=application.PriceLists):
    """Which price lists are known. ``last_list_at``: the last one up to the end of the period."""

    gaps: tuple[Gap, ...]


class PriceAttempt(
    Document, of=PriceSnapshot, without=("missing_limit_percent", "response_digest", "state_digest")
):
    """An attempt to read the price list. ``reason`` is why it changes nothing; numbers are null then."""

    snapshot_id: int


class RecordedPriceChange(Document):
    """A product's change. ``before`` is null for a new product, ``after`` for one that is gone."""

    snapshot_id: int
    seen_at: datetime
    kind: ChangeKind = at("change", "kind")
    before: Listing | None = at("change", "before")
    after: Listing | None = at("change", "after")


class PriceMove(Document):
    """A product's price at the beginning and the end of a week."""

    product_code: str
    name: str
    before_rupiah: int
    after_rupiah: int


class PriceWeek(Document):
    """A week of prices in figures. ``largest``: the largest rises, then the largest falls, by percentage."""

    account: str
    week: str
    since: datetime
    until: datetime
    attempts: dict[SnapshotOutcome, int]
    listed_before: int
    listed_after: int
    appeared: int
    returned: int
    disappeared: int
    statuses: int
    rises: int
    falls: int
    largest: tuple[PriceMove, ...]


class Margin(Document, of=ProductMargin):
    """A product's succeeded orders. ``without_fee``: their margin is unknown."""

    margin_percent: str


def _period(
    since: Annotated[Moment, Query()], until: Annotated[Moment, Query()], account: AccountQuery = None
) -> Period:
    """The period in the query.

    :raises ListingRefusedError: it ends before it begins.
    """
    if until < since:
        raise ListingRefusedError("until: found a time before since; expected a later one")
    return Period(account, since, until)


_Period = Annotated[Period, Depends(_period)]


@router.get("/products", **route(Right.VIEW))
def list_products(
    person: CurrentPerson,
    listings: ListingsDep,
    text: Text = None,
    account: AccountQuery = None,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[Product]:
    """List products as they were listed last, by a part of their code, name or operator."""
    found = listings.products(person, text=text, account=account, cursor=cursor, limit=limit)
    return Page[Product].model_validate(found)


@router.get("/products/{code}/prices", **route(Right.VIEW))
def list_prices(
    code: Annotated[str, Path(max_length=200)],
    person: CurrentPerson,
    prices: PricesDep,
    account: AccountQuery = None,
) -> ProductPrices:
    """List every listing of one product of an account, the oldest first."""
    found = prices.listings(account, code, person)
    return ProductPrices(account=found.account, items=tuple(map(Price.model_validate, found.periods)))


@router.get("/price-records/accounts", **route(Right.VIEW))
def list_accounts(person: CurrentPerson, prices: PricesDep) -> Page[str]:
    """List the accounts whose prices were ever asked for."""
    return Page[str](items=prices.accounts(person))


@router.get("/price-records/lists", **route(Right.VIEW))
def show_lists(person: CurrentPerson, prices: PricesDep, period: _Period) -> PriceLists:
    """Return when the last price list came, and for which times of a period no list is known."""
    found = prices.lists(period, person)
    gaps = tuple(Gap(since=since, until=until) for since, until in found.gaps)
    return PriceLists(account=found.account, last_list_at=found.last_list_at, gaps=gaps)


@router.get("/price-records/attempts", **route(Right.VIEW))
def list_attempts(
    person: CurrentPerson,
    prices: PricesDep,
    period: _Period,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[PriceAttempt]:
    """List the attempts to read the price list, the newest first."""
    return Page[PriceAttempt].model_validate(prices.attempts(period, person, cursor=cursor, limit=limit))


def _change_filter(
    product: Annotated[str, Query(max_length=200, description="a pattern of codes, like `*-xl`")] = "*",
    jump_percent: Annotated[
        int | None, Query(ge=1, le=10**6, description="only prices that moved by at least that much at once")
    ] = None,
) -> ChangeFilter:
    return ChangeFilter(code=product, jump_percent=jump_percent)


_Changes = Annotated[ChangeFilter, Depends(_change_filter)]
_Format = Annotated[TableFormat, Query(alias="format")]


@router.get("/price-records/changes", **route(Right.VIEW))
def list_changes(
    person: CurrentPerson,
    prices: PricesDep,
    period: _Period,
    which: _Changes,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[RecordedPriceChange]:
    """List changes of prices, names and statuses, and new and removed products, the oldest first."""
    found = prices.changes(period, which, person, cursor=cursor, limit=limit)
    return Page[RecordedPriceChange].model_validate(found)


@router.get("/price-records/changes/file", **route(Right.VIEW, files=TABLES))
def change_file(
    person: CurrentPerson,
    files: PriceFilesDep,
    period: _Period,
    which: _Changes,
    file_format: _Format = TableFormat.CSV,
    language: Language = Language.ENGLISH,
) -> Response:
    """Return the same changes as a file, the newest first: XLSX in a language, CSV for programs."""
    content = files.changes(period, which, person, _workbook_in(language, file_format))
    headers = as_download(f"price-changes.{file_format.value}")
    return Response(content, headers=headers, media_type=file_format.media_type)


@router.get("/products/{code}/chart", **route(Right.VIEW, files=" ".join(f.media_type for f in ChartFormat)))
def draw_prices(
    code: Annotated[str, Path(max_length=200)],
    person: CurrentPerson,
    files: PriceFilesDep,
    period: _Period,
    file_format: Annotated[ChartFormat, Query(alias="format")] = ChartFormat.SVG,
    language: Language = Language.ENGLISH,
) -> Response:
    """Draw a product's price over time, as a file without other files."""
    drawn = files.chart(period, code, file_format, language, person)
    headers = as_download(f"records.{file_format.value}")
    return Response(drawn, headers=headers, media_type=file_format.media_type)


@router.get("/price-records/week", **route(Right.VIEW))
def show_week(
    person: CurrentPerson, prices: PricesDep, account: AccountQuery = None, of: DayQuery = None
) -> PriceWeek:
    """Summarise the week (Monday to Sunday, WIB) of a day; by default the last week that is over."""
    found = prices.week(account, of, person)
    return PriceWeek(
        account=found.account,
        week=found.week.name,
        since=found.week.since,
        until=found.until,
        attempts=dict(found.attempts),
        listed_before=found.listed_before,
        listed_after=found.listed_after,
        appeared=len(found.appeared),
        returned=len(found.returned),
        disappeared=len(found.disappeared),
        statuses=len(found.statuses),
        rises=len(found.rises),
        falls=len(found.falls),
        largest=tuple(map(_move, (*found.rises[:LARGEST_MOVES], *found.falls[:LARGEST_MOVES]))),
    )


@router.get("/price-records/week/page", **route(Right.VIEW, files="text/html"))
def week_page(
    person: CurrentPerson,
    files: PriceFilesDep,
    account: AccountQuery = None,
    of: DayQuery = None,
    language: Language = Language.ENGLISH,
) -> Response:
    """Return a week as a page without other files."""
    page = files.week_page(account, of, language, person)
    return Response(page, headers=as_download("week.html"), media_type="text/html")


@router.get("/price-records/margins", **route(Right.FINANCE))
def list_margins(person: CurrentPerson, prices: PricesDep, period: _Period) -> Page[Margin]:
    """List by product what the succeeded orders that were sent in a period cost and earned."""
    return Page[Margin].of(prices.margins(period, person))


@router.get("/price-records/margins/file", **route(Right.FINANCE, files=TABLES))
def margins_file(
    person: CurrentPerson,
    files: PriceFilesDep,
    period: _Period,
    file_format: _Format = TableFormat.CSV,
    language: Language = Language.ENGLISH,
) -> Response:
    """Return the margins by day and product as a file: XLSX in a language, CSV for programs."""
    content = files.margins(period, person, _workbook_in(language, file_format))
    headers = as_download(f"margins.{file_format.value}")
    return Response(content, headers=headers, media_type=file_format.media_type)


@router.get("/price-records/margins/orders", **route(Right.FINANCE, files="text/csv"))
def margin_file(person: CurrentPerson, prices: PricesDep, period: _Period) -> StreamingResponse:
    """Return the orders that were sent in a period, with the price listed then, their cost and margin."""
    lines = written(line.encode("utf-8") for line in prices.margin_lines(period, person))
    return StreamingResponse(lines, headers=as_download("margin.csv"), media_type="text/csv")


def _workbook_in(language: Language, file_format: TableFormat) -> Language | None:
    return language if file_format is TableFormat.XLSX else None


def _move(move: Move) -> PriceMove:
    before, after = move.prices_rupiah
    return PriceMove(
        product_code=move.after.code, name=move.after.name, before_rupiah=before, after_rupiah=after
    )
