"""An order's events in people's words: one sentence for each type, with the event's members in it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sat_hook.application.order_details import HistoryEntry
from sat_hook.domain.order_events import HoldReason
from sat_hook.domain.people import user_named
from sat_hook.domain.same_order import CLIENT_NUMBER, PRODUCT_CODE
from sat_hook.web.console.code_words import code_words
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.member_words import UNKNOWN, value_text
from sat_hook.web.console.words import Words

EVENTS: Mapping[str, Words] = {
    "OrderReceived": Words(_("Read from row %(row_number)s of the file")),
    "OrderValidated": Words(_("Checked: the row fits its product")),
    "OrderRejected": Words(_("Not sent: %(reason)s"), "bad"),
    "OrderQuoted": Words(_("Priced at %(price_rupiah)s, valid until %(valid_until)s")),
    "OrderHeld": Words(_("Held: %(reason)s"), "wait"),
    "OrderReleased": Words(_("Released: %(reason)s")),
    "OrderAdmitted": Words(_("Within the limits at %(price_rupiah)s")),
    "OrderApproved": Words(_("Approved up to %(price_rupiah)s"), "good"),
    "OrderCancelled": Words(_("Cancelled, never sent: %(reason)s")),
    "OrderWithdrawn": Words(_("Withdrawn, never sent: %(reason)s")),
    "ReservationRenewed": Words(_("Funds reserved once more: %(price_rupiah)s")),
    "CheckoutRequested": Words(_("Given to SAT to pay, attempt %(attempt)s, at %(price_rupiah)s"), "busy"),
    "CheckoutNotSent": Words(_("Attempt %(attempt)s never left, so it cannot have been paid")),
    "CheckoutAccepted": Words(
        _("SAT took attempt %(attempt)s; whether it is paid is not proven yet"), "busy"
    ),
    "ChargedAboveQuote": Words(_("SAT charges %(charged_rupiah)s instead of %(quote_rupiah)s"), "bad"),
    "AmountUnknown": Words(_("SAT sent an amount that cannot be right, so it is not counted"), "bad"),
    "CheckoutRejected": Words(_("SAT refused it, so it is not paid (code %(code)s)"), "bad"),
    "CheckoutUnknown": Words(
        _("No clear answer to attempt %(attempt)s: it may be paid or not, so SAT is asked"), "wait"
    ),
    "StatusNotFound": Words(_("SAT did not know the order when asked; that proves nothing yet"), "wait"),
    "OrderPending": Words(_("SAT is still working on it"), "busy"),
    "OrderSucceeded": Words(_("Paid, signed by SAT: %(sales_price_rupiah)s"), "good"),
    "OrderFailed": Words(_("Not paid, signed by SAT (code %(error_code)s)"), "bad"),
    "OrderReversed": Words(_("Paid back after it was paid, signed by SAT (code %(error_code)s)"), "bad"),
    "EvidenceContradicted": Words(
        _("SAT signed a status that contradicts the end: %(reported_status)s. The end stays"), "bad"
    ),
    "ReversalDoubted": Words(_("SAT signed that it is paid after it was paid back, so SAT is asked"), "wait"),
    "StatusMismatched": Words(
        _("A signed status is about something else: %(members)s. It ends nothing"), "bad"
    ),
    "OrderEscalated": Words(_("Handed to people, because it stays unclear"), "wait"),
    "StatusAskedByOperator": Words(_("A person had SAT asked: %(reason)s")),
    "ResendAllowedByOperator": Words(
        _("May be sent again under the same id, if SAT does not know it: %(reason)s")
    ),
    "SucceededByOperator": Words(_("Decided by a person: paid. %(reason)s"), "good"),
    "FailedByOperator": Words(_("Decided by a person: not paid. %(reason)s"), "bad"),
}
"""Every type of event of an order."""

HELD_FOR: Mapping[str, str] = {
    "order_rupiah": _("%(found)s for one order; the limit is %(most)s"),
    "batch_rupiah": _("%(found)s; of the batch's limit %(most)s were left"),
    "day_rupiah": _("%(found)s; of the day's limit %(most)s were left"),
    "batch_orders": _("order %(found)s of the batch; the limit is %(most)s"),
    "day_orders": _("order %(found)s of the day; the limit is %(most)s"),
    HoldReason.BUSINESS_DUPLICATE: _(
        "like order %(earlier_order_id)s, row %(earlier_row)s, within %(days)s days"
    ),
    HoldReason.PRICE_ABOVE_QUOTE: _("%(found)s instead of %(most)s"),
    HoldReason.APPROVAL: _("%(found)s; approved were %(most)s"),
    HoldReason.LEFT_OUT: _("by %(approver)s"),
}
"""What a hold rests on: for a limit by its name, else by the reason."""
_COUNTED = frozenset({"batch_orders", "day_orders", HoldReason.BUSINESS_DUPLICATE})

_OF_SAT = frozenset({"CheckoutRejected", "OrderFailed", "OrderReversed"})
"""Events with SAT's own words, which are quoted below the sentence. Other details are ours, in English."""

MEMBERS: Mapping[str, str] = {
    PRODUCT_CODE: _("another product"),
    CLIENT_NUMBER: _("another customer's number"),
}
"""What of a signed status can be about something else."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of the timeline.

    :param detail: SAT's words, or what a hold rests on; empty for none.
    :param user: who did it; None for the pipeline.
    :param raw: the event as it is stored, without customers' data.
    """

    entry: HistoryEntry
    words: str
    tone: str
    detail: str
    user: str | None
    raw: str


def moments_of(history: Iterable[HistoryEntry], wording: Wording) -> Iterator[Moment]:
    """The events in people's words, in their order."""
    for entry in history:
        said = EVENTS.get(entry.kind, Words(entry.kind))
        yield Moment(
            entry,
            wording.text(said.text) % Members(entry, wording),
            said.tone,
            _detail(entry, wording),
            user_named(entry.actor),
            json.dumps(entry.parameters, ensure_ascii=False, indent=1),
        )


def _detail(entry: HistoryEntry, wording: Wording) -> str:
    if entry.kind in _OF_SAT:
        said = " ".join(str(entry.parameters.get(name) or "") for name in ("detail", "error_detail")).strip()
        return wording.text(_("SAT says: “%(words)s”")) % {"words": said} if said else ""
    facts = entry.parameters.get("facts")
    if not isinstance(facts, dict):
        return ""
    kind = str(facts.get("limit", entry.parameters.get("reason")))
    if not facts or kind not in HELD_FOR:
        return ""
    told = {
        name: str(fact)
        if isinstance(fact, str)
        else wording.number(fact)
        if kind in _COUNTED
        else wording.rupiah(fact)
        for name, fact in facts.items()
    }
    return wording.text(HELD_FOR[kind]) % defaultdict(lambda: UNKNOWN, told)


class Members:
    """The members of an event as texts, each made when a sentence needs it; a dash for a missing one."""

    def __init__(self, entry: HistoryEntry, wording: Wording) -> None:
        self._entry = entry
        self._wording = wording

    def __getitem__(self, name: str) -> str:
        return _text(self._entry, name, self._wording)


def _text(entry: HistoryEntry, name: str, wording: Wording) -> str:
    kind, value = entry.kind, entry.parameters.get(name)
    if name == "members" and value:
        return ", ".join(wording.text(MEMBERS[one]) if one in MEMBERS else str(one) for one in value)
    if name == "message":
        # The recorded message is English; its code has words.
        code = str(entry.parameters.get("code"))
        return code_words(kind, "code", code, wording) or value_text(name, value, wording)
    return value_text(name, value, wording, kind)
