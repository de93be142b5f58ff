"""Every situation an order can be in, and every kind of command, for tests that go through all pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_events as happened
from sat_hook.domain.event_record import Event
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import OrderCommand, ReplyVerdict
from sat_hook.domain.order_decisions import ORDER_DECIDER
from tests.orders import ACCOUNT, T0, received

REQUEST_ID = request_id_of(ACCOUNT, "order-1")
BODY = '{"data":{}}'
SEND_BEFORE = T0 + timedelta(seconds=15)
SETTLED = T0 + timedelta(seconds=60)
LATER = T0 + timedelta(seconds=120)
HORIZON = T0 + timedelta(hours=1)

VALIDATED = happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000)
QUOTED = happened.OrderQuoted(
    price_rupiah=52_000,
    source=happened.QuoteSource.CATALOGUE,
    admin_fee_rupiah=None,
    valid_until=T0 + timedelta(minutes=30),
)
REQUESTED = happened.CheckoutRequested(
    attempt=1, body=BODY, price_rupiah=52_000, send_before=SEND_BEFORE, settled_after=SETTLED
)
REQUESTED_AGAIN = REQUESTED.model_copy(update={"attempt": 2, "settled_after": SETTLED})
ACCEPTED = happened.CheckoutAccepted(
    attempt=1,
    reported_status="Pending",
    sales_price_rupiah=52_000,
    partner_fee_rupiah=0,
    response_digest="d" * 64,
)
LOST = happened.CheckoutUnknown(attempt=1, reason="timeout", code=None, http_status=None)
NOT_FOUND = happened.StatusNotFound(attempt=1, asked_at=SETTLED + timedelta(seconds=1))
SIGNED = {
    "evidence_digest": "e" * 64,
    "observed_at": SETTLED,
    "sales_price_rupiah": 52_000,
    "admin_fee_rupiah": 0,
    "partner_fee_rupiah": 0,
}
SUCCEEDED = happened.OrderSucceeded(**SIGNED, fulfilled_at=None)
FAILED = happened.OrderFailed(**SIGNED, error_code="S02", error_detail="Product is not available")
REVERSED = happened.OrderReversed(**SIGNED, error_code="S02", error_detail="reversed")
MISMATCHED = happened.StatusMismatched(
    evidence_digest="a" * 64, observed_at=SETTLED, reported_status="Success", members=("client_number",)
)
HELD = happened.OrderHeld(reason=happened.HoldReason.PRICE_ABOVE_QUOTE, detail="")
RELEASED = happened.OrderReleased(reason="the price is fine")
RENEWED = happened.ReservationRenewed(price_rupiah=52_000)
HELD_FOR_PRICE = HELD.model_copy(update={"price_rupiah": 55_000})
ADMITTED = happened.OrderAdmitted(price_rupiah=52_000)
APPROVED = happened.OrderApproved(price_rupiah=52_000)
ESCALATED = happened.OrderEscalated(reason="no end after 24 hours")

_UP_TO_QUOTE = (received(1), VALIDATED, QUOTED)
_SENT = (*_UP_TO_QUOTE, REQUESTED)

HISTORIES: dict[str, tuple[Event, ...]] = {
    "nothing": (),
    "received": (received(1),),
    "validated": (received(1), VALIDATED),
    "rejected": (
        received(1),
        happened.OrderRejected(reason=happened.RejectionReason.UNKNOWN_PRODUCT, detail=""),
    ),
    "rejected, then received again": (
        received(1),
        happened.OrderRejected(reason=happened.RejectionReason.UNKNOWN_PRODUCT, detail=""),
        received(1, batch_id="B" + "Z" * 25),
    ),
    "quoted": _UP_TO_QUOTE,
    "admitted": (*_UP_TO_QUOTE, ADMITTED),
    "admitted and approved": (*_UP_TO_QUOTE, ADMITTED, APPROVED),
    "approved for less": (
        *_UP_TO_QUOTE,
        ADMITTED,
        APPROVED.model_copy(update={"price_rupiah": 51_000}),
    ),
    "held": (*_UP_TO_QUOTE, HELD),
    "released": (*_UP_TO_QUOTE, HELD, RELEASED),
    "released and reserved again": (*_UP_TO_QUOTE, HELD, RELEASED, RENEWED),
    "held for its price": (*_UP_TO_QUOTE, ADMITTED, APPROVED, HELD_FOR_PRICE),
    "released at the price found": (*_UP_TO_QUOTE, HELD_FOR_PRICE, RELEASED),
    "cancelled": (*_UP_TO_QUOTE, HELD, happened.OrderCancelled(reason="too dear")),
    "withdrawn": (*_UP_TO_QUOTE, ADMITTED, happened.OrderWithdrawn(reason="the customer paid elsewhere")),
    "submitting": _SENT,
    "never sent, quoted again": (*_SENT, happened.CheckoutNotSent(attempt=1, reason="connection refused")),
    "pending": (*_SENT, ACCEPTED),
    "signed pending": (*_SENT, ACCEPTED, happened.OrderPending(**SIGNED, reported_status="Pending")),
    "unknown": (*_SENT, LOST),
    "unknown and not found": (*_SENT, LOST, NOT_FOUND),
    "abandoned and not found": (*_SENT, NOT_FOUND),
    "sent again": (*_SENT, LOST, NOT_FOUND, REQUESTED_AGAIN),
    "second attempt never left": (
        *_SENT,
        LOST,
        NOT_FOUND,
        REQUESTED_AGAIN,
        happened.CheckoutNotSent(attempt=2, reason="window passed"),
    ),
    "escalated": (*_SENT, LOST, ESCALATED),
    "asked about": (*_SENT, LOST, happened.StatusAskedByOperator(reason="the customer waits")),
    "resend allowed": (*_SENT, LOST, ESCALATED, happened.ResendAllowedByOperator(reason="ask again")),
    "succeeded": (*_SENT, ACCEPTED, SUCCEEDED),
    "failed": (*_SENT, ACCEPTED, FAILED),
    "rejected at checkout": (
        *_SENT,
        happened.CheckoutRejected(attempt=1, code="P04", detail="Product not found", http_status=400),
    ),
    "succeeded for an unknown amount": (
        *_SENT,
        ACCEPTED,
        SUCCEEDED.model_copy(update={"sales_price_rupiah": None}),
        happened.AmountUnknown(member="sales_price", found="-1", is_signed=True),
    ),
    "reversed": (*_SENT, ACCEPTED, SUCCEEDED, REVERSED),
    "reversed and doubted": (*_SENT, ACCEPTED, SUCCEEDED, REVERSED, happened.ReversalDoubted(**SIGNED)),
    "told of another number": (*_SENT, ACCEPTED, MISMATCHED),
    "told of another number, handed over": (*_SENT, LOST, MISMATCHED, ESCALATED),
    "succeeded, then told of another number": (*_SENT, ACCEPTED, SUCCEEDED, MISMATCHED),
    "succeeded by operator": (
        *_SENT,
        LOST,
        ESCALATED,
        happened.SucceededByOperator(reason="seen in console"),
    ),
    "failed by operator": (*_SENT, LOST, ESCALATED, happened.FailedByOperator(reason="SAT says so")),
}


@dataclass(frozen=True)
class Situation:
    """An order after one of the histories."""

    name: str
    order: Order | None


SITUATIONS = [
    Situation(name, ORDER_DECIDER.fold(REQUEST_ID, ((event, T0) for event in events)))
    for name, events in HISTORIES.items()
]


def reply(verdict: ReplyVerdict, attempt: int = 1) -> asked.RecordReply:
    """The reply to an attempt."""
    return asked.RecordReply(
        attempt=attempt,
        verdict=verdict,
        reason=verdict.value,
        code="P04" if verdict is ReplyVerdict.REJECTED else None,
        reported_status="Success" if verdict is ReplyVerdict.ACCEPTED else None,
    )


def status(word: str, *, observed_at: object = LATER, price: int = 52_000) -> asked.RecordStatus:
    """A signed status."""
    return asked.RecordStatus(
        status=word,
        observed_at=observed_at,  # type: ignore[arg-type]
        evidence_digest="f" * 64,
        error_code="S02" if word == "Failed" else "",
        sales_price_rupiah=price,
    )


def checkout(now: object = T0, body: str = BODY, resend_until: object = None) -> asked.RequestCheckout:
    """An intent to send."""
    return asked.RequestCheckout(
        body=body,
        now=now,  # type: ignore[arg-type]
        send_before=SEND_BEFORE,
        settled_after=SETTLED,
        resend_until=resend_until,  # type: ignore[arg-type]
    )


other_order = received(1).model_copy(update={"payload_digest": "0" * 64})

COMMANDS: dict[str, OrderCommand] = {
    "receive": asked.Receive(received(1)),
    "receive another": asked.Receive(other_order),
    "receive in another batch": asked.Receive(received(1, batch_id="B" + "Y" * 25)),
    "receive another in another batch": asked.Receive(
        other_order.model_copy(update={"batch_id": "B" + "Y" * 25})
    ),
    "validate": asked.Validate(is_inquiry=False, list_price_rupiah=52_000),
    "reject": asked.Reject(happened.RejectionReason.UNKNOWN_PRODUCT, ""),
    "quote": asked.Quote(52_000, happened.QuoteSource.CATALOGUE, None, T0 + timedelta(hours=1)),
    "hold": asked.Hold(happened.HoldReason.LIMIT, ""),
    "admit": asked.Admit(T0),
    "approve": asked.Approve(52_000),
    "approve what is held": asked.Approve(52_000, "accepted"),
    "approve at the price found": asked.Approve(55_000, "accepted"),
    "release": asked.Release("fine"),
    "cancel": asked.Cancel("no"),
    "withdraw": asked.Withdraw("the customer paid elsewhere"),
    "renew reservation": asked.RenewReservation(52_000),
    "checkout": checkout(),
    "checkout, resend allowed": checkout(LATER, resend_until=HORIZON),
    "reply accepted": reply(ReplyVerdict.ACCEPTED),
    "reply rejected": reply(ReplyVerdict.REJECTED),
    "reply unknown": reply(ReplyVerdict.UNKNOWN),
    "reply not sent": reply(ReplyVerdict.NOT_SENT),
    "second reply rejected": reply(ReplyVerdict.REJECTED, 2),
    "reply accepted, dearer": replace(reply(ReplyVerdict.ACCEPTED), sales_price_rupiah=60_000),
    "signed Pending": status("Pending"),
    "signed Pending, dearer": status("Pending", price=60_000),
    "reply accepted, unknown amount": replace(
        reply(ReplyVerdict.ACCEPTED),
        sales_price_rupiah=-1,
        unreadable_amounts=(asked.UnreadableAmount("partner_fee", "a list"),),
    ),
    "signed Success, unknown amount": status("Success", price=10**15),
    "signed Pending, unknown amount": status("Pending", price=-1),
    "callback Success, unknown amount": asked.RecordCallback(status("Success", price=-1)),
    "signed Success, dearer": status("Success", price=60_000),
    "signed Success": status("Success"),
    "signed Failed": status("Failed"),
    "signed Unheard-of": status("Unheard-of"),
    "signed Success of another product": replace(status("Success"), product_code="25k-xl"),
    "signed Success of another number": replace(status("Success"), client_number="0899000000"),
    "signed Failed of another number": replace(status("Failed"), client_number="0899000000"),
    "signed Pending of another number": replace(status("Pending"), client_number="0899000000"),
    "signed Success of another number, under way": replace(
        status("Success", observed_at=SEND_BEFORE), client_number="0899000000"
    ),
    "signed Success of this order": replace(
        status("Success"), product_code="50k-simpati", client_number="+62 8121000001"
    ),
    "callback Success of another number": asked.RecordCallback(
        replace(status("Success"), client_number="0899000000")
    ),
    "reply accepted, another number": replace(reply(ReplyVerdict.ACCEPTED), client_number="0899000000"),
    "callback Pending": asked.RecordCallback(status("Pending")),
    "callback Success": asked.RecordCallback(status("Success")),
    "callback Failed": asked.RecordCallback(status("Failed")),
    "not found": asked.RecordNotFound(LATER),
    "escalate": asked.Escalate("tired of waiting", LATER),
    "ask about it": asked.AskStatus("the customer waits"),
    "allow resend": asked.AllowResend("not in SAT's console", LATER, HORIZON),
    "allow resend too late": asked.AllowResend("not in SAT's console", HORIZON, HORIZON),
    "end as succeeded": asked.EndByOperator(asked.OperatorEnd.SUCCEEDED, "seen", LATER),
    "end as failed": asked.EndByOperator(asked.OperatorEnd.FAILED, "seen", LATER),
}
