"""The balance check: an early, rough check that the deposit can cover the batch. It reserves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.batch import BatchState
from sat_hook.domain.batch_events import BalanceChecked
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import OrderState
from sat_hook.domain.rupiah import rupiah
from sat_hook.store.event_store import OrderSlice, each_order

UNSENT = (OrderState.RECEIVED, OrderState.QUOTED)


@dataclass(frozen=True, slots=True)
class BalanceReport:
    """Rupiah. ``unpriced`` orders need an inquiry first and count as 0 in the estimate."""

    saldo_rupiah: int
    estimate_rupiah: int
    priced: int
    unpriced: int

    @property
    def is_short(self) -> bool:
        """True when the deposit holds less than the lowest possible cost of the orders."""
        return self.estimate_rupiah > self.saldo_rupiah

    @property
    def in_words(self) -> str:
        """The comparison, for people."""
        return (
            f"the deposit holds {rupiah(self.saldo_rupiah)}; {self.priced} orders cost at least "
            f"{rupiah(self.estimate_rupiah)}, {self.unpriced} bills are not known yet"
        )


def check_balance(
    handler: CommandHandler, batch_id: str, saldo_rupiah: int, provenance: Provenance
) -> BalanceReport:
    """Compare the deposit with the lowest possible cost of the unsent orders."""
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
        checked = BalanceChecked(saldo_rupiah=saldo_rupiah, estimate_rupiah=estimate)
        handler.apply_to_batch(batch_id, Record(checked), provenance)
    return BalanceReport(saldo_rupiah, estimate, priced, unpriced)
