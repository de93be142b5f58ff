"""What can be asked of a batch: commands, decided on by :func:`~sat_hook.domain.batch.decide_batch`."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.domain import batch_events as happened


@dataclass(frozen=True, slots=True)
class Submit:
    """Register spooled bytes as a batch."""

    submitted: happened.BatchSubmitted


@dataclass(frozen=True, slots=True)
class TakeInRows:
    """Record a run of rows; runs follow each other without a gap."""

    taken: happened.RowsTakenIn


@dataclass(frozen=True, slots=True)
class CloseIntake:
    """Every row has been read."""


@dataclass(frozen=True, slots=True)
class RefuseBatch:
    """End the batch as a whole before anything was sent."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class WithdrawBatch:
    """A person does not want the batch to be paid after all."""

    reason: str


@dataclass(frozen=True, slots=True)
class CloseValidation:
    """Every order has a verdict."""

    valid: int
    rejected: int


@dataclass(frozen=True, slots=True)
class RecordBalance:
    """What the deposit held when it was looked at."""

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
    """Set funds aside for orders up to a row. Asked under the account's funds lock only."""

    reserved: happened.FundsReserved


@dataclass(frozen=True, slots=True)
class Complete:
    """Nothing is left to wait for."""

    counts: dict[str, int]
    charged_rupiah: int


@dataclass(frozen=True, slots=True)
class RecordResults:
    """A result file was written, as of a position of the log."""

    written: happened.BatchResultsWritten


@dataclass(frozen=True, slots=True)
class RecordDelivery:
    """Goods were handed out."""

    orders: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportStoppedChunk:
    """Sending some rows stopped before all of them were sent; people have to be told."""

    stopped: happened.ChunkStopped


@dataclass(frozen=True, slots=True)
class RecordBatchRun:
    """A run of the batch began, or was refused."""

    run: happened.BatchRunStarted | happened.BatchRunRefused


@dataclass(frozen=True, slots=True)
class RecordGuarding:
    """The guards have looked at every order that can be sent."""

    tally: happened.GuardTally


@dataclass(frozen=True, slots=True)
class Reopen:
    """A completed batch has orders again that can be sent."""

    orders: int


@dataclass(frozen=True, slots=True)
class RequestApproval:
    """Ask a person. From here on no order of the batch is sent that was not approved."""

    terms: happened.ApprovalTerms
    held: int


@dataclass(frozen=True, slots=True)
class RefuseApproval:
    """Record an answer that does not count."""

    reason: happened.ApprovalRefusal
    detail: str
    approver: str


@dataclass(frozen=True, slots=True)
class ApproveBatch:
    """A person who may approves the batch as it was shown."""

    terms: happened.ApprovalTerms
    approver: str


@dataclass(frozen=True, slots=True)
class RejectApproval:
    """A person does not want these orders to be paid."""

    terms: happened.ApprovalTerms
    rejecter: str


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
    | RequestApproval
    | RefuseApproval
    | ApproveBatch
    | RejectApproval
    | WithdrawBatch
)
