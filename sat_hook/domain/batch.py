"""A batch: its state, and how events change it. Pure; :mod:`sat_hook.domain.batch_decisions` decides."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from sat_hook.domain import approval_events as approval
from sat_hook.domain import batch_events as happened
from sat_hook.domain import legacy_events as legacy
from sat_hook.domain.event_record import Event, Frozen
from sat_hook.domain.people import is_same_person


class BatchState(StrEnum):
    """The state of a batch."""

    SUBMITTED = "submitted"
    REFUSED = "refused"
    RECEIVED = "received"
    VALIDATED = "validated"
    QUOTED = "quoted"
    COMPLETED = "completed"

    @property
    def is_final(self) -> bool:
        """True when no step is left (results may still be rewritten and goods delivered)."""
        return self in (BatchState.REFUSED, BatchState.COMPLETED)


class Batch(Frozen):
    """The fold of a batch's events. Amounts in rupiah."""

    batch_id: str
    version: int
    state: BatchState
    account: str
    reference: str
    source: happened.BatchSource
    file_name: str
    spool_uri: str
    digest: str
    size_bytes: int

    last_row_read: int = 0
    orders: int = 0
    set_aside: int = 0
    refusal_code: str | None = None
    refusal_message: str | None = None
    saldo_rupiah: int | None = None
    estimate_rupiah: int | None = None
    quoted: int | None = None
    total_rupiah: int | None = None
    reserved_up_to_row: int = 0
    reserved_rupiah: int = 0
    charged_rupiah: int | None = None
    results_uri: str | None = None
    results_digest: str | None = None
    results_position: int | None = None

    guarded: approval.GuardTally | None = None
    approval_required: bool = False
    asked_for: approval.ApprovalTerms | None = None
    approved: approval.ApprovalTerms | None = None
    approver: str | None = None
    signers: tuple[str, ...] = Field(default=(), exclude_if=lambda signers: not signers)
    """Who has signed what is asked for, while more persons must."""
    persons: int = Field(default=1, exclude_if=lambda persons: persons == 1)
    """How many persons must approve: the most that any request of the batch asked for."""
    asked_held: int = Field(default=0, exclude_if=lambda held: not held)
    """How many held orders are part of what is asked for."""
    left_out: approval.OrdersLeftOut | None = Field(
        default=None, exclude_if=lambda left_out: left_out is None
    )
    """What an approver left out of what is asked for."""
    rejecter: str | None = None
    withdrawn: str | None = None
    """Why a person withdrew the batch."""
    upload_digest: str | None = None
    """The upload that the file was made from, if it is not the file itself."""
    starts_at: AwareDatetime | None = None
    pays_again: str | None = Field(default=None, exclude_if=lambda earlier: earlier is None)
    """The earlier batch whose failed orders it pays again."""

    def is_signed_by(self, approver: str) -> bool:
        """Whether the user, in any spelling of the name, has signed what is asked for."""
        return any(is_same_person(approver, signer) for signer in self.signers)

    @property
    def rows(self) -> int:
        """The rows read so far: orders and rows set aside."""
        return self.orders + self.set_aside


def evolve_batch(batch: Batch | None, batch_id: str, event: Event) -> Batch:
    """The batch after ``event``."""
    if isinstance(event, happened.BatchSubmitted):
        return Batch(batch_id=batch_id, version=1, state=BatchState.SUBMITTED, **event.model_dump())
    if batch is None:
        raise ValueError(f"the stream of {batch_id} begins with {event.type_name}, not with BatchSubmitted")
    return batch.model_copy(update={**_change(batch, event), "version": batch.version + 1})


def _change(batch: Batch, event: Event) -> dict[str, object]:
    match event:
        case happened.OrderFileMended():
            return {"upload_digest": event.upload_digest}
        case happened.BatchStartPlanned():
            return {"starts_at": event.starts_at}
        case happened.BatchPaysAgain():
            return {"pays_again": event.earlier_batch_id}
        case happened.RowsTakenIn():
            return {
                "last_row_read": event.last_row,
                "orders": batch.orders + event.orders,
                "set_aside": batch.set_aside + len(event.set_aside),
            }
        case happened.BatchRefused():
            return {
                "state": BatchState.REFUSED,
                "refusal_code": event.code,
                "refusal_message": event.message,
            }
        case happened.BatchReceived():
            return {"state": BatchState.RECEIVED}
        case happened.BatchValidated():
            return {"state": BatchState.VALIDATED}
        case happened.BalanceChecked():
            return {"saldo_rupiah": event.saldo_rupiah, "estimate_rupiah": event.estimate_rupiah}
        case happened.BatchQuoted():
            return {
                "state": BatchState.QUOTED,
                "quoted": event.quoted,
                "total_rupiah": event.total_rupiah,
            }
        case happened.FundsReserved():
            return {
                "reserved_up_to_row": event.up_to_row,
                "reserved_rupiah": batch.reserved_rupiah + event.total_rupiah,
            }
        case happened.BatchCompleted():
            return {"state": BatchState.COMPLETED, "charged_rupiah": event.charged_rupiah}
        case happened.BatchResultsWritten():
            return {
                "results_uri": event.uri,
                "results_digest": event.digest,
                "results_position": event.position,
            }
        case legacy.BatchResultsWritten():
            return {"results_uri": event.uri, "results_digest": event.digest, "results_position": None}
        case happened.GoodsDelivered() | approval.ApprovalRefused() | happened.ChunkStopped():
            return {}
        case happened.BatchRunStarted() | legacy.BatchRunStarted() | happened.BatchRunRefused():
            return {}
        case approval.BatchGuarded():
            return {"guarded": event.tally}
        case happened.BatchReopened():
            return {"state": BatchState.QUOTED}
        case approval.ApprovalRequested() | legacy.ApprovalRequested():
            is_other = event.terms != batch.asked_for
            return {
                "approval_required": True,
                "asked_for": event.terms,
                "asked_held": event.held,
                "persons": event.persons if isinstance(event, approval.ApprovalRequested) else batch.persons,
                "signers": () if is_other else batch.signers,
                "left_out": None if is_other else batch.left_out,
            }
        case approval.OrdersLeftOut():
            return {
                "asked_for": event.rest,
                "asked_held": event.held,
                "left_out": event,
                "signers": (),
            }
        case approval.ApprovalSigned():
            return {"signers": (*batch.signers, event.approver), "persons": event.persons}
        case approval.BatchApproved():
            terms = approval.ApprovalTerms.model_validate(event.model_dump(exclude={"approver"}))
            return {"approved": terms, "approver": event.approver, "signers": ()}
        case happened.BatchWithdrawn():
            return {"withdrawn": event.reason}
        case approval.ApprovalRejected() | legacy.ApprovalRejected():
            # Orders approved earlier are not paid either.
            return {
                "asked_for": None,
                "approved": None,
                "approver": None,
                "signers": (),
                "rejecter": event.rejecter,
            }
        case _:
            raise ValueError(f"{event.type_name} is not an event of a batch")
