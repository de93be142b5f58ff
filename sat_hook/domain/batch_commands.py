"""The commands of a batch. :func:`~sat_hook.domain.batch.decide_batch` decides them."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.domain import batch_events as happened


@dataclass(frozen=True, slots=True)
class Submit:
    """Register spooled bytes as a batch, with how they were made and when they shall be paid."""

    submitted: happened.BatchSubmitted
    preparations: tuple[happened.OrderFileMended | happened.BatchStartPlanned, ...] = ()


@dataclass(frozen=True, slots=True)
class TakeInRows:
    """Record a run of rows; runs follow each other without a gap."""

    taken: happened.RowsTakenIn


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
class CloseValidation:
    """Every order has a verdict."""

    valid: int
    rejected: int


@dataclass(frozen=True, slots=True)
class RecordBalance:
    """Record an observation of the deposit."""

    saldo_rupiah: int
    estimate_rupiah: int


@dataclass(frozen=True, slots=True)
class CloseQuoting:
    """Every order that can be sent has a price."""

    quoted: int
    rejected: int
    total_rupiah: int


@dataclass(frozen=True, slots=True)
class ReserveFunds:
    """Reserve funds for orders up to a row. Requires the account's funds lock."""

    reserved: happened.FundsReserved


@dataclass(frozen=True, slots=True)
class Complete:
    """Complete the batch: nothing is left to wait for."""

    counts: dict[str, int]
    charged_rupiah: int


@dataclass(frozen=True, slots=True)
class RecordResults:
    """Record a result file, as of a position of the log."""

    written: happened.BatchResultsWritten


@dataclass(frozen=True, slots=True)
class RecordDelivery:
    """Record that goods were handed out."""

    orders: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportStoppedChunk:
    """Record that sending stopped before all rows of a chunk were sent; raises an alert."""

    stopped: happened.ChunkStopped


@dataclass(frozen=True, slots=True)
class RecordBatchRun:
    """Record that a run of the batch started or was refused."""

    run: happened.BatchRunStarted | happened.BatchRunRefused


@dataclass(frozen=True, slots=True)
class RecordGuarding:
    """Record that the guards checked every order that can be sent."""

    tally: happened.GuardTally


@dataclass(frozen=True, slots=True)
class Reopen:
    """Reopen a completed batch that has orders to send again."""

    orders: int


@dataclass(frozen=True, slots=True)
class RequestApproval:
    """Request the approval of so many persons. From here on only approved orders of the batch are sent."""

    terms: happened.ApprovalTerms
    held: int
    persons: int = 1


@dataclass(frozen=True, slots=True)
class RefuseApproval:
    """Record an approval that does not count."""

    reason: happened.ApprovalRefusal
    detail: str
    approver: str


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """Leave orders out of what is approved, by an authorised person."""

    left_out: happened.OrdersLeftOut


@dataclass(frozen=True, slots=True)
class ApproveBatch:
    """Sign the batch as it was shown, by an authorised person; the last of ``persons`` approves it."""

    terms: happened.ApprovalTerms
    approver: str
    persons: int = 1
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RejectApproval:
    """Reject the payment of these orders, as a person."""

    terms: happened.ApprovalTerms
    rejecter: str
    reason: str | None = None


ApprovalCommand = RequestApproval | RefuseApproval | LeaveOut | ApproveBatch | RejectApproval

BatchCommand = (
    Submit
    | TakeInRows
    | CloseIntake
    | RefuseBatch
    | CloseValidation
    | RecordBalance
    | CloseQuoting
    | ReserveFunds
    | Complete
    | RecordResults
    | RecordDelivery
    | ReportStoppedChunk
    | RecordBatchRun
    | RecordGuarding
    | Reopen
    | ApprovalCommand
    | WithdrawBatch
)
