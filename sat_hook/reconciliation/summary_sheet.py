"""The first sheet of the workbook: the day in one sentence, its figures, matches, sources and versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sat_hook.domain.business_day import local_time
from sat_hook.presentation.language import Language, Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Cell, Column, Formats, Formula, Kind, Sheet, reference
from sat_hook.reconciliation import report_words
from sat_hook.reconciliation.break_sheets import BreakSheet
from sat_hook.reconciliation.day_figures import TOTALLED, OrderGroup
from sat_hook.reconciliation.deposit_sheet import SaldoSheet
from sat_hook.reconciliation.figures import Headline, by_state, headline
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.order_sheet import OrderSheet
from sat_hook.reconciliation.product_sheet import NO_ORDERS, TOTALS, ProductSheet, values_of
from sat_hook.reconciliation.report_parts import control_total, person_of
from sat_hook.reconciliation.report_sections import what_of
from sat_hook.reconciliation.versions import SIGNATURES, Version, signatures_of

SUMMARY = _("summary")


def write_summary(
    book: Any,
    formats: Formats,
    close: DayClose,
    groups: Sequence[OrderGroup],
    orders: OrderSheet | None,
    orders_file: str,
    others: tuple[BreakSheet, SaldoSheet, ProductSheet],
    versions: Sequence[Version],
) -> None:
    *widths, _last = (column.width for column in TOTALS[1:])
    sheet = Sheet(book, formats, SUMMARY, [50, 20, *widths, 60])
    title = sheet.say(_("Nightly reconciliation of %(account)s, %(day)s (WIB)"))
    sheet.title(title % {"account": close.account, "day": close.day.isoformat()})
    sheet.freeze(1)
    sheet.note(_sentence(headline(close), formats.wording))
    formulas = _("Every total is a formula over the other sheets.")
    values = _("The orders are in %(file)s, beside this workbook: their totals are values, not formulas.")
    sheet.note(formulas if orders else sheet.say(values) % {"file": orders_file})
    sheet.section(_("The day"))
    sheet.fact(_("Account"), close.account, Kind.TEXT)
    sheet.fact(_("From, inclusive (WIB)"), local_time(close.business_day.opens_at), Kind.MOMENT)
    sheet.fact(_("Until, exclusive (WIB)"), local_time(close.business_day.closes_at), Kind.MOMENT)
    sheet.fact(_("Log position"), close.position, Kind.COUNT)
    if versions:
        sheet.fact(_("Version of this report"), versions[-1].number, Kind.COUNT)
    _write_key_figures(sheet, close, orders, others)
    _write_states(sheet, groups, orders)
    _write_matches(sheet, close)
    _write_controls(sheet, close)
    _write_sources(sheet, close)
    _write_adjustments(sheet, close)
    if versions:
        _write_versions(sheet, versions)
        _write_signatures(sheet, versions)


def _sentence(head: Headline, wording: Wording) -> str:
    if head.is_clean:
        return wording.text(
            _("Everything agrees: no open break, and the saldo is explained to the last rupiah.")
        )
    found = []
    if head.open_breaks:
        found.append(wording.count("%(num)s open break", "%(num)s open breaks", head.open_breaks))
    if head.unexplained_rupiah is None:
        found.append(
            wording.text(_("no saldo to compare, as the deposit was not observed at both ends of the day"))
        )
    elif head.unexplained_rupiah:
        said = wording.text(_("%(amount)s of the saldo unexplained"))
        found.append(said % {"amount": wording.rupiah(head.unexplained_rupiah)})
    if head.failed_controls:
        found.append(
            wording.count(
                "%(num)s control total in disagreement",
                "%(num)s control totals in disagreement",
                head.failed_controls,
            )
        )
    if head.matches_not_made:
        found.append(
            wording.count("%(num)s match not made yet", "%(num)s matches not made yet", head.matches_not_made)
        )
    begin = wording.text(_("To be looked at:"))
    return f"{begin} {'; '.join(found)}."


def _write_versions(sheet: Sheet, versions: Sequence[Version]) -> None:
    sheet.section(_("Versions and signatures"))
    columns = (
        Column(_("What"), 34, Kind.PROSE),
        Column(_("When (WIB)"), 20, Kind.MOMENT),
        Column(_("Version"), 17, Kind.COUNT),
        Column(_("Log position"), 17, Kind.COUNT),
        Column(_("Who"), 17, Kind.TEXT),
    )
    sheet.header(columns)
    in_english = sheet.formats.wording.language is Language.ENGLISH
    for item in versions:
        what = item.what if in_english else what_of(item, sheet.formats.wording)
        sheet.line([what, local_time(item.at), item.number, item.position, item.actor])
    sheet.note(
        _("Each close, decision and signature makes a version, and leaves those before it as they are.")
    )


def _write_signatures(sheet: Sheet, versions: Sequence[Version]) -> None:
    """The signatures of the newest close; an empty line where one is missing."""
    signed, wording = signatures_of(versions), sheet.formats.wording
    sheet.section(_("Signatures of the day"))
    for name, kind in SIGNATURES:
        found = signed.get(kind)
        said = "_" * 40 if found is None else f"{person_of(found.actor)}, {wording.time(found.at)}"
        sheet.fact(name, said, Kind.TEXT)
    bound = sheet.say(_("Both signatures are bound to the result with this digest:"))
    sheet.note(f"{bound} {versions[-1].close.result_digest}")


def _write_key_figures(
    sheet: Sheet,
    close: DayClose,
    orders: OrderSheet | None,
    others: tuple[BreakSheet, SaldoSheet, ProductSheet],
) -> None:
    breaks, saldo, products = others
    head = headline(close)
    sheet.section(_("Key figures"))
    rows: Cell = len(close.orders)
    if orders:
        rows = Formula(f"=COUNTA({orders.cells('request_id')})", len(close.orders))
    sheet.fact(_("Orders"), rows, Kind.COUNT)
    sheet.fact(_("Breaks: open"), breaks.in_state("open"), Kind.COUNT)
    sheet.fact(_("Breaks: explained, carried on"), breaks.in_state("explained"), Kind.COUNT)
    sheet.fact(_("Breaks: resolved"), breaks.in_state("resolved"), Kind.COUNT)
    sheet.fact(_("Breaks: written off"), breaks.in_state("written_off"), Kind.COUNT)
    sheet.fact(_("Size of those carried on (Rp)"), breaks.carried_on_rupiah(), Kind.RUPIAH)
    unexplained = saldo.unexplained()
    sheet.fact(
        _("Saldo unexplained (Rp)"),
        sheet.say(_("not known: the deposit was not observed")) if unexplained is None else unexplained,
        Kind.RUPIAH if unexplained is not None else Kind.TEXT,
    )
    sheet.fact(_("Control totals in disagreement"), head.failed_controls, Kind.COUNT)
    if orders:
        sheet.fact(
            _("Check: orders less their lines per product (must be 0)"),
            Formula(f"=COUNTA({orders.cells('request_id')})-SUM({products.cells(2)})", 0),
            Kind.COUNT,
        )


def _write_states(sheet: Sheet, groups: Sequence[OrderGroup], orders: OrderSheet | None) -> None:
    sheet.section(_("Orders by status"))
    columns = (Column(_("Status"), 34, Kind.WORD), *TOTALS)
    sheet.header(columns)
    first, lines = sheet.row, by_state(groups)
    for line in lines:
        cells: list[Cell] = list(values_of(line))
        if orders:
            of_state = f"{orders.cells('state')},$A{sheet.row + 1}"
            cells = [
                Formula(f"=COUNTIFS({of_state})", line.orders),
                *(
                    Formula(f"=SUMIFS({orders.cells(name)},{of_state})", line.totals[name])
                    for name in TOTALLED
                ),
            ]
        sheet.line([line.state, *cells])
    totals: list[Cell] = [_("Total")]
    for place, values in enumerate(zip(*map(values_of, lines), strict=True), start=1):
        stretch = reference(sheet.name, place, first, max(sheet.row - 1, first)).split("!")[1]
        totals.append(Formula(f"=SUM({stretch})", sum(values)))
    totals += NO_ORDERS if not lines else []
    sheet.line(totals, is_total=True)


def _write_matches(sheet: Sheet, close: DayClose) -> None:
    sheet.section(_("The four matches"))
    columns = (
        Column(_("Held against"), 34, Kind.WORD),
        Column(_("Made"), 10, Kind.WORD),
        Column(_("Breaks"), 17, Kind.COUNT),
        Column(_("Ours"), 17, Kind.COUNT),
        Column(_("Ours (Rp)"), 17, Kind.RUPIAH),
        Column(_("Theirs"), 17, Kind.COUNT),
        Column(_("Theirs (Rp)"), 17, Kind.RUPIAH),
        Column(_("Matched"), 17, Kind.COUNT),
        Column(_("Matched (Rp)"), 17, Kind.RUPIAH),
        Column(_("What was compared"), 17, Kind.PROSE),
    )
    sheet.header(columns)
    in_english = sheet.formats.wording.language is Language.ENGLISH
    for match in close.matches:
        name, what = report_words.MATCHES[match.kind]
        cells: tuple[Cell, ...] = (
            match.kind.value if in_english else name,
            _("yes") if match.was_made else _("NO"),
            match.breaks,
            match.ours,
            match.ours_rupiah,
            match.theirs,
            match.theirs_rupiah,
            match.matched,
            match.matched_rupiah,
            match.note if in_english else sheet.say(what if match.was_made else report_words.NOT_MADE),
        )
        sheet.line(cells)


def _write_controls(sheet: Sheet, close: DayClose) -> None:
    sheet.section(_("Control totals, counted twice"))
    titles = (_("Total"), _("Agrees"), _("In the log"), _("In the report"))
    sheet.header([Column(title, 17, Kind.WORD) for title in titles])
    for control in close.controls:
        agrees = _("yes") if control.agrees else _("NO")
        totals = (
            control_total(total, sheet.formats.wording)
            for total in (control.in_the_log, control.in_the_report)
        )
        sheet.line((control.name, agrees, *totals))


def _write_sources(sheet: Sheet, close: DayClose) -> None:
    sheet.section(_("Settlement files"))
    if not close.settlement_files:
        sheet.note(_("None has arrived for this day."))
        return
    columns = (
        Column(_("File"), 34, Kind.TEXT),
        Column(_("Rows"), 10, Kind.COUNT),
        Column(_("Sum (Rp)"), 17, Kind.RUPIAH),
        Column(_("Log position"), 17, Kind.COUNT),
        Column(_("SHA-256"), 17, Kind.TEXT),
    )
    sheet.header(columns)
    for file in close.settlement_files:
        cells = (file.name, file.rows, file.rupiah, file.position, file.digest)
        sheet.line(cells)


def _write_adjustments(sheet: Sheet, close: DayClose) -> None:
    sheet.section(_("Prior-period adjustments: what came to light about certified days"))
    if not close.adjustments:
        sheet.note(_("None."))
        return
    columns = (
        Column(_("Order"), 34, Kind.TEXT),
        Column(_("Certified day"), 10, Kind.DAY),
        Column(_("Amount (Rp)"), 17, Kind.RUPIAH),
        Column(_("Reported"), 17, Kind.WORD),
        Column(_("Now"), 17, Kind.WORD),
        Column(_("Log position"), 17, Kind.COUNT),
        Column(_("What"), 17, Kind.WORD),
    )
    sheet.header(columns)
    first = sheet.row
    for item in close.adjustments:
        cells: tuple[Cell, ...] = (
            item.order_id,
            item.certified_day,
            item.amount_rupiah,
            item.reported,
            item.now,
            item.position,
            item.what,
        )
        sheet.line(cells)
    total = Formula(
        f"=SUM($C${first + 1}:$C${sheet.row})", sum(item.amount_rupiah for item in close.adjustments)
    )
    sheet.line((sheet.say(_("Total")), None, total, None, None, None, None), is_total=True)
