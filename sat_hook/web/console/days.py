"""The calendar of an account's days, and the page of one: how it stands, its report, its closing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from sat_hook.application.days import Closing, DayState, WaitKind
from sat_hook.domain.business_day import business_day
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.console.words import Words
from sat_hook.web.dependencies import AccountPath, AccountsDep, DayPath, DaysDep, RunsDep

router = APIRouter(prefix="/days")

STATES: Mapping[DayState, Words] = {
    DayState.NOT_BEGUN: Words(_("nothing yet"), "none"),
    DayState.RUNNING: Words(_("not over"), "none"),
    DayState.OPEN: Words(_("open"), "wait"),
    DayState.WITH_BREAKS: Words(_("with breaks"), "bad"),
    DayState.CLOSED: Words(_("closed"), "good"),
    DayState.PREPARED: Words(_("prepared"), "busy"),
    DayState.SIGNED: Words(_("signed"), "good"),
}
WAITS: Mapping[WaitKind, str] = {
    WaitKind.SETTLEMENT: _("no settlement file has come"),
    WaitKind.SALDO: _("the deposit was not observed at the cut-off"),
    WaitKind.IN_FLIGHT: _("orders in flight"),
}
TASKS: Mapping[str, str] = {
    "day": _("Choose the day"),
    "books.observe": _("Observe the deposit"),
    "books.ask_again": _("Ask SAT about open orders"),
    "books.settlements": _("Read the settlement files"),
    "books.close": _("Compare, and write the report"),
}
"""The tasks of a closing in people's words; others are not shown."""
TASK_STATES: Mapping[str | None, Words] = {
    "success": Words(_("done"), "good"),
    "skipped": Words(_("not needed"), "none"),
    "failed": Words(_("failed"), "bad"),
    "upstream_failed": Words(_("failed"), "bad"),
    "up_for_retry": Words(_("is tried again"), "wait"),
    "running": Words(_("running"), "busy"),
}
WAITING_TASK = Words(_("waiting"), "none")

_Month = Annotated[str, Query(pattern=r"^(20\d\d-(0[1-9]|1[0-2]))?$")]


@router.get("")
def calendar(
    site: SiteDep,
    days: DaysDep,
    accounts: AccountsDep,
    account: Annotated[str, Query(max_length=200)] = "",
    month: _Month = "",
) -> Response:
    """The days of one account in one month; by default the first account, this month."""
    named = sorted(set(accounts.by_connection().values()))
    chosen = account or (named[0] if named else "")
    first = _first_of(month)
    rows = days.month(chosen, first, site.person) if chosen else ()
    return site.page(
        "days",
        accounts=named,
        account=rows[0].account if rows else "",
        month=first,
        rows=rows,
        needing=[row for row in rows if row.state in _NEEDING or row.waits],
        months=[f"{first + timedelta(days=distance):%Y-%m}" for distance in (-1, 32)],
        states=STATES,
        waits=WAITS,
    )


@router.get("/{account}/{day}")
def day(account: AccountPath, day: DayPath, site: SiteDep, days: DaysDep, runs: RunsDep) -> Response:
    """One day."""
    row = days.day(account, day, site.person)
    closing = days.closing(account, day, site.person, runs)
    return site.page("day", row=row, states=STATES, waits=WAITS, **_progress(site, closing))


@router.get("/{account}/{day}/closing")
def closing(account: AccountPath, day: DayPath, site: SiteDep, days: DaysDep, runs: RunsDep) -> Response:
    """The part of the page that follows a closing. When that has ended, the page is read again."""
    found = days.closing(account, day, site.person, runs)
    response = site.page("closing", row=days.day(account, day, site.person), **_progress(site, found))
    if found is None or found.run.state.is_final:
        response.headers["HX-Refresh"] = "true"
    return response


@router.post("/{account}/{day}/close")
def close(account: AccountPath, day: DayPath, site: SiteDep, days: DaysDep, runs: RunsDep) -> Response:
    """Start a run that closes the day."""
    days.close(account, day, site.person, runs)
    return site.go(f"/days/{account}/{day}")


_NEEDING = (DayState.OPEN, DayState.WITH_BREAKS, DayState.CLOSED, DayState.PREPARED)


def _first_of(month: str) -> date:
    today = business_day(datetime.now(UTC))
    return date.fromisoformat(f"{month}-01") if month else today.replace(day=1)


def _progress(site: Site, closing: Closing | None) -> dict[str, object]:
    tasks = [
        (TASKS[task.task_id], TASK_STATES.get(task.state, WAITING_TASK))
        for task in (closing.tasks if closing else ())
        if task.task_id in TASKS
    ]
    return {"closing": closing, "tasks": tasks, "airflow": site.airflow_url}
