"""The report's sections about the deposit and the four matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from sat_hook.domain.breaks import MatchKind
from sat_hook.domain.order import OrderState
from sat_hook.presentation.chart_style import Meaning
from sat_hook.presentation.charts import Step, waterfall
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation import report_words
from sat_hook.reconciliation.model import SaldoEquation, WaterfallLine
from sat_hook.reconciliation.report_parts import (
    Cell,
    Chart,
    Opens,
    Section,
    SectionMaker,
    Table,
    control_total,
    person_of,
)

_UNEXPLAINED = "Unexplained"
_STEP_LEGEND = (
    (Meaning.TOTAL, _("saldo, or its change")),
    (Meaning.INCREASE, _("comes in")),
    (Meaning.DECREASE, _("goes out")),
    (Meaning.ALARM, _("unexplained")),
)
_STEP_ROWS: Mapping[str, Opens] = {
    "Top-ups": Opens("topups"),
    "In transit at the opening": Opens("orders", {"term": "in_transit_opening_rupiah"}),
    "Debits": Opens("orders", {"term": "debit_rupiah"}),
    "Refunds": Opens("orders", {"term": "refund_rupiah"}),
    "In transit at the close": Opens("orders", {"term": "in_transit_closing_rupiah"}),
    _UNEXPLAINED: Opens("breaks"),
}
_OURS: Mapping[MatchKind, Opens] = {
    MatchKind.EVIDENCE: Opens("orders", {"evidence": "signed"}),
    MatchKind.SETTLEMENT: Opens("orders", {"state": OrderState.SUCCEEDED.value}),
}
_THEIRS: Mapping[MatchKind, Opens] = {MatchKind.SETTLEMENT: Opens("settlements")}


class DepositSections(SectionMaker):
    """How the deposit moved, and what was held against what."""

    def saldo(self) -> Section:
        saldo, say, rupiah = self.figures.saldo, self.say, self.wording.rupiah
        title = say(_("Deposit, from the opening to the closing saldo"))
        if saldo is None:
            missing = say(
                _("The deposit was not observed at both ends of the day: there is nothing to compare.")
            )
            return Section("saldo", title, notes=(missing,))
        lines = saldo.waterfall
        rows = tuple(
            (
                Cell(say(report_words.STEPS[line.label])),
                Cell(
                    rupiah(line.rupiah),
                    _STEP_ROWS.get(line.label),
                    tone="bad" if line.label == _UNEXPLAINED and line.rupiah else "",
                ),
                Cell(rupiah(line.after_rupiah)),
            )
            for line in lines
        )
        numbers = _("Amount"), _("Saldo after it")
        headings = self.headings(_("Step"), *numbers, numbers=numbers)
        legend = tuple((meaning, say(word)) for meaning, word in _STEP_LEGEND)
        notes = [
            say(_("Observed at %(opening)s and %(closing)s. Expected at the close: %(expected)s."))
            % {
                "opening": self.wording.time(saldo.opening.observed_at),
                "closing": self.wording.time(saldo.closing.observed_at),
                "expected": rupiah(saldo.expected_rupiah),
            }
        ]
        if saldo.may_drift_rupiah:
            notes.append(
                say(_("At most %(amount)s may be a matter of the moment of the observations."))
                % {"amount": rupiah(saldo.may_drift_rupiah)}
            )
        return Section(
            "saldo",
            title,
            (Chart(self._waterfall(lines)), Chart(self._changes(saldo), legend)),
            (Table(headings, rows, has_total=True),),
            tuple(notes),
        )

    def _waterfall(self, lines: Sequence[WaterfallLine]) -> Markup:
        steps = []
        for place, line in enumerate(lines):
            is_total = place in (0, len(lines) - 1)
            steps.append(
                Step(
                    self.say(report_words.STEPS[line.label]),
                    0 if is_total else line.after_rupiah - line.rupiah,
                    line.after_rupiah,
                    self.wording.rupiah(line.rupiah) if is_total else self._signed(line.rupiah),
                    _colour_of(line, is_total=is_total),
                )
            )
        title = self.say(_("From the opening to the closing saldo"))
        return waterfall(title, steps, self.wording.short_rupiah)

    def _changes(self, saldo: SaldoEquation) -> Markup:
        """Chart the steps alone: beside a large saldo they are too thin to compare."""
        steps, opening = [], saldo.opening.saldo_rupiah
        for line in saldo.waterfall[1:-1]:
            after = line.after_rupiah - opening
            colour = _colour_of(line, is_total=False)
            label = self.say(report_words.STEPS[line.label])
            steps.append(Step(label, after - line.rupiah, after, self._signed(line.rupiah), colour))
        change = saldo.closing.saldo_rupiah - opening
        label = self.say(_("Change of the saldo"))
        steps.append(Step(label, 0, change, self._signed(change), Meaning.TOTAL))
        return waterfall(self.say(_("What changed the saldo")), steps, self.wording.short_rupiah)

    def _signed(self, amount: int) -> str:
        return f"+{self.wording.rupiah(amount)}" if amount > 0 else self.wording.rupiah(amount)

    def top_ups(self) -> Section | None:
        if not self.figures.top_ups:
            return None
        words = _("Reference"), _("Amount"), _("Credited"), _("Recorded by")
        rows = tuple(
            (
                Cell(item.reference, Opens("topups")),
                Cell(self.wording.rupiah(item.rupiah)),
                Cell(self.wording.time(item.credited_at)),
                Cell(person_of(item.actor)),
            )
            for item in self.figures.top_ups
        )
        table = Table(self.headings(*words, numbers=("Amount",)), rows)
        return Section("top-ups", self.say(_("Top-ups that were recorded")), tables=(table,))

    def matches(self) -> Section:
        say, number, rupiah = self.say, self.wording.number, self.wording.rupiah
        numbers = _("Ours"), _("Theirs"), _("Matched"), _("New breaks")
        headings = self.headings(_("Held against"), *numbers, numbers=numbers)
        rows = []
        for match in self.figures.matches:
            name, what = report_words.MATCHES[match.kind]
            if not match.was_made:
                what = report_words.NOT_MADE
            rows.append(
                (
                    Cell(say(name), under=say(what), tone="" if match.was_made else "bad"),
                    Cell(number(match.ours), _OURS.get(match.kind), rupiah(match.ours_rupiah)),
                    Cell(number(match.theirs), _THEIRS.get(match.kind), rupiah(match.theirs_rupiah)),
                    Cell(number(match.matched), under=rupiah(match.matched_rupiah)),
                    Cell(
                        number(match.breaks),
                        Opens("breaks", {"day": self.figures.day.isoformat()}) if match.breaks else None,
                        tone="bad" if match.breaks else "",
                    ),
                )
            )
        return Section(
            "matches", say(_("What was held against what")), tables=(Table(headings, tuple(rows)),)
        )

    def controls(self) -> Section:
        say = self.say
        words = (_("Total"), _("In the log"), _("In the report"), _("Agrees"))
        rows = tuple(
            (
                Cell(say(report_words.CONTROLS.get(control.name, control.name))),
                Cell(control_total(control.in_the_log, self.wording)),
                Cell(control_total(control.in_the_report, self.wording)),
                Cell(say(_("yes") if control.agrees else _("no")), tone="" if control.agrees else "bad"),
            )
            for control in self.figures.controls
        )
        table = Table(self.headings(*words), rows)
        return Section("controls", say(_("Control totals, counted twice")), tables=(table,))

    def settlement_files(self) -> Section:
        say = self.say
        title = say(_("Settlement files"))
        files = self.figures.settlement_files
        if not files:
            return Section("files", title, notes=(say(_("None has come for this day.")),))
        numbers = _("Rows"), _("Sum")
        headings = self.headings(_("File"), *numbers, numbers=numbers)
        rows = tuple(
            (
                Cell(file.name, Opens("settlements"), f"SHA-256 {file.digest[:16]}"),
                Cell(self.wording.number(file.rows)),
                Cell(self.wording.rupiah(file.rupiah)),
            )
            for file in files
        )
        return Section("files", title, tables=(Table(headings, rows),))


def _colour_of(line: WaterfallLine, *, is_total: bool) -> Meaning:
    if is_total:
        return Meaning.TOTAL
    if line.label == _UNEXPLAINED and line.rupiah:
        return Meaning.ALARM
    return Meaning.DECREASE if line.rupiah < 0 else Meaning.INCREASE
