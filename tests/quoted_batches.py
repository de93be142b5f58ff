"""Batches of quoted orders, made through the command handler as the steps before the guards make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest
from sat_hook.domain.batch_commands import CloseIntake, Submit
from sat_hook.domain.batch_events import BatchQuoted, BatchSource, BatchSubmitted, BatchValidated, RowsTakenIn
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import batch_id_of, payload_digest, request_id_of
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import Quote, Receive, Validate
from sat_hook.domain.order_events import OrderReceived, QuoteSource
from sat_hook.store.event_store import OrderSlice, each_order
from tests.orders import ACCOUNT, BY_TEST


@dataclass(frozen=True)
class Row:
    """What one row orders. Rupiah."""

    client_number: str = "081211000001"
    price_rupiah: int = 52_000
    product_code: str = "50k-simpati"
    amount_rupiah: int | None = None
    is_inquiry: bool = False


def quoted_batch(
    handler: CommandHandler,
    reference: str,
    rows: Sequence[Row],
    *,
    maker: Provenance = BY_TEST,
    account: str = ACCOUNT,
) -> str:
    """A batch whose orders have their prices and wait to be guarded; returns its id."""
    batch_id = batch_id_of(account, reference)
    submitted = BatchSubmitted(
        account=account,
        reference=reference,
        source=BatchSource.FILE,
        file_name=f"{reference}.csv",
        spool_uri=f"file:///spool/{reference}.csv",
        digest="0" * 64,
        size_bytes=10,
    )
    handler.apply_to_batch(batch_id, Submit(submitted), maker)
    received = [_received(batch_id, account, reference, number, row) for number, row in enumerate(rows, 2)]
    ids = [request_id_of(account, event.order_id) for event in received]
    handler.apply([OrderCommandRequest(i, Receive(e)) for i, e in zip(ids, received, strict=True)], BY_TEST)
    taken = RowsTakenIn(first_row=1, last_row=len(rows) + 1, orders=len(rows), set_aside=())
    handler.apply_to_batch(batch_id, Record(taken), BY_TEST)
    handler.apply_to_batch(batch_id, CloseIntake(), BY_TEST)
    validated = [
        OrderCommandRequest(i, Validate(row.is_inquiry, row.price_rupiah))
        for i, row in zip(ids, rows, strict=True)
    ]
    handler.apply(validated, BY_TEST)
    handler.apply_to_batch(batch_id, Record(BatchValidated(valid=len(rows), rejected=0)), BY_TEST)
    until = handler.clock.now() + timedelta(minutes=30)
    quotes = [
        OrderCommandRequest(i, Quote(row.price_rupiah, QuoteSource.CATALOGUE, None, until))
        for i, row in zip(ids, rows, strict=True)
    ]
    handler.apply(quotes, BY_TEST)
    total = sum(row.price_rupiah for row in rows)
    quoted = BatchQuoted(quoted=len(rows), rejected=0, total_rupiah=total)
    handler.apply_to_batch(batch_id, Record(quoted), BY_TEST)
    return batch_id


def orders_of(handler: CommandHandler, batch_id: str) -> list[Order]:
    """The batch's orders, by row."""
    return list(each_order(handler.store, OrderSlice(batch_id)))


def _received(batch_id: str, account: str, reference: str, row_number: int, row: Row) -> OrderReceived:
    return OrderReceived(
        account=account,
        order_id=f"{reference}-{row_number}",
        batch_id=batch_id,
        row_number=row_number,
        product_code=row.product_code,
        client_number=row.client_number,
        amount_rupiah=row.amount_rupiah,
        max_rupiah=None,
        downline_id=None,
        fields=(),
        payload_digest=payload_digest(row.product_code, row.client_number, row.amount_rupiah, None, None, ()),
    )
