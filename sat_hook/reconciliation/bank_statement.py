"""Reads a bank's statement, CSV or MT940, for its movements. A line that cannot be read costs only itself.

Banks name their columns differently, so the columns of a CSV are found by the words of its header. Nothing is
repaired: an amount with a fraction, or a date that is none, sets its line aside with the reason.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import count, islice
from typing import Any

import mt940

from sat_hook.domain.business_day import WIB
from sat_hook.domain.settlement_mapping import DateOrder, SettlementMapping
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation.errors import StatementRefusedError
from sat_hook.reconciliation.settlement_cells import NO_RUPIAH, Amounts, moments_of

MAXIMUM_STATEMENT_BYTES = 5 * 1024 * 1024
MAXIMUM_LINES = 5_000
MAXIMUM_TEXT_CHARACTERS = 200
MAXIMUM_REFERENCE_CHARACTERS = 60
HEADER_ROWS = 30
"""The header of a CSV is among so many rows."""

_DELIMITERS = ",;\t|"
# fmt: off
_HEADERS: Mapping[str, frozenset[str]] = {
    "date": frozenset((
        "tanggal", "tgl", "date", "tanggal transaksi", "tgl transaksi", "transaction date", "posting date",
        "post date", "tanggal efektif", "value date", "tanggal & waktu", "date & time",
    )),
    "text": frozenset((
        "keterangan", "description", "uraian", "remark", "remarks", "berita", "deskripsi", "details",
        "uraian transaksi", "transaction description",
    )),
    "reference": frozenset((
        "referensi", "reference", "no referensi", "no. referensi", "nomor referensi", "ref", "no ref",
        "no. ref",
        "reference no", "reference no.", "no bukti", "transaction id",
    )),
    "credit": frozenset(("kredit", "credit", "cr", "mutasi kredit", "credit amount", "masuk", "uang masuk")),
    "debit": frozenset(("debet", "debit", "db", "mutasi debet", "debit amount", "keluar", "uang keluar")),
    "amount": frozenset(("jumlah", "amount", "nominal", "mutasi", "nilai", "jumlah transaksi")),
    "mark": frozenset(("cr/db", "db/cr", "d/k", "d/c", "dk", "dc", "tipe", "type", "jenis")),
}
_CREDITS = frozenset(("cr", "k", "c", "kr", "kredit", "credit"))
_DEBITS = frozenset(("db", "d", "dr", "debet", "debit"))
# fmt: on
_MARKED = re.compile(r"(?i)\s*\b(cr|db|dr|k|d)\.?$")
_CURRENCY = re.compile(r"(?i)^(?:rp\.?|idr)\s*|\s*idr$")
_NO_REFERENCE = frozenset(("", "NONREF", "NOREF", "-"))


_MARKS: Mapping[str, int] = {"C": 1, "D": -1, "RC": -1, "RD": 1}
"""The sign of an MT940 movement by its mark."""
_MOVEMENT = re.compile(r"(?ms)^:61:.*?(?=^:(?!86:)\d{2}[A-Z]?:|\Z)")
_ALONE = ":20:X\n:25:X\n:28C:1\n:60F:C260101IDR0,00\n"
"""What stands before a movement that is read alone."""

# The library writes lines that it cannot read to its log.
logging.getLogger("mt940").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A movement of a bank account.

    :param number: its row in a CSV, its place in an MT940 file.
    :param rupiah: negative when the money left the account.
    :param at: its moment; None when the bank gives only a day.
    :param reference: the bank's, or one made of day, amount and place when the bank gives none.
    """

    number: int
    day: date
    at: datetime | None
    rupiah: int
    reference: str
    text: str


_FOREIGN = _("found the currency %(given)s; expected IDR")
_INCOMPLETE = _("found no day or no whole amount")
_NO_MOVEMENT = _("found a movement that is none of MT940's")
_NO_DATE = _("found no date that can be read")
_NO_AMOUNT = _("found no whole amount")


@dataclass(frozen=True, slots=True)
class LineTrouble:
    """A line that cannot be read.

    :param text: why, marked for translation; ``given`` is what it quotes of the line.
    """

    number: int
    text: str
    given: str = ""

    @property
    def what(self) -> str:
        """Why, in English."""
        return self.text % {"given": self.given}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it was read."""

    kind: str
    lines: tuple[StatementLine, ...]
    troubles: tuple[LineTrouble, ...]


def read_statement(content: bytes, name: str) -> Statement:
    """Read a statement.

    :raises StatementRefusedError: it is neither MT940 nor a CSV whose columns are known.
    """
    if not 0 < len(content) <= MAXIMUM_STATEMENT_BYTES:
        raise StatementRefusedError(
            f"{name}: found {len(content):,} bytes; expected 1 to {MAXIMUM_STATEMENT_BYTES:,}"
        )
    text = _text_of(content, name)
    statement = _mt940(text, name) if re.search(r"(?m)^:61:", text) else _csv(text, name)
    if len(statement.lines) > MAXIMUM_LINES:
        raise StatementRefusedError(
            f"{name}: found {len(statement.lines):,} movements; expected at most {MAXIMUM_LINES:,}"
        )
    return statement


def _text_of(content: bytes, name: str) -> str:
    if b"\x00" in content[:4096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise StatementRefusedError(
            f"{name}: found a file that is no text; expected a bank's statement as CSV or MT940"
        )
    if content.startswith((b"PK\x03\x04", b"%PDF")):
        raise StatementRefusedError(
            f"{name}: found a workbook, an archive or a PDF; expected a CSV or MT940 file: export it so"
        )
    for encoding in ("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _mt940(text: str, name: str) -> Statement:
    lines: list[StatementLine] = []
    if sum(1 for _ in _movements(text)) > MAXIMUM_LINES:
        raise StatementRefusedError(f"{name}: found more than {MAXIMUM_LINES:,} movements; expected no more")
    readable, troubles = _readable(text)
    try:
        parsed = mt940.parse(readable)
    except Exception as error:
        # The library has no error of its own. Its text may quote the file.
        raise StatementRefusedError(
            f"{name}: found an MT940 file that cannot be read ({type(error).__name__}); expected one as "
            "the bank writes it"
        ) from None
    wrong = {trouble.number for trouble in troubles}
    numbers = (number for number in count(1) if number not in wrong)
    for number, item in zip(numbers, parsed, strict=False):
        found: dict[str, Any] = item.data
        amount, day = found.get("amount"), found.get("date")
        rupiah = None if amount is None else _whole(amount.amount)
        if rupiah is not None and str(found.get("status")).upper() in _MARKS:
            # The library gives the sign of D alone; RC takes a credit back.
            rupiah = abs(rupiah) * _MARKS[str(found["status"]).upper()]
        if amount is not None and (amount.currency or "IDR") != "IDR":
            troubles.append(LineTrouble(number, _FOREIGN, str(amount.currency)))
        elif rupiah is None or day is None:
            troubles.append(LineTrouble(number, _INCOMPLETE))
        else:
            day = date(day.year, day.month, day.day)
            references = (
                str(found.get(key) or "").strip() for key in ("customer_reference", "bank_reference")
            )
            reference = next((one for one in references if one.upper() not in _NO_REFERENCE), "")
            details = str(found.get("transaction_details") or "")
            lines.append(_line(number, day, None, rupiah, reference, details))
    return Statement("MT940", _with_references(lines), tuple(troubles))


def _movements(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """The movements of an MT940 file by their place: each with what the bank says about it."""
    return enumerate(_MOVEMENT.finditer(text), 1)


def _readable(text: str) -> tuple[str, list[LineTrouble]]:
    """The file without the movements that cannot be read, which are looked for only when there is one."""
    # A message of the network around the statement is no part of it.
    bare = re.sub(r"(?m)^(?:\{.*|-\}?)$", "", text.replace("\r\n", "\n"))
    if _is_readable(bare):
        return bare, []
    movements = list(_movements(bare))
    wrong = [(number, found) for number, found in movements if not _is_readable(_ALONE + found[0])]
    if len(wrong) == len(movements):
        return bare, []  # the file is none of MT940's at all
    for _number, found in reversed(wrong):
        bare = bare[: found.start()] + bare[found.end() :]
    return bare, [LineTrouble(number, _NO_MOVEMENT) for number, _found in wrong]


def _is_readable(text: str) -> bool:
    try:
        mt940.parse(text)
    except Exception:  # the library has no error of its own
        return False
    return True


def _csv(text: str, name: str) -> Statement:
    rows, place, columns = _table_of(text, name)
    body = [
        (number, row)
        for number, row in enumerate(rows[place + 1 :], place + 2)
        if any(cell.strip() for cell in row)
    ]
    amounts = _amounts_for([cell for _, row in body for cell in _amount_cells(row, columns)])
    lines: list[StatementLine] = []
    troubles: list[LineTrouble] = []
    for number, row in body:
        cells = {ours: row[at].strip() if at < len(row) else "" for ours, at in columns.items()}
        moment = _moment_of(cells["date"])
        if moment is None:
            troubles.append(LineTrouble(number, _NO_DATE))
            continue
        rupiah = _rupiah_of(cells, amounts)
        if rupiah is None:
            troubles.append(LineTrouble(number, _NO_AMOUNT))
            continue
        day = moment.astimezone(WIB).date()
        at = None if moment.astimezone(WIB).time() == time() else moment
        lines.append(_line(number, day, at, rupiah, cells.get("reference", ""), cells.get("text", "")))
    return Statement("CSV", _with_references(lines), tuple(troubles))


def _table_of(text: str, name: str) -> tuple[list[list[str]], int, dict[str, int]]:
    """The rows, the place of the header among them, and the column of each meaning."""
    lines = text.splitlines()
    try:
        for delimiter in _DELIMITERS:
            rows = list(islice(csv.reader(lines, delimiter=delimiter), 2 * MAXIMUM_LINES))
            for place, row in enumerate(rows[:HEADER_ROWS]):
                columns = _columns_of(row)
                if "date" in columns and columns.keys() & {"credit", "debit", "amount"}:
                    return rows, place, columns
    except csv.Error:
        raise StatementRefusedError(f"{name}: found a cell that is too long; expected a bank's CSV") from None
    raise StatementRefusedError(
        f"{name}: found no header with a date and an amount among the first {HEADER_ROWS} rows; expected "
        "columns like Tanggal, Keterangan, Debet, Kredit or Date, Description, Amount"
    )


def _columns_of(row: Sequence[str]) -> dict[str, int]:
    """The column of each meaning whose word a row has."""
    columns: dict[str, int] = {}
    for at, cell in enumerate(row):
        name = " ".join(cell.casefold().split())
        for ours, words in _HEADERS.items():
            if name in words:
                columns.setdefault(ours, at)
    return columns


def _amount_cells(row: Sequence[str], columns: Mapping[str, int]) -> Iterator[str]:
    for ours in ("credit", "debit", "amount"):
        at = columns.get(ours, len(row))
        if at < len(row) and row[at].strip():
            yield _plain(row[at])


def _amounts_for(cells: Sequence[str]) -> Amounts:
    """The way of writing amounts that reads most of the cells: 1.250.000,00 or 1,250,000.00."""
    styles = [
        Amounts(SettlementMapping(thousands=thousands, decimal=decimal))
        for thousands, decimal in ((".", ","), (",", "."))
    ]
    return max(styles, key=lambda style: sum(style[cell] != NO_RUPIAH for cell in cells))


def _plain(cell: str) -> str:
    return _CURRENCY.sub("", _MARKED.sub("", cell.strip())).strip().lstrip("+")


def _rupiah_of(cells: Mapping[str, str], amounts: Amounts) -> int | None:
    """The movement of a row; None when it has no whole amount, or two."""
    credit, debit = (_amount(cells.get(side, ""), amounts) for side in ("credit", "debit"))
    if credit or debit:
        if (credit and debit) or NO_RUPIAH in (credit, debit):
            return None
        return abs(credit) if credit else -abs(debit)
    found = _amount(cells.get("amount", ""), amounts)
    if found in (0, NO_RUPIAH):
        return None
    marked = _MARKED.search(cells.get("amount", ""))
    mark = (cells.get("mark") or (marked[1] if marked else "")).casefold().strip(". ")
    if mark in _CREDITS:
        return abs(found)
    return -abs(found) if mark in _DEBITS else found


def _amount(cell: str, amounts: Amounts) -> int:
    plain = _plain(cell)
    return amounts[plain] if plain and plain != "-" else 0


def _moment_of(cell: str) -> datetime | None:
    for order in (DateOrder.YEAR_FIRST, DateOrder.DAY_FIRST):
        (found,) = moments_of(SettlementMapping(date_order=order), [cell.lstrip("'")])
        if found is not None:
            return found.replace(tzinfo=UTC)
    return None


def _whole(amount: Decimal) -> int | None:
    return int(amount) if amount and amount == amount.to_integral_value() else None


def _line(
    number: int, day: date, at: datetime | None, rupiah: int, reference: str, text: str
) -> StatementLine:
    plain = _printable(reference, MAXIMUM_REFERENCE_CHARACTERS)
    known = "" if plain.upper() in _NO_REFERENCE else plain
    return StatementLine(number, day, at, rupiah, known, _printable(text, MAXIMUM_TEXT_CHARACTERS))


def _with_references(lines: Iterable[StatementLine]) -> tuple[StatementLine, ...]:
    """Lines without a reference get one of day, amount and count: the same in every export of the day."""
    counts: Counter[tuple[date, int]] = Counter()
    found = []
    for line in lines:
        counts[line.day, line.rupiah] += 1
        made = f"{line.day:%Y%m%d}-{abs(line.rupiah)}-{counts[line.day, line.rupiah]}"
        found.append(line if line.reference else replace(line, reference=made))
    return tuple(found)


def _printable(text: str, most: int) -> str:
    clean = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return clean[:most]
