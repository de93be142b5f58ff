"""Routes of decisions about many orders: what an act would do, and doing it."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from sat_hook.application.bulk_decisions import RIGHTS, BulkAct, BulkProgress, Chosen
from sat_hook.domain.order import OrderState
from sat_hook.store.listings import OrderFilter
from sat_hook.web.api.documented import route
from sat_hook.web.api.models import BulkPreview, BulkResult, members_of
from sat_hook.web.dependencies import BulkDecisionsDep, CurrentPerson, Reason

MAXIMUM_REQUEST_IDS = 10_000

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
    digest: Annotated[str, Body(pattern="^[0-9a-f]{64}$", description="what the preview returned")],
    person: CurrentPerson,
    bulk: BulkDecisionsDep,
    reason: Reason,
    request_ids: _RequestIds = [],  # noqa: B006 - FastAPI copies it
    selection: _Selection = None,
) -> BulkResult:
    """Decide, group by group. Refused when the orders have changed since the preview.

    After a 503, the groups before it are decided; a new preview shows what is left.
    """
    groups = bulk.apply(act, _chosen(request_ids, selection), digest, reason, person)
    (last,) = deque(chain([BulkProgress(orders=0)], groups), 1)
    return BulkResult.model_validate(last)


def _chosen(request_ids: list[str], selection: Selection | None) -> Chosen:
    which = None if selection is None else OrderFilter(**selection.model_dump())
    return Chosen(tuple(request_ids), which)
