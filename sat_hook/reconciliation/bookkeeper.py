"""Reads accounts' books from the log, and appends to them under the stream's version."""

from __future__ import annotations

from datetime import date, timedelta

from sat_hook.commands.aggregates import books_aggregate
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.books import AccountBooks, fold_books
from sat_hook.domain.books_commands import BooksCommand
from sat_hook.domain.books_events import BooksEvent, DepositObserved
from sat_hook.domain.decision import Record, RefusalReason
from sat_hook.domain.event_record import (
    Event,
    Provenance,
    RecordedEvent,
    StreamId,
    StreamKind,
    registered_events,
)
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.ports import Clock
from sat_hook.reconciliation.errors import BooksRefusedError, ClocksApartError, NotReproducedError
from sat_hook.store.days import input_position
from sat_hook.store.postgres import PostgresEventStore

CLOCK_TOLERANCE = timedelta(minutes=5)
_OF_BREAKS = {
    "BreaksRecorded",
    "BreakDecided",
    "BreakAssigned",
    "BreakCommented",
    "BreakFileAttached",
    "BreakFileTaken",
}
_WITHOUT_BREAKS = sorted(
    {name for (name, _), kind in registered_events().items() if issubclass(kind, BooksEvent)}
    - {*_OF_BREAKS, DepositObserved.__name__}
)


class BookKeeper:
    """The books of all accounts of one event store."""

    def __init__(self, store: PostgresEventStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._handler = CommandHandler(store, clock)

    def recorded(self, account: str) -> list[RecordedEvent]:
        """Return the account's stream, by version."""
        return self.store.read_stream(self.stream(account))

    @staticmethod
    def stream(account: str) -> StreamId:
        return StreamId(StreamKind.ACCOUNT, account_id_of(account))

    def books(self, account: str) -> AccountBooks:
        """Return the books as they are now."""
        return fold_books(account, self.recorded(account))

    def books_without_breaks(self, account: str) -> AccountBooks:
        """Return the books without breaks and observations, which make up nearly all of a stream's bytes."""
        return fold_books(account, self.store.read_stream_of(self.stream(account), _WITHOUT_BREAKS))

    def post(self, account: str, command: BooksCommand, provenance: Provenance) -> tuple[Event, ...]:
        """Append the events of a command. Returns them; none when nothing changed.

        :raises BooksRefusedError: the books do not allow it.
        :raises NotReproducedError: a close differs from an earlier one at the same position.
        :raises ContentionError: the books kept changing.
        """
        result = self._handler.apply_to(books_aggregate(account), account_id_of(account), command, provenance)
        if result.refusal is None or result.refusal.reason is RefusalReason.ALREADY_SO:
            return result.events
        if result.refusal.reason is RefusalReason.NOT_REPRODUCED:
            raise NotReproducedError(result.refusal.detail)
        raise BooksRefusedError(result.refusal.detail)

    def observe(self, event: DepositObserved, provenance: Provenance) -> tuple[Event, ...]:
        """Append an observation of a deposit, unless the books have a later one.

        :raises ClocksApartError: it was dated by a clock that differs from the database's. With a clock that
            is ahead, it would outrank every observation until its moment has come.
        """
        now = self.store.database_time()
        if abs(now - event.received_at) > CLOCK_TOLERANCE:
            raise ClocksApartError(
                f"the deposit of account {event.account!r}: found a look of {event.received_at:%F %T} UTC on "
                f"this machine's clock; expected one within {CLOCK_TOLERANCE} of the database's {now:%F %T}"
            )
        return self.post(event.account, Record(event), provenance)

    def input_position(self, day: date) -> int:
        """Return the last settled position that may change the close of ``day``; 0 when the log is empty."""
        return input_position(self.store.database, self.store.close_position(), day)
