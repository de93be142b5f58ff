"""Routes of the user, of what needs a person, of alerts, of rechecks, and of deposits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from sat_hook.application.attention import DepositRow, NeedRow
from sat_hook.application.listings import RECHECK_DAYS
from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import Right
from sat_hook.store import account_lists
from sat_hook.store.rechecks import RecheckCount
from sat_hook.web.api.models import Cursor, Document, Limit, Page, at, route
from sat_hook.web.dependencies import CurrentPerson, ListingsDep

router = APIRouter(tags=["lists"])


class Me(Document):
    """The user of the request, with their rights."""

    name: str
    rights: tuple[Right, ...]


class NeedsPerson(Document, of=NeedRow):
    """Something of an account that needs a person: batches, orders, a paused account, or alerts."""


class AlertTold(Document):
    """An alert. ``settled_at`` is null while it will be tried; ``trouble``: why no person was told."""

    key: str = at("alert", "key")
    kind: str = at("alert", "kind")
    text: str = at("alert", "text")
    occurred_at: datetime = at("alert", "occurred_at")
    account: str = at("alert", "account")
    batch_id: str | None = at("alert", "batch_id")
    tries: int
    was_told: bool
    settled_at: datetime | None = at("notified_at")
    trouble: str | None


class RecheckDay(Document, of=RecheckCount):
    """Rechecks of an account's ended orders that were due on a day (WIB), ``days`` after the end."""


class SaldoPoint(Document, of=account_lists.SaldoPoint):
    """What a deposit held."""


class Deposit(Document, of=DepositRow):
    """An account's deposit; numbers are null before the first observation."""

    days: tuple[SaldoPoint, ...]


@router.get("/me", **route(*Right))
def show_me(person: CurrentPerson) -> Me:
    """Return the user's name and rights."""
    person.require(*Right)
    return Me(name=person.name, rights=tuple(sorted(person.rights)))


@router.get("/needs", **route(Right.VIEW))
def list_needs(person: CurrentPerson, listings: ListingsDep) -> Page[NeedsPerson]:
    """List what needs a person: approvals, held and escalated orders, funds, stopped batches, pauses, untold
    alerts.
    """
    return Page[NeedsPerson].of(listings.needs_you(person))


@router.get("/alerts", **route(Right.VIEW))
def list_alerts(
    person: CurrentPerson,
    listings: ListingsDep,
    untold: Annotated[bool, Query(description="only alerts that no person was told of yet")] = False,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[AlertTold]:
    """List alerts, told or not: escalations, reversals, breaks, …; the newest first."""
    found = listings.alerts(person, only_untold=untold, cursor=cursor, limit=limit)
    return Page[AlertTold].model_validate(found)


@router.get("/rechecks", **route(Right.VIEW))
def list_rechecks(
    person: CurrentPerson,
    listings: ListingsDep,
    days: Annotated[int, Query(ge=1, le=3650, description="days back")] = RECHECK_DAYS,
) -> Page[RecheckDay]:
    """List the rechecks of ended orders, counted by account and day."""
    return Page[RecheckDay].of(listings.rechecks(person, days))


@router.get("/deposits", **route(Right.VIEW))
def list_deposits(
    person: CurrentPerson, listings: ListingsDep, days: Annotated[int, Query(ge=1, le=366)] = 30
) -> Page[Deposit]:
    """List what each account's deposit holds, and what it held at the end of each of the last days (WIB)."""
    return Page[Deposit].of(listings.deposits(person, days))
