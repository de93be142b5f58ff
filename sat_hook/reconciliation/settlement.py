"""The provider's settlement file: kept under its digest, and read as a frame by an agreed mapping.

CSV, or a workbook (XLSX). Everything is read as text first: nothing is repaired where money or identity could
change, it is a row that cannot be matched and says so.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO, Protocol

import pandas as pd
from pandas.errors import ParserWarning
from pydantic import ValidationError

from sat_hook.domain.books_events import SettlementImported, SettlementMapping
from sat_hook.domain.identity import digest_of
from sat_hook.reconciliation.trouble import SettlementRefusedError

MAXIMUM_FILE_BYTES = 512 * 1024 * 1024
MAXIMUM_ROWS = 5_000_000
MAXIMUM_NAME_CHARACTERS = 200
DECIMAL_MARKS = ".,"
REQUEST_ID = r"[!-~]{1,64}"
"""Whoever made it: without blanks and control characters, which no request id has."""
# What the libraries raise for files that are cut, torn, locked or none at all. A broken XML is a SyntaxError.
_UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    RuntimeError,
    EOFError,
    OSError,
    ParserWarning,
    zipfile.BadZipFile,
    zlib.error,
)
STATUSES = ("succeeded", "failed", "pending")


class Keep(Protocol):
    """Where files are kept; a spool fits."""

    def write(self, name: str, content: bytes) -> str:
        """Keep ``content``; returns its URI."""

    def open(self, uri: str) -> BinaryIO:
        """The bytes at a URI."""


@dataclass(frozen=True, slots=True)
class SettlementRows:
    """A file as a frame, one row for each of its rows.

    Columns: ``file_row`` (as a spreadsheet counts), ``request_id``, ``rupiah`` (int64), ``status``
    (succeeded, failed, pending), ``product_code``, ``client_mark`` (of the client number; 0 where the mapping
    has none), ``trouble`` (why it cannot be matched; empty when it can).
    """

    frame: pd.DataFrame
    has_product: bool
    has_client: bool


def mapping_from(text: str) -> SettlementMapping:
    """A mapping from its JSON.

    :raises SettlementRefusedError: with what is wrong where.
    """
    try:
        mapping = SettlementMapping.model_validate_json(text or "{}")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "mapping"
        raise SettlementRefusedError(f"settlement mapping, {place}: {first['msg']}") from None
    unknown = sorted(set(mapping.statuses.values()) - set(STATUSES))
    if unknown:
        raise SettlementRefusedError(
            f"settlement mapping, statuses: found {', '.join(unknown)}; expected {', '.join(STATUSES)}"
        )
    if len(mapping.thousands) > 1 or mapping.thousands.isalnum() or mapping.thousands in ("-", "+"):
        raise SettlementRefusedError(
            f"settlement mapping, thousands: found {mapping.thousands!r}; expected one mark or none"
        )
    if len(mapping.delimiter) != 1 or mapping.delimiter in '"\r\n':
        raise SettlementRefusedError(
            f"settlement mapping, delimiter: found {mapping.delimiter!r}; expected one mark, such as ';'"
        )
    try:
        codecs.lookup(mapping.encoding)
    except LookupError:
        raise SettlementRefusedError(
            f"settlement mapping, encoding: found {mapping.encoding!r}; expected one such as utf-8-sig"
        ) from None
    return mapping


def keep_settlement(
    keep: Keep,
    *,
    account: str,
    day: date,
    name: str,
    content: bytes,
    mapping: SettlementMapping,
    replaces_earlier: bool = False,
) -> SettlementImported:
    """Keep a file's bytes and describe them; the books decide whether it is new.

    :raises SettlementRefusedError: when the file cannot be read by the mapping.
    """
    if not name.isprintable() or len(name) > MAXIMUM_NAME_CHARACTERS:
        raise SettlementRefusedError(
            f"a settlement file's name: found {len(name)} characters; expected at most "
            f"{MAXIMUM_NAME_CHARACTERS} that can be printed"
        )
    if not content or len(content) > MAXIMUM_FILE_BYTES:
        raise SettlementRefusedError(
            f"{name}: found {len(content):,} bytes; expected 1 to {MAXIMUM_FILE_BYTES:,}"
        )
    digest = digest_of(content)
    rows = read_settlement(content, name, mapping)
    suffix = name.rpartition(".")[2].lower()
    uri = keep.write(f"settlements/{digest}.{suffix}", content)
    return SettlementImported(
        account=account,
        day=day,
        name=name,
        uri=uri,
        digest=digest,
        size_bytes=len(content),
        rows=len(rows.frame),
        mapping=mapping,
        replaces_earlier=replaces_earlier,
    )


def load_settlement(keep: Keep, imported: SettlementImported) -> SettlementRows:
    """A file that was imported, read again from where it is kept.

    :raises SettlementRefusedError: when its bytes are not those any more.
    """
    with keep.open(imported.uri) as file:
        content = file.read()
    if digest_of(content) != imported.digest:
        raise SettlementRefusedError(
            f"{imported.name}: found other bytes at {imported.uri}; expected digest {imported.digest}"
        )
    return read_settlement(content, imported.name, imported.mapping)


def read_settlement(content: bytes, name: str, mapping: SettlementMapping) -> SettlementRows:
    """The rows of a file.

    :raises SettlementRefusedError: when it is no such file, or lacks a column of the mapping.
    """
    table = _table(content, name, mapping)
    wanted = {
        "request_id": mapping.request_id,
        "amount": mapping.amount_rupiah,
        "status": mapping.status,
        "product_code": mapping.product_code,
        "client_number": mapping.client_number,
    }
    table.columns = [str(column).strip() for column in table.columns]
    for column in filter(None, wanted.values()):
        # pandas renames the second one of a name.
        if list(table.columns).count(column) > 1 or f"{column}.1" in table.columns:
            raise SettlementRefusedError(f"{name}: found the column {column!r} twice; expected it once")
        if column not in table.columns:
            found = ", ".join(map(str, table.columns[:20]))
            raise SettlementRefusedError(f"{name}: found the columns {found}; expected {column!r} among them")
    if len(table) > MAXIMUM_ROWS:
        raise SettlementRefusedError(f"{name}: found {len(table):,} rows; expected at most {MAXIMUM_ROWS:,}")
    texts = {
        ours: table[theirs].fillna("").astype("str").str.strip()
        for ours, theirs in wanted.items()
        if theirs is not None
    }
    file_row = pd.Series(range(mapping.header_row + 1, mapping.header_row + 1 + len(table)), dtype="int64")
    is_blank = pd.Series(True, index=table.index)
    for cells in texts.values():
        is_blank &= cells == ""
    frame = pd.DataFrame({"file_row": file_row, "request_id": texts["request_id"]})
    amounts, decimals = texts["amount"], _decimals(mapping.thousands)
    is_amount = amounts.str.fullmatch(_amount(mapping.thousands)).astype("bool")
    whole = amounts.str.replace(f"{decimals}$", "", regex=True)
    if mapping.thousands:
        whole = whole.str.replace(mapping.thousands, "", regex=False)
    frame["rupiah"] = whole.where(is_amount, "0").astype("int64")
    frame["status"] = texts["status"].map(mapping.statuses).fillna("") if "status" in texts else "succeeded"
    frame["product_code"] = texts.get("product_code", "")
    frame["client_mark"] = _marks(texts["client_number"]) if "client_number" in texts else 0
    trouble = pd.Series("", index=frame.index, dtype="str")
    trouble = trouble.mask(frame["status"] == "", "unknown status")
    trouble = trouble.mask(~is_amount, "no whole amount")
    is_usable = frame["request_id"].str.fullmatch(REQUEST_ID).astype("bool")
    trouble = trouble.mask(~is_usable, "no usable request id")
    frame["trouble"] = trouble.mask(frame["request_id"] == "", "no request id")
    return SettlementRows(
        frame[~is_blank].reset_index(drop=True), "product_code" in texts, "client_number" in texts
    )


def _amount(thousands: str) -> str:
    """A whole amount as a pattern. Where thousands have a mark it stands before three digits, or it is none:
    52.5 with thousands by a point is no 525."""
    digits = "[0-9]{1,13}"
    if thousands:
        digits = f"(?:{digits}|[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}}){{1,4}})"
    return f"-?{digits}(?:{_decimals(thousands)})?"


def _decimals(thousands: str) -> str:
    marks = DECIMAL_MARKS.replace(thousands, "") if thousands else DECIMAL_MARKS
    return f"[{marks}]0{{1,2}}"


def _table(content: bytes, name: str, mapping: SettlementMapping) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            if name.lower().endswith((".xlsx", ".xlsm")):
                # Whatever the library misses in a look is nothing that is read here.
                warnings.simplefilter("ignore", UserWarning)
                return pd.read_excel(
                    io.BytesIO(content),
                    sheet_name=mapping.sheet if mapping.sheet is not None else 0,
                    header=mapping.header_row - 1,
                    dtype="str",
                    keep_default_na=False,
                    engine="openpyxl",
                )
            # A row with more cells than the header has is cut with a warning only.
            warnings.simplefilter("error", ParserWarning)
            return pd.read_csv(
                io.BytesIO(content),
                sep=mapping.delimiter,
                encoding=mapping.encoding,
                header=mapping.header_row - 1,
                dtype="str",
                keep_default_na=False,
                na_filter=False,
                index_col=False,
                skip_blank_lines=False,
            )
    except _UNREADABLE as error:
        # pandas' own words may quote a cell, which may be a customer's.
        raise SettlementRefusedError(
            f"{name}: found {type(error).__name__} when reading it; expected a CSV or XLSX file as mapped"
        ) from None


def _marks(numbers: pd.Series[str]) -> pd.Series[int]:
    """The same 60 bits of each client number that the ledger has."""
    marks = [
        int(hashlib.md5(number.encode("utf-8"), usedforsecurity=False).hexdigest()[:15], 16)
        for number in numbers
    ]
    return pd.Series(marks, index=numbers.index, dtype="int64")
