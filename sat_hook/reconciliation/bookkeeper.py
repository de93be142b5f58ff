"""Keeps the books of accounts: reads them from the log, and adds to them under the stream's version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from sat_hook.domain.account import AccountStanding, evolve_account
from sat_hook.domain.books import AccountBooks, fold_books, record_observation
from sat_hook.domain.books_events import BOOKKEEPING, DepositObserved
from sat_hook.domain.event import Event
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId, StreamKind
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.order import Refusal, RefusalReason
from sat_hook.domain.ports import Clock
from sat_hook.reconciliation.errors import BooksMovedError, BooksRefusedError, ClocksApartError
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries

ROUNDS = 10
CLOCK_TOLERANCE = timedelta(minutes=5)

Decide = Callable[[AccountBooks], "tuple[Event, ...] | Refusal"]


class BookKeeper:
    """The books of all accounts of one event store."""

    def __init__(self, store: PostgresEventStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    def recorded(self, account: str) -> list[RecordedEvent]:
        """The account's stream, by version."""
        return self.store.read_stream(_stream(account))

    def books(self, account: str) -> AccountBooks:
        """The books as they stand."""
        return fold_books(account, self.recorded(account))

    def post(self, account: str, decide: Decide, provenance: Provenance) -> tuple[Event, ...]:
        """Add what ``decide`` makes of the books; returns the events, none when it was so already.

        :raises BooksRefusedError: when the books do not allow it.
        :raises BooksMovedError: when they kept changing.
        """
        stream = _stream(account)
        for _ in range(ROUNDS):
            books = self.books(account)
            answer = decide(books)
            if isinstance(answer, Refusal):
                if answer.reason is RefusalReason.ALREADY_SO:
                    return ()
                raise BooksRefusedError(answer.detail)
            standing = self.store.load_account(stream.key) or AccountStanding(
                account_id=stream.key, account=account
            )
            if standing.version != books.version:
                continue
            after = standing
            for event in answer:
                after = evolve_account(after, event)
            change = Change(stream, books.version, answer, after)
            if not self.store.append([change], provenance, self.clock.now()):
                return answer
        raise BooksMovedError(f"the books of account {account!r} kept changing while they were added to")

    def observe(self, event: DepositObserved, provenance: Provenance) -> tuple[Event, ...]:
        """Add a look at a deposit; nothing when a later one is there already.

        :raises ClocksApartError: when it was dated by a clock that differs from the database's: one that is
            ahead would outrank every look until its moment has come.
        """
        with self.store.database.transaction() as connection:
            now: datetime = queries("reconciliation").database_time(connection)
        if abs(now - event.received_at) > CLOCK_TOLERANCE:
            raise ClocksApartError(
                f"the deposit of account {event.account!r}: found a look of {event.received_at:%F %T} UTC on "
                f"this machine's clock; expected one within {CLOCK_TOLERANCE} of the database's {now:%F %T}"
            )
        return self.post(event.account, lambda books: record_observation(books, event), provenance)

    def input_position(self, day: date) -> int:
        """The last settled position that may change the close of ``day``; 0 when the log is empty."""
        closed = self.store.close_position()
        with self.store.database.transaction() as connection:
            found = queries("reconciliation").input_position(
                connection, closed_position=closed, day=day.isoformat(), bookkeeping=list(BOOKKEEPING)
            )
        return int(found or 0)


def _stream(account: str) -> StreamId:
    return StreamId(StreamKind.ACCOUNT, account_id_of(account))
