"""Delivery: the only way to read vouchers and serials. An authorised user asks, and it is recorded first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import GoodsDelivered
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import grouped
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.ports import Clock
from sat_hook.domain.same_order import differing_members
from sat_hook.pipeline.errors import BatchStoppedError, OrderFileError
from sat_hook.pipeline.result_rows import SubmittedRows
from sat_hook.presentation.text_tables import TableFormat, TextTable
from sat_hook.protocol.messages import OrderDetail, parse_order
from sat_hook.store.errors import SpoolError
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import SpoolReader

DELIVERY_COLUMNS = ("order_id", "row", "product_code", "client_number", "voucher_code", "serial_number")
_TABLE = TextTable("goods", DELIVERY_COLUMNS, (22, 8, 28, 22, 30, 30))


def goods_file(rows: Iterable[Sequence[str]], file_format: TableFormat, delimiter: str) -> bytes:
    """The file; ``rows`` have cells for ``DELIVERY_COLUMNS``. What would run as a formula is text.

    :param delimiter: of the CSV.
    """
    return _TABLE.content(rows, as_workbook=file_format is TableFormat.XLSX, delimiter=delimiter)


class GoodsCount(NamedTuple):
    """How many orders of a batch have succeeded, and how many of them have a voucher or a serial."""

    orders: int = 0
    vouchers: int = 0
    serials: int = 0


def deliver(
    store: PostgresEventStore,
    batch_id: str,
    *,
    reason: str,
    provenance: Provenance,
    clock: Clock,
    file_format: TableFormat = TableFormat.CSV,
    spool: SpoolReader | None = None,
) -> bytes:
    """The goods of the batch's succeeded orders as a file.

    SAT's text stays text in a spreadsheet: text that would run as a formula gets an apostrophe in front.
    The delivery is recorded before the goods leave, so the log names the user even if the response is
    lost on its way.

    :param spool: of submissions, for the separator of the submitted file; without it CSV has commas.
    :raises BatchNotFoundError: when there is no such batch.
    :raises BatchStoppedError: when nothing has succeeded yet.
    :raises OverrideRefusedError: when no reason is given.
    """
    reason = checked_reason(reason)
    batch = load_batch(store, batch_id)
    succeeded = list(each_order(store, OrderSlice(batch_id, (OrderState.SUCCEEDED,))))
    if not succeeded:
        raise BatchStoppedError(f"batch {batch_id} has no succeeded order, so there is nothing to deliver")
    delivered = GoodsDelivered(orders=len(succeeded), reason=reason)
    CommandHandler(store, clock).apply_to_batch(batch_id, Record(delivered), provenance)
    rows = (
        (
            order.order_id,
            str(order.row_number),
            order.product_code,
            order.client_number,
            (goods.voucher_code or "") if goods else "",
            (goods.serial_number or "") if goods else "",
        )
        for order, goods in _goods_of(store, succeeded)
    )
    return goods_file(rows, file_format, delimiter_of(spool, batch))


def count_goods(store: PostgresEventStore, batch_id: str) -> GoodsCount:
    """How much a delivery of the batch would hold. Reads the goods, and returns numbers only."""
    count = GoodsCount()
    for _, goods in _goods_of(store, each_order(store, OrderSlice(batch_id, (OrderState.SUCCEEDED,)))):
        count = GoodsCount(
            count.orders + 1,
            count.vouchers + bool(goods and goods.voucher_code),
            count.serials + bool(goods and goods.serial_number),
        )
    return count


def _goods_of(
    store: PostgresEventStore, orders: Iterable[Order]
) -> Iterator[tuple[Order, OrderDetail | None]]:
    for group in grouped(orders):
        proofs = store.status_evidence([order.evidence_digest or "" for order in group])
        for order in group:
            proof = proofs.get(order.evidence_digest or "")
            goods = parse_order(proof.encode("utf-8")) if proof is not None else None
            yield order, None if goods is not None and _is_about_another(order, goods) else goods


def delimiter_of(spool: SpoolReader | None, batch: Batch) -> str:
    """The separator of the submitted file, which its submitter's spreadsheet reads; else a comma."""
    try:
        return "," if spool is None else SubmittedRows(spool, batch).delimiter
    except (SpoolError, OrderFileError):
        return ","


def _is_about_another(order: Order, goods: OrderDetail) -> bool:
    """Whether these goods belong to another order: logs of earlier releases may rest on such a status."""
    return bool(
        differing_members(order.product_code, order.client_number, goods.product_code, goods.client_number)
    )
