"""Routes of approvals: what waits, what is asked about one batch, and the answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from sat_hook.application import approval_questions
from sat_hook.application.approval_questions import Cost, LeftOut, NotAnswered
from sat_hook.application.approvals import ANSWERS_AT_ONCE, LEFT_OUT_ROWS
from sat_hook.application.rights import Right
from sat_hook.store import approvals
from sat_hook.web.api.models import Document, Page, route
from sat_hook.web.api.orders import Order
from sat_hook.web.dependencies import ApprovalsDep, BatchId, CurrentPerson, Reason

router = APIRouter(prefix="/approvals", tags=["approvals"])


class Signature(Document, of=approval_questions.Signature):
    """A signature that the batch needs; ``signer`` is null while it is missing."""


class WaitingApproval(Document, of=approval_questions.WaitingApproval):
    """A batch that waits. ``refusal`` says why the user's approval would not count; null when it would."""

    terms_digest: str = Field(description="an answer repeats it")
    held: int = Field(description="held orders among them, which an approval releases")
    signatures: tuple[Signature, ...]


class ProductAsked(Document, of=approvals.ProductAsked):
    """The orders of one product."""


class PriceMove(Document, of=approval_questions.PriceMove):
    """A product whose price has changed since the account's batch before."""


class MakersMonth(Document, of=approval_questions.MakersMonth):
    """The maker's other batches of the last 30 days."""


class ApprovalQuestion(Document, of=approval_questions.ApprovalQuestion):
    """What an approver is asked, and what helps to answer."""

    waiting: WaitingApproval
    products: tuple[ProductAsked, ...]
    largest: tuple[Order, ...]
    new_orders: tuple[Order, ...]
    price_moves: tuple[PriceMove, ...]
    month: MakersMonth | None


class Answered(Document, of=approval_questions.Answered):
    """What an approval came to: approved, or so many people must sign, too."""


class LeftOutCost(Document, of=Cost):
    """Orders and their rupiah."""


class Shown(BaseModel):
    """A batch as it was shown."""

    model_config = ConfigDict(extra="forbid")

    batch_id: Annotated[str, Field(pattern="^B[A-Z2-7]{25}$")]
    terms_digest: Annotated[str, Field(min_length=1, max_length=100)]


class SeveralAnswer(Document):
    """What became of one of several answers. ``refusal``: why it could not be given; null when it was."""

    batch_id: str
    is_approved: bool
    persons_left: int | None
    refusal: str | None


class SeveralAnswered(Document):
    """The answers, in the order in which they were given."""

    answers: tuple[SeveralAnswer, ...]


_Shown = Annotated[str, Body(min_length=1, max_length=100, description="as the question has it")]
_RequestIds = Annotated[tuple[str, ...], Body(max_length=LEFT_OUT_ROWS, description="orders to be left out")]
_ProductCodes = Annotated[
    tuple[str, ...], Body(max_length=LEFT_OUT_ROWS, description="products to be left out, with every order")
]


@router.get("", **route(Right.VIEW))
def list_approvals(person: CurrentPerson, approvals: ApprovalsDep) -> Page[WaitingApproval]:
    """List the batches that wait for an approval, the longest wait first."""
    return Page[WaitingApproval].of(approvals.waiting(person))


@router.get("/{batch_id}", **route(Right.VIEW))
def show_approval(batch_id: BatchId, person: CurrentPerson, approvals: ApprovalsDep) -> ApprovalQuestion:
    """Return what is asked about a batch; 404 when nothing is."""
    question = approvals.one(batch_id, person)
    if question is None:
        raise HTTPException(404, f"batch {batch_id}: found no request for an approval that waits")
    return ApprovalQuestion.model_validate(question)


@router.post("/{batch_id}/cost", **route(Right.VIEW))
def cost(
    batch_id: BatchId,
    person: CurrentPerson,
    approvals: ApprovalsDep,
    leave_out_orders: _RequestIds = (),
    leave_out_products: _ProductCodes = (),
) -> LeftOutCost:
    """Return how many orders are left out of a request, and their rupiah. Records nothing."""
    left_out = LeftOut(leave_out_orders, leave_out_products)
    return LeftOutCost.model_validate(approvals.cost_of(batch_id, left_out, person))


@router.post("/approve", **route(Right.APPROVE))
def approve_several(
    person: CurrentPerson,
    approvals: ApprovalsDep,
    shown: Annotated[list[Shown], Body(max_length=ANSWERS_AT_ONCE, description="what is signed")],
    reason: Annotated[str | None, Body(max_length=10_000)] = None,
) -> SeveralAnswered:
    """Sign several batches as they were shown. One that cannot be signed does not keep the others."""
    pairs = [(one.batch_id, one.terms_digest) for one in shown]
    return SeveralAnswered(answers=tuple(map(_answer, approvals.approve_several(pairs, person, reason))))


@router.post("/{batch_id}/approve", **route(Right.APPROVE))
def approve(
    batch_id: BatchId,
    person: CurrentPerson,
    approvals: ApprovalsDep,
    terms_digest: _Shown,
    leave_out_orders: _RequestIds = (),
    leave_out_products: _ProductCodes = (),
    reason: Annotated[str | None, Body(max_length=10_000)] = None,
) -> Answered:
    """Sign what was shown under ``terms_digest``, or all of it but what is left out, for a reason."""
    left_out = LeftOut(leave_out_orders, leave_out_products)
    return Answered.model_validate(
        approvals.approve(batch_id, terms_digest, person, left_out=left_out, reason=reason)
    )


@router.post("/{batch_id}/reject", **route(Right.APPROVE))
def reject(
    batch_id: BatchId,
    person: CurrentPerson,
    approvals: ApprovalsDep,
    terms_digest: _Shown,
    reason: Reason,
) -> dict[str, str]:
    """Reject what was shown under ``terms_digest``. Every order that was not sent ends unpaid."""
    approvals.reject(batch_id, terms_digest, reason, person)
    return {"batch_id": batch_id, "rejected_by": person.name}


def _answer(answer: approval_questions.Answered | NotAnswered) -> SeveralAnswer:
    if isinstance(answer, NotAnswered):
        return SeveralAnswer(
            batch_id=answer.batch_id, is_approved=False, persons_left=None, refusal=str(answer.error)
        )
    return SeveralAnswer(
        batch_id=answer.batch_id,
        is_approved=answer.is_approved,
        persons_left=answer.persons_left,
        refusal=None,
    )
