"""The text of a PDF that fpdf2 made with the fonts of the PDF itself."""

from __future__ import annotations

import re
import zlib

_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_SHOWN = re.compile(rb"\(((?:[^()\\]|\\.)*)\)\s*Tj", re.DOTALL)


def pdf_text(content: bytes) -> str:
    """What it shows, in the order of its pages; lines are joined by blanks."""
    assert content.startswith(b"%PDF-")
    shown = []
    for packed in _STREAM.findall(content):
        try:
            page = zlib.decompress(packed)
        except zlib.error:
            continue
        shown += [re.sub(rb"\\(.)", rb"\1", text) for text in _SHOWN.findall(page)]
    return b" ".join(shown).decode("latin-1")
