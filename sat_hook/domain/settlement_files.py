"""Which settlement files count for a day: imported, set aside, cleared, chosen by a person. Pure."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from sat_hook.domain.books import AccountBooks
from sat_hook.domain.books_events import (
    SetAsideCause,
    SettlementChosen,
    SettlementCleared,
    SettlementImported,
    SettlementMappingSaved,
    SettlementSetAside,
)
from sat_hook.domain.decision import Decision, RefusalReason, refuse

MINIMUM_DIGEST_CHARACTERS = 6
MAXIMUM_MAPPINGS = 50
MAXIMUM_MAPPING_NAME_CHARACTERS = 60


def record_settlement(books: AccountBooks, event: SettlementImported) -> Decision:
    """Register a settlement file. The same bytes for the same day count once.

    A replacement may restore earlier bytes, or have the same bytes with another mapping.
    """
    if event.name in books.set_aside:
        # The file that was set aside counts from now on, once.
        is_there = any(known.event.digest == event.digest for known in books.registered_of(event.day))
        return replace_rivals(books, event, (event.digest,)) if is_there else (event,)
    of_day = [known.event for known in books.settlements if known.event.day == event.day]
    if event.replaces_earlier:
        of_day = [known.event for known in books.settlements_of(event.day)]
        is_known = [(known.digest, known.mapping) for known in of_day] == [(event.digest, event.mapping)]
    else:
        is_known = any(known.digest == event.digest for known in of_day)
    if is_known:
        return refuse(RefusalReason.ALREADY_SO, of_day[0].name)
    return (event,)


def replace_rivals(books: AccountBooks, event: SettlementImported, rivals: tuple[str, ...]) -> Decision:
    """Register a file that replaces the files of its day with these digests; the others still count."""
    kept = [
        known.event.model_copy(update={"replaces_earlier": False})
        for known in books.settlements_of(event.day)
        if known.event.digest not in rivals and known.event.name != event.name
    ]
    return (event.model_copy(update={"replaces_earlier": True}), *kept)


def set_aside(books: AccountBooks, event: SettlementSetAside) -> Decision:
    """Set a file aside so that it does not count; a repeat changes nothing."""
    known = books.set_aside.get(event.name)
    if known is not None and known.event.model_copy(update={"day": event.day}) == event:
        return refuse(RefusalReason.ALREADY_SO, event.name)
    return (event,)


def save_mapping(books: AccountBooks, event: SettlementMappingSaved) -> Decision:
    """Keep a mapping by its name; a repeat changes nothing."""
    if not 0 < len(event.name) <= MAXIMUM_MAPPING_NAME_CHARACTERS or not event.name.isprintable():
        return refuse(
            RefusalReason.WRONG_STATE,
            f"name of a mapping: found {len(event.name)} characters; expected 1 to "
            f"{MAXIMUM_MAPPING_NAME_CHARACTERS} that can be printed",
        )
    known = books.mappings.get(event.name)
    if known is None and len(books.mappings) >= MAXIMUM_MAPPINGS:
        return refuse(
            RefusalReason.WRONG_STATE,
            f"mappings: found {len(books.mappings)}; expected fewer than {MAXIMUM_MAPPINGS}",
        )
    if known is not None and known.event.mapping == event.mapping:
        return refuse(RefusalReason.ALREADY_SO, event.name)
    return (event,)


def clear(books: AccountBooks, name: str, reason: str) -> Decision:
    """Clear a file that was set aside and is no longer offered, or that was already imported."""
    if name not in books.set_aside:
        return refuse(RefusalReason.ALREADY_SO, name)
    return (SettlementCleared(account=books.account, name=name, reason=reason),)


class InDoubt(NamedTuple):
    """A file that competes with others; a person must choose."""

    name: str
    digest: str


def in_doubt(books: AccountBooks, day: date) -> list[InDoubt]:
    """The files of a day that wait for a choice, and those that count until then."""
    waiting = undecided_of(books, day)
    rivals = {digest for event in waiting for digest in event.rivals}
    counting = [item.event for item in books.settlements_of(day) if item.event.digest in rivals]
    return [
        *(InDoubt(event.name, event.digest) for event in counting),
        *(InDoubt(event.name, event.digest) for event in waiting),
    ]


def undecided_of(books: AccountBooks, day: date) -> list[SettlementSetAside]:
    """The files of a day that wait for a person's choice."""
    return [
        item.event
        for item in books.set_aside.values()
        if item.event.day == day and item.event.cause is SetAsideCause.UNDECIDED
    ]


def is_chosen(books: AccountBooks, event: SettlementImported) -> bool:
    """Whether a person chose this file and it does not count yet."""
    chosen = {choice.event.digest for choice in books.choices if choice.event.day == event.day}
    return event.digest in chosen and any(
        waiting.digest == event.digest for waiting in undecided_of(books, event.day)
    )


def choose(books: AccountBooks, day: date, file: str, reason: str) -> Decision:
    """Choose which of several files with the same orders counts; the others do not.

    :param file: its name, or at least the first six characters of its digest.
    """
    there = in_doubt(books, day)
    if not there:
        detail = f"{day}: found no settlement files to choose between; expected two or more"
        return refuse(RefusalReason.WRONG_STATE, detail)
    meant = [one for one in there if file == one.name or _begins(one.digest, file)]
    if len(meant) != 1:
        found = f"{len(meant)} files of that name" if meant else repr(file)
        expected = ", ".join(f"{one.name} ({one.digest[:8]})" for one in there)
        return refuse(
            RefusalReason.WRONG_STATE,
            f"{day}: found {found}; expected one of {expected}, by its name or these characters",
        )
    (chosen,) = meant
    last = [choice.event.digest for choice in books.choices if choice.event.day == day][-1:]
    if last == [chosen.digest]:
        return refuse(RefusalReason.ALREADY_SO, chosen.name)
    return (
        SettlementChosen(
            account=books.account, day=day, name=chosen.name, digest=chosen.digest, reason=reason
        ),
    )


def _begins(digest: str, characters: str) -> bool:
    return len(characters) >= MINIMUM_DIGEST_CHARACTERS and digest.startswith(characters.lower())
