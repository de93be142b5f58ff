"""Chunks: contiguous runs of rows, few and large, because a task costs more than an order."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.domain.order import OrderState
from sat_hook.store.event_store import EventStore, OrderSlice, each_order

MAXIMUM_CHUNKS = 256
WORTH_A_CHUNK = (OrderState.RECEIVED, OrderState.QUOTED)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows ``first_row`` to ``last_row``, both included, with ``orders`` orders that can be sent."""

    first_row: int
    last_row: int
    orders: int

    def of(self, batch_id: str) -> OrderSlice:
        return OrderSlice(batch_id, first_row=self.first_row, last_row=self.last_row)

    def as_dict(self) -> dict[str, int]:
        """The form passed between tasks."""
        return {"first_row": self.first_row, "last_row": self.last_row, "orders": self.orders}

    @classmethod
    def from_dict(cls, values: dict[str, int]) -> Chunk:
        """The chunk from the form passed between tasks."""
        return cls(values["first_row"], values["last_row"], values["orders"])


def plan_chunks(store: EventStore, batch_id: str, chunk_rows: int) -> list[Chunk]:
    """Split the orders that can still be sent into chunks of ``chunk_rows``, at most 256 chunks."""
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows: found {chunk_rows}; expected at least 1")
    rows = [o.row_number for o in each_order(store, OrderSlice(batch_id, WORTH_A_CHUNK))]
    size = max(chunk_rows, -(-len(rows) // MAXIMUM_CHUNKS))
    return [
        Chunk(rows[start], rows[min(start + size, len(rows)) - 1], min(size, len(rows) - start))
        for start in range(0, len(rows), size)
    ]
