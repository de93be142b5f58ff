"""Order files as people and spreadsheets write them: what is read, and what is refused with its place."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.order_file import FileRow, OrderFile, OrderRow, RowProblem

HEADER = "order_id,product_code,client_number,amount_rupiah,max_rupiah,downline_id,field:note\n"


def read(content: bytes | str) -> list[FileRow]:
    """The file's rows."""
    raw = content.encode("utf-8") if isinstance(content, str) else content
    return list(OrderFile(raw, "orders.csv").rows())


def only(content: bytes | str) -> OrderRow | RowProblem:
    """What the only row became."""
    (row,) = read(content)
    return row.outcome


GOOD = OrderRow("A-1", "50k-simpati", "081234567890", None, None, None, ())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("order_id,product_code,client_number\nA-1,50k-simpati,081234567890\n", id="plain"),
        pytest.param(
            b"\xef\xbb\xbforder_id,product_code,client_number\r\nA-1,50k-simpati,081234567890\r\n",
            id="BOM and CRLF",
        ),
        pytest.param("order_id;product_code;client_number\nA-1;50k-simpati;081234567890", id="semicolons"),
        pytest.param("order_id\tproduct_code\tclient_number\nA-1\t50k-simpati\t081234567890\n", id="tabs"),
        pytest.param(
            "order_id,product_code,client_number\nA-1,50k-simpati,081234567890\n".encode("utf-16"),
            id="UTF-16",
        ),
        pytest.param(
            "order_id,product_code,client_number,,\nA-1,50k-simpati,081234567890,,\n", id="trailing columns"
        ),
        pytest.param(
            "\n\norder_id,product_code,client_number\n\n,,\nA-1,50k-simpati,081234567890\n\n",
            id="blank lines",
        ),
        pytest.param(
            "Order ID,Product-Code,No HP\nA-1, 50k-simpati ,081234567890\n", id="aliases and spaces"
        ),
        pytest.param(
            'client_number,order_id,product_code\n"081234567890","A-1","50k-simpati"\n', id="order and quotes"
        ),
        pytest.param(
            'order_id,product_code,client_number,note:mine\nA-1,50k-simpati,081234567890,"two\nlines"\n',
            id="quoted newline in a note",
        ),
    ],
)
def test_files_that_people_really_write_are_read(content: bytes | str) -> None:
    """Encodings, separators, line ends and headers vary; the order is the same."""
    assert only(content) == GOOD


def test_rows_are_numbered_as_a_spreadsheet_shows_them() -> None:
    """The header is row 1, blank lines count, a quoted newline does not."""
    rows = read('order_id,product_code,client_number,note:n\nA,p,08123,"x\ny"\n\nB,p,08123,\n')
    assert [(row.row_number, row.order_id) for row in rows] == [(2, "A"), (4, "B")]


def test_latin_1_is_read_where_it_is_no_utf_8() -> None:
    """An old export keeps its accents."""
    content = "order_id,product_code,client_number,field:nama\nA-1,p,08123,José\n".encode("latin-1")
    outcome = only(content)
    assert isinstance(outcome, OrderRow)
    assert outcome.fields == (("nama", "José"),)


def test_fields_keep_their_order_and_case_and_skip_blanks() -> None:
    """Extra fields go to SAT as name and value, as the header spells them."""
    outcome = only("order_id,product_code,client_number,field:Nama,field:b\nA-1,p,08123,x,\n")
    assert isinstance(outcome, OrderRow)
    assert outcome.fields == (("Nama", "x"),)


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("amount_rupiah", "10.000", "thousand_separator"),
        ("amount_rupiah", "1,000,000", "thousand_separator"),
        ("amount_rupiah", "Rp 10.000", "thousand_separator"),
        ("amount_rupiah", "10 000", "thousand_separator"),
        ("amount_rupiah", "12500.0", "decimal"),
        ("amount_rupiah", "12500,00", "decimal"),
        ("amount_rupiah", "1.25E+4", "scientific_notation"),
        ("amount_rupiah", "-500", "bad_amount"),
        ("amount_rupiah", "ten", "bad_amount"),
        ("amount_rupiah", "010000", "bad_amount"),
        ("amount_rupiah", "٣٤", "bad_amount"),
        ("amount_rupiah", "0", "amount_bounds"),
        ("amount_rupiah", "1000000001", "amount_bounds"),
        ("amount_rupiah", "9" * 200, "amount_bounds"),
        ("max_rupiah", "10.000", "thousand_separator"),
        ("client_number", "8.12E+11", "scientific_notation"),
        ("client_number", "8,12E+11", "scientific_notation"),
        ("client_number", "0812-3456-789", "bad_client_number"),
        ("client_number", "+62812345678", "bad_client_number"),
        ("client_number", "81234567890.0", "decimal"),
        ("client_number", "", "missing_client_number"),
        ("client_number", "123", "bad_client_number"),
        ("client_number", "1" * 21, "bad_client_number"),
        ("order_id", "", "missing_order_id"),
        ("order_id", "=1+1", "bad_order_id"),
        ("order_id", "A" * 65, "bad_order_id"),
        ("order_id", "1.5E+10", "scientific_notation"),
        ("order_id", "naïve", "bad_order_id"),
        ("product_code", "", "bad_product_code"),
        ("product_code", "token listrik", "bad_product_code"),
        ("downline_id", "x" * 257, "too_long"),
        ("downline_id", "a\u00a0b", "control_character"),
        ("order_id", "A\u200b1", "control_character"),
    ],
)
def test_what_would_have_to_be_repaired_is_refused(column: str, value: str, code: str) -> None:
    """Where money or identity could change nothing is guessed: the row says what was found and expected."""
    cells = {
        "order_id": "A-1",
        "product_code": "50k-simpati",
        "client_number": "081234567890",
        "amount_rupiah": "",
        "max_rupiah": "",
        "downline_id": "",
        column: value,
    }
    out = io.StringIO()
    writer = csv.DictWriter(out, list(cells))
    writer.writeheader()
    writer.writerow(cells)
    outcome = only(out.getvalue())
    assert isinstance(outcome, RowProblem)
    assert (outcome.code, outcome.column) == (code, column)
    message = outcome.message("orders.csv", 2)
    assert message.startswith(f"orders.csv row 2, column {column}: found ")
    assert "expected" in message


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("client_number", "'081234567890", "leave out spaces, dots, dashes, quotation marks and brackets"),
        ("client_number", '="081234567890"', "quotation marks"),
        ("client_number", "(0812) 3456-7890", "brackets"),
        ("client_number", "-", "found 1 character, dashes;"),
        ("product_code", "", "found nothing;"),
        ("order_id", "", "found nothing;"),
        ("amount_rupiah", "50.000,-", "without separators"),
        ("amount_rupiah", "050000", "the first one not 0"),
        ("max_rupiah", "2000000000", "1 to 1,000,000,000 rupiah"),
    ],
)
def test_a_message_says_what_to_change(column: str, value: str, words: str) -> None:
    """In words that fit what a person typed."""
    cells = {"order_id": "A-1", "product_code": "p", "client_number": "081234567890", column: value}
    outcome = only(";".join(cells) + "\n" + ";".join(cells.values()) + "\n")
    assert isinstance(outcome, RowProblem)
    assert words in outcome.message("orders.csv", 2)


def test_a_cell_too_many_is_an_unquoted_separator() -> None:
    """A shifted row is never read as if its columns still fitted."""
    outcome = only("order_id,product_code,client_number\nA-1,p,08123,surplus\n")
    assert isinstance(outcome, RowProblem)
    assert outcome.code == "surplus_cells"


@pytest.mark.parametrize("limit", [100_000, 131_072, 16_000_000])
def test_a_cell_may_be_so_long_whatever_the_process_allows(limit: int) -> None:
    """The limit of the csv module is shared by everybody in the process."""
    before = csv.field_size_limit(limit)
    try:
        with pytest.raises(OrderFileError, match=r"orders\.csv row 2"):
            read("order_id,product_code,client_number\nA," + "x" * 100_001 + ",1\n")
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("", "empty", "found no header"),
        ("\n\n", "empty", "found no header"),
        ("order_id,product_code\nA,b\n", "missing_column", "client_number is missing"),
        ("order_id,product_code,client_number,amout\n", "unknown_column", "did you mean amount_rupiah"),
        ("order_id,product_code,client_number,order\n", "column_twice", "'order_id' more than once"),
        ("order_id,product_code,client_number" + ",note:n" * 70, "too_many_columns", "at most 64"),
        (b"PK\x03\x04rest of a workbook", "not_csv", "workbook"),
        ('order_id,product_code,client_number\nA,"b,c\n', "not_csv", "never closed"),
        ("order_id,product_code,client_number\nA," + "x" * 200_000 + ",1\n", "not_csv", "row 2"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_order_file_says_why(content: bytes | str, code: str, words: str) -> None:
    """The message names the file, what was found and what was expected."""
    with pytest.raises(OrderFileError, match=r"orders\.csv") as caught:
        read(content)
    assert caught.value.code == code
    assert words in str(caught.value)


text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)


@given(rows=st.lists(st.lists(text, min_size=3, max_size=8), max_size=8), mark=st.sampled_from(",;\t"))
def test_no_content_crashes_the_reader(rows: list[list[str]], mark: str) -> None:
    """Whatever the cells hold, each row is an order or a problem, never an exception of another kind."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark)
    writer.writerow(["order_id", "product_code", "client_number", "amount_rupiah", "max_rupiah"])
    writer.writerows(rows)
    for row in read(out.getvalue()):
        if isinstance(row.outcome, OrderRow):
            assert row.outcome.client_number.isascii()
            assert row.outcome.client_number.isdigit()
            assert row.outcome.amount_rupiah is None or row.outcome.amount_rupiah > 0


@given(st.binary(max_size=400))
def test_no_bytes_crash_the_reader(content: bytes) -> None:
    """Arbitrary bytes are a file error or rows."""
    try:
        read(b"order_id,product_code,client_number\n" + content)
    except OrderFileError:
        return


@pytest.mark.parametrize(
    "title",
    [
        pytest.param("field:" + "x" * 65, id="long field name"),
        pytest.param("note:" + "x" * 252, id="long note"),
        pytest.param("x" * 300, id="long and unknown"),
        pytest.param("field:a\x00b", id="NUL in a field name"),
        pytest.param("note:a\x85b", id="C1 in a note"),
        pytest.param('"note:a\nb"', id="two lines"),
        pytest.param("field:   ", id="field without a name"),
    ],
)
def test_titles_are_short_and_printable(title: str) -> None:
    """A title stands in every order's event, so it is as limited as a cell; the message shows none of it."""
    with pytest.raises(OrderFileError) as caught:
        read(f"order_id,product_code,client_number,{title}\nA-1,50k-simpati,081234567890,x\n")
    assert caught.value.code in ("bad_title", "unknown_column")
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_utf16_that_is_none_is_no_order_file() -> None:
    """A lone surrogate in the first line refuses the file instead of breaking the step."""
    broken = b"\xff\xfe" + "order_id,".encode("utf-16-le") + b"\x00\xd8" + "x\n".encode("utf-16-le")
    with pytest.raises(OrderFileError) as caught:
        read(broken)
    assert caught.value.code == "not_csv"


@pytest.mark.parametrize("mark", ["\x80", "\x93", "\x9f", "\x00"])
def test_control_characters_of_a_wrong_encoding_are_refused(mark: str) -> None:
    """C1 controls are what another code page leaves behind: the character is named, the value is not."""
    outcome = only(HEADER + f"A-1,50k-simpati,081234567890,,,,Jo{mark}se\n")
    assert isinstance(outcome, RowProblem)
    message = outcome.message("orders.csv", 2)
    assert outcome.code == "control_character"
    assert ascii(mark) in message
    assert "se" not in message.partition("found")[2].partition(";")[0]


@pytest.mark.parametrize(
    ("row", "secret"),
    [
        pytest.param("A-1,50k-simpati,0812-3456-7890,,,,", "0812", id="client number"),
        pytest.param("A-1,50k-simpati,8.12E+11,,,,", "8.12", id="rounded client number"),
        pytest.param("A-1,50k-simpati,081234567890,,,,,,0812345", "0812", id="surplus"),
        pytest.param("A-1,50k-simpati,081234567890,081234567890,,,", "0812", id="number in another column"),
        pytest.param(f"A-1,50k-simpati,081234567890,,,,{'Budi' * 70}", "Budi", id="field value"),
        pytest.param(f"A-1,50k-simpati,081234567890,,,{'Budi' * 70},", "Budi", id="downline"),
    ],
)
def test_messages_hold_nothing_of_a_customer(row: str, secret: str) -> None:
    """A message goes into events and logs: it shows the shape of what was found."""
    outcome = only(HEADER + row + "\n")
    assert isinstance(outcome, RowProblem)
    message = outcome.message("orders.csv", 2)
    assert secret not in message
    assert " characters, " in message


def test_a_header_that_is_a_row_is_not_quoted() -> None:
    """A file without a header shows no customer's number in its refusal."""
    with pytest.raises(OrderFileError) as caught:
        read("A-1,50k-simpati,081234567890\n")
    assert "081234567890" not in str(caught.value)


def test_separators_within_quotes_do_not_count() -> None:
    """A quoted title full of semicolons does not make the file one of semicolons."""
    (row,) = read('order_id,product_code,client_number,"note:a;b;c;d;e;f"\nA-1,50k-simpati,081234567890,x\n')
    assert row.outcome == GOOD


@pytest.mark.parametrize("number", ["006281234567890", "0062 812 3456 7890", "0062812345678"])
def test_two_zeros_before_62_are_a_country_code(number: str) -> None:
    """As people write +62 where there is no plus: it is no mobile number that begins with 0."""
    content = f"order_id,product_code,client_number\nA-1,50k-simpati,{number}\n".encode()
    (row,) = OrderFile(content, "orders.csv").rows()
    assert isinstance(row.outcome, RowProblem)
    assert "write 08" in row.outcome.expected
