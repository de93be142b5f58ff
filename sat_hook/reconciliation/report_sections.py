"""The report of a closed day in one language: its sections in their order."""

from __future__ import annotations

from collections.abc import Sequence

from sat_hook.domain.books_events import BreakDecided, DayCertified, DayClosed, DayPrepared
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation import report_words
from sat_hook.reconciliation.day_figures import DayFigures
from sat_hook.reconciliation.report_breaks import BreakSections
from sat_hook.reconciliation.report_deposit import DepositSections
from sat_hook.reconciliation.report_orders import OrderSections
from sat_hook.reconciliation.report_parts import Cell, Opens, Section, Table, headings_of, person_of
from sat_hook.reconciliation.versions import Version

MAXIMUM_DECISIONS = 100
"""More decisions about breaks than this are not listed in a page and in a PDF: the newest are."""

_PREPARED, _APPROVED = _("prepared"), _("approved")


def sections_of(figures: DayFigures, versions: Sequence[Version], wording: Wording) -> tuple[Section, ...]:
    """Return the report's sections.

    :param versions: those of the report up to this one.
    """
    deposit, breaks = DepositSections(figures, wording), BreakSections(figures, wording)
    orders = OrderSections(figures, wording)
    made = (
        deposit.saldo(),
        deposit.top_ups(),
        deposit.matches(),
        breaks.breaks(),
        breaks.largest_breaks(),
        orders.products(),
        orders.states(),
        deposit.controls(),
        deposit.settlement_files(),
        breaks.adjustments(),
        _versions(versions, wording),
    )
    return tuple(section for section in made if section is not None)


def _versions(versions: Sequence[Version], wording: Wording) -> Section | None:
    if not versions:
        return None
    say = wording.text
    words = (_("Version"), _("When"), _("Who"), _("What"), _("Log position"))
    headings = headings_of(wording, *words, numbers=("Version", "Log position"))
    rows = []
    shown = _shown(versions)
    for item in shown:
        rows.append(
            (
                Cell(wording.number(item.number), Opens("version", {"version": str(item.number)})),
                Cell(wording.time(item.at)),
                Cell(person_of(item.actor)),
                Cell(what_of(item, wording)),
                Cell(wording.number(item.position)),
            )
        )
    notes = [
        say(_("Each close, decision and signature makes a version, and leaves those before it as they are."))
    ]
    if left_out := len(versions) - len(shown):
        left = _("Earlier decisions that are not listed here: %(number)s. All of them are in the workbook.")
        notes.append(say(left) % {"number": wording.number(left_out)})
    return Section(
        "versions",
        say(_("Versions and signatures")),
        tables=(Table(headings, tuple(rows)),),
        notes=tuple(notes),
    )


def _shown(versions: Sequence[Version]) -> list[Version]:
    """All closes and signatures, and the newest decisions about breaks: people may make thousands."""
    decisions = [version.number for version in versions if version.break_ids]
    hidden = set(decisions[:-MAXIMUM_DECISIONS])
    return [version for version in versions if version.number not in hidden]


def what_of(version: Version, wording: Wording) -> str:
    say, event = wording.text, version.event
    match event:
        case DayClosed():
            said = say(_("closed at log position %(position)s, result %(result)s"))
            return said % {"position": wording.number(event.position), "result": event.result_digest[:16]}
        case BreakDecided():
            state = say(report_words.BREAK_STATES[event.state])
            if version.breaks > 1:
                about = say(_("%(number)s breaks")) % {"number": wording.number(version.breaks)}
            else:
                about = say(_("break %(id)s")) % {"id": event.break_id}
            return f"{about}: {state}: {event.reason}"
        case DayPrepared():
            return f"{say(_PREPARED)}: {event.note}"
        case DayCertified():
            return f"{say(_APPROVED)}: {event.note}"
