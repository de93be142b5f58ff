"""``decide_books``: turns a command on an account's books into events to append or a named refusal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sat_hook.domain import books_commands as asked
from sat_hook.domain import books_events as happened
from sat_hook.domain import break_decisions, settlement_files
from sat_hook.domain.account import AccountStanding, evolve_account, new_account
from sat_hook.domain.books import AccountBooks, PostedClose
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.domain.decision import Decider, Decision, Record, Refusal, RefusalReason, refuse
from sat_hook.domain.event_record import Event, StreamKind
from sat_hook.domain.people import is_same_person
from sat_hook.domain.rupiah import rupiah

MAXIMUM_TOP_UP_RUPIAH = 10**13
_NOT_TO_BE_SIGNED = (BreakCategory.CONTROL, BreakCategory.FILE)


@dataclass(frozen=True, slots=True)
class AccountLedger:
    """Both folds of an account's stream: the standing that the store keeps, and the books."""

    standing: AccountStanding
    books: AccountBooks

    @property
    def version(self) -> int:
        """The version of the stream that both folds have reached."""
        return self.standing.version


def books_decider(account: str) -> Decider[AccountLedger, asked.BooksCommand]:
    """The rules for the books of the account with this name.

    ``evolve`` leaves the books unchanged: an event enters them only when it is read from the log.
    """
    return Decider(
        stream_kind=StreamKind.ACCOUNT,
        initial_state=lambda _key: AccountLedger(new_account(account), AccountBooks(account)),
        decide=lambda ledger, command: decide_books(ledger.books, command),
        evolve=_evolve,
    )


def _evolve(ledger: AccountLedger, _key: str, event: Event, _occurred_at: datetime) -> AccountLedger:
    return AccountLedger(evolve_account(ledger.standing, event), ledger.books)


def decide_books(books: AccountBooks, command: asked.BooksCommand) -> Decision:
    """The events that ``command`` appends, or why it changes nothing."""
    match command:
        case Record(event=happened.DepositObserved() as observed):
            return _record_observation(books, observed)
        case asked.RecordTopUp(recorded=recorded, now=now):
            return _record_top_up(books, recorded, now)
        case asked.ReverseTopUp():
            return _reverse_top_up(books, command)
        case Record(event=happened.SettlementImported() as imported):
            return settlement_files.record_settlement(books, imported)
        case asked.ReplaceSettlements(imported=imported, rivals=rivals):
            return settlement_files.replace_rivals(books, imported, rivals)
        case Record(event=happened.SettlementSetAside() as aside):
            return settlement_files.set_aside(books, aside)
        case asked.ClearSettlement(name=name, reason=reason):
            return settlement_files.clear(books, name, reason)
        case Record(event=happened.SettlementMappingSaved() as saved):
            return settlement_files.save_mapping(books, saved)
        case asked.ChooseSettlement(day=day, file=file, reason=reason):
            return settlement_files.choose(books, day, file, reason)
        case asked.RecordClose():
            return _record_close(books, command)
        case asked.DecideBreaks():
            return break_decisions.decide_breaks(books, command)
        case asked.AssignBreaks():
            return break_decisions.assign_breaks(books, command)
        case Record(event=happened.BreakCommented() as commented):
            return break_decisions.comment(books, commented)
        case Record(event=happened.BreakFileAttached() as attached):
            return break_decisions.attach(books, attached)
        case Record(event=happened.BreakFileTaken() as taken):
            return break_decisions.take_file(books, taken)
        case asked.PrepareDay():
            return _prepare_day(books, command)
        case asked.CertifyDay():
            return _certify_day(books, command)
        case _:
            raise TypeError(f"{command} is not a command of the books")


def _record_observation(books: AccountBooks, event: happened.DepositObserved) -> Decision:
    """Record an observation of the deposit, unless it is not newer than the last one."""
    last = books.observations[-1].event if books.observations else None
    if last is not None and event.requested_at <= last.requested_at:
        return refuse(RefusalReason.ALREADY_SO, f"observed at {last.requested_at}")
    return (event,)


def _record_top_up(books: AccountBooks, event: happened.TopUpRecorded, now: datetime) -> Decision:
    """Record a top-up. A repeat changes nothing; the same reference with other facts is refused."""
    if not 0 < event.amount_rupiah <= MAXIMUM_TOP_UP_RUPIAH:
        return _wrong(f"amount: found {event.amount_rupiah}; expected 1 to {MAXIMUM_TOP_UP_RUPIAH} rupiah")
    if event.credited_at > now:
        return _wrong(
            f"credited at: found {event.credited_at.isoformat()}; expected a moment that has passed"
        )
    known = books.find_top_up(event.reference)
    if known is None:
        return (event,)
    if (known.event.amount_rupiah, known.event.credited_at) == (event.amount_rupiah, event.credited_at):
        return refuse(RefusalReason.ALREADY_SO, event.reference)
    return _wrong(
        f"reference {event.reference!r}: found a top-up of {rupiah(known.event.amount_rupiah)} recorded by "
        f"{known.posted.actor}; expected another reference"
    )


def _reverse_top_up(books: AccountBooks, command: asked.ReverseTopUp) -> Decision:
    """Take back a top-up. One that was taken back stays so."""
    known = books.find_top_up(command.reference)
    if known is not None:
        return (
            happened.TopUpReversed(
                account=books.account,
                reference=known.event.reference,
                amount_rupiah=known.event.amount_rupiah,
                credited_at=known.event.credited_at,
                reason=command.reason,
            ),
        )
    key = command.reference.casefold()
    if any(entry.event.reference.casefold() == key for entry in books.top_ups):
        return refuse(RefusalReason.ALREADY_SO, command.reference)
    return _wrong(f"reference {command.reference!r}: found no top-up of account {books.account!r}")


def _record_close(books: AccountBooks, command: asked.RecordClose) -> Decision:
    closed, known = command.closed, books.closes.get(command.closed.day)
    if known is None or known.event.position < closed.position:
        return (closed, *command.breaks)
    if known.event.position > closed.position:
        return refuse(RefusalReason.ALREADY_SO, "closed at a later position meanwhile")
    if known.event.result_digest != closed.result_digest:
        return refuse(
            RefusalReason.NOT_REPRODUCED,
            f"{closed.day}: position {closed.position} has come to another result before",
        )
    return refuse(RefusalReason.ALREADY_SO, closed.result_digest)


def _prepare_day(books: AccountBooks, command: asked.PrepareDay) -> Decision:
    day = command.day
    close = books.closes.get(day)
    if close is None:
        return _wrong(f"{day}: found no close; expected a day that is closed")
    if day in books.certified:
        return refuse(RefusalReason.ALREADY_SO, "certified")
    if (unseen := _unseen(books, close, command.seen)) is not None:
        return unseen
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
        return refuse(RefusalReason.ALREADY_SO, f"prepared by {signed.posted.actor}")
    return (
        happened.DayPrepared(
            account=books.account,
            day=day,
            position=event.position,
            result_digest=event.result_digest,
            open_breaks=len(standing),
            note=command.note,
        ),
    )


def _certify_day(books: AccountBooks, command: asked.CertifyDay) -> Decision:
    """Approve a prepared day, as a person other than its preparer; this freezes the day."""
    day = command.day
    if day in books.certified:
        return refuse(RefusalReason.ALREADY_SO, f"certified by {books.certified[day].posted.actor}")
    close, signed = books.closes.get(day), books.prepared.get(day)
    if close is None or signed is None:
        return _wrong(f"{day}: found no preparation; expected a close that its preparer has signed")
    if (unseen := _unseen(books, close, command.seen)) is not None:
        return unseen
    if signed.event.position != close.event.position:
        return _wrong(
            f"{day}: found a preparation of position {signed.event.position}; expected one of "
            f"{close.event.position}, where the day was closed since"
        )
    if is_same_person(signed.posted.actor, command.actor):
        return _wrong(f"{day}: found the preparer ({command.actor}); expected another person to approve")
    if command.position != close.event.position:
        return _wrong(
            f"{day}: found a close at position {close.event.position}; expected the one at "
            f"{command.position}: the day was closed again meanwhile, look at it first"
        )
    if command.needs_checkpoint and command.checkpoint is None:
        return _wrong(
            f"{day}: found no signed checkpoint over position {close.event.position} yet; expected "
            "the one that audit_checkpoint makes within a minute"
        )
    return (
        happened.DayCertified(
            account=books.account,
            day=day,
            position=signed.event.position,
            result_digest=signed.event.result_digest,
            open_breaks=signed.event.open_breaks,
            checkpoint=command.checkpoint,
            note=command.note,
        ),
    )


def _unseen(books: AccountBooks, close: PostedClose, seen: asked.Seen | None) -> Refusal | None:
    """Refuse a signature under what the person has not seen."""
    day = close.event.day
    if seen is None or (
        seen.result_digest == close.event.result_digest and books.changed_at(close) <= seen.position
    ):
        return None
    return _wrong(
        f"{day}: found a change at log position {books.changed_at(close)}, after what you saw "
        f"(position {seen.position}, result {seen.result_digest[:16]}); expected none, look at the day again"
    )


def _wrong(detail: str) -> Refusal:
    return refuse(RefusalReason.WRONG_STATE, detail)
