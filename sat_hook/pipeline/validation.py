"""Validation: check every order against the catalogue before any inquiry or payment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, load_batch
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_commands import RefuseBatch
from sat_hook.domain.batch_events import BatchValidated
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import grouped
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_commands import Reject, Validate
from sat_hook.domain.order_events import RejectionReason
from sat_hook.domain.pricing import CatalogueEntry, OrderedRow, SimilarCodes, judge_row
from sat_hook.pipeline.errors import BatchStoppedError
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.protocol.messages import Product
from sat_hook.store.event_store import OrderSlice, each_order


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The number of orders that go on, and of those that ended here."""

    batch: Batch
    valid: int
    rejected: int


def catalogue_of(products: Iterable[Product]) -> dict[str, CatalogueEntry]:
    """The product list for the rules, by code.

    A product that could not be read is listed with the reason, even when another line about it was readable.
    """
    catalogue: dict[str, CatalogueEntry] = {}
    for product in products:
        known = catalogue.get(product.code)
        if not product.code or (known is not None and known.unreadable):
            continue
        catalogue[product.code] = CatalogueEntry(
            code=product.code,
            price_rupiah=product.price_rupiah,
            is_inquiry=product.is_inquiry,
            is_active=product.is_active,
            status=int(product.status),
            unreadable=product.unreadable,
        )
    return catalogue


def validate_orders(
    handler: CommandHandler,
    batch_id: str,
    catalogue: Mapping[str, CatalogueEntry],
    provenance: Provenance,
    on_bad_rows: BadRowsPolicy = BadRowsPolicy.PROCEED,
) -> ValidationReport:
    """Validate every order of the batch that has no verdict yet.

    :raises BatchStoppedError: when rows are bad and the policy is to wait for a person.
    """
    batch = load_batch(handler.store, batch_id)
    if batch.state is BatchState.REFUSED:
        raise BatchStoppedError(f"batch {batch_id} was refused: {batch.refusal_message}")
    unjudged = (
        order
        for order in each_order(handler.store, OrderSlice(batch_id, (OrderState.RECEIVED,)))
        if order.is_inquiry is None
    )
    similar = SimilarCodes(catalogue)
    handler.apply_to_each(unjudged, lambda order: verdict_on(order, catalogue, similar), provenance)
    counts = {count.state: count.orders for count in handler.store.count_by_state(batch_id)}
    rejected = counts.get(OrderState.REJECTED, 0)
    valid = sum(counts.values()) - rejected - counts.get(OrderState.CANCELLED, 0)
    bad = rejected + batch.set_aside
    if bad and on_bad_rows is BadRowsPolicy.REFUSE:
        batch = _refuse_batch(handler, batch, bad, provenance)
        return ValidationReport(batch, 0, sum(counts.values()))
    if bad and on_bad_rows is BadRowsPolicy.WAIT:
        raise BatchStoppedError(
            f"batch {batch_id} waits: {bad} of {batch.orders + batch.set_aside} rows are bad; run it again "
            "with on_bad_rows=proceed to pay the good ones"
        )
    validated = BatchValidated(valid=valid, rejected=rejected)
    batch, _ = handler.apply_to_batch(batch_id, Record(validated), provenance)
    return ValidationReport(batch, valid, rejected)


def verdict_on(
    row: OrderedRow, catalogue: Mapping[str, CatalogueEntry], similar: SimilarCodes
) -> Validate | Reject:
    """The catalogue's verdict on a row, as an order or as its first event."""
    entry = catalogue.get(row.product_code)
    rejection = judge_row(row, entry)
    if rejection is not None:
        meant = similar.to(row.product_code) if entry is None else None
        hint = f" (did you mean {meant!r}?)" if meant else ""
        return Reject(rejection.reason, f"{rejection.detail}{hint}")
    assert entry is not None
    return Validate(entry.is_inquiry, entry.price_rupiah or 0)


def _refuse_batch(handler: CommandHandler, batch: Batch, bad: int, provenance: Provenance) -> Batch:
    text = f"{bad} of {batch.orders + batch.set_aside} rows are bad and the policy is to refuse such a batch"
    waiting = each_order(handler.store, OrderSlice(batch.batch_id, (OrderState.RECEIVED, OrderState.QUOTED)))
    for group in grouped(list(waiting)):
        commands = [
            OrderCommandRequest(order.request_id, Reject(RejectionReason.BATCH_REFUSED, text))
            for order in group
        ]
        handler.apply(commands, provenance)
    refused, _ = handler.apply_to_batch(batch.batch_id, RefuseBatch("bad_rows", text), provenance)
    return refused
