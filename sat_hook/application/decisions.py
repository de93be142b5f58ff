"""What people decide about orders, batches and accounts, and the goods that they take.

The actor of each event comes from the provenance that the caller is given (law 13).
"""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.application.installation import Installation
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order
from sat_hook.pipeline import delivery, held_orders, overrides, withdrawal
from sat_hook.pipeline.goods_file import GoodsFormat
from sat_hook.pipeline.held_orders import HeldDecision, HeldReport
from sat_hook.pipeline.overrides import Resolution
from sat_hook.pipeline.withdrawal import WithdrawalReport
from sat_hook.store.clock import shared_clock


@dataclass(frozen=True, slots=True)
class SendingState:
    """Whether an account may send, and what of it is not sent yet.

    :param unsent: batches that are not complete: id, file name, orders that are not sent yet.
    """

    account: str
    is_paused: bool
    unsent: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions of people. Each needs a reason, and is an event of the order, batch or account."""

    installation: Installation

    def resolve(self, request_id: str, resolution: Resolution, reason: str, provenance: Provenance) -> Order:
        """Decide an escalated order. Signed evidence that comes later may contradict it, and is recorded."""
        return overrides.resolve_order(
            self._handler(),
            request_id,
            resolution,
            reason,
            provenance,
            self.installation.settings().recovery,
        )

    def decide_held_order(
        self, request_id: str, decision: HeldDecision, reason: str, provenance: Provenance
    ) -> Order:
        """Release or cancel a held order. A released one goes out with the next run of its batch."""
        return held_orders.decide_held_order(self._handler(), request_id, decision, reason, provenance)

    def decide_held_batch(
        self,
        batch_id: str,
        decision: HeldDecision,
        held_for: str | None,
        reason: str,
        provenance: Provenance,
    ) -> HeldReport:
        """Release or cancel every held order of a batch, or those that are held for one reason."""
        return held_orders.decide_held_batch(
            self._handler(), batch_id, decision, reason, provenance, held_orders.hold_reason(held_for)
        )

    def withdraw_order(self, request_id: str, reason: str, provenance: Provenance) -> Order:
        """End an order that was not sent yet."""
        return withdrawal.withdraw_order(self._handler(), request_id, reason, provenance)

    def withdraw_batch(self, batch_id: str, reason: str, provenance: Provenance) -> WithdrawalReport:
        """End every order of a batch that was not sent yet. What may have been sent goes on to its end."""
        return withdrawal.withdraw_batch(self._handler(), batch_id, reason, provenance)

    def pause(self, named: str, reason: str, provenance: Provenance) -> SendingState:
        """Stop all sending from an account."""
        account, handler = self.installation.accounts.account_of(named), self._handler()
        standing = overrides.pause_account(handler, account, reason, provenance)
        return self._sending_state(account, is_paused=standing.is_paused)

    def resume(self, named: str, reason: str, provenance: Provenance) -> SendingState:
        """Let an account send again."""
        account, handler = self.installation.accounts.account_of(named), self._handler()
        standing = overrides.resume_account(handler, account, reason, provenance)
        return self._sending_state(account, is_paused=standing.is_paused)

    def deliver(self, batch_id: str, file_format: GoodsFormat, reason: str, provenance: Provenance) -> bytes:
        """Vouchers and serials of the succeeded orders. The delivery is recorded before they leave."""
        store = self.installation.store()
        return delivery.deliver(
            store,
            batch_id,
            reason=reason,
            provenance=provenance,
            clock=shared_clock(store, SystemClock()),
            file_format=file_format,
            spool=self.installation.submissions(),
        )

    def _handler(self) -> CommandHandler:
        store = self.installation.store()
        return CommandHandler(store, shared_clock(store, SystemClock()))

    def _sending_state(self, account: str, *, is_paused: bool) -> SendingState:
        return SendingState(account, is_paused, self.installation.store().unsent_of_account(account))
