"""Settlement workbooks: bounded before they are unpacked, exact in their numbers, or named in words."""

from __future__ import annotations

import io
import resource
import tracemalloc
import zipfile

import pytest
import xlsxwriter

from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement import read_settlement
from sat_hook.reconciliation.settlement_rows import NoteKind, SettlementRows
from sat_hook.spreadsheets import workbook, workbook_xml
from tests.unit.reconciliation.test_settlement_fuzzing import packed, row_of, text_cell
from tests.workbooks import book_of

NAMES = ("request_id", "amount", "status")
HEADER = row_of([text_cell(name) for name in NAMES])
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def read(content: bytes, name: str = "s.xlsx", **members: object) -> SettlementRows:
    """A file read by the default mapping, but for some members."""
    return read_settlement(content, name, SettlementMapping.model_validate(members))


def row(amount: str, request_id: str = "S1") -> str:
    """A row with an amount's cell as XML."""
    return row_of([text_cell(request_id), amount, text_cell("Success")])


def zipped(**parts: bytes) -> bytes:
    """An archive of some files; ``__`` stands for a slash, ``_DOT_`` for a point."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), part)
    return out.getvalue()


def test_an_encoding_that_there_is_none_of_is_a_damaged_workbook() -> None:
    """What a part of the workbook says of itself is no reason for an error of another kind."""
    content, out = packed(HEADER), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            head = b'<?xml version="1.0" encoding="foo"?>' if name == "xl/sheet.xml" else b""
            new.writestr(name, head + old.read(name))
    with pytest.raises(SettlementRefusedError, match="cut or damaged"):
        read(out.getvalue())


@pytest.mark.parametrize(
    ("number", "rupiah"),
    [
        ("52000", 52_000),
        ("52000.0", 52_000),
        ("5.2E4", 52_000),
        ("1E+3", 1_000),
        ("-52000", -52_000),
        ("52.125", None),
        ("0.1", None),
        ("1e999", None),
        ("-1e999", None),
        ("1e-999", None),
        ("NaN", None),
        ("Infinity", None),
        ("٣", None),
        ("1_000", None),
        ("9" * 400, None),
        ("", None),
    ],
)
def test_numbers_of_any_size_cost_only_their_row(number: str, rupiah: int | None) -> None:
    """Whole ones are read as they are. A fraction is none, even where a point stands between thousands."""
    rows = read(packed(HEADER + row(f"<c><v>{number}</v></c>") + row("<c><v>1</v></c>", "S2")), thousands=".")
    first, second = rows.frame[["rupiah", "trouble"]].values.tolist()
    assert first == ([rupiah, ""] if rupiah is not None else [0, "no whole amount"])
    assert second == [1, ""]


def test_a_number_that_is_no_number_costs_nothing_in_another_column() -> None:
    """A remark of 1e999 is no amount."""
    header = row_of([text_cell(name) for name in (*NAMES, "remark")])
    cells = [text_cell("S1"), "<c><v>1000</v></c>", text_cell("Success"), "<c><v>1e999</v></c>"]
    assert read(packed(header + row_of(cells))).kept["rupiah"].tolist() == [1_000]


@pytest.mark.parametrize(
    "rows",
    [
        (row_of([text_cell("S"), text_cell("1"), text_cell("Success")]) * 50_000),
        row_of([text_cell("S"), '<c r="XFD2" t="inlineStr"><is><t>x</t></is></c>']),
        "<row>" + "<c/>" * 2_000_000 + "</row>",
        '<row r="1048577"><c><v>1</v></c></row>',
        f'<row spans="{"1" * 3_000_000}"/>',
    ],
    ids=["dense rows", "far cell", "dense cells", "row beyond the last", "endless tag"],
)
def test_a_workbook_is_bounded_before_it_is_unpacked(rows: str) -> None:
    """A small file that unpacks to a large one is refused, and never in memory."""
    content = packed(HEADER + rows)
    tracemalloc.start()
    try:
        with pytest.raises(SettlementRefusedError, match=r"^s\.xlsx"):
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024**2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("module", "limit", "value", "text"),
    [
        (workbook, "MAXIMUM_SHEET_BYTES", 1_000, "expected at most 1,000"),
        (workbook_xml, "MAXIMUM_PART_BYTES", 10, "found a part that unpacks to over 10 bytes"),
        (workbook_xml, "MAXIMUM_SHEET_ROWS", 20, "found more rows than 20"),
        (workbook_xml, "MAXIMUM_COLUMNS", 2, "found a cell in column 3 of row 1"),
        (workbook, "MAXIMUM_SHEETS", 1, "found 2 sheets"),
    ],
)
def test_each_limit_of_a_workbook_is_held(
    module: object, limit: str, value: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An honest workbook, and a limit below it."""
    content = book_of(("a", [list(NAMES), *([f"S{n}", n, "Success"] for n in range(40))]), ("b", [["x"]]))
    assert len(read(content).frame) == 40
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(SettlementRefusedError, match=text):
        read(content)


def test_shared_texts_are_read_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most programs keep each text once, beside the sheets; rich text is its parts."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet()
        for number, line in enumerate([NAMES, ("S1", 52_000, "Success"), ("S2", "1", "Success")]):
            sheet.write_row(number, 0, line)
        sheet.write_rich_string(3, 0, "S", book.add_format({"bold": True}), "3")
        sheet.write_row(3, 1, (2, "Failed"))
    rows = read(out.getvalue())
    assert rows.kept[["request_id", "rupiah"]].values.tolist() == [["S1", 52_000], ["S2", 1], ["S3", 2]]
    monkeypatch.setattr(workbook_xml, "MAXIMUM_STRINGS", 3)
    with pytest.raises(SettlementRefusedError, match="found more than 3 texts"):
        read(out.getvalue())


def test_a_size_that_the_archive_claims_is_not_believed() -> None:
    """The directory of an archive is not trusted: its maker may write anything."""
    content = packed(HEADER + row("<c><v>1</v></c>") * 40_000)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = archive.getinfo("xl/sheet.xml").file_size
    lying = content.replace(size.to_bytes(4, "little"), (2_000).to_bytes(4, "little"))
    assert lying != content
    with pytest.raises(SettlementRefusedError, match="cut or damaged"):
        read(lying)


def test_definitions_in_the_xml_are_refused() -> None:
    """They can grow a line into gigabytes."""
    part = packed("")
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(part)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, b'<!DOCTYPE a [<!ENTITY b "c">]>' + text if name == "xl/sheet.xml" else text)
    with pytest.raises(SettlementRefusedError, match="definitions of its own"):
        read(out.getvalue())


def test_a_large_workbook_is_streamed() -> None:
    """Thousands of rows take little more memory than what is kept of them."""
    lines = [row(f"<c><v>{n}</v></c>", f"S{n * 2654435761 % 2**32:032b}"[:32]) for n in range(30_000)]
    content = packed(HEADER + "".join(lines))
    del lines
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(read(content).frame) == 30_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024


def test_another_sheet_with_the_same_columns_is_a_doubt() -> None:
    """Its rows may count; a mapping that names a sheet settles it. Other sheets are a note."""
    lines: list[list[object]] = [list(NAMES), ["S1", 52_000, "Success"]]
    content = book_of(("Hal 1", lines), ("Hal 2", [list(NAMES), ["S2", 1, "Success"]]), ("Info", [["x"]]))
    (note,) = read(content).notes
    assert note.kind is NoteKind.OTHER_SHEETS
    assert note.is_doubt
    assert "'Hal 2' has the same columns as 'Hal 1'" in note.text
    rows = read(content, sheet="Hal 2")
    assert rows.frame["request_id"].tolist() == ["S2"]
    assert [note.is_doubt for note in rows.notes] == [False]
    with pytest.raises(
        SettlementRefusedError, match="found the sheets 'Hal 1', 'Hal 2', 'Info'; expected 'Hal 3'"
    ):
        read(content, sheet="Hal 3")


def test_a_sheet_that_has_the_columns_is_named() -> None:
    """When the first one has none of them."""
    content = book_of(("Sampul", [["Laporan"]]), ("Data", [list(NAMES)]))
    with pytest.raises(SettlementRefusedError, match="the sheet 'Data' has them"):
        read(content)


def test_a_formula_without_a_value_is_named() -> None:
    """A program wrote the workbook, and no spreadsheet ever calculated it."""
    rows = read(book_of(("a", [list(NAMES), ["S1", "=50000+2000", "Success"], ["S2", 1, "Success"]])))
    assert rows.frame["trouble"].tolist() == ["a formula without a value", ""]
    assert [(note.kind, note.is_doubt) for note in rows.notes] == [(NoteKind.FORMULAS_WITHOUT_VALUE, True)]


def test_a_formula_with_its_value_is_read() -> None:
    """As the spreadsheet showed it."""
    rows = read(packed(HEADER + row("<c><f>50000+2000</f><v>52000</v></c>")))
    assert rows.kept["rupiah"].tolist() == [52_000]


def test_errors_and_hidden_rows_are_noted() -> None:
    """An error is no value; a hidden row is one."""
    hidden = row("<c><v>1</v></c>").replace("<row>", '<row hidden="1">')
    rows = read(packed(HEADER + row('<c t="e"><v>#N/A</v></c>') + hidden))
    assert rows.frame["trouble"].tolist() == ["no whole amount", ""]
    assert [note.kind for note in rows.notes] == [NoteKind.ERROR_CELLS, NoteKind.HIDDEN_ROWS]


def test_a_date_is_read_as_a_moment() -> None:
    """A workbook keeps it as a number with a style."""
    header = row_of([text_cell(name) for name in (*NAMES, "waktu")])
    cells = [text_cell("S1"), "<c><v>1</v></c>", text_cell("Success"), '<c s="1"><v>46348.5</v></c>']
    (moment,) = read(packed(header + row_of(cells)), moment="waktu").frame["moment"]
    assert f"{moment:%Y-%m-%d %H:%M %Z}" == "2026-11-22 05:00 UTC"


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"request_id,amount,status\nS1,1,Success\n", "s.xlsx", "found text, as a CSV file has it"),
        (b"request_id,amount,status\nS1,1,Success\n", "s.xls", "found text, as a CSV file has it"),
        (
            packed(HEADER),
            "s.csv",
            "found an XLSX workbook under this name; expected a name that ends with .xlsx",
        ),
        (packed(HEADER), "s.xls", "found an XLSX workbook under this name"),
        (COMPOUND, "s.xlsx", "locked with a password"),
        (
            COMPOUND + "EncryptedPackage".encode("utf-16-le"),
            "s.xlsx",
            "a workbook that is locked with a password",
        ),
        (COMPOUND + "Workbook".encode("utf-16-le"), "s.xls", r"an old workbook \(.xls, Excel 97 to 2003\)"),
        (COMPOUND + "Book".encode("utf-16-le"), "s.xlsx", r"an old workbook \(.xls"),
        (b"\xef\xbb\xbf<html><table></table>", "s.xls", "found a web page"),
        (b"<table><tr></tr></table>", "s.csv", "found a web page"),
        (b"<?xml version='1.0'?><Workbook/>", "s.xls", "found an XML document"),
        (zipped(a_DOT_csv=b"request_id"), "s.xlsx", "found a zip archive of 1 files"),
        (zipped(**{"[Content_Types]_DOT_xml": b"", "xl__workbook_DOT_bin": b""}), "s.xlsx", r"\(.xlsb\)"),
        (zipped(mimetype=b"", content_DOT_xml=b""), "s.ods", r"\(.ods\)"),
        (zipped(**{"[Content_Types]_DOT_xml": b"", "word__document_DOT_xml": b""}), "s.xlsx", r"\(.docx\)"),
        (packed(HEADER)[:-30], "s.xlsx", "cut or damaged"),
        (b"%PDF-1.7", "s.csv", "found a PDF document"),
        (b"\x1f\x8b\x08", "s.csv", "found a gzip archive"),
        (bytes(100), "s.xlsx", "something that is no workbook"),
    ],
    # A workbook's bytes hold the time: test workers would not agree on its id.
    ids=lambda value: "content" if isinstance(value, bytes) else value,
)
def test_what_a_file_really_is_is_said_in_words(content: bytes, name: str, text: str) -> None:
    """A person knows what to do with it: no name of an error of a library."""
    with pytest.raises(SettlementRefusedError, match=text) as caught:
        read(content, name)
    assert "Error" not in str(caught.value)
    assert "BadZip" not in str(caught.value)


def test_an_archive_with_a_password_is_named() -> None:
    """Its directory says so."""
    content = packed(HEADER)
    locked = content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    assert locked != content
    with pytest.raises(SettlementRefusedError, match="locked with a password"):
        read(locked)
