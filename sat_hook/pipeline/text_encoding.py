"""Detect the encoding of a submitted file, without a guess that could change what is sent.

A byte order mark decides. Without one the file is UTF-8, or Windows-1252 when none of its characters is
UTF-8. A file that is UTF-8 except for some bytes, or that ends in the middle of a character, is refused with
the place: in another encoding it would read as text that its writer did not mean.
"""

from __future__ import annotations

import codecs
import re

from sat_hook.pipeline.csv_dialect import place_behind
from sat_hook.pipeline.errors import OrderFileError

SINGLE_BYTE = "cp1252"

# UTF-32 first: its byte order mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a spreadsheet workbook"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or encrypted spreadsheet workbook"),
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "a text document"),
    (b"\x1f\x8b", "a compressed file"),
    (b"<", "a web page or XML"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32"}
_CUT = "expected a whole file - it was cut off on its way; export it or send it again"
_SAVE_AGAIN = "expected one encoding throughout - save it again as 'CSV UTF-8'"


def encoding_of(content: bytes, file_name: str) -> str:
    """The name of the codec that reads ``content`` without an error.

    :raises OrderFileError: for another kind of file, or mixed encodings, with row, column and offset.
    """
    start = content[:64].lstrip()
    for magic, what in _OTHER_FORMATS:
        if start.startswith(magic):
            raise OrderFileError(
                "not_csv", f"{file_name}: found {what}; expected CSV (use 'save as … CSV UTF-8')"
            )
    for mark, name in _MARKS:
        if content.startswith(mark):
            return _checked(content, name, file_name)
    if 0 in content[:2]:
        raise OrderFileError(
            "not_csv",
            f"{file_name}: found UTF-16 without a byte order mark; expected text - save it as 'CSV UTF-8'",
        )
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        if _MULTIBYTE.search(content) or error.reason == "unexpected end of data":
            raise _undecodable(content, error, "utf-8", file_name) from None
        return _checked(content, SINGLE_BYTE, file_name)
    return "utf-8"


def _checked(content: bytes, encoding: str, file_name: str) -> str:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _undecodable(content, error, encoding, file_name) from None
    return encoding


def _undecodable(content: bytes, error: UnicodeDecodeError, encoding: str, file_name: str) -> OrderFileError:
    # With a byte order mark the codec counts from after the mark.
    start = error.start + len(content) - len(error.object)
    before = content[:start].decode(encoding, "ignore").lstrip("\ufeff")
    where = f"{file_name} {place_behind(before)}"
    if error.reason in ("unexpected end of data", "truncated data"):
        return OrderFileError(
            "not_csv",
            f"{where}: found the end of the file in the middle of a character (byte {start + 1:,}); {_CUT}",
        )
    byte = f"byte 0x{content[start]:02X} (byte {start + 1:,} of the file)"
    if encoding == SINGLE_BYTE:
        found = f"{byte}, which is neither UTF-8 nor Windows-1252"
    else:
        found = f"{byte}, which is no {_NAMES[encoding]}, though the rest of the file is"
        more = content[start:].decode(encoding, "replace").count("\ufffd") - 1
        found += f" ({more} more like it)" if more > 0 else ""
    return OrderFileError("not_csv", f"{where}: found {found}; {_SAVE_AGAIN}")
