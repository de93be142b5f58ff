"""People's words for breaks: states, categories, what was found, and suggested explanations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

from sat_hook.application.break_acts import BreakAct
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.reconciliation import report_words
from sat_hook.reconciliation.suggestions import Suggestion, SuggestionKind
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.words import Words

STATES: Mapping[BreakState, Words] = {
    state: Words(report_words.BREAK_STATES[state], tone)
    for state, tone in (
        (BreakState.OPEN, "wait"),
        (BreakState.EXPLAINED, "busy"),
        (BreakState.RESOLVED, "good"),
        (BreakState.WRITTEN_OFF, "none"),
    )
}

CATEGORIES = report_words.CATEGORIES

ADVICE: Mapping[BreakCategory, str] = {
    BreakCategory.TIMING: _(
        "Both sides have it, or will have it, on different days. Wait a day, then check it."
    ),
    BreakCategory.EXISTENCE: _(
        "Only one side has it. Ask the provider with the request id and the row of the file."
    ),
    BreakCategory.DUPLICATE: _(
        "One side has it more than once. Ask the provider whether it was charged twice."
    ),
    BreakCategory.AMOUNT: _("The amounts differ. Record a forgotten top-up, or ask the provider."),
    BreakCategory.STATUS: _("The two sides say that the order ended differently. Look at the order."),
    BreakCategory.ATTRIBUTE: _("The product or the customer's number differs. Ask the provider."),
    BreakCategory.IDENTITY: _(
        "SAT signed a status about another product or number. Ask SAT which order it paid."
    ),
    BreakCategory.MATCHING: _("It cannot be compared. Read the row, or wait for SAT's signed status."),
    BreakCategory.FILE: _("A settlement file does not count, or must be looked at first."),
    BreakCategory.CONTROL: _("Totals that must agree do not. Explain this before the day is signed."),
}

BANDS: Mapping[str, tuple[str, str]] = {
    name: (said, tone)
    for (name, said), tone in zip(report_words.BANDS.items(), ("good", "busy", "wait", "bad"), strict=True)
}
"""Age bands: their names, and their tones in a bar."""

ROW_KINDS: Mapping[str, str] = {
    "sale": _("sale"),
    "refund": _("refund"),
    "total": _("total"),
    "unknown": _("not known"),
}
ROW_STATUSES: Mapping[str, str] = {
    "succeeded": _("succeeded"),
    "failed": _("failed"),
    "pending": _("pending"),
}
"""What a row of a settlement file is."""

WHAT = (
    _("a row of the settlement file cannot be matched"),
    _("the settlement file has an order that our ledger does not know"),
    _("the settlement file has an order of another day, whose own file has it, too"),
    _("the settlement file has the order again in a row that is set aside; neither is paired"),
    _("sent shortly before the cut-off; expected in the next day's settlement file"),
    _("succeeded by our ledger, and in no settlement file"),
    _("the settlement file refunds otherwise than our ledger has it"),
    _("the settlement file of another day has the order"),
    _("the settlement file says otherwise than our ledger"),
    _("the settlement file charges another amount"),
    _("the settlement file has another product"),
    _("the settlement file has another client number"),
    _("the deposit holds more than orders and top-ups explain"),
    _("the deposit holds less than orders and top-ups explain"),
    _("the deposit holds more than orders and top-ups explain; orders around the closing look may be why"),
    _("the deposit holds less than orders and top-ups explain; orders around the closing look may be why"),
    _("the signed status that ended the order is not kept"),
    _("the signed status says otherwise than our ledger"),
    _("the signed status charges another amount than our ledger"),
    _("a person ended the order; no signed status says so"),
    _("a signed status contradicts the end of the order"),
    _("SAT signed a status with this order's id about another product or client number"),
    _("sent on an earlier day and still without an end"),
    _("the day before was not closed"),
    _("the deposit was not observed near the opening cut-off"),
    _("the deposit was not observed near the closing cut-off"),
)
"""The usual findings of a close. Others are shown as they are recorded."""


class ActWords(NamedTuple):
    """A decision in people's words: its name, what will happen, and the tone of its button."""

    title: str
    happens: str
    tone: str


ACTS: Mapping[BreakAct, ActWords] = {
    BreakAct.EXPLAIN: ActWords(
        _("Explain"),
        _("The cause is known. The break stays in the books until evidence ends it."),
        "primary",
    ),
    BreakAct.RESOLVE: ActWords(
        _("Mark as resolved"), _("It is settled. It is not carried forward any more."), "primary"
    ),
    BreakAct.WRITE_OFF: ActWords(
        _("Write off"), _("It is given up. It is not carried forward any more."), "danger"
    ),
}

REFUSALS: Mapping[str, str] = {
    "already_so": _("it is so already"),
    "wrong_state": _("its state does not allow it"),
    "not_found": _("there is no such break"),
    "failed": _("it could not be recorded"),
}
"""Why a break is not decided, by the code."""

SUGGESTIONS: Mapping[SuggestionKind, tuple[str, str]] = {
    SuggestionKind.REFUND_EXPECTED: (
        _("A refund is expected"),
        _(
            "The order was not paid on %(ended_at)s, and the file charges %(amount)s. "
            "Refunds come within a week."
        ),
    ),
    SuggestionKind.REFUND_OVERDUE: (
        _("A refund is overdue"),
        _(
            "The order was not paid on %(ended_at)s, the file charges %(amount)s, "
            "and after %(days)s days no refund has come."
        ),
    ),
    SuggestionKind.OVER_CUT_OFF: (
        _("Timing over the cut-off"),
        _(
            "It happened at %(moment)s, near the cut-off at %(cut_off)s. "
            "The other side may have it on the other day."
        ),
    ),
    SuggestionKind.LATE_FILE: (
        _("The file is late"),
        _("The settlement file of %(day)s has not come. The order may be in it."),
    ),
    SuggestionKind.TOP_UP_SEEN: (
        _("A top-up is not recorded"),
        _(
            "The deposit rose by exactly %(amount)s, seen at %(observed_at)s, "
            "and no top-up is recorded for it."
        ),
    ),
    SuggestionKind.TOP_UP_MISSING: (
        _("A top-up may be missing"),
        _("The deposit holds %(amount)s too much, and no top-up is recorded between the two looks."),
    ),
    SuggestionKind.TOP_UP_NOT_CREDITED: (
        _("A top-up may not have arrived"),
        _(
            "The top-up %(reference)s of exactly %(amount)s is recorded. "
            "It may not have arrived, or be recorded twice."
        ),
    ),
    SuggestionKind.FOREIGN_SPEND: (
        _("Another party may spend from the deposit"),
        _("By %(observed_at)s the deposit had lost %(amount)s that our orders do not explain."),
    ),
}
"""Suggested explanations: the title, and the facts that speak for it."""


class Suggested(NamedTuple):
    """A suggestion in the person's language."""

    title: str
    why: str

    @property
    def reason(self) -> str:
        return f"{self.title}. {self.why}"


def suggested(suggestion: Suggestion, wording: Wording) -> Suggested:
    """A suggestion in the person's language, its facts written as the language does."""
    title, why = SUGGESTIONS[suggestion.kind]
    facts = {name: _written(name, fact, wording) for name, fact in suggestion.facts.items()}
    return Suggested(wording.text(title), wording.text(why) % facts)


def _written(name: str, fact: object, wording: Wording) -> str:
    match fact:
        case datetime():
            return wording.time(fact)
        case date():
            return wording.day(fact)
        case int() if name == "amount":
            return wording.rupiah(fact)
        case int():
            return wording.number(fact)
        case _:
            return str(fact)
