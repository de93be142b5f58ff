"""A batch with its orders counted by state, and the rows that need a person, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sat_hook.commands.handler import load_batch
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.order_state import NOT_PAID, OrderState
from sat_hook.domain.rupiah import rupiah
from sat_hook.store.event_store import BatchReader, Need, StateCount

FOR_PEOPLE = frozenset({OrderState.HELD, OrderState.ESCALATED})
_VERBS = {"refused": "", "rejected": "", "held": "held for ", "escalated": "escalated: "}


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """The state of a batch. Rupiah; ``charged_rupiah`` counts succeeded orders."""

    batch: Batch
    counts: tuple[StateCount, ...]
    needs: tuple[Need, ...] = ()

    @property
    def moved_on(self) -> int:
        """Orders that were rejected here and now belong to a later batch that received them again."""
        if self.batch.state is BatchState.SUBMITTED:
            return 0
        return self.batch.orders - self.orders

    @property
    def rows(self) -> int:
        """The submitted rows: those that became orders and those that did not."""
        return max(self.batch.rows, self.orders)

    @property
    def orders(self) -> int:
        return sum(count.orders for count in self.counts)

    @property
    def rows_in_need(self) -> int:
        return sum(need.rows for need in self.needs)

    @property
    def needs_in_words(self) -> str:
        """How many rows need a person, and why; empty when none does."""
        return needs_in_words(self.rows, self.needs)

    @property
    def charged_rupiah(self) -> int:
        """The cost of the succeeded orders."""
        return sum(count.charged_rupiah for count in self.counts if count.state is OrderState.SUCCEEDED)

    def orders_in(self, *states: OrderState) -> int:
        """The number of orders in one of ``states``."""
        return sum(count.orders for count in self.counts if count.state in states)

    @property
    def orders_by_state(self) -> dict[str, int]:
        """The number of orders in each state, by its name; states without orders are left out."""
        return {count.state.value: count.orders for count in self.counts}

    @property
    def outcome_in_words(self) -> str:
        """The file, and how many orders are paid, not paid, wait for a person, or go on."""
        counts = [
            (self.orders_in(OrderState.SUCCEEDED), f"paid ({rupiah(self.charged_rupiah)})"),
            (self.orders_in(*NOT_PAID), "not paid"),
            (self.for_people, "waiting for a person"),
            (self.in_flight, "under way at SAT"),
            (self.unsent, "not sent yet"),
        ]
        said = [f"{orders:,} {words}" for orders, words in counts if orders] or ["nothing to pay"]
        aside = [f"{self.batch.set_aside:,} set aside"] if self.batch.set_aside else []
        return f"{self.batch.file_name}: {', '.join([*said, *aside])}"

    @property
    def unsent(self) -> int:
        """Orders that can still be sent."""
        return self.orders_in(OrderState.RECEIVED, OrderState.QUOTED)

    @property
    def ended(self) -> int:
        return sum(count.orders for count in self.counts if count.state.is_final)

    @property
    def for_people(self) -> int:
        """Orders that wait for a person's decision: held or escalated."""
        return self.orders_in(*FOR_PEOPLE)

    @property
    def in_flight(self) -> int:
        """Orders in flight: sent, and not ended yet."""
        return sum(count.orders for count in self.counts if count.state.is_in_flight)

    @property
    def is_complete(self) -> bool:
        """True when the pipeline has nothing left to do by itself."""
        return self.batch.state is not BatchState.SUBMITTED and not self.unsent and not self.in_flight


def summarise(store: BatchReader, batch_id: str) -> BatchSummary:
    """The state of a batch's orders, now or in the past; raises BatchNotFoundError."""
    batch = load_batch(store, batch_id)
    return BatchSummary(batch, tuple(store.count_by_state(batch_id)), store.needs([batch_id])[batch_id])


def needs_in_words(rows: int, needs: Iterable[Need]) -> str:
    """``25 of 29 rows need you: 13 missing_value, 12 unknown_product``; empty when no row does.

    :param rows: how many the batch has.
    """
    found = tuple(needs)
    if not found:
        return ""
    wanting = sum(need.rows for need in found)
    subject = f"{wanting:,} of {rows:,} rows {'needs' if wanting == 1 else 'need'} you"
    return f"{subject}: {', '.join(map(_reason, found))}"


def _reason(need: Need) -> str:
    return f"{need.rows:,} {_VERBS.get(need.standing, '')}{need.code or need.standing}"
