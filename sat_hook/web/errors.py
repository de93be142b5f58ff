"""Errors as HTTP responses: a type for programs, and a text for people that holds no secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from sat_hook.application.cursors import CursorError
from sat_hook.application.errors import DraftChangedError, DraftNotFoundError
from sat_hook.application.listings import ListingRefusedError
from sat_hook.application.person import RightMissingError
from sat_hook.application.rights import RightsFileError
from sat_hook.application.runs import RunsError
from sat_hook.audit.exports import ExportNotFoundError
from sat_hook.commands.errors import BatchNotFoundError, ReasonRefusedError
from sat_hook.domain.errors import StepError
from sat_hook.pipeline.errors import OrderNotFoundError, SubmissionRefusedError
from sat_hook.protocol.errors import SATError
from sat_hook.store.as_of import UnsettledPositionError
from sat_hook.store.event_store import StoreRefusedError, StoreUnavailableError
from sat_hook.web.host import Problem

PROBLEMS: Mapping[type[Exception], Problem] = {
    SubmissionRefusedError: Problem(422, "submission_refused"),
    ReasonRefusedError: Problem(422, "reason_refused"),
    StoreRefusedError: Problem(422, "value_refused"),
    UnsettledPositionError: Problem(422, "position_not_settled"),
    CursorError: Problem(422, "cursor_invalid"),
    ListingRefusedError: Problem(422, "list_refused"),
    DraftNotFoundError: Problem(404, "draft_not_found"),
    DraftChangedError: Problem(409, "draft_changed"),
    RightsFileError: Problem(403, "rights_unusable"),
    RightMissingError: Problem(403, "right_missing"),
    BatchNotFoundError: Problem(404, "batch_not_found"),
    OrderNotFoundError: Problem(404, "order_not_found"),
    ExportNotFoundError: Problem(404, "export_not_found"),
    StepError: Problem(409, "not_possible"),
    RunsError: Problem(502, "airflow_refused"),
    SATError: Problem(502, "sat_did_not_answer"),
    StoreUnavailableError: Problem(503, "database_unavailable"),
}
"""Errors of the project. A type that is not listed is answered like its nearest listed base class."""


def answer_errors(app: FastAPI, problems: Mapping[type[Exception], Problem]) -> None:
    """Answer each of these errors with its problem."""
    for error_type, problem in problems.items():
        app.add_exception_handler(error_type, _answer_as(problem))


def _answer_as(problem: Problem) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(_: Request, error: Exception) -> JSONResponse:
        detail = str(error) if problem.detail is None else problem.detail
        return JSONResponse({"type": problem.kind, "detail": detail}, problem.status)

    return answer
