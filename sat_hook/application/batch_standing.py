"""How a batch stands, in the few words that people use for it, and the row of a list of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sat_hook.application.batch_starts import last_run_of
from sat_hook.application.errors import RunsError
from sat_hook.application.installation import Installation
from sat_hook.application.runs import BATCH_DAG, Runs
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.order_state import ENDED_UNSENT, OrderState
from sat_hook.domain.people import user_named
from sat_hook.store.batch_lists import BatchCounts, BatchFilter, FoundBatch
from sat_hook.store.event_store import NEEDING_STATES

MAXIMUM_LOOKED_UP = 50
"""Batches whose last run is looked up for one request. Of more batches that no run works on, the others are
not called stopped."""


class BatchStanding(StrEnum):
    """How a batch stands."""

    SCHEDULED = "scheduled"
    CHECKING = "checking"
    AWAITING_APPROVAL = "awaiting_approval"
    SHORT_OF_FUNDS = "short_of_funds"
    PAYING = "paying"
    STOPPED = "stopped"
    COMPLETE = "complete"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"
    REFUSED = "refused"


def awaits_approval(batch: Batch) -> bool:
    """Whether a person must approve or reject the batch before more of it is paid."""
    return (
        batch.state is BatchState.QUOTED
        and batch.rejecter is None
        and batch.withdrawn is None
        and batch.asked_for is not None
        and batch.asked_for != batch.approved
    )


@dataclass(slots=True)
class StoppedBatches:
    """Tells which batches have stopped: orders are left to send, and their last run has ended.

    It failed, or a person released orders afterwards. Serves one request, so Airflow is asked once. Where
    Airflow does not answer, no batch counts as stopped.

    :param runs: of the person who asks.
    """

    installation: Installation
    runs: Runs
    _known: dict[str, bool] = field(default_factory=dict)
    _at_work: frozenset[Any] | None = None

    def among(self, found: Sequence[FoundBatch], counts: Mapping[str, BatchCounts]) -> frozenset[str]:
        """Those of the batches that have stopped, by id."""
        batches = [one.batch for one in found]
        idle = [batch.batch_id for batch in batches if _may_have_stopped(batch, counts[batch.batch_id])]
        try:
            return frozenset(batch_id for batch_id in idle if self._has_stopped(batch_id))
        except RunsError:
            return frozenset()

    def _has_stopped(self, batch_id: str) -> bool:
        if self._at_work is None:
            under_way = self.runs.under_way(BATCH_DAG)
            # Of very many runs only the newest, which the log may not have yet. The log has the others.
            self._at_work = frozenset(run.conf.get("batch_id") for run in under_way)
        if batch_id in self._at_work:
            return False
        if batch_id not in self._known and len(self._known) < MAXIMUM_LOOKED_UP:
            run = last_run_of(self.installation.store(), batch_id, self.runs)
            self._known[batch_id] = run is not None and run.state.is_final
        return self._known.get(batch_id, False)


def _may_have_stopped(batch: Batch, counts: BatchCounts) -> bool:
    """Whether only its run is missing: no person has to answer first, and there is more to send."""
    if batch.state.is_final or batch.withdrawn is not None or batch.rejecter is not None:
        return False
    if awaits_approval(batch):
        return False
    if batch.state is BatchState.SUBMITTED:
        return True
    return any(count.state in (OrderState.RECEIVED, OrderState.QUOTED) for count in counts.states)


def standing_of(
    batch: Batch, counts: BatchCounts, available_rupiah: int | None, *, has_stopped: bool
) -> BatchStanding:
    """How a batch stands.

    :param available_rupiah: what is free of its account's deposit; None when that is not known.
    :param has_stopped: see :class:`StoppedBatches`.
    """
    if has_stopped:
        return BatchStanding.STOPPED
    if batch.withdrawn is not None:
        return BatchStanding.WITHDRAWN
    if batch.rejecter is not None:
        return BatchStanding.REJECTED
    match batch.state:
        case BatchState.REFUSED:
            return BatchStanding.REFUSED
        case BatchState.COMPLETED:
            return BatchStanding.COMPLETE
        case BatchState.QUOTED:
            if awaits_approval(batch):
                return BatchStanding.AWAITING_APPROVAL
            if available_rupiah is not None and counts.unreserved_rupiah > max(0, available_rupiah):
                return BatchStanding.SHORT_OF_FUNDS
            return BatchStanding.PAYING
        case BatchState.SUBMITTED if batch.starts_at is not None and not batch.last_row_read:
            return BatchStanding.SCHEDULED
        case _:
            return BatchStanding.CHECKING


_STATES: Mapping[BatchStanding, tuple[BatchState, ...]] = {
    BatchStanding.SCHEDULED: (BatchState.SUBMITTED,),
    BatchStanding.CHECKING: (BatchState.SUBMITTED, BatchState.RECEIVED, BatchState.VALIDATED),
    BatchStanding.AWAITING_APPROVAL: (BatchState.QUOTED,),
    BatchStanding.SHORT_OF_FUNDS: (BatchState.QUOTED,),
    BatchStanding.PAYING: (BatchState.QUOTED,),
    BatchStanding.STOPPED: (
        BatchState.SUBMITTED,
        BatchState.RECEIVED,
        BatchState.VALIDATED,
        BatchState.QUOTED,
    ),
    BatchStanding.COMPLETE: (BatchState.COMPLETED,),
    BatchStanding.REFUSED: (BatchState.REFUSED,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchQuery:
    """Selects batches. None selects all. ``since`` and ``before`` are moments (aware).

    :param text: a part of the file's name or of the reference.
    :param maker: the user who submitted it.
    """

    text: str | None = None
    standing: BatchStanding | None = None
    maker: str | None = None
    account: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def filter(self, account: str | None) -> BatchFilter:
        """What of it the database finds: every batch that may stand so.

        :param account: the account's name in the log.
        """
        standing = self.standing
        return BatchFilter(
            account=account,
            submitted_by=None if self.maker is None else f"user:{self.maker}",
            text=self.text,
            since=self.since,
            before=self.before,
            states=None if standing is None else _STATES.get(standing),
            is_withdrawn=None if standing is None else standing is BatchStanding.WITHDRAWN,
            # A batch that was rejected may also be withdrawn.
            is_rejected=(
                None if standing in (None, BatchStanding.WITHDRAWN) else standing is BatchStanding.REJECTED
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """A batch as a list shows it. Rupiah.

    :param maker: the user who submitted it; None when a service did.
    :param state: how far its run has come.
    :param starts_at: when its run shall begin, if that was planned.
    :param rows: the rows that were read: orders, and rows that became none.
    :param set_aside: rows that became no orders.
    :param orders: how many orders are in each state; states without one are left out.
    :param quoted_rupiah: the quotes of its orders, but for those that were rejected or cancelled.
    :param paid_rupiah: what SAT charged for the orders that succeeded.
    :param run_paid_rupiah: what of it was known when its run ended; None before that.
    :param needs_rows: the rows that need a person: refused, rejected, held or escalated.
    """

    batch_id: str
    file_name: str
    reference: str
    maker: str | None
    submitted_at: datetime
    account: str
    standing: BatchStanding
    state: BatchState
    starts_at: datetime | None
    rows: int
    set_aside: int
    orders: Mapping[OrderState, int]
    quoted_rupiah: int
    paid_rupiah: int
    run_paid_rupiah: int | None
    needs_rows: int


def row_of(
    found: FoundBatch,
    counts: BatchCounts,
    refused_rows: int,
    available_rupiah: int | None,
    *,
    has_stopped: bool,
) -> BatchRow:
    batch = found.batch
    orders = {count.state: count.orders for count in counts.states}
    return BatchRow(
        batch_id=batch.batch_id,
        file_name=batch.file_name,
        reference=batch.reference,
        maker=user_named(found.submitted_by),
        submitted_at=found.submitted_at,
        account=batch.account,
        standing=standing_of(batch, counts, available_rupiah, has_stopped=has_stopped),
        state=batch.state,
        starts_at=batch.starts_at,
        set_aside=batch.set_aside,
        rows=max(batch.rows, sum(orders.values())),
        orders=orders,
        quoted_rupiah=sum(count.quoted_rupiah for count in counts.states if count.state not in ENDED_UNSENT),
        paid_rupiah=sum(
            count.charged_rupiah for count in counts.states if count.state is OrderState.SUCCEEDED
        ),
        run_paid_rupiah=batch.charged_rupiah,
        needs_rows=refused_rows + sum(orders.get(state, 0) for state in NEEDING_STATES),
    )
