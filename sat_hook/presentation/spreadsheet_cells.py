"""Makes texts safe for spreadsheet cells, events and logs."""

from __future__ import annotations

import re
import unicodedata

# A name is one line of text that UTF-8 can encode.
CONTROL_IN_NAME = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00a0\u2028\u2029\ud800-\udfff"
    # Zero-width characters, and characters that reverse the writing direction.
    r"\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
MAXIMUM_SHOWN_CHARACTERS = 60
# Unicode categories of characters without a glyph, or without an agreed one.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"))
_CALLED = {
    "\t": "a tab",
    "\n": "a line break",
    "\r": "a line break",
    "\u00a0": "a no-break space",
    "\u00ad": "a soft hyphen",
    "\u200b": "a zero-width space",
    "\u202f": "a narrow no-break space",
    "\ufeff": "a byte order mark",
    "\ufffd": "a replacement character, which stands for one that was lost",
}
_NON_ASCII = re.compile(r"[^\x00-\x7f]{2,}")
_LONG_NUMBER = re.compile(r"[0-9](?:[ .-]?[0-9]){8,}")


def shape_of(text: str) -> str:
    """Describe ``text`` without its contents, for example ``13 characters, digits and spaces``."""
    kinds = {
        "letters": any(mark.isalpha() for mark in text),
        "digits": any(mark.isdigit() for mark in text),
        "spaces": any(mark.isspace() for mark in text),
        "dashes": "-" in text,
        "others": any(not (mark.isalnum() or mark.isspace() or mark == "-") for mark in text),
    }
    found = [kind for kind, is_there in kinds.items() if is_there]
    if not found:
        return "nothing"
    words = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
    return f"{len(text)} character{'s' if len(text) > 1 else ''}, {words}"


def has_long_number(text: str) -> bool:
    """Whether a text may hold a person's number."""
    return _LONG_NUMBER.search(text) is not None


def shown(text: str) -> str:
    """``text`` for a message, quoted and short; only its shape if it may hold a person's number."""
    if not text or has_long_number(text):
        return shape_of(text)
    return repr(text if len(text) <= MAXIMUM_SHOWN_CHARACTERS else text[: MAXIMUM_SHOWN_CHARACTERS - 3] + "…")


def first_control(text: str) -> str:
    """The first character that is not allowed in a name, in ASCII (``'\\x00'``); empty when there is none."""
    found = CONTROL_IN_NAME.search(text)
    return ascii(found.group()) if found else ""


def one_line(text: str) -> str:
    """``text`` as a short part of a line, for example a column title."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    is_long = len(line) > MAXIMUM_SHOWN_CHARACTERS
    return line[: MAXIMUM_SHOWN_CHARACTERS - 1] + "…" if is_long else line


def first_invisible(text: str) -> str:
    """Name the first character that a person cannot have meant: ``a no-break space ('\\xa0')``.

    These are control characters, blanks other than the space, zero-width characters, direction marks, and
    the replacement character. Empty when there is none.
    """
    if text.isascii() and text.isprintable():
        return ""
    for mark in text:
        if mark == "\ufffd" or (mark != " " and unicodedata.category(mark) in _INVISIBLE):
            called = _CALLED.get(mark) or f"the character {unicodedata.name(mark, 'without a name')}"
            return f"{called} ({mark!a})"
    return ""


def is_misread(text: str) -> bool:
    """Whether UTF-8 was decoded as Windows-1252 on the way: ``Ã©`` instead of ``é``."""
    for run in _NON_ASCII.findall(text):
        try:
            run.encode("cp1252").decode("utf-8")
        except UnicodeError:
            continue
        return True
    return False
