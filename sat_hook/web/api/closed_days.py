"""Routes of an account's closed days: saldo, breaks, settlement files, and versions of their reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from sat_hook.application import closed_days
from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import BOOK_READERS
from sat_hook.domain.books_events import SaldoTerms
from sat_hook.web.api.models import Cursor, Document, Limit, Page, route, rows_of
from sat_hook.web.dependencies import AccountPath, ClosedDaysDep, CurrentPerson, DayPath

router = APIRouter(prefix="/books/{account}", tags=["books"])


class ClosedDay(Document, of=closed_days.ClosedDay):
    """The newest close of a day. Rupiah are null when the deposit was not observed at both ends."""


class SaldoEquation(Document, of=SaldoTerms):
    """Opening saldo, what moved it, and closing saldo. ``unexplained_rupiah`` is what is left."""

    opening_observed_at: datetime
    closing_observed_at: datetime


class ReportVersion(Document):
    """A version of a day's report, and what made it. ``place``: its folder below the results."""

    number: int
    at: datetime
    actor: str
    what: str
    place: str


class ClosedDayDetails(Document):
    """A closed day with its saldo equation, and the versions of its report, the oldest first."""

    closed: ClosedDay
    saldo: SaldoEquation | None
    versions: tuple[ReportVersion, ...]


class BreakOfDay(Document, of=closed_days.BreakOfDay):
    """A break as a close has it. ``state`` includes later decisions; ``subject`` is the order it is about."""


class SettlementFile(Document, of=closed_days.SettlementFile):
    """A settlement file of a day. ``reason`` is why it does not count; null when it does."""


@router.get("/closes", **route(*BOOK_READERS))
def list_closed_days(
    account: AccountPath,
    person: CurrentPerson,
    days: ClosedDaysDep,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[ClosedDay]:
    """List the closed days, the newest first."""
    return Page[ClosedDay].model_validate(days.days(account, person, cursor=cursor, limit=limit))


@router.get("/closes/{day}", **route(*BOOK_READERS))
def show_closed_day(
    account: AccountPath, day: DayPath, person: CurrentPerson, days: ClosedDaysDep
) -> ClosedDayDetails:
    """Return a closed day with its saldo equation and the versions of its report."""
    return ClosedDayDetails.model_validate(rows_of(days.day(account, day, person), row="closed"))


@router.get("/closes/{day}/breaks", **route(*BOOK_READERS))
def list_breaks_of_day(
    account: AccountPath,
    day: DayPath,
    person: CurrentPerson,
    days: ClosedDaysDep,
    every: Annotated[bool, Query(description="those too that are resolved or written off")] = False,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[BreakOfDay]:
    """List the breaks that the close of a day has, earlier ones included."""
    return Page[BreakOfDay].model_validate(
        days.breaks(account, day, person, every=every, cursor=cursor, limit=limit)
    )


@router.get("/days/{day}/settlements", **route(*BOOK_READERS))
def list_settlement_files(
    account: AccountPath, day: DayPath, person: CurrentPerson, days: ClosedDaysDep
) -> Page[SettlementFile]:
    """List the settlement files of a day: those that count, then those that do not, and why."""
    files = days.settlement_files(account, day, person)
    return Page[SettlementFile].of(files)
