"""The authenticated routes of audits, mounted by the plugin: ask for an evidence pack, take it.

A user needs to be allowed to start ``audit_export``, and is the actor of the event (law 13).
"""

# No `from __future__ import annotations`: FastAPI has to see the annotations of the nested routes.
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any, BinaryIO

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Body, Depends, Path
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from sat_hook.audit import exports
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.export import Export
from sat_hook.hooks.downloads import as_download
from sat_hook.hooks.spool import results_spool
from sat_hook.store.event_store import EventStore

DAG_ID = "audit_export"
MAXIMUM_REASON_CHARACTERS = 500
BYTES_PER_PART = 1 << 18


def audit_routes(store_of: Callable[[], EventStore]) -> APIRouter:
    """The routes.

    :param store_of: the event store, looked up for each request.
    """
    may_export = Depends(requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=DAG_ID))
    router = APIRouter(dependencies=[may_export])
    ExportId = Annotated[str, Path(pattern="^X[A-Z2-7]{25}$")]

    # Plain functions: FastAPI runs them in threads, where the database may block.
    @router.post("/exports")
    def ask_for_export(
        user: GetUserDep,
        recorded_from: Annotated[AwareDatetime, Body()],
        recorded_before: Annotated[AwareDatetime, Body()],
        with_personal_data: Annotated[bool, Body()] = False,
        reason: Annotated[str, Body(max_length=MAXIMUM_REASON_CHARACTERS)] = "",
    ) -> dict[str, str]:
        """Record that the user asks for the evidence of a period; the DAG then makes it."""
        export = exports.request_export(
            store_of(),
            SystemClock(),
            recorded_from=recorded_from,
            recorded_before=recorded_before,
            with_personal_data=with_personal_data,
            reason=reason,
            provenance=_by(user),
        )
        return {"export_id": export.export_id, "recorded_before": _iso(export.recorded_before)}

    @router.post("/exports/{export_id}/pack")
    def hand_out(export_id: ExportId, user: GetUserDep) -> StreamingResponse:
        """The pack; that the user took it is recorded first."""
        store = store_of()
        kept = _kept(exports.load_export(store, export_id))
        try:
            handed = exports.hand_out(store, SystemClock(), export_id, _by(user))
        except BaseException:
            if kept is not None:
                kept.close()
            raise
        assert kept is not None
        headers = {
            **as_download(f"{export_id}.zip"),
            "Content-Length": str(handed.size_bytes),
            "X-Content-SHA256": str(handed.digest),
        }
        return StreamingResponse(_parts(kept), headers=headers, media_type="application/zip")

    return router


def _kept(export: Export) -> BinaryIO | None:
    """The opened pack, or None when it is not written yet; opened before anything is recorded."""
    return results_spool().open(export.uri) if export.uri is not None else None


def _parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while part := file.read(BYTES_PER_PART):
            yield part


def _by(user: Any) -> Provenance:
    return Provenance(f"user:{user.get_name()}", "plugin:export")


def _iso(moment: datetime) -> str:
    return moment.isoformat()
