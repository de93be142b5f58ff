"""Order files as people make them, mostly good: each row is the order that was meant, or says why not."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.order_columns import ALIASES
from sat_hook.pipeline.order_file import OrderFile, OrderRow, RowProblem
from tests.fuzzing import examples

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252")
NAMES = ("Jos\u00e9", "Toko \u2013 Budi", "\u201cWarung\u201d", "Siti", "a;b", "a,b", 'say "x"', "")
BAD = {
    "order_id": {"": "missing_order_id", "=1+1": "bad_order_id", "1E+05": "scientific_notation"},
    "product_code": {"": "bad_product_code", "#N/A": "spreadsheet_error"},
    "client_number": {
        "": "missing_client_number",
        "+6281211000001": "bad_client_number",
        "6281211000001": "bad_client_number",
        "0812-1100-0001": "bad_client_number",
        "8.12E+11": "scientific_notation",
        "812110000.0": "decimal",
        "0812\u00a011": "control_character",
    },
    "max_rupiah": {
        "10.000": "thousand_separator",
        "Rp 5.000": "thousand_separator",
        "12500.0": "decimal",
        "0": "amount_bounds",
        "#REF!": "spreadsheet_error",
        "lima": "bad_amount",
    },
    "field:nama": {"Jos\u00c3\u00a9": "misread_text", "a\u00a0b": "control_character"},
}
COLUMNS = ("order_id", "product_code", "client_number", "max_rupiah", "field:nama", "Keterangan")


@dataclass(frozen=True)
class Made:
    """A file and what its rows are: an order, or a code."""

    content: bytes
    expected: list[OrderRow | str]


def row_of(rng: random.Random, number: int) -> tuple[dict[str, str], OrderRow | str]:
    """Cells by column, and what they are; one row in eight is bad."""
    cells = {
        "order_id": f"INV-{number}",
        "product_code": rng.choice(("50k-simpati", "25k-xl")),
        "client_number": f"0812{rng.randrange(10**7, 10**8)}",
        "max_rupiah": rng.choice(("", "10000", "53000")),
        "field:nama": rng.choice(NAMES),
        "Keterangan": rng.choice((*NAMES, "=1+1", "\u00e9\n2")),
    }
    if rng.randrange(8) == 0:
        column = rng.choice(list(BAD))
        cells[column], code = rng.choice(list(BAD[column].items()))
        return cells, code
    return cells, OrderRow(
        cells["order_id"],
        cells["product_code"],
        cells["client_number"],
        None,
        int(cells["max_rupiah"]) if cells["max_rupiah"] else None,
        None,
        (("nama", cells["field:nama"]),) if cells["field:nama"] else (),
    )


def title_of(rng: random.Random, column: str) -> str:
    """One of the titles that mean a column, in one of its spellings."""
    if column not in ALIASES:
        return column
    title = rng.choice((column, *ALIASES[column])).replace("_", rng.choice(" ._-"))
    return rng.choice((str.upper, str.lower, str.title))(title)


def made(seed: int) -> Made:
    """A whole file."""
    rng = random.Random(seed)
    columns = rng.sample(COLUMNS, len(COLUMNS))
    mark, encoding = rng.choice(",;\t|"), rng.choice(ENCODINGS)
    out = io.StringIO(newline="")
    if rng.randrange(4) == 0:
        out.write(f"sep={mark}\r\n")
    ending = rng.choice(("\n", "\r\n"))
    writer = csv.writer(
        out, delimiter=mark, lineterminator=ending, quoting=rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    )
    writer.writerow([title_of(rng, column) for column in columns])
    expected = []
    for number in range(rng.randrange(1, 12)):
        cells, outcome = row_of(rng, number)
        writer.writerow([cells[column] for column in columns])
        expected.append(outcome)
        if rng.randrange(6) == 0:
            out.write(rng.choice((ending, mark * 3 + ending)))
    if "misread_text" in expected and encoding == "cp1252":
        encoding = "utf-8"  # in Windows-1252 these very bytes are UTF-8 among others that are none
    return Made(out.getvalue().encode(encoding), expected)


def read(content: bytes) -> list[OrderRow | str]:
    """What the rows of a file are."""
    found: list[OrderRow | str] = []
    file = OrderFile(content, "orders.csv")
    for row in file.rows():
        if isinstance(row.outcome, RowProblem):
            message = row.outcome.message("orders.csv", row.row_number)
            assert message.isprintable()
            assert len(message) < 600
            found.append(row.outcome.code)
        else:
            found.append(row.outcome)
    return found


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 2**64))
def test_each_row_is_what_was_meant(seed: int) -> None:
    """Whatever the titles, separator, encoding, quoting and blank lines; bad rows cost themselves."""
    file = made(seed)
    assert read(file.content) == file.expected


@settings(max_examples=examples(200), deadline=None)
@given(seed=st.integers(0, 2**64), damage=st.integers(0, 2**64))
def test_a_damaged_file_pays_nothing_that_was_not_meant(seed: int, damage: int) -> None:
    """A byte beside ASCII that came in, or an end that was cut off: no order is another than was meant."""
    file, rng = made(seed), random.Random(damage)
    content = bytearray(file.content)
    place = rng.randrange(len(content))
    kind = rng.randrange(3)
    match kind:
        case 0:
            del content[place:]
        case 1:
            content[place:place] = bytes([rng.randrange(0x80, 0x100)])
        case _ if chr(content[place]).isalnum():
            content[place] = rng.randrange(0x80, 0x100)
    try:
        found = [row for row in read(bytes(content)) if isinstance(row, OrderRow)]
    except OrderFileError:
        return
    meant = {row.order_id: row for row in file.expected if isinstance(row, OrderRow)}
    # A last cell that was cut off behind a character may look whole: see the tests of encodings.
    for row in found[:-1] if kind == 0 else found:
        if row.order_id in meant:
            # A single-byte code page has no wrong bytes: there the text of a field may be damaged.
            assert (row.product_code, row.client_number, row.max_rupiah) == (
                meant[row.order_id].product_code,
                meant[row.order_id].client_number,
                meant[row.order_id].max_rupiah,
            )
