"""The books of an account: the fold of what was recorded for its reconciliation, and its rules. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from sat_hook.domain import books_events as happened
from sat_hook.domain import legacy_events as legacy
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.domain.event import Event
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.order import Refusal, RefusalReason
from sat_hook.domain.people import is_same_person
from sat_hook.domain.rupiah import rupiah

MAXIMUM_TOP_UP_RUPIAH = 10**13
_NOT_TO_BE_SIGNED = (BreakCategory.CONTROL, BreakCategory.FILE)


class Posted(NamedTuple):
    """A fact with its place in the log and who put it there."""

    position: int
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PostedTopUp:
    """A recorded top-up."""

    event: happened.TopUpRecorded
    posted: Posted


@dataclass(frozen=True, slots=True)
class PostedObservation:
    """A look at the deposit."""

    event: happened.DepositObserved
    posted: Posted


@dataclass(frozen=True, slots=True)
class PostedSettlement:
    """An imported settlement file.

    :param is_earlier: it was taken in when refunds and totals were rows like others, and is read so.
    """

    event: happened.SettlementImported
    posted: Posted
    is_earlier: bool = False


@dataclass(frozen=True, slots=True)
class PostedSetAside:
    """A settlement file that does not count."""

    event: happened.SettlementSetAside
    posted: Posted


@dataclass(frozen=True, slots=True)
class PostedChoice:
    """Which of several settlement files a person has chosen."""

    event: happened.SettlementChosen
    posted: Posted


@dataclass(frozen=True, slots=True)
class PostedClose:
    """The newest close of a day, with its breaks."""

    event: happened.DayClosed
    posted: Posted
    breaks: tuple[happened.BookedBreak, ...] = ()


@dataclass(frozen=True, slots=True)
class PostedDecision:
    """What a person last said about a break."""

    event: happened.BreakDecided
    posted: Posted


@dataclass(frozen=True, slots=True)
class PostedPreparation:
    """The preparer's signature."""

    event: happened.DayPrepared
    posted: Posted


@dataclass(frozen=True, slots=True)
class PostedCertificate:
    """The approver's signature: the day is frozen."""

    event: happened.DayCertified
    posted: Posted


@dataclass(slots=True)
class AccountBooks:
    """Everything that an account's books hold up to a position."""

    account: str
    version: int = 0
    observations: list[PostedObservation] = field(default_factory=list)
    top_ups: list[PostedTopUp] = field(default_factory=list)
    settlements: list[PostedSettlement] = field(default_factory=list)
    set_aside: dict[str, PostedSetAside] = field(default_factory=dict)
    """What stands aside, by the name of the file."""
    cleared: dict[str, str] = field(default_factory=dict)
    """Why a file stands aside no more, by its name."""
    choices: list[PostedChoice] = field(default_factory=list)
    not_chosen: dict[date, set[str]] = field(default_factory=dict)
    """Digests of files that a person decided against, by their day."""
    closes: dict[date, PostedClose] = field(default_factory=dict)
    decisions: dict[str, PostedDecision] = field(default_factory=dict)
    prepared: dict[date, PostedPreparation] = field(default_factory=dict)
    certified: dict[date, PostedCertificate] = field(default_factory=dict)

    def before(self, day: date) -> PostedClose | None:
        """The close of the last closed day before ``day``."""
        earlier = [closed for closed in self.closes if closed < day]
        return self.closes[max(earlier)] if earlier else None

    def standing_of(self, booked: happened.BookedBreak, close: PostedClose) -> BreakState:
        """How a break of a close stands, what people said since included."""
        decision = self.decisions.get(booked.break_id)
        if decision is None or decision.posted.position < close.posted.position:
            return booked.state
        return decision.event.state

    def find_break(self, break_id: str) -> tuple[happened.BookedBreak, PostedClose] | None:
        """The break as the newest day that knows it has it."""
        for day in sorted(self.closes, reverse=True):
            for booked in self.closes[day].breaks:
                if booked.break_id == break_id:
                    return booked, self.closes[day]
        return None

    def carried_from(self, close: PostedClose) -> list[happened.BookedBreak]:
        """The breaks of a close that are neither resolved nor written off, as they stand now."""
        return [booked for booked in close.breaks if not self.standing_of(booked, close).is_final]

    def given_up_in(self, close: PostedClose, break_ids: Collection[str]) -> list[happened.BookedBreak]:
        """Those of some breaks that a close has and a person has ended."""
        return [
            booked
            for booked in close.breaks
            if booked.break_id in break_ids
            and self.standing_of(booked, close).is_final
            and booked.break_id in self.decisions
            and self.decisions[booked.break_id].event.state.is_final
        ]

    def settlements_of(self, day: date) -> list[PostedSettlement]:
        """The files that count for a day, in the order in which they came."""
        return [item for item in self.registered_of(day) if not self.is_lost(item.event)]

    def registered_of(self, day: date) -> list[PostedSettlement]:
        """The files taken in for a day and not replaced, those whose kept bytes are lost included."""
        counting: list[PostedSettlement] = []
        for settlement in self.settlements:
            if settlement.event.day == day:
                counting = [settlement] if settlement.event.replaces_earlier else [*counting, settlement]
        return counting

    def is_lost(self, settlement: happened.SettlementImported) -> bool:
        """Whether a file that was taken in cannot be read from where it is kept."""
        aside = self.set_aside.get(settlement.name)
        return (
            aside is not None
            and aside.event.cause is happened.SetAsideCause.UNUSABLE
            and aside.event.digest == settlement.digest
        )

    def told_up_to(self, certified: PostedCertificate) -> int:
        """Up to which position the closes after a certified day have posted what came late about it.

        A close from before the certificate has posted nothing: nobody knew then what would be frozen.
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
    """The books after the events of the account's stream; its other events only count as versions.

    :param up_to: a position; what comes after it is left out.
    :param for_day: as closing this day sees them: without what was written about it, or later days.
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
            books.observations.append(PostedObservation(event, posted))
        case happened.TopUpRecorded():
            books.top_ups.append(PostedTopUp(event, posted))
        case happened.SettlementImported():
            _take_in(books, PostedSettlement(event, posted))
        case legacy.SettlementImported():
            _take_in(books, PostedSettlement(event.current(), posted, is_earlier=True))
        case happened.SettlementSetAside():
            books.set_aside[event.name] = PostedSetAside(event, posted)
        case happened.SettlementCleared():
            books.set_aside.pop(event.name, None)
            books.cleared[event.name] = event.reason
        case happened.SettlementChosen():
            books.choices.append(PostedChoice(event, posted))
            _drop_those_not_chosen(books, event)
        case happened.DayClosed():
            books.closes[event.day] = PostedClose(event, posted)
        case happened.BreaksRecorded():
            close = books.closes[event.day]
            books.closes[event.day] = PostedClose(close.event, close.posted, close.breaks + event.breaks)
        case happened.BreakDecided():
            books.decisions[event.break_id] = PostedDecision(event, posted)
        case happened.DayPrepared():
            books.prepared[event.day] = PostedPreparation(event, posted)
        case happened.DayCertified():
            books.certified[event.day] = PostedCertificate(event, posted)
        case _:
            raise ValueError(f"{event.type_name} is not an event of the books")


def _take_in(books: AccountBooks, settlement: PostedSettlement) -> None:
    books.settlements.append(settlement)
    if books.set_aside.pop(settlement.event.name, None) is not None:
        books.cleared[settlement.event.name] = "the file counts now"


def _drop_those_not_chosen(books: AccountBooks, choice: happened.SettlementChosen) -> None:
    """What a person decided against stands aside no more, and is not asked about again."""
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


def record_observation(books: AccountBooks, event: happened.DepositObserved) -> tuple[Event, ...] | Refusal:
    """Keep a look at the deposit; one that is no newer than the last is known already."""
    last = books.observations[-1].event if books.observations else None
    if last is not None and event.requested_at <= last.requested_at:
        return Refusal(reason=RefusalReason.ALREADY_SO, detail=f"observed at {last.requested_at}")
    return (event,)


def record_top_up(
    books: AccountBooks, event: happened.TopUpRecorded, now: datetime
) -> tuple[Event, ...] | Refusal:
    """Record a top-up. The same again changes nothing; the same reference with other facts is refused."""
    if not 0 < event.amount_rupiah <= MAXIMUM_TOP_UP_RUPIAH:
        return _wrong(f"amount: found {event.amount_rupiah}; expected 1 to {MAXIMUM_TOP_UP_RUPIAH} rupiah")
    if event.credited_at > now:
        return _wrong(
            f"credited at: found {event.credited_at.isoformat()}; expected a moment that has passed"
        )
    for known in books.top_ups:
        # Banks write references in capitals, people do not always.
        if known.event.reference.casefold() == event.reference.casefold():
            same = (known.event.amount_rupiah, known.event.credited_at) == (
                event.amount_rupiah,
                event.credited_at,
            )
            if same:
                return Refusal(reason=RefusalReason.ALREADY_SO, detail=event.reference)
            return _wrong(
                f"reference {event.reference!r}: found a top-up of {rupiah(known.event.amount_rupiah)} "
                f"recorded by {known.posted.actor}; expected a reference of its own"
            )
    return (event,)


def decide_break(books: AccountBooks, event: happened.BreakDecided) -> tuple[Event, ...] | Refusal:
    """Explain, resolve or write off a break that is still carried."""
    found = books.find_break(event.break_id)
    if found is None:
        return _wrong(f"found no break {event.break_id} of account {books.account!r}")
    state = books.standing_of(*found)
    if state is event.state:
        return Refusal(reason=RefusalReason.ALREADY_SO, detail=state.value)
    if state.is_final or event.state is BreakState.OPEN:
        return _wrong(
            f"break {event.break_id}: found it {state.value}; expected one that is open or explained"
        )
    return (event,)


def prepare_day(books: AccountBooks, day: date, note: str) -> tuple[happened.DayPrepared, ...] | Refusal:
    """Sign the newest close of a day as its preparer."""
    close = books.closes.get(day)
    if close is None:
        return _wrong(f"{day}: found no close; expected a day that is closed")
    if day in books.certified:
        return Refusal(reason=RefusalReason.ALREADY_SO, detail="certified")
    standing = [item for item in close.breaks if books.standing_of(item, close) is BreakState.OPEN]
    doubtful = [booked for booked in standing if booked.category in _NOT_TO_BE_SIGNED]
    if doubtful:
        kinds = " and ".join(sorted({booked.category.value for booked in doubtful}))
        named = ", ".join(booked.break_id for booked in doubtful[:3])
        return _wrong(
            f"{day}: found open {kinds} breaks ({named}); expected totals that agree and files that count, "
            "or an explanation of each"
        )
    event = close.event
    signed = books.prepared.get(day)
    if signed is not None and signed.event.position == event.position:
        return Refusal(reason=RefusalReason.ALREADY_SO, detail=f"prepared by {signed.posted.actor}")
    return (
        happened.DayPrepared(
            account=books.account,
            day=day,
            position=event.position,
            result_digest=event.result_digest,
            open_breaks=len(standing),
            note=note,
        ),
    )


def certify_day(
    books: AccountBooks, day: date, actor: str, checkpoint: str | None, note: str
) -> tuple[happened.DayCertified, ...] | Refusal:
    """Approve what was prepared, as somebody else than its preparer; the day is frozen from then on."""
    if day in books.certified:
        return Refusal(
            reason=RefusalReason.ALREADY_SO, detail=f"certified by {books.certified[day].posted.actor}"
        )
    close, signed = books.closes.get(day), books.prepared.get(day)
    if close is None or signed is None:
        return _wrong(f"{day}: found nobody's preparation; expected a close that its preparer has signed")
    if signed.event.position != close.event.position:
        return _wrong(
            f"{day}: found a preparation of position {signed.event.position}; expected one of "
            f"{close.event.position}, where the day was closed since"
        )
    if is_same_person(signed.posted.actor, actor):
        return _wrong(f"{day}: found the preparer ({actor}); expected somebody else to approve")
    return (
        happened.DayCertified(
            account=books.account,
            day=day,
            position=signed.event.position,
            result_digest=signed.event.result_digest,
            open_breaks=signed.event.open_breaks,
            checkpoint=checkpoint,
            note=note,
        ),
    )


def _wrong(detail: str) -> Refusal:
    return Refusal(reason=RefusalReason.WRONG_STATE, detail=detail)
