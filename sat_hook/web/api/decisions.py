"""Routes of decisions about many orders: what an act would do, and doing it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from sat_hook.application import bulk_decisions, decision_acts
from sat_hook.application.bulk_decisions import Chosen
from sat_hook.application.decision_acts import RIGHTS, BulkAct
from sat_hook.application.kept_decisions import KeptDecision
from sat_hook.domain.order import OrderState
from sat_hook.store.order_lists import OrderFilter
from sat_hook.web.api.models import Document, members_of, route
from sat_hook.web.dependencies import BulkDecisionsDep, CurrentPerson, DecisionId, Reason, ShownDigest

MAXIMUM_REQUEST_IDS = 10_000
WAIT_SECONDS = 10.0
"""A decision that takes longer is answered as it is by then."""

router = APIRouter(tags=["orders"])

_RequestId = Annotated[str, Field(pattern="^S[A-Z2-7]{31}$")]
_Text = Annotated[str | None, Field(min_length=1, max_length=200)]
_Rupiah = Annotated[int | None, Field(ge=0, le=10**12)]
_RIGHTS = sorted({right for rights in RIGHTS.values() for right in rights})


class Selection(BaseModel):
    """The orders of a filter that names a batch, the beginning of an id, or states that few orders are in."""

    model_config = ConfigDict(extra="forbid")

    batch_id: Annotated[str | None, Field(pattern="^B[A-Z2-7]{25}$")] = None
    account: _Text = None
    states: Annotated[tuple[OrderState, ...] | None, Field(min_length=1)] = None
    product_code: _Text = None
    reason_code: _Text = None
    least_rupiah: _Rupiah = None
    most_rupiah: _Rupiah = None
    text: _Text = None


class Undone(Document, of=decision_acts.Undone):
    """An order that a decision does not reach, and why. ``order_id`` is null when there is no such order."""


class Decidable(Document):
    """Orders in one state, held or escalated for one reason."""

    state: OrderState
    reason_code: str | None
    orders: int
    rupiah: int


class BulkPreview(Document, of=bulk_decisions.BulkPreview):
    """What a decision would do. ``undone`` names the first orders that it cannot reach; all are counted."""

    by_standing: tuple[Decidable, ...]
    undone: tuple[Undone, ...]


class BulkResult(Document):
    """A decision and what it has done so far. ``orders`` is how many were chosen.

    ``ended_at`` is null while it is under way. It goes on by itself, also after a restart of the server.
    """

    decision_id: str
    act: BulkAct
    decided_by: str
    begun_at: datetime
    ended_at: datetime | None
    orders: int
    done: int
    done_rupiah: int
    undone: tuple[Undone, ...]
    undone_by_code: dict[str, int]


_Act = Annotated[BulkAct, Body(description="what is done to each order; each act needs its own right")]
_RequestIds = Annotated[list[_RequestId], Body(max_length=MAXIMUM_REQUEST_IDS)]
_Selection = Annotated[Selection | None, Body(alias="filter", description="instead of request ids")]


@router.post("/decisions/preview", **route(*_RIGHTS))
def preview(
    act: _Act,
    person: CurrentPerson,
    bulk: BulkDecisionsDep,
    request_ids: _RequestIds = [],  # noqa: B006 - FastAPI copies it
    selection: _Selection = None,
) -> BulkPreview:
    """Return what an act would do to orders, and which it cannot be done to. Changes nothing."""
    found = bulk.preview(act, _chosen(request_ids, selection), person)
    standings = [
        {"state": state, "reason_code": reason, "orders": orders, "rupiah": rupiah}
        for (state, reason), (orders, rupiah) in found.by_standing.items()
    ]
    return BulkPreview.model_validate(members_of(found) | {"by_standing": standings})


@router.post("/decisions", **route(*_RIGHTS))
def apply(
    act: _Act,
    digest: ShownDigest,
    person: CurrentPerson,
    bulk: BulkDecisionsDep,
    reason: Reason,
    request_ids: _RequestIds = [],  # noqa: B006 - FastAPI copies it
    selection: _Selection = None,
) -> BulkResult:
    """Decide. Refused when the orders have changed since the preview.

    The decision is kept, and is carried out also when the client goes away. It is answered when it has ended,
    or after some seconds as far as it is.
    """
    decision_id = bulk.begin(act, _chosen(request_ids, selection), digest, reason, person)
    return _result(bulk.find(decision_id, person, WAIT_SECONDS))


@router.get("/decisions", **route(*_RIGHTS))
def list_decisions(person: CurrentPerson, bulk: BulkDecisionsDep) -> list[BulkResult]:
    """List the newest decisions about many orders, of all users, without ``undone``."""
    return [_result(found) for found in bulk.newest(person)]


@router.get("/decisions/{decision_id}", **route(*_RIGHTS))
def show_decision(decision_id: DecisionId, person: CurrentPerson, bulk: BulkDecisionsDep) -> BulkResult:
    """Return a decision: how far it is, and what could not be done. It is kept for 30 days."""
    return _result(bulk.find(decision_id, person))


def _result(found: KeptDecision) -> BulkResult:
    return BulkResult.model_validate(
        members_of(found.standing) | {"orders": found.standing.chosen, "undone": found.undone}
    )


def _chosen(request_ids: list[str], selection: Selection | None) -> Chosen:
    which = None if selection is None else OrderFilter(**selection.model_dump())
    return Chosen(tuple(request_ids), which)
