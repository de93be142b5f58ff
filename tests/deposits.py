"""Quoted batches that want funds, and looks at deposits, for tests of reserving."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sat_hook.domain import batch_events, order_events
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_decisions import BATCH_DECIDER
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.identity import batch_id_of, payload_digest, request_id_of
from sat_hook.store.event_store import Change, EventStore
from tests.orders import ACCOUNT, BY_TEST, T0

FAR_AWAY = T0 + timedelta(days=30)


def seen(saldo_rupiah: int, at: datetime = T0, account: str = ACCOUNT) -> BalanceObservation:
    """A look at the deposit that took no time."""
    return BalanceObservation(account, saldo_rupiah, at, at)


def quoted_batch(
    store: EventStore, reference: str, prices_rupiah: Sequence[int], account: str = ACCOUNT
) -> str:
    """Append a batch whose orders, from row 2 on, are quoted at these prices; returns its id."""
    batch_id = batch_id_of(account, reference)
    changes = [
        _order(batch_id, reference, row, price, account) for row, price in enumerate(prices_rupiah, start=2)
    ]
    events = (
        batch_events.BatchSubmitted(
            account=account,
            reference=reference,
            source=batch_events.BatchSource.FILE,
            file_name=f"{reference}.csv",
            spool_uri="file:///spool/orders.csv",
            digest="0" * 64,
            size_bytes=10,
        ),
        batch_events.BatchReceived(rows=len(changes) + 1, orders=len(changes), set_aside=0),
        batch_events.BatchValidated(valid=len(changes), rejected=0),
        batch_events.BatchQuoted(quoted=len(changes), rejected=0, total_rupiah=sum(prices_rupiah)),
    )
    after: Batch | None = BATCH_DECIDER.fold(batch_id, ((event, T0) for event in events))
    assert after is not None
    changes.append(Change(StreamId(StreamKind.BATCH, batch_id), 0, events, after))
    assert store.append(changes, BY_TEST, T0) == frozenset()
    return batch_id


def order_of(reference: str, row_number: int, account: str = ACCOUNT) -> str:
    """The request id of a row of :func:`quoted_batch`."""
    return request_id_of(account, f"{reference}-{row_number}")


def _order(batch_id: str, reference: str, row: int, price: int, account: str) -> Change:
    number = f"0812{row:08d}"
    key = order_of(reference, row, account)
    events = (
        order_events.OrderReceived(
            account=account,
            order_id=f"{reference}-{row}",
            batch_id=batch_id,
            row_number=row,
            product_code="50k-simpati",
            client_number=number,
            amount_rupiah=None,
            max_rupiah=None,
            downline_id=None,
            fields=(),
            payload_digest=payload_digest("50k-simpati", number, None, None, None, ()),
        ),
        order_events.OrderValidated(is_inquiry=False, list_price_rupiah=price),
        order_events.OrderQuoted(
            price_rupiah=price,
            source=order_events.QuoteSource.CATALOGUE,
            admin_fee_rupiah=None,
            valid_until=FAR_AWAY,
        ),
    )
    return Change.of_order(key, None, events, T0)
