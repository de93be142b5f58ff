"""The report's sections about breaks and later evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from markupsafe import Markup

from sat_hook.domain.breaks import BreakCategory
from sat_hook.domain.order_state import OrderState
from sat_hook.presentation.chart_style import AGES, Meaning
from sat_hook.presentation.charts import Bar, Part, stacked_bars
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation import report_words
from sat_hook.reconciliation.figures import BANDS, Aged, ageing
from sat_hook.reconciliation.model import Adjustment, Break
from sat_hook.reconciliation.report_parts import (
    Cell,
    Chart,
    Heading,
    Opens,
    Section,
    SectionMaker,
    Table,
    headings_of,
    person_of,
)

_TOTAL = _("Total")
MAXIMUM_BREAKS = 100
"""Breaks in the report, the largest first; all of them are in the CSV and in the workbook."""


class BreakSections(SectionMaker):
    """Breaks by category and age, the largest of them, and prior-period adjustments."""

    def breaks(self) -> Section:
        say, number = self.say, self.wording.number
        aged = ageing(self.figures)
        bands = tuple(
            (colour, say(report_words.BANDS[band])) for colour, band in zip(AGES, BANDS, strict=True)
        )
        numbers = (
            *(report_words.BANDS[band] for band in BANDS),
            *(_("Breaks"), _("Size"), _("Net, theirs less ours")),
        )
        headings = self.headings(_("Category"), *numbers, numbers=numbers)
        rows = [
            (
                Cell(say(report_words.CATEGORIES[category])),
                *(Cell(number(item.breaks), _opened(item)) for item in items),
                *self._sums_of(items),
            )
            for category, items in _by_category(aged)
            if any(item.breaks for item in items)
        ]
        rows.append(
            (
                Cell(say(_("Total"))),
                *(Cell(number(sum(one.breaks for one in aged if one.band == band))) for band in BANDS),
                *self._sums_of(aged),
            )
        )
        chart = Chart(self._ageing_chart(aged), bands)
        carried = say(
            _("Open and explained breaks are carried on. The size adds surpluses and shortages up.")
        )
        charts = (chart,) if any(item.breaks for item in aged) else ()
        return Section(
            "breaks",
            say(_("Breaks carried on, by category and age")),
            charts,
            (Table(headings, tuple(rows), has_total=True),),
            (carried,),
        )

    def _sums_of(self, items: Iterable[Aged]) -> tuple[Cell, Cell, Cell]:
        items = tuple(items)
        return (
            Cell(self.wording.number(sum(item.breaks for item in items))),
            Cell(self.wording.rupiah(sum(item.gross_rupiah for item in items))),
            Cell(self.wording.rupiah(sum(item.net_rupiah for item in items))),
        )

    def _ageing_chart(self, aged: Sequence[Aged]) -> Markup:
        bars = []
        for category, items in _by_category(aged):
            number = sum(item.breaks for item in items)
            if not number:
                continue
            parts = tuple(self._ageing_part(item, colour) for colour, item in zip(AGES, items, strict=True))
            gross = self.wording.short_rupiah(sum(item.gross_rupiah for item in items))
            name = self.say(report_words.CATEGORIES[category])
            bars.append(Bar(name, parts, f"{self.wording.number(number)} · {gross}"))
        title = self.say(_("Number of breaks carried on, by category and age"))
        return stacked_bars(title, bars, self.wording.short_number)

    def _ageing_part(self, item: Aged, colour: Meaning) -> Part:
        figure = self.wording.number(item.breaks)
        return Part(item.breaks, colour, f"{self.say(report_words.BANDS[item.band])}: {figure}", figure)

    def largest_breaks(self) -> Section | None:
        found = sorted(self.figures.breaks, key=lambda item: (item.state.is_final, -abs(item.amount_rupiah)))
        if not found:
            return None
        say = self.say
        words = _("Break"), _("What"), _("First seen"), _("Amount"), _("Decision")
        headings = self.headings(*words, numbers=("Amount",))
        rows = tuple(self._break_row(item) for item in found[:MAXIMUM_BREAKS])
        notes: tuple[str, ...] = ()
        if len(found) > len(rows):
            text = say(_("The largest %(shown)s of %(all)s; all of them are in the CSV and in the workbook."))
            number = self.wording.number
            notes = (text % {"shown": number(len(rows)), "all": number(len(found))},)
        return Section(
            "largest", say(_("Breaks of this close")), tables=(Table(headings, rows),), notes=notes
        )

    def _break_row(self, item: Break) -> tuple[Cell, ...]:
        decided = ""
        if item.actor:
            decided = f"{person_of(item.actor)}, {self.wording.time(item.decided_at)}"
        category = self.say(report_words.CATEGORIES[item.category])
        return (
            Cell(category, Opens("break", {"id": item.break_id}), item.break_id),
            Cell(self.say(item.what), under=item.order_id or item.evidence.file_name or ""),
            Cell(self.wording.day(item.first_seen)),
            Cell(self.wording.rupiah(item.amount_rupiah)),
            Cell(
                self.say(report_words.BREAK_STATES[item.state]),
                under=f"{item.reason}, {decided}" if item.reason else "",
                tone="" if item.state.is_final or item.reason else "bad",
            ),
        )

    def adjustments(self) -> Section | None:
        found = self.figures.adjustments
        if not found:
            return None
        say, rupiah = self.say, self.wording.rupiah
        title = say(_("Prior-period adjustments: what came to light about signed days"))
        items = [(item.certified_day, item) for item in found]
        table = adjustment_table(items, say(_("Signed day")), self.wording)
        total = sum(item.amount_rupiah for item in found)
        return Section("adjustments", title, tables=(table,), notes=(f"{say(_TOTAL)}: {rupiah(total)}",))


def adjustment_table(items: Iterable[tuple[date, Adjustment]], headline: str, wording: Wording) -> Table:
    """Return a table of later evidence.

    :param items: each with the other day that it concerns.
    :param headline: of the column of that day.
    """
    say, words = wording.text, (_("Order"), _("What"), _("Reported, and now"), _("Amount"))
    headings = (Heading(headline), *headings_of(wording, *words, numbers=("Amount",)))
    rows = tuple(
        (
            Cell(wording.day(day), Opens("day", {"day": day.isoformat()})),
            Cell(item.order_id),
            Cell(say(report_words.ADJUSTMENTS.get(item.what, item.what))),
            Cell(f"{_state(item.reported, wording)} → {_state(item.now, wording)}"),
            Cell(wording.rupiah(item.amount_rupiah)),
        )
        for day, item in items
    )
    return Table(headings, rows)


def _opened(item: Aged) -> Opens | None:
    return Opens("breaks", {"category": item.category.value, "band": item.band}) if item.breaks else None


def _state(word: str, wording: Wording) -> str:
    said = report_words.ADJUSTED.get(word)
    if said is None and word in list(OrderState):
        said = report_words.ORDER_STATES[OrderState(word)]
    return wording.text(said) if said else word


def _by_category(aged: Sequence[Aged]) -> Iterator[tuple[BreakCategory, list[Aged]]]:
    for category in BreakCategory:
        yield category, [item for item in aged if item.category is category]
