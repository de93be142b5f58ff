"""The words of a day's report, marked for translation. Names that have no entry are shown as they are."""

from __future__ import annotations

from collections.abc import Mapping

from sat_hook.domain.breaks import BreakCategory, BreakState, MatchKind
from sat_hook.domain.order import OrderState
from sat_hook.presentation.language import marked as _

STEPS: Mapping[str, str] = {
    "Opening saldo": _("Opening saldo"),
    "Top-ups": _("Top-ups"),
    "In transit at the opening": _("In transit at the opening"),
    "Debits": _("Debits"),
    "Refunds": _("Refunds"),
    "In transit at the close": _("In transit at the close"),
    "Unexplained": _("Unexplained"),
    "Closing saldo": _("Closing saldo"),
}
"""The steps of the waterfall, by their labels in the model."""

BANDS: Mapping[str, str] = {
    "0-1 days": _("0–1 days"),
    "2-7 days": _("2–7 days"),
    "8-30 days": _("8–30 days"),
    "over 30 days": _("over 30 days"),
}

CATEGORIES: Mapping[BreakCategory, str] = {
    BreakCategory.TIMING: _("Timing"),
    BreakCategory.EXISTENCE: _("One side only"),
    BreakCategory.DUPLICATE: _("More than once"),
    BreakCategory.AMOUNT: _("Amount"),
    BreakCategory.STATUS: _("Status"),
    BreakCategory.ATTRIBUTE: _("Product or number"),
    BreakCategory.IDENTITY: _("Another order"),
    BreakCategory.MATCHING: _("Cannot be compared"),
    BreakCategory.FILE: _("Settlement file"),
    BreakCategory.CONTROL: _("Control totals"),
}

BREAK_STATES: Mapping[BreakState, str] = {
    BreakState.OPEN: _("open"),
    BreakState.EXPLAINED: _("explained"),
    BreakState.RESOLVED: _("resolved"),
    BreakState.WRITTEN_OFF: _("written off"),
}

MATCHES: Mapping[MatchKind, tuple[str, str]] = {
    MatchKind.EVIDENCE: (
        _("Signed statuses"),
        _("How our orders ended, against the statuses that SAT signed."),
    ),
    MatchKind.SETTLEMENT: (
        _("Settlement file"),
        _("Our orders that succeeded, against the rows of the provider's settlement file."),
    ),
    MatchKind.SALDO: (
        _("Deposit"),
        _("The closing saldo, against the opening saldo, top-ups, debits, refunds and what is in transit."),
    ),
    MatchKind.CONTROL: (_("Control totals"), _("Totals of this report, against the same totals in the log.")),
}
"""What our books were held against, and what exactly was compared."""
NOT_MADE = _("Not made: nothing has come to compare with.")

CONTROLS: Mapping[str, str] = {
    "events of the day's orders": _("events of the day's orders"),
    "digest of these events": _("digest of these events"),
    "orders sent for the first time": _("orders sent for the first time"),
    "rupiah of successes": _("rupiah of successes"),
    "orders without a beginning": _("orders without a beginning"),
    "opening saldo is yesterday's closing": _("opening saldo is yesterday's closing"),
    "in transit at the opening is yesterday's at the close": _(
        "in transit at the opening is yesterday's at the close"
    ),
}

ORDER_STATES: Mapping[OrderState, str] = {
    OrderState.RECEIVED: _("received"),
    OrderState.REJECTED: _("rejected"),
    OrderState.QUOTED: _("quoted"),
    OrderState.HELD: _("held"),
    OrderState.CANCELLED: _("cancelled"),
    OrderState.SUBMITTING: _("being sent"),
    OrderState.PENDING: _("pending at SAT"),
    OrderState.UNKNOWN: _("unknown"),
    OrderState.ESCALATED: _("with people"),
    OrderState.SUCCEEDED: _("succeeded"),
    OrderState.FAILED: _("failed"),
    OrderState.REVERSED: _("reversed"),
}

VALUES = (
    *(_("timing"), _("existence"), _("duplicate"), _("amount"), _("status"), _("attribute"), _("identity")),
    *(_("matching"), _("file"), _("control"), _("evidence"), _("settlement"), _("saldo")),
    *(_("open"), _("explained"), _("resolved"), _("written_off")),
    *(_("0-1 days"), _("2-7 days"), _("8-30 days"), _("over 30 days")),
    *(_("received"), _("rejected"), _("quoted"), _("held"), _("cancelled"), _("submitting"), _("pending")),
    *(_("unknown"), _("escalated"), _("succeeded"), _("failed"), _("reversed"), _("unsent")),
    *(_("signed"), _("by operator"), _("none"), _("matched"), _("missing"), _("not expected"), _("no file")),
)
"""The values of the books' columns. A workbook shows them in its language; the CSV has them as they are."""

ADJUSTED: Mapping[str, str] = {"nothing": _("nothing"), "topped up": _("topped up")}
"""What a day reported of a top-up, and what is known now."""

ADJUSTMENTS: Mapping[str, str] = {
    "ended otherwise than the certified day has reported": _(
        "ended otherwise than the certified day has reported"
    ),
    "a top-up of the certified day was recorded later": _("a top-up of the certified day was recorded later"),
}
