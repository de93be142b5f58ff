"""Delivery: vouchers and serials leave only here, when an authorised user asks, and it is recorded first."""

from __future__ import annotations

import csv
import io

from sat_hook.domain.batch_commands import RecordDelivery
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.ports import Clock
from sat_hook.domain.recorded import Provenance
from sat_hook.domain.same_order import differing_members
from sat_hook.pipeline.overrides import checked_reason
from sat_hook.pipeline.resolver import Resolver, load_batch
from sat_hook.pipeline.spreadsheet_csv import neutral
from sat_hook.pipeline.trouble import BatchStoppedError
from sat_hook.protocol.messages import OrderDetail, parse_order
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.postgres import PostgresEventStore

DELIVERY_COLUMNS = ("order_id", "row", "product_code", "client_number", "voucher_code", "serial_number")
GROUP = 500


def deliver(
    store: PostgresEventStore, batch_id: str, *, reason: str, provenance: Provenance, clock: Clock
) -> bytes:
    """The goods of the batch's succeeded orders, as UTF-8 CSV.

    SAT's text is text for a spreadsheet, too: what would run as a formula has an apostrophe in front.
    The delivery is an event before the goods leave: whoever saw them stands in the log even if the answer
    was lost on its way.

    :raises BatchNotFoundError: when there is no such batch.
    :raises BatchStoppedError: when nothing has succeeded yet.
    :raises OverrideRefusedError: when no reason is given.
    """
    reason = checked_reason(reason)
    load_batch(store, batch_id)
    succeeded = list(each_order(store, OrderSlice(batch_id, (OrderState.SUCCEEDED,))))
    if not succeeded:
        raise BatchStoppedError(f"batch {batch_id} has no succeeded order, so there is nothing to deliver")
    Resolver(store, clock).apply_to_batch(batch_id, RecordDelivery(len(succeeded), reason), provenance)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(DELIVERY_COLUMNS)
    for start in range(0, len(succeeded), GROUP):
        group = succeeded[start : start + GROUP]
        proofs = store.status_evidence([order.evidence_digest or "" for order in group])
        for order in group:
            proof = proofs.get(order.evidence_digest or "")
            goods = parse_order(proof.encode("utf-8")) if proof is not None else None
            if goods is not None and _is_about_another(order, goods):
                goods = None
            writer.writerow(
                (
                    order.order_id,
                    order.row_number,
                    order.product_code,
                    order.client_number,
                    neutral(goods.voucher_code or "") if goods else "",
                    neutral(goods.serial_number or "") if goods else "",
                )
            )
    return out.getvalue().encode("utf-8-sig")


def _is_about_another(order: Order, goods: OrderDetail) -> bool:
    """Whether these are somebody else's goods: logs of earlier releases may rest on such a status."""
    return bool(
        differing_members(order.product_code, order.client_number, goods.product_code, goods.client_number)
    )
