"""People's decisions about orders, batches and accounts, and the delivery of goods.

Each needs a right of the person, who is the actor of its event (law 13). Releasing and resolving orders needs
another person than the maker of their batch, whatever the maker's rights and however small the batch: a guard
held them, or SAT left them unclear. Ending an unsent order needs no second person.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sat_hook.application.errors import OwnBatchError
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service, clock_on
from sat_hook.domain.order import Order
from sat_hook.domain.people import is_same_person
from sat_hook.pipeline import delivery, held_orders, overrides, withdrawal
from sat_hook.pipeline.approval_request import maker_of
from sat_hook.pipeline.held_orders import HeldDecision, HeldReport
from sat_hook.pipeline.overrides import Resolution
from sat_hook.pipeline.withdrawal import WithdrawalReport
from sat_hook.presentation.text_tables import TableFormat
from sat_hook.store.event_store import EventStore


@dataclass(frozen=True, slots=True)
class SendingState:
    """Whether an account may send, and its orders that are not sent yet.

    :param unsent: incomplete batches: id, file name, number of unsent orders.
    """

    account: str
    is_paused: bool
    unsent: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class OwnBatches:
    """The batches that a user has submitted. Each batch is looked up once."""

    store: EventStore
    user: str
    _known: dict[str, bool] = field(default_factory=dict)

    def refusal(self, batch_id: str) -> str | None:
        """Why the user must not release or resolve orders of a batch; None when they may."""
        if batch_id not in self._known:
            maker = maker_of(self.store, batch_id)
            self._known[batch_id] = maker is not None and is_same_person(maker, self.user)
        if not self._known[batch_id]:
            return None
        return (
            f"batch {batch_id}: found its maker, user {self.user!r}; expected another person to "
            "release or resolve its orders"
        )

    def refuse(self, batch_id: str) -> None:
        """Check that the user may release and resolve orders of a batch.

        :raises OwnBatchError: the user submitted it.
        """
        if text := self.refusal(batch_id):
            raise OwnBatchError(text)


@dataclass(frozen=True, slots=True)
class Decisions(Service):
    """People's decisions. Each needs a reason, and is recorded as an event of the order, batch or account.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right for it.
    Those that release or resolve orders raise :class:`~sat_hook.application.errors.OwnBatchError` for the
    maker of their batch.
    """

    def resolve(self, request_id: str, resolution: Resolution, reason: str, person: Person) -> Order:
        """Decide an escalated order. Later signed evidence may contradict the decision; it is recorded."""
        person.require(Right.DECIDE)
        handler = self.handler
        _refuse_maker_of_order(handler.store, request_id, person)
        return overrides.resolve_order(
            handler,
            request_id,
            resolution,
            reason,
            person.by("resolve"),
            self.installation.settings().recovery,
        )

    def decide_held_order(
        self, request_id: str, decision: HeldDecision, reason: str, person: Person
    ) -> Order:
        """Release or cancel a held order. The next run of its batch sends a released order."""
        person.require(Right.DECIDE)
        handler = self.handler
        if decision is HeldDecision.RELEASE:
            _refuse_maker_of_order(handler.store, request_id, person)
        return held_orders.decide_held_order(handler, request_id, decision, reason, person.by(decision))

    def decide_held_batch(
        self,
        batch_id: str,
        decision: HeldDecision,
        held_for: str | None,
        reason: str,
        person: Person,
    ) -> HeldReport:
        """Release or cancel every held order of a batch, or those held for one reason."""
        person.require(Right.DECIDE)
        handler = self.handler
        if decision is HeldDecision.RELEASE:
            OwnBatches(handler.store, person.name).refuse(batch_id)
        return held_orders.decide_held_batch(
            handler,
            batch_id,
            decision,
            reason,
            person.by(decision),
            held_orders.hold_reason(held_for),
        )

    def withdraw_order(self, request_id: str, reason: str, person: Person) -> Order:
        """End an order that was not sent yet. Its maker may, and a person who decides."""
        person.require(Right.SUBMIT, Right.DECIDE)
        return withdrawal.withdraw_order(self.handler, request_id, reason, person.by("withdraw"))

    def withdraw_batch(self, batch_id: str, reason: str, person: Person) -> WithdrawalReport:
        """End every order of a batch that was not sent yet. Orders that may have been sent go on."""
        person.require(Right.SUBMIT, Right.DECIDE)
        return withdrawal.withdraw_batch(self.handler, batch_id, reason, person.by("withdraw"))

    def pause(self, named: str, reason: str, person: Person) -> SendingState:
        """Stop all sending from an account."""
        person.require(Right.PAUSE)
        account, handler = self.account_of(named), self.handler
        standing = overrides.pause_account(handler, account, reason, person.by("pause"))
        return self._sending_state(account, is_paused=standing.is_paused)

    def resume(self, named: str, reason: str, person: Person) -> SendingState:
        """Let an account send again."""
        person.require(Right.PAUSE)
        account, handler = self.account_of(named), self.handler
        standing = overrides.resume_account(handler, account, reason, person.by("resume"))
        return self._sending_state(account, is_paused=standing.is_paused)

    def deliver(self, batch_id: str, file_format: TableFormat, reason: str, person: Person) -> bytes:
        """Vouchers and serials of the succeeded orders. The delivery is recorded before they are returned."""
        person.require(Right.DELIVER)
        store = self.store
        return delivery.deliver(
            store,
            batch_id,
            reason=reason,
            provenance=person.by("deliver"),
            clock=clock_on(store),
            file_format=file_format,
            spool=self.installation.submissions(),
        )

    def _sending_state(self, account: str, *, is_paused: bool) -> SendingState:
        return SendingState(account, is_paused, self.store.unsent_of_account(account))


def _refuse_maker_of_order(store: EventStore, request_id: str, person: Person) -> None:
    order = store.load_orders([request_id]).get(request_id)
    if order is not None:
        OwnBatches(store, person.name).refuse(order.batch_id)
