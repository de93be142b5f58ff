"""The report of a closed day as a workbook (XLSX) that a finance person opens without help.

Totals are formulas over the sheets ``orders`` and ``breaks``, with their values stored beside them for
viewers that do not calculate. Above :data:`MAXIMUM_ORDERS` the orders are a CSV beside the workbook; what
would be computed from them is then a value, and the sheets say so. The same day gives the same bytes. The
words are Indonesian or English; in English they are those of the CSV.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from sat_hook.domain.business_day import local_time
from sat_hook.presentation.language import Language, Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Cell, Column, Formats, Formula, Kind, Sheet, reference
from sat_hook.reconciliation import report_words
from sat_hook.reconciliation.break_sheets import AgeingSheet, BreakSheet
from sat_hook.reconciliation.day_figures import TOTALLED, OrderGroup, grouped_orders
from sat_hook.reconciliation.deposit_sheet import SaldoSheet
from sat_hook.reconciliation.figures import Headline, OrderLine, by_product_and_state, by_state, headline
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.order_sheet import ORDERS, OrderSheet, is_plain_criterion
from sat_hook.reconciliation.report_parts import control_total
from sat_hook.reconciliation.report_sections import what_of
from sat_hook.reconciliation.versions import Version

MAXIMUM_ORDERS = 50_000
"""Orders in a workbook; more are a CSV beside it."""
MAXIMUM_FORMULA_LINES = 500
"""Lines of products and states that are formulas; more would make every opening of the workbook slow."""
SUMMARY, PER_PRODUCT = _("summary"), _("per product and status")

_TOTAL_TITLES = (
    _("Quoted (Rp)"),
    _("Price (Rp)"),
    _("Admin fee (Rp)"),
    _("Partner fee (Rp)"),
    _("Debited (Rp)"),
    _("Refunded (Rp)"),
    _("In transit, opening (Rp)"),
    _("In transit, close (Rp)"),
)
"""Of the columns of TOTALLED, in their order."""
_TOTALS = (
    Column(_("Orders"), 10, Kind.COUNT),
    *(Column(title, 20, Kind.RUPIAH) for title in _TOTAL_TITLES),
)


def render_workbook(
    close: DayClose,
    orders_file: str,
    versions: Sequence[Version] = (),
    groups: Sequence[OrderGroup] = (),
    language: Language = Language.ENGLISH,
) -> bytes:
    """Render the workbook of a closed day.

    :param orders_file: the name of the CSV with the orders, which the workbook names when it has no room for
        them (see :func:`has_orders_inside`).
    :param versions: those of the report up to this one.
    :param groups: the orders in groups; they are grouped here when there are none.
    """
    out, wording = io.BytesIO(), Wording(language)
    # The rows wait in files. Their own folder is removed with them in every case.
    with tempfile.TemporaryDirectory(prefix="sat-workbook-") as folder:
        book = xlsxwriter.Workbook(out, {"constant_memory": True, "tmpdir": folder})
        book.set_properties(
            {
                "title": wording.text(_("Nightly reconciliation %(day)s")) % {"day": close.day.isoformat()},
                "subject": wording.text(_("account %(account)s, log position %(position)s"))
                % {"account": close.account, "position": close.position},
                # The moment that the day ended: with the current time, every rendering would be another file.
                "created": close.business_day.closes_at.astimezone(UTC).replace(tzinfo=None),
            }
        )
        formats = Formats(book, wording)
        orders = OrderSheet(close.orders, wording) if has_orders_inside(close) else None
        breaks, saldo = BreakSheet(close, wording), SaldoSheet(close, orders, wording)
        groups = groups or grouped_orders(close.orders)[1]
        products = _ProductSheet(groups, orders, wording)
        _write_summary(book, formats, close, groups, orders, orders_file, (breaks, saldo, products), versions)
        breaks.write(book, formats)
        AgeingSheet(close, breaks).write(book, formats)
        products.write(book, formats)
        saldo.write(book, formats)
        if orders:
            orders.write(book, formats)
        else:
            _write_where_orders_are(book, formats, close, orders_file)
        book.close()
    return out.getvalue()


def has_orders_inside(close: DayClose) -> bool:
    """Whether the orders are a sheet of the workbook."""
    return len(close.orders) <= MAXIMUM_ORDERS


def _write_where_orders_are(book: Any, formats: Formats, close: DayClose, orders_file: str) -> None:
    sheet, number = Sheet(book, formats, ORDERS, [110]), formats.wording.number
    sheet.title(_("Orders"))
    for note in (
        _("%(found)s orders are more than the %(most)s that fit in here."),
        _("They are in the file %(file)s beside this workbook (CSV, UTF-8, moments in WIB)."),
        _("The totals of the other sheets were computed from them: they are values, not formulas."),
    ):
        said = {"found": number(len(close.orders)), "most": number(MAXIMUM_ORDERS), "file": orders_file}
        sheet.note(sheet.say(note) % said)


class _ProductSheet:
    """One line per product and state, by formulas if the orders are in the workbook."""

    _FIRST = 2

    def __init__(self, groups: Sequence[OrderGroup], inside: OrderSheet | None, wording: Wording) -> None:
        self._name = wording.text(PER_PRODUCT)
        self._lines = by_product_and_state(groups)
        self._inside = inside
        self._products = sorted({line.product_code for line in self._lines})

    def cells(self, column: int) -> str:
        """The cells of a column: 0 the product, 1 the state, 2 the number of orders, then the totals."""
        return reference(self._name, column, self._FIRST, self._FIRST + len(self._lines) - 1)

    def write(self, book: Any, formats: Formats) -> None:
        columns = (Column(_("Product"), 30, Kind.TEXT), Column(_("Status"), 16, Kind.WORD), *_TOTALS)
        sheet = Sheet(book, formats, PER_PRODUCT, [column.width for column in columns])
        sums = [sum(values) for values in zip(*map(_values_of, self._lines), strict=True)] or _NO_ORDERS
        totals: list[Cell] = [sheet.say(_("Total of the rows that the filter shows")), None]
        totals += [
            Formula(f"=SUBTOTAL(109,{self.cells(place)})", total) for place, total in enumerate(sums, start=2)
        ]
        kinds = [column.kind for column in columns]
        sheet.line(totals, kinds, is_total=True)
        sheet.header(columns)
        sheet.freeze(self._FIRST, 2)
        for line in self._lines:
            counted = self._counted(line.product_code, sheet.row, _values_of(line))
            sheet.line([line.product_code, line.state, *counted], kinds)
        last = self._FIRST + max(len(self._lines) - 1, 0)
        sheet.inside.autofilter(self._FIRST - 1, 0, last, len(columns) - 1)
        if self._inside is None:
            sheet.note(_("Values, not formulas: the orders are in a file of their own."))

    def _counted(self, product: str, row: int, values: Sequence[int]) -> Sequence[Cell]:
        inside = self._inside
        if (
            inside is None
            or len(self._lines) > MAXIMUM_FORMULA_LINES
            or not is_plain_criterion(product, self._products)
        ):
            return values
        of_line = f"{inside.cells('product_code')},$A{row + 1},{inside.cells('state')},$B{row + 1}"
        return [
            Formula(f"=COUNTIFS({of_line})", values[0]),
            *(
                Formula(f"=SUMIFS({inside.cells(name)},{of_line})", value)
                for name, value in zip(TOTALLED, values[1:], strict=True)
            ),
        ]


_NO_ORDERS = [0] * (1 + len(TOTALLED))


def _values_of(line: OrderLine) -> list[int]:
    return [line.orders, *line.totals.values()]


def _write_summary(
    book: Any,
    formats: Formats,
    close: DayClose,
    groups: Sequence[OrderGroup],
    orders: OrderSheet | None,
    orders_file: str,
    others: tuple[BreakSheet, SaldoSheet, _ProductSheet],
    versions: Sequence[Version],
) -> None:
    *widths, _last = (column.width for column in _TOTALS[1:])
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
    kinds = [column.kind for column in columns]
    sheet.header(columns)
    in_english = sheet.formats.wording.language is Language.ENGLISH
    for item in versions:
        what = item.what if in_english else what_of(item, sheet.formats.wording)
        sheet.line([what, local_time(item.at), item.number, item.position, item.actor], kinds)
    sheet.note(
        _("Each close, decision and signature makes a version, and leaves those before it as they are.")
    )


def _write_key_figures(
    sheet: Sheet,
    close: DayClose,
    orders: OrderSheet | None,
    others: tuple[BreakSheet, SaldoSheet, _ProductSheet],
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
    columns = (Column(_("Status"), 34, Kind.WORD), *_TOTALS)
    kinds = [column.kind for column in columns]
    sheet.header(columns)
    first, lines = sheet.row, by_state(groups)
    for line in lines:
        cells: list[Cell] = list(_values_of(line))
        if orders:
            of_state = f"{orders.cells('state')},$A{sheet.row + 1}"
            cells = [
                Formula(f"=COUNTIFS({of_state})", line.orders),
                *(
                    Formula(f"=SUMIFS({orders.cells(name)},{of_state})", line.totals[name])
                    for name in TOTALLED
                ),
            ]
        sheet.line([line.state, *cells], kinds)
    totals: list[Cell] = [_("Total")]
    for place, values in enumerate(zip(*map(_values_of, lines), strict=True), start=1):
        stretch = reference(sheet.name, place, first, max(sheet.row - 1, first)).split("!")[1]
        totals.append(Formula(f"=SUM({stretch})", sum(values)))
    totals += _NO_ORDERS if not lines else []
    sheet.line(totals, kinds, is_total=True)


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
        sheet.line(cells, [column.kind for column in columns])


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
        sheet.line((control.name, agrees, *totals), [Kind.WORD] * 4)


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
        sheet.line(cells, [column.kind for column in columns])


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
    kinds = [column.kind for column in columns]
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
        sheet.line(cells, kinds)
    total = Formula(
        f"=SUM($C${first + 1}:$C${sheet.row})", sum(item.amount_rupiah for item in close.adjustments)
    )
    sheet.line((sheet.say(_("Total")), None, total, None, None, None, None), kinds, is_total=True)
