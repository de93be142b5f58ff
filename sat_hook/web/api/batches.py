"""Routes of batches: list them, submit or check a file, results, progress, goods, held orders, withdrawal."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from sat_hook.application.batch_standing import BatchQuery, BatchStanding
from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import Right
from sat_hook.application.submissions import OrderUpload
from sat_hook.domain.business_day import midnight
from sat_hook.pipeline.batch_check import BatchCheck
from sat_hook.pipeline.batch_summary import needs_in_words
from sat_hook.pipeline.held_orders import HeldDecision
from sat_hook.pipeline.intake import FileFindings
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.presentation.text_tables import XLSX_MEDIA_TYPE, TableFormat
from sat_hook.store.order_intake import IntakeRow
from sat_hook.web.api.batch_models import (
    AskedOrder,
    AskedOrders,
    AskedRun,
    AskedStart,
    Batch,
    BatchDetails,
    BatchSummary,
    BegunRun,
    Deliverable,
    FirstRun,
    StartedRun,
)
from sat_hook.web.api.models import BINARY, Cursor, Limit, Page, Text, route, rows_of
from sat_hook.web.dependencies import (
    AccountQuery,
    BatchId,
    BatchReportsDep,
    BatchStartsDep,
    CurrentPerson,
    DayQuery,
    DecisionsDep,
    DeliveriesDep,
    ListingsDep,
    PayAgainDep,
    Reason,
    RunsDep,
    SubmissionsDep,
)
from sat_hook.web.files import TABLES, as_download, body_of

POSITION_HEADER = "X-SAT-Log-Position"
NOTICE_HEADER = "X-SAT-Notice"
JSON_MEDIA_TYPE = "application/json"

router = APIRouter(tags=["batches"])


async def _upload(
    request: Request,
    person: CurrentPerson,
    account: Annotated[str, Query(max_length=200, description="an Airflow connection of type sat")],
    file_name: Annotated[str, Query(max_length=255)] = "orders.csv",
    reference: Annotated[str | None, Query(max_length=256)] = None,
    on_bad_rows: Annotated[BadRowsPolicy, Query()] = BadRowsPolicy.PROCEED,
) -> OrderUpload:
    """The file or rows in the body, with the parameters in the query. The request guard limits its size."""
    # A person who may not submit uploads nothing.
    person.require(Right.SUBMIT)
    body = await body_of(request)
    content = _rows_in(body) if _is_json(request) else body
    return OrderUpload(account, file_name, reference, on_bad_rows, content)


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_MEDIA_TYPE


def _rows_in(body: bytes) -> tuple[IntakeRow, ...]:
    try:
        asked = AskedOrders.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(
            [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        ) from None
    return tuple(row.cells for row in asked.rows)


_UPLOADS: dict[str, dict[str, Any]] = {
    "text/csv": BINARY,
    XLSX_MEDIA_TYPE: BINARY,
    JSON_MEDIA_TYPE: {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": AskedOrder.model_json_schema()}},
    },
}
_Upload = Annotated[OrderUpload, Depends(_upload)]
_AS_USUAL = AskedStart()
_At = Annotated[int | None, Query(ge=1, description="a position of the log; default: the last")]


@router.get("/batches", **route(Right.VIEW))
def list_batches(
    person: CurrentPerson,
    listings: ListingsDep,
    text: Text = None,
    standing: BatchStanding | None = None,
    maker: Annotated[str | None, Query(max_length=200)] = None,
    account: AccountQuery = None,
    first_day: Annotated[DayQuery, Query(description="submitted on this day (WIB) or later")] = None,
    last_day: Annotated[DayQuery, Query(description="submitted on this day (WIB) or earlier")] = None,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[Batch]:
    """List batches, the newest first. `text` is a part of the file's name or of the reference."""
    query = BatchQuery(
        text=text,
        standing=standing,
        maker=maker,
        account=account,
        since=None if first_day is None else midnight(first_day),
        before=None if last_day is None else midnight(last_day) + timedelta(days=1),
    )
    return Page[Batch].model_validate(listings.batches(query, person, cursor=cursor, limit=limit))


@router.get("/batches/{batch_id}", **route(Right.VIEW))
def show_batch(batch_id: BatchId, person: CurrentPerson, listings: ListingsDep) -> BatchDetails:
    """Return one batch with its steps, approval, runs, results and history."""
    found = listings.batch(batch_id, person)
    return BatchDetails.model_validate(rows_of(found, row="batch"))


@router.post("/batches", **route(Right.SUBMIT, takes=_UPLOADS))
def submit_batch(upload: _Upload, person: CurrentPerson, submissions: SubmissionsDep) -> dict[str, Any]:
    """Keep the file in the body and register it as a batch. The same file is always the same batch.

    Rows as JSON become such a file, whose first order is row 2.

    A file that cannot become a batch, or is for a paused account, is refused and not kept.
    """
    names, found = submissions.submit(upload, person)
    return {
        "batch_id": found.submission.batch_id,
        "digest": found.submission.digest,
        "is_new": found.submission.is_new,
        "account": names.account,
        "connection": names.connection,
        **_findings(found.findings),
    }


@router.post("/batches/check", **route(Right.SUBMIT, takes=_UPLOADS))
def check_batch(upload: _Upload, person: CurrentPerson, submissions: SubmissionsDep) -> dict[str, Any]:
    """Check what the file in the body would become if it were submitted now. Records nothing."""
    names, found = submissions.check(upload, person)
    return {**_document(found), "connection": names.connection}


@router.get("/batches/{batch_id}/results", **route(Right.VIEW_NUMBERS, files="text/csv"))
def results(
    batch_id: BatchId,
    person: CurrentPerson,
    reports: BatchReportsDep,
    at: _At = None,
) -> Response:
    """Return the result file as of a log position: the submitted rows plus the verdicts. No goods."""
    file = reports.results(batch_id, at, person)
    headers = {**as_download(file.name), POSITION_HEADER: str(file.position)}
    if file.notice:
        headers[NOTICE_HEADER] = file.notice
    return Response(file.content, headers=headers, media_type="text/csv")


@router.get("/batches/{batch_id}/progress", **route(Right.VIEW, files="text/html"))
def progress(
    batch_id: BatchId, request: Request, person: CurrentPerson, reports: BatchReportsDep
) -> RedirectResponse:
    """Redirect to the batch's page in the console, which shows its progress and renews itself."""
    reports.progress(batch_id, person)
    return RedirectResponse(f"{request.scope.get('root_path', '')}/console/batches/{batch_id}")


@router.get("/deliveries", **route(Right.DELIVER))
def list_deliverable(person: CurrentPerson, deliveries: DeliveriesDep, cursor: Cursor = None) -> Page[Batch]:
    """List the batches with paid orders, the newest first. A page may be short and still have a next one."""
    return Page[Batch].model_validate(deliveries.batches(person, cursor=cursor))


@router.get("/batches/{batch_id}/deliveries", **route(Right.DELIVER))
def show_deliveries(batch_id: BatchId, person: CurrentPerson, deliveries: DeliveriesDep) -> Deliverable:
    """Return what a batch has to deliver, and its deliveries. Numbers only; `deliver` returns the goods."""
    found = deliveries.of_batch(batch_id, person)
    return Deliverable.model_validate(rows_of(found, row="batch"))


@router.get("/batches/{batch_id}/summary", **route(Right.VIEW))
def summary(
    batch_id: BatchId, person: CurrentPerson, reports: BatchReportsDep, at: _At = None
) -> BatchSummary:
    """Return the batch in figures: states, rupiah, and its progress in words."""
    return BatchSummary.model_validate(reports.figures(batch_id, at, person))


@router.get("/batches/{batch_id}/missing-funds", **route(Right.VIEW))
def missing_funds(
    batch_id: BatchId, person: CurrentPerson, reports: BatchReportsDep
) -> dict[str, int | None]:
    """Return how much the deposit lacks for the orders without a reservation; null when it is not known."""
    return {"missing_rupiah": reports.missing_rupiah(batch_id, person)}


@router.post(
    "/batches/{batch_id}/deliver",
    **route(Right.DELIVER, files=TABLES),
)
def deliver(
    batch_id: BatchId,
    person: CurrentPerson,
    decisions: DecisionsDep,
    reason: Reason,
    file_format: Annotated[TableFormat, Body(alias="format")] = TableFormat.CSV,
) -> Response:
    """Return vouchers and serials of the succeeded orders. The delivery is recorded first."""
    goods = decisions.deliver(batch_id, file_format, reason, person)
    headers = as_download(f"{batch_id}.goods.{file_format.value}")
    return Response(goods, headers=headers, media_type=file_format.media_type)


@router.get("/batches/{batch_id}/run", **route(Right.VIEW))
def show_run(batch_id: BatchId, person: CurrentPerson, starts: BatchStartsDep, runs: RunsDep) -> FirstRun:
    """Return the first run of a batch, which may begin later; null when none was started."""
    run = starts.first_run(batch_id, person, runs)
    return FirstRun(run=run and StartedRun.model_validate(run))


@router.get("/batches/{batch_id}/left", **route(Right.VIEW))
def show_left(batch_id: BatchId, person: CurrentPerson, again: PayAgainDep) -> dict[str, Any]:
    """Return what a new run of a batch would send."""
    return asdict(again.left(batch_id, person))


@router.post("/batches/{batch_id}/start", **route(Right.SUBMIT))
def start_batch(
    batch_id: BatchId,
    person: CurrentPerson,
    starts: BatchStartsDep,
    runs: RunsDep,
    asked: Annotated[AskedStart, Body()] = _AS_USUAL,
) -> BegunRun:
    """Start the first run of a batch. A batch that was started before keeps its run: `is_new` is false."""
    begun = starts.start(batch_id, person, runs, asked.run(), note=asked.note)
    return BegunRun(**StartedRun.model_validate(begun.run).model_dump(), is_new=begun.is_new)


@router.post("/batches/{batch_id}/run", **route(Right.SUBMIT))
def run_batch(
    batch_id: BatchId,
    person: CurrentPerson,
    starts: BatchStartsDep,
    runs: RunsDep,
    asked: Annotated[AskedRun, Body()] = _AS_USUAL,
) -> StartedRun:
    """Run what is left of a batch. What was sent is never sent again. Parameters that are not given are those
    of the first run.
    """
    return StartedRun.model_validate(starts.run_rest(batch_id, person, runs, asked.run()))


@router.post("/batches/{batch_id}/cancel-start", **route(Right.SUBMIT))
def cancel_start(
    batch_id: BatchId, person: CurrentPerson, starts: BatchStartsDep, runs: RunsDep, reason: Reason
) -> StartedRun:
    """Withdraw a batch whose run begins later, and end that run. A batch whose run has begun goes on."""
    return StartedRun.model_validate(starts.withdraw_planned(batch_id, reason, person, runs))


@router.post("/batches/{batch_id}/withdraw", **route(Right.SUBMIT, Right.DECIDE))
def withdraw_batch(
    batch_id: BatchId, person: CurrentPerson, decisions: DecisionsDep, reason: Reason
) -> dict[str, str | int]:
    """End every unsent order of a batch. An order that may have been sent continues to its end."""
    report = decisions.withdraw_batch(batch_id, reason, person)
    return {
        "batch_id": batch_id,
        "withdrawn": report.withdrawn,
        "may_have_been_sent": report.may_have_been_sent,
    }


@router.post("/batches/{batch_id}/{decision}", **route(Right.DECIDE))
def decide_held_batch(
    batch_id: BatchId,
    decision: Annotated[str, Path(pattern="^(release|cancel)$")],
    person: CurrentPerson,
    decisions: DecisionsDep,
    reason: Reason,
    held_for: Annotated[str | None, Body(max_length=50)] = None,
) -> dict[str, str | int]:
    """Release or cancel every held order of a batch, or those held for one reason."""
    report = decisions.decide_held_batch(batch_id, HeldDecision(decision), held_for, reason, person)
    return {"batch_id": batch_id, "decided": report.decided, "still_held": report.still_held}


def _findings(found: FileFindings | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"rows": found.rows, "needs_in_words": needs_in_words(found.rows, found.needs)}


def _document(found: BatchCheck) -> dict[str, Any]:
    """Return a check as JSON, with messages for the rows that need a person."""
    document = asdict(found)
    # For the pages of a draft, which ask for some rows at a time.
    for name in ("remarks", "row_numbers", "lights"):
        document.pop(name)
    known = document.pop("known_batch")
    document["known_batch"] = known and {"batch_id": known["batch_id"], "state": known["state"]}
    return {**document, "missing_rupiah": found.missing_rupiah, "needs_in_words": found.needs_in_words}
