"""Workbooks of orders, made as people's programs make them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import openpyxl

HEADER = ("order_id", "product_code", "client_number")


def book_of(*sheets: tuple[str, Sequence[Sequence[object]]], formats: dict[str, str] | None = None) -> bytes:
    """A workbook; ``formats`` gives cells of the first sheet a number format."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, lines in sheets:
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(list(line))
    for place, form in (formats or {}).items():
        book.worksheets[0][place].number_format = form
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def orders_book(*lines: Sequence[object], formats: dict[str, str] | None = None) -> bytes:
    """A workbook with our header and these rows."""
    return book_of(("Sheet1", [HEADER, *lines]), formats=formats)


def replaced(content: bytes, part: str, old: str, new: str) -> bytes:
    """The workbook with text of one part replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name == part:
                # openpyxl writes empty elements in two ways: by lxml where it is installed, or without it.
                text = data.decode("utf-8").replace("<v></v>", "<v />")
                assert old in text, text[:2000]
                data = text.replace(old, new).encode("utf-8")
            copy.writestr(name, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()
