"""The catalogue: search by code, name or operator, with price, status and history."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response

from sat_hook.presentation.charts import sparkline
from sat_hook.web.console.site import SiteDep
from sat_hook.web.dependencies import AccountPath, ListingsDep

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
def product(account: AccountPath, code: str, site: SiteDep, listings: ListingsDep) -> Response:
    """Every listing of one product of an account."""
    periods = listings.prices(account, code, site.person)
    if not periods:
        raise HTTPException(404)
    prices = [period.product.price_rupiah or 0 for period in periods]
    return site.page(
        "product",
        account=account,
        product=periods[-1].product,
        periods=periods[::-1],
        picture=sparkline(prices, site.wording.text("Price over time")) if len(prices) > 1 else "",
    )
