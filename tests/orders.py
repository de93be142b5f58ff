"""Orders, batches and changes for tests, made from the same few facts everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sat_hook.domain import batch_events, order_events
from sat_hook.domain.batch import Batch, evolve_batch
from sat_hook.domain.event_record import Event, Provenance, StreamId, StreamKind
from sat_hook.domain.identity import batch_id_of, payload_digest, request_id_of
from sat_hook.domain.order import Order
from sat_hook.store.event_store import Change, StatusEvidence

T0 = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)
ACCOUNT = "demo"
BATCH = batch_id_of(ACCOUNT, "a batch")
BY_TEST = Provenance("service:tests", "test")


class ManualClock:
    """A clock that moves only when told to; both of its readings move together."""

    def __init__(self, start: datetime = T0) -> None:
        self._now = start
        self._boot = 1000.0

    def now(self) -> datetime:
        return self._now

    def boottime_seconds(self) -> float:
        return self._boot

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._now += timedelta(seconds=seconds)
        self._boot += seconds

    def set_back(self, seconds: float) -> None:
        """Set the wall clock back; the other one goes on."""
        self._now -= timedelta(seconds=seconds)


def received(number: int = 1, *, batch_id: str = BATCH, account: str = ACCOUNT) -> order_events.OrderReceived:
    """The event that begins order ``number``."""
    return order_events.OrderReceived(
        account=account,
        order_id=f"order-{number}",
        batch_id=batch_id,
        row_number=number,
        product_code="50k-simpati",
        client_number=f"08121{number:06d}",
        amount_rupiah=None,
        max_rupiah=None,
        downline_id=None,
        fields=(),
        payload_digest=payload_digest("50k-simpati", f"08121{number:06d}", None, None, None, ()),
    )


def stream_of(number: int = 1, account: str = ACCOUNT) -> StreamId:
    """The stream of order ``number``."""
    return StreamId(StreamKind.ORDER, request_id_of(account, f"order-{number}"))


def change_of(
    order: Order | None, number: int, *events: Event, evidence: tuple[StatusEvidence, ...] = ()
) -> Change:
    """A change that appends ``events`` to order ``number``, which stands at ``order``."""
    return Change.of_order(stream_of(number).key, order, events, T0, evidence)


def submitted(batch_id: str = BATCH, account: str = ACCOUNT) -> Change:
    """A change that begins a batch."""
    event = batch_events.BatchSubmitted(
        account=account,
        reference="a batch",
        source=batch_events.BatchSource.FILE,
        file_name="orders.csv",
        spool_uri="file:///spool/orders.csv",
        digest="0" * 64,
        size_bytes=10,
    )
    batch: Batch = evolve_batch(None, batch_id, event)
    return Change(StreamId(StreamKind.BATCH, batch_id), 0, (event,), batch)
