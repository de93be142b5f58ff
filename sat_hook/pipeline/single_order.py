"""One order for another team's DAG: a batch of one row that takes the same steps as every batch.

Intents, request ids, funds, guards, pauses and restarts therefore need no second implementation: the same
steps submit, read, price, guard, reserve and send a single order, and each can be repeated.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.batch import BatchState
from sat_hook.domain.batch_events import BatchSource, RowVerdict
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.masking import MASK, masked_person
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.errors import OrderNotFoundError, OrderNotTakenError
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import FileLimits
from sat_hook.pipeline.order_problems import FIELD_PREFIX
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.pipeline.results import VERDICTS, complete, rows_set_aside
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.submission import Submission, submit
from sat_hook.protocol.outcomes import StatusOutcome
from sat_hook.store.event_store import EventStore
from sat_hook.store.spool import Spool

# SAT prints a customer's name in capitals, or after one of these words.
_IN_WORDS_OF_SAT = frozenset({OrderState.FAILED, OrderState.REVERSED})


@dataclass(frozen=True, slots=True, repr=False)
class SingleOrder:
    """The order, with the columns of an order file. Rupiah."""

    order_id: str
    product_code: str
    client_number: str
    max_rupiah: int
    amount_rupiah: int | None = None
    downline_id: str | None = None
    fields: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"SingleOrder(order_id={self.order_id!r}, product_code={self.product_code!r})"

    def as_file(self) -> bytes:
        """A CSV file with one row; the same order gives the same bytes."""
        cells: dict[str, object] = {
            "order_id": self.order_id,
            "product_code": self.product_code,
            "client_number": self.client_number,
            "amount_rupiah": self.amount_rupiah,
            "max_rupiah": self.max_rupiah,
            "downline_id": self.downline_id,
            **{f"{FIELD_PREFIX}{name}": value for name, value in sorted(self.fields)},
        }
        given = {name: str(value) for name, value in cells.items() if value is not None}
        out = io.StringIO(newline="")
        writer = csv.writer(out, quoting=csv.QUOTE_ALL)
        writer.writerows((given.keys(), given.values()))
        return out.getvalue().encode("utf-8")


def submit_single(
    store: EventStore,
    spool: Spool,
    clock: Clock,
    account: str,
    wanted: SingleOrder,
    provenance: Provenance,
    limits: FileLimits,
) -> Submission:
    """Register the order's one-row batch; the same order again is the same batch.

    :raises SubmissionRefusedError: when its order id has control characters.
    """
    return submit(
        store,
        spool,
        clock,
        account=account,
        reference=None,
        source=BatchSource.OPERATOR,
        file_name=f"{wanted.order_id}.csv",
        content=wanted.as_file(),
        provenance=provenance,
        limits=limits,
    )


def take_single(
    handler: CommandHandler,
    spool: Spool,
    batch_id: str,
    wanted: SingleOrder,
    provenance: Provenance,
    limits: FileLimits,
) -> Order:
    """The order's current state. It is created here unless this batch or another created it before.

    :raises OrderNotTakenError: when the row cannot become an order, or its order id stands for another order.
    """
    batch = take_in(handler, spool, batch_id, provenance, limits=limits).batch
    if batch.state is BatchState.REFUSED and not batch.orders:
        raise OrderNotTakenError(f"order {wanted.order_id!r}: {batch.refusal_message}")
    for item in rows_set_aside(handler.store, batch_id):
        # The same order from another batch is that order; any other row did not become an order.
        if item.verdict is RowVerdict.REFUSED:
            raise OrderNotTakenError(item.message)
    return load_order(handler.store, request_id_of(batch.account, wanted.order_id))


def load_order(store: EventStore, request_id: str) -> Order:
    """The order; raises OrderNotFoundError when there is none."""
    order = store.load_orders([request_id]).get(request_id)
    if order is None:
        raise OrderNotFoundError(f"there is no order with request id {request_id}")
    return order


async def ask_now(
    handler: CommandHandler, sat: SATApi, request_id: str, provenance: Provenance
) -> tuple[StatusOutcome, Order | None]:
    """Query one order's status and record what the answer proves; the order is None when it is not ours."""

    def load() -> Order | None:
        return handler.orders_before_asking([request_id]).get(request_id)

    before = await handler.offload(load)
    asked_at = handler.clock.now()
    outcome = await sat.ask_status(request_id)
    ask = status_command(request_id, outcome, asked_at, before)

    def record() -> Order | None:
        order = load()
        if order is None or ask is None:
            return order
        return handler.apply([ask], provenance)[request_id].after

    return outcome, await handler.offload(record)


def conclude(handler: CommandHandler, order: Order, provenance: Provenance) -> None:
    """Complete the batch of a single order, once nothing is left to do."""
    if load_batch(handler.store, order.batch_id).source is BatchSource.OPERATOR:
        complete(handler, order.batch_id, provenance)


def standing(order: Order) -> dict[str, Any]:
    """An order's state for other tasks: no voucher, no serial, no customer's name or number. Rupiah."""
    return {
        "order_id": order.order_id,
        "request_id": order.request_id,
        "batch_id": order.batch_id,
        "product_code": order.product_code,
        "state": order.state.value,
        "verdict": VERDICTS[order.state],
        "is_final": order.state.is_final,
        "reason_code": order.reason_code,
        "reason": reason_of(order),
        "price_rupiah": order.quote_rupiah,
        "charged_rupiah": order.charged_rupiah,
        "fulfilled_at": order.fulfilled_at.isoformat() if order.fulfilled_at else None,
    }


def reason_of(order: Order) -> str | None:
    """The reason for the order's state, without the customer's number or name, which SAT may quote."""
    detail = order.reason_detail and order.reason_detail.replace(order.client_number, MASK)
    # SAT writes numbers in its own forms: +62 812-… for 0812…
    return masked_person(detail) if detail and order.state in _IN_WORDS_OF_SAT else detail
