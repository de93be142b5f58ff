"""The text of a PDF that fpdf2 made with fonts inside: letters by each font's own map."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
_FONT, _MAP = re.compile(rb"/(F\d+) (\d+) 0 R"), re.compile(rb"/ToUnicode (\d+) 0 R")
_LETTER = re.compile(rb"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>")
_SHOWN = re.compile(rb"/(F\d+) [0-9.]+ Tf|\(((?:[^()\\]|\\.)*)\)\s*Tj", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pdf_text(content: bytes) -> str:
    """What it shows, in the order of its pages; lines are joined by blanks."""
    assert content.startswith(b"%PDF-")
    return " ".join(_texts(content))


def _texts(content: bytes) -> Iterator[str]:
    objects = dict(_OBJECT.findall(content))
    letters = {}
    for font, number in set(_FONT.findall(content)):
        (mapped,) = _MAP.findall(objects[number])
        pairs = _LETTER.findall(objects[mapped])
        letters[font] = {int(code, 16): bytes.fromhex(hexed.decode()) for code, hexed in pairs}
    for packed in _STREAM.findall(content):
        try:
            page = zlib.decompress(packed)
        except zlib.error:
            continue
        font = b""
        for chosen, shown in _SHOWN.findall(page):
            font = chosen or font
            if shown:
                codes = _ESCAPED.sub(lambda found: _CONTROLS.get(found[1], found[1]), shown)
                found = letters[font]
                yield b"".join(
                    found[int.from_bytes(codes[place : place + 2])] for place in range(0, len(codes), 2)
                ).decode("utf-16-be")
