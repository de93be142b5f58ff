"""Routes of evidence packs: request one, download it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse

from sat_hook.application.rights import Right
from sat_hook.web.api.documented import route
from sat_hook.web.dependencies import CurrentPerson, EvidencePacksDep, ExportId, Moment
from sat_hook.web.downloads import as_download, parts_of

MAXIMUM_REASON_CHARACTERS = 500

router = APIRouter(prefix="/exports", tags=["evidence"])


@router.post("", **route(Right.AUDIT))
def ask_for_export(
    person: CurrentPerson,
    packs: EvidencePacksDep,
    recorded_from: Annotated[Moment, Body()],
    recorded_before: Annotated[Moment, Body()],
    with_personal_data: Annotated[bool, Body()] = False,
    reason: Annotated[str, Body(max_length=MAXIMUM_REASON_CHARACTERS)] = "",
) -> dict[str, str]:
    """Record that the user requests the evidence of a period. The DAG then writes the pack."""
    export = packs.request(
        recorded_from=recorded_from,
        recorded_before=recorded_before,
        with_personal_data=with_personal_data,
        reason=reason,
        person=person,
    )
    return {"export_id": export.export_id, "recorded_before": export.recorded_before.isoformat()}


@router.post("/{export_id}/pack", **route(Right.AUDIT, files="application/zip"))
def hand_out(export_id: ExportId, person: CurrentPerson, packs: EvidencePacksDep) -> StreamingResponse:
    """Return the pack. The download is recorded first."""
    export, pack = packs.hand_out(export_id, person)
    headers = {
        **as_download(f"{export_id}.zip"),
        "Content-Length": str(export.size_bytes),
        "X-Content-SHA256": str(export.digest),
    }
    return StreamingResponse(parts_of(pack), headers=headers, media_type="application/zip")
