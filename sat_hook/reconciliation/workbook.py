"""The report of a closed day as a workbook (XLSX) that a finance person opens without help.

Totals are formulas over the sheets ``orders`` and ``breaks``, with their values stored beside them for
viewers that do not calculate. Above :data:`MAXIMUM_ORDERS` the orders are a CSV beside the workbook; what
would be computed from them is then a value, and the sheets say so. The same day gives the same bytes.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from sat_hook.domain.business_day import local_time
from sat_hook.reconciliation.break_sheets import AgeingSheet, BreakSheet
from sat_hook.reconciliation.day_figures import TOTALLED, OrderGroup, grouped_orders
from sat_hook.reconciliation.deposit_sheet import SaldoSheet
from sat_hook.reconciliation.figures import OrderLine, by_product_and_state, by_state, headline
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.order_sheet import OrderSheet, is_plain_criterion
from sat_hook.reconciliation.sheets import Cell, Column, Formats, Formula, Kind, Sheet, reference
from sat_hook.reconciliation.versions import Version

MAXIMUM_ORDERS = 50_000
"""Orders in a workbook; more are a CSV beside it."""
MAXIMUM_FORMULA_LINES = 500
"""Lines of products and states that are formulas; more would make every opening of the workbook slow."""
SUMMARY, PER_PRODUCT = "summary", "per product and status"

_TOTALS = (
    Column("Orders", 10, Kind.COUNT),
    *(Column(f"{name} (Rp)", 20, Kind.RUPIAH) for name in TOTALLED.values()),
)


def render_workbook(
    close: DayClose,
    orders_file: str,
    versions: Sequence[Version] = (),
    groups: Sequence[OrderGroup] = (),
) -> bytes:
    """Render the workbook of a closed day.

    :param orders_file: the name of the CSV with the orders, which the workbook names when it has no room for
        them (see :func:`has_orders_inside`).
    :param versions: those of the report up to this one.
    :param groups: the orders in groups; they are grouped here when there are none.
    """
    out = io.BytesIO()
    # The rows wait in files. Their own folder is removed with them in every case.
    with tempfile.TemporaryDirectory(prefix="sat-workbook-") as folder:
        book = xlsxwriter.Workbook(out, {"constant_memory": True, "tmpdir": folder})
        book.set_properties(
            {
                "title": f"Nightly reconciliation {close.day.isoformat()}",
                "subject": f"account {close.account}, log position {close.position}",
                # The moment that the day ended: with the current time, every rendering would be another file.
                "created": close.business_day.closes_at.astimezone(UTC).replace(tzinfo=None),
            }
        )
        formats = Formats(book)
        orders = OrderSheet(close.orders) if has_orders_inside(close) else None
        breaks, saldo = BreakSheet(close), SaldoSheet(close, orders)
        groups = groups or grouped_orders(close.orders)[1]
        products = _ProductSheet(groups, orders)
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
    sheet = Sheet(book, formats, "orders", [110])
    sheet.title("Orders")
    sheet.note(f"{len(close.orders):,} orders are more than the {MAXIMUM_ORDERS:,} that fit in here.")
    sheet.note(f"They are in the file {orders_file} beside this workbook (CSV, UTF-8, moments in WIB).")
    sheet.note("The totals of the other sheets were computed from them: they are values, not formulas.")


class _ProductSheet:
    """One line per product and state, by formulas if the orders are in the workbook."""

    _FIRST = 2

    def __init__(self, groups: Sequence[OrderGroup], inside: OrderSheet | None) -> None:
        self._lines = by_product_and_state(groups)
        self._inside = inside
        self._products = sorted({line.product_code for line in self._lines})

    def cells(self, column: int) -> str:
        """The cells of a column: 0 the product, 1 the state, 2 the number of orders, then the totals."""
        return reference(PER_PRODUCT, column, self._FIRST, self._FIRST + len(self._lines) - 1)

    def write(self, book: Any, formats: Formats) -> None:
        columns = (Column("Product", 30, Kind.TEXT), Column("Status", 14, Kind.TEXT), *_TOTALS)
        sheet = Sheet(book, formats, PER_PRODUCT, [column.width for column in columns])
        sums = [sum(values) for values in zip(*map(_values_of, self._lines), strict=True)] or _NO_ORDERS
        totals: list[Cell] = ["Total of the rows that the filter shows", None]
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
            sheet.note("Values, not formulas: the orders are in a file of their own.")

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
    sheet = Sheet(book, formats, SUMMARY, [34, 20, *(column.width for column in _TOTALS[1:])])
    sheet.title(f"Nightly reconciliation of {close.account}, {close.day.isoformat()} (WIB)")
    sheet.freeze(1)
    sheet.note(headline(close).sentence)
    sheet.note(
        "Every total is a formula over the other sheets."
        if orders
        else f"The orders are in {orders_file}, beside this workbook: their totals are values, not formulas."
    )
    sheet.section("The day")
    sheet.fact("Account", close.account, Kind.TEXT)
    sheet.fact("From, inclusive (WIB)", local_time(close.business_day.opens_at), Kind.MOMENT)
    sheet.fact("Until, exclusive (WIB)", local_time(close.business_day.closes_at), Kind.MOMENT)
    sheet.fact("Log position", close.position, Kind.COUNT)
    if versions:
        sheet.fact("Version of this report", len(versions), Kind.COUNT)
    _write_key_figures(sheet, close, orders, others)
    _write_states(sheet, groups, orders)
    _write_matches(sheet, close)
    _write_controls(sheet, close)
    _write_sources(sheet, close)
    _write_adjustments(sheet, close)
    if versions:
        _write_versions(sheet, versions)


def _write_versions(sheet: Sheet, versions: Sequence[Version]) -> None:
    sheet.section("Versions and signatures")
    columns = (
        Column("What", 34, Kind.PROSE),
        Column("When (WIB)", 20, Kind.MOMENT),
        Column("Version", 17, Kind.COUNT),
        Column("Log position", 17, Kind.COUNT),
        Column("Who", 17, Kind.TEXT),
    )
    kinds = [column.kind for column in columns]
    sheet.header(columns)
    for item in versions:
        sheet.line([item.what, local_time(item.at), item.number, item.position, item.actor], kinds)
    sheet.note("Each close, decision and signature makes a version, and leaves those before it as they are.")


def _write_key_figures(
    sheet: Sheet,
    close: DayClose,
    orders: OrderSheet | None,
    others: tuple[BreakSheet, SaldoSheet, _ProductSheet],
) -> None:
    breaks, saldo, products = others
    head = headline(close)
    sheet.section("Key figures")
    rows: Cell = len(close.orders)
    if orders:
        rows = Formula(f"=COUNTA({orders.cells('request_id')})", len(close.orders))
    sheet.fact("Orders", rows, Kind.COUNT)
    sheet.fact("Breaks: open", breaks.in_state("open"), Kind.COUNT)
    sheet.fact("Breaks: explained, carried on", breaks.in_state("explained"), Kind.COUNT)
    sheet.fact("Breaks: resolved", breaks.in_state("resolved"), Kind.COUNT)
    sheet.fact("Breaks: written off", breaks.in_state("written_off"), Kind.COUNT)
    sheet.fact("Size of those carried on (Rp)", breaks.carried_on_rupiah(), Kind.RUPIAH)
    unexplained = saldo.unexplained()
    sheet.fact(
        "Saldo unexplained (Rp)",
        "not known: the deposit was not observed" if unexplained is None else unexplained,
        Kind.RUPIAH if unexplained is not None else Kind.TEXT,
    )
    sheet.fact("Control totals in disagreement", head.failed_controls, Kind.COUNT)
    if orders:
        sheet.fact(
            "Check: orders less their lines per product (must be 0)",
            Formula(f"=COUNTA({orders.cells('request_id')})-SUM({products.cells(2)})", 0),
            Kind.COUNT,
        )


def _write_states(sheet: Sheet, groups: Sequence[OrderGroup], orders: OrderSheet | None) -> None:
    sheet.section("Orders by status")
    columns = (Column("Status", 34, Kind.TEXT), *_TOTALS)
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
    totals: list[Cell] = ["Total"]
    for place, values in enumerate(zip(*map(_values_of, lines), strict=True), start=1):
        stretch = reference(sheet.name, place, first, max(sheet.row - 1, first)).split("!")[1]
        totals.append(Formula(f"=SUM({stretch})", sum(values)))
    totals += _NO_ORDERS if not lines else []
    sheet.line(totals, kinds, is_total=True)


def _write_matches(sheet: Sheet, close: DayClose) -> None:
    sheet.section("The four matches")
    columns = (
        Column("Held against", 34, Kind.TEXT),
        Column("Made", 10, Kind.TEXT),
        Column("Breaks", 17, Kind.COUNT),
        Column("Ours", 17, Kind.COUNT),
        Column("Ours (Rp)", 17, Kind.RUPIAH),
        Column("Theirs", 17, Kind.COUNT),
        Column("Theirs (Rp)", 17, Kind.RUPIAH),
        Column("Matched", 17, Kind.COUNT),
        Column("Matched (Rp)", 17, Kind.RUPIAH),
        Column("What was compared", 17, Kind.TEXT),
    )
    sheet.header(columns)
    for match in close.matches:
        cells: tuple[Cell, ...] = (
            match.kind.value,
            "yes" if match.was_made else "NO",
            match.breaks,
            match.ours,
            match.ours_rupiah,
            match.theirs,
            match.theirs_rupiah,
            match.matched,
            match.matched_rupiah,
            match.note,
        )
        sheet.line(cells, [column.kind for column in columns])


def _write_controls(sheet: Sheet, close: DayClose) -> None:
    sheet.section("Control totals, counted twice")
    titles = ("Total", "Agrees", "In the log", "In the report")
    sheet.header([Column(title, 17, Kind.TEXT) for title in titles])
    for control in close.controls:
        agrees = "yes" if control.agrees else "NO"
        sheet.line((control.name, agrees, control.in_the_log, control.in_the_report), [Kind.TEXT] * 4)


def _write_sources(sheet: Sheet, close: DayClose) -> None:
    sheet.section("Settlement files")
    if not close.settlement_files:
        sheet.note("None has arrived for this day.")
        return
    columns = (
        Column("File", 34, Kind.TEXT),
        Column("Rows", 10, Kind.COUNT),
        Column("Sum (Rp)", 17, Kind.RUPIAH),
        Column("Log position", 17, Kind.COUNT),
        Column("SHA-256", 17, Kind.TEXT),
    )
    sheet.header(columns)
    for file in close.settlement_files:
        cells = (file.name, file.rows, file.rupiah, file.position, file.digest)
        sheet.line(cells, [column.kind for column in columns])


def _write_adjustments(sheet: Sheet, close: DayClose) -> None:
    sheet.section("Prior-period adjustments: what came to light about certified days")
    if not close.adjustments:
        sheet.note("None.")
        return
    columns = (
        Column("Order", 34, Kind.TEXT),
        Column("Certified day", 10, Kind.DAY),
        Column("Amount (Rp)", 17, Kind.RUPIAH),
        Column("Reported", 17, Kind.TEXT),
        Column("Now", 17, Kind.TEXT),
        Column("Log position", 17, Kind.COUNT),
        Column("What", 17, Kind.TEXT),
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
    sheet.line(("Total", None, total, None, None, None, None), kinds, is_total=True)
