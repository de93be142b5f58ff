"""Encodings of order files: what was meant is read, and everything else is refused with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.order_file import OrderFile, OrderRow, RowProblem

HEADER = "order_id,product_code,client_number,field:nama"


def outcomes(content: bytes) -> list[OrderRow | RowProblem]:
    """What the rows of a file are."""
    return [row.outcome for row in OrderFile(content, "orders.csv").rows()]


def names(content: bytes) -> list[str]:
    """The field ``nama`` of every row, all of which are orders."""
    rows = outcomes(content)
    assert all(isinstance(row, OrderRow) for row in rows)
    return [dict(row.fields).get("nama", "") for row in rows if isinstance(row, OrderRow)]


def refusal(content: bytes) -> str:
    """Why a file is refused as no CSV."""
    with pytest.raises(OrderFileError) as caught:
        outcomes(content)
    assert caught.value.code == "not_csv"
    return str(caught.value)


def test_bytes_80_to_9f_are_windows_1252() -> None:
    """Excel's en dash and curly quotes are read as such, in a title, too."""
    content = (
        b"order_id;product_code;client_number;field:nama;note:keterangan \x96 toko\r\n"
        b"A-1;50k-simpati;081234567890;Caf\xe9 \x93Budi\x94 \x96 cabang 2;x\r\n"
    )
    assert names(content) == ["Caf\u00e9 \u201cBudi\u201d \u2013 cabang 2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_what_was_meant_is_read(encoding: str) -> None:
    """One text, in each encoding that people save."""
    assert names(f"{HEADER}\nA-1,p,08123,Jos\u00e9 \u2013 \u00d1\n".encode(encoding)) == [
        "Jos\u00e9 \u2013 \u00d1"
    ]


def test_utf_8_with_one_odd_byte_is_refused_with_its_place() -> None:
    """Such a file is never read as something else: JosÃ© is no name."""
    content = f"{HEADER},note:n\nA-1,p,08123,Jos\u00e9,x\nA-2,p,08124,Budi,".encode() + b"caf\xe9\n"
    message = refusal(content)
    assert "row 3, column 5" in message
    assert "byte 0xE9" in message
    assert f"byte {content.index(0xE9) + 1} " in message


@pytest.mark.parametrize(
    ("content", "place"),
    [
        pytest.param(f"{HEADER}\nA,p,08,\u00e9\nB,p,08,\u00e9".encode()[:-1], "row 3, column 4", id="UTF-8"),
        pytest.param(f"{HEADER}\nA-1,p,08123,Andr\u00e9".encode()[:-1], "row 2, column 4", id="the only one"),
        pytest.param(f"{HEADER}\nA-1,p,08123,x".encode("utf-16")[:-1], "row 2, column 4", id="UTF-16"),
        pytest.param(f'{HEADER}\nA-1,p,08123,"x\ny'.encode(), "row 2", id="quoted cell"),
        pytest.param(f"{HEADER}\nA-1,p,08123,x\nA-2,p".encode(), "row 3", id="row"),
        pytest.param(f"{HEADER}\nA-1,p,08".encode(), "row 2", id="the only row"),
        pytest.param(f"{HEADER}\r\nA-1,p,08123,x\r\nA-2,p,08".encode("utf-16"), "row 3", id="row in UTF-16"),
    ],
)  # fmt: skip
def test_a_file_that_was_cut_off_is_refused(content: bytes, place: str) -> None:
    """In the middle of a character, a quoted cell or a row: its end would be another order."""
    assert place in refusal(content)


def test_a_last_number_that_may_be_cut_costs_its_row() -> None:
    """Without a line break behind it, a number shorter than all others, or a lost ceiling, is not paid."""
    header = "order_id,product_code,client_number\n"
    good, bad = outcomes(f"{header}A-1,p,081234567890\nA-2,p,0812345".encode())
    assert isinstance(good, OrderRow)
    assert isinstance(bad, RowProblem)
    assert bad.code == "cut_off"
    assert "0812345" not in bad.message("orders.csv", 3)
    lost = b"order_id,product_code,client_number,max_rupiah\nA-1,p,081234567890,5\nA-2,p,081234567890,"
    for content in (lost, lost.replace(b"A-1,p,081234567890,5\n", b"")):
        assert [row.code for row in outcomes(content) if isinstance(row, RowProblem)] == ["cut_off"]
    for whole in ("A-2,p,081234567891", "A-2,p,0812345\n", 'A-2,p,"0812345"'):
        assert all(
            isinstance(row, OrderRow) for row in outcomes(f"{header}A-1,p,081234567890\n{whole}".encode())
        )


def test_a_short_number_at_the_end_of_the_only_row_costs_its_row() -> None:
    """There is no other number to measure it by: 0818 may be the begin of 081812345678."""
    header = "order_id,product_code,client_number\n"
    (bad,) = outcomes(f"{header}A-1,p,0818".encode())
    assert isinstance(bad, RowProblem)
    assert bad.code == "cut_off"
    for whole in ("A-1,p,0818\n", 'A-1,p,"0818"', "A-1,p,08181234", "A-1,p,0818\nA-2,p,0819"):
        assert all(isinstance(row, OrderRow) for row in outcomes(f"{header}{whole}".encode())), whole


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("column", ["max_rupiah", "amount_rupiah", "downline_id", "field:nama"])
def test_a_quoted_file_that_was_cut_off_loses_no_cell(column: str, encoding: str) -> None:
    """Wherever it ends, also behind a closing quotation mark: no order is without what was given for it."""
    lines = [f"order_id,product_code,client_number,{column}", '"A-1","p","081234567890","26000"']
    content = "\r\n".join([*lines, '"A-2","p","081234567891","26001"']).encode(encoding)
    whole = outcomes(content)
    assert [type(row) for row in whole] == [OrderRow, OrderRow]
    for end in range(len(content)):
        try:
            part = outcomes(content[:end])
        except OrderFileError:
            continue
        assert all(row in whole for row in part if isinstance(row, OrderRow)), content[:end]


def test_a_last_amount_that_may_be_cut_costs_its_row() -> None:
    """Rp50,000 without its last digit is Rp5,000; a last cell in quotation marks is whole."""
    start = "order_id,product_code,client_number,amount_rupiah\nA-1,p,081234567890,50000\nA-2,p,081234567891,"
    _, bad = outcomes(f"{start}5000".encode())
    assert isinstance(bad, RowProblem)
    assert bad.code == "cut_off"
    for end in ("60000", "5000\n", '"5000"', '""'):
        assert all(isinstance(row, OrderRow) for row in outcomes(f"{start}{end}".encode())), end


def test_short_rows_without_a_line_break_at_the_end_are_fine() -> None:
    """Where every row leaves out its last cells, the last one is as whole as the others."""
    content = b"order_id,product_code,client_number,max_rupiah\nA-1,p,08123\nA-2,p,08124"
    assert all(isinstance(row, OrderRow) for row in outcomes(content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{HEADER}\nA-1,p,08123,x\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (f"{HEADER}\nA-1,p,08123,x\n".encode("utf-16-be"), "UTF-16 without a byte order mark"),
        (f"{HEADER}\nA-1,p,08123,a\u00e9".encode("cp1252") + b"\x81\n", "neither UTF-8 nor Windows-1252"),
        (b"PK\x03\x04...", "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1...", "workbook"),
        (b"<html><table>", "web page"),
        (b"%PDF-1.7", "PDF"),
        (b"\xef\xbb\xbforder_id,\xff\n", "byte 0xFF"),
    ],
)
def test_what_is_no_text_is_named(content: bytes, words: str) -> None:
    """Other formats, and bytes that no encoding explains."""
    assert words in refusal(content)


@pytest.mark.parametrize(
    "value",
    ["Jos\u00c3\u00a9", "Toko \u00e2\u20ac\u201c Budi", "a\u00a0b", "a\u200bb", "a\u202eb", "a\u2066b",
     "a\u00adb", "a\ufffdb", "a\x85b", "a\ue000b", "a\u2028b", "a\u202fb", "#N/A", "#REF!", "#####"],
)  # fmt: skip
def test_what_was_not_meant_never_goes_to_sat(value: str) -> None:
    """Mojibake, invisible characters and a spreadsheet's errors cost their row; a note may hold them."""
    (problem,) = outcomes(f"{HEADER}\nA-1,p,08123,{value}\n".encode())
    assert isinstance(problem, RowProblem)
    assert problem.code in ("control_character", "misread_text", "spreadsheet_error")
    (order,) = outcomes(f"order_id,product_code,client_number,Keterangan\nA-1,p,08123,{value}\n".encode())
    assert isinstance(order, OrderRow)


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_line_with_the_separator_is_no_row(line: str, mark: bytes) -> None:
    """Excel writes and hides it: the header is row 1."""
    content = mark + f"{line}\r\norder_id;product_code;client_number\r\nA-1;p;08123\r\n".encode()
    (row,) = OrderFile(content, "orders.csv").rows()
    assert row.row_number == 2
    assert isinstance(row.outcome, OrderRow)


def test_an_odd_separator_is_refused_in_words() -> None:
    """A file whose cells are separated by something else is not read."""
    assert "separator 'x'" in refusal(b"sep=x\norder_idxproduct_codexclient_number\n")


@given(
    text=st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=12), min_size=1),
    cut=st.integers(0, 200),
)
def test_no_part_of_a_file_is_read_as_other_text(text: list[str], cut: int) -> None:
    """However a UTF-8 file is cut, its rows say what the whole file says, or they are refused."""
    content = "".join(
        [
            f"{HEADER}\n",
            *(f'A-{n},p,0812345{n:05d},"{name.replace(chr(34), "")}"\n' for n, name in enumerate(text)),
        ]
    ).encode()
    try:
        whole = {row.order_id: row for row in outcomes(content) if isinstance(row, OrderRow)}
        part = outcomes(content[:-cut] if cut else content)
    except OrderFileError:
        return
    for row in part:
        if isinstance(row, OrderRow) and row.order_id in whole:
            assert row == whole[row.order_id]
