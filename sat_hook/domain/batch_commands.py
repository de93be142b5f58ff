"""The commands of a batch. :func:`~sat_hook.domain.batch_decisions.decide_batch` decides them.

Most steps only :class:`~sat_hook.domain.decision.Record` what they found: rows, verdicts, the balance,
prices, guards, funds, chunks, results, deliveries, and approvals that do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.domain import approval_events as approval
from sat_hook.domain import batch_events as happened
from sat_hook.domain.decision import Record


@dataclass(frozen=True, slots=True)
class Submit:
    """Register spooled bytes as a batch, with how they were made and when they shall be paid."""

    submitted: happened.BatchSubmitted
    preparations: tuple[happened.Preparation, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseIntake:
    """Every row has been read."""


@dataclass(frozen=True, slots=True)
class RefuseBatch:
    """End the whole batch before anything was sent."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class WithdrawBatch:
    """Cancel the payment of the batch, as a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class RequestApproval:
    """Request the approval of so many persons. From here on only approved orders of the batch are sent.

    :param left_out: what an approver had left out when the terms were computed.
    """

    terms: approval.ApprovalTerms
    held: int
    persons: int = 1
    left_out: approval.OrdersLeftOut | None = None


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Leave orders out of what is approved, by an authorised person."""

    left_out: approval.OrdersLeftOut


@dataclass(frozen=True, slots=True)
class ApproveBatch:
    """Sign the batch as it was shown, by an authorised person; the last of ``persons`` approves it."""

    terms: approval.ApprovalTerms
    approver: str
    persons: int = 1
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RejectApproval:
    """Reject the payment of these orders, as a person."""

    terms: approval.ApprovalTerms
    rejecter: str
    reason: str | None = None


ApprovalCommand = RequestApproval | LeaveOut | ApproveBatch | RejectApproval

BatchCommand = Submit | Record | CloseIntake | RefuseBatch | ApprovalCommand | WithdrawBatch
