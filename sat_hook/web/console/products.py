"""The catalogue: search by code, name or operator, with price, status and history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response

from sat_hook.application.prices import MAXIMUM_DAYS, Period
from sat_hook.catalogue.change_words import STATUSES
from sat_hook.domain.business_day import business_day, midnight
from sat_hook.web.console.prices import CHART_DAYS, listings_of, picture_of
from sat_hook.web.console.site import SiteDep
from sat_hook.web.dependencies import AccountPath, ListingsDep, PricesDep

router = APIRouter(prefix="/products")

_Text = Annotated[str, Query(max_length=128)]


@router.get("")
def search_products(
    site: SiteDep, listings: ListingsDep, text: _Text = "", account: _Text = "", cursor: str | None = None
) -> Response:
    """Products as they were listed last."""
    found = listings.products(site.person, text=text.strip() or None, account=account or None, cursor=cursor)
    chosen = {"text": text, "account": account}
    return site.page(
        "products",
        found=found.items,
        more=site.url("/products", **chosen, cursor=found.next) if found.next else "",
        chosen=chosen,
        accounts=[row.account for row in listings.accounts(site.person)],
    )


@router.get("/{account}/{code:path}")
def product(
    account: AccountPath,
    code: str,
    site: SiteDep,
    prices: PricesDep,
    days: Annotated[int, Query(ge=1, le=MAXIMUM_DAYS)] = CHART_DAYS,
) -> Response:
    """One product of an account: its price over time as a picture, and every listing as a table."""
    end = midnight(business_day(datetime.now(UTC)) + timedelta(days=1))
    history = prices.product(Period(account, end - timedelta(days=days), end), code, site.person)
    if not history.periods:
        raise HTTPException(404)
    return site.page(
        "product",
        account=account,
        product=history.periods[-1].product,
        periods=listings_of(history.periods),
        picture=picture_of(history, site),
        days=days,
        choices=(7, 30, CHART_DAYS, MAXIMUM_DAYS),
        statuses=STATUSES,
    )
