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
import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI, Request

    from sat_hook.domain.recorded import Provenance
    from sat_hook.pipeline.resolver import Resolver
    from sat_hook.store.postgres import PostgresEventStore

DAG_ID = "bulk_disbursement"
RECEIVER_VARIABLE = "SAT_RECEIVER_CONFIG"
UPLOAD_SECONDS = 120
MAXIMUM_BODY_TEXT = 10_000
MAXIMUM_CONNECTIONS_NAMED = 5
POSITION_HEADER = "X-SAT-Log-Position"

_NEVER_STORED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


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
    from sat_hook.receiver.app import create_app
    from sat_hook.receiver.settings import settings_from_environment

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    _translate_errors(app)
    app.include_router(_actions(), prefix="/v1")
    app.include_router(audit_routes(_store), prefix="/v1")
    app.include_router(_views(), prefix="/v1")
    app.include_router(_books(), prefix="/v1")
    if os.environ.get(RECEIVER_VARIABLE):
        app.mount("", create_app(settings_from_environment))
    return app


def _actions() -> "APIRouter":
    """The routes that need a user."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
    from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
    from starlette.concurrency import run_in_threadpool

    may_run_batches = Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    router = APIRouter(dependencies=[may_run_batches])
    BatchId = Annotated[str, Path(pattern="^B[A-Z2-7]{25}$")]
    RequestId = Annotated[str, Path(pattern="^S[A-Z2-7]{31}$")]
    Decision = Annotated[str, Path(pattern="^(release|cancel)$")]
    ConnectionId = Annotated[str, Path(max_length=200)]
    # What a reason has to be is the pipeline's rule, the same for every action; this is against floods.
    Reason = Annotated[str, Body(embed=True, max_length=MAXIMUM_BODY_TEXT)]

    @router.post("/batches")
    async def submit_batch(
        request: Request,
        user: GetUserDep,
        account: Annotated[str, Query(max_length=200, description="an Airflow connection of type sat")],
        file_name: Annotated[str, Query(max_length=255)] = "orders.csv",
        reference: Annotated[str | None, Query(max_length=256)] = None,
    ) -> dict[str, str | bool]:
        """Keep the CSV in the body and register it as a batch. The same file again is the same batch."""
        content = await _body(request)

        def submit() -> dict[str, str | bool]:
            from sat_hook.clients.system import SystemClock
            from sat_hook.domain.batch_events import BatchSource
            from sat_hook.hooks.spool import submissions_spool
            from sat_hook.pipeline import submission

            # Streams carry the account's name, which the connection may set.
            name = _account_of(account)
            submitted = submission.submit(
                _store(),
                submissions_spool(),
                SystemClock(),
                account=name,
                reference=reference,
                source=BatchSource.FILE,
                file_name=file_name,
                content=content,
                provenance=_by(user, "plugin:submit"),
            )
            return {
                "batch_id": submitted.batch_id,
                "digest": submitted.digest,
                "is_new": submitted.is_new,
                "account": name,
            }

        return await run_in_threadpool(submit)

    @router.get("/batches/{batch_id}/results")
    async def results(
        batch_id: BatchId,
        at: Annotated[int | None, Query(ge=1, description="a position of the log; default: the last")] = None,
    ) -> Response:
        """The result file as of a position of the log: what was submitted, plus the verdicts. No goods."""

        def render() -> Response:
            from sat_hook.hooks.spool import submissions_spool
            from sat_hook.pipeline.results import render_results
            from sat_hook.store.past import past_of, present_of

            store = _store()
            past = present_of(store) if at is None else past_of(store, at)
            file = render_results(past, submissions_spool(), batch_id)
            headers = {**_as_download(file.name), POSITION_HEADER: str(file.position)}
            return Response(file.content, headers=headers, media_type="text/csv")

        return await run_in_threadpool(render)

    @router.post("/batches/{batch_id}/deliver")
    async def deliver(
        batch_id: BatchId,
        user: GetUserDep,
        reason: Reason,
    ) -> Response:
        """Vouchers and serials of the succeeded orders; that they were handed out is recorded first."""

        def hand_out() -> Response:
            from sat_hook.clients.system import SystemClock
            from sat_hook.pipeline import delivery

            goods = delivery.deliver(
                _store(),
                batch_id,
                reason=reason,
                provenance=_by(user, "plugin:deliver"),
                clock=SystemClock(),
            )
            headers = _as_download(f"{batch_id}.goods.csv")
            return Response(goods, headers=headers, media_type="text/csv")

        return await run_in_threadpool(hand_out)

    @router.post("/orders/{request_id}/resolve")
    async def resolve(
        request_id: RequestId,
        user: GetUserDep,
        resolution: Annotated[str, Body(alias="as", pattern="^(succeeded|failed|resend)$")],
        reason: Reason,
    ) -> dict[str, str]:
        """Decide an escalated order. Signed evidence that comes later may contradict it, and is recorded."""

        def decide() -> dict[str, str]:
            from sat_hook.pipeline import overrides

            order = overrides.resolve_order(
                _resolver(),
                request_id,
                overrides.Resolution(resolution),
                reason,
                _by(user, "plugin:resolve"),
            )
            return {"request_id": request_id, "order_id": order.order_id, "state": order.state.value}

        return await run_in_threadpool(decide)

    @router.post("/orders/{request_id}/{decision}")
    async def decide_held_order(
        request_id: RequestId, decision: Decision, user: GetUserDep, reason: Reason
    ) -> dict[str, str]:
        """Release or cancel a held order. A released one goes out with the next run of its batch."""

        def decide() -> dict[str, str]:
            from sat_hook.pipeline import held

            order = held.decide_held_order(
                _resolver(), request_id, held.HeldDecision(decision), reason, _by(user, f"plugin:{decision}")
            )
            return {
                "request_id": request_id,
                "order_id": order.order_id,
                "batch_id": order.batch_id,
                "state": order.state.value,
            }

        return await run_in_threadpool(decide)

    @router.post("/batches/{batch_id}/{decision}")
    async def decide_held_batch(
        batch_id: BatchId,
        decision: Decision,
        user: GetUserDep,
        reason: Reason,
        held_for: Annotated[str | None, Body(max_length=50)] = None,
    ) -> dict[str, str | int]:
        """Release or cancel every held order of a batch, or those that are held for one reason."""

        def decide() -> dict[str, str | int]:
            from sat_hook.pipeline import held

            report = held.decide_held_batch(
                _resolver(),
                batch_id,
                held.HeldDecision(decision),
                reason,
                _by(user, f"plugin:{decision}"),
                held.hold_reason(held_for),
            )
            return {"batch_id": batch_id, "decided": report.decided, "still_held": report.still_held}

        return await run_in_threadpool(decide)

    @router.post("/accounts/{account}/{change}")
    async def pause_or_resume(
        account: ConnectionId,
        change: Annotated[str, Path(pattern="^(pause|resume)$")],
        user: GetUserDep,
        reason: Reason,
    ) -> dict[str, str | bool]:
        """Stop all sending from an account, or let it send again."""

        def decide() -> dict[str, str | bool]:
            from sat_hook.pipeline import overrides

            act = overrides.pause_account if change == "pause" else overrides.resume_account
            name = _account_of(account)
            standing = act(_resolver(), name, reason, _by(user, f"plugin:{change}"))
            return {"account": name, "is_paused": standing.is_paused}

        return await run_in_threadpool(decide)

    return router


def _views() -> "APIRouter":
    """Pages: they change nothing, show counts only, and want a user who may see runs."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import APIRouter, Depends, Path
    from fastapi.responses import HTMLResponse
    from starlette.concurrency import run_in_threadpool

    may_see_batches = Depends(requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    router = APIRouter(dependencies=[may_see_batches])
    BatchId = Annotated[str, Path(pattern="^B[A-Z2-7]{25}$")]

    @router.get("/batches/{batch_id}/progress")
    async def progress(batch_id: BatchId) -> HTMLResponse:
        """How far the batch has come, as a page that renews itself."""

        def render() -> HTMLResponse:
            from sat_hook.clients.system import SystemClock
            from sat_hook.console import progress_page as page
            from sat_hook.pipeline.progress import progress_of
            from sat_hook.store.progress import PostgresProgress

            store = _store()
            seen = progress_of(store, PostgresProgress(store.database), SystemClock(), batch_id)
            return HTMLResponse(page.progress_page(seen), headers=page.HEADERS)

        return await run_in_threadpool(render)

    return router


def _books() -> "APIRouter":
    """What people do with an account's books: top-ups, breaks, signatures."""
    from sat_hook.hooks.books_routes import books_router

    return books_router(_store, _account_of, _by)


def _translate_errors(app: "FastAPI") -> None:
    """Our own errors as HTTP: a type for programs, and a text that is made for people and holds no secret."""
    from airflow.sdk.exceptions import AirflowNotFoundException
    from fastapi.responses import JSONResponse
    from sqlalchemy.exc import InterfaceError, OperationalError

    from sat_hook.audit.exports import ExportNotFoundError
    from sat_hook.hooks.sat_connection import SATConnectionError
    from sat_hook.pipeline.trouble import (
        BatchNotFoundError,
        OrderNotFoundError,
        PipelineError,
        ReasonRefusedError,
        SubmissionRefusedError,
    )
    from sat_hook.reconciliation.trouble import ReconciliationError
    from sat_hook.store.event_store import StoreRefusedError, StoreUnavailableError
    from sat_hook.store.past import UnsettledPositionError

    answers: dict[type[Exception], tuple[int, str]] = {
        SubmissionRefusedError: (422, "submission_refused"),
        SATConnectionError: (422, "connection_unusable"),
        AirflowNotFoundException: (422, "connection_not_found"),
        BatchNotFoundError: (404, "batch_not_found"),
        OrderNotFoundError: (404, "order_not_found"),
        ExportNotFoundError: (404, "export_not_found"),
        ReasonRefusedError: (422, "reason_refused"),
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


async def _body(request: "Request") -> bytes:
    """The raw body, never more of it in memory than a file may have."""
    from fastapi import HTTPException

    from sat_hook.pipeline.limits import MAXIMUM_FILE_BYTES

    too_large = HTTPException(413, f"the file is too large; expected at most {MAXIMUM_FILE_BYTES:,} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > MAXIMUM_FILE_BYTES:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > MAXIMUM_FILE_BYTES:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"the file did not arrive within {UPLOAD_SECONDS} seconds") from None
    return bytes(content)


def _by(user: Any, cause: str) -> "Provenance":
    from sat_hook.domain.recorded import Provenance

    return Provenance(f"user:{user.get_name()}", cause)


def _account_of(connection_id: str) -> str:
    """The account's name in the log, which the connection may set.

    :raises AirflowNotFoundException: naming the connection that was probably meant.
    :raises SATConnectionError: when it cannot work.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException

    from sat_hook.hooks.sat import SATHook

    try:
        return SATHook(connection_id).settings().account
    except AirflowNotFoundException:
        known = _accounts_by_connection()
        named = [f"{other!r}" for other, account in known.items() if account == connection_id]
        if named:
            hint = f"that is the name of an account, whose connection is {' or '.join(named)}"
        elif known:
            hint = f"there is {', '.join(f'{one!r}' for one in sorted(known)[:MAXIMUM_CONNECTIONS_NAMED])}"
        else:
            hint = "there is none yet"
        raise AirflowNotFoundException(
            f"account: found {connection_id!r}, which is no Airflow connection; expected one of type sat "
            f"({hint})"
        ) from None


def _accounts_by_connection() -> dict[str, str]:
    """Accounts by their connections, as far as Airflow can list those: its database and environment."""
    from airflow.models.connection import Connection
    from airflow.sdk import BaseHook
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        ids = set(session.scalars(select(Connection.conn_id).where(Connection.conn_type == "sat")))
    prefix = "AIRFLOW_CONN_"
    ids |= {name.removeprefix(prefix).lower() for name in os.environ if name.startswith(prefix)}
    connections = {one: BaseHook.get_connection(one) for one in ids}
    return {
        one: str(connection.extra_dejson.get("account") or one)
        for one, connection in connections.items()
        if connection.conn_type == "sat"
    }


def _as_download(name: str) -> dict[str, str]:
    return {**_NEVER_STORED, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}


def _resolver() -> "Resolver":
    from sat_hook.clients.system import SystemClock
    from sat_hook.pipeline.resolver import Resolver

    return Resolver(_store(), SystemClock())


def _store() -> "PostgresEventStore":
    """The event store of the connection ``sat_db``. Looked up each time: a new password needs no restart."""
    from airflow.sdk import BaseHook

    from sat_hook.hooks.application import DEFAULT_CONNECTION, dsn_of

    return _store_at(dsn_of(BaseHook.get_connection(DEFAULT_CONNECTION)))


@lru_cache(maxsize=4)
def _store_at(dsn: str) -> "PostgresEventStore":
    from sat_hook.store.database import Database
    from sat_hook.store.postgres import PostgresEventStore

    return PostgresEventStore(Database(dsn, "sat-plugin"))


class SATPlugin(AirflowPlugin):
    """Registers the app."""

    name = "sat"
    fastapi_apps = [{"app": BuiltOnFirstRequest(build_app), "url_prefix": "/sat", "name": "sat"}]  # noqa: RUF012
