"""Reads the name of a settlement file: its day, and whether it is a correction or a second download."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date

MAXIMUM_NAME_CHARACTERS = 200
CORRECTED = "corrected"
SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
# fmt: off
# Unfinished uploads and downloads, and what systems and senders leave beside files.
_OF_PROGRAMS = frozenset((
    "part", "partial", "crdownload", "download", "opdownload", "filepart", "tmp", "temp", "swp", "lock",
    "db", "ini", "lnk", "ok", "done", "md5", "sha1", "sha256", "sha512", "sig",
))
_PACKED = frozenset((
    "gz", "tgz", "zip", "zipx", "7z", "rar", "bz2", "xz", "zst", "lz4", "lzma", "z", "tar",
    "gpg", "pgp", "enc", "aes",
))
# fmt: on
_DAY_IN_NAME = re.compile(r"(?<![0-9])(20[0-9]{2})(-?)([01][0-9])\2([0-3][0-9])(?![0-9])")
# Marks that browsers and file managers add to a second file of one name.
_COPY = re.compile(
    r"(?:\s*\([0-9]{1,3}\)"
    r"|\s*\((?:another\s|[0-9]{1,3}(?:st|nd|rd|th)\s)?(?:copy|salinan)(?:\s[0-9]{1,3})?\)"
    r"|\s*[-_]\s*(?:copy|salin(?:an)?)"
    r"|\s+(?:copy|salinan)(?:\s[0-9]{1,3})?)$"
    r"|^(?:copy(?:\s\([0-9]{1,3}\))?\sof|salinan(?:\sdari)?)\s+",
    re.IGNORECASE,
)


def day_in_name(name: str) -> date | None:
    """Return the day in a file's name, if it names exactly one."""
    days = set()
    for year, _, month, day in _DAY_IN_NAME.findall(name):
        with suppress(ValueError):
            days.add(date(int(year), int(month), int(day)))
    return days.pop() if len(days) == 1 else None


def shown(name: str) -> str:
    """Return a name as the books keep it: unprintable characters are replaced, and a long name is cut."""
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable[:MAXIMUM_NAME_CHARACTERS]


def is_of_a_program(name: str) -> bool:
    """Whether the name shows a program's own file: the mark of an open workbook, or half an upload."""
    return name.startswith((".", "~")) or name.endswith("~") or _ending_of(name) in _OF_PROGRAMS


def why_unreadable(name: str) -> str | None:
    """Return why a file cannot be read, by its name; None for one that may be a settlement file."""
    if name.lower().endswith(SUFFIXES):
        return None
    ending = _ending_of(name)
    if ending in _PACKED:
        return f"found a packed or encrypted file (.{ending}); expected the settlement file itself: unpack it"
    return f"found a name that ends otherwise; expected one of {', '.join(SUFFIXES)}"


def _ending_of(name: str) -> str:
    return name.rpartition(".")[2].lower()


def is_correction(name: str) -> bool:
    """Whether a file says that it replaces earlier ones for its day."""
    return CORRECTED in name.lower()


def is_copy(name: str) -> bool:
    """Whether a name looks like that of a second download."""
    return family_of(name) != name.rpartition(".")[0].strip().casefold()


def family_of(name: str) -> str:
    """Return the name without its ending and without the marks of a second download."""
    stem = name.rpartition(".")[0].strip()
    while (shorter := _COPY.sub("", stem).strip()) != stem:
        stem = shorter
    return stem.casefold()
