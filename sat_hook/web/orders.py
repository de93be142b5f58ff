"""Routes of single orders: resolve, withdraw, release, cancel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path

from sat_hook.domain.order import Order
from sat_hook.pipeline.held_orders import HeldDecision
from sat_hook.pipeline.overrides import Resolution
from sat_hook.web.dependencies import CurrentPerson, DecisionsDep, Reason, RequestId

router = APIRouter()


@router.post("/orders/{request_id}/resolve")
def resolve(
    request_id: RequestId,
    person: CurrentPerson,
    decisions: DecisionsDep,
    resolution: Annotated[str, Body(alias="as", pattern="^(succeeded|failed|resend)$")],
    reason: Reason,
) -> dict[str, str]:
    """Decide an escalated order. Later signed evidence that contradicts it is recorded."""
    order = decisions.resolve(request_id, Resolution(resolution), reason, person)
    return {"request_id": request_id, "order_id": order.order_id, "state": order.state.value}


@router.post("/orders/{request_id}/withdraw")
def withdraw(
    request_id: RequestId, person: CurrentPerson, decisions: DecisionsDep, reason: Reason
) -> dict[str, str]:
    """End an unsent order. An order that may have been sent is refused."""
    return _document(decisions.withdraw_order(request_id, reason, person))


@router.post("/orders/{request_id}/{decision}")
def decide_held(
    request_id: RequestId,
    decision: Annotated[str, Path(pattern="^(release|cancel)$")],
    person: CurrentPerson,
    decisions: DecisionsDep,
    reason: Reason,
) -> dict[str, str]:
    """Release or cancel a held order. A released order is sent with the next run of its batch."""
    return _document(decisions.decide_held_order(request_id, HeldDecision(decision), reason, person))


def _document(order: Order) -> dict[str, str]:
    return {
        "request_id": order.request_id,
        "order_id": order.order_id,
        "batch_id": order.batch_id,
        "state": order.state.value,
    }
