"""Reads lists of batches, and how the orders of each stand.

Every statement reads a bounded number of rows by an index, however many batches there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.order_state import OrderState
from sat_hook.store.event_store import StateCount
from sat_hook.store.log import recorded_from_row
from sat_hook.store.statements import Statements


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFilter:
    """Selects batches. None selects all.

    :param text: a part of the file's name or of the reference.
    :param submitted_by: the actor who submitted it.
    """

    account: str | None = None
    submitted_by: str | None = None
    text: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    states: tuple[BatchState, ...] | None = None
    is_withdrawn: bool | None = None
    is_rejected: bool | None = None


class FoundBatch(NamedTuple):
    """A batch of a list, with the actor who submitted it."""

    batch: Batch
    submitted_by: str
    submitted_at: datetime


class BatchPlace(NamedTuple):
    """Where in the list of batches a batch is."""

    submitted_at: datetime
    batch_id: str


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How the orders of a batch stand.

    :param states: in the order of the states; a state without an order is left out.
    :param unreserved_rupiah: the quotes of its orders for which no funds are reserved.
    :param settled: how many orders SAT has settled, by a signed status, since the moment that was asked for.
    :param first_settled_at: when the first of those was settled; None when there is none.
    """

    states: tuple[StateCount, ...] = ()
    unreserved_rupiah: int = 0
    settled: int = 0
    first_settled_at: datetime | None = None


class BatchLists(Statements, room="batch_lists"):
    """Reads with any role that may read."""

    def batches(self, which: BatchFilter, after: BatchPlace | None, limit: int) -> list[FoundBatch]:
        """A page of batches, the newest first."""
        rows = self._run(
            self._sql.batches,
            account=which.account,
            submitted_by=which.submitted_by,
            text=which.text,
            since=which.since,
            before=which.before,
            states=None if which.states is None else [state.value for state in which.states],
            withdrawn=which.is_withdrawn,
            rejected=which.is_rejected,
            after_at=None if after is None else after.submitted_at,
            after_id=None if after is None else after.batch_id,
            limit=limit,
        )
        return [_found_batch(row) for row in rows]

    def batches_of(self, batch_ids: Sequence[str]) -> dict[str, FoundBatch]:
        """The batches that exist, by id."""
        rows = self._run(self._sql.batches_of, batch_ids=list(batch_ids))
        return {row[0]: _found_batch(row) for row in rows}

    def open_batches(self) -> list[FoundBatch]:
        """The batches that have not ended: being checked, waiting for a person or for funds, being paid."""
        return [_found_batch(row) for row in self._run(self._sql.open_batches)]

    def batches_paying_again(self, batch_id: str) -> list[FoundBatch]:
        """The batches that pay failed orders of this batch again, the first submitted first."""
        return [_found_batch(row) for row in self._run(self._sql.batches_paying_again, batch_id=batch_id)]

    def counts(
        self, batch_ids: Sequence[str], settled_since: datetime | None = None
    ) -> dict[str, BatchCounts]:
        """How the orders of each batch stand.

        :param settled_since: from when on to count settled orders; None counts none.
        """
        found: dict[str, list[tuple[Any, ...]]] = {batch_id: [] for batch_id in batch_ids}
        for batch_id, *counts in self._run(
            self._sql.order_counts, batch_ids=list(batch_ids), since=settled_since
        ):
            found[batch_id].append(tuple(counts))
        return {batch_id: _counts(rows) for batch_id, rows in found.items()}

    def refused_rows(self, batch_ids: Sequence[str]) -> dict[str, int]:
        """How many rows of each batch became no order, and are no other batch's order either."""
        streams = [str(StreamId(StreamKind.BATCH, batch_id)) for batch_id in batch_ids]
        return {batch_id: int(rows) for batch_id, rows in self._run(self._sql.refused_rows, streams=streams)}

    def batch_events(self, batch_id: str) -> list[RecordedEvent]:
        """The events of a batch, without those that say which rows it took in."""
        stream = str(StreamId(StreamKind.BATCH, batch_id))
        return [recorded_from_row(row) for row in self._run(self._sql.batch_events, stream=stream)]


def _counts(rows: Sequence[tuple[Any, ...]]) -> BatchCounts:
    place = {state: number for number, state in enumerate(OrderState)}
    counts = [StateCount(OrderState(state), *sums) for state, *sums, _, _, _ in rows]
    settled = [row for row in rows if OrderState(row[0]).is_signed_end]
    return BatchCounts(
        tuple(sorted(counts, key=lambda count: place[count.state])),
        unreserved_rupiah=sum(row[-3] for row in rows),
        settled=sum(row[-2] for row in settled),
        first_settled_at=min((row[-1] for row in settled if row[-1] is not None), default=None),
    )


def _found_batch(row: Sequence[Any]) -> FoundBatch:
    return FoundBatch(Batch.model_validate(row[1]), row[2], row[3])
