"""Routes of products and their prices."""

from __future__ import annotations

from fastapi import APIRouter

from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import Right
from sat_hook.domain.prices import ListedProduct, PricePeriod
from sat_hook.store.account_lists import FoundProduct
from sat_hook.web.api.models import Cursor, Document, Limit, Page, Text, route
from sat_hook.web.dependencies import AccountQuery, CurrentPerson, ListingsDep

router = APIRouter(tags=["prices"])


class Listing(Document, of=ListedProduct):
    """A product as a price list has it. SAT's status: 1 active, 2 inactive, 3 temporarily inactive."""


class Price(Document, of=PricePeriod):
    """A product as it was listed in a period; ``until`` is null while it still is."""

    product: Listing


class Product(Document, of=FoundProduct):
    """A product as it was listed last; ``gone_at`` is null while it is listed."""

    product: Listing


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
