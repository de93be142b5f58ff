"""Settlement files with anything in them: each good row is read to the rupiah, whatever stands beside it."""

from __future__ import annotations

import contextlib
import encodings.aliases
import io
import json
import random
import zipfile
from dataclasses import dataclass
from xml.sax.saxutils import escape

from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.domain.settlement_mapping import NegativeForm, SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement import mapping_from, read_settlement
from sat_hook.reconciliation.settlement_rows import SettlementRows
from tests.fuzzing import examples

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
# fmt: off
ODD_TEXTS = (
    "", " ", "1e999", "-1e999", "NaN", "Infinity", "٣", "٣٠٠٠", "1.234.567,89", "(1.000)", "1.000-", "-",
    "+", "Rp", "Rp 52.000", "Rp52.000,-", "52 000", "52\u00a0000", "−52000", "--1", "(1", "1)", "0x10",
    "1_000", "1,2", "9" * 400, "1" + "0" * 19, "0." + "0" * 30 + "1", "#N/A", "=1+1", "TRUE", "TOTAL",
    "Total: 2", "\x00", "\x1a", "22/11/2026", "99/99/9999", "2026-11-22T10:00:00Z", "0000-00-00",
    "\ud800", "ß", "\u202e", "S", "Success", '"', 'a"b', '"a', 'a"', '""', '"a"b',
)
# fmt: on
ODD = st.sampled_from(ODD_TEXTS) | st.text(max_size=12)


@dataclass(frozen=True)
class Good:
    """A row that must be read."""

    request_id: str
    rupiah: int
    status: str


@st.composite
def good_rows(draw: st.DrawFn) -> list[Good]:
    """Rows of different orders, enough of them that most of a file is good."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    return [
        Good(
            "S" + "".join(chance.choices(LETTERS, k=31)),
            chance.choice((0, 1, 999, 1_000, 52_000, 1_052_000, 10**12, chance.randrange(10**9))),
            chance.choice(("Success", "Failed", "Pending", "Refund")),
        )
        for _ in range(draw(st.integers(1, 12)))
    ]


def mixed(draw: st.DrawFn, good: list[Good], odd: list[list[str]]) -> list[Good | list[str]]:
    """Good and odd rows in any order."""
    rows: list[Good | list[str]] = [*good, *odd]
    random.Random(draw(st.integers(0, 2**32))).shuffle(rows)
    return rows


def written(rupiah: int, mapping: SettlementMapping, form: NegativeForm | None) -> str:
    """An amount as a file with this mapping has it."""
    digits = f"{abs(rupiah):,}".replace(",", mapping.thousands) if mapping.thousands else str(abs(rupiah))
    text = f"{mapping.prefix} {digits}".strip() + mapping.suffix
    match form:
        case NegativeForm.LEADING_MINUS:
            return f"-{text}"
        case NegativeForm.UNICODE_MINUS:
            return f"−{text}"
        case NegativeForm.TRAILING_MINUS:
            return f"{text}-"
        case NegativeForm.PARENTHESES:
            return f"({text})"
        case None:
            return text


@st.composite
def csv_files(draw: st.DrawFn) -> tuple[bytes, SettlementMapping, list[Good]]:
    """A file, its mapping, and what must be read of it."""
    delimiter, thousands = draw(st.sampled_from([(",", ""), (",", "."), (";", "."), (";", ","), ("\t", " ")]))
    mapping = SettlementMapping(
        delimiter=delimiter,
        thousands=thousands,
        prefix=draw(st.sampled_from(["", "Rp", "IDR"])),
        negatives=tuple(NegativeForm),
        encoding=draw(st.sampled_from(["utf-8-sig", "utf-8", "cp1252", "utf-16"])),
        header_row=draw(st.sampled_from([1, 1, 3])),
    )
    good = draw(good_rows())
    odd = draw(st.lists(st.lists(ODD, max_size=5), max_size=3))
    form = draw(st.sampled_from([None, *NegativeForm]))
    lines = ["title"] * (mapping.header_row - 1) + [delimiter.join(("request_id", "amount", "status"))]
    for row in mixed(draw, good, odd):
        if isinstance(row, Good):
            is_refund = row.status == "Refund"
            cells = [row.request_id, written(row.rupiah, mapping, form if is_refund else None), row.status]
        else:
            # No line break and no mask of its own: what an odd row is, is one line.
            cells = ["".join(mark for mark in cell if mark.isprintable() or mark == "\x00") for cell in row]
        lines.append(delimiter.join(cells))
    if mapping.encoding == "cp1252":
        good_bytes = "\r\n".join(lines).replace("−", "-").encode("cp1252", "replace")
    else:
        good_bytes = "\r\n".join(lines).encode(mapping.encoding, "replace")
    return good_bytes, mapping, good


def assert_good_rows_are_read(rows: SettlementRows, good: list[Good]) -> None:
    """Each one as it is, and the sum of them exact. A good row is never a total, and stands once."""
    kept = rows.kept
    found = {
        request_id: (rupiah, kind)
        for request_id, rupiah, kind in zip(
            kept["request_id"], kept["rupiah"].tolist(), kept["kind"], strict=True
        )
    }
    for row in good:
        is_refund = row.status == "Refund"
        expected = (-row.rupiah, "refund") if is_refund else (row.rupiah, "sale")
        assert found[row.request_id] == expected
    assert int(kept["rupiah"].sum()) == sum(kept["rupiah"].tolist())
    ours = kept[kept["request_id"].isin([row.request_id for row in good])]
    assert len(ours) == len(good)


@settings(max_examples=examples(150))
@given(csv_files())
def test_good_rows_of_a_text_are_read(file: tuple[bytes, SettlementMapping, list[Good]]) -> None:
    """Odd rows cost themselves: wrong numbers, other alphabets, quotation marks, missing cells."""
    content, mapping, good = file
    assert_good_rows_are_read(read_settlement(content, "s.csv", mapping), good)


@st.composite
def workbooks(draw: st.DrawFn) -> tuple[bytes, list[Good]]:
    """A workbook with cells of every type, and what must be read of it."""
    good = draw(good_rows())
    odd = draw(st.lists(st.lists(ODD, max_size=5), max_size=3))
    kinds = st.sampled_from(["n", "str", "inlineStr", "b", "e", "d", "s", "z"])
    chance = random.Random(draw(st.integers(0, 2**32)))
    lines = [row_of([text_cell(name) for name in ("request_id", "amount", "status")])]
    for row in mixed(draw, good, odd):
        if isinstance(row, Good):
            sign = "-" if row.status == "Refund" and chance.random() < 0.5 else ""
            amount = f"{sign}{row.rupiah}"
            number = chance.choice(
                (f"<c><v>{amount}</v></c>", f"<c><v>{amount}.0</v></c>", f"<c><f>1+1</f><v>{amount}</v></c>")
            )
            cells = [
                text_cell(row.request_id),
                chance.choice((number, text_cell(amount))),
                text_cell(row.status),
            ]
        else:
            cells = [
                f'<c t="{draw(kinds)}" s="{chance.choice((0, 1, 99))}">'
                f"{chance.choice(('', '<f>A1</f>'))}"
                f"<v>{xml(cell)}</v></c>"
                for cell in row
            ]
        lines.append(row_of(cells))
    return packed("".join(lines)), good


def xml(text: str) -> str:
    """Text as XML can have it."""
    return escape("".join(mark for mark in text if mark.isprintable()))


def text_cell(text: str) -> str:
    """A cell with its text in it."""
    return f'<c t="inlineStr"><is><t>{xml(text)}</t></is></c>'


def row_of(cells: list[str]) -> str:
    """A row."""
    return f"<row>{''.join(cells)}</row>"


def packed(rows: str) -> bytes:
    """A workbook of one sheet."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<R><Relationship Id="a" Type="{kind}/officeDocument" Target="xl/workbook.xml"/></R>',
        "xl/workbook.xml": '<workbook><sheets><sheet name="s" r:id="b" xmlns:r="r"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<R><Relationship Id="b" Type="{kind}/worksheet" Target="sheet.xml"/>'
        f'<Relationship Id="c" Type="{kind}/styles" Target="styles.xml"/></R>',
        "xl/styles.xml": '<s><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></s>',
        "xl/sheet.xml": f"<worksheet><sheetData>{rows}</sheetData></worksheet>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return out.getvalue()


@settings(max_examples=examples(150))
@given(workbooks())
def test_good_rows_of_a_workbook_are_read(file: tuple[bytes, list[Good]]) -> None:
    """Odd cells cost their rows: numbers of any size, errors, formulas without a value."""
    content, good = file
    assert_good_rows_are_read(read_settlement(content, "s.xlsx", SettlementMapping()), good)


@settings(max_examples=examples(150))
@given(workbooks(), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4), st.floats(0, 1))
def test_a_damaged_workbook_is_refused_or_read(
    file: tuple[bytes, list[Good]], changes: list[tuple[float, int]], kept: float
) -> None:
    """Bytes that changed, or a file that was cut: one error, of one type."""
    content = bytearray(file[0])
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    if kept < 0.5:
        del content[int(2 * kept * len(content)) + 1 :]
    refused_or_read(bytes(content), "s.xlsx")


@settings(max_examples=examples(150))
@given(st.binary(max_size=200), st.sampled_from(["s.csv", "s.xlsx", "s.txt", "s.xls"]), st.booleans())
def test_any_bytes_are_refused_or_read(content: bytes, name: str, has_header: bool) -> None:
    """With a header in front, or without."""
    refused_or_read(b"request_id,amount,status\r\n" * has_header + content, name)


def refused_or_read(content: bytes, name: str, mapping: SettlementMapping | None = None) -> None:
    """Nothing but our own error comes out, and no text that a report could not hold."""
    with contextlib.suppress(SettlementRefusedError):
        rows = read_settlement(content, name, mapping or SettlementMapping())
        "".join(rows.frame["request_id"]).encode("utf-8")


MEMBERS = tuple(SettlementMapping.model_fields)
TEXTS = st.text(max_size=5)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.lists(TEXTS)


@settings(max_examples=examples(150))
@given(st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=5), VALUES, max_size=4) | st.text())
def test_any_mapping_is_refused_or_usable(members: dict[str, object] | str) -> None:
    """One that is taken reads a file without another error than ours."""
    try:
        mapping = mapping_from(members if isinstance(members, str) else json.dumps(members))
    except SettlementRefusedError:
        return
    refused_or_read(b"request_id,amount,status\nS1,52000,Success\n", "s.csv", mapping)
    refused_or_read(packed(""), "s.xlsx", mapping)


CODECS = sorted({*encodings.aliases.aliases.values(), "utf_8_sig", "idna", "punycode", "unicode_escape"})
WORDS = st.sampled_from([*ODD_TEXTS, "Total", "(", "[a", "\\", "a|b", ".*", "S", "Success", "request_id"])
MARKS = st.sampled_from(["", ".", ",", " ", "'", "\u00a0", "*", "\\", "]", "^"])


@st.composite
def agreed_mappings(draw: st.DrawFn) -> SettlementMapping | None:
    """A mapping that a person could write: any codec of Python, marks that mean something in patterns."""
    members = {
        "encoding": draw(st.sampled_from(CODECS)),
        "delimiter": draw(st.sampled_from([",", ";", "\t", "|", " ", "'", "\\", "§"])),
        "status": draw(st.sampled_from([None, "status"])),
        "thousands": draw(MARKS),
        "decimal": draw(MARKS),
        "prefix": draw(WORDS),
        "suffix": draw(WORDS),
        "negatives": draw(st.lists(st.sampled_from(NegativeForm), max_size=4)),
        "footer_words": draw(st.lists(WORDS, max_size=4)),
        "refund_words": draw(st.lists(WORDS, max_size=4)),
        "footer_rows": draw(st.integers(0, 3)),
        "mask_marks": draw(st.sampled_from(["", "*", "]^-", "\\"])),
        "client_numbers": draw(st.sampled_from(["exact", "normalised"])),
        "client_number": draw(st.sampled_from([None, "number"])),
        "moment": draw(st.sampled_from([None, "moment"])),
        "header_row": draw(st.sampled_from([1, 1, 2])),
    }
    try:
        return mapping_from(json.dumps(members))
    except SettlementRefusedError:
        return None


@settings(max_examples=examples(150))
@given(agreed_mappings(), good_rows(), st.lists(st.lists(ODD, max_size=5), max_size=3), st.data())
def test_any_agreed_mapping_reads_or_refuses(
    mapping: SettlementMapping | None, good: list[Good], odd: list[list[str]], data: st.DataObject
) -> None:
    """A file in its encoding: no error but ours comes out, and an amount that is kept is the file's."""
    if mapping is None:
        return
    lines = [["request_id", "amount", "status", "number", "moment"]] * mapping.header_row
    for row in mixed(data.draw, good, odd):
        lines.append([row.request_id, str(row.rupiah), row.status] if isinstance(row, Good) else row)
    text = "\n".join(mapping.delimiter.join(line) for line in lines)
    try:
        content = text.encode(mapping.encoding, "replace")
    except (UnicodeError, LookupError, ValueError, AssertionError):
        content = text.encode("utf-8", "replace")
    for name in ("s.csv", "s.xlsx"):
        with contextlib.suppress(SettlementRefusedError):
            rows = read_settlement(content if name == "s.csv" else packed(""), name, mapping)
            said = {row.request_id: row.rupiah for row in good}
            kept = rows.kept[rows.kept["request_id"].isin(said)]
            for request_id, rupiah in zip(kept["request_id"], kept["rupiah"].tolist(), strict=True):
                assert abs(rupiah) == said[request_id]
            "".join(rows.frame["request_id"] + rows.frame["product_code"]).encode("utf-8")
