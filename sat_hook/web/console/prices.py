"""The pages of prices: what changed, products compared, a week, and margins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response, StreamingResponse
from markupsafe import Markup

from sat_hook.application.prices import MAXIMUM_COMPARED, MAXIMUM_DAYS, ChangeFilter, Period, ProductHistory
from sat_hook.catalogue import chart
from sat_hook.catalogue.change_words import KINDS, STATUSES, values_of
from sat_hook.catalogue.errors import TooManyPeriodsError
from sat_hook.catalogue.weekly import Week
from sat_hook.domain.business_day import business_day, midnight
from sat_hook.domain.prices import ChangeKind, PricePeriod, ProductChange
from sat_hook.presentation.text_tables import TableFormat
from sat_hook.store.prices import DayMargin
from sat_hook.web.console.language import Language, Wording
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.console.words import Words
from sat_hook.web.dependencies import DayQuery, PriceFilesDep, PricesDep
from sat_hook.web.files import as_download

router = APIRouter(prefix="/prices")

USUAL_DAYS = 7
CHART_DAYS = 90

_Text = Annotated[str, Query(max_length=128)]
_Percent = Annotated[str, Query(pattern="^([1-9][0-9]{0,3})?$")]

TONES: Mapping[ChangeKind, str] = {
    ChangeKind.APPEARED: "good",
    ChangeKind.RETURNED: "good",
    ChangeKind.CHANGED: "none",
    ChangeKind.DISAPPEARED: "bad",
}
CHANGES: Mapping[ChangeKind, Words] = {kind: Words(said, TONES[kind]) for kind, said in KINDS.items()}


@dataclass(frozen=True, slots=True)
class PriceChoice:
    """What a person chose to see: an account, a period, and a filter of changes.

    :param account: the chosen one, else the first that has prices; empty when none has.
    """

    account: str
    accounts: tuple[str, ...]
    since: date
    until: date
    text: str = ""
    jump: str = ""

    @property
    def period(self) -> Period:
        """The chosen days."""
        return Period(self.account, midnight(self.since), midnight(self.until + timedelta(days=1)))

    @property
    def filter(self) -> ChangeFilter:
        """The changes that are meant."""
        return ChangeFilter(self.text or None, jump_percent=int(self.jump) if self.jump else None)

    @property
    def address(self) -> dict[str, object]:
        return {
            "account": self.account,
            "since": self.since,
            "until": self.until,
            "text": self.text,
            "jump": self.jump,
        }


def _choice(
    site: SiteDep,
    prices: PricesDep,
    account: _Text = "",
    since: DayQuery = None,
    until: DayQuery = None,
    text: _Text = "",
    jump: _Percent = "",
) -> PriceChoice:
    accounts = prices.accounts(site.person)
    today = business_day(datetime.now(UTC))
    last = until or today
    first = since or last - timedelta(days=USUAL_DAYS - 1)
    first = max(min(first, last), last - timedelta(days=MAXIMUM_DAYS - 1))
    chosen = account if account in accounts else next(iter(accounts), "")
    return PriceChoice(chosen, accounts, first, last, text.strip(), jump)


PriceChoiceDep = Annotated[PriceChoice, Depends(_choice)]


@router.get("")
def list_changes(
    site: SiteDep, prices: PricesDep, choice: PriceChoiceDep, cursor: str | None = None
) -> Response:
    """What changed in a period, and how old what is known is."""
    if not choice.account:
        return site.page("prices", choice=choice, rows=(), older="", freshness=None)
    found = prices.changes(choice.period, choice.filter, site.person, is_newest_first=True, cursor=cursor)
    return site.page(
        "prices",
        choice=choice,
        rows=[(recorded, list(_lines_of(recorded.change, site.wording))) for recorded in found.items],
        older=site.url("/prices", **choice.address, cursor=found.next) if found.next else "",
        freshness=prices.freshness(choice.period, site.person),
        kinds=CHANGES,
    )


@router.get("/export")
def export_changes(
    site: SiteDep,
    files: PriceFilesDep,
    choice: PriceChoiceDep,
    file_format: Annotated[TableFormat, Query(alias="format")],
) -> Response:
    content = files.changes(choice.period, choice.filter, site.person, _workbook(file_format, site))
    return _file(f"prices-{choice.since}-{choice.until}", content, file_format)


@router.get("/compare")
def compare(
    site: SiteDep,
    prices: PricesDep,
    choice: PriceChoiceDep,
    code: Annotated[list[str] | None, Query(max_length=20)] = None,
) -> Response:
    """Up to four products in one period: a picture of each, and a table of all."""
    codes = [one.strip() for one in code or () if one.strip()][:MAXIMUM_COMPARED]
    histories = prices.compare(choice.period, codes, site.person) if choice.account and codes else ()
    return site.page(
        "prices_compare",
        choice=choice,
        codes=[*codes, *[""] * (MAXIMUM_COMPARED - len(codes))],
        products=[
            (history, picture_of(history, site), listings_of(history.shown))
            for history in histories
            if history.periods
        ],
        statuses=STATUSES,
        unknown=[history.code for history in histories if not history.periods],
    )


@router.get("/week")
def week(site: SiteDep, prices: PricesDep, choice: PriceChoiceDep, of: DayQuery = None) -> Response:
    """A week of prices, from Monday to Sunday; the last one that is over unless another is chosen."""
    summary = prices.week(choice.account, of, site.person) if choice.account else None
    return site.page(
        "prices_week",
        choice=choice,
        summary=summary,
        before=None if summary is None else summary.week.monday - timedelta(days=7),
        sunday=None if summary is None else summary.week.monday + timedelta(days=6),
        after=_week_after(summary.week) if summary is not None else None,
        statuses=STATUSES,
    )


@router.get("/margin")
def margin(site: SiteDep, prices: PricesDep, choice: PriceChoiceDep) -> Response:
    """What succeeded orders cost and earned, by product and by day."""
    rows = prices.margins_by_day(choice.period, site.person) if choice.account else ()
    return site.page(
        "prices_margin",
        choice=choice,
        rows=rows,
        products=_totals(rows),
        names=prices.names(choice.period, site.person) if rows else {},
    )


@router.get("/margin/export")
def export_margin(
    site: SiteDep,
    files: PriceFilesDep,
    choice: PriceChoiceDep,
    file_format: Annotated[TableFormat, Query(alias="format")],
) -> Response:
    """Margins by day and product as a file."""
    content = files.margins(choice.period, site.person, _workbook(file_format, site))
    return _file(f"margins-{choice.since}-{choice.until}", content, file_format)


@router.get("/margin/orders")
def export_orders(site: SiteDep, prices: PricesDep, choice: PriceChoiceDep) -> Response:
    """Every order that was sent in the period, with its price and margin, as CSV."""
    lines = prices.margin_lines(choice.period, site.person)
    headers = as_download(f"orders-and-margins-{choice.since}-{choice.until}.csv")
    return StreamingResponse(lines, headers=headers, media_type=TableFormat.CSV.media_type)


def picture_of(history: ProductHistory, site: Site) -> Markup | None:
    """A product's price over the period; None when it was never listed by then."""
    if not history.shown:
        return None
    # Nothing is known before the first price list: the picture begins there.
    since = max(history.since, min(history.periods[0].since, *history.moments[:1]))
    try:
        drawn = chart.PriceChart(
            account=history.account,
            periods=[one for one in history.periods if one.since < history.until],
            moments=history.moments,
            since=since,
            until=history.until,
        )
    except TooManyPeriodsError:
        return None
    return chart.drawing(drawn, site.wording)


def listings_of(periods: Sequence[PricePeriod]) -> list[tuple[PricePeriod, int | None]]:
    """Listings of a product, the newest first, each with the price before it."""
    befores = [None, *(period.product.price_rupiah for period in periods)]
    return list(zip(periods, befores, strict=False))[::-1]


def _lines_of(change: ProductChange, wording: Wording) -> Iterator[tuple[str, str, str, str]]:
    """What changed of a product: attribute, before, after, and by how much."""
    for attribute, before, after, moved in values_of(change, wording):
        yield attribute, _shown(before, wording), _shown(after, wording), moved


def _shown(value: str | int | None, wording: Wording) -> str:
    if value == 0:
        return wording.text(_("asked for each order"))
    return wording.rupiah(value) if isinstance(value, int) else value or "–"


def _workbook(file_format: TableFormat, site: Site) -> Language | None:
    """The language of a workbook; None for CSV."""
    return site.wording.language if file_format is TableFormat.XLSX else None


def _week_after(one: Week) -> date | None:
    following = one.monday + timedelta(days=7)
    return following if midnight(following) < datetime.now(UTC) else None


def _totals(rows: tuple[DayMargin, ...]) -> list[tuple[str, int, int, int, int]]:
    """Orders, sales price, margin and orders without a fee of each product, the largest margin first."""
    totals: dict[str, list[int]] = {}
    for one in rows:
        total = totals.setdefault(one.product_code, [0, 0, 0, 0])
        figures = (one.orders, one.sales_price_rupiah, one.margin_rupiah, one.without_fee)
        total[:] = map(sum, zip(total, figures, strict=True))
    ranked = sorted(totals.items(), key=lambda item: (-item[1][2], item[0]))
    return [(code, orders, sales, margin, without) for code, (orders, sales, margin, without) in ranked]


def _file(name: str, content: bytes, file_format: TableFormat) -> Response:
    headers = as_download(f"{name}.{file_format.value}")
    return Response(content, headers=headers, media_type=file_format.media_type)
