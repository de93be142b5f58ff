"""Settlement files as they come: by mapping, CSV or XLSX, nothing repaired, nothing quoted."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement import keep_settlement, load_settlement, mapping_from, read_settlement
from sat_hook.store.spool import LocalSpool

PLAIN = SettlementMapping()
VENDOR = SettlementMapping(
    request_id="No. Transaksi",
    amount_rupiah="Nilai (Rp)",
    status="Keterangan",
    product_code="Produk",
    client_number="Nomor",
    statuses={"BERHASIL": "succeeded", "GAGAL": "failed"},
    thousands=".",
    delimiter=";",
    encoding="cp1252",
    header_row=3,
)


def rows(text: str, mapping: SettlementMapping = PLAIN, name: str = "s.csv") -> list[tuple[object, ...]]:
    """Row, id, rupiah, status, trouble of each row."""
    frame = read_settlement(text.encode(mapping.encoding), name, mapping).frame
    return list(
        frame[["file_row", "request_id", "rupiah", "status", "trouble"]].itertuples(index=False, name=None)
    )


def test_a_plain_file_is_read_as_it_is() -> None:
    """With a BOM, CRLF, and rows numbered as a spreadsheet shows them."""
    found = rows("request_id,amount,status\r\nS1,52000,Success\r\nS2,10500.00,Failed\r\n")
    assert found == [(2, "S1", 52_000, "succeeded", ""), (3, "S2", 10_500, "failed", "")]


def test_a_vendor_s_file_is_read_by_its_mapping() -> None:
    """Other names, words, separators, encoding, and two lines above the header."""
    text = (
        "Laporan Penyelesaian\n22 Nov 2026\n"
        "No. Transaksi;Nilai (Rp);Keterangan;Produk;Nomor\n"
        "S1;1.052.000;BERHASIL;50k-simpati;0812\nS2;10.500;GAGAL;10k-three;0813\n"
    )
    found = rows(text, VENDOR)
    assert found == [(4, "S1", 1_052_000, "succeeded", ""), (5, "S2", 10_500, "failed", "")]


@pytest.mark.parametrize(
    ("cells", "trouble"),
    [
        (",52000,Success", "no request id"),
        ("S 1,52000,Success", "no usable request id"),
        ("S\x001,52000,Success", "no usable request id"),
        (f"{'S' * 65},52000,Success", "no usable request id"),
        ("S1,,Success", "no whole amount"),
        ("S1,52000.5,Success", "no whole amount"),
        ("S1,Rp 52000,Success", "no whole amount"),
        ("S1,5.2e4,Success", "no whole amount"),
        ("S1,52.000,Success", "no whole amount"),
        ("S1,52000,success", "unknown status"),
        ("S1,52000,", "unknown status"),
        ("S1,52000,Success,081299998888", "more cells than the header names"),
        ('S1,"52000,Success', "a quotation mark without its partner"),
        ("S1,1000000000001,Success", "an amount over Rp1,000,000,000,000"),
    ],
)
def test_what_cannot_be_matched_says_so(cells: str, trouble: str) -> None:
    """Nothing is guessed where money or identity could change."""
    ((*_, found),) = rows(f"request_id,amount,status\n{cells}\n")
    assert found == trouble


@pytest.mark.parametrize(
    ("thousands", "amount", "rupiah"),
    [
        (".", "1.052.000", 1_052_000),
        (".", "1.052.000,00", 1_052_000),
        (".", "52000", 52_000),
        (".", "-52.000", -52_000),
        (".", "52000.00", None),
        (".", "52.5", None),
        (".", "1.05", None),
        (".", "1.0520.00", None),
        (".", ".052", None),
        (",", "1,052,000.00", 1_052_000),
        (",", "52,5", None),
        (",", "52,00", None),
        (" ", "1 052 000", 1_052_000),
        ("", "52.00", 52),
    ],
)
def test_a_mark_of_thousands_stands_before_three_digits(
    thousands: str, amount: str, rupiah: int | None
) -> None:
    """Taking it out anywhere would make a hundredfold of an amount with decimals."""
    text = f"request_id;amount;status\nS1;{amount};Success\n"
    mapping = SettlementMapping(thousands=thousands, delimiter=";")
    ((_, _, found, _, trouble),) = rows(text, mapping)
    assert (found, trouble) == ((0, "no whole amount") if rupiah is None else (rupiah, ""))


@pytest.mark.parametrize("header", ["request_id,amount,amount,status", "request_id,amount, amount ,status"])
def test_a_column_that_is_there_twice_is_not_chosen_by_luck(header: str) -> None:
    """Gross and net under one name: it is unclear which was meant."""
    with pytest.raises(SettlementRefusedError, match=r"found the column 'amount' twice"):
        rows(f"{header}\nS1,52000,51900,Success\n")


def test_a_file_of_nothing_but_names_has_no_rows() -> None:
    """A day without orders at the provider."""
    assert rows("request_id,amount,status\n") == []


def torn_workbooks() -> dict[str, bytes]:
    """Workbooks that are none any more, by what happened to them."""
    book, whole = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    book.active.append(["request_id", "amount", "status"])
    book.save(whole)
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    def packed(**changed: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, changed.get(Path(name).stem.strip("[]"), part))
        return out.getvalue()

    return {
        "cut": whole.getvalue()[:-40],
        "sheet is cut": packed(sheet1=parts["xl/worksheets/sheet1.xml"][:150]),
        "types are torn": packed(Content_Types=b"<oops"),
        "no workbook inside": packed(workbook=b"<a/>"),
    }


@pytest.mark.parametrize("what", torn_workbooks())
def test_a_workbook_that_is_torn_is_refused(what: str) -> None:
    """As a reason for a person, whatever the library makes of it."""
    with pytest.raises(SettlementRefusedError, match=r"^s\.xlsx: found "):
        read_settlement(torn_workbooks()[what], "s.xlsx", PLAIN)


def test_blank_lines_keep_the_numbers_of_the_others() -> None:
    """A finance person finds row 4 in row 4."""
    assert [row[0] for row in rows("request_id,amount,status\nS1,1,Success\n,,\nS2,2,Success\n")] == [2, 4]


def test_a_workbook_is_read_like_a_file() -> None:
    """Numbers and texts in its cells; the first sheet unless the mapping names one."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in (["request_id", "amount", "status"], ["S1", 52_000, "Success"], ["0812", "10500", "Failed"]):
        sheet.append(line)
    out = io.BytesIO()
    book.save(out)
    frame = read_settlement(out.getvalue(), "s.xlsx", PLAIN).frame
    assert frame[["file_row", "request_id", "rupiah", "status"]].values.tolist() == [
        [2, "S1", 52_000, "succeeded"],
        [3, "0812", 10_500, "failed"],
    ]


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"", "s.csv", "found 0 bytes"),
        (b"id,amount,status\nS1,1,Success\n", "s.csv", "expected 'request_id' among them"),
        (b"x", "s\n.csv", "that can be printed"),
        (b"081299998888", "s.xlsx", "found text, as a CSV file has it"),
    ],
    ids=["empty", "column missing", "bad name", "no workbook"],
)
def test_a_file_that_is_none_is_refused(content: bytes, name: str, text: str, tmp_path: Path) -> None:
    """The reason says file, found and expected, and quotes no cell."""
    with pytest.raises(SettlementRefusedError, match=text) as caught:
        keep_settlement(
            LocalSpool(tmp_path),
            account="demo",
            day=date(2026, 11, 22),
            name=name,
            content=content,
            mapping=PLAIN,
        )
    assert "081299998888" not in str(caught.value)


def test_bytes_that_changed_are_not_used(tmp_path: Path) -> None:
    """The log has the digest of what was imported."""
    spool = LocalSpool(tmp_path)
    content = b"request_id,amount,status\nS1,52000,Success\n"
    imported = keep_settlement(
        spool, account="demo", day=date(2026, 11, 22), name="s.csv", content=content, mapping=PLAIN
    )
    assert len(load_settlement(spool, imported).frame) == imported.rows == 1
    spool.write(f"settlements/{imported.digest}.csv", content + b"S2,1,Success\n")
    with pytest.raises(SettlementRefusedError, match="found other bytes"):
        load_settlement(spool, imported)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Invalid JSON"),
        ('{"amout": "x"}', "amout"),
        ('{"statuses": {"OK": "paid"}}', "expected succeeded, failed, pending"),
        ('{"header_row": 0}', "header_row"),
        ('{"thousands": "0"}', "expected one mark"),
        ('{"thousands": "-"}', "expected one mark"),
        ('{"thousands": ".."}', "expected one mark"),
        ('{"delimiter": ""}', "expected one mark"),
        ('{"delimiter": "::"}', "expected one mark"),
        ('{"encoding": "klingon"}', "encoding: found 'klingon'"),
    ],
)
def test_a_mapping_that_is_none_is_refused(text: str, reason: str) -> None:
    """At the first night, not when the first file is read wrongly."""
    with pytest.raises(SettlementRefusedError, match=reason):
        mapping_from(text)
