"""Foreign text as one printable line, for events, alerts and messages. Pure."""

from __future__ import annotations


def printable(text: str, most_characters: int, instead: str = " ") -> str:
    """``text`` with ``instead`` for each control character, cut to ``most_characters``."""
    if not text.isprintable():
        text = "".join(mark if mark.isprintable() else instead for mark in text)
    return text[:most_characters]
