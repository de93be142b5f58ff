"""What a command does to a batch: its events, or why it is refused. Pure, built like an order's decisions."""

from __future__ import annotations

from sat_hook.domain import approval_events as approval
from sat_hook.domain import batch_events as happened
from sat_hook.domain.batch import Batch, BatchState, evolve_batch
from sat_hook.domain.batch_commands import (
    ApprovalCommand,
    ApproveBatch,
    BatchCommand,
    CloseIntake,
    LeaveOut,
    RefuseBatch,
    RejectApproval,
    RequestApproval,
    Submit,
    WithdrawBatch,
)
from sat_hook.domain.decision import Decider, Decision, Record, Refusal, RefusalReason, nothing_yet, refuse
from sat_hook.domain.event_record import Event, StreamKind


def decide_batch(batch: Batch | None, command: BatchCommand) -> Decision:
    """The events that ``command`` appends to ``batch``, or why it changes nothing."""
    if isinstance(command, Submit):
        return _submit(batch, command)
    if batch is None:
        return refuse(RefusalReason.NO_SUCH_BATCH)
    step = command.event if isinstance(command, Record) else command
    match step:
        case happened.BatchResultsWritten() if (step.digest, step.uri) == (
            batch.results_digest,
            batch.results_uri,
        ):
            return refuse(RefusalReason.ALREADY_SO, "the same results are already there")
        case (
            happened.BatchResultsWritten()
            | happened.GoodsDelivered()
            | happened.ChunkStopped()
            | happened.BatchRunStarted()
            | happened.BatchRunRefused()
        ):
            return (step,)
        case WithdrawBatch():
            return _withdraw(batch, step)
        case happened.FundsReserved():
            return _reserve(batch, step)
        case (
            approval.BatchGuarded()
            | happened.BatchReopened()
            | approval.ApprovalRefused()
            | RequestApproval()
            | LeaveOut()
            | ApproveBatch()
            | RejectApproval()
        ):
            return _decide_letting_through(batch, step)
    if batch.state.is_final:
        return refuse(RefusalReason.ALREADY_ENDED, f"the batch is {batch.state.value}")
    return _decide_step(batch, step)


def _decide_letting_through(batch: Batch, step: Event | ApprovalCommand) -> Decision:
    """Decide on guards and approval. A completed batch returns to them when its held orders are released."""
    if batch.state is BatchState.REFUSED:
        return refuse(RefusalReason.ALREADY_ENDED, "the batch is refused")
    goes_on = isinstance(step, happened.BatchReopened | RequestApproval | LeaveOut | ApproveBatch)
    if batch.withdrawn is not None and goes_on:
        return _withdrawn(batch)
    match step:
        case approval.BatchGuarded() if batch.guarded == step.tally:
            return refuse(RefusalReason.ALREADY_SO)
        case happened.BatchReopened() if batch.state is not BatchState.COMPLETED:
            return _wrong_state(batch)
        case Event():
            return (step,)
        case _ if batch.rejecter is not None:
            return refuse(RefusalReason.ALREADY_ENDED, f"user {batch.rejecter!r} rejected the batch")
        case _:
            return _decide_approval(batch, step)


def _decide_approval(batch: Batch, command: ApprovalCommand) -> Decision:
    """Decide on what is asked for. Approved once, it is not approved again; a rejection always counts."""
    match command:
        case RequestApproval(terms=terms, held=held, persons=persons):
            if batch.asked_for == terms and persons <= batch.persons:
                return refuse(RefusalReason.ALREADY_SO)
            if batch.left_out != command.left_out:
                return refuse(RefusalReason.PRICE_CHANGED, "orders were left out meanwhile")
            # A batch that once needed more persons always does.
            persons = max(persons, batch.persons)
            return (approval.ApprovalRequested(terms=terms, held=held, persons=persons),)
        case LeaveOut(left_out=left_out):
            if refusal := _refuse_answer(batch, left_out.shown, left_out.approver):
                return refusal
            return (left_out,)
        case ApproveBatch(terms=terms, approver=approver, reason=reason):
            if refusal := _refuse_answer(batch, terms, approver):
                return refusal
            persons = max(command.persons, batch.persons)
            signed = approval.ApprovalSigned(approver=approver, terms=terms, persons=persons, reason=reason)
            if len(batch.signers) + 1 < persons:
                return (signed,)
            approved = approval.BatchApproved(approver=approver, **terms.model_dump())
            return (approved,) if reason is None else (signed, approved)
        case RejectApproval(terms=terms, rejecter=rejecter, reason=reason):
            if batch.asked_for not in (None, terms):
                return _something_else()
            # Also after an approval: it stops whatever is not sent yet.
            return (
                approval.ApprovalRejected(
                    rejecter=rejecter, orders=terms.orders, total_rupiah=terms.total_rupiah, reason=reason
                ),
            )


def _refuse_answer(batch: Batch, terms: approval.ApprovalTerms, approver: str) -> Refusal | None:
    if batch.approved == terms:
        return refuse(RefusalReason.ALREADY_SO, f"approved by {batch.approver}")
    if batch.asked_for != terms:
        return _something_else()
    if batch.is_signed_by(approver):
        return refuse(RefusalReason.SAME_PERSON, f"user {approver!r} has signed already")
    return None


def _something_else() -> Refusal:
    return Refusal(reason=RefusalReason.PRICE_CHANGED, detail="something else is asked for")


def _submit(batch: Batch | None, command: Submit) -> Decision:
    if batch is None:
        return (command.submitted, *command.preparations)
    if batch.digest == command.submitted.digest:
        return refuse(RefusalReason.ALREADY_SO, f"the same bytes are batch {batch.batch_id}")
    return refuse(
        RefusalReason.ORDER_ID_REUSED,
        f"reference {batch.reference!r} already names a batch with other contents",
    )


def _withdraw(batch: Batch, command: WithdrawBatch) -> Decision:
    if batch.withdrawn is not None:
        return refuse(RefusalReason.ALREADY_SO, f"withdrawn before: {batch.withdrawn}")
    if batch.state is BatchState.REFUSED:
        return refuse(RefusalReason.ALREADY_ENDED, "the batch is refused")
    return (happened.BatchWithdrawn(reason=command.reason),)


_STATE_BEFORE: dict[type, BatchState] = {
    happened.RowsTakenIn: BatchState.SUBMITTED,
    CloseIntake: BatchState.SUBMITTED,
    happened.BatchValidated: BatchState.RECEIVED,
    happened.BalanceChecked: BatchState.VALIDATED,
    happened.BatchQuoted: BatchState.VALIDATED,
}
"""The state in which a step belongs; other steps belong in every state that is not final."""


def _decide_step(batch: Batch, step: Event | BatchCommand) -> Decision:
    if batch.state is not _STATE_BEFORE.get(type(step), batch.state):
        return _wrong_state(batch)
    match step:
        case happened.RowsTakenIn() if step.first_row != batch.last_row_read + 1:
            return refuse(RefusalReason.OVERTAKEN, f"row {batch.last_row_read} was the last")
        case CloseIntake():
            return (
                happened.BatchReceived(
                    rows=batch.last_row_read, orders=batch.orders, set_aside=batch.set_aside
                ),
            )
        case RefuseBatch(code=code, message=message):
            return (happened.BatchRefused(code=code, message=message),)
        case (
            happened.BatchStartPlanned()
            | happened.RowsTakenIn()
            | happened.BatchValidated()
            | happened.BalanceChecked()
            | happened.BatchQuoted()
            | happened.BatchCompleted()
        ):
            return (step,)
        case _:
            raise TypeError(f"{type(step).__name__} is not a step of a batch")


def _reserve(batch: Batch, reserved: happened.FundsReserved) -> Decision:
    if batch.withdrawn is not None:
        return _withdrawn(batch)
    # A batch that is completed may hold orders that a person releases later.
    if batch.state not in (BatchState.QUOTED, BatchState.COMPLETED):
        return _wrong_state(batch)
    if reserved.up_to_row < batch.reserved_up_to_row:
        # Orders may be in flight because of it, so a reservation is never taken back.
        return refuse(RefusalReason.OVERTAKEN, f"row {batch.reserved_up_to_row} is reserved already")
    if reserved.total_rupiah > reserved.available_rupiah:
        return refuse(
            RefusalReason.NOT_RESERVED,
            f"{reserved.total_rupiah} rupiah are wanted, {reserved.available_rupiah} are available",
        )
    return (reserved,)


def _withdrawn(batch: Batch) -> Refusal:
    return refuse(RefusalReason.ALREADY_ENDED, f"the batch was withdrawn: {batch.withdrawn}")


def _wrong_state(batch: Batch) -> Refusal:
    return refuse(RefusalReason.WRONG_STATE, f"the batch is {batch.state.value}")


BATCH_DECIDER: Decider[Batch | None, BatchCommand] = Decider(
    stream_kind=StreamKind.BATCH,
    initial_state=nothing_yet,
    decide=decide_batch,
    evolve=lambda batch, batch_id, event, _occurred_at: evolve_batch(batch, batch_id, event),
)
