"""Detects a settlement file's real format, and refuses one that does not match its name."""

from __future__ import annotations

import io
import zipfile

from sat_hook.reconciliation.errors import SettlementRefusedError

MAXIMUM_ZIP_ENTRIES = 10_000
_WORKBOOKS = (".xlsx", ".xlsm")
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SAVE_AS = "expected an XLSX workbook: save it as .xlsx, or as CSV"
_BEGINNINGS = {
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"{\\rtf": "a text document (RTF)",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}


def is_workbook(content: bytes, name: str) -> bool:
    """Return True if a file is a workbook, False if it is text.

    :raises SettlementRefusedError: it is neither, or is named like the other one; the text says what it is.
    """
    is_named_so = name.lower().endswith(_WORKBOOKS)
    if content.startswith(_COMPOUND):
        raise SettlementRefusedError(f"{name}: {_of_compound(content)}")
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        what = _of_zip(content)
        if what is not None:
            raise SettlementRefusedError(f"{name}: {what}")
        if not is_named_so:
            raise SettlementRefusedError(
                f"{name}: found an XLSX workbook under this name; expected a name that ends with .xlsx"
            )
        return True
    beginning = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, kind in _BEGINNINGS.items():
        if content.startswith(mark):
            raise SettlementRefusedError(f"{name}: found {kind}; expected a CSV or XLSX file")
    if beginning.startswith((b"<!doctype html", b"<html", b"<table", b"<meta", b"<head")):
        raise SettlementRefusedError(
            f"{name}: found a web page (HTML); expected a CSV or XLSX file: open it and save it as .xlsx"
        )
    if beginning.startswith(b"<?xml") or beginning.startswith(b"<workbook"):
        raise SettlementRefusedError(f"{name}: found an XML document; {_SAVE_AS}")
    if is_named_so or name.lower().endswith((".xls", ".xlsb", ".ods")):
        what = "text, as a CSV file has it," if _is_text(content) else "something that is no workbook"
        remedy = ": rename it to .csv" if _is_text(content) else ", or one that was not cut"
        raise SettlementRefusedError(
            f"{name}: found {what} under this name; expected an XLSX workbook{remedy}"
        )
    return False


def _of_compound(content: bytes) -> str:
    """Old workbooks and encrypted new ones have the same container, but other stream names."""
    has = {
        stream: stream.encode("utf-16-le") in content
        for stream in ("EncryptedPackage", "Workbook", "Book", "WordDocument")
    }
    if has["EncryptedPackage"]:
        return "found a workbook that is locked with a password; expected one without: open it and save it so"
    if has["Workbook"] or has["Book"]:
        return f"found an old workbook (.xls, Excel 97 to 2003); {_SAVE_AS}"
    if has["WordDocument"]:
        return f"found an old text document (.doc); {_SAVE_AS}"
    return f"found an old Office file (.xls) or a workbook that is locked with a password; {_SAVE_AS}"


def _of_zip(content: bytes) -> str | None:
    """Return what is wrong with a zip archive; None for a workbook."""
    # Counted before the library makes an object of each.
    entries = content.count(b"PK\x01\x02")
    if entries > MAXIMUM_ZIP_ENTRIES:
        return f"found an archive of {entries:,} parts; expected at most {MAXIMUM_ZIP_ENTRIES:,}"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError):
        return "found an archive that is cut or damaged; expected a whole XLSX workbook: get it again"
    names = {info.filename.lstrip("/") for info in infos}
    if any(info.flag_bits & 1 for info in infos):
        return "found an archive that is locked with a password; expected a workbook without one"
    if "[Content_Types].xml" in names:
        if "xl/workbook.bin" in names:
            return f"found a binary workbook (.xlsb); {_SAVE_AS}"
        for folder, kind in (("word/", "a text document (.docx)"), ("ppt/", "a presentation (.pptx)")):
            if any(part.startswith(folder) for part in names):
                return f"found {kind}; {_SAVE_AS}"
        return None
    if "content.xml" in names and "mimetype" in names:
        return f"found an OpenDocument file (.ods); {_SAVE_AS}"
    return (
        f"found a zip archive of {len(names)} files that is no workbook; expected the file itself: unpack it"
    )


def _is_text(content: bytes) -> bool:
    beginning = content[:65536]
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return (
        b"\x00" not in beginning and sum(mark < 32 and mark not in b"\t\r\n\x0c" for mark in beginning) == 0
    )
