"""Routes of what needs a person, of deposits, and of products and their prices."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from sat_hook.application.listings import USUAL_PAGE
from sat_hook.application.rights import Right
from sat_hook.web.api.documented import route
from sat_hook.web.api.models import Cursor, Deposit, Limit, NeedsPerson, Page, Price, Product, Text
from sat_hook.web.dependencies import AccountQuery, CurrentPerson, ListingsDep, RunsDep

router = APIRouter(tags=["lists"])


@router.get("/needs", **route(Right.VIEW))
def list_needs(person: CurrentPerson, listings: ListingsDep, runs: RunsDep) -> Page[NeedsPerson]:
    """List what needs a person: approvals, held and escalated orders, funds, stopped batches, pauses, untold
    alerts.
    """
    return Page[NeedsPerson](items=tuple(map(NeedsPerson.model_validate, listings.needs_you(person, runs))))


@router.get("/deposits", **route(Right.VIEW))
def list_deposits(
    person: CurrentPerson, listings: ListingsDep, days: Annotated[int, Query(ge=1, le=366)] = 30
) -> Page[Deposit]:
    """List what each account's deposit holds, and what it held at the end of each of the last days (WIB)."""
    return Page[Deposit](items=tuple(map(Deposit.model_validate, listings.deposits(person, days))))


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
    listings: ListingsDep,
    account: Annotated[str, Query(max_length=200)],
) -> Page[Price]:
    """List every listing of one product of an account, the oldest first."""
    return Page[Price](items=tuple(map(Price.model_validate, listings.prices(account, code, person))))
