"""Routes for what people do to batches, orders and accounts; mounted by the plugin under ``/sat/v1``.

The actor of every event is the Airflow user of the request (law 13).
"""

# No `from __future__ import annotations`: FastAPI has to see the annotations of the nested routes.
import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Body, Depends, HTTPException, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.event_record import Provenance
from sat_hook.hooks.batch_checks import as_document, surroundings_of
from sat_hook.hooks.downloads import as_download
from sat_hook.hooks.spool import submissions_spool
from sat_hook.pipeline import delivery, held_orders, overrides, withdrawal
from sat_hook.pipeline.batch_check import check_batch
from sat_hook.pipeline.clock_skew import shared_clock
from sat_hook.pipeline.command_handler import CommandHandler
from sat_hook.pipeline.file_submission import submit_file
from sat_hook.pipeline.goods_file import GoodsFormat
from sat_hook.pipeline.intake import FileFindings
from sat_hook.pipeline.limits import MAXIMUM_FILE_BYTES, BadRowsPolicy
from sat_hook.pipeline.needs import needs_in_words
from sat_hook.pipeline.results import render_results
from sat_hook.store.as_of import as_of_now, as_of_position
from sat_hook.store.postgres import PostgresEventStore

DAG_ID = "bulk_disbursement"
UPLOAD_SECONDS = 120
MAXIMUM_JSON_BYTES = 524_288
MAXIMUM_BODY_TEXT = 10_000
POSITION_HEADER = "X-SAT-Log-Position"
NOTICE_HEADER = "X-SAT-Notice"


def batch_routes(
    store_of: Callable[[], PostgresEventStore],
    account_of: Callable[[str], str],
    by: Callable[[Any, str], Provenance],
    connection_of: Callable[[str], str],
) -> APIRouter:
    """The routes that act. Each requires an Airflow user who may trigger ``bulk_disbursement``.

    :param store_of: the event store, looked up for each request.
    :param account_of: an account's name in the log, by its connection.
    :param by: the provenance of a user's action.
    :param connection_of: an account's connection, by that or by the account's name in the log.
    """
    may_run_batches = Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    router = APIRouter(dependencies=[may_run_batches])
    BatchId = Annotated[str, Path(pattern="^B[A-Z2-7]{25}$")]
    RequestId = Annotated[str, Path(pattern="^S[A-Z2-7]{31}$")]
    Decision = Annotated[str, Path(pattern="^(release|cancel)$")]
    ConnectionId = Annotated[str, Path(max_length=200)]
    # What a reason has to be is the pipeline's rule, the same for every action; this is against floods.
    Reason = Annotated[str, Body(embed=True, max_length=MAXIMUM_BODY_TEXT)]

    def handler() -> CommandHandler:
        store = store_of()
        return CommandHandler(store, shared_clock(store, SystemClock()))

    @router.post("/batches")
    async def submit_batch(
        request: Request,
        user: GetUserDep,
        account: Annotated[str, Query(max_length=200, description="an Airflow connection of type sat")],
        file_name: Annotated[str, Query(max_length=255)] = "orders.csv",
        reference: Annotated[str | None, Query(max_length=256)] = None,
        on_bad_rows: Annotated[BadRowsPolicy, Query()] = BadRowsPolicy.PROCEED,
    ) -> dict[str, Any]:
        """Keep the CSV in the body and register it as a batch. The same file again is the same batch.

        A file that cannot become a batch, or one for a paused account, is refused, and nothing is kept.
        """
        content = await _body(request)

        def submit() -> dict[str, Any]:

            # Streams carry the account's name, which the connection may set.
            name = account_of(account)
            found = submit_file(
                store_of(),
                submissions_spool(),
                handler().clock,
                account=name,
                reference=reference,
                file_name=file_name,
                content=content,
                provenance=by(user, "plugin:submit"),
                on_bad_rows=on_bad_rows,
            )
            return {
                "batch_id": found.submission.batch_id,
                "digest": found.submission.digest,
                "is_new": found.submission.is_new,
                "account": name,
                # Only a name that is the log's already may be no connection.
                "connection": account if name != account else connection_of(account),
                **_findings(found.findings),
            }

        return await run_in_threadpool(submit)

    @router.post("/batches/check")
    async def check(
        request: Request,
        user: GetUserDep,
        account: Annotated[str, Query(max_length=200, description="an Airflow connection of type sat")],
        file_name: Annotated[str, Query(max_length=255)] = "orders.csv",
        reference: Annotated[str | None, Query(max_length=256)] = None,
        on_bad_rows: Annotated[BadRowsPolicy, Query()] = BadRowsPolicy.PROCEED,
    ) -> dict[str, Any]:
        """What would become of the CSV in the body if it were submitted now. Nothing is recorded."""
        del user  # whoever may submit the file may ask
        content = await _body(request)

        def look() -> dict[str, Any]:
            name = account_of(account)
            connection = account if name != account else connection_of(account)
            with surroundings_of(store_of(), connection) as around:
                found = check_batch(
                    around,
                    account=name,
                    reference=reference,
                    file_name=file_name,
                    content=content,
                    on_bad_rows=on_bad_rows,
                )
            return {**as_document(found), "connection": connection}

        return await run_in_threadpool(look)

    @router.get("/batches/{batch_id}/results")
    async def results(
        batch_id: BatchId,
        at: Annotated[int | None, Query(ge=1, description="a position of the log; default: the last")] = None,
    ) -> Response:
        """The result file as of a position of the log: what was submitted, plus the verdicts. No goods."""

        def render() -> Response:

            store = store_of()
            past = as_of_now(store) if at is None else as_of_position(store, at)
            file = render_results(past, submissions_spool(), batch_id)
            headers = {**as_download(file.name), POSITION_HEADER: str(file.position)}
            if file.notice:
                headers[NOTICE_HEADER] = file.notice
            return Response(file.content, headers=headers, media_type="text/csv")

        return await run_in_threadpool(render)

    @router.post("/batches/{batch_id}/deliver")
    async def deliver(
        batch_id: BatchId,
        user: GetUserDep,
        reason: Reason,
        file_format: Annotated[GoodsFormat, Body(alias="format")] = GoodsFormat.CSV,
    ) -> Response:
        """Vouchers and serials of the succeeded orders; that they were handed out is recorded first."""

        def hand_out() -> Response:

            goods = delivery.deliver(
                store_of(),
                batch_id,
                reason=reason,
                provenance=by(user, "plugin:deliver"),
                clock=handler().clock,
                file_format=file_format,
                spool=submissions_spool(),
            )
            headers = as_download(f"{batch_id}.goods.{file_format.value}")
            return Response(goods, headers=headers, media_type=file_format.media_type)

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

            order = overrides.resolve_order(
                handler(),
                request_id,
                overrides.Resolution(resolution),
                reason,
                by(user, "plugin:resolve"),
            )
            return {"request_id": request_id, "order_id": order.order_id, "state": order.state.value}

        return await run_in_threadpool(decide)

    @router.post("/orders/{request_id}/withdraw")
    async def withdraw_order(request_id: RequestId, user: GetUserDep, reason: Reason) -> dict[str, str]:
        """End an order that was not sent yet; one that may have been sent is refused."""

        def decide() -> dict[str, str]:

            order = withdrawal.withdraw_order(handler(), request_id, reason, by(user, "plugin:withdraw"))
            return {
                "request_id": request_id,
                "order_id": order.order_id,
                "batch_id": order.batch_id,
                "state": order.state.value,
            }

        return await run_in_threadpool(decide)

    @router.post("/batches/{batch_id}/withdraw")
    async def withdraw_batch(batch_id: BatchId, user: GetUserDep, reason: Reason) -> dict[str, str | int]:
        """End every order of a batch that was not sent yet; what may have been sent goes on to its end."""

        def decide() -> dict[str, str | int]:

            report = withdrawal.withdraw_batch(handler(), batch_id, reason, by(user, "plugin:withdraw"))
            return {
                "batch_id": batch_id,
                "withdrawn": report.withdrawn,
                "may_have_been_sent": report.may_have_been_sent,
            }

        return await run_in_threadpool(decide)

    @router.post("/orders/{request_id}/{decision}")
    async def decide_held_order(
        request_id: RequestId, decision: Decision, user: GetUserDep, reason: Reason
    ) -> dict[str, str]:
        """Release or cancel a held order. A released one goes out with the next run of its batch."""

        def decide() -> dict[str, str]:

            order = held_orders.decide_held_order(
                handler(),
                request_id,
                held_orders.HeldDecision(decision),
                reason,
                by(user, f"plugin:{decision}"),
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

            report = held_orders.decide_held_batch(
                handler(),
                batch_id,
                held_orders.HeldDecision(decision),
                reason,
                by(user, f"plugin:{decision}"),
                held_orders.hold_reason(held_for),
            )
            return {"batch_id": batch_id, "decided": report.decided, "still_held": report.still_held}

        return await run_in_threadpool(decide)

    @router.post("/accounts/{account}/{change}")
    async def pause_or_resume(
        account: ConnectionId,
        change: Annotated[str, Path(pattern="^(pause|resume)$")],
        user: GetUserDep,
        reason: Reason,
    ) -> dict[str, Any]:
        """Stop all sending from an account, or let it send again. The answer says what is not sent yet."""

        def decide() -> dict[str, Any]:

            act = overrides.pause_account if change == "pause" else overrides.resume_account
            name = account_of(account)
            standing = act(handler(), name, reason, by(user, f"plugin:{change}"))
            unsent = store_of().unsent_of_account(name)
            return {"account": name, "is_paused": standing.is_paused, "unsent": unsent}

        return await run_in_threadpool(decide)

    return router


def _findings(found: FileFindings | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"rows": found.rows, "needs_in_words": needs_in_words(found.rows, found.needs)}


async def _body(request: Request) -> bytes:
    """The raw body, never more of it in memory than a file may have."""
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
