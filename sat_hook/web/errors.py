"""Errors as HTTP responses: a type for programs, and a text for people that holds no secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sat_hook.application.errors import (
    AccountUnclearError,
    BreakNotFoundError,
    CursorError,
    DayNotClosedError,
    DecisionNotFoundError,
    DraftChangedError,
    DraftNotFoundError,
    EventNotFoundError,
    FileRefusedError,
    ListingRefusedError,
    OwnBatchError,
    ProductNotListedError,
    RightMissingError,
    RightsFileError,
    RunNotFoundError,
    RunsError,
    UploadNotFoundError,
    WebhookNotFoundError,
)
from sat_hook.audit.errors import ExportNotFoundError
from sat_hook.commands.errors import BatchNotFoundError, ReasonRefusedError
from sat_hook.domain.errors import NotificationRefusedError, StepError, WebhookRefusedError
from sat_hook.pipeline.errors import OrderNotFoundError, SubmissionRefusedError
from sat_hook.protocol.errors import SATError
from sat_hook.reconciliation.errors import SettlementRefusedError, StatementRefusedError
from sat_hook.store.errors import (
    AnswerNotKeptError,
    KeyInUseError,
    KeyInvalidError,
    KeyReusedError,
    LogArchivedError,
    StoreRefusedError,
    StoreUnavailableError,
    UnsettledPositionError,
)
from sat_hook.web.host import Problem

PROBLEM_MEDIA_TYPE = "application/problem+json"
MAXIMUM_DETAIL_CHARACTERS = 2_000

PROBLEMS: Mapping[type[Exception], Problem] = {
    SubmissionRefusedError: Problem(422, "submission_refused"),
    ReasonRefusedError: Problem(422, "reason_refused"),
    StoreRefusedError: Problem(422, "value_refused"),
    LogArchivedError: Problem(409, "archived"),
    UnsettledPositionError: Problem(422, "position_not_settled"),
    DayNotClosedError: Problem(404, "day_not_closed"),
    AccountUnclearError: Problem(422, "account_unclear"),
    ProductNotListedError: Problem(404, "product_not_listed"),
    CursorError: Problem(422, "cursor_invalid"),
    ListingRefusedError: Problem(422, "list_refused"),
    FileRefusedError: Problem(422, "file_refused"),
    StatementRefusedError: Problem(422, "file_refused"),
    SettlementRefusedError: Problem(422, "file_refused"),
    UploadNotFoundError: Problem(404, "upload_not_found"),
    BreakNotFoundError: Problem(404, "break_not_found"),
    DraftNotFoundError: Problem(404, "draft_not_found"),
    DecisionNotFoundError: Problem(404, "decision_not_found"),
    DraftChangedError: Problem(409, "draft_changed"),
    KeyInvalidError: Problem(422, "idempotency_key_invalid"),
    KeyReusedError: Problem(422, "idempotency_key_reused"),
    KeyInUseError: Problem(409, "idempotency_key_in_use"),
    AnswerNotKeptError: Problem(409, "idempotency_answer_not_kept"),
    RightsFileError: Problem(403, "rights_unusable"),
    RightMissingError: Problem(403, "right_missing"),
    BatchNotFoundError: Problem(404, "batch_not_found"),
    OrderNotFoundError: Problem(404, "order_not_found"),
    NotificationRefusedError: Problem(422, "notification_refused"),
    WebhookRefusedError: Problem(422, "webhook_refused"),
    WebhookNotFoundError: Problem(404, "webhook_not_found"),
    EventNotFoundError: Problem(404, "event_not_found"),
    ExportNotFoundError: Problem(404, "export_not_found"),
    RunNotFoundError: Problem(404, "run_not_found"),
    OwnBatchError: Problem(403, "own_batch"),
    StepError: Problem(409, "not_possible"),
    RunsError: Problem(502, "airflow_refused"),
    SATError: Problem(502, "sat_did_not_answer"),
    StoreUnavailableError: Problem(503, "database_unavailable"),
}
"""Errors of the project. A type that is not listed is answered like its nearest listed base class."""


INVALID_REQUEST = "request_invalid"

_KINDS = {
    400: "body_unreadable",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_too_slow",
    413: "body_too_large",
    422: INVALID_REQUEST,
}


def answer_errors(app: FastAPI, problems: Mapping[type[Exception], Problem]) -> None:
    """Answer each of these errors with its problem, and those of the framework likewise (RFC 9457)."""
    for error_type, problem in problems.items():
        app.add_exception_handler(error_type, _answer_as(problem))
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)


def _answer_as(problem: Problem) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(_: Request, error: Exception) -> JSONResponse:
        detail = str(error) if problem.detail is None else problem.detail
        return _response(problem.status, problem.kind, detail)

    return answer


async def _answer_http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = _KINDS.get(error.status_code, "http_error")
    return _response(error.status_code, kind, str(error.detail), error.headers)


async def _answer_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Say where and what is expected. What was found may be anybody's data, so it is not repeated."""
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    return _response(422, INVALID_REQUEST, "; ".join(found)[:MAXIMUM_DETAIL_CHARACTERS])


def _response(status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    title = kind.replace("_", " ").capitalize()
    document = {"type": kind, "title": title, "status": status, "detail": detail}
    return JSONResponse(document, status, headers, media_type=PROBLEM_MEDIA_TYPE)
