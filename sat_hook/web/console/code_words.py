"""People's words for the codes that events hold, and for the way by which an act came."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sat_hook.audit import rollback_detection
from sat_hook.audit.findings import FindingKind
from sat_hook.domain.account import ExportedContent
from sat_hook.domain.approval_events import ApprovalRefusal
from sat_hook.domain.batch_events import BatchSource, RowVerdict, ShortFundsPolicy, StopCause
from sat_hook.domain.books_events import SetAsideCause
from sat_hook.domain.order_events import QuoteSource
from sat_hook.domain.rights_seen import RightsSource
from sat_hook.domain.webhooks import WebhookTopic
from sat_hook.reconciliation import report_words
from sat_hook.web.console import break_words, draft_words, settlement_words, words
from sat_hook.web.console.error_words import REFUSALS
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _

RIGHTS_SOURCES: Mapping[str, str] = {
    RightsSource.FILE: _("the rights file"),
    RightsSource.DEFAULTS: _("the defaults by Airflow's roles"),
    RightsSource.AUTH_MANAGER: _("Airflow's auth manager, which names no holders"),
    RightsSource.UNUSABLE: _("a rights file that cannot be used: no user has any right"),
}

PROBLEMS: Mapping[str, str] = {
    FindingKind.DIGEST_MISMATCH: _("an event was changed"),
    FindingKind.VERSION_GAP: _("an event is missing within its stream"),
    FindingKind.VERSION_ORDER: _("events of a stream are out of order"),
    FindingKind.UNKNOWN_EVENT: _("an event of a type that this release does not know"),
    FindingKind.UNREADABLE_EVENT: _("an event cannot be read"),
    FindingKind.HEAD_MISSING: _("a stream has lost its head"),
    FindingKind.HEAD_MISMATCH: _("the head of a stream names another version"),
    FindingKind.HEAD_WITHOUT_EVENTS: _("a stream has lost its events"),
    FindingKind.EVIDENCE_MISSING: _("evidence that an event names is missing"),
    FindingKind.EVIDENCE_CHANGED: _("evidence was changed"),
    FindingKind.EVIDENCE_SIGNATURE: _("SAT never signed the text that an event rests on"),
    FindingKind.EVIDENCE_CONTRADICTS: _("an event says otherwise than the text that SAT signed"),
    FindingKind.EVIDENCE_KEY_WITHDRAWN: _("a text is signed with a key that is not trusted any more"),
    FindingKind.STREAM_DOES_NOT_FOLD: _("the events of a stream do not follow from each other"),
    FindingKind.PROJECTION_MISSING: _("a derived row is missing"),
    FindingKind.PROJECTION_DIFFERS: _("a derived row differs from the log"),
    FindingKind.PROJECTION_WITHOUT_EVENTS: _("a derived row has no events"),
    FindingKind.REPORT_DIFFERS: _("a report differs when it is made again"),
    FindingKind.REPORT_UNAVAILABLE: _("a report cannot be made again"),
    FindingKind.SUMMARY_DIFFERS: _("the summary of a batch differs when it is made again"),
    FindingKind.CHECKPOINT_UNREADABLE: _("a checkpoint cannot be read"),
    FindingKind.CHECKPOINT_DIGEST: _("a checkpoint was changed"),
    FindingKind.CHECKPOINT_SIGNATURE: _("a checkpoint is not signed with a trusted key"),
    FindingKind.CHECKPOINT_CHAIN: _("a checkpoint does not follow the one before it"),
    FindingKind.CHECKPOINT_EVENTS: _("events were added, changed or removed under a checkpoint"),
    FindingKind.CHECKPOINT_STRAY: _("a checkpoint that belongs to no chain"),
    FindingKind.PUBLISHED_MISSING: _("a published copy is missing"),
    FindingKind.PUBLISHED_DIFFERS: _("a published copy differs from the log"),
    FindingKind.ARCHIVE_UNREADABLE: _("an archived file of the log cannot be read"),
    FindingKind.ARCHIVE_DIFFERS: _("an archived file of the log was changed"),
    FindingKind.PUBLISHED_BEYOND: _("more was published than the log holds: its end is missing"),
}
"""What a verification of the log may find."""

OF_EVENTS: Mapping[tuple[str, str], Mapping[Any, str]] = {
    ("AccountPaused", "reason"): {
        rollback_detection.REASON: _(
            "the database is not the one whose checkpoints were published: restored to an older state, "
            "or altered"
        ),
    },
    ("ApprovalRefused", "reason"): {
        ApprovalRefusal.OWN_BATCH: _("the approver had submitted the batch"),
        ApprovalRefusal.SIGNED_BEFORE: _("this person had signed before"),
        ApprovalRefusal.RIGHT_MISSING: _("the right to approve it was missing"),
        ApprovalRefusal.TERMS_CHANGED: _("the batch was another one than was shown"),
        ApprovalRefusal.NO_USER: _("Airflow did not say who it was"),
    },
    ("BatchRefused", "code"): REFUSALS,
    ("BatchSubmitted", "source"): {
        BatchSource.FILE: _("a file"),
        BatchSource.ORDER_INTAKE: _("the table order_intake"),
        BatchSource.OPERATOR: _("a DAG of your own"),
    },
    ("ChunkStopped", "cause"): {
        StopCause.BREAKER: _("SAT gave no clear answer too often in a row"),
        StopCause.OVERCHARGED: _("SAT charged more than it had quoted"),
        StopCause.INCOMPLETE: _("not every price or request was ready in time"),
    },
    ("OrderHeld", "reason"): words.HOLDS,
    ("OrderQuoted", "source"): {
        QuoteSource.CATALOGUE: _("the price list"),
        QuoteSource.INQUIRY: _("SAT's answer to an inquiry"),
    },
    ("OrderRejected", "reason"): words.REJECTIONS,
    ("RightsSeen", "source"): RIGHTS_SOURCES,
    ("SettlementSetAside", "cause"): {
        SetAsideCause.UNUSABLE: _("it cannot be read, or its name has no day"),
        SetAsideCause.UNDECIDED: _("it overlaps with another file: a person must choose"),
    },
}
"""Words for the codes of a member of one type of event."""

_STATES: Mapping[Any, str] = {**report_words.ORDER_STATES, **break_words.ROW_STATUSES}

CODES: Mapping[str, Mapping[Any, str]] = {
    "category": report_words.CATEGORIES,
    "client_numbers": settlement_words.NUMBER_FORMS,
    "code": {**draft_words.FINDINGS, **draft_words.OF_MANY_ROWS, **words.WHY},
    "content": {ExportedContent.ORDERS: _("orders"), ExportedContent.RESULTS: _("results of a batch")},
    "date_order": settlement_words.DATE_ORDERS,
    "given_rights": words.RIGHTS,
    "holder_kind": {"user": _("user"), "role": _("role")},
    "limit": {
        "order_rupiah": _("amount of an order at most"),
        "batch_rupiah": _("amount of a batch at most"),
        "day_rupiah": _("amount of a day at most"),
        "batch_orders": _("orders of a batch at most"),
        "day_orders": _("orders of a day at most"),
    },
    "match": {match: name for match, (name, _what) in report_words.MATCHES.items()},
    "negatives": settlement_words.NEGATIVES,
    "ours": _STATES,
    "policy": {
        ShortFundsPolicy.WAIT: _("Wait for a top-up, and pay then"),
        ShortFundsPolicy.PARTIAL: _("Pay as far as it reaches, in the order of the rows"),
        ShortFundsPolicy.REFUSE: _("Refuse the batch: pay all or nothing"),
    },
    "right": words.RIGHTS,
    "rights": words.RIGHTS,
    "state": report_words.BREAK_STATES,
    "statuses": break_words.ROW_STATUSES,
    "taken_rights": words.RIGHTS,
    "theirs": _STATES,
    "topics": {
        WebhookTopic.BATCH_COMPLETED: _("batches that are complete"),
        WebhookTopic.ORDER_ENDED: _("orders that have ended"),
        WebhookTopic.ORDER_HELD: _("orders that are held"),
        WebhookTopic.ORDER_ESCALATED: _("orders whose end is unclear"),
        WebhookTopic.BREAK_FOUND: _("breaks that were found"),
    },
    "verdict": {
        RowVerdict.REFUSED: _("refused"),
        RowVerdict.ALREADY_KNOWN: _("submitted before"),
    },
    "what": {text: text for text in break_words.WHAT},
}
"""Words for the codes of a member that means the same in every event."""

_RUN = re.compile(r"task (?P<dag>[\w-]+)[./ ]")
_MANY = re.compile(r"plugin:[\w-]+:D")


def code_words(kind: str, name: str, code: str, wording: Wording) -> str | None:
    """A code of a member in people's words; None for a text that is no code.

    :param kind: the event's type.
    """
    said = OF_EVENTS.get((kind, name), CODES.get(name, {})).get(code)
    return None if said is None else wording.text(said)


def way_of(cause: str, wording: Wording) -> str:
    """How an act came to the log, by the cause of its event; other causes as they are recorded."""
    if _MANY.match(cause):
        return wording.text(_("a decision about many orders"))
    if cause.startswith("plugin:"):
        return wording.text(_("the console or the API"))
    if cause.startswith("answer "):
        return wording.text(_("an answer in Airflow"))
    if (run := _RUN.match(cause)) is not None:
        return wording.text(_("a run of %(dag)s")) % {"dag": run["dag"]}
    if cause == "callback":
        return wording.text(_("a callback from SAT"))
    if cause.startswith("poll "):
        return wording.text(_("SAT's answer to a question"))
    return cause
