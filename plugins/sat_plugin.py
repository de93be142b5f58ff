"""Mounts two things at ``/sat`` of Airflow's API server.

``POST /sat/callbacks/{account}``
    The callback receiver, open to senders without a token, because the signature authenticates (present when
    ``SAT_RECEIVER_CONFIG`` is set).

``/sat/v1/…``
    What people do: submit a batch, fetch its results, have its goods delivered, decide an escalated order,
    pause or resume an account. Every route requires an
    Airflow user who may trigger ``bulk_disbursement``, and that user is the actor of the event (law 13).

``GET /sat/v1/batches/{batch_id}/progress``
    A page for people who wait: counts only, for every user who may see the runs of ``bulk_disbursement``.

Every Airflow process imports plugins, so this module imports next to nothing and opens nothing: the app is
built with the first request to the API server.
"""

# No `from __future__ import annotations`: FastAPI has to see the annotations of the nested routes.
import os
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI, Request

    from sat_hook.domain.event_record import Provenance
    from sat_hook.store.postgres import PostgresEventStore

RECEIVER_VARIABLE = "SAT_RECEIVER_CONFIG"


class BuiltOnFirstRequest:
    """An ASGI app that is made when the first request comes."""

    def __init__(self, build: "Callable[[], FastAPI]") -> None:
        self._build = build
        self._app: FastAPI | None = None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if self._app is None:
            self._app = self._build()
        await self._app(scope, receive, send)


def build_app() -> "FastAPI":
    """The app behind ``/sat``, without a page that describes it."""
    from fastapi import FastAPI

    from sat_hook.hooks.audit_routes import audit_routes
    from sat_hook.hooks.batch_routes import batch_routes
    from sat_hook.hooks.books_routes import books_routes
    from sat_hook.hooks.request_guard import guard_requests
    from sat_hook.hooks.rules_routes import rules_routes
    from sat_hook.receiver.app import create_app
    from sat_hook.receiver.settings import settings_from_environment

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    _translate_errors(app)
    guard_requests(app)
    app.include_router(batch_routes(_store, _account_of, _by, _connection_of), prefix="/v1")
    app.include_router(_views(), prefix="/v1")
    app.include_router(books_routes(_store, _account_of, _by), prefix="/v1")
    app.include_router(rules_routes(_store, _account_of, _connection_of, _by), prefix="/v1")
    app.include_router(audit_routes(_store), prefix="/v1")
    if os.environ.get(RECEIVER_VARIABLE):
        app.mount("", create_app(settings_from_environment))
    return app


def _views() -> "APIRouter":
    """Pages: they change nothing, show counts only, and want a user who may see runs."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import APIRouter, Depends, Path
    from fastapi.responses import HTMLResponse
    from starlette.concurrency import run_in_threadpool

    from sat_hook.hooks.batch_routes import DAG_ID

    may_see_batches = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    router = APIRouter(dependencies=[may_see_batches])
    BatchId = Annotated[str, Path(pattern="^B[A-Z2-7]{25}$")]

    @router.get("/accounts")
    async def accounts() -> dict[str, str]:
        """The accounts' names in the log, by their connections."""
        from sat_hook.hooks.account_names import accounts_by_connection

        return await run_in_threadpool(accounts_by_connection)

    @router.get("/batches/{batch_id}/progress")
    async def progress(batch_id: BatchId) -> HTMLResponse:
        """How far the batch has come, as a page that renews itself."""

        def render() -> HTMLResponse:
            from sat_hook.clients.clock import SystemClock
            from sat_hook.console import progress_page as page
            from sat_hook.pipeline.progress import progress_of
            from sat_hook.store.progress import PostgresProgress

            store = _store()
            seen = progress_of(store, PostgresProgress(store.database), SystemClock(), batch_id)
            return HTMLResponse(page.progress_page(seen), headers=page.HEADERS)

        return await run_in_threadpool(render)

    return router


def _translate_errors(app: "FastAPI") -> None:
    """Our own errors as HTTP: a type for programs, and a text that is made for people and holds no secret."""
    from airflow.sdk.exceptions import AirflowNotFoundException
    from fastapi.responses import JSONResponse
    from sqlalchemy.exc import InterfaceError, OperationalError

    from sat_hook.audit.exports import ExportNotFoundError
    from sat_hook.hooks.rights import RightsFileError
    from sat_hook.hooks.sat_connection import SATConnectionError
    from sat_hook.pipeline.errors import (
        BatchNotFoundError,
        OrderNotFoundError,
        PipelineError,
        ReasonRefusedError,
        SubmissionRefusedError,
    )
    from sat_hook.protocol.errors import SATError
    from sat_hook.reconciliation.errors import ReconciliationError
    from sat_hook.store.as_of import UnsettledPositionError
    from sat_hook.store.event_store import StoreRefusedError, StoreUnavailableError

    answers: dict[type[Exception], tuple[int, str]] = {
        SubmissionRefusedError: (422, "submission_refused"),
        SATConnectionError: (422, "connection_unusable"),
        RightsFileError: (403, "rights_unusable"),
        AirflowNotFoundException: (422, "connection_not_found"),
        BatchNotFoundError: (404, "batch_not_found"),
        OrderNotFoundError: (404, "order_not_found"),
        ExportNotFoundError: (404, "export_not_found"),
        ReasonRefusedError: (422, "reason_refused"),
        SATError: (502, "sat_did_not_answer"),
        PipelineError: (409, "not_possible"),
        ReconciliationError: (409, "not_possible"),
        StoreRefusedError: (422, "value_refused"),
        UnsettledPositionError: (422, "position_not_settled"),
        StoreUnavailableError: (503, "database_unavailable"),
    }

    def answer_as(status: int, kind: str, detail: str | None = None) -> "Callable[..., JSONResponse]":
        def answer(_: "Request", error: Exception) -> JSONResponse:
            return JSONResponse({"type": kind, "detail": detail or str(error)}, status)

        return answer

    for error_type, (status, kind) in answers.items():
        app.add_exception_handler(error_type, answer_as(status, kind))
    # Airflow looks up users and connections there before anything of ours runs; its text names the server.
    away = "Airflow's own database cannot be reached, so nothing was done"
    for error_type in (OperationalError, InterfaceError):
        app.add_exception_handler(error_type, answer_as(503, "airflow_database_unavailable", away))


def _by(user: Any, cause: str) -> "Provenance":
    from sat_hook.domain.event_record import Provenance

    return Provenance(f"user:{user.get_name()}", cause)


def _account_of(named: str) -> str:
    """An account's name in the log, by that name or by its connection."""
    from sat_hook.hooks.account_names import account_of

    return account_of(named)


def _connection_of(named: str) -> str:
    """An account's connection, by that or by the account's name in the log."""
    from sat_hook.hooks.account_names import connection_of

    return connection_of(named)


def _store() -> "PostgresEventStore":
    """The event store of the connection ``sat_db``. Looked up each time: a new password needs no restart."""
    from airflow.sdk import BaseHook

    from sat_hook.hooks.application_database import DEFAULT_CONNECTION, ways_of

    return _store_at(ways_of(BaseHook.get_connection(DEFAULT_CONNECTION)).dsn)


@lru_cache(maxsize=4)
def _store_at(dsn: str) -> "PostgresEventStore":
    from sat_hook.store.database import Database
    from sat_hook.store.postgres import PostgresEventStore

    return PostgresEventStore(Database(dsn, "sat-plugin"))


class SATPlugin(AirflowPlugin):
    """Registers the app."""

    name = "sat"
    fastapi_apps = [{"app": BuiltOnFirstRequest(build_app), "url_prefix": "/sat", "name": "sat"}]  # noqa: RUF012
