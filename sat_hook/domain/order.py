"""An order: its state and the fold of its events.

:func:`evolve` folds events into an :class:`Order`. :func:`~sat_hook.domain.order_decisions.decide` answers
    every command, from any source (task, callback, poll, recovery, person), with the events to append or a
    named :class:`~sat_hook.domain.decision.Refusal`. Both are pure (law 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sat_hook.domain import order_events as happened
from sat_hook.domain.decision import Refusal, RefusalReason, refuse
from sat_hook.domain.event_record import Event, Frozen
from sat_hook.domain.order_state import OrderState as OrderState
from sat_hook.domain.rupiah import is_amount
from sat_hook.domain.same_order import mismatch_in_words

LONGEST_ATTEMPT = timedelta(minutes=15)
"""Upper bound of the time from an attempt's intent until its sender stops waiting for a reply."""

STATUS_MISMATCH = "status_mismatch"
"""The reason of an escalated order whose signed status is about something else."""

SALES_PRICE = "sales_price"


class UnknownAmount(BaseModel):
    """An invalid amount from SAT, as recorded. See :class:`happened.AmountUnknown`."""

    model_config = ConfigDict(frozen=True)

    member: str
    found: str
    is_signed: bool


class RejectedSubmission(BaseModel):
    """A row of an earlier batch for the same order that was rejected and never sent."""

    model_config = ConfigDict(frozen=True)

    batch_id: str
    row_number: int
    reason_code: str
    reason_detail: str


class Order(Frozen):
    """The fold of an order's events. Amounts in rupiah, times in UTC."""

    request_id: str
    version: int
    state: OrderState
    account: str
    order_id: str
    batch_id: str
    row_number: int
    product_code: str
    client_number: str
    amount_rupiah: int | None = None
    max_rupiah: int | None = None
    downline_id: str | None = None
    fields: tuple[tuple[str, str], ...]
    payload_digest: str

    is_inquiry: bool | None = None
    list_price_rupiah: int | None = None
    quote_rupiah: int | None = None
    quote_source: happened.QuoteSource | None = None
    quote_valid_until: AwareDatetime | None = None
    must_be_reserved_again: bool = False
    reason_code: str | None = None
    reason_detail: str | None = None
    admitted_at: AwareDatetime | None = None
    overridden: tuple[happened.HoldReason, ...] = ()
    held_rupiah: int | None = None
    approved_rupiah: int | None = None

    attempt: int = 0
    checkout_body: str | None = None
    send_before: AwareDatetime | None = None
    settled_after: AwareDatetime | None = None
    first_sent_at: AwareDatetime | None = None
    may_have_arrived: bool = False
    not_found_at: AwareDatetime | None = None
    resend_allowed_at: AwareDatetime | None = None

    debit_proven_at: AwareDatetime | None = None
    reported_status: str | None = None
    charged_rupiah: int | None = None
    overcharged_rupiah: int | None = None
    admin_fee_rupiah: int | None = None
    partner_fee_rupiah: int | None = None
    fulfilled_at: datetime | None = None
    evidence_digest: str | None = None
    evidence_at: AwareDatetime | None = None
    ended_by_operator: bool = False
    unknown_amounts: tuple[UnknownAmount, ...] | None = None
    rejected_before: tuple[RejectedSubmission, ...] = ()

    doubted_at: AwareDatetime | None = None
    mismatch: tuple[str, ...] | None = None

    def may_be_received_again(self, batch_id: str) -> bool:
        """True when a row of another batch may still define the order.

        It was rejected before anything was sent, so SAT never saw its id. A batch that rejected it cannot
        receive it again.
        """
        if self.state is not OrderState.REJECTED or self.attempt:
            return False
        return batch_id not in {self.batch_id, *(earlier.batch_id for earlier in self.rejected_before)}

    @property
    def has_signed_end(self) -> bool:
        """True when a signed status, not a person, ended the order."""
        return self.state.is_signed_end and self.evidence_digest is not None and not self.ended_by_operator

    def may_be_under_way(self, now: datetime) -> bool:
        """True while the sender of the last attempt may still wait for its reply.

        A deadline further ahead than any attempt takes came from a clock that was ahead; it is ignored.
        """
        return self.settled_after is not None and timedelta(0) < self.settled_after - now <= LONGEST_ATTEMPT


BLANK = Order(
    request_id="",
    version=0,
    state=OrderState.RECEIVED,
    account="",
    order_id="",
    batch_id="",
    row_number=0,
    product_code="",
    client_number="",
    fields=(),
    payload_digest="",
)
"""An order without its first event."""


def evolve(order: Order | None, request_id: str, event: Event, occurred_at: datetime) -> Order:
    """The order after ``event``. Handles every order event; any other event is a programming error."""
    if isinstance(event, happened.OrderReceived):
        return _received(order, request_id, event)
    if order is None:
        raise ValueError(f"the stream of {request_id} begins with {event.type_name}, not with OrderReceived")
    change = {**_change(order, event, occurred_at), "version": order.version + 1}
    return with_members(order, change)


def with_members(order: Order, change: Mapping[str, object]) -> Order:
    """The order with other members.

    They are not validated: they come from events that were validated when they were read. It is what
    ``model_copy`` does, without what an order does not have. Every event of the log is folded here.
    """
    changed = Order.__new__(Order)
    put = object.__setattr__
    put(changed, "__dict__", {**order.__dict__, **change})
    put(changed, "__pydantic_fields_set__", order.__pydantic_fields_set__ | change.keys())
    put(changed, "__pydantic_extra__", None)
    put(changed, "__pydantic_private__", None)
    return changed


def _received(order: Order | None, request_id: str, event: happened.OrderReceived) -> Order:
    version = 1 if order is None else order.version + 1
    received = with_members(BLANK, {"request_id": request_id, "version": version, **event.__dict__})
    if order is None:
        return received
    rejected = RejectedSubmission(
        batch_id=order.batch_id,
        row_number=order.row_number,
        reason_code=order.reason_code or "",
        reason_detail=order.reason_detail or "",
    )
    return received.model_copy(update={"rejected_before": (*order.rejected_before, rejected)})


def _change(order: Order, event: Event, occurred_at: datetime) -> dict[str, object]:
    match event:
        case happened.OrderValidated():
            return {"is_inquiry": event.is_inquiry, "list_price_rupiah": event.list_price_rupiah}
        case happened.OrderRejected():
            return _ended(OrderState.REJECTED, event.reason.value, event.detail)
        case happened.OrderQuoted():
            is_dearer = order.quote_rupiah is not None and event.price_rupiah > order.quote_rupiah
            return {
                "state": OrderState.QUOTED,
                "quote_rupiah": event.price_rupiah,
                "quote_source": event.source,
                "quote_valid_until": event.valid_until,
                # Guards and funds were checked for the lower price.
                "admitted_at": None if is_dearer else order.admitted_at,
                "must_be_reserved_again": order.must_be_reserved_again or is_dearer,
            }
        case happened.HoldingEvent():
            # The guards must rule again once a person releases the order.
            return _ended(OrderState.HELD, event.reason.value, event.detail) | {
                "admitted_at": None,
                "must_be_reserved_again": True,
                "held_rupiah": event.price_rupiah,
            }
        case happened.OrderReleased():
            return _ended(OrderState.QUOTED, None, None) | {
                "overridden": _with_override(order),
                "quote_rupiah": order.quote_rupiah if order.held_rupiah is None else order.held_rupiah,
                "held_rupiah": None,
            }
        case happened.ReservationRenewed():
            return {"must_be_reserved_again": False}
        case happened.OrderAdmitted():
            return {"admitted_at": occurred_at}
        case happened.OrderApproved():
            return {"approved_rupiah": event.price_rupiah}
        case happened.AmountUnknown():
            return _change_by_unknown_amount(order, event)
        case happened.ChargedAboveQuote():
            return {"overcharged_rupiah": event.charged_rupiah}
        case happened.OrderCancelled():
            return _ended(OrderState.CANCELLED, "cancelled", event.reason)
        case happened.OrderWithdrawn():
            return _ended(OrderState.CANCELLED, "withdrawn", event.reason)
        case (
            happened.CheckoutRequested()
            | happened.CheckoutNotSent()
            | happened.CheckoutAccepted()
            | happened.CheckoutRejected()
            | happened.CheckoutUnknown()
            | happened.StatusNotFound()
        ):
            return _change_by_checkout(order, event, occurred_at)
        case happened.SignedStatus():
            return _change_by_status(order, event) | _debited(order, occurred_at)
        case happened.StatusMismatched():
            return _change_by_mismatch(order, event)
        case happened.OrderEscalated():
            code = "escalated" if order.mismatch is None else STATUS_MISMATCH
            return _ended(OrderState.ESCALATED, code, event.reason)
        case happened.StatusAskedByOperator():
            return {}
        case happened.ResendAllowedByOperator():
            # SAT must be asked again: its answers from before the person's decision are stale.
            return _ended(OrderState.UNKNOWN, "resend_allowed", event.reason) | {
                "not_found_at": None,
                "resend_allowed_at": occurred_at,
                "mismatch": None,
            }
        case happened.SucceededByOperator():
            change = _ended(OrderState.SUCCEEDED, "operator", event.reason) | _debited(order, occurred_at)
            return change | {"ended_by_operator": True}
        case happened.FailedByOperator():
            # If SAT took the money after all, it did so before the person decided.
            change = _ended(OrderState.FAILED, "operator", event.reason) | _debited(order, occurred_at)
            return change | {"ended_by_operator": True}
        case _:
            raise ValueError(f"{event.type_name} is not an event of an order")


def _with_override(order: Order) -> tuple[happened.HoldReason, ...]:
    reason = happened.HoldReason(order.reason_code or "")
    return order.overridden if reason in order.overridden else (*order.overridden, reason)


def _ended(state: OrderState, code: str | None, detail: str | None) -> dict[str, object]:
    return {"state": state, "reason_code": code, "reason_detail": detail}


def _named(**rupiah: int | None) -> dict[str, object]:
    """The amounts that SAT named; what it leaves out stays known as it was.

    What older releases took for an amount, and is none, is unknown.
    """
    named = {name: amount for name, amount in rupiah.items() if amount is not None}
    return {name: amount if is_amount(amount) else None for name, amount in named.items()}


def _debited(order: Order, occurred_at: datetime) -> dict[str, object]:
    return {"debit_proven_at": order.debit_proven_at or occurred_at}


def _change_by_checkout(order: Order, event: Event, occurred_at: datetime) -> dict[str, object]:
    match event:
        case happened.CheckoutRequested():
            return {
                "state": OrderState.SUBMITTING,
                "attempt": event.attempt,
                "checkout_body": event.body,
                "send_before": event.send_before,
                "settled_after": event.settled_after,
                "first_sent_at": order.first_sent_at or occurred_at,
                "may_have_arrived": order.may_have_arrived or order.state is not OrderState.QUOTED,
                "not_found_at": None,
                # This attempt may move money again, whatever an earlier attempt proved.
                "debit_proven_at": None,
                "reason_code": None,
                "reason_detail": None,
            }
        case happened.CheckoutNotSent():
            if order.may_have_arrived:
                return _ended(OrderState.UNKNOWN, "not_sent", event.reason)
            return _ended(OrderState.QUOTED, "not_sent", event.reason)
        case happened.CheckoutAccepted():
            return {
                "state": OrderState.PENDING,
                "may_have_arrived": True,
                "reported_status": event.reported_status,
                **_named(
                    charged_rupiah=event.sales_price_rupiah, partner_fee_rupiah=event.partner_fee_rupiah
                ),
                **_debited(order, occurred_at),
            }
        case happened.CheckoutRejected():
            return _ended(OrderState.FAILED, event.code, event.detail)
        case happened.CheckoutUnknown():
            return _ended(OrderState.UNKNOWN, event.code or event.reason, event.reason) | {
                "may_have_arrived": True
            }
        case happened.StatusNotFound():
            change: dict[str, object] = {"not_found_at": event.asked_at, "may_have_arrived": True}
            if order.state is OrderState.SUBMITTING:
                change["state"] = OrderState.UNKNOWN
            return change
    raise ValueError(f"{event.type_name} is not an event of a checkout")


def _change_by_unknown_amount(order: Order, event: happened.AmountUnknown) -> dict[str, object]:
    found = UnknownAmount(member=event.member, found=event.found, is_signed=event.is_signed)
    change: dict[str, object] = {"unknown_amounts": (*(order.unknown_amounts or ()), found)}
    if event.is_signed and event.member == SALES_PRICE:
        change["charged_rupiah"] = None
    return change


def _change_by_mismatch(order: Order, event: happened.StatusMismatched) -> dict[str, object]:
    # SAT knows the id, so the order may have been sent, whatever SAT has under the id.
    change: dict[str, object] = {"mismatch": event.members, "may_have_arrived": True, "not_found_at": None}
    if order.state.is_in_flight or order.state is OrderState.QUOTED:
        return change | _ended(OrderState.UNKNOWN, STATUS_MISMATCH, mismatch_in_words(event.members))
    if order.state is OrderState.ESCALATED:
        return change | _ended(OrderState.ESCALATED, STATUS_MISMATCH, mismatch_in_words(event.members))
    return change


def _change_by_status(order: Order, event: happened.SignedStatus) -> dict[str, object]:
    if isinstance(event, happened.EvidenceContradicted):
        # The state stays. The event records the evidence and raises an alert.
        return {"evidence_at": event.observed_at}
    if isinstance(event, happened.ReversalDoubted):
        return {"evidence_at": event.observed_at, "doubted_at": event.observed_at}
    change: dict[str, object] = {
        "may_have_arrived": True,
        "evidence_digest": event.evidence_digest,
        "evidence_at": event.observed_at,
        "ended_by_operator": False,
        "doubted_at": None,
        "mismatch": None,
        "reason_code": None,
        "reason_detail": None,
    }
    change |= _named(
        charged_rupiah=event.sales_price_rupiah,
        admin_fee_rupiah=event.admin_fee_rupiah,
        partner_fee_rupiah=event.partner_fee_rupiah,
    )
    if order.unknown_amounts and event.sales_price_rupiah is not None:
        left = tuple(a for a in order.unknown_amounts if a.member != SALES_PRICE)
        change["unknown_amounts"] = left or None
    match event:
        case happened.OrderPending():
            return change | {"state": OrderState.PENDING, "reported_status": event.reported_status}
        case happened.OrderSucceeded():
            return change | {
                "state": OrderState.SUCCEEDED,
                "reported_status": "Success",
                "fulfilled_at": event.fulfilled_at,
            }
        case happened.OrderFailed():
            state = OrderState.FAILED
        case happened.OrderReversed():
            state = OrderState.REVERSED
        case _:
            raise ValueError(f"{event.type_name} is not an event of a status")
    return (
        change | {"reported_status": "Failed"} | _ended(state, event.error_code or None, event.error_detail)
    )


def wrong_state(order: Order) -> Refusal:
    """The refusal of a command that the order's state does not allow."""
    return refuse(RefusalReason.WRONG_STATE, f"the order is {order.state.value}")
