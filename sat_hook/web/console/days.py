"""The calendar of an account's days, and the page of one: how it stands, its report, its closing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import StringConstraints

from sat_hook.application.day_reports import FileKind, OrderChoice, signature_for
from sat_hook.application.days import Closing, DayState, WaitKind
from sat_hook.domain.books_commands import Seen
from sat_hook.domain.business_day import business_day
from sat_hook.reconciliation.day_figures import TOTALLED
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.report_breaks import adjustment_table
from sat_hook.reconciliation.report_sections import sections_of
from sat_hook.reconciliation.report_words import ORDER_STATES
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.console.words import Words
from sat_hook.web.dependencies import (
    DIGEST,
    AccountPath,
    AccountsDep,
    BoundedDay,
    DayPath,
    DayReportsDep,
    DaysDep,
    RunsDep,
    VersionQuery,
)
from sat_hook.web.files import MEDIA_TYPES, as_download, parts_of

router = APIRouter(prefix="/days")

STATES: Mapping[DayState, Words] = {
    DayState.NOT_BEGUN: Words(_("nothing yet")),
    DayState.RUNNING: Words(_("not over")),
    DayState.OPEN: Words(_("to be closed"), "wait"),
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
"""The tasks of a closing, in their order and in people's words; others are not shown."""
TASK_STATES: Mapping[str | None, Words] = {
    "success": Words(_("done"), "good"),
    "skipped": Words(_("not needed")),
    "failed": Words(_("failed"), "bad"),
    "upstream_failed": Words(_("failed"), "bad"),
    "up_for_retry": Words(_("is tried again"), "wait"),
    "running": Words(_("running"), "busy"),
}
TERMS: Mapping[str, str] = {
    "debit_rupiah": _("Debits"),
    "refund_rupiah": _("Refunds"),
    "in_transit_opening_rupiah": _("In transit at the opening"),
    "in_transit_closing_rupiah": _("In transit at the close"),
    "charged_rupiah": _("Price"),
}
"""The terms of the saldo that a figure may stand for."""
WAITING_TASK = Words(_("waiting"))

_Digest = Annotated[str, StringConstraints(pattern=DIGEST)]
_Word = Annotated[str, Query(max_length=200)]
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
        signable={row.day for row in rows if signature_for(row, site.person)},
        needing=[row for row in rows if row.state in _NEEDING or row.waits],
        months=[f"{first + timedelta(days=distance):%Y-%m}" for distance in (-1, 32)],
        states=STATES,
        waits=WAITS,
    )


@router.get("/{account}/sign")
def look_before_signing(
    account: AccountPath, site: SiteDep, days: DaysDep, day: Annotated[list[BoundedDay], Query(max_length=31)]
) -> Response:
    """Several days side by side, before they are signed together."""
    rows = [days.day(account, one, site.person) for one in sorted(set(day))]
    signatures = {row.day: signature_for(row, site.person) for row in rows}
    return site.page("days_sign", rows=rows, account=account, signatures=signatures)


@router.post("/{account}/sign")
def sign(
    account: AccountPath,
    site: SiteDep,
    reports: DayReportsDep,
    day: Annotated[list[BoundedDay], Form()],
    digest: Annotated[list[_Digest], Form()],
    seen: Annotated[list[int], Form()],
    reason: Annotated[str, Form(max_length=500)],
) -> Response:
    """Sign days as they were seen. One that was not signed says why."""
    shown = [(one, Seen(result, at)) for one, result, at in zip(day, digest, seen, strict=False)]
    signed = reports.sign(account, shown, reason, site.person)
    if len(signed) == 1:
        if signed[0].refusal:
            raise BooksRefusedError(signed[0].refusal)
        return site.go(f"/days/{account}/{signed[0].day}")
    return site.page("days_signed", signed=signed, account=account)


@router.get("/{account}/{day}")
def day(
    account: AccountPath,
    day: DayPath,
    site: SiteDep,
    days: DaysDep,
    reports: DayReportsDep,
    runs: RunsDep,
    version: VersionQuery = None,
) -> Response:
    """One day: its report, its signatures, and what it waits for."""
    report = reports.report(account, day, site.person, version)
    row = report.row if report else days.day(account, day, site.person)
    closing = days.closing(account, day, site.person, runs)
    shown: dict[str, Any] = {"report": report, "sections": (), "later": None}
    if report:
        told = [one for one in report.versions if one.number <= report.version.number]
        shown["sections"] = sections_of(report.figures, told, site.wording)
        if report.adjusted:
            headline = site.wording.text(_("Posted in"))
            shown["later"] = adjustment_table(report.adjusted, headline, site.wording)
    return site.page("day", row=row, states=STATES, waits=WAITS, **shown, **_progress(site, closing))


@router.get("/{account}/{day}/orders")
def orders(
    account: AccountPath,
    day: DayPath,
    site: SiteDep,
    reports: DayReportsDep,
    product: _Word = "",
    state: _Word = "",
    evidence: _Word = "",
    settlement: _Word = "",
    term: Annotated[str, Query(pattern=f"^({'|'.join(TOTALLED)})?$")] = "",
    cursor: str | None = None,
) -> Response:
    """The orders behind a figure of the day's report."""
    chosen = {"product": product, "state": state, "evidence": evidence, "settlement": settlement}
    chosen["term"] = term
    choice = OrderChoice(**{name: word or None for name, word in chosen.items()})
    found = reports.orders(account, day, choice, site.person, cursor)
    path = f"/days/{account}/{day}"
    return site.page(
        "day_orders",
        day=day,
        path=path,
        found=found,
        chosen={name: word for name, word in chosen.items() if word},
        older=site.url(f"{path}/orders", **chosen, cursor=found.next) if found.next else "",
        states={state.value: name for state, name in ORDER_STATES.items()},
        terms=TERMS,
    )


@router.get("/{account}/{day}/files/{kind}")
def file(
    account: AccountPath,
    day: DayPath,
    kind: FileKind,
    site: SiteDep,
    reports: DayReportsDep,
    version: VersionQuery = None,
) -> Response:
    """A file of the report; workbook and PDF in the person's language."""
    name, content = reports.file(account, day, kind, site.wording.language, site.person, version)
    return StreamingResponse(parts_of(content), headers=as_download(name), media_type=MEDIA_TYPES[kind])


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


def _progress(site: Site, closing: Closing | None) -> dict[str, Any]:
    states = {task.task_id: task.state for task in closing.tasks} if closing else {}
    tasks = [(said, TASK_STATES.get(states.get(name), WAITING_TASK)) for name, said in TASKS.items()]
    return {"closing": closing, "tasks": tasks, "airflow": site.airflow_url}
