"""Routes of business days: how each stands, what it waits for, and closing it."""

from __future__ import annotations

from datetime import date, datetime

from fastapi import APIRouter

from sat_hook.application.days import READERS, Closing, DayState, WaitKind
from sat_hook.application.rights import Right
from sat_hook.application.runs import RunState
from sat_hook.web.api.documented import route
from sat_hook.web.api.models import Document, Page
from sat_hook.web.dependencies import AccountPath, CurrentPerson, DayPath, DaysDep, MonthQuery, RunsDep

router = APIRouter(prefix="/days/{account}", tags=["days"])


class DayWait(Document):
    """Something that a day still waits for; ``orders`` are those in flight."""

    kind: WaitKind
    orders: int


class Day(Document):
    """A business day. See :class:`sat_hook.application.days.DayRow`."""

    account: str
    day: date
    state: DayState
    waits: tuple[DayWait, ...]
    closed_at: datetime | None
    position: int | None
    result_digest: str | None
    orders: int | None
    open_breaks: int | None
    unexplained_rupiah: int | None
    prepared_by: str | None
    signed_by: str | None
    is_closed_again: bool
    adjusted_in: tuple[date, ...]
    adjusts: dict[date, int]


class DayTask(Document):
    """A task of a run that closes a day, with its state in Airflow's words; null before it is scheduled."""

    task_id: str
    state: str | None


class DayClosing(Document):
    """A run that closes a day."""

    run_id: str
    state: RunState
    url: str
    tasks: tuple[DayTask, ...]


class LastClosing(Document):
    """The last run that a person started to close a day; null when there is none."""

    closing: DayClosing | None


@router.get("", **route(*READERS))
def list_days(
    account: AccountPath,
    person: CurrentPerson,
    days: DaysDep,
    month: MonthQuery,
) -> Page[Day]:
    """List the days of a month: how each stands, and what it still waits for."""
    first = date.fromisoformat(f"{month}-01")
    return Page[Day](items=tuple(map(Day.model_validate, days.month(account, first, person))))


@router.get("/{day}", **route(*READERS))
def show_day(account: AccountPath, day: DayPath, person: CurrentPerson, days: DaysDep) -> Day:
    """Return how one day stands."""
    return Day.model_validate(days.day(account, day, person))


@router.post("/{day}/close", **route(Right.FINANCE))
def close_day(
    account: AccountPath, day: DayPath, person: CurrentPerson, days: DaysDep, runs: RunsDep
) -> dict[str, str]:
    """Start a run that closes a day, or closes it again. While one runs, that one is returned."""
    run = days.close(account, day, person, runs)
    return {"run_id": run.run_id, "state": run.state, "url": run.url}


@router.get("/{day}/closing", **route(*READERS))
def show_closing(
    account: AccountPath, day: DayPath, person: CurrentPerson, days: DaysDep, runs: RunsDep
) -> LastClosing:
    """Return the last run that a person started to close a day, task by task."""
    found = days.closing(account, day, person, runs)
    return LastClosing(closing=found and _closing(found))


def _closing(found: Closing) -> DayClosing:
    run = found.run
    tasks = tuple(map(DayTask.model_validate, found.tasks))
    return DayClosing(run_id=run.run_id, state=run.state, url=run.url, tasks=tasks)
