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

from sat_hook.presentation.language import Language, Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Formats, Sheet
from sat_hook.reconciliation.break_sheets import AgeingSheet, BreakSheet
from sat_hook.reconciliation.day_figures import OrderGroup, grouped_orders, joined_groups
from sat_hook.reconciliation.deposit_sheet import SaldoSheet
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.order_sheet import ORDERS, OrderSheet
from sat_hook.reconciliation.product_sheet import ProductSheet
from sat_hook.reconciliation.summary_sheet import write_summary
from sat_hook.reconciliation.versions import Version

MAXIMUM_ORDERS = 50_000
"""Orders in a workbook; more are a CSV beside it."""


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
        orders = OrderSheet(close.orders.frame, wording) if has_orders_inside(close) else None
        breaks, saldo = BreakSheet(close, wording), SaldoSheet(close, orders, wording)
        groups = groups or list(
            joined_groups([grouped_orders(part)[1] for part in close.orders.frames()]).values()
        )
        products = ProductSheet(groups, orders, wording)
        write_summary(book, formats, close, groups, orders, orders_file, (breaks, saldo, products), versions)
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
