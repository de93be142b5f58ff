"""Cells that a spreadsheet may show, and words that an event or a log may hold."""

from __future__ import annotations

import re

# The no-break space, the zero-width space and C1 are what spreadsheets and wrong encodings leave in a cell.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\ufeff\u00a0]")
# A name stands in one line, and must be text that UTF-8 can hold.
CONTROL_IN_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\ufeff\u00a0\u2028\u2029\ud800-\udfff]")
MAXIMUM_SHOWN_CHARACTERS = 60
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_LONG_NUMBER = re.compile(r"[0-9](?:[ .-]?[0-9]){8,}")


def neutral(cell: str) -> str:
    """The cell as text for a spreadsheet: what it would run as a formula gets an apostrophe in front."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def shape_of(text: str) -> str:
    """What ``text`` looks like without what it says, such as ``13 characters, digits and spaces``."""
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
    return f"{len(text)} characters, {words}"


def shown(text: str) -> str:
    """``text`` for a message: quoted and short; only its shape when a number of a person may be in it."""
    if _LONG_NUMBER.search(text):
        return shape_of(text)
    return repr(text if len(text) <= MAXIMUM_SHOWN_CHARACTERS else text[: MAXIMUM_SHOWN_CHARACTERS - 3] + "…")


def first_control(text: str) -> str:
    """The first character that no name may hold, in ASCII (``'\\x00'``); empty when there is none."""
    found = CONTROL_IN_NAME.search(text)
    return ascii(found.group()) if found else ""
