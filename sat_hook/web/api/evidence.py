"""Routes of proof: verifications of the log, and evidence packs: asked for, written, downloaded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, HTTPException, Path
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from sat_hook.application import evidence_packs
from sat_hook.application.evidence_packs import PackRow
from sat_hook.application.rights import Right
from sat_hook.application.runs import Run, RunState
from sat_hook.application.verifications import VerificationRow
from sat_hook.domain.verifications import LogVerified
from sat_hook.web.api.models import Cursor, Document, Page, members_of, route
from sat_hook.web.dependencies import (
    CurrentPerson,
    EvidencePacksDep,
    ExportId,
    Moment,
    RunsDep,
    VerificationsDep,
)
from sat_hook.web.files import as_download, parts_of

MAXIMUM_REASON_CHARACTERS = 500

router = APIRouter(tags=["evidence"])


class Verification(Document, of=LogVerified):
    """A verification of the log. ``user`` is null for the nightly one; ``findings`` counts problems."""

    position: int
    at: datetime
    user: str | None
    began_at: datetime


class AirflowRun(Document):
    """A run in Airflow. ``state`` is null when there is none yet."""

    dag_id: str | None
    run_id: str
    state: RunState | None


class Receiver(Document, of=evidence_packs.Receiver):
    """Who downloaded a pack, and when."""


class Pack(Document):
    """An evidence pack that was asked for. What was written is null while nothing is."""

    export_id: str
    asker: str
    requested_at: datetime
    recorded_from: datetime
    recorded_before: datetime
    with_personal_data: bool
    reason: str
    written_at: datetime | None
    digest: str | None
    size_bytes: int | None
    events: int | None = None
    first_checkpoint: int | None = None
    last_checkpoint: int | None = None
    receivers: tuple[Receiver, ...]


class AskedPack(BaseModel):
    """The evidence of a period that a user asks for."""

    recorded_from: Moment
    recorded_before: Moment
    with_personal_data: bool = False
    reason: str = Field("", max_length=MAXIMUM_REASON_CHARACTERS)


_RunId = Annotated[str, Path(max_length=100, pattern="^verify_[A-Za-z0-9_]+$")]


@router.get("/verifications", **route(Right.AUDIT))
def list_verifications(person: CurrentPerson, verifications: VerificationsDep) -> Page[Verification]:
    """List the last verifications of the log, the newest first."""
    return Page[Verification](items=tuple(map(_verification, verifications.recent(person))))


@router.post("/verifications", **route(Right.AUDIT))
def verify_now(
    person: CurrentPerson,
    verifications: VerificationsDep,
    runs: RunsDep,
    everything: Annotated[bool, Body(embed=True)] = True,
) -> AirflowRun:
    """Start a run that verifies everything, or only what is new. It records what it verified.

    New is what is newer than the last verification that found nothing.
    """
    run_id = verifications.start(person, runs, everything=everything)
    return _run(run_id, verifications.run(run_id, person, runs))


@router.get("/verifications/{run_id}", **route(Right.AUDIT))
def show_verification_run(
    run_id: _RunId, person: CurrentPerson, verifications: VerificationsDep, runs: RunsDep
) -> AirflowRun:
    """Return the run that was started."""
    found = verifications.run(run_id, person, runs)
    if found is None:
        raise HTTPException(404)
    return _run(run_id, found)


@router.get("/evidence-packs", **route(Right.AUDIT))
def list_packs(person: CurrentPerson, packs: EvidencePacksDep, cursor: Cursor = None) -> Page[Pack]:
    """List the evidence packs that were asked for, the newest first."""
    found = packs.packs(person, cursor=cursor)
    return Page[Pack](items=tuple(map(_pack, found.items)), next=found.next)


@router.post("/evidence-packs", **route(Right.AUDIT))
def ask_for_pack(asked: AskedPack, person: CurrentPerson, packs: EvidencePacksDep, runs: RunsDep) -> Pack:
    """Record that the user asks for the evidence of a period, and start the run that writes the pack."""
    export = packs.request(**asked.model_dump(), person=person)
    packs.start(export.export_id, person, runs)
    return _pack(packs.pack(export.export_id, person))


@router.get("/evidence-packs/{export_id}", **route(Right.AUDIT))
def show_pack(export_id: ExportId, person: CurrentPerson, packs: EvidencePacksDep) -> Pack:
    """Return one pack: what was asked for and why, what was written, and who downloaded it."""
    return _pack(packs.pack(export_id, person))


@router.post("/exports", **route(Right.AUDIT))
def ask_for_export(asked: AskedPack, person: CurrentPerson, packs: EvidencePacksDep) -> dict[str, str]:
    """Record that the user requests the evidence of a period. The DAG then writes the pack."""
    export = packs.request(**asked.model_dump(), person=person)
    return {"export_id": export.export_id, "recorded_before": export.recorded_before.isoformat()}


@router.post("/exports/{export_id}/pack", **route(Right.AUDIT, files="application/zip"))
def hand_out(export_id: ExportId, person: CurrentPerson, packs: EvidencePacksDep) -> StreamingResponse:
    """Return the pack. The download is recorded first."""
    export, pack = packs.hand_out(export_id, person)
    headers = {
        **as_download(f"{export_id}.zip"),
        "Content-Length": str(export.size_bytes),
        "X-Content-SHA256": str(export.digest),
    }
    return StreamingResponse(parts_of(pack), headers=headers, media_type="application/zip")


def _verification(row: VerificationRow) -> Verification:
    return Verification(position=row.position, at=row.at, user=row.user, **row.verified.model_dump())


def _run(run_id: str, found: Run | None) -> AirflowRun:
    if found is None:
        return AirflowRun(dag_id=None, run_id=run_id, state=None)
    return AirflowRun(dag_id=found.dag_id, run_id=found.run_id, state=found.state)


def _pack(row: PackRow) -> Pack:
    unwritten = {"digest": None, "size_bytes": None}
    written = unwritten if row.written is None else row.written.model_dump()
    return Pack.model_validate(row.export.model_dump() | written | members_of(row))
