"""People's words for states and reasons, each with its tone. Templates show them translated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sat_hook.application.attention import NeedKind
from sat_hook.application.batch_standing import BatchStanding
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_events import HoldReason, RejectionReason
from sat_hook.web.console.language import marked as _


class Words(NamedTuple):
    """A state in people's words.

    :param tone: ``good``, ``bad``, ``wait`` (for a person), ``busy`` (the pipeline works on it) or ``none``.
    """

    text: str
    tone: str


BATCHES: Mapping[BatchStanding, Words] = {
    BatchStanding.SCHEDULED: Words(_("starts later"), "none"),
    BatchStanding.CHECKING: Words(_("being checked"), "busy"),
    BatchStanding.AWAITING_APPROVAL: Words(_("waiting for approval"), "wait"),
    BatchStanding.SHORT_OF_FUNDS: Words(_("waiting for a top-up"), "wait"),
    BatchStanding.PAYING: Words(_("being paid"), "busy"),
    BatchStanding.COMPLETE: Words(_("complete"), "good"),
    BatchStanding.WITHDRAWN: Words(_("withdrawn"), "none"),
    BatchStanding.REJECTED: Words(_("rejected"), "bad"),
    BatchStanding.REFUSED: Words(_("refused"), "bad"),
}

ORDERS: Mapping[OrderState, Words] = {
    OrderState.RECEIVED: Words(_("being checked"), "busy"),
    OrderState.QUOTED: Words(_("ready to be paid"), "busy"),
    OrderState.HELD: Words(_("held, waiting for you"), "wait"),
    OrderState.SUBMITTING: Words(_("being paid"), "busy"),
    OrderState.PENDING: Words(_("being paid"), "busy"),
    OrderState.UNKNOWN: Words(_("being paid, SAT is asked"), "busy"),
    OrderState.ESCALATED: Words(_("unclear, waiting for you"), "wait"),
    OrderState.SUCCEEDED: Words(_("paid"), "good"),
    OrderState.FAILED: Words(_("not paid"), "bad"),
    OrderState.REVERSED: Words(_("paid back"), "bad"),
    OrderState.REJECTED: Words(_("not paid, the row needs correction"), "bad"),
    OrderState.CANCELLED: Words(_("not paid, cancelled"), "none"),
}

NEEDS: Mapping[NeedKind, Words] = {
    NeedKind.APPROVALS: Words(_("Batches wait for approval"), "wait"),
    NeedKind.HELD: Words(_("Held orders"), "wait"),
    NeedKind.ESCALATED: Words(_("Orders whose end is unclear"), "wait"),
    NeedKind.SHORT_OF_FUNDS: Words(_("Batches wait for a top-up"), "wait"),
    NeedKind.PAUSED: Words(_("The account is paused"), "bad"),
    NeedKind.ALERTS: Words(_("Alerts"), "bad"),
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

WHY: Mapping[str, str] = {str(code): why for code, why in (*HOLDS.items(), *REJECTIONS.items())}
"""Why an order is held or was never sent, by its reason's code."""
