"""One batch with its steps, approval, runs, results and history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sat_hook.application.batch_standing import BatchRow
from sat_hook.application.order_details import HistoryEntry, history_of
from sat_hook.domain.batch import Batch
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.people import user_named
from sat_hook.pipeline.progress import BatchProgress
from sat_hook.store.event_store import Need


class BatchStep(StrEnum):
    """The steps of a batch, in their order."""

    SUBMITTED = "submitted"
    READ = "read"
    CHECKED = "checked"
    QUOTED = "quoted"
    GUARDED = "guarded"
    APPROVED = "approved"
    RESERVED = "reserved"
    COMPLETED = "completed"
    RESULTS = "results"


STEP_OF: Mapping[str, BatchStep] = {
    "BatchSubmitted": BatchStep.SUBMITTED,
    "BatchReceived": BatchStep.READ,
    "BatchValidated": BatchStep.CHECKED,
    "BatchQuoted": BatchStep.QUOTED,
    "BatchGuarded": BatchStep.GUARDED,
    "BatchApproved": BatchStep.APPROVED,
    "FundsReserved": BatchStep.RESERVED,
    "BatchCompleted": BatchStep.COMPLETED,
    "BatchResultsWritten": BatchStep.RESULTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a person or a service did with a batch, and why.

    :param code: a short name for the reason, where it has one.
    """

    at: datetime
    actor: str
    reason: str | None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchApproval:
    """A batch's approval. Rupiah.

    :param asked_at: when it was asked for last.
    :param orders: how many are approved, or asked for while no user has approved; so is ``total_rupiah``.
    :param approver: the user who approved it as it is asked for now; None while no user has.
    :param rejecter: the user who rejected it.
    """

    asked_at: datetime
    orders: int
    total_rupiah: int
    held: int
    approver: str | None
    approved_at: datetime | None
    rejecter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRunRow:
    """A run of a batch in Airflow.

    :param is_refused: it was looser than the account's rules, and did nothing.
    """

    dag_id: str
    run_id: str
    at: datetime
    actor: str
    parameters: Mapping[str, Any]
    is_refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """The newest result file: the log position that it is as of, and its digest."""

    at: datetime
    position: int | None
    digest: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDetails:
    """A batch with all that is known about it.

    :param digest: of the submitted bytes (SHA-256).
    :param steps: when each step was done last.
    :param needs: the rows that need a person, by reason.
    :param pays_again: the earlier batch whose failed orders it pays again, if it is such a batch.
    :param paid_again_by: the batches that pay its failed orders again, the first submitted first.
    :param pause_reason: why nothing is sent from its account; None while it is not paused.
    :param history: its events, but for those that only say which rows were taken in.
    """

    row: BatchRow
    source: str
    digest: str
    size_bytes: int
    steps: Mapping[BatchStep, datetime]
    needs: tuple[Need, ...]
    progress: BatchProgress
    pays_again: BatchRow | None
    paid_again_by: tuple[BatchRow, ...]
    pause_reason: str | None
    approval: BatchApproval | None
    runs: tuple[BatchRunRow, ...]
    result: BatchResult | None
    withdrawal: Decided | None
    refusal: Decided | None
    history: tuple[HistoryEntry, ...]


def batch_details(
    row: BatchRow,
    progress: BatchProgress,
    events: Sequence[RecordedEvent],
    *,
    pays_again: BatchRow | None = None,
    paid_again_by: Sequence[BatchRow] = (),
    pause_reason: str | None = None,
) -> BatchDetails:
    batch = progress.batch
    history = history_of(events)
    last = {entry.kind: entry for entry in history}
    done = ((STEP_OF[entry.kind], entry.at) for entry in history if entry.kind in STEP_OF)
    return BatchDetails(
        row=row,
        source=batch.source.value,
        digest=batch.digest,
        size_bytes=batch.size_bytes,
        steps=dict(sorted(dict(done).items(), key=lambda step: list(BatchStep).index(step[0]))),
        needs=progress.needs,
        progress=progress,
        pays_again=pays_again,
        paid_again_by=tuple(paid_again_by),
        pause_reason=pause_reason,
        approval=_approval(batch, last),
        runs=tuple(_run(entry) for entry in history if entry.kind in ("BatchRunStarted", "BatchRunRefused")),
        result=_result(last.get("BatchResultsWritten")),
        withdrawal=_decided(last.get("BatchWithdrawn"), "reason"),
        refusal=_decided(last.get("BatchRefused"), "message"),
        history=history,
    )


def _approval(batch: Batch, last: Mapping[str, HistoryEntry]) -> BatchApproval | None:
    asked = last.get("ApprovalRequested")
    if asked is None:
        return None
    terms = asked.parameters.get("terms") or {}
    approved = last.get("BatchApproved")
    is_approved = approved is not None and batch.approved is not None and batch.approved == batch.asked_for
    if is_approved and approved is not None:
        terms = approved.parameters  # fewer orders than were asked for when some were left out
    return BatchApproval(
        asked_at=asked.at,
        orders=terms.get("orders", 0),
        total_rupiah=terms.get("total_rupiah", 0),
        held=asked.parameters.get("held", 0),
        approver=batch.approver if is_approved else None,
        approved_at=approved.at if is_approved and approved is not None else None,
        rejecter=batch.rejecter,
    )


def _run(entry: HistoryEntry) -> BatchRunRow:
    dag_id, _, run_id = str(entry.parameters.get("run", "")).partition("/")
    return BatchRunRow(
        dag_id=dag_id,
        run_id=run_id,
        at=entry.at,
        actor=user_named(entry.actor) or entry.actor,
        parameters=entry.parameters.get("parameters") or {},
        is_refused=entry.kind == "BatchRunRefused",
    )


def _result(entry: HistoryEntry | None) -> BatchResult | None:
    if entry is None:
        return None
    return BatchResult(
        at=entry.at,
        position=entry.parameters.get("position"),
        digest=str(entry.parameters.get("digest", "")),
        rows=entry.parameters.get("rows", 0),
    )


def _decided(entry: HistoryEntry | None, member: str) -> Decided | None:
    if entry is None:
        return None
    return Decided(
        at=entry.at,
        actor=user_named(entry.actor) or entry.actor,
        reason=entry.parameters.get(member),
        code=entry.parameters.get("code"),
    )
