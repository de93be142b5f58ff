"""The sheet of the saldo: the steps from the opening to the closing observation, as formulas."""

from __future__ import annotations

from typing import Any

from sat_hook.domain.business_day import in_wib, local_time
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Cell, Column, Formats, Formula, Kind, Sheet
from sat_hook.reconciliation.model import DayClose, SaldoEquation, SaldoPoint
from sat_hook.reconciliation.order_sheet import OrderSheet

SALDO = _("saldo waterfall")
_FIRST = 3
"""The row of the opening saldo, from 0; six more follow until the expected closing saldo."""
_EXPECTED, _CLOSING, _UNEXPLAINED = _FIRST + 6, _FIRST + 7, _FIRST + 8
_TOP_UPS = _UNEXPLAINED + 5
"""The row of the first top-up: after the drift, a blank row, a heading and the titles."""
_VALUE = _("a value, not a formula")


class SaldoSheet:
    """The waterfall. A step is a formula over the orders if they are in the workbook and give the same
    amount.
    """

    def __init__(self, close: DayClose, orders: OrderSheet | None, wording: Wording) -> None:
        self._close = close
        self._say = wording.text
        self._orders = orders

    def unexplained(self) -> Formula | None:
        """The cell with the unexplained amount; None when the deposit was not observed at both ends."""
        saldo = self._close.saldo
        if saldo is None:
            return None
        return Formula(f"='{self._say(SALDO)}'!$B${_UNEXPLAINED + 1}", saldo.unexplained_rupiah)

    def write(self, book: Any, formats: Formats) -> None:
        columns = (
            Column(_("Step"), 34, Kind.WORD),
            Column(_("Amount (Rp)"), 20, Kind.RUPIAH),
            Column(_("Saldo after it (Rp)"), 20, Kind.RUPIAH),
            Column(_("Where it comes from"), 70, Kind.WORD),
        )
        sheet = Sheet(book, formats, SALDO, [column.width for column in columns])
        sheet.title(_("Saldo, from the opening to the closing observation"))
        saldo = self._close.saldo
        if saldo is None:
            sheet.note(
                _("The deposit was not observed at both ends of the day: there is nothing to compare.")
            )
            sheet.freeze(1)
            return
        sheet.note(
            _("Every unexplained rupiah is a break. In transit: sent, and not ended at the observation.")
        )
        sheet.header(columns)
        sheet.freeze(_FIRST)
        self._write_steps(sheet, saldo, [column.kind for column in columns])
        self._write_top_ups(sheet)

    def _write_steps(self, sheet: Sheet, saldo: SaldoEquation, kinds: list[Kind]) -> None:
        opening = saldo.opening.saldo_rupiah
        after = Formula(f"=B{_FIRST + 1}", opening)
        sheet.line((_("Opening saldo"), opening, after, self._observed(saldo.opening)), kinds, is_total=True)
        running = opening
        for label, amount, (cell, source) in (
            (_("Top-ups"), saldo.top_ups_rupiah, self._top_ups(saldo)),
            (
                _("In transit at the opening"),
                saldo.in_transit_opening_rupiah,
                self._of_orders("in_transit_opening_rupiah", saldo.in_transit_opening_rupiah, 1),
            ),
            (_("Debits"), -saldo.debits_rupiah, self._of_orders("debit_rupiah", saldo.debits_rupiah, -1)),
            (_("Refunds"), saldo.refunds_rupiah, self._of_orders("refund_rupiah", saldo.refunds_rupiah, 1)),
            (
                _("In transit at the close"),
                -saldo.in_transit_closing_rupiah,
                self._of_orders("in_transit_closing_rupiah", saldo.in_transit_closing_rupiah, -1),
            ),
        ):
            running += amount
            after = Formula(f"=C{sheet.row}+B{sheet.row + 1}", running)
            sheet.line((label, cell, after, source), kinds)
        assert sheet.row == _EXPECTED
        expected = Formula(f"=SUM(B{_FIRST + 1}:B{_EXPECTED})", saldo.expected_rupiah)
        same = Formula(f"=B{_EXPECTED + 1}", saldo.expected_rupiah)
        sheet.line(
            (_("Closing saldo, expected"), expected, same, _("the sum of the above")), kinds, is_total=True
        )
        closing = saldo.closing.saldo_rupiah
        found = Formula(f"=B{_CLOSING + 1}", closing)
        sheet.line(
            (_("Closing saldo, observed"), closing, found, self._observed(saldo.closing)),
            kinds,
            is_total=True,
        )
        unexplained = Formula(f"=B{_CLOSING + 1}-B{_EXPECTED + 1}", saldo.unexplained_rupiah)
        sheet.line((_("Unexplained"), unexplained, None, _("observed less expected")), kinds, is_total=True)
        drift = _("of it, at most so much may be a matter of the moment of the observations")
        sheet.line((_("May drift over the cut-off"), saldo.may_drift_rupiah, None, drift), kinds)
        look = {"type": "cell", "criteria": "!=", "value": 0, "format": sheet.formats.attention}
        sheet.inside.conditional_format(_UNEXPLAINED, 0, _UNEXPLAINED, 1, look)

    def _of_orders(self, name: str, rupiah: int, sign: int) -> tuple[Cell, str]:
        """A term as the sum of a column, and its source."""
        if self._orders is None:
            return sign * rupiah, self._value(_("the orders in their own file"))
        if self._close.orders.sum(name) != rupiah:
            return sign * rupiah, self._value(_("not the sum of the column in the sheet orders"))
        minus = "-" if sign < 0 else ""
        return Formula(f"={minus}SUM({self._orders.cells(name)})", sign * rupiah), _("the sheet orders")

    def _top_ups(self, saldo: SaldoEquation) -> tuple[Cell, str]:
        listed = self._close.top_ups
        if not listed:
            return saldo.top_ups_rupiah, _("none was recorded") if not saldo.top_ups_rupiah else _VALUE
        if sum(item.rupiah for item in listed) != saldo.top_ups_rupiah:
            return saldo.top_ups_rupiah, self._value(_("those between the two observations"))
        cells = f"B{_TOP_UPS + 1}:B{_TOP_UPS + len(listed)}"
        return Formula(f"=SUM({cells})", saldo.top_ups_rupiah), _("the top-ups below")

    def _write_top_ups(self, sheet: Sheet) -> None:
        sheet.section(_("Top-ups that were recorded"))
        columns = (
            Column(_("Reference"), 34, Kind.TEXT),
            Column(_("Amount (Rp)"), 20, Kind.RUPIAH),
            Column(_("Credited (WIB)"), 20, Kind.MOMENT),
            Column(_("Recorded by, at log position"), 70, Kind.TEXT),
        )
        sheet.header(columns)
        assert sheet.row == _TOP_UPS
        for item in self._close.top_ups:
            credited = local_time(item.credited_at)
            cells = (item.reference, item.rupiah, credited, f"{item.actor}, {item.position}")
            sheet.line(cells, [column.kind for column in columns])

    def _value(self, of: str) -> str:
        return f"{self._say(of)}: {self._say(_VALUE)}"

    def _observed(self, point: SaldoPoint) -> str:
        said = self._say(_("observed %(at)s WIB, log position %(position)s"))
        return said % {"at": in_wib(point.observed_at), "position": point.position}
