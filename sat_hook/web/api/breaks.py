"""Routes of breaks: lists, evidence, decisions about many, assignments, comments and files."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from sat_hook.application.break_acts import BreakAct
from sat_hook.application.break_evidence import BreakEvidenceReader
from sat_hook.application.break_rows import STANDING, BreakQuery, BreakSort, ChosenBreaks
from sat_hook.application.breaks import MAXIMUM_ASSIGNEE_CHARACTERS, Breaks
from sat_hook.application.kept_decisions import KeptDecision
from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import BOOK_READERS, Right
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.reconciliation.suggestions import Suggestion
from sat_hook.web.api.book_models import Ageing, Assigned, BreakDetails, BreakPage, BreakPreview, BreakResult
from sat_hook.web.api.decisions import WAIT_SECONDS
from sat_hook.web.api.models import Cursor, Limit, members_of, route
from sat_hook.web.dependencies import (
    DIGEST,
    AccountQuery,
    BoundedDay,
    BulkBreakDecisionsDep,
    CurrentPerson,
    DayQuery,
    DecisionId,
    Reason,
    ShownDigest,
    service,
)
from sat_hook.web.files import as_download, parts_of, uploaded_by

MAXIMUM_BREAK_IDS = 10_000
BREAK_ID = "^K[A-Z2-7]{15}$"
BANDS = "^(0-1 days|2-7 days|8-30 days|over 30 days)$"

router = APIRouter(tags=["books"])

BreaksDep = Annotated[Breaks, Depends(service(Breaks))]
EvidenceDep = Annotated[BreakEvidenceReader, Depends(service(BreakEvidenceReader))]
BreakId = Annotated[str, Path(pattern=BREAK_ID)]
FileDigest = Annotated[str, Path(pattern=DIGEST)]
_BreakIds = Annotated[list[Annotated[str, Field(pattern=BREAK_ID)]], Body(max_length=MAXIMUM_BREAK_IDS)]


class BreakSelection(BaseModel):
    """The breaks of a filter; without ``states`` those that are open or explained."""

    model_config = ConfigDict(extra="forbid")

    account: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    states: Annotated[tuple[BreakState, ...], Field(min_length=1)] = STANDING
    category: BreakCategory | None = None
    day: BoundedDay | None = None
    band: Annotated[str | None, Field(pattern=BANDS)] = None
    assignee: Annotated[str | None, Field(max_length=MAXIMUM_ASSIGNEE_CHARACTERS)] = None


_Selection = Annotated[BreakSelection | None, Body(alias="filter", description="instead of break ids")]
_Decision = Annotated[BreakAct, Body(description="what is decided about each break")]


@router.get("/breaks", **route(*BOOK_READERS))
def list_breaks(
    person: CurrentPerson,
    breaks: BreaksDep,
    account: AccountQuery = None,
    state: Annotated[list[BreakState] | None, Query(description="default: open and explained")] = None,
    category: BreakCategory | None = None,
    day: DayQuery = None,
    band: Annotated[str | None, Query(pattern=BANDS, description="the age today")] = None,
    assignee: Annotated[
        str | None, Query(max_length=MAXIMUM_ASSIGNEE_CHARACTERS, description="empty: no one")
    ] = None,
    sort: BreakSort = BreakSort.AGE,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> BreakPage:
    """List breaks, the oldest or the largest first."""
    query = BreakQuery(
        account=account,
        states=tuple(state) if state else STANDING,
        category=category,
        day=day,
        band=band,
        assignee=assignee,
    )
    return BreakPage.model_validate(breaks.page(query, person, sort=sort, cursor=cursor, limit=limit))


@router.get("/breaks/ageing", **route(*BOOK_READERS))
def ageing(person: CurrentPerson, breaks: BreaksDep, account: AccountQuery = None) -> Ageing:
    """Return how old standing breaks are, and what the closes of the last 60 days carried forward."""
    return Ageing.model_validate(breaks.ageing(person, account))


@router.post("/breaks/preview", **route(Right.FINANCE))
def preview(
    decision: _Decision,
    person: CurrentPerson,
    bulk: BulkBreakDecisionsDep,
    break_ids: _BreakIds = [],  # noqa: B006 - FastAPI copies it
    selection: _Selection = None,
) -> BreakPreview:
    """Return what a decision would do to breaks, and which it cannot be done to. Changes nothing."""
    found = bulk.preview(decision, _chosen(break_ids, selection), person)
    groups = [
        {"category": category, "state": state, "breaks": number, "size_rupiah": rupiah}
        for (category, state), (number, rupiah) in found.by_category.items()
    ]
    return BreakPreview.model_validate(members_of(found) | {"by_category": groups})


@router.post("/breaks/decide", **route(Right.FINANCE))
def decide(
    decision: _Decision,
    digest: ShownDigest,
    person: CurrentPerson,
    bulk: BulkBreakDecisionsDep,
    reason: Reason,
    break_ids: _BreakIds = [],  # noqa: B006 - FastAPI copies it
    selection: _Selection = None,
) -> BreakResult:
    """Explain, resolve or write off breaks. Refused when they have changed since the preview.

    The decision is kept, and is carried out also when the client goes away. It is answered when it has ended,
    or after some seconds as far as it is.
    """
    decision_id = bulk.begin(decision, _chosen(break_ids, selection), digest, reason, person)
    return _result(bulk.find(decision_id, person, WAIT_SECONDS))


@router.get("/breaks/decisions", **route(*BOOK_READERS))
def list_decisions(person: CurrentPerson, bulk: BulkBreakDecisionsDep) -> list[BreakResult]:
    """List the newest decisions about many breaks, of all users, without ``undone`` and ``accounts``."""
    return [_result(found) for found in bulk.newest(person)]


@router.get("/breaks/decisions/{decision_id}", **route(*BOOK_READERS))
def show_decision(decision_id: DecisionId, person: CurrentPerson, bulk: BulkBreakDecisionsDep) -> BreakResult:
    """Return a decision: how far it is, account by account, and what could not be done. Kept for 30 days."""
    return _result(bulk.find(decision_id, person))


@router.post("/breaks/assign", **route(Right.FINANCE))
def assign(
    break_ids: Annotated[_BreakIds, Body(min_length=1)],
    assignee: Annotated[str, Body(max_length=MAXIMUM_ASSIGNEE_CHARACTERS, description="empty: no one")],
    person: CurrentPerson,
    breaks: BreaksDep,
) -> Assigned:
    """Give breaks to a user, by name, or to no one."""
    return Assigned(breaks=breaks.assign(break_ids, assignee, person))


@router.get("/breaks/{break_id}", **route(*BOOK_READERS))
def show_break(break_id: BreakId, person: CurrentPerson, evidence: EvidenceDep) -> BreakDetails:
    """Return a break with its evidence, suggested explanations, and what people did about it."""
    found = evidence.read(break_id, person)
    suggested = [{"kind": one.kind, "facts": _plain(one)} for one in found.suggestions]
    return BreakDetails.model_validate(members_of(found) | {"suggestions": suggested})


@router.post("/breaks/{break_id}/comments", **route(*BOOK_READERS))
def comment(break_id: BreakId, person: CurrentPerson, breaks: BreaksDep, reason: Reason) -> dict[str, str]:
    """Write a comment about a break, as ``reason``."""
    breaks.comment(break_id, reason, person)
    return {"break_id": break_id}


@router.post("/breaks/{break_id}/files", **route(Right.FINANCE, Right.SIGN_OFF))
def attach(
    break_id: BreakId,
    content: Annotated[bytes, Depends(uploaded_by(Right.FINANCE, Right.SIGN_OFF))],
    person: CurrentPerson,
    breaks: BreaksDep,
    name: Annotated[str, Query(min_length=1, max_length=255)],
) -> dict[str, str]:
    """Attach the file in the body, of at most 5 MiB, to a break."""
    return {"break_id": break_id, "digest": breaks.attach(break_id, name, content, person)}


@router.get("/breaks/{break_id}/files/{digest}", **route(*BOOK_READERS, files="application/octet-stream"))
def attachment(
    break_id: BreakId, digest: FileDigest, person: CurrentPerson, breaks: BreaksDep
) -> StreamingResponse:
    """Return a file of a break."""
    name, file = breaks.attachment(break_id, digest, person)
    return StreamingResponse(parts_of(file), media_type="application/octet-stream", headers=as_download(name))


def _result(found: KeptDecision) -> BreakResult:
    return BreakResult.model_validate(
        members_of(found.standing)
        | {
            "decision": found.act,
            "breaks": found.standing.done,
            "undone": found.undone,
            "accounts": found.accounts,
        }
    )


def _chosen(break_ids: list[str], selection: BreakSelection | None) -> ChosenBreaks:
    which = None if selection is None else BreakQuery(**selection.model_dump())
    return ChosenBreaks(tuple(break_ids), which)


def _plain(suggestion: Suggestion) -> dict[str, int | str]:
    return {
        name: fact.isoformat() if isinstance(fact, date | datetime) else fact
        for name, fact in suggestion.facts.items()
    }
