"""The books of an account: the fold of its reconciliation events, and their rules. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Generic, NamedTuple, TypeVar

from pydantic import Field

from sat_hook.domain import books_events as happened
from sat_hook.domain import legacy_events as legacy
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.event_record import Event, RecordedEvent

E = TypeVar("E", bound=happened.BooksEvent)

_ABSENT_WHEN_EMPTY = Field(exclude_if=lambda value: not value)
"""Members that earlier releases did not have are left out of golden histories while they are empty."""


class Posted(NamedTuple):
    """A fact's position in the log and its actor."""

    position: int
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Entry(Generic[E]):
    """An event of the books, as posted."""

    event: E
    posted: Posted


@dataclass(frozen=True, slots=True)
class PostedSettlement(Entry[happened.SettlementImported]):
    """An imported settlement file.

    :param is_earlier: imported when refunds and totals were read as ordinary rows, and still read so.
    """

    is_earlier: bool = False


@dataclass(frozen=True, slots=True)
class PostedClose(Entry[happened.DayClosed]):
    """The newest close of a day, with its breaks."""

    breaks: tuple[happened.BookedBreak, ...] = ()


@dataclass(slots=True)
class AccountBooks:
    """An account's books up to a position."""

    account: str
    version: int = 0
    observations: list[Entry[happened.DepositObserved]] = field(default_factory=list)
    top_ups: list[Entry[happened.TopUpRecorded]] = field(default_factory=list)
    """Recorded top-ups, and the reversals among them with negative amounts."""
    settlements: list[PostedSettlement] = field(default_factory=list)
    set_aside: dict[str, Entry[happened.SettlementSetAside]] = field(default_factory=dict)
    """Files that are set aside and do not count, by name."""
    cleared: dict[str, str] = field(default_factory=dict)
    """Why a file is no longer set aside, by its name."""
    choices: list[Entry[happened.SettlementChosen]] = field(default_factory=list)
    not_chosen: dict[date, set[str]] = field(default_factory=dict)
    """Digests of files that a person decided against, by their day."""
    mappings: Annotated[dict[str, Entry[happened.SettlementMappingSaved]], _ABSENT_WHEN_EMPTY] = field(
        default_factory=dict
    )
    """Mappings kept by name, the last kept at the end."""
    closes: dict[date, PostedClose] = field(default_factory=dict)
    decisions: dict[str, Entry[happened.BreakDecided]] = field(default_factory=dict)
    """People's latest decisions, by break."""
    assignees: Annotated[dict[str, str], _ABSENT_WHEN_EMPTY] = field(default_factory=dict)
    """Who looks into a break, by break."""
    comments: Annotated[Counter[str], _ABSENT_WHEN_EMPTY] = field(default_factory=Counter)
    """How many comments each break has."""
    attached: Annotated[dict[str, list[happened.BreakFileAttached]], _ABSENT_WHEN_EMPTY] = field(
        default_factory=dict
    )
    """The files of each break."""
    prepared: dict[date, Entry[happened.DayPrepared]] = field(default_factory=dict)
    """The preparers' signatures, by day."""
    certified: dict[date, Entry[happened.DayCertified]] = field(default_factory=dict)
    """The approvers' signatures, by day: the day is frozen."""

    def find_top_up(self, reference: str) -> Entry[happened.TopUpRecorded] | None:
        """The top-up of a reference that was not reversed. Banks write references in capitals, people do not
        always do so.
        """
        key = reference.casefold()
        of_reference = [entry for entry in self.top_ups if entry.event.reference.casefold() == key]
        return of_reference[-1] if of_reference and of_reference[-1].event.amount_rupiah > 0 else None

    def before(self, day: date) -> PostedClose | None:
        """The close of the last closed day before ``day``."""
        earlier = [closed for closed in self.closes if closed < day]
        return self.closes[max(earlier)] if earlier else None

    def standing_of(self, booked: happened.BookedBreak, close: PostedClose) -> BreakState:
        """The state of a break of a close, including later decisions."""
        decision = self.decisions.get(booked.break_id)
        if decision is None or decision.posted.position < close.posted.position:
            return booked.state
        return decision.event.state

    def changed_at(self, close: PostedClose) -> int:
        """The position of the last event about a closed day: its close, a decision, or its preparation."""
        decided = (self.decisions.get(booked.break_id) for booked in close.breaks)
        entries = [close, self.prepared.get(close.event.day), *decided]
        return max(entry.posted.position for entry in entries if entry is not None)

    def find_break(self, break_id: str) -> tuple[happened.BookedBreak, PostedClose] | None:
        """The break as recorded by the newest day that has it."""
        for day in sorted(self.closes, reverse=True):
            for booked in self.closes[day].breaks:
                if booked.break_id == break_id:
                    return booked, self.closes[day]
        return None

    def newest_breaks(self) -> dict[str, tuple[happened.BookedBreak, PostedClose]]:
        """Every break, by id, as :meth:`find_break` finds it."""
        return {
            booked.break_id: (booked, close)
            for _, close in sorted(self.closes.items())
            for booked in close.breaks
        }

    def carried_from(self, close: PostedClose) -> list[happened.BookedBreak]:
        """The breaks of a close that are neither resolved nor written off, in their current state."""
        return [booked for booked in close.breaks if not self.standing_of(booked, close).is_final]

    def given_up_in(self, close: PostedClose, break_ids: Collection[str]) -> list[happened.BookedBreak]:
        """Those of the given breaks that a close has and a person has ended."""
        return [
            booked
            for booked in close.breaks
            if booked.break_id in break_ids
            and self.standing_of(booked, close).is_final
            and booked.break_id in self.decisions
            and self.decisions[booked.break_id].event.state.is_final
        ]

    def settlements_of(self, day: date) -> list[PostedSettlement]:
        """The files that count for a day, in order of import."""
        return [item for item in self.registered_of(day) if not self.is_lost(item.event)]

    def registered_of(self, day: date) -> list[PostedSettlement]:
        """The files imported for a day and not replaced, including those whose stored bytes are lost."""
        counting: list[PostedSettlement] = []
        for settlement in self.settlements:
            if settlement.event.day == day:
                counting = [settlement] if settlement.event.replaces_earlier else [*counting, settlement]
        return counting

    def is_lost(self, settlement: happened.SettlementImported) -> bool:
        """Whether the stored bytes of an imported file can no longer be read."""
        aside = self.set_aside.get(settlement.name)
        return (
            aside is not None
            and aside.event.cause is happened.SetAsideCause.UNUSABLE
            and aside.event.digest == settlement.digest
        )

    def told_up_to(self, certified: Entry[happened.DayCertified]) -> int:
        """The position up to which later closes have posted late evidence about a certified day.

        A close from before the certificate has posted none: it could not know where the day would be frozen.
        """
        told = [
            close.event.position
            for later, close in self.closes.items()
            if later > certified.event.day and close.event.position >= certified.posted.position
        ]
        return max(told, default=certified.event.position)

    def adjusted_by(self, day: date) -> list[date]:
        """The later days whose closes post evidence about ``day``."""
        return sorted(later for later, close in self.closes.items() if day in close.event.adjusted_days)


def fold_books(
    account: str,
    recorded: Iterable[RecordedEvent],
    *,
    up_to: int | None = None,
    for_day: date | None = None,
) -> AccountBooks:
    """The books after the events of the account's stream; other events only advance the version.

    :param up_to: a position; later events are left out.
    :param for_day: the books as the close of this day sees them: without events about it or later days.
    """
    books = AccountBooks(account)
    for item in recorded:
        if up_to is not None and item.position > up_to:
            break
        books.version = item.version
        event = item.event
        if not isinstance(event, happened.BooksEvent):
            continue
        if for_day is not None and getattr(event, "day", date.min) >= for_day and _is_bookkeeping(event):
            continue
        _post(books, event, Posted(item.position, item.provenance.actor, item.occurred_at))
    return books


def _is_bookkeeping(event: Event) -> bool:
    return event.type_name in happened.BOOKKEEPING


def _post(books: AccountBooks, event: happened.BooksEvent, posted: Posted) -> None:
    match event:
        case happened.DepositObserved():
            books.observations.append(Entry(event, posted))
        case happened.TopUpRecorded():
            books.top_ups.append(Entry(event, posted))
        case happened.TopUpReversed():
            books.top_ups.append(Entry(event.counter_entry(), posted))
        case happened.SettlementImported():
            _take_in(books, PostedSettlement(event, posted))
        case legacy.SettlementImported():
            _take_in(books, PostedSettlement(event.current(), posted, is_earlier=True))
        case happened.SettlementSetAside():
            books.set_aside[event.name] = Entry(event, posted)
        case happened.SettlementCleared():
            books.set_aside.pop(event.name, None)
            books.cleared[event.name] = event.reason
        case happened.SettlementChosen():
            books.choices.append(Entry(event, posted))
            _drop_those_not_chosen(books, event)
        case happened.SettlementMappingSaved():
            books.mappings.pop(event.name, None)
            books.mappings[event.name] = Entry(event, posted)
        case happened.DayClosed():
            books.closes[event.day] = PostedClose(event, posted)
        case happened.BreaksRecorded():
            close = books.closes[event.day]
            books.closes[event.day] = PostedClose(close.event, close.posted, close.breaks + event.breaks)
        case happened.BreakDecided():
            books.decisions[event.break_id] = Entry(event, posted)
        case happened.BreakAssigned():
            books.assignees[event.break_id] = event.assignee
        case happened.BreakCommented():
            books.comments[event.break_id] += 1
        case happened.BreakFileAttached():
            books.attached.setdefault(event.break_id, []).append(event)
        case happened.BreakFileTaken():
            pass  # A fact about the person; the books stay as they are.
        case happened.DayPrepared():
            books.prepared[event.day] = Entry(event, posted)
        case happened.DayCertified():
            books.certified[event.day] = Entry(event, posted)
        case _:
            raise ValueError(f"{event.type_name} is not an event of the books")


def _take_in(books: AccountBooks, settlement: PostedSettlement) -> None:
    books.settlements.append(settlement)
    if books.set_aside.pop(settlement.event.name, None) is not None:
        books.cleared[settlement.event.name] = "the file counts now"


def _drop_those_not_chosen(books: AccountBooks, choice: happened.SettlementChosen) -> None:
    """Drop the files that a person decided against: they need no further decision."""
    undecided = [
        item.event
        for item in books.set_aside.values()
        if item.event.day == choice.day and item.event.cause is happened.SetAsideCause.UNDECIDED
    ]
    together = {choice.digest}.union(*(one.rivals for one in undecided if one.digest == choice.digest))
    for event in undecided:
        if event.digest != choice.digest and not together.isdisjoint(event.rivals):
            del books.set_aside[event.name]
            books.cleared[event.name] = f"a person has chosen {choice.name}"
            books.not_chosen.setdefault(choice.day, set()).add(event.digest)
