"""Bank statements as banks write them: CSV of several banks, MT940; what cannot be read costs only itself."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.reconciliation.bank_statement import (
    MAXIMUM_LINES,
    MAXIMUM_STATEMENT_BYTES,
    Statement,
    read_statement,
)
from sat_hook.reconciliation.errors import StatementRefusedError
from tests.fuzzing import examples

DAY = date(2026, 11, 22)


def read(text: str, name: str = "mutasi.csv") -> Statement:
    """A statement of this text."""
    return read_statement(text.encode("utf-8"), name)


def test_a_statement_with_debit_and_credit_columns() -> None:
    """Indonesian marks, a heading above the header, and rows that are no movements."""
    found = read(
        "PT Contoh;;;;\nRekening;1234567890;;;\n\n"
        "Tanggal;Keterangan;No. Referensi;Debet;Kredit\n"
        "22/11/2026 09:14;TRSF KE TOKOPEDIA;BCA-17;50.000.000,00;\n"
        "22/11/2026;BUNGA;;;12.500\n"
        "23/11/2026;BIAYA;B-3;1.250,50;\n"
        "Saldo akhir;;;;1.000\n"
    )
    assert [(line.number, line.day, line.rupiah, line.reference) for line in found.lines] == [
        (5, DAY, -50_000_000, "BCA-17"),
        (6, DAY, 12_500, "20261122-12500-1"),
    ]
    assert found.lines[0].at == datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
    assert found.lines[1].at is None
    assert [(one.number, one.what) for one in found.troubles] == [
        (7, "found no whole amount"),
        (8, "found no date that can be read"),
    ]


@pytest.mark.parametrize(
    ("cell", "rupiah"),
    [
        ('"5,000,000.00 DB"', -5_000_000),
        ('"5,000,000.00 CR"', 5_000_000),
        ("-5000000", -5_000_000),
        ("Rp 5000000", 5_000_000),
        ("+5000000", 5_000_000),
    ],
)
def test_one_column_of_amounts(cell: str, rupiah: int) -> None:
    """With a mark, a sign, or a currency."""
    (line,) = read(f"Date,Description,Amount\n2026-11-22,Transfer,{cell}\n").lines
    assert line.rupiah == rupiah


def test_a_column_that_says_debit_or_credit() -> None:
    """The amount itself has no sign then."""
    found = read("Date,Description,Amount,DB/CR\n2026-11-22,a,100,D\n2026-11-22,b,100,K\n")
    assert [line.rupiah for line in found.lines] == [-100, 100]


MT940 = """\
{1:F01BMRIIDJAXXXX}
:20:STMT
:25:1234567890
:28C:1/1
:60F:C261121IDR1000000,
:61:2611221122D50000000,NTRFBCA-17//B123
:86:SETORAN DEPOSIT SAT
:61:2611231123D250000,50NMSCNONREF
:86:BIAYA
:61:2611231123C100,NMSCNONREF
:86:BUNGA
:62F:C261123IDR5749999,50
-}
"""


def of_movements(*lines: str) -> str:
    """An MT940 file with these movements."""
    body = "".join(f":61:{line}\n:86:details of {line[-2:]}\n" for line in lines)
    return f":20:X\n:25:123\n:28C:1/1\n:60F:C261129IDR1000000,00\n{body}:62F:C261130IDR1000000,00\n"


def test_a_reversal_has_the_sign_of_the_money() -> None:
    """RC takes a credit back, so the money left the account; RD gives a debit back."""
    marks = ("C", "D", "RC", "RD")
    found = read(of_movements(*(f"2611301130{mark}250000,NTRFREF{mark}" for mark in marks)), "a.sta")
    assert [line.rupiah for line in found.lines] == [250_000, -250_000, -250_000, 250_000]


@pytest.mark.parametrize("bad", ["garbage", "2602300230C1,NTRFX", "2611301130EC1,NTRFX", "2611301130CX,NTRF"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_movement_that_cannot_be_read_costs_only_itself(
    bad: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A day that does not exist, a mark that is none: the others are read, and no log quotes the file."""
    text = of_movements("2611301130C1,NTRFA1", bad, "2611301130C2,NTRFA2").replace("\n", end)
    found = read(text, "a.sta")
    others = [(line.number, line.rupiah, line.reference) for line in found.lines]
    assert others == [(1, 1, "A1"), (3, 2, "A2")]
    assert [trouble.number for trouble in found.troubles] == [2]
    assert bad not in caplog.text


def test_too_many_movements_are_refused() -> None:
    """Before they are read."""
    with pytest.raises(StatementRefusedError, match="movements"):
        read(of_movements(*["2611301130C1,NTRFA1"] * (MAXIMUM_LINES + 1)), "a.sta")


def test_mt940_is_read_by_its_library() -> None:
    """References of the bank, days, signs; a fraction of a rupiah costs its own line."""
    found = read(MT940, "statement.sta")
    assert found.kind == "MT940"
    assert [(line.day, line.rupiah, line.reference, line.text) for line in found.lines] == [
        (DAY, -50_000_000, "BCA-17", "SETORAN DEPOSIT SAT"),
        (date(2026, 11, 23), 100, "20261123-100-1", "BUNGA"),
    ]
    assert [one.number for one in found.troubles] == [2]


def test_another_currency_is_no_rupiah() -> None:
    """It is named, and the others are read."""
    found = read(MT940.replace("IDR", "USD"))
    assert found.lines == ()
    assert {one.what for one in found.troubles} == {"found the currency USD; expected IDR"}


def test_lines_without_a_reference_have_the_same_one_in_every_export() -> None:
    """Of day, amount and count: reading the statement twice records no top-up twice."""
    rows = "2026-11-22,a,100\n2026-11-22,b,100\n"
    one = tuple(line.reference for line in read(f"Date,Description,Amount\n{rows}").lines)
    assert one == ("20261122-100-1", "20261122-100-2")
    longer = read(f"Date,Description,Amount\n2026-11-21,z,100\n{rows}")
    assert tuple(line.reference for line in longer.lines)[1:] == one


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found 0 bytes"),
        (b"x" * (MAXIMUM_STATEMENT_BYTES + 1), "bytes; expected 1 to"),
        (b"PK\x03\x04 a workbook", "found a workbook"),
        (b"%PDF-1.7", "a PDF"),
        (bytes(range(256)), "found a file that is no text"),
        (b"a,b,c\n1,2,3\n", "found no header with a date and an amount"),
        (b":61:nonsense\n:86:\n", "MT940"),
    ],
)
def test_what_is_no_statement_is_refused(content: bytes, found: str) -> None:
    """With the file, what was found and what was expected."""
    with pytest.raises(StatementRefusedError, match=found) as caught:
        read_statement(content, "a file.csv")
    assert str(caught.value).startswith("a file.csv: ")


@settings(max_examples=examples(300))
@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12), max_size=6),
        max_size=8,
    )
)
def test_whatever_a_file_holds_it_is_read_or_refused(rows: list[list[str]]) -> None:
    """Every row is a movement or a trouble, or the whole is refused with a typed error."""
    text = "\n".join(";".join(row) for row in (["Tanggal", "Keterangan", "Jumlah"], *rows))
    try:
        found = read_statement(text.encode(), "mutasi.csv")
    except StatementRefusedError:
        return
    assert all(line.rupiah and line.reference for line in found.lines)


@given(
    day=st.dates(date(2020, 1, 1), date(2030, 12, 31)),
    rupiah=st.integers(1, 10**12),
    style=st.sampled_from((("", ""), (".", ","), (",", "."))),
    has_decimals=st.booleans(),
)
def test_an_amount_is_read_as_it_is_written(
    day: date, rupiah: int, style: tuple[str, str], *, has_decimals: bool
) -> None:
    """Whichever marks the bank uses."""
    thousands, decimal = style
    cell = f"{rupiah:,}".replace(",", thousands)
    if has_decimals and decimal:
        cell += f"{decimal}00"
    (line,) = read(f"Tanggal;Jumlah\n{day:%d/%m/%Y};{cell}\n").lines
    assert (line.day, line.rupiah) == (day, rupiah)
