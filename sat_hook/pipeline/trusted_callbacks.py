"""Trusted callbacks, which an account's connection may opt in to (law 6).

By default a callback only makes its order due, and a queried status ends the order. A trusted callback is
itself the signed evidence. Its bytes are verified here again with the connection's keys: the receiver's inbox
alone proves nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order_commands import RecordCallback, RecordStatus
from sat_hook.pipeline.account_rules import rules_of_account
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.protocol.exchange import WireResponse
from sat_hook.protocol.outcomes import StatusVerdict, classify_status
from sat_hook.protocol.signing import SIGNATURE_HEADER, Verifier
from sat_hook.store.callbacks import CallbackInbox, KeptCallback

logger = logging.getLogger(__name__)

BY_CALLBACK = Provenance("service:airflow", "callback")
CALLBACKS_READ_PER_ORDER = 8


@dataclass(frozen=True, slots=True)
class TrustedCallbacks:
    """Ends orders of one account by the callbacks that came for them, if the account's rules allow it.

    :param account: the name in the streams; callbacks that came on another account's path do not count.
    :param verifier: the connection's, with SAT's current keys; without one no callback is trusted.
    """

    inbox: CallbackInbox
    account: str
    verifier: Verifier | None

    def end(self, handler: CommandHandler, request_ids: Sequence[str]) -> frozenset[str]:
        """The orders that ended; the others must be queried. Blocks.

        :raises StoreUnavailableError: when the database is away.
        """
        if not rules_of_account(handler.store, self.account).trust_callbacks:
            return frozenset()
        came: dict[str, list[KeptCallback]] = {}
        for callback in self.inbox.callbacks_of(self.account, request_ids, CALLBACKS_READ_PER_ORDER):
            came.setdefault(callback.request_id, []).append(callback)
        # The version that was read fences the end; an order that changes meanwhile is decided again.
        own = {
            key: order
            for key, order in handler.store.load_orders(came).items()
            if order.account == self.account and order.state.is_in_flight
        }
        commands = [ask for key in own if (ask := self._ask(handler, came[key])) is not None]
        if not commands:
            return frozenset()
        done = handler.apply(commands, BY_CALLBACK, own)
        return frozenset(
            key
            for key, resolution in done.items()
            if resolution.is_accepted and resolution.after is not None and resolution.after.state.is_final
        )

    def _ask(self, handler: CommandHandler, callbacks: Sequence[KeptCallback]) -> OrderCommandRequest | None:
        """The end that all callbacks of an order agree on. When they disagree, SAT is queried."""
        if len(callbacks) >= CALLBACKS_READ_PER_ORDER:
            return None
        commands = []
        for callback in callbacks:
            ask = self._verified(handler, callback)
            if ask is None:
                return None
            commands.append(ask)
        words = {_what(ask.command.status) for ask in commands if isinstance(ask.command, RecordCallback)}
        return commands[-1] if len(words) == 1 else None

    def _verified(self, handler: CommandHandler, callback: KeptCallback) -> OrderCommandRequest | None:
        headers = {SIGNATURE_HEADER: callback.signature}
        outcome = classify_status(
            WireResponse(200, headers, callback.body), callback.request_id, self.verifier
        )
        if outcome.verdict is not StatusVerdict.SIGNED:
            logger.warning("A callback of the inbox is not taken at its word: %s", outcome.reason)
            return None
        # PostgreSQL's clock dated its arrival. If that clock is ahead, later answers must not look older.
        came_at = min(callback.received_at, handler.clock.now())
        ask = status_command(callback.request_id, outcome, came_at)
        if ask is None or not isinstance(ask.command, RecordStatus):
            return None
        return OrderCommandRequest(ask.request_id, RecordCallback(ask.command), ask.evidence)


def _what(status: RecordStatus) -> tuple[str, str, str]:
    """The values that all callbacks of one order must agree on."""
    return status.status, status.product_code, status.client_number
