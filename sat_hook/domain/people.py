"""Compares people's names, for refusing and for granting. Pure."""

from __future__ import annotations

import unicodedata

USER_PREFIX = "user:"

_INVISIBLE_CATEGORIES = ("Cc", "Cf", "Zl", "Zp", "Zs")
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Invisible letters and marks outside the categories of controls, formats and blanks."""


def is_same_person(one: str, other: str) -> bool:
    """Whether two names, or two actors (``user:NAME``), may be the same person.

    Directories ignore case in names; some also ignore width or blanks. A rule that needs two people, like
    maker and approver, must not be satisfied by one person under two spellings.
    """
    return name_key(one) == name_key(other)


def name_key(name: str) -> str:
    """A key that all spellings of one name share: NFKC, case-folded, without blanks or invisible characters.

    Use it for comparison only. Record and show the name as Airflow has it.
    """
    key, before = name, None
    # Removing invisible characters may join letters that then fold further.
    while key != before:
        before = key
        visible = "".join(c for c in unicodedata.normalize("NFKC", key) if not _is_invisible(c))
        key = unicodedata.normalize("NFKC", visible.casefold())
    return key


def is_same_login(one: str, other: str) -> bool:
    """Whether two names are the same Airflow login: the same letters, in any case.

    Use it to grant by name. Spellings that only look alike are different logins and may be different people;
    :func:`is_same_person` treats them as one because it is only used to refuse. Letters that only fold to the
    same ones (a long s, a ligature, the Kelvin sign) look alike, too.
    """
    if one == other:
        return True
    are_plain = all(unicodedata.is_normalized("NFKC", name) for name in (one, other))
    return are_plain and one.lower() == other.lower()


def user_named(actor: str) -> str | None:
    """The Airflow user of an actor; None for a service."""
    if not actor.startswith(USER_PREFIX):
        return None
    return actor.removeprefix(USER_PREFIX) or None


def _is_invisible(character: str) -> bool:
    return (
        character.isspace()
        or character in _INVISIBLE
        or unicodedata.category(character) in _INVISIBLE_CATEGORIES
        or "\ufe00" <= character <= "\ufe0f"  # variation selectors
        or "\U000e0100" <= character <= "\U000e01ef"  # more of them
    )
