"""Each member of a settlement mapping: what it does, and how a wrong one is refused."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from sat_hook.domain.legacy_events import EarlierSettlementMapping
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement import mapping_from, read_settlement
from sat_hook.reconciliation.settlement_cells import client_differs
from sat_hook.reconciliation.settlement_rows import SettlementRows
from tests.docs.pages import page, rows


def read(text: str, **members: object) -> SettlementRows:
    """A file read by a mapping as it would stand in its JSON."""
    mapping = mapping_from(json.dumps(members))
    return read_settlement(text.encode(mapping.encoding), "s.csv", mapping)


def amount(text: str, **members: object) -> int | str:
    """The rupiah of one amount, or why it is none."""
    frame = read(f"request_id|amount|status\nS1|{text}|Success\n", delimiter="|", **members).frame
    (rupiah,), (trouble,) = frame["rupiah"].tolist(), frame["trouble"].tolist()
    return str(trouble) or int(rupiah)


NONE = "no whole amount"


@pytest.mark.parametrize(
    ("text", "members", "rupiah"),
    [
        ("1.234.567", {"thousands": "."}, 1_234_567),
        ("1.234.567,00", {"thousands": ".", "decimal": ","}, 1_234_567),
        ("1.234.567,89", {"thousands": "."}, NONE),
        ("52000,0", {"decimal": ","}, 52_000),
        ("52000.0", {"decimal": ","}, NONE),
        ("1'000", {"thousands": "'"}, 1_000),
        ("Rp52000", {"prefix": "Rp"}, 52_000),
        ("RP\u00a052.000", {"prefix": "Rp", "thousands": "."}, 52_000),
        ("52000", {"prefix": "Rp"}, 52_000),
        ("Rp52000", {}, NONE),
        ("-Rp 52000", {"prefix": "Rp"}, -52_000),
        ("Rp -52000", {"prefix": "Rp"}, -52_000),
        ("-Rp -52000", {"prefix": "Rp"}, NONE),
        ("52.000,-", {"suffix": ",-", "thousands": "."}, 52_000),
        ("52000 IDR", {"suffix": "IDR"}, 52_000),
        ("52000 USD", {"suffix": "IDR"}, NONE),
        ("-1", {}, -1),
        ("−1", {}, -1),
        ("1-", {}, NONE),
        ("(1)", {}, NONE),
        ("1-", {"negatives": ["trailing-minus"]}, -1),
        ("(1.000)", {"negatives": ["parentheses"], "thousands": "."}, -1_000),
        ("(Rp 1)", {"negatives": ["parentheses"], "prefix": "Rp"}, -1),
        ("-1", {"negatives": ["parentheses"]}, NONE),
        ("(1", {"negatives": ["parentheses"]}, NONE),
        ("1)", {"negatives": ["parentheses"]}, NONE),
        ("(-1)", {"negatives": ["parentheses", "leading-minus"]}, NONE),
        ("--1", {}, NONE),
        ("-1-", {"negatives": ["leading-minus", "trailing-minus"]}, NONE),
        ("٣", {}, NONE),
        ("1e999", {}, NONE),
        ("nan", {}, NONE),
        ("9" * 5_000, {}, NONE),
        ("\u00a052000 ", {}, 52_000),
    ],
)
def test_an_amount_is_read_wholly_or_not_at_all(
    text: str, members: dict[str, object], rupiah: int | str
) -> None:
    """By the marks, words and forms that the mapping names, and by nothing else."""
    assert amount(text, **members) == rupiah


def test_a_negative_amount_may_be_a_sale() -> None:
    """Where the mapping says so it keeps its sign."""
    frame = read("request_id,amount,status\nS1,-5,Success\n", negative_is_refund=False).frame
    assert frame[["rupiah", "kind"]].values.tolist() == [[-5, "sale"]]


@pytest.mark.parametrize(
    ("cell", "members", "moment"),
    [
        ("2026-11-22 10:00:00", {}, "2026-11-22 03:00:00"),
        ("2026-11-22T03:00:00Z", {}, "2026-11-22 03:00:00"),
        ("2026-11-22 11:00 WITA", {}, "2026-11-22 03:00:00"),
        ("2026-11-22T10:00:00.123+07:00", {}, "2026-11-22 03:00:00"),
        ("03/11/2026 10.00", {"date_order": "day-first"}, "2026-11-03 03:00:00"),
        ("11/03/2026 10:00", {"date_order": "month-first"}, "2026-11-03 03:00:00"),
        ("3-11-2026 10:00", {"date_order": "day-first", "utc_offset_hours": 8}, "2026-11-03 02:00:00"),
        ("03/11/2026", {}, None),
        ("22/11/26", {"date_order": "day-first"}, None),
        ("31/02/2026", {"date_order": "day-first"}, None),
        ("9999-12-31 23:59", {"utc_offset_hours": -12}, None),
        ("0001-01-01", {}, None),
        ("2026-11-22 10:00 +99:99", {}, None),
        ("", {}, None),
    ],
)
def test_a_moment_is_read_in_the_order_of_the_mapping(
    cell: str, members: dict[str, object], moment: str | None
) -> None:
    """A row without one is still a row; how many there are is noted."""
    found = read(f"request_id;amount;status;w\nS1;1;Success;{cell}\n", moment="w", delimiter=";", **members)
    (value,) = found.kept["moment"]
    assert (None if pd.isna(value) else f"{value:%Y-%m-%d %H:%M:%S}") == moment
    assert len(found.notes) == (moment is None)


OURS = {"08121234567": "0812***567", "628121234567": "6281***567", "12345678901": "1234***901"}


@pytest.mark.parametrize(
    ("ours", "theirs", "members", "differs"),
    [
        ("08121234567", "08121234567", {}, False),
        ("08121234567", "628121234567", {}, True),
        ("08121234567", "628121234567", {"client_numbers": "normalised"}, False),
        ("08121234567", "+62 812-1234-567", {"client_numbers": "normalised"}, False),
        ("08121234567", "8121234567", {"client_numbers": "normalised"}, False),
        ("628121234567", "08121234567", {"client_numbers": "normalised"}, False),
        ("08121234567", "628121234568", {"client_numbers": "normalised"}, True),
        ("12345678901", "12345678901", {"client_numbers": "normalised"}, False),
        ("12345678901", "1234-5678-901", {"client_numbers": "normalised"}, False),
        ("08121234567", "0812****567", {}, False),
        ("08121234567", "0813****567", {}, True),
        ("08121234567", "0812****568", {}, True),
        ("08121234567", "08*******67", {}, False),
        ("08121234567", "*******4567", {}, False),
        ("08121234567", "***********", {}, False),
        ("08121234567", "62812****567", {"client_numbers": "normalised"}, False),
        ("08121234567", "0812xxxx567", {}, True),
        ("08121234567", "0812xxxx567", {"mask_marks": "x"}, False),
    ],
)
def test_client_numbers_are_compared_by_what_they_say(
    ours: str, theirs: str, members: dict[str, object], differs: bool
) -> None:
    """Masked ones by what both sides show; normalised ones in any form of the same number."""

    def frame(number: str, **members: object) -> pd.DataFrame:
        text = f"request_id,amount,status,n\nS1,1,Success,{number}\n"
        return read(text, client_number="n", **members).frame

    pairs = frame(theirs, **members).rename(columns={"client_mark": "client_mark_theirs"})
    pairs["client_mark"], pairs["client_number"] = frame(ours)["client_mark"], OURS[ours]
    assert client_differs(pairs).tolist() == [differs]


def test_a_column_of_kinds_marks_refunds() -> None:
    """Where the status says only whether it worked."""
    text = "request_id,amount,status,jenis\nS1,5,Success,PENJUALAN\nS1,5,Success,RETUR\n"
    frame = read(text, kind="jenis", refund_words=["Retur"]).frame
    assert frame[["rupiah", "kind"]].values.tolist() == [[5, "sale"], [-5, "refund"]]


def test_words_of_a_footer_are_those_of_the_mapping() -> None:
    """In any capitals, with what follows them."""
    text = "request_id,amount,status\nS1,5,Success\nDICETAK oleh sistem,,\n"
    assert len(read(text).set_aside) == 1
    found = read(text, footer_words=["Dicetak"])
    assert (len(found.frame), len(found.totals)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (
            '{"amout": "x"}',
            ["amout: found a member that no mapping has", "expected one of request_id, amount"],
        ),
        ('{"header_rows": 2}', ["did you mean header_row?"]),
        ('{"header_row": "1"}', ["header_row: found '1'; expected"]),
        ('{"header_row": 101}', ["header_row: found 101; expected at most 100"]),
        ('{"footer_rows": -1}', ["footer_rows: found -1; expected at least 0"]),
        ('{"statuses": {"OK": "paid"}}', ["statuses.OK: found 'paid'; expected succeeded, failed, pending"]),
        ('{"negatives": ["minus"]}', ["negatives.0: found 'minus'; expected leading-minus, unicode-minus"]),
        ('{"date_order": "dmy"}', ["date_order: found 'dmy'; expected year-first, day-first"]),
        ('{"client_numbers": "some"}', ["client_numbers: found 'some'; expected exact, normalised"]),
        ('{"thousands": ".", "decimal": "."}', ["found '.' for both; expected two marks"]),
        ('{"decimal": "7"}', ["decimal: found '7'; expected one mark or none"]),
        ('{"prefix": "1"}', ["prefix: found '1'; expected a word without digits"]),
        ('{"suffix": "-"}', ["suffix: found '-'; expected a word without digits"]),
        ('{"mask_marks": "0"}', ["mask_marks: found '0'"]),
        ('{"delimiter": "::"}', ["delimiter: found '::'; expected one mark"]),
        ('{"encoding": "hex"}', ["encoding: found 'hex'; expected the encoding of a text"]),
        ('{"utc_offset_hours": 99}', ["utc_offset_hours: found 99; expected at most 14"]),
        ('{"request_id": null}', ["request_id: found None; expected"]),
        ('{"request_id": ""}', ["request_id: found ''; expected"]),
        ('{"request_id": "a", "amount_rupiah": "a"}', ["found 'a' twice; expected one meaning each"]),
        ('{"a": 1, "header_row": 0}', ["a: found a member", "header_row: found 0; expected at least 1; "]),
        ("[]", ["mapping: found []; expected"]),
        ("{", ["expected a JSON object"]),
        (f'{{"sheet": "{"x" * 200_000}"}}', ["found 200,013 characters; expected at most 100,000"]),
    ],
)
def test_a_wrong_mapping_is_refused_with_what_is_wrong(text: str, reasons: list[str]) -> None:
    """Which member, what was found, what is expected; all of it at once."""
    with pytest.raises(SettlementRefusedError) as caught:
        mapping_from(text)
    for reason in reasons:
        assert reason in str(caught.value)


def test_a_mapping_comes_as_editors_write_it() -> None:
    """With a byte order mark, or as bytes; other encodings are refused."""
    assert mapping_from(b'\xef\xbb\xbf{"header_row": 2}') == mapping_from('\ufeff{"header_row": 2}')
    assert mapping_from(b"") == mapping_from(" \n") == SettlementMapping()
    with pytest.raises(SettlementRefusedError, match="found no UTF-8"):
        mapping_from(b'{"sheet": "caf\xe9"}')


def test_every_member_is_documented() -> None:
    """The table of the page has each member, and no other."""
    documented = [cells[0].strip("`") for cells in rows(page("docs/settlement-files.md").section("Members"))]
    assert [name for name in documented if name != "Member"] == list(SettlementMapping.model_fields)


def test_a_file_that_was_taken_in_before_is_read_as_it_was() -> None:
    """A certified day keeps its result: nothing becomes a refund, a total or another form."""
    mapping = EarlierSettlementMapping(client_number="n", delimiter=";").current()
    text = "request_id;amount;status;n\nS1;-5;Success;08*1\nTOTAL;5;;\nS2;−5;Success;\nS3;5;Refund;\n"
    frame = read_settlement(text.encode(), "s.csv", mapping).frame
    assert frame[["request_id", "rupiah", "trouble", "client_shown"]].values.tolist() == [
        ["S1", -5, "", ""],
        ["TOTAL", 5, "unknown status", ""],
        ["S2", 0, "no whole amount", ""],
        ["S3", 5, "unknown status", ""],
    ]
    assert frame["kind"].tolist()[0] == "sale"


@pytest.mark.parametrize("row", [b"S1,1,Success", b"S1,1,Succ\xff\\xZss+"])
@pytest.mark.parametrize("encoding", ["punycode", "idna", "utf-16"])
def test_an_encoding_that_does_not_fit_is_said(encoding: str, row: bytes) -> None:
    """Every codec of Python may be named in a mapping; each fails in a way of its own."""
    mapping = mapping_from(f'{{"encoding": "{encoding}"}}')
    with pytest.raises(SettlementRefusedError, match=f"no {encoding} text"):
        read_settlement(b"request_id,amount,status\n" + row + b"\n", "s.csv", mapping)
