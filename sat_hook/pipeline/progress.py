"""The progress of a batch: states, rate, estimated end and rupiah, for people who wait for it.

Everything comes from one read of the database, so the triggerer's log, the page and the command agree, and
no process needs to watch from the beginning.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

from sat_hook.commands.handler import load_batch
from sat_hook.domain.batch import Batch
from sat_hook.domain.business_day import business_day, to_the_minute
from sat_hook.domain.order_state import ENDED_UNSENT
from sat_hook.domain.ports import Clock
from sat_hook.domain.rupiah import rupiah
from sat_hook.pipeline.batch_summary import BatchSummary
from sat_hook.store.batch_lists import BatchCounts, BatchLists
from sat_hook.store.event_store import EventStore, Need

RATE_SECONDS = 300.0
PACE = timedelta(seconds=RATE_SECONDS)
"""The time of which the settled orders tell how fast a batch is."""
LEAST_RATE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class BatchProgress(BatchSummary):
    """A batch at one moment. Rupiah, UTC.

    :param settled: orders that SAT has settled within ``settled_seconds``, which is never longer than
        :data:`RATE_SECONDS`.
    """

    _: KW_ONLY
    settled: int
    settled_seconds: float
    looked_at: datetime

    @property
    def to_go(self) -> int:
        """Orders that the pipeline still works on: not sent yet, or in flight."""
        return self.orders - self.ended - self.for_people

    @property
    def quoted_rupiah(self) -> int:
        """The total cost of the orders that are, or may be, paid."""
        return sum(count.quoted_rupiah for count in self.counts if count.state not in ENDED_UNSENT)

    @property
    def per_minute(self) -> float | None:
        """Orders settled per minute recently; None when there were none."""
        if not self.settled:
            return None
        return self.settled * 60.0 / max(self.settled_seconds, LEAST_RATE_SECONDS)

    @property
    def ends_at(self) -> datetime | None:
        """The estimated end of the remaining orders at the current rate; None when it cannot be estimated."""
        rate = self.per_minute
        if rate is None or not self.to_go:
            return None
        return self.looked_at + timedelta(minutes=self.to_go / rate)


def progress_of(store: EventStore, lists: BatchLists, clock: Clock, batch_id: str) -> BatchProgress:
    """Read the batch's progress.

    :raises BatchNotFoundError: when there is none.
    :raises StoreUnavailableError: when the database is away.
    """
    # Read the batch first: counts read after its end are final too.
    batch = load_batch(store, batch_id)
    now = clock.now()
    counts = lists.counts([batch_id], now - PACE)[batch_id]
    return progress_at(batch, counts, store.needs([batch_id])[batch_id], now)


def progress_at(batch: Batch, counts: BatchCounts, needs: tuple[Need, ...], now: datetime) -> BatchProgress:
    """A batch's progress from what was read of it.

    :param counts: with the orders that were settled in the last :data:`PACE`.
    """
    settled_seconds = (now - (counts.first_settled_at or now)).total_seconds()
    return BatchProgress(
        batch,
        counts.states,
        needs,
        settled=counts.settled,
        settled_seconds=max(0.0, settled_seconds),
        looked_at=now,
    )


def in_words(progress: BatchProgress) -> str:
    """One line: ended orders, states of the others, rate, estimated end, cost."""
    states = ", ".join(f"{count.orders:,} {count.state.value}" for count in progress.counts) or "no orders"
    aside = f", {progress.batch.set_aside:,} set aside" if progress.batch.set_aside else ""
    parts = [f"{progress.ended:,} of {progress.orders:,} orders ended ({states}){aside}"]
    parts += [progress.needs_in_words] if progress.needs else []
    parts += [pace_in_words(progress)] if progress.to_go else []
    parts.append(f"paid {rupiah(progress.charged_rupiah)} of {rupiah(progress.quoted_rupiah)}")
    return "; ".join(parts)


def in_short(progress: BatchProgress) -> str:
    """One line to stand beside a bar for each state: the states are left out."""
    parts = [f"{progress.ended:,} of {progress.orders:,}"]
    parts += [pace_in_words(progress)] if progress.to_go else []
    parts += [progress.needs_in_words] if progress.needs else []
    parts.append(f"paid {rupiah(progress.charged_rupiah)} of {rupiah(progress.quoted_rupiah)}")
    return ", ".join(parts)


def pace_in_words(progress: BatchProgress) -> str:
    """The rate at which orders end, and the estimated end of the last."""
    if progress.to_go and not progress.in_flight and not progress.settled:
        return "none under way"
    if progress.per_minute is None or progress.ends_at is None:
        return f"none ended in the last {RATE_SECONDS / 60:.0f} minutes"
    rate = progress.per_minute
    said = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
    return f"{said} a minute, the last about {end_in_words(progress.ends_at, progress.looked_at)}"


def end_in_words(ends_at: datetime, now: datetime) -> str:
    """A time in Jakarta, with the date when it is not today."""
    day, _, time = to_the_minute(ends_at).partition(" ")
    return f"{time} WIB" if business_day(ends_at) == business_day(now) else f"{day} {time} WIB"
