"""The pages of proof: what was verified, evidence packs, and who took personal data out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response, StreamingResponse

from sat_hook.application.audit_log import LogQuery
from sat_hook.application.errors import RunsError
from sat_hook.application.evidence_packs import EvidencePacks, PackRow
from sat_hook.application.runs import Run, Runs
from sat_hook.audit.actions import ACCESS_TYPES
from sat_hook.audit.cover import CONTENTS, SEALED, VERIFY_PACK
from sat_hook.audit.errors import ExportRefusedError
from sat_hook.audit.exports import MAXIMUM_PERIOD_DAYS
from sat_hook.commands.errors import ReasonRefusedError
from sat_hook.domain.business_day import midnight
from sat_hook.web.console import code_words
from sat_hook.web.console.audit_log import LogChoiceDep, acts_page
from sat_hook.web.console.error_words import Explained, explained
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import (
    AuditLogDep,
    DayForm,
    EvidencePacksDep,
    ExportId,
    RunsDep,
    VerificationsDep,
)
from sat_hook.web.files import as_download, parts_of

router = APIRouter(prefix="/audit")

VERIFY_LOG = "sat log verify --public-key audit_public.pem --published URI"


@router.get("/verification")
def verification(
    site: SiteDep,
    verifications: VerificationsDep,
    runs: RunsDep,
    run: Annotated[str, Query(pattern="^(verify_[A-Za-z0-9_]{1,90})?$")] = "",
) -> Response:
    """What was verified, when, up to where and by which keys; a run that was started shows its state."""
    # Before the list: a run that has ended has recorded what it verified.
    found = verifications.run(run, site.person, runs) if run else None
    return site.page(
        "audit_verification",
        rows=verifications.recent(site.person),
        cover=verifications.cover(site.person),
        full=verifications.full(site.person),
        alerts=verifications.alerts(site.person),
        run_id=run,
        command=VERIFY_LOG,
        problems=code_words.PROBLEMS,
        run=found,
    )


@router.post("/verification")
def verify_now(
    site: SiteDep,
    verifications: VerificationsDep,
    runs: RunsDep,
    everything: Annotated[bool, Form()] = False,
) -> Response:
    """Start a run that verifies the log."""
    run_id = verifications.start(site.person, runs, everything=everything)
    return site.go("/audit/verification", run=run_id)


@router.get("/packs")
def list_packs(site: SiteDep, packs: EvidencePacksDep, cursor: str | None = None) -> Response:
    """The packs that were asked for, and the form to ask for one."""
    return _packs_page(site, packs, cursor=cursor)


@router.post("/packs")
def ask_for_pack(
    site: SiteDep,
    packs: EvidencePacksDep,
    runs: RunsDep,
    since: DayForm,
    until: DayForm,
    reason: Annotated[str, Form(max_length=500)] = "",
    with_personal_data: Annotated[bool, Form()] = False,
) -> Response:
    """Record the request and start the run that writes the pack."""
    try:
        export = packs.request(
            recorded_from=midnight(since),
            recorded_before=midnight(until + timedelta(days=1)),
            with_personal_data=with_personal_data,
            reason=reason,
            person=site.person,
        )
    except (ExportRefusedError, ReasonRefusedError) as error:
        return _packs_page(
            site,
            packs,
            refused=explained(error, site.wording),
            asked=(since, until, reason, with_personal_data),
        )
    packs.start(export.export_id, site.person, runs)
    return site.go(f"/audit/packs/{export.export_id}")


@router.get("/packs/{export_id}")
def pack(export_id: ExportId, site: SiteDep, packs: EvidencePacksDep, runs: RunsDep) -> Response:
    """The cover of a pack: what was asked for and why, what is in it, how to verify it, who has it."""
    row = packs.pack(export_id, site.person)
    return site.page(
        "audit_pack",
        row=row,
        run=_run_of(row, site, packs, runs),
        may_take=row.is_for(site.person),
        command=VERIFY_PACK % export_id,
        contents=(SEALED, *CONTENTS),
    )


@router.post("/packs/{export_id}/start")
def start_pack(export_id: ExportId, site: SiteDep, packs: EvidencePacksDep, runs: RunsDep) -> Response:
    """Start the run of a pack whose first start did not reach Airflow."""
    packs.start(export_id, site.person, runs)
    return site.go(f"/audit/packs/{export_id}")


@router.post("/packs/{export_id}/download")
def download_pack(export_id: ExportId, site: SiteDep, packs: EvidencePacksDep) -> Response:
    """The pack. The download is recorded first."""
    export, content = packs.hand_out(export_id, site.person)
    headers = {**as_download(f"{export_id}.zip"), "Content-Length": str(export.size_bytes)}
    return StreamingResponse(parts_of(content), headers=headers, media_type="application/zip")


@router.get("/access")
def list_access(site: SiteDep, log: AuditLogDep, choice: LogChoiceDep, cursor: str | None = None) -> Response:
    """Sign-ins to the console, searches by number, deliveries and exports."""
    query = LogQuery(
        user=choice.user or None, types=ACCESS_TYPES, since=choice.query().since, before=choice.query().before
    )
    return acts_page(site, log, query, choice, path="/audit/access", cursor=cursor)


def _packs_page(
    site: Site,
    packs: EvidencePacks,
    *,
    cursor: str | None = None,
    refused: Explained | None = None,
    asked: tuple[date, date, str, bool] | None = None,
) -> Response:
    found = packs.packs(site.person, cursor=cursor)
    return site.page(
        "audit_packs",
        422 if refused else 200,
        rows=found.items,
        older=site.url("/audit/packs", cursor=found.next) if found.next else "",
        refused=refused,
        asked=asked,
        most_days=MAXIMUM_PERIOD_DAYS,
    )


def _run_of(row: PackRow, site: Site, packs: EvidencePacks, runs: Runs) -> Run | None:
    if row.written is not None:
        return None
    try:
        return packs.run(row.export.export_id, site.person, runs)
    except RunsError:
        return None  # who may not see the run still sees the pack
