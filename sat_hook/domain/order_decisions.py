"""``decide``: turns a command on an order into events to append or a named refusal.

Each command has one function; :func:`decide` lists them. Nothing here reads a clock: commands carry the
times that matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_events as happened
from sat_hook.domain.decision import Decider, Decision, Refusal, RefusalReason, nothing_yet, refuse
from sat_hook.domain.event_record import Event, StreamKind
from sat_hook.domain.order import Order, OrderState, evolve, wrong_state
from sat_hook.domain.order_commands import OperatorEnd, OrderCommand, ReplyVerdict
from sat_hook.domain.same_order import differing_members
from sat_hook.domain.status_decisions import charge_above_quote, record_callback, record_status
from sat_hook.domain.unknown_amounts import told_of, with_amounts_alone

ORDER_MISMATCH = "order_mismatch"
"""The reason of an unknown outcome: the reply has the order's id, but is about something else."""


def decide(order: Order | None, command: OrderCommand) -> Decision:
    """The events that ``command`` appends to ``order``, or why it changes nothing."""
    if isinstance(command, asked.Receive):
        return _receive(order, command)
    if order is None:
        return refuse(RefusalReason.NO_SUCH_ORDER)
    # Each function takes its own command type; the table pairs them.
    decide_one: Callable[[Order, OrderCommand], Decision] = _DECISIONS[type(command)]  # type: ignore[assignment]
    command, unknown = with_amounts_alone(command)
    decision = decide_one(order, command)
    if not unknown or isinstance(decision, Refusal):
        return decision
    return (*decision, *told_of(order, decision, unknown))


ORDER_DECIDER: Decider[Order | None, OrderCommand] = Decider(
    stream_kind=StreamKind.ORDER, initial_state=nothing_yet, decide=decide, evolve=evolve
)


def _receive(order: Order | None, command: asked.Receive) -> Decision:
    if order is None or order.may_be_received_again(command.received.batch_id):
        return (command.received,)
    if order.payload_digest == command.received.payload_digest:
        return refuse(RefusalReason.SAME_ORDER, f"already row {order.row_number} of batch {order.batch_id}")
    return refuse(
        RefusalReason.ORDER_ID_REUSED,
        f"order id {order.order_id!r} already stands for another order: row {order.row_number} of batch "
        f"{order.batch_id}",
    )


def _validate(order: Order, command: asked.Validate) -> Decision:
    if order.state is not OrderState.RECEIVED:
        return wrong_state(order)
    if order.is_inquiry is not None:
        return refuse(RefusalReason.ALREADY_SO)
    return (
        happened.OrderValidated(is_inquiry=command.is_inquiry, list_price_rupiah=command.list_price_rupiah),
    )


def _reject(order: Order, command: asked.Reject) -> Decision:
    if order.state not in (OrderState.RECEIVED, OrderState.QUOTED):
        return wrong_state(order)
    return (happened.OrderRejected(reason=command.reason, detail=command.detail),)


def _quote(order: Order, command: asked.Quote) -> Decision:
    if order.state not in (OrderState.RECEIVED, OrderState.QUOTED):
        return wrong_state(order)
    if order.is_inquiry is None:
        return refuse(RefusalReason.NOT_VALIDATED)
    return (
        happened.OrderQuoted(
            price_rupiah=command.price_rupiah,
            source=command.source,
            admin_fee_rupiah=command.admin_fee_rupiah,
            valid_until=command.valid_until,
        ),
    )


def _hold(order: Order, command: asked.Hold) -> Decision:
    if order.state is not OrderState.QUOTED:
        return wrong_state(order)
    return (
        happened.OrderHeld(
            reason=command.reason,
            detail=command.detail,
            price_rupiah=command.price_rupiah,
            facts=dict(command.facts),
        ),
    )


def _admit(order: Order, command: asked.Admit) -> Decision:
    if order.state is not OrderState.QUOTED or order.quote_rupiah is None:
        return wrong_state(order)
    if order.admitted_at is not None and order.admitted_at >= command.day_start:
        return refuse(RefusalReason.ALREADY_SO)
    return (happened.OrderAdmitted(price_rupiah=order.quote_rupiah),)


def _approve(order: Order, command: asked.Approve) -> Decision:
    if order.state not in (OrderState.QUOTED, OrderState.HELD) or order.quote_rupiah is None:
        return wrong_state(order)
    price = order.quote_rupiah if order.held_rupiah is None else order.held_rupiah
    if command.price_rupiah != price:
        return refuse(RefusalReason.PRICE_CHANGED, f"the order costs {price} rupiah")
    approved = happened.OrderApproved(price_rupiah=price)
    if order.state is OrderState.QUOTED:
        if order.approved_rupiah == price:
            return refuse(RefusalReason.ALREADY_SO)
        return (approved,)
    if command.release_reason is None:
        return wrong_state(order)
    released = happened.OrderReleased(reason=command.release_reason)
    return (released, happened.OrderAdmitted(price_rupiah=price), approved)


def _release(order: Order, command: asked.Release) -> Decision:
    if order.state is not OrderState.HELD:
        return wrong_state(order)
    return (happened.OrderReleased(reason=command.reason),)


def _cancel(order: Order, command: asked.Cancel) -> Decision:
    if order.state is not OrderState.HELD:
        return wrong_state(order)
    return (happened.OrderCancelled(reason=command.reason),)


def _withdraw(order: Order, command: asked.Withdraw) -> Decision:
    if order.state.is_final:
        return refuse(RefusalReason.ALREADY_ENDED, f"the order is {order.state.value}")
    if order.may_have_arrived or not order.state.was_never_sent:
        return refuse(RefusalReason.MAY_HAVE_BEEN_SENT, f"the order is {order.state.value}")
    return (happened.OrderWithdrawn(reason=command.reason),)


def _renew_reservation(order: Order, command: asked.RenewReservation) -> Decision:
    if order.state is not OrderState.QUOTED:
        return wrong_state(order)
    if not order.must_be_reserved_again:
        return refuse(RefusalReason.ALREADY_SO)
    if order.quote_rupiah is None or order.quote_rupiah > command.price_rupiah:
        return refuse(RefusalReason.QUOTE_STALE, f"the quote is {order.quote_rupiah} rupiah by now")
    return (happened.ReservationRenewed(price_rupiah=command.price_rupiah),)


def _request_checkout(order: Order, command: asked.RequestCheckout) -> Decision:
    if command.based_on_version is not None and command.based_on_version != order.version:
        return refuse(RefusalReason.OVERTAKEN, "the order has changed since it was looked at")
    if order.state is OrderState.SUBMITTING:
        return refuse(RefusalReason.IN_FLIGHT, "another sender may still be writing this order")
    if order.state is OrderState.QUOTED:
        if order.quote_rupiah is None or order.quote_valid_until is None:
            return refuse(RefusalReason.QUOTE_STALE, "there is no quote")
        if order.approved_rupiah is not None and order.quote_rupiah > order.approved_rupiah:
            return refuse(RefusalReason.NOT_APPROVED, f"approved up to {order.approved_rupiah} rupiah")
        if command.now >= order.quote_valid_until:
            return refuse(RefusalReason.QUOTE_STALE, f"the quote ended at {order.quote_valid_until}")
        if order.must_be_reserved_again:
            return refuse(RefusalReason.NOT_RESERVED, "no funds stand behind the order as it is now")
    elif order.state is OrderState.UNKNOWN:
        refusal = _refuse_resend(order, command)
        if refusal is not None:
            return refusal
    else:
        return wrong_state(order)
    if order.may_have_arrived and command.body != order.checkout_body:
        return refuse(
            RefusalReason.BODY_CHANGED, "a body that may have arrived is only ever sent again as it was"
        )
    return (
        happened.CheckoutRequested(
            attempt=order.attempt + 1,
            body=command.body,
            price_rupiah=order.quote_rupiah or 0,
            send_before=command.send_before,
            settled_after=command.settled_after,
        ),
    )


def _refuse_resend(order: Order, command: asked.RequestCheckout) -> Refusal | None:
    """Refuse a resend unless SAT said, after the last attempt had settled, that it does not know the id."""
    if order.mismatch is not None:
        return refuse(RefusalReason.NOT_KNOWN_TO_BE_ABSENT, "SAT has signed a status with this id")
    if order.not_found_at is None or order.settled_after is None or order.not_found_at < order.settled_after:
        return refuse(RefusalReason.NOT_KNOWN_TO_BE_ABSENT, "ask for the status first")
    if command.resend_until is None or command.now >= command.resend_until:
        return refuse(RefusalReason.BEYOND_DEDUP_HORIZON, "SAT might not refuse the duplicate any more")
    return None


def _record_reply(order: Order, command: asked.RecordReply) -> Decision:
    if order.attempt == 0:
        return refuse(RefusalReason.NEVER_SENT)
    if command.attempt != order.attempt:
        return refuse(RefusalReason.STALE_ATTEMPT, f"attempt {order.attempt} is the current one")
    late = (OrderState.UNKNOWN, OrderState.ESCALATED)
    told = (command.product_code, command.client_number)
    if command.verdict is ReplyVerdict.ACCEPTED and differing_members(
        order.product_code, order.client_number, *told
    ):
        command = replace(command, verdict=ReplyVerdict.UNKNOWN, reason=ORDER_MISMATCH)
    if order.state in late and command.verdict is ReplyVerdict.ACCEPTED:
        return _accepted(order, command)
    if order.state is not OrderState.SUBMITTING:
        return refuse(RefusalReason.OVERTAKEN, f"the order is already {order.state.value}")
    match command.verdict:
        case ReplyVerdict.NOT_SENT:
            return (happened.CheckoutNotSent(attempt=command.attempt, reason=command.reason),)
        case ReplyVerdict.ACCEPTED:
            return _accepted(order, command)
        case ReplyVerdict.REJECTED if not order.may_have_arrived:
            return (
                happened.CheckoutRejected(
                    attempt=command.attempt,
                    code=command.code or "",
                    detail=command.detail or "",
                    http_status=command.http_status,
                ),
            )
        case ReplyVerdict.REJECTED:
            return (_unknown(command, "rejected_after_a_send_that_may_have_arrived"),)
        case ReplyVerdict.UNKNOWN:
            return (_unknown(command, command.reason),)


def _accepted(order: Order, command: asked.RecordReply) -> tuple[Event, ...]:
    # An unsigned reply may say Success or Failed, but only a signed status ends an order (law 3).
    accepted = happened.CheckoutAccepted(
        attempt=command.attempt,
        reported_status=command.reported_status or "",
        sales_price_rupiah=command.sales_price_rupiah,
        partner_fee_rupiah=command.partner_fee_rupiah,
        response_digest=command.response_digest,
    )
    return (accepted, *charge_above_quote(order, command.sales_price_rupiah))


def _unknown(command: asked.RecordReply, reason: str) -> Event:
    return happened.CheckoutUnknown(
        attempt=command.attempt, reason=reason, code=command.code, http_status=command.http_status
    )


def _record_not_found(order: Order, command: asked.RecordNotFound) -> Decision:
    if order.attempt == 0 or order.settled_after is None:
        return refuse(RefusalReason.NEVER_SENT)
    if not (order.state.is_in_flight or order.state is OrderState.ESCALATED):
        return wrong_state(order)
    if command.asked_at < order.settled_after:
        return refuse(RefusalReason.TOO_EARLY, "the last attempt may still arrive")
    if order.not_found_at is not None:
        return refuse(RefusalReason.ALREADY_SO)
    return (happened.StatusNotFound(attempt=order.attempt, asked_at=command.asked_at),)


def _escalate(order: Order, command: asked.Escalate) -> Decision:
    if order.state is OrderState.ESCALATED:
        return refuse(RefusalReason.ALREADY_SO)
    if not order.state.is_in_flight:
        return wrong_state(order)
    if order.may_be_under_way(command.now):
        return refuse(RefusalReason.TOO_EARLY, "the last attempt may still be under way")
    return (happened.OrderEscalated(reason=command.reason),)


def _ask_status(order: Order, command: asked.AskStatus) -> Decision:
    if order.state.was_never_sent:
        return refuse(RefusalReason.NEVER_SENT, f"the order is {order.state.value}")
    return (happened.StatusAskedByOperator(reason=command.reason),)


def _allow_resend(order: Order, command: asked.AllowResend) -> Decision:
    if order.state is not OrderState.ESCALATED:
        return wrong_state(order)
    if command.now >= command.resend_until:
        return refuse(RefusalReason.BEYOND_DEDUP_HORIZON, "SAT might not refuse the duplicate any more")
    return (happened.ResendAllowedByOperator(reason=command.reason),)


def _end_by_operator(order: Order, command: asked.EndByOperator) -> Decision:
    if order.state is not OrderState.ESCALATED:
        return wrong_state(order)
    if order.may_be_under_way(command.now):
        return refuse(RefusalReason.TOO_EARLY, "the last attempt may still be under way")
    if command.end is OperatorEnd.SUCCEEDED:
        return (happened.SucceededByOperator(reason=command.reason),)
    return (happened.FailedByOperator(reason=command.reason),)


_DECISIONS = {
    asked.Validate: _validate,
    asked.Reject: _reject,
    asked.Quote: _quote,
    asked.Hold: _hold,
    asked.Admit: _admit,
    asked.Approve: _approve,
    asked.Release: _release,
    asked.Cancel: _cancel,
    asked.Withdraw: _withdraw,
    asked.RenewReservation: _renew_reservation,
    asked.RequestCheckout: _request_checkout,
    asked.RecordReply: _record_reply,
    asked.RecordStatus: record_status,
    asked.RecordCallback: record_callback,
    asked.RecordNotFound: _record_not_found,
    asked.Escalate: _escalate,
    asked.AskStatus: _ask_status,
    asked.AllowResend: _allow_resend,
    asked.EndByOperator: _end_by_operator,
}
