"""What a signed status does to an order, from a status query or a trusted callback (protocol section 6).

A status counts only if its product and client number do not contradict what was sent. While no signed status
has ended the order, an end is always accepted, whatever the clocks say. Of two ends the later one counts. The
log decides which is later: an answer is newer than everything in the log when SAT was asked.
"""

from __future__ import annotations

from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_events as happened
from sat_hook.domain.decision import Decision, Refusal, RefusalReason, refuse
from sat_hook.domain.event_record import Event
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.same_order import differing_members, mismatch_in_words

STATUS_PENDING = "Pending"
STATUS_SUCCESS = "Success"
STATUS_FAILED = "Failed"
ENDS = (STATUS_SUCCESS, STATUS_FAILED)


def record_status(order: Order, command: asked.RecordStatus) -> Decision:
    """Decide a status that SAT signed."""
    if order.attempt == 0:
        return refuse(RefusalReason.NEVER_SENT, "SAT knows an order that this log never sent")
    if members := _differing(order, command):
        return _record_mismatch(order, command, members)
    is_first_end = command.status in ENDS and not order.has_signed_end
    if not is_first_end and _may_be_old(order, command):
        return refuse(RefusalReason.STALE_EVIDENCE, f"newer evidence is from {order.evidence_at}")
    if command.status == STATUS_FAILED:
        return _record_failed(order, command)
    if command.status == STATUS_SUCCESS:
        decision = _record_success(order, command)
    else:
        decision = _record_not_ended(order, command)
    if isinstance(decision, Refusal):
        return decision
    # The reply with the price may have been lost.
    return (*decision, *charge_above_quote(order, command.sales_price_rupiah))


def record_callback(order: Order, command: asked.RecordCallback) -> Decision:
    """Decide a trusted callback."""
    status = command.status
    if status.status not in ENDS:
        return refuse(RefusalReason.NOT_CONFIRMED, "only an end is taken from a callback")
    if not order.state.is_in_flight:
        # An old callback may arrive late or be replayed.
        return refuse(RefusalReason.NOT_CONFIRMED, f"the order is {order.state.value}: SAT has to be asked")
    if order.evidence_at is not None and status.observed_at < order.evidence_at:
        return refuse(RefusalReason.STALE_EVIDENCE, "SAT was asked after it had come, and said otherwise")
    return record_status(order, status)


def charge_above_quote(order: Order, charged_rupiah: int | None) -> tuple[Event, ...]:
    """The event about a charge above the quote, once per order."""
    if charged_rupiah is None or order.quote_rupiah is None or order.overcharged_rupiah is not None:
        return ()
    if charged_rupiah <= order.quote_rupiah:
        return ()
    return (happened.ChargedAboveQuote(charged_rupiah=charged_rupiah, quote_rupiah=order.quote_rupiah),)


def _differing(order: Order, command: asked.RecordStatus) -> tuple[str, ...]:
    return differing_members(
        order.product_code, order.client_number, command.product_code, command.client_number
    )


def _may_be_old(order: Order, command: asked.RecordStatus) -> bool:
    """Whether SAT may have given this answer before the one in the log."""
    if order.evidence_at is None:
        return False
    if command.asked_at_version is None:
        return command.observed_at < order.evidence_at
    return order.has_signed_end and command.asked_at_version < order.version


def _record_mismatch(order: Order, command: asked.RecordStatus, members: tuple[str, ...]) -> Decision:
    """Record a status about something else once, and escalate the order. It ends nothing."""
    told: tuple[Event, ...] = ()
    if order.mismatch is None:
        told = (
            happened.StatusMismatched(
                evidence_digest=command.evidence_digest,
                observed_at=command.observed_at,
                reported_status=command.status,
                members=members,
            ),
        )
    waits = order.state.is_in_flight or order.state is OrderState.QUOTED
    if waits and not order.may_be_under_way(command.observed_at):
        return (*told, happened.OrderEscalated(reason=mismatch_in_words(members)))
    return told or refuse(RefusalReason.ALREADY_SO, "known to be about something else")


def _signed(command: asked.RecordStatus) -> dict[str, object]:
    return {
        "evidence_digest": command.evidence_digest,
        "observed_at": command.observed_at,
        "sales_price_rupiah": command.sales_price_rupiah,
        "admin_fee_rupiah": command.admin_fee_rupiah,
        "partner_fee_rupiah": command.partner_fee_rupiah,
    }


def _contradicted(command: asked.RecordStatus) -> Decision:
    return (
        happened.EvidenceContradicted.model_validate({**_signed(command), "reported_status": command.status}),
    )


def _record_success(order: Order, command: asked.RecordStatus) -> Decision:
    if order.state is OrderState.SUCCEEDED and not order.ended_by_operator:
        return refuse(RefusalReason.ALREADY_SO)
    if order.state is OrderState.REVERSED:
        if order.doubted_at is None:
            return (happened.ReversalDoubted.model_validate(_signed(command)),)
        if command.asked_at_version is None and command.observed_at <= order.doubted_at:
            return refuse(RefusalReason.ALREADY_SO, "SAT has to be asked again")
    return (
        happened.OrderSucceeded.model_validate({**_signed(command), "fulfilled_at": command.fulfilled_at}),
    )


def _record_failed(order: Order, command: asked.RecordStatus) -> Decision:
    data = {**_signed(command), "error_code": command.error_code, "error_detail": command.error_detail}
    if order.state is OrderState.REVERSED and order.doubted_at is None:
        return refuse(RefusalReason.ALREADY_SO)
    if order.state is OrderState.FAILED and order.has_signed_end:
        return refuse(RefusalReason.ALREADY_SO)
    if order.state in (OrderState.SUCCEEDED, OrderState.REVERSED) and not order.ended_by_operator:
        return (happened.OrderReversed.model_validate(data),)
    return (happened.OrderFailed.model_validate(data),)


def _record_not_ended(order: Order, command: asked.RecordStatus) -> Decision:
    """Record Pending, or an unknown status, which is never treated as an end (protocol section 6)."""
    if order.state is OrderState.ESCALATED:
        return refuse(RefusalReason.ALREADY_SO, "only an end takes an escalated order back")
    if order.state is OrderState.PENDING and order.evidence_at and order.reported_status == command.status:
        return refuse(RefusalReason.ALREADY_SO)
    rejected_only = order.state is OrderState.FAILED and order.evidence_digest is None
    if order.state.is_in_flight or order.state is OrderState.QUOTED:
        accept = True
    else:
        accept = rejected_only and not order.ended_by_operator
    if not accept:
        return _contradicted(command)
    return (happened.OrderPending.model_validate({**_signed(command), "reported_status": command.status}),)
