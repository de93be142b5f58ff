"""People's words for states and reasons, each with its tone. Templates show them translated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from sat_hook.application.attention import NeedKind
from sat_hook.application.batch_standing import BatchStanding
from sat_hook.application.rights import Right
from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_events import HoldReason, RejectionReason
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _

RIGHTS: Mapping[str, str] = {
    Right.VIEW: _("view"),
    Right.VIEW_NUMBERS: _("see customers' numbers"),
    Right.SUBMIT: _("submit"),
    Right.APPROVE: _("approve"),
    Right.DECIDE: _("decide"),
    Right.DELIVER: _("deliver goods"),
    Right.PAUSE: _("pause accounts"),
    Right.FINANCE: _("finance"),
    Right.SIGN_OFF: _("sign off"),
    Right.AUDIT: _("audit"),
    Right.PROPOSE_RULES: _("propose rules"),
    Right.CONFIRM_RULES: _("confirm rules"),
    Right.WEBHOOKS: _("webhooks"),
}
"""The names of rights. A deployment may have others, which are shown as they are called."""


def right_names(rights: str, wording: Wording) -> str:
    """Rights by their names, with what stands between them."""
    return re.sub(
        r"[\w.]+", lambda name: wording.text(RIGHTS[name[0]]) if name[0] in RIGHTS else name[0], rights
    )


class Words(NamedTuple):
    """A state in people's words.

    :param tone: ``good``, ``bad``, ``wait`` (for a person), ``busy`` (the pipeline works on it) or ``none``.
    """

    text: str
    tone: str = "none"


BATCHES: Mapping[BatchStanding, Words] = {
    BatchStanding.SCHEDULED: Words(_("starts later")),
    BatchStanding.CHECKING: Words(_("being checked"), "busy"),
    BatchStanding.AWAITING_APPROVAL: Words(_("waiting for approval"), "wait"),
    BatchStanding.SHORT_OF_FUNDS: Words(_("waiting for a top-up"), "wait"),
    BatchStanding.PAYING: Words(_("being paid"), "busy"),
    BatchStanding.STOPPED: Words(_("stopped"), "bad"),
    BatchStanding.COMPLETE: Words(_("complete"), "good"),
    BatchStanding.WITHDRAWN: Words(_("withdrawn")),
    BatchStanding.REJECTED: Words(_("rejected"), "bad"),
    BatchStanding.REFUSED: Words(_("refused"), "bad"),
}

ORDERS: Mapping[OrderState, Words] = {
    OrderState.RECEIVED: Words(_("being checked"), "busy"),
    OrderState.QUOTED: Words(_("ready to be paid"), "busy"),
    OrderState.HELD: Words(_("held, waiting for you"), "wait"),
    OrderState.SUBMITTING: Words(_("being sent to SAT"), "busy"),
    OrderState.PENDING: Words(_("being paid"), "busy"),
    OrderState.UNKNOWN: Words(_("being paid, SAT is asked"), "busy"),
    OrderState.ESCALATED: Words(_("unclear, waiting for you"), "wait"),
    OrderState.SUCCEEDED: Words(_("paid"), "good"),
    OrderState.FAILED: Words(_("not paid"), "bad"),
    OrderState.REVERSED: Words(_("paid back"), "bad"),
    OrderState.REJECTED: Words(_("not paid, the row needs correction"), "bad"),
    OrderState.CANCELLED: Words(_("not paid, cancelled")),
}

NEEDS: Mapping[NeedKind, Words] = {
    NeedKind.APPROVALS: Words(_("Batches wait for approval"), "wait"),
    NeedKind.HELD: Words(_("Held orders"), "wait"),
    NeedKind.ESCALATED: Words(_("Orders whose end is unclear"), "wait"),
    NeedKind.SHORT_OF_FUNDS: Words(_("Batches wait for a top-up"), "wait"),
    NeedKind.STOPPED: Words(_("Batches that stopped"), "bad"),
    NeedKind.PAUSED: Words(_("The account is paused"), "bad"),
    NeedKind.ALERTS: Words(_("Alerts"), "bad"),
}

ALERTS: Mapping[AlertKind, str] = {
    AlertKind.ORDER_ESCALATED: _("An order has no clear end and waits for a person."),
    AlertKind.ORDER_REVERSED: _("SAT has taken back a paid order."),
    AlertKind.LATE_SUCCESS: _(
        "SAT has paid an order after all that was called not paid. Do not pay it again."
    ),
    AlertKind.EVIDENCE_CONTRADICTED: _("A signed status contradicts the end of an order."),
    AlertKind.STATUS_MISMATCHED: _("A signed status is about another product or number than its order."),
    AlertKind.CALLBACK_MISDIRECTED: _("A signed callback is about another product or number than its order."),
    AlertKind.REVERSAL_DOUBTED: _("SAT calls an order paid that it had taken back. It is asked again."),
    AlertKind.CHARGED_ABOVE_QUOTE: _("SAT charged more than it had quoted."),
    AlertKind.AMOUNT_UNKNOWN: _("SAT sent an amount that cannot be right."),
    AlertKind.CHUNK_STOPPED: _("Sending stopped before all orders were sent."),
    AlertKind.FOREIGN_SPEND: _("Another party seems to spend from the deposit."),
    AlertKind.FINAL_WATCH_MISSED: _("Ended orders were not asked about again in time."),
    AlertKind.RECONCILIATION_BREAK: _("A day was closed with differences."),
    AlertKind.INTAKE_ROWS_FREED: _("Rows of the intake table are free again: their run came to nothing."),
    AlertKind.INTAKE_ROWS_REFUSED: _("Rows of the intake table cannot be submitted as they are."),
    AlertKind.PRICE_JUMP: _("A price has jumped."),
    AlertKind.PRODUCT_UNREADABLE: _("A product of SAT's price list cannot be read."),
    AlertKind.BATCH_LATE: _("A batch has not ended in time."),
    AlertKind.DAY_LATE: _("A day was not closed in time."),
    AlertKind.LOG_FORKED: _("The log is not the one that was published."),
    AlertKind.LOG_DAMAGED: _("The log does not verify."),
    AlertKind.LOG_UNPROVEN: _("Parts of the log are not proven."),
    AlertKind.LOG_PARTITIONS: _("A partition of the log is missing or not protected."),
}

HOLDS: Mapping[HoldReason, str] = {
    HoldReason.BUSINESS_DUPLICATE: _("the same payment was made or asked for before"),
    HoldReason.LIMIT: _("over a limit"),
    HoldReason.PRICE_ABOVE_QUOTE: _("the price has risen"),
    HoldReason.APPROVAL: _("not approved"),
    HoldReason.LEFT_OUT: _("left out of an approval"),
}

REJECTIONS: Mapping[RejectionReason, str] = {
    RejectionReason.UNKNOWN_PRODUCT: _("SAT does not list this product"),
    RejectionReason.INACTIVE_PRODUCT: _("the product is not for sale now"),
    RejectionReason.UNREADABLE_PRODUCT: _("SAT's listing of the product cannot be read"),
    RejectionReason.NO_PRICE: _("the product has no price"),
    RejectionReason.CLIENT_NUMBER_SHAPE: _("the number does not look like one for this product"),
    RejectionReason.AMOUNT_MISSING: _("the amount is missing"),
    RejectionReason.AMOUNT_NOT_ALLOWED: _("this product takes no amount"),
    RejectionReason.AMOUNT_BOUNDS: _("the amount is too small or too large"),
    RejectionReason.ABOVE_MAXIMUM: _("the price is above the most that the row allows"),
    RejectionReason.INQUIRY_REFUSED: _("SAT gives no bill for this number"),
    RejectionReason.INQUIRY_UNAVAILABLE: _("SAT could not be asked for the bill"),
    RejectionReason.BATCH_REFUSED: _("the whole batch was refused"),
    RejectionReason.INSUFFICIENT_FUNDS: _("the deposit was too small"),
    RejectionReason.APPROVAL_REJECTED: _("the batch was not approved"),
}

CALLBACK_REFUSALS: Mapping[str, str] = {
    "bad_signature": _("its signature is missing, or of no key of this account"),
    "too_many_bad_signatures": _("its sender had sent too many bad signatures"),
    "source_not_allowed": _("its sender is not on the list of allowed addresses"),
    "no_order": _("it is signed, and names no order"),
    "body_too_large": _("it is too large"),
    "media_type": _("it is not JSON"),
    "body_too_slow": _("it came too slowly"),
    "sender_left": _("its sender went away"),
    "memory_full": _("the receiver was full; SAT sends it again"),
    "not_stored": _("it could not be stored; SAT sends it again"),
}
"""Why a callback was refused, by the code."""

WHY: Mapping[str, str] = {
    **{str(code): why for code, why in (*HOLDS.items(), *REJECTIONS.items())},
    "escalated": _("it had no clear end in time"),
    "status_mismatch": _("SAT's signed status is about another product or number"),
    "operator": _("a person decided it"),
}
"""Why an order stands as it does, by its reason's code."""
