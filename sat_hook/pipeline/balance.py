"""The balance check: early and plain - does the deposit stand a chance. It reserves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.domain.batch import BatchState
from sat_hook.domain.batch_commands import RecordBalance
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.command_handler import CommandHandler, load_batch
from sat_hook.pipeline.errors import BatchStoppedError
from sat_hook.store.event_store import OrderSlice, each_order

UNSENT = (OrderState.RECEIVED, OrderState.QUOTED)


@dataclass(frozen=True, slots=True)
class BalanceReport:
    """Rupiah. ``unpriced`` orders need an inquiry first and count as nothing in the estimate."""

    saldo_rupiah: int
    estimate_rupiah: int
    priced: int
    unpriced: int

    @property
    def is_short(self) -> bool:
        """True when the deposit holds less than the orders cost at the least."""
        return self.estimate_rupiah > self.saldo_rupiah


def check_balance(
    handler: CommandHandler,
    batch_id: str,
    saldo_rupiah: int,
    provenance: Provenance,
    *,
    stop_when_short: bool = True,
) -> BalanceReport:
    """Compare the deposit with the least that the unsent orders can cost.

    :param stop_when_short: False where a later step waits for funds, or pays as far as they reach.
    :raises BatchStoppedError: when even that is more than the deposit holds; run it again after a top-up.
    """
    batch = load_batch(handler.store, batch_id)
    estimate = priced = unpriced = 0
    for order in each_order(handler.store, OrderSlice(batch_id, UNSENT)):
        price = order.quote_rupiah or (order.amount_rupiah if order.is_inquiry else order.list_price_rupiah)
        if price:
            estimate += price
            priced += 1
        else:
            unpriced += 1
    if batch.state is BatchState.VALIDATED:
        handler.apply_to_batch(batch_id, RecordBalance(saldo_rupiah, estimate), provenance)
    if estimate > saldo_rupiah and stop_when_short:
        raise BatchStoppedError(
            f"the deposit of account {batch.account!r} is too small for batch {batch_id}: found Rp "
            f"{saldo_rupiah:,}; expected at least Rp {estimate:,} for {priced} orders (and {unpriced} bills "
            "whose amount is not known yet). Top up, then run the batch again; nothing was sent"
        )
    return BalanceReport(saldo_rupiah, estimate, priced, unpriced)
