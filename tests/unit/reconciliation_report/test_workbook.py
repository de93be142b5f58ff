"""The workbook, opened as a finance person's program does: its formulas computed, its cells harmless."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from datetime import datetime

import openpyxl
import pandas as pd
import pytest
import time_machine

from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.presentation.language import Language, Wording
from sat_hook.reconciliation import workbook
from sat_hook.reconciliation.day_orders import DayOrders, PartInMemory
from sat_hook.reconciliation.figures import BANDS, TOTALLED
from sat_hook.reconciliation.model import ORDER_COLUMNS, DayClose
from sat_hook.reconciliation.order_sheet import COLUMNS, is_plain_criterion
from sat_hook.reconciliation.workbook import render_workbook
from tests.reconciliation_days import closed_day
from tests.unit.reconciliation_report.spreadsheet import Spreadsheet

ORDERS_FILE = "reconciliation-demo-2026-11-22-orders.csv"
SHEETS = ["summary", "breaks", "ageing", "per product and status", "saldo waterfall", "orders"]

WRITTEN_BY_THE_TEST = {
    "opening saldo is yesterday's closing saldo",
    "succeeded when the day was certified, reversed since",
}
"""Texts that no close writes."""


@pytest.fixture(scope="module")
def close() -> DayClose:
    """A day whose orders are inside the workbook."""
    return closed_day(150)


@pytest.fixture(scope="module")
def opened(close: DayClose) -> Spreadsheet:
    """Its workbook."""
    return Spreadsheet(render_workbook(close, ORDERS_FILE))


def test_every_formula_comes_to_what_is_stored_with_it(opened: Spreadsheet) -> None:
    """A program that computes and a viewer that does not show the same numbers."""
    formulas = opened.formulas()
    assert len(formulas) > 200
    for sheet, cell in formulas:
        assert opened.value(sheet, cell) == opened.stored[sheet][cell].value, (sheet, cell)


def test_the_indonesian_workbook_has_the_same_figures(opened: Spreadsheet, close: DayClose) -> None:
    """Its formulas count by Indonesian words; amounts, ids and names are those of the English one."""
    indonesian = Spreadsheet(render_workbook(close, ORDERS_FILE, language=Language.INDONESIAN))
    say = Wording(Language.INDONESIAN).text
    assert indonesian.book.sheetnames == [say(name) for name in SHEETS]
    assert len(indonesian.formulas()) == len(opened.formulas())
    for sheet, cell in indonesian.formulas():
        assert indonesian.value(sheet, cell) == indonesian.stored[sheet][cell].value, (sheet, cell)
    same = set()
    for theirs, ours in zip(opened.stored.worksheets, indonesian.stored.worksheets, strict=True):
        for row, own_row in zip(theirs.iter_rows(), ours.iter_rows(), strict=True):
            for cell, own in zip(row, own_row, strict=True):
                if isinstance(cell.value, str):
                    same |= {cell.value} & {own.value}
                else:
                    assert own.value == cell.value, (ours.title, own.coordinate)
    assert {text for text in same if say(text) != text} == set()
    # What is left are figures, ids, names, and what people and the test's breaks say.
    ours_only = (
        r"[0-9*,]+|K[A-Z]{15}|order-\d+|S[A-Z0-9]+|B[A-Z0-9-]+|(ab)+|user:.*|the provider .*|an example .*"
    )
    products = close.orders.frame["product_code"]
    known = {"demo", "saldo", "Total", "settlement-2026-11-22.csv", "'=49500", *products}
    left = {text for text in same - known if not re.fullmatch(ours_only, text)}
    assert {text for text in left if " " in text} == WRITTEN_BY_THE_TEST
    dates = indonesian.sheet("pesanan")["I3"].number_format, indonesian.sheet("selisih")["E3"].number_format
    assert dates == ("dd/mm/yyyy hh:mm:ss", "dd/mm/yyyy")


def test_statuses_are_the_totals_of_pandas(opened: Spreadsheet, close: DayClose) -> None:
    """The formulas per status, and their total, agree with the frame."""
    for state, orders in close.orders.frame.groupby("state", observed=True):
        wanted = [len(orders), *(int(orders[name].sum()) for name in TOTALLED)]
        assert opened.row_of("summary", str(state))[1:] == wanted
    total = opened.row_of("summary", "Total")
    assert total[1:] == [len(close.orders.frame), *(int(close.orders.frame[name].sum()) for name in TOTALLED)]


def test_products_are_the_totals_of_pandas(opened: Spreadsheet, close: DayClose) -> None:
    """Every product and status that occurs has its line; the lines add up to the orders."""
    groups = close.orders.frame.groupby(["product_code", "state"], observed=True)
    for (product, state), orders in groups:
        wanted = [len(orders), *(int(orders[name].sum()) for name in TOTALLED)]
        assert opened.row_of("per product and status", str(product), str(state))[2:] == wanted
    sheet = opened.sheet("per product and status")
    assert sheet.max_row == 2 + groups.ngroups
    assert sheet["C3"].data_type == "f"
    assert opened.value("per product and status", "C1") == len(close.orders.frame)
    assert opened.row_of("summary", "Check: orders less their lines per product (must be 0)")[1] == 0


def test_saldo_is_the_equation(opened: Spreadsheet, close: DayClose) -> None:
    """The waterfall computes the expected saldo, and what is unexplained, from the orders and top-ups."""
    saldo = close.saldo
    assert saldo is not None
    rows = {
        row[0]: row for row in (opened.row_of("saldo waterfall", line.label) for line in saldo.waterfall[:-2])
    }
    for line in saldo.waterfall[:-2]:
        assert rows[line.label][1:3] == [line.rupiah, line.after_rupiah]
    assert opened.row_of("saldo waterfall", "Closing saldo, expected")[1] == saldo.expected_rupiah
    assert opened.row_of("saldo waterfall", "Closing saldo, observed")[1] == saldo.closing.saldo_rupiah
    assert opened.row_of("saldo waterfall", "Unexplained")[1] == saldo.unexplained_rupiah == -2_500
    assert opened.row_of("summary", "Saldo unexplained (Rp)")[1] == saldo.unexplained_rupiah
    formulas = [cell.value for cell in opened.sheet("saldo waterfall")["B"][4:10]]
    assert all(str(formula).startswith("=") for formula in formulas), formulas


def test_terms_that_are_not_the_sum_of_the_orders_are_values(close: DayClose) -> None:
    """A term that the orders do not come to is shown as it is, and the sheet says so."""
    assert close.saldo is not None
    other = replace(
        close, saldo=replace(close.saldo, debits_rupiah=close.saldo.debits_rupiah + 1, top_ups_rupiah=5)
    )
    opened = Spreadsheet(render_workbook(other, ORDERS_FILE))
    row = opened.row_of("saldo waterfall", "Debits")
    assert row[1] == -close.saldo.debits_rupiah - 1
    assert "a value, not a formula" in row[3]
    assert opened.row_of("saldo waterfall", "Top-ups")[1] == 5
    assert other.saldo is not None
    assert opened.row_of("saldo waterfall", "Unexplained")[1] == other.saldo.unexplained_rupiah


def test_ageing_counts_what_is_carried_on(opened: Spreadsheet, close: DayClose) -> None:
    """Number, size and net amount by category and age band, of open and explained breaks."""
    carried = [item for item in close.breaks if item.state in (BreakState.OPEN, BreakState.EXPLAINED)]
    assert 0 < len(carried) < len(close.breaks)
    frame = pd.DataFrame(
        {
            "category": [item.category.value for item in carried],
            "band": [item.age_band(close.day) for item in carried],
            "size": [abs(item.amount_rupiah) for item in carried],
            "net": [item.amount_rupiah for item in carried],
        }
    )
    sheet = opened.sheet("ageing")
    titles = [cell.value for cell in sheet["A"]]
    starts = [place for place, title in enumerate(titles, start=1) if title == "timing"]
    for start, column in zip(starts, (None, "size", "net"), strict=True):
        for row in range(start, start + len(BreakCategory)):
            of_category = frame[frame["category"] == sheet.cell(row, 1).value]
            for place, band in enumerate(BANDS, start=2):
                of_band = of_category[of_category["band"] == band]
                wanted = len(of_band) if column is None else of_band[column].sum()
                assert opened.value("ageing", sheet.cell(row, place).coordinate) == wanted
        total = len(frame) if column is None else frame[column].sum()
        assert opened.value("ageing", sheet.cell(start + len(BreakCategory), 6).coordinate) == total


def test_key_figures_count_the_breaks(opened: Spreadsheet, close: DayClose) -> None:
    """The summary counts the breaks by their states."""
    for label, state in (
        ("Breaks: open", BreakState.OPEN),
        ("Breaks: explained, carried on", BreakState.EXPLAINED),
        ("Breaks: resolved", BreakState.RESOLVED),
        ("Breaks: written off", BreakState.WRITTEN_OFF),
    ):
        wanted = sum(1 for item in close.breaks if item.state is state)
        assert opened.row_of("summary", label)[1] == wanted


def test_it_is_pleasant_to_open(opened: Spreadsheet) -> None:
    """The sheets of the promise: titles stay in sight, filters are set, rupiah are grouped."""
    assert opened.book.sheetnames == SHEETS
    for name in SHEETS:
        sheet = opened.sheet(name)
        assert sheet.freeze_panes, name
        assert sheet.column_dimensions["A"].width > 15, name
        assert sheet.page_setup.orientation == "landscape"
    for name in ("breaks", "per product and status", "orders"):
        sheet = opened.sheet(name)
        assert sheet.auto_filter.ref.startswith("A2:"), name
        assert sheet.freeze_panes == "C3"
    orders = opened.sheet("orders")
    assert [cell.value for cell in orders[2]] == [column.title for column in COLUMNS.values()]
    assert list(COLUMNS) == list(ORDER_COLUMNS)
    assert orders["M3"].number_format == "#,##0;[Red]-#,##0;0"
    assert orders["I3"].number_format == "yyyy-mm-dd hh:mm:ss"


def test_every_number_fits_its_column(close: DayClose) -> None:
    """No cell shows a row of hashes: not with sums of trillions, not with a debt, not with a moment."""
    orders = close.orders.frame.copy()
    for name in TOTALLED:
        orders[name] = orders[name] * 1_234_567
    breaks = tuple(replace(item, amount_rupiah=item.amount_rupiah * 1_234_567) for item in close.breaks)
    opened = Spreadsheet(
        render_workbook(replace(close, orders=DayOrders.of(orders), breaks=breaks), ORDERS_FILE)
    )
    largest = 0
    for sheet in opened.book.worksheets:
        # Neighbours of one width are stored together.
        widths = {
            column: stored.width
            for stored in sheet.column_dimensions.values()
            for column in range(stored.min, stored.max + 1)
        }
        for row in sheet.iter_rows():
            for cell in row:
                value = opened.value(sheet.title, cell.coordinate)
                width = widths[cell.column]
                if isinstance(value, datetime):
                    assert len(cell.number_format.replace("\\", "")) <= width, (sheet.title, cell.coordinate)
                elif isinstance(value, int | float):
                    largest = max(largest, abs(int(value)))
                    # Totals are bold.
                    assert len(f"{int(value):,}") * 1.1 <= width, (sheet.title, cell.coordinate, value)
    assert largest > 10**12


def test_moments_are_jakartas(opened: Spreadsheet, close: DayClose) -> None:
    """Sent and ended are dates that a spreadsheet can reckon with, in WIB; what has not ended is empty."""
    for place, order in enumerate(close.orders.frame.itertuples(index=False), start=3):
        sent = opened.value("orders", f"I{place}")
        assert isinstance(sent, datetime)
        local = pd.Timestamp(order.sent_at).tz_convert("Asia/Jakarta").tz_localize(None)  # type: ignore[arg-type]
        assert abs(pd.Timestamp(sent) - local) < pd.Timedelta("1ms")
        assert (opened.value("orders", f"J{place}") is None) == pd.isna(order.ended_at)  # type: ignore[call-overload]
    assert opened.row_of("summary", "From, inclusive (WIB)")[1] == datetime.fromisoformat("2026-11-22")
    assert opened.row_of("summary", "Until, exclusive (WIB)")[1] == datetime.fromisoformat("2026-11-23")


def test_the_same_day_gives_the_same_bytes(close: DayClose) -> None:
    """Neither the clock nor the place of the temporary files is in the workbook."""
    with time_machine.travel(datetime.fromisoformat("2026-11-23T01:00:00+00:00")):
        first = render_workbook(close, ORDERS_FILE)
    with time_machine.travel(datetime.fromisoformat("2031-02-03T04:05:06+00:00")):
        assert render_workbook(closed_day(150), ORDERS_FILE) == first
    with zipfile.ZipFile(io.BytesIO(first)) as parts:
        assert {part.date_time[0] for part in parts.infolist()} == {1980}


def test_nothing_runs_as_a_formula(close: DayClose) -> None:
    """Text of submitters, providers and people that begins like a formula is text with an apostrophe."""
    evil = '=HYPERLINK("http://evil.example","paid")'
    orders = close.orders.frame.copy()
    orders.loc[0, "order_id"] = evil
    orders["product_code"] = orders["product_code"].cat.rename_categories({"25k-xl": "+cmd|' /C calc'!A0"})
    breaks = (
        replace(close.breaks[0], what=evil, ours="@SUM(A1)", theirs="-2+3", reason=evil),
        *close.breaks[1:],
    )
    other = replace(close, account="=1+1", orders=DayOrders.of(orders), breaks=breaks)
    opened = Spreadsheet(render_workbook(other, ORDERS_FILE))
    ours = re.compile(r"=-?('[a-z ]+'!|)(\$?B\$?[0-9]+|C[0-9]+|SUM|SUMIFS|COUNTIFS|COUNTA|SUBTOTAL)\b.*")
    for sheet, cell in opened.formulas():
        assert ours.fullmatch(str(opened.sheet(sheet)[cell].value)), (sheet, cell)
    texts = {
        str(cell.value)
        for sheet in opened.book.worksheets
        for row in sheet.iter_rows()
        for cell in row
        if cell.data_type in ("s", "inlineStr")
    }
    assert {f"'{evil}", "'@SUM(A1)", "'-2+3", "'+cmd|' /C calc'!A0", "'=1+1"} <= texts
    assert not any(text[0] in "=+-@" for text in texts)
    # What cannot be looked up by a formula is a value, and everything still adds up.
    assert opened.row_of("summary", "Check: orders less their lines per product (must be 0)")[1] == 0
    row = next(
        r for r in opened.sheet("per product and status").iter_rows() if r[0].value == "'+cmd|' /C calc'!A0"
    )
    assert row[2].data_type == "n"


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("100", ()),
        ("0100", ()),
        ("1e5", ()),
        ("10-mar", ()),
        ("agustus 7", ()),
        ("7:30 pm", ()),
        ("true", ()),
        ("10k*", ()),
        ("what?", ()),
        ("~home", ()),
        (">5", ()),
        ("<>", ()),
        ("'=1+1", ()),
        ("", ()),
        ("x" * 200, ()),
        ("10k-three", ("10K-THREE",)),
    ],
)
def test_a_formula_looks_nothing_up_that_it_would_misread(word: str, others: tuple[str, ...]) -> None:
    """Wildcards, comparisons, numbers, dates and capitals: such codes are counted by pandas."""
    assert not is_plain_criterion(word, (word, *others))


@pytest.mark.parametrize(
    "word", ["10k-three", "25k-xl", "pln-prepaid-token-100k", "succeeded", "TSEL 50.000"]
)
def test_plain_codes_are_looked_up(word: str) -> None:
    """The provider's codes are found by formulas."""
    assert is_plain_criterion(word, (word, "something else"))


def test_many_orders_are_beside_the_workbook(close: DayClose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit the workbook names the file; the totals are the same, as values, and it says so."""
    inside = Spreadsheet(render_workbook(close, ORDERS_FILE))
    monkeypatch.setattr(workbook, "MAXIMUM_ORDERS", len(close.orders.frame) - 1)
    opened = Spreadsheet(render_workbook(close, ORDERS_FILE))
    assert opened.book.sheetnames == SHEETS
    told = " ".join(str(cell.value) for cell in opened.sheet("orders")["A"])
    assert ORDERS_FILE in told
    assert "values, not formulas" in told
    assert ORDERS_FILE in str(opened.sheet("summary")["A3"].value)
    assert opened.row_of("summary", "Total")[1:] == inside.row_of("summary", "Total")[1:]
    assert opened.row_of("summary", "Orders")[1] == len(close.orders.frame)
    assert opened.value("per product and status", "C1") == len(close.orders.frame)
    assert not any("orders!" in str(opened.sheet(sheet)[cell].value) for sheet, cell in opened.formulas())
    for sheet, cell in opened.formulas():
        assert opened.value(sheet, cell) == opened.stored[sheet][cell].value, (sheet, cell)


def test_the_limit_is_fifty_thousand() -> None:
    """50,000 orders are inside, one more is not."""
    frame = pd.DataFrame({"x": range(workbook.MAXIMUM_ORDERS)})
    day = closed_day(3)
    assert workbook.MAXIMUM_ORDERS == 50_000
    assert workbook.has_orders_inside(replace(day, orders=DayOrders((PartInMemory(frame),))))
    more = DayOrders((PartInMemory(frame), PartInMemory(frame.head(1))))
    assert not workbook.has_orders_inside(replace(day, orders=more))


def test_an_empty_day_opens() -> None:
    """No orders, no breaks, no saldo, no files: every sheet is there, every formula comes to nothing."""
    day = closed_day(1)
    empty = replace(
        day,
        orders=DayOrders.of(day.orders.frame.head(0)),
        breaks=(),
        saldo=None,
        settlement_files=(),
        top_ups=(),
        adjustments=(),
        controls=(),
    )
    opened = Spreadsheet(render_workbook(empty, ORDERS_FILE))
    assert opened.book.sheetnames == SHEETS
    assert "not observed" in opened.row_of("summary", "Saldo unexplained (Rp)")[1]
    for sheet, cell in opened.formulas():
        assert opened.value(sheet, cell) == opened.stored[sheet][cell].value == 0, (sheet, cell)


def test_a_text_too_long_for_a_cell_is_cut(close: DayClose) -> None:
    """A cell holds 32,767 characters; what is longer is cut and not left out."""
    broken = replace(close, breaks=(replace(close.breaks[0], reason="y" * 40_000), *close.breaks[1:]))
    sheet = openpyxl.load_workbook(io.BytesIO(render_workbook(broken, ORDERS_FILE)))["breaks"]
    assert len(str(sheet["R3"].value)) == 32_000
