"""Workbooks, pasted text and CSV become the order file that their owner meant, or say why not."""

from __future__ import annotations

import datetime as dt
import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.pipeline.cell_marks import MARKS
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.limits import FileLimits
from sat_hook.pipeline.order_columns import RESULT_COLUMNS
from sat_hook.pipeline.order_file import FileRow, OrderFile, OrderRow, RowProblem
from sat_hook.pipeline.order_sheet import (
    OrderSheet,
    SheetRow,
    check_columns,
    edited,
    header_fingerprint,
    match_columns,
    note_for,
    order_csv,
)
from sat_hook.pipeline.sheet_reading import order_file_of, read_pasted, read_sheet
from tests.fuzzing import examples
from tests.workbooks import HEADER, book_of, orders_book, replaced

NUMBER = "081211311111"


def made_of(sheet: OrderSheet, **changes: object) -> bytes:
    """The order file of a sheet whose columns are all known."""
    found = [match.column for match in match_columns(sheet.header, "f")]
    columns = check_columns(found, sheet.header, "f", sheet.header_row)
    return order_csv(
        sheet.rows,
        header=sheet.header,
        header_row=sheet.header_row,
        columns=columns,
        end=sheet.end,
        **changes,  # type: ignore[arg-type]
    )


def rows_of(content: bytes) -> list[FileRow]:
    """The rows as the intake reads them."""
    return list(OrderFile(content, "f").rows())


def rows_in(content: bytes) -> list[FileRow]:
    """The rows of a workbook as the intake reads them."""
    return rows_of(order_file_of(content, "f.xlsx")[0])


def problem_in(content: bytes) -> RowProblem:
    """The problem of a workbook's only row."""
    (row,) = rows_in(content)
    assert isinstance(row.outcome, RowProblem), row
    return row.outcome


def test_a_workbook_of_text_is_the_orders_that_it_shows() -> None:
    """Each row keeps the number that the spreadsheet gives it, blank rows included."""
    found = rows_in(
        orders_book(("A-1", "50k-simpati", NUMBER), (None, None, None), ("A-2", "5k-xl", "0817123456"))
    )
    assert [(row.row_number, row.order_id) for row in found] == [(2, "A-1"), (4, "A-2")]
    assert isinstance(found[0].outcome, OrderRow)
    assert found[0].outcome.client_number == NUMBER


@pytest.mark.parametrize(
    ("line", "formats", "code"),
    [
        (("A-1", "50k-simpati", 81211311111), {}, "lost_zeros"),
        (("A-1", "no-such-shape", 5321100000), {}, "lost_zeros"),
        (("A-1", "pln-prepaid-20", 53211000000), {}, "lost_zeros"),
        (("A-1", "pln-prepaid-20", 532110000001), {}, "lost_digits"),
        (("A-1", "pln-prepaid-20", 532110000001), {"C2": "0.00E+00"}, "lost_digits"),
        ((1234567890123456, "50k-simpati", NUMBER), {"A2": "0"}, "lost_digits"),
        ((1234567890123450, "50k-simpati", NUMBER), {"A2": "0"}, "lost_digits"),
        ((dt.date(2026, 11, 30), "50k-simpati", NUMBER), {}, "date_cell"),
        (("A-1", "50k-simpati", dt.date(2026, 11, 29)), {}, "date_cell"),
        (("A-1", "50k-simpati", True), {}, "logical_cell"),
        (("A-1", "50k-simpati", "#N/A"), {}, "spreadsheet_error"),
        (("A-1", "50k-simpati", "=B1"), {}, "formula_without_value"),
    ],
)
def test_a_cell_that_lost_something_is_an_error_of_its_row(
    line: tuple[object, ...], formats: dict[str, str], code: str
) -> None:
    """With a plain sentence and what to do, and without the customer's number."""
    problem = problem_in(orders_book(line, formats=formats))
    assert problem.code == code
    message = problem.message("f.xlsx", 2)
    assert "expected" in message
    assert "53211" not in message
    assert "8121" not in message


def test_numbers_that_lost_nothing_are_read_as_their_digits() -> None:
    """Also where they are shown with separators or zeros; an amount is a number in most workbooks."""
    header = ("order_id", "product_code", "client_number", "amount_rupiah")
    content = book_of(
        ("a", [header, (1001, "pln-prepaid-20", 532110000001, 12500)]),
        formats={"C2": "000000000000", "D2": "#,##0", "A2": "000000"},
    )
    (row,) = rows_in(content)
    assert isinstance(row.outcome, OrderRow), row
    assert row.outcome.order_id == "001001"
    assert row.outcome.client_number == "532110000001"
    assert row.outcome.amount_rupiah == 12500


def test_a_fraction_or_a_rounded_amount_is_no_amount() -> None:
    """Nothing is rounded where money could change."""
    header = ("order_id", "product_code", "client_number", "amount_rupiah")
    for value in (12500.5, 1e21, 0.1 + 0.2):
        problem = problem_in(book_of(("a", [header, ("A-1", "5k-xl", NUMBER, value)])))
        assert problem.column == "amount_rupiah", value


def test_a_formula_is_read_by_its_shown_value_and_said_so() -> None:
    """The workbook keeps the value that it showed last."""
    content = replaced(
        orders_book(("A-1", "50k-simpati", "=B1")),
        "xl/worksheets/sheet1.xml",
        '<c r="C2"><f>B1</f><v /></c>',
        f'<c r="C2" t="str"><f>B1</f><v>{NUMBER}</v></c>',
    )
    made, sheet = order_file_of(content, "f.xlsx")
    assert sheet is not None
    assert (sheet.facts.formula_cells, sheet.facts.first_formulas) == (1, ("C2",))
    assert isinstance(rows_of(made)[0].outcome, OrderRow)


def test_the_first_sheet_with_a_known_header_is_read_and_the_others_are_named() -> None:
    """Also below lines of title; another sheet can be asked for."""
    content = book_of(
        ("Petunjuk", [("Isi lembar Pesanan",)]),
        ("Pesanan", [("PT Maju Jaya",), (), ("No. Order", "Kode Produk", "No HP"), ("A-1", "5k-xl", NUMBER)]),
        ("Lama", [HEADER, ("B-1", "5k-xl", NUMBER)]),
    )
    sheet = read_sheet(content, "f.xlsx")
    assert (sheet.facts.sheet, sheet.facts.other_sheets) == ("Pesanan", ("Petunjuk", "Lama"))
    assert (sheet.header_row, sheet.facts.skipped_rows) == (3, 1)
    assert [(row.row_number, row.order_id) for row in rows_of(made_of(sheet))] == [(4, "A-1")]
    assert read_sheet(content, "f.xlsx", sheet_name="Lama").rows[0].cells[0] == "B-1"
    with pytest.raises(OrderFileError, match="'Petunjuk', 'Pesanan', 'Lama'"):
        read_sheet(content, "f.xlsx", sheet_name="none")


def archive_of(*names: str) -> bytes:
    """An archive with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return out.getvalue()


OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
WHOLE = orders_book(("A-1", "5k-xl", NUMBER))


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (OLD, "workbook_old", "old workbook"),
        (OLD + "EncryptedPackage".encode("utf-16-le"), "workbook_locked", "locked with a password"),
        (archive_of("mimetype", "word/document.xml"), "workbook_other", "text document"),
        (archive_of("xl/workbook.bin"), "workbook_other", "XLSB"),
        (archive_of("a.txt"), "workbook_other", "no workbook"),
        (WHOLE[: len(WHOLE) // 2], "workbook_damaged", "cut or damaged"),
        (b"<html><table>", "workbook_other", "a web page"),
        (book_of(("a", [])), "empty", "no rows"),
        (b" \n", "empty", "an empty file"),
    ],
)
def test_a_file_that_is_no_workbook_is_named_in_words(content: bytes, code: str, words: str) -> None:
    """Whatever its name says."""
    with pytest.raises(OrderFileError, match=words) as caught:
        read_sheet(content, "orders.xlsx")
    assert caught.value.code == code
    assert str(caught.value).startswith("orders.xlsx")


def test_a_workbook_is_bounded_in_rows_columns_and_size() -> None:
    """Before it is unpacked, or as it is read."""
    lines = [(f"A-{n}", "5k-xl", NUMBER) for n in range(30)]
    with pytest.raises(OrderFileError, match="more than 20 rows"):
        read_sheet(orders_book(*lines), "f.xlsx", FileLimits(rows=20))
    with pytest.raises(OrderFileError, match="found 3 columns; expected at most 2"):
        order_file_of(orders_book(*lines), "f.xlsx", FileLimits(columns=2))
    bomb = replaced(
        WHOLE, "xl/worksheets/sheet1.xml", "<sheetData>", "<!--" + "x" * 40_000_000 + "--><sheetData>"
    )
    with pytest.raises(OrderFileError, match="unpacks to"):
        read_sheet(bomb, "f.xlsx")


def test_pasted_cells_are_orders() -> None:
    """Separated by tabs; without a header its columns are mapped by hand."""
    sheet = read_pasted(f"No Order\tKode Produk\tNo HP\r\nA-1\t5k-xl\t{NUMBER}")
    assert isinstance(rows_of(made_of(sheet))[0].outcome, OrderRow)
    bare = read_pasted(f"A-1\t5k-xl\t{NUMBER}\n", has_header=False)
    assert [match.column for match in match_columns(bare.header, "f")] == [None, None, None]
    columns = check_columns(HEADER, bare.header, "f", bare.header_row)
    made = order_csv(bare.rows, header=bare.header, header_row=1, columns=columns)
    assert isinstance(rows_of(made)[0].outcome, OrderRow)
    with pytest.raises(OrderFileError, match="found 2 columns; expected at most 1"):
        match_columns(["a", "b"], "f", FileLimits(columns=1))
    with pytest.raises(OrderFileError) as caught:
        read_pasted("x" * 100, FileLimits(file_bytes=10))
    assert caught.value.code == "too_large"


def test_an_unknown_column_becomes_a_note_or_one_of_ours_by_hand() -> None:
    """A note reaches the result file with its title; a result's own columns are left out."""
    titles = ("order_id", "product_code", "Ponsel", "Kode Cabang", "Nama", RESULT_COLUMNS[0])
    sheet = read_sheet((",".join(titles) + f"\nA-1,5k-xl,{NUMBER},JKT,Budi,paid\n").encode(), "f.csv")
    found = [match.column for match in match_columns(sheet.header, "f")]
    assert found == ["order_id", "product_code", None, None, "note:nama", RESULT_COLUMNS[0]]
    by_hand = [*found[:2], "client_number", note_for("Kode Cabang", 4), *found[4:]]
    columns = check_columns(by_hand, sheet.header, "f", 1)
    made = order_csv(sheet.rows, header=sheet.header, header_row=1, columns=columns)
    file = OrderFile(made, "f")
    assert file.header == ("order_id", "product_code", "client_number", "note:kode cabang", "Nama")
    (row,) = file.rows()
    assert row.cells == ("A-1", "5k-xl", NUMBER, "JKT", "Budi")
    assert header_fingerprint(titles) == header_fingerprint([title.upper() for title in titles])


def test_rows_keep_their_numbers_when_others_are_left_out_or_changed() -> None:
    """What a person typed is text: it is never marked."""
    content = orders_book(("A-1", "5k-xl", 817123456), ("A-2", "5k-xl", NUMBER), ("A-3", "5k-xl", NUMBER))
    sheet = read_sheet(content, "f.xlsx")
    found = rows_of(made_of(sheet, edits={2: {3: "0817123456"}, 4: {5: "x"}}, left_out={3}))
    assert [(row.row_number, type(row.outcome)) for row in found] == [(2, OrderRow), (4, RowProblem)]
    assert edited(["a"], {3: "c"}) == ["a", "", "c"]


@pytest.mark.parametrize("end", ["", '"', "\n"])
def test_a_file_that_may_have_been_cut_stays_so(end: str) -> None:
    """The order file says of its last row what the upload said, unless a person changed that row."""
    last = f'"{NUMBER[:5]}"' if end == '"' else NUMBER[:5] + end
    content = f"order_id,product_code,client_number\nA-1,5k-xl,{NUMBER}\nA-2,pdam-x,{last}".encode()
    sheet = read_sheet(content, "f.csv")
    assert [row.outcome for row in rows_of(made_of(sheet))] == [row.outcome for row in rows_of(content)]
    mended = rows_of(made_of(sheet, edits={3: {3: NUMBER}}))
    assert isinstance(mended[1].outcome, OrderRow)


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\x00"), max_size=12)


@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=6))
@settings(max_examples=examples(100), deadline=None)
def test_the_order_file_of_any_cells_reads_as_those_cells(rows: list[list[str]]) -> None:
    """No cell is lost, moved or changed on the way into the file."""
    sheet_rows = [SheetRow(2 + 2 * place, tuple(cells)) for place, cells in enumerate(rows)]
    made = order_csv(sheet_rows, header=HEADER, header_row=1, columns=HEADER)
    kept = [row for row in sheet_rows if any(cell.strip() for cell in row.cells)]
    assert [(row.row_number, row.cells) for row in rows_of(made)] == [
        (row.row_number, row.cells) for row in kept
    ]


@given(
    digits=st.integers(min_value=0, max_value=10**22),
    form=st.sampled_from(["General", "0", "0.00E+00", "@", "#,##0", "000000000000"]),
    product=st.sampled_from(["pln-prepaid-20", "5k-xl", "pdam-x"]),
)
@settings(max_examples=examples(60), deadline=None)
def test_no_number_cell_pays_another_number(digits: int, form: str, product: str) -> None:
    """A number in a workbook is the digits that it shows, or its row is refused."""
    (row,) = rows_in(orders_book(("A-1", product, digits), formats={"C2": form}))
    if isinstance(row.outcome, OrderRow):
        shown = str(digits).zfill(len(form)) if form == "000000000000" else str(digits)
        assert row.outcome.client_number == shown
        assert digits < 10**15
        if form != "000000000000":
            assert product == "pln-prepaid-20"
            assert len(shown) == 12


@given(content=st.binary(max_size=400), cut=st.integers(min_value=0, max_value=len(WHOLE)))
@settings(max_examples=examples(100), deadline=None)
def test_a_damaged_workbook_is_an_order_file_error(content: bytes, cut: int) -> None:
    """Whatever its bytes are, nothing else is raised."""
    for damaged in (content, WHOLE[:cut] + content + WHOLE[cut:], b"PK\x03\x04" + content):
        try:
            made, _ = order_file_of(damaged, "f.xlsx")
            rows_of(made)
        except OrderFileError:
            continue


def test_every_mark_is_refused_where_it_could_be_sent() -> None:
    """A marked cell is refused in each column of ours, and kept in a note."""
    for name, mark in MARKS.items():
        for column in (*HEADER, "amount_rupiah", "max_rupiah", "downline_id", "field:x"):
            titles = ",".join(dict.fromkeys((*HEADER, column, "note:n")))
            values = {**dict(zip(HEADER, ("A-1", "5k-xl", NUMBER), strict=True)), column: f"#{name}! 1"}
            line = ",".join([*values.values(), f"#{name}! 1"])
            (row,) = rows_of(f"{titles}\n{line}\n".encode())
            assert isinstance(row.outcome, RowProblem)
            assert (row.outcome.code, row.outcome.column) == (mark.code, column)
