"""Routes of business days: how each stands, what it waits for, and closing it."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Body, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from sat_hook.application.day_books import Signature
from sat_hook.application.day_reports import MAXIMUM_DAYS_SIGNED, FileKind, OrderChoice, SignedDay
from sat_hook.application.days import DayRow, Wait
from sat_hook.application.rights import BOOK_READERS, Right
from sat_hook.application.runs import RunState, RunTask
from sat_hook.domain.books_commands import Seen
from sat_hook.presentation.language import Language
from sat_hook.reconciliation.day_figures import TOTALLED
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.figures import OrderLine, by_product_and_state
from sat_hook.reconciliation.model import Adjustment, MatchTotals, WaterfallLine
from sat_hook.reconciliation.versions import Version
from sat_hook.web.api.models import Cursor, Document, Page, Text, at, route
from sat_hook.web.dependencies import (
    DIGEST,
    MAXIMUM_BODY_TEXT,
    AccountPath,
    CurrentPerson,
    DayPath,
    DayReportsDep,
    DaysDep,
    MonthQuery,
    RunsDep,
    VersionQuery,
)
from sat_hook.web.files import MEDIA_TYPES, as_download, parts_of

router = APIRouter(prefix="/days/{account}", tags=["days"])


class DayWait(Document, of=Wait):
    """Something that a day still waits for; ``orders`` are those in flight."""


class Day(Document, of=DayRow):
    """A business day. See :class:`sat_hook.application.days.DayRow`."""

    waits: tuple[DayWait, ...]


class SeenDay(BaseModel):
    """What a person saw of a day: ``result_digest`` and ``seen_position`` of the day that was shown."""

    day: date
    result_digest: str = Field(pattern=DIGEST)
    seen_position: int = Field(ge=0, lt=2**63)


class DayVersion(Document, of=Version, without=("event", "close", "closed_at", "break_ids")):
    """A version of a day's report, and what made it. None ever changes.

    Several breaks that were decided at once make one version with the number of the last of them.
    """

    breaks: int


class DayMatch(Document, of=MatchTotals, without=("note",)):
    """What our books were held against."""


class DayStep(Document, of=WaterfallLine):
    """A step from the opening to the closing saldo."""


class DayAdjustment(Document, of=Adjustment):
    """Evidence about a signed day that counts in a later one."""


class DayOrders(Document, of=OrderLine):
    """The orders of a product in a state, and what their columns add up to."""


class Report(Document):
    """A version of a closed day's report. See :class:`sat_hook.application.day_reports.DayReport`.

    ``saldo`` is empty when the deposit was not observed at both ends of the day.
    """

    day: Day
    version: int
    versions: tuple[DayVersion, ...]
    saldo: tuple[DayStep, ...]
    matches: tuple[DayMatch, ...]
    orders: tuple[DayOrders, ...]
    adjustments: tuple[DayAdjustment, ...]
    adjusted_by: tuple[DayAdjustment, ...]
    may_sign: Signature | None


class OrderRow(Document):
    """An order as the close recorded it; the client's number is masked, times are in WIB."""

    request_id: str
    order_id: str
    product_code: str
    client_number: str
    state: str
    sent_at: str
    ended_at: str
    charged_rupiah: int
    debit_rupiah: int
    refund_rupiah: int
    evidence: str
    settlement: str


class Signed(Document, of=SignedDay):
    """What became of a signature; ``refusal`` is empty when it was added."""


class DayTask(Document, of=RunTask):
    """A task of a run that closes a day, with its state in Airflow's words; null before it is scheduled."""


class DayClosing(Document):
    """A run that closes a day."""

    run_id: str = at("run", "run_id")
    state: RunState = at("run", "state")
    url: str = at("run", "url")
    tasks: tuple[DayTask, ...]


class LastClosing(Document):
    """The last run that a person started to close a day; null when there is none."""

    closing: DayClosing | None


@router.get("", **route(*BOOK_READERS))
def list_days(
    account: AccountPath,
    person: CurrentPerson,
    days: DaysDep,
    month: MonthQuery,
) -> Page[Day]:
    """List the days of a month: how each stands, and what it still waits for."""
    first = date.fromisoformat(f"{month}-01")
    return Page[Day].of(days.month(account, first, person))


@router.get("/{day}", **route(*BOOK_READERS))
def show_day(account: AccountPath, day: DayPath, person: CurrentPerson, days: DaysDep) -> Day:
    """Return how one day stands."""
    return Day.model_validate(days.day(account, day, person))


@router.get("/{day}/report", **route(*BOOK_READERS))
def show_report(
    account: AccountPath,
    day: DayPath,
    person: CurrentPerson,
    reports: DayReportsDep,
    version: VersionQuery = None,
) -> Report:
    """Return a version of a closed day's report, the newest by default."""
    found = reports.report(account, day, person, version)
    if found is None:
        raise BooksRefusedError(f"{day}: found no close; expected a day that is closed")
    figures = found.figures
    return Report(
        day=Day.model_validate(found.row),
        version=found.version.number,
        versions=tuple(map(DayVersion.model_validate, found.versions)),
        saldo=tuple(map(DayStep.model_validate, figures.saldo.waterfall if figures.saldo else ())),
        matches=tuple(map(DayMatch.model_validate, figures.matches)),
        orders=tuple(map(DayOrders.model_validate, by_product_and_state(figures.groups))),
        adjustments=tuple(map(DayAdjustment.model_validate, figures.adjustments)),
        adjusted_by=tuple(DayAdjustment.model_validate(item) for _, item in found.adjusted),
        may_sign=found.may_sign,
    )


@router.get("/{day}/orders", **route(*BOOK_READERS))
def list_orders(
    account: AccountPath,
    day: DayPath,
    person: CurrentPerson,
    reports: DayReportsDep,
    product: Text = None,
    state: Text = None,
    evidence: Text = None,
    settlement: Text = None,
    term: Annotated[str | None, Query(pattern=f"^({'|'.join(TOTALLED)})$")] = None,
    cursor: Cursor = None,
) -> Page[OrderRow]:
    """List the orders behind a figure of the newest report: those of a product, a state or a term."""
    choice = OrderChoice(product, state, evidence, settlement, term)
    found = reports.orders(account, day, choice, person, cursor)
    rows = tuple(OrderRow.model_validate(dict(row)) for row in found.rows)
    return Page[OrderRow](items=rows, next=found.next)


@router.get("/{day}/files/{kind}", **route(*BOOK_READERS, files=" ".join(sorted(set(MEDIA_TYPES.values())))))
def report_file(
    account: AccountPath,
    day: DayPath,
    kind: FileKind,
    person: CurrentPerson,
    reports: DayReportsDep,
    version: VersionQuery = None,
    language: Language | None = None,
) -> StreamingResponse:
    """Return a file of a version of the report. By default a workbook is English and a PDF Indonesian."""
    usual = Language.ENGLISH if kind is FileKind.WORKBOOK else Language.INDONESIAN
    name, content = reports.file(account, day, kind, language or usual, person, version)
    return StreamingResponse(parts_of(content), headers=as_download(name), media_type=MEDIA_TYPES[kind])


@router.post("/sign", **route(Right.SIGN_OFF))
def sign_days(
    account: AccountPath,
    person: CurrentPerson,
    reports: DayReportsDep,
    days: Annotated[list[SeenDay], Body(min_length=1, max_length=MAXIMUM_DAYS_SIGNED)],
    reason: Annotated[str, Body(max_length=MAXIMUM_BODY_TEXT)],
) -> Page[Signed]:
    """Add the next signature to each day: its preparer's, then another person's, whose signature freezes it.

    A day that has changed since it was seen is refused, and the others are signed.
    """
    seen = [(one.day, Seen(one.result_digest, one.seen_position)) for one in days]
    return Page[Signed].of(reports.sign(account, seen, reason, person))


@router.post("/{day}/close", **route(Right.FINANCE))
def close_day(
    account: AccountPath, day: DayPath, person: CurrentPerson, days: DaysDep, runs: RunsDep
) -> dict[str, str]:
    """Start a run that closes a day, or closes it again. While one runs, that one is returned."""
    run = days.close(account, day, person, runs)
    return {"run_id": run.run_id, "state": run.state, "url": run.url}


@router.get("/{day}/closing", **route(*BOOK_READERS))
def show_closing(
    account: AccountPath, day: DayPath, person: CurrentPerson, days: DaysDep, runs: RunsDep
) -> LastClosing:
    """Return the last run that a person started to close a day, task by task."""
    found = days.closing(account, day, person, runs)
    return LastClosing.model_validate({"closing": found})
