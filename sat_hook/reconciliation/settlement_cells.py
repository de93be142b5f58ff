"""Reads the cells of a settlement file: amounts, statuses, moments, client numbers.

Every reader here accepts any text: it reads all of it by the mapping, or rejects it. Nothing is repaired
where money or identity could change, and no float touches money.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_hook.domain.masking import MASK
from sat_hook.domain.rupiah import recorded_rupiah
from sat_hook.domain.settlement_mapping import ClientNumberForm, DateOrder, NegativeForm, SettlementMapping
from sat_hook.spreadsheets.workbook_xml import NO_VALUE

MAXIMUM_ROW_RUPIAH = 10**12
"""Sums of the rows of a file fit into 64 bits."""
NO_RUPIAH = -(2**63)
"""Stands for text that is not an amount."""
DECIMAL_MARKS = ".,"
OUR_REQUEST_ID = re.compile("S[A-Z2-7]{31}")
REQUEST_ID = re.compile(r"[!-~]{1,64}")
"""A request id of any maker: without blanks and control characters, which no request id has."""

MOBILE_NUMBER = re.compile(r"(?:\+?62|0)?8[0-9]{7,12}")
"""Also without its leading zero, which a workbook drops when it reads the text as a number."""

NO_REQUEST_ID = "no request id"
NO_USABLE_ID = "no usable request id"
NO_AMOUNT = "no whole amount"
NO_FORMULA_VALUE = "a formula without a value"
TOO_LARGE = f"an amount over {recorded_rupiah(MAXIMUM_ROW_RUPIAH)}"
UNKNOWN_STATUS = "unknown status"
EXTRA_CELLS = "more cells than the header names"
UNREADABLE_TEXT = "text that cannot be read"
STRAY_QUOTE = "a quotation mark without its partner"
TOO_LONG = f"a cell of more than {csv.field_size_limit():,} characters"


class Amounts(dict[str, int]):
    """The rupiah of a text, or :data:`NO_RUPIAH`; each text is read once."""

    def __init__(self, mapping: SettlementMapping) -> None:
        super().__init__()
        self._pattern = re.compile(_amount(mapping))
        self._negatives = frozenset(mapping.negatives)

    def __missing__(self, text: str) -> int:
        rupiah = self._read(text)
        is_amount = rupiah is not None and abs(rupiah) <= MAXIMUM_ROW_RUPIAH
        self[text] = found = rupiah if rupiah is not None and is_amount else NO_RUPIAH
        return found

    def trouble(self, text: str) -> str:
        if text == NO_VALUE:
            return NO_FORMULA_VALUE
        return NO_AMOUNT if self._read(text) is None else TOO_LARGE

    def _read(self, text: str) -> int | None:
        found = self._pattern.fullmatch(text)
        if found is None:
            return None
        signs = [
            form
            for form, is_there in (
                (NegativeForm.LEADING_MINUS, "-" in (found["before"], found["inside"])),
                (NegativeForm.UNICODE_MINUS, "−" in (found["before"], found["inside"])),
                (NegativeForm.TRAILING_MINUS, found["behind"]),
                (NegativeForm.PARENTHESES, found["open"] or found["close"]),
            )
            if is_there
        ]
        is_torn = bool(found["open"]) != bool(found["close"]) or bool(found["before"] and found["inside"])
        if is_torn or len(signs) > 1 or not self._negatives.issuperset(signs):
            return None
        rupiah = int(re.sub("[^0-9]", "", found["whole"]))
        return -rupiah if signs else rupiah


def _amount(mapping: SettlementMapping) -> str:
    """Return the pattern of a whole amount. A thousands mark must stand before three digits: with a point as
    the mark, 52.5 is not read as 525."""
    thousands, marks = mapping.thousands, mapping.decimal or DECIMAL_MARKS.replace(mapping.thousands, "")
    if not mapping.thousands and not mapping.decimal:
        marks = DECIMAL_MARKS
    digits = "[0-9]{1,13}"
    if thousands:
        digits = f"(?:{digits}|[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}}){{1,4}})"
    prefix = rf"(?:(?i:{re.escape(mapping.prefix)})\s*)?" if mapping.prefix else ""
    suffix = rf"(?:\s*(?i:{re.escape(mapping.suffix)}))?" if mapping.suffix else ""
    return (
        rf"(?P<open>\()?(?P<before>[-−])?{prefix}(?P<inside>[-−])?"
        rf"(?P<whole>{digits})(?:[{re.escape(marks)}]0{{1,2}})?{suffix}(?P<behind>-)?(?P<close>\))?"
    )


class Standing(NamedTuple):
    """What the words of a row mean."""

    status: str
    is_refund: bool


class Standings(dict[tuple[str, str], int]):
    """What the words for status and kind mean, as a place in ``said``. Each pair is looked up once."""

    def __init__(self, mapping: SettlementMapping) -> None:
        super().__init__()
        self.said: list[Standing] = []
        self._mapping = mapping
        self._refunds = {word.casefold() for word in mapping.refund_words}

    def __missing__(self, words: tuple[str, str]) -> int:
        status, kind = words
        said = "succeeded" if self._mapping.status is None else self._mapping.statuses.get(status, "")
        is_refund = status.casefold() in self._refunds or kind.casefold() in self._refunds
        standing = Standing(said or ("succeeded" if is_refund else ""), is_refund)
        if standing not in self.said:
            self.said.append(standing)
        self[words] = place = self.said.index(standing)
        return place


class ClientNumbers(NamedTuple):
    """The compared parts of client numbers: 60 bits of the MD5 of each (the ledger has the same), those of an
    equivalent form, and the digits that a masked number shows, with ``*`` for the others."""

    marks: NDArray[np.int64]
    alternatives: NDArray[np.int64]
    shown: list[str]


def client_numbers_of(mapping: SettlementMapping, numbers: list[str]) -> ClientNumbers:
    is_normalised = mapping.client_numbers is ClientNumberForm.NORMALISED
    if is_normalised:
        numbers = [_BETWEEN_DIGITS.sub("", number) for number in numbers]
    marks = _marks(numbers)
    alternatives = _marks(list(map(_other_form, numbers))) if is_normalised else marks
    shown = [""] * len(numbers)
    mask = re.compile(f"[{re.escape(mapping.mask_marks)}]") if mapping.mask_marks else None
    if mask is not None and mask.search("".join(numbers)):
        for at, number in enumerate(numbers):
            places = [found.start() for found in mask.finditer(number)]
            if places:
                head, tail = number[: places[0]], number[places[-1] + 1 :]
                if is_normalised and head.startswith("62"):
                    head = f"0{head[2:]}"
                shown[at] = f"{head}*{tail}"
    return ClientNumbers(marks, alternatives, shown)


_BETWEEN_DIGITS = re.compile(r"[\s().+-]")
_NATIONAL, _INTERNATIONAL = re.compile("08[0-9]{7,12}"), re.compile("628[0-9]{7,12}")
_WITHOUT_ZERO = re.compile("8[0-9]{7,12}")


def _other_form(number: str) -> str:
    if _NATIONAL.fullmatch(number):
        return f"62{number[1:]}"
    if _INTERNATIONAL.fullmatch(number):
        return f"0{number[2:]}"
    return f"0{number}" if _WITHOUT_ZERO.fullmatch(number) else number


def _marks(numbers: list[str]) -> NDArray[np.int64]:
    md5 = hashlib.md5
    digests = [
        md5(number.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()[:8]
        for number in numbers
    ]
    return (np.frombuffer(b"".join(digests), dtype=">u8") >> np.uint64(4)).astype("int64")


def client_differs(pairs: pd.DataFrame) -> pd.Series[bool]:
    """Return where the file names another client number than the ledger.

    A masked number is compared by what both sides show: the ledger's first four and last three digits.

    :param pairs: ``client_mark``, ``client_number`` (masked) of the ledger; ``client_mark_theirs``,
        ``client_alternative``, ``client_shown`` of the file.
    """
    ours, theirs = pairs["client_mark"], pairs["client_mark_theirs"]
    differs = ((ours != theirs) & (ours != pairs["client_alternative"])).to_numpy(copy=True)
    is_masked = (pairs["client_shown"] != "").to_numpy()
    masked = pairs[is_masked]
    differs[is_masked] = list(map(_shows_another, masked["client_number"], masked["client_shown"]))
    return pd.Series(differs, index=pairs.index)


def _shows_another(ours: str, theirs: str) -> bool:
    our_head, _, our_tail = ours.partition(MASK)
    head, _, tail = theirs.partition("*")
    heads, tails = min(len(our_head), len(head)), min(len(our_tail), len(tail))
    return our_head[:heads] != head[:heads] or our_tail[len(our_tail) - tails :] != tail[len(tail) - tails :]


_MOMENT = re.compile(
    r"(?P<a>[0-9]{1,4})[-/.](?P<b>[0-9]{1,2})[-/.](?P<c>[0-9]{1,4})"
    r"(?:[T\s,]+(?P<hour>[0-9]{1,2})[:.](?P<minute>[0-9]{2})(?:[:.](?P<second>[0-9]{2})(?:[.,][0-9]+)?)?"
    r"\s*(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2}|WIB|WITA|WIT)?)?"
)
_ZONES = {"Z": 0, "WIB": 420, "WITA": 480, "WIT": 540}
_PLACES = {
    DateOrder.YEAR_FIRST: ("a", "b", "c"),
    DateOrder.DAY_FIRST: ("c", "b", "a"),
    DateOrder.MONTH_FIRST: ("c", "a", "b"),
}


def moments_of(mapping: SettlementMapping, texts: Iterable[str]) -> list[datetime | None]:
    """Return the moments in texts, as UTC without a zone; None for a text without one."""
    year, month, day = _PLACES[mapping.date_order]

    def read(text: str) -> datetime | None:
        found = _MOMENT.fullmatch(text)
        # The four-digit year must be where the mapping has it; otherwise the order is not the mapping's.
        if found is None or len(found[year]) != 4:
            return None
        minutes = 60 * mapping.utc_offset_hours if found["zone"] is None else _offset(found["zone"])
        try:
            return (
                datetime(
                    int(found[year]),
                    int(found[month]),
                    int(found[day]),
                    int(found["hour"] or 0),
                    int(found["minute"] or 0),
                    int(found["second"] or 0),
                    tzinfo=timezone(timedelta(minutes=minutes)),
                )
                .astimezone(UTC)
                .replace(tzinfo=None)
            )
        except (ValueError, OverflowError):
            return None

    return [read(text) for text in texts]


def _offset(zone: str) -> int:
    if zone in _ZONES:
        return _ZONES[zone]
    minutes = 60 * int(zone[1:3]) + int(zone[-2:])
    return -minutes if zone[0] == "-" else minutes
