"""Alerts: which events people are notified of, and the text. Pure.

An alert's text holds request ids, batch ids, row numbers and rupiah. It never holds a customer's name or
number, a voucher, or text received over the wire. To alert on another event, add its kind here, its type to
:data:`ALERTING_TYPES` and its line to :func:`alert_kind` and :func:`_text`. Alerts that are not events are
    raised by :class:`sat_hook.store.alerts.AlertBook`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sat_hook.domain import account as account_events
from sat_hook.domain import batch_events, order_events
from sat_hook.domain.business_day import business_day
from sat_hook.domain.event_record import Event, RecordedEvent
from sat_hook.domain.identity import REQUEST_ID_LENGTH
from sat_hook.domain.printable import printable
from sat_hook.domain.same_order import mismatch_in_words
from sat_hook.domain.status_decisions import STATUS_FAILED, STATUS_PENDING, STATUS_SUCCESS

MAXIMUM_TEXT_CHARACTERS = 300
MAXIMUM_SUBJECTS_IN_MESSAGE = 10
MAXIMUM_CODES_IN_TEXT = 5
MAXIMUM_CODE_CHARACTERS = 40


class AlertKind(StrEnum):
    """What an alert is about."""

    ORDER_ESCALATED = "order_escalated"
    ORDER_REVERSED = "order_reversed"
    LATE_SUCCESS = "late_success"
    EVIDENCE_CONTRADICTED = "evidence_contradicted"
    STATUS_MISMATCHED = "status_mismatched"
    CALLBACK_MISDIRECTED = "callback_misdirected"
    REVERSAL_DOUBTED = "reversal_doubted"
    CHARGED_ABOVE_QUOTE = "charged_above_quote"
    AMOUNT_UNKNOWN = "amount_unknown"
    CHUNK_STOPPED = "chunk_stopped"
    FOREIGN_SPEND = "foreign_spend"
    FINAL_WATCH_MISSED = "final_watch_missed"
    RECONCILIATION_BREAK = "reconciliation_break"
    INTAKE_ROWS_FREED = "intake_rows_freed"
    INTAKE_ROWS_REFUSED = "intake_rows_refused"
    PRICE_JUMP = "price_jump"
    PRODUCT_UNREADABLE = "product_unreadable"
    BATCH_LATE = "batch_late"
    DAY_LATE = "day_late"
    LOG_FORKED = "log_forked"
    LOG_DAMAGED = "log_damaged"
    LOG_UNPROVEN = "log_unproven"
    LOG_PARTITIONS = "log_partitions"

    @property
    def headline(self) -> str:
        """What the kind means, for the subject of a message."""
        return _HEADLINES[self]


_HEADLINES = {
    AlertKind.ORDER_ESCALATED: "orders without an end, handed to people",
    AlertKind.ORDER_REVERSED: "paid orders that SAT has taken back",
    AlertKind.LATE_SUCCESS: "orders called failed that SAT has paid after all",
    AlertKind.EVIDENCE_CONTRADICTED: "orders whose signed status contradicts their end",
    AlertKind.STATUS_MISMATCHED: "orders whose signed status is about another product or number",
    AlertKind.CALLBACK_MISDIRECTED: "signed callbacks about another product or number than their order",
    AlertKind.REVERSAL_DOUBTED: "orders taken back that SAT calls successful again: asked once more",
    AlertKind.CHARGED_ABOVE_QUOTE: "orders charged above their quote",
    AlertKind.AMOUNT_UNKNOWN: "orders of which SAT names an amount that is none",
    AlertKind.CHUNK_STOPPED: "stopped chunks: not everything was sent",
    AlertKind.FOREIGN_SPEND: "deposit spent by another party",
    AlertKind.FINAL_WATCH_MISSED: "ended orders that were not looked at again in time",
    AlertKind.RECONCILIATION_BREAK: "breaks of the reconciliation",
    AlertKind.INTAKE_ROWS_FREED: "table rows whose run came to nothing, free again",
    AlertKind.INTAKE_ROWS_REFUSED: "table rows that cannot be submitted as they are",
    AlertKind.PRICE_JUMP: "jumps of product prices",
    AlertKind.PRODUCT_UNREADABLE: "products of SAT's price list that cannot be read",
    AlertKind.BATCH_LATE: "batches that have not ended in time",
    AlertKind.DAY_LATE: "days that were not closed in time",
    AlertKind.LOG_FORKED: "the log is not the one that was published",
    AlertKind.LOG_DAMAGED: "the log does not verify: changed, removed or inserted past the pipeline",
    AlertKind.LOG_UNPROVEN: "parts of the log are not proven: no new checkpoints, or no keys of SAT's",
    AlertKind.LOG_PARTITIONS: "partitions of the log that are missing or not protected",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that people are notified of, once.

    :param key: what it is about; never reused: ``event/<position>``, ``price_jump/<snapshot>/<product>``.
    :param account: the account's name.
    :param text: one line of at most 300 characters, without personal data or secrets.
    :param occurred_at: when it happened (UTC).
    :param subject: what a message lists, for example a request id or a product code.
    :raises ValueError: for a text that is empty, too long, or longer than one line.
    """

    key: str
    kind: AlertKind
    account: str
    text: str
    occurred_at: datetime
    batch_id: str | None = None
    subject: str | None = None

    @property
    def request_id(self) -> str | None:
        """The order that it is about; None when it is about something else."""
        is_order = self.subject is not None and self.key.startswith("event/") and self.subject[:1] == "S"
        return self.subject if is_order and len(self.subject or "") == REQUEST_ID_LENGTH else None

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("an alert needs a key")
        if not 0 < len(self.text) <= MAXIMUM_TEXT_CHARACTERS or not self.text.isprintable():
            raise ValueError(
                f"the text of alert {self.key!r} is no line of 1 to {MAXIMUM_TEXT_CHARACTERS} characters"
            )


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """One message: all alerts of one kind about one account."""

    kind: AlertKind
    account: str
    count: int
    subject: str
    text: str


_FAILED_ENDS = frozenset({"OrderFailed", "CheckoutRejected", "FailedByOperator"})
# Any other text from SAT is kept out of messages.
_KNOWN_STATUSES = frozenset({STATUS_PENDING, STATUS_SUCCESS, STATUS_FAILED})
_REVERSAL = "OrderReversed"
# These ends raise an alert only after another end of the same order.
_NEWS_AFTER_AN_END = ("OrderSucceeded", "OrderFailed", "OrderPending")
ENDS = (*sorted(_FAILED_ENDS), _REVERSAL, "SucceededByOperator")

ALERTING_TYPES = (
    "OrderEscalated",
    "OrderReversed",
    "EvidenceContradicted",
    "ReversalDoubted",
    "StatusMismatched",
    "ChargedAboveQuote",
    "AmountUnknown",
    *_NEWS_AFTER_AN_END,
    "ChunkStopped",
    "ForeignSpendSuspected",
)
ALERTING_AFTER_AN_END = _NEWS_AFTER_AN_END


def alert_of(
    recorded: RecordedEvent, earlier: Collection[str], account: str, batch_id: str | None
) -> Alert | None:
    """The alert for an event; None when the event raises none.

    :param earlier: type names of the earlier events in its stream that are in ``ENDS``.
    """
    event = recorded.event
    kind = alert_kind(event, earlier)
    if kind is None:
        return None
    return Alert(
        key=f"event/{recorded.position}",
        kind=kind,
        account=account,
        text=_text(event, recorded.stream.key),
        occurred_at=recorded.occurred_at,
        batch_id=batch_id,
        subject=recorded.stream.key,
    )


def alert_kind(event: Event, earlier: Collection[str]) -> AlertKind | None:
    """The kind of alert that the event raises, after these ends."""
    match event:
        case order_events.OrderEscalated():
            return AlertKind.ORDER_ESCALATED
        case order_events.OrderReversed():
            return AlertKind.ORDER_REVERSED
        case order_events.EvidenceContradicted():
            return AlertKind.EVIDENCE_CONTRADICTED
        case order_events.ReversalDoubted():
            return AlertKind.REVERSAL_DOUBTED
        case order_events.StatusMismatched():
            return AlertKind.STATUS_MISMATCHED
        case order_events.ChargedAboveQuote():
            return AlertKind.CHARGED_ABOVE_QUOTE
        case order_events.AmountUnknown():
            return AlertKind.AMOUNT_UNKNOWN
        case order_events.OrderSucceeded() if not {*_FAILED_ENDS, _REVERSAL}.isdisjoint(earlier):
            return AlertKind.LATE_SUCCESS
        case order_events.OrderFailed() if "SucceededByOperator" in earlier:
            return AlertKind.EVIDENCE_CONTRADICTED
        case order_events.OrderPending() if not _FAILED_ENDS.isdisjoint(earlier):
            return AlertKind.EVIDENCE_CONTRADICTED
        case batch_events.ChunkStopped():
            return AlertKind.CHUNK_STOPPED
        case account_events.ForeignSpendSuspected():
            return AlertKind.FOREIGN_SPEND
        case _:
            return None


def _text(event: Event, key: str) -> str:
    match event:
        case order_events.OrderEscalated(reason=reason):
            return alert_line(f"{key}: {reason}")
        case order_events.ChargedAboveQuote():
            return f"{key}: charged {event.charged_rupiah:,} rupiah, quoted {event.quote_rupiah:,}"
        case order_events.AmountUnknown(member=member, found=found):
            signed = "signed" if event.is_signed else "unsigned"
            return alert_line(f"{key}: {signed} {member} is no amount of money (found {found})")
        case batch_events.ChunkStopped():
            return (
                f"{key}: {event.unsent} orders of rows {event.first_row} to {event.last_row} were not sent"
                f" ({event.cause.value})"
            )
        case account_events.ForeignSpendSuspected():
            return (
                f"{event.found_rupiah:,} rupiah found,"
                f" at least {event.expected_rupiah:,} expected; compared with {event.compared_with:%F %R} UTC"
            )
        case order_events.OrderSucceeded():
            return f"{key}: signed Success after it was called failed or taken back; do not pay it again"
        case order_events.ReversalDoubted():
            return f"{key}: signed Success after it was taken back; SAT is asked again: do not pay it yet"
        case order_events.StatusMismatched(members=members):
            return f"{key}: {mismatch_in_words(members)}; find out which order SAT has paid"
        case order_events.OrderReversed():
            return f"{key}: signed Failed after a signed Success"
        case order_events.OrderPending():
            return (
                f"{key}: signed Pending after it was called failed; it may be paid yet: do not pay it again"
            )
        case order_events.OrderFailed():
            return f"{key}: signed Failed after a person called it succeeded; it is failed now"
        case order_events.EvidenceContradicted(reported_status=status):
            said = f"signed {status}" if status in _KNOWN_STATUSES else "a signed status"
            return f"{key}: {said} fits nothing any more; the order stays as it is"
        case _:
            raise ValueError(f"{event.type_name} is no alert")


def unreadable_products(account: str, codes: Collection[str], at: datetime) -> list[Alert]:
    """The alert about products that cannot be read: one per business day (WIB) for the same products.

    :param codes: product codes; ``""`` stands for products without a readable code.
    """
    if not codes:
        return []
    named = sorted({code for code in codes if code})
    day = business_day(at)
    digest = hashlib.sha256("\n".join(["" if "" in codes else "-", *named]).encode()).hexdigest()[:16]
    shown = ", ".join(code[:MAXIMUM_CODE_CHARACTERS] for code in named[:MAXIMUM_CODES_IN_TEXT])
    more = len(named) - MAXIMUM_CODES_IN_TEXT
    text = f"{len(named)} products: {shown}" + (f" and {more} more" if more > 0 else "") if named else ""
    if "" in codes:
        text += f"{'; and ' if named else ''}lines without a product code"
    return [
        Alert(
            key=f"unreadable_products/{account}/{day}/{digest}",
            kind=AlertKind.PRODUCT_UNREADABLE,
            account=account,
            text=alert_line(text),
            occurred_at=at,
        )
    ]


def alert_line(text: str) -> str:
    """``text`` as the single line of an alert."""
    return printable(text, MAXIMUM_TEXT_CHARACTERS)


def messages_of(alerts: Sequence[Alert]) -> list[tuple[AlertMessage, list[Alert]]]:
    """Group alerts into one message for each kind and account, so that many alerts make few messages."""
    groups: dict[tuple[AlertKind, str], list[Alert]] = {}
    for alert in alerts:
        groups.setdefault((alert.kind, alert.account), []).append(alert)
    return [(_message(kind, account, group), group) for (kind, account), group in groups.items()]


def _message(kind: AlertKind, account: str, alerts: list[Alert]) -> AlertMessage:
    lines = [alert.text for alert in alerts[:MAXIMUM_SUBJECTS_IN_MESSAGE]]
    if len(alerts) > len(lines):
        lines.append(f"… and {len(alerts) - len(lines)} more")
    batches = sorted({alert.batch_id for alert in alerts if alert.batch_id})
    if batches:
        shown = ", ".join(batches[:MAXIMUM_SUBJECTS_IN_MESSAGE])
        more = len(batches) - MAXIMUM_SUBJECTS_IN_MESSAGE
        lines.append(f"batches: {shown}" + (f" and {more} more" if more > 0 else ""))
    return AlertMessage(
        kind=kind,
        account=account,
        count=len(alerts),
        subject=f"SAT account {account}: {kind.headline} ({len(alerts)})",
        text="\n".join(lines),
    )
