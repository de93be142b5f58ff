"""Routes for what people do with an account's books; mounted by the plugin under ``/sat/v1``.

The actor of every event is the Airflow user of the request (law 13).
"""

# No `from __future__ import annotations`: FastAPI has to see the annotations of the nested routes.
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Body, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime
from starlette.concurrency import run_in_threadpool

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.event_record import Provenance
from sat_hook.hooks.batch_routes import MAXIMUM_BODY_TEXT
from sat_hook.hooks.downloads import as_download
from sat_hook.pipeline.overrides import checked_reason
from sat_hook.reconciliation import book_commands
from sat_hook.reconciliation.bookkeeper import BookKeeper

if TYPE_CHECKING:
    from sat_hook.store.postgres import PostgresEventStore

DAG_ID = "nightly_reconciliation"
MAXIMUM_ORDERS_ON_REQUEST = 100_000
"""A report of more orders is made by the DAG: the API server has other things to do."""
_STATES = {
    "explain": BreakState.EXPLAINED,
    "resolve": BreakState.RESOLVED,
    "write-off": BreakState.WRITTEN_OFF,
}


def books_routes(
    store: "Callable[[], PostgresEventStore]",
    account_of: Callable[[str], str],
    by: Callable[[Any, str], Provenance],
) -> APIRouter:
    """The routes. Each requires an Airflow user who may trigger ``nightly_reconciliation``.

    :param account_of: an account's name in the log, by its connection.
    :param by: the provenance of a user's action.
    """
    may_keep_books = Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    router = APIRouter(dependencies=[may_keep_books])
    ConnectionId = Annotated[str, Path(max_length=200)]
    BreakId = Annotated[str, Path(pattern="^K[A-Z2-7]{15}$")]
    Reason = Annotated[str, Body(embed=True, max_length=MAXIMUM_BODY_TEXT)]

    def keeper() -> BookKeeper:
        return BookKeeper(store(), SystemClock())

    @router.post("/books/{account}/top-ups")
    async def record_top_up(
        account: ConnectionId,
        user: GetUserDep,
        amount_rupiah: Annotated[int, Body(gt=0, strict=True)],
        reference: Annotated[str, Body(max_length=MAXIMUM_BODY_TEXT)],
        credited_at: Annotated[AwareDatetime, Body()],
        reason: Annotated[str, Body(max_length=MAXIMUM_BODY_TEXT)],
    ) -> dict[str, str | int | bool]:
        """Record that the deposit was topped up. The same reference again is the same top-up."""

        def record() -> dict[str, str | int | bool]:
            name = account_of(account)
            is_new = book_commands.top_up(
                keeper(),
                name,
                reference=reference,
                amount_rupiah=amount_rupiah,
                credited_at=credited_at,
                note=checked_reason(reason),
                provenance=by(user, "plugin:top-up"),
            )
            return {"account": name, "reference": reference, "amount_rupiah": amount_rupiah, "is_new": is_new}

        return await run_in_threadpool(record)

    @router.post("/books/{account}/breaks/{break_id}/{decision}")
    async def decide_break(
        account: ConnectionId,
        break_id: BreakId,
        decision: Annotated[str, Path(pattern="^(explain|resolve|write-off)$")],
        user: GetUserDep,
        reason: Reason,
    ) -> dict[str, str | bool]:
        """Explain, resolve or write off a break."""

        def decide() -> dict[str, str | bool]:
            state = _STATES[decision]
            is_new = book_commands.settle_break(
                keeper(),
                account_of(account),
                break_id,
                state,
                checked_reason(reason),
                by(user, f"plugin:{decision}"),
            )
            return {"break_id": break_id, "state": state.value, "is_new": is_new}

        return await run_in_threadpool(decide)

    @router.get("/books/{account}/days/{day}/report")
    async def report(
        account: ConnectionId,
        day: Annotated[date, Path()],
        version: Annotated[int | None, Query(ge=1)] = None,
    ) -> StreamingResponse:
        """A version of a day's report as a ZIP of its files; it is written when it was not yet."""

        def pack() -> StreamingResponse:
            from sat_hook.hooks.report_archives import archive_of
            from sat_hook.hooks.spool import results_spool
            from sat_hook.reconciliation.kept_reports import report_of

            name, spool = account_of(account), results_spool()
            kept = report_of(keeper(), spool, name, day, version, MAXIMUM_ORDERS_ON_REQUEST)
            number = kept.version.number
            return StreamingResponse(
                archive_of(spool, kept),
                media_type="application/zip",
                headers={
                    **as_download(f"reconciliation-{name}-{day}-version-{number}.zip"),
                    "X-SAT-Report-Version": str(number),
                },
            )

        return await run_in_threadpool(pack)

    @router.post("/books/{account}/days/{day}/settlement")
    async def choose_settlement(
        account: ConnectionId,
        day: Annotated[date, Path()],
        user: GetUserDep,
        file: Annotated[str, Body(max_length=MAXIMUM_BODY_TEXT)],
        reason: Annotated[str, Body(max_length=MAXIMUM_BODY_TEXT)],
    ) -> dict[str, str | bool]:
        """Say which of several settlement files with the same orders counts from the next close on."""

        def choose() -> dict[str, str | bool]:
            name = account_of(account)
            provenance = by(user, "plugin:choose")
            is_new = book_commands.choose_file(keeper(), name, day, file, checked_reason(reason), provenance)
            return {"account": name, "day": day.isoformat(), "file": file, "is_new": is_new}

        return await run_in_threadpool(choose)

    @router.post("/books/{account}/days/{day}/{signature}")
    async def sign(
        account: ConnectionId,
        day: Annotated[date, Path()],
        signature: Annotated[str, Path(pattern="^(prepare|certify)$")],
        user: GetUserDep,
        reason: Reason,
    ) -> dict[str, Any]:
        """Sign the newest close of a day: first its preparer, then somebody else, who freezes it."""

        def put() -> dict[str, Any]:
            act = book_commands.prepare if signature == "prepare" else book_commands.certify
            signed = act(
                keeper(), account_of(account), day, checked_reason(reason), by(user, f"plugin:{signature}")
            )
            return {
                "day": signed.day.isoformat(),
                "position": signed.position,
                "result_digest": signed.result_digest,
                "prepared_by": signed.prepared_by,
                "certified_by": signed.certified_by,
                "checkpoint": signed.checkpoint,
                "open_breaks": signed.open_breaks,
            }

        return await run_in_threadpool(put)

    return router
