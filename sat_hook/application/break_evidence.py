"""One break with its evidence: ours, theirs, SAT's signed statuses, callbacks, the rows of the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sat_hook.application.break_rows import BreakRow, row_of
from sat_hook.application.breaks import Breaks
from sat_hook.application.order_details import OrderRow, order_row
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.application.service import Service
from sat_hook.domain.account import ForeignSpendSuspected, TopUpSeen
from sat_hook.domain.books import AccountBooks
from sat_hook.domain.books_events import (
    BookedBreak,
    BreakAssigned,
    BreakCommented,
    BreakDecided,
    BreakFileAttached,
    SaldoTerms,
    SettlementImported,
)
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay, business_day
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.order import Order
from sat_hook.domain.order_events import OrderSucceeded, SignedStatus
from sat_hook.domain.people import user_named
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.deposit_match import top_ups_between
from sat_hook.reconciliation.suggestions import BreakFacts, KnownTopUp, SeenMovement, Suggestion, suggestions
from sat_hook.store.batch_lists import BatchLists
from sat_hook.store.breaks import BreakTable, FoundBreak
from sat_hook.store.callbacks import CallbackSeen, PostgresCallbackInbox
from sat_hook.store.order_lists import FoundOrder

if TYPE_CHECKING:
    from sat_hook.reconciliation.settlement_rows import SettlementRows

MAXIMUM_READ_BYTES = 4 * 1024 * 1024
"""A larger settlement file is not read for one break; its row numbers are shown."""
MAXIMUM_ROWS = 20


@dataclass(frozen=True, slots=True)
class SignedSeen:
    """A status that SAT signed about the order, without goods.

    :param status: ``success``, ``failed`` or ``pending``.
    """

    status: str
    price_rupiah: int | None
    observed_at: datetime
    evidence_digest: str
    position: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of a settlement file as its mapping reads it; a row that cannot be read has only ``trouble``."""

    number: int
    kind: str
    status: str
    rupiah: int
    product_code: str
    moment: datetime | None
    trouble: str


@dataclass(frozen=True, slots=True)
class FileEvidence:
    """The settlement file that a break names.

    :param rows: those that the break names; empty when the file is too large, or lost.
    """

    name: str
    digest: str
    row_numbers: tuple[int, ...]
    rows: tuple[FileRow, ...]
    is_too_large: bool = False


@dataclass(frozen=True, slots=True)
class BreakEntry:
    """Something that a person did about a break: a decision, an assignment, a comment or a file.

    :param state: of a decision.
    :param text: the reason, the comment, the assignee or the file's name.
    """

    kind: str
    at: datetime
    user: str
    text: str
    state: BreakState | None = None
    digest: str = ""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakDetails:
    """A break with all that is known about it.

    :param order: None when it is about no order of ours, or the person may not see orders.
    :param saldo: the equation of its day, when it is about the deposit.
    :param is_listed: False when its day was closed again without it.
    """

    row: BreakRow
    closed_day: date
    positions: tuple[int, ...]
    response_digest: str | None
    order: OrderRow | None
    sent_at: datetime | None
    signed: tuple[SignedSeen, ...]
    callbacks: tuple[CallbackSeen, ...]
    file: FileEvidence | None
    saldo: SaldoTerms | None
    suggestions: tuple[Suggestion, ...]
    entries: tuple[BreakEntry, ...]
    is_listed: bool


@dataclass(frozen=True, slots=True)
class BreakEvidenceReader(Service):
    """Reads what a break rests on."""

    def read(self, break_id: str, person: Person) -> BreakDetails:
        """A break with its evidence.

        :raises BreakNotFoundError: there is none.
        """
        person.require(*BOOK_READERS)
        found = Breaks(self.installation).find(break_id)
        store = self.store
        books = self.keeper.books_without_breaks(found.account)
        order = self._order(found.booked)
        recorded = store.read_stream(StreamId(StreamKind.ORDER, order.request_id)) if order else []
        close = books.closes.get(found.booked.day)
        table = BreakTable(store.database)
        today = business_day(store.database_time())
        return BreakDetails(
            row=row_of(found, today),
            closed_day=found.closed_day,
            positions=found.booked.evidence.positions,
            response_digest=found.booked.evidence.response_digest,
            order=self._order_row(order, recorded, person),
            sent_at=order.first_sent_at if order else None,
            signed=tuple(_signed(recorded)),
            callbacks=tuple(PostgresCallbackInbox(store.database).seen_of(order.account, order.request_id))
            if order
            else (),
            file=self._file(found.booked, books),
            saldo=close.event.saldo if close is not None and found.booked.match.value == "saldo" else None,
            suggestions=self._suggestions(found, books, order, today),
            entries=tuple(_entries(table.acts_about(self.keeper.stream(found.account), break_id))),
            is_listed=found.is_listed,
        )

    def _order(self, booked: BookedBreak) -> Order | None:
        if booked.request_id is None:
            return None
        return self.store.load_orders([booked.request_id]).get(booked.request_id)

    def _order_row(
        self, order: Order | None, recorded: Sequence[RecordedEvent], person: Person
    ) -> OrderRow | None:
        if order is None or not person.has(Right.VIEW):
            return None
        lists = BatchLists(self.database)
        batch = lists.batches_of([order.batch_id]).get(order.batch_id)
        found = FoundOrder(order, recorded[-1].occurred_at, "" if batch is None else batch.batch.file_name)
        return order_row(found, with_number=person.has(Right.VIEW_NUMBERS))

    def _file(self, booked: BookedBreak, books: AccountBooks) -> FileEvidence | None:
        place = booked.evidence
        if place.file_name is None:
            return None
        imported = next(
            (
                item.event
                for item in reversed(books.settlements)
                if item.event.digest == place.file_digest and item.event.name == place.file_name
            ),
            None,
        )
        rows: tuple[FileRow, ...] = ()
        is_too_large = imported is not None and imported.size_bytes > MAXIMUM_READ_BYTES
        if imported is not None and place.file_rows and not is_too_large:
            rows = self._rows(imported, place.file_rows[:MAXIMUM_ROWS])
        return FileEvidence(place.file_name, place.file_digest or "", place.file_rows, rows, is_too_large)

    def _rows(self, imported: SettlementImported, numbers: Sequence[int]) -> tuple[FileRow, ...]:
        # pandas is loaded by the first file, not with the server.
        from sat_hook.reconciliation.errors import SettlementRefusedError
        from sat_hook.reconciliation.settlement import load_settlement
        from sat_hook.store.errors import SpoolError

        try:
            read = load_settlement(self.installation.results(), imported)
        except (SettlementRefusedError, SpoolError):
            return ()  # a break of its own says that the file is lost
        return tuple(rows_shown(read, numbers))

    def _suggestions(
        self, found: FoundBreak, books: AccountBooks, order: Order | None, today: date
    ) -> tuple[Suggestion, ...]:
        if found.state.is_final:
            return ()
        close = books.closes.get(found.booked.day)
        cut_off = close.event.cut_off_minutes if close is not None else 0
        terms = close.event.saldo if close is not None else None
        movements: tuple[SeenMovement, ...] = ()
        top_ups: tuple[KnownTopUp, ...] = ()
        if terms is not None:
            since, until = terms.opening_observed_at, terms.closing_observed_at
            movements = tuple(
                seen for seen in self._movements(found.account) if since < seen.observed_at <= until
            )
            top_ups = tuple(
                KnownTopUp(item.event.reference, item.event.amount_rupiah, item.event.credited_at)
                for item in top_ups_between(books, since, until)
            )
        return suggestions(
            BreakFacts(
                booked=found.booked,
                day=BusinessDay(found.booked.day, cut_off),
                today=today,
                order_state=None if order is None else order.state,
                sent_at=None if order is None else order.first_sent_at,
                ended_at=None if order is None else order.evidence_at,
                file_days=frozenset(item.event.day for item in books.settlements),
                movements=movements,
                top_ups=top_ups,
            )
        )

    def _movements(self, account: str) -> list[SeenMovement]:
        """What the deposit did that our own orders do not explain."""
        store = self.store
        types = (TopUpSeen.__name__, ForeignSpendSuspected.__name__)
        recorded = store.read_stream_of(BookKeeper.stream(account), types)
        return [
            SeenMovement(event.found_rupiah - event.expected_rupiah, event.observed_at)
            for event in (item.event for item in recorded)
            if isinstance(event, TopUpSeen | ForeignSpendSuspected)
        ]


def rows_shown(read: SettlementRows, numbers: Sequence[int]) -> list[FileRow]:
    """Rows of a settlement file by their numbers in it, without customers' numbers."""
    import pandas as pd

    frame = read.frame[read.frame["file_row"].isin(list(numbers))]
    # A row is named by the columns, so it has no type of its own.
    rows: list[Any] = list(frame.itertuples())
    return [
        FileRow(
            number=int(row.file_row),
            kind=row.kind,
            status=row.status,
            rupiah=int(row.rupiah),
            product_code=row.product_code,
            moment=None if pd.isna(row.moment) else row.moment.to_pydatetime(),
            trouble=row.trouble,
        )
        for row in rows
    ]


def _signed(recorded: Sequence[RecordedEvent]) -> list[SignedSeen]:
    found = []
    for item in recorded:
        event = item.event
        if isinstance(event, SignedStatus):
            status = "success" if isinstance(event, OrderSucceeded) else _WORDS.get(event.type_name, "other")
            found.append(
                SignedSeen(
                    status, event.sales_price_rupiah, event.observed_at, event.evidence_digest, item.position
                )
            )
    return found


_WORDS = {"OrderPending": "pending", "OrderFailed": "failed", "OrderReversed": "failed"}


def _entries(recorded: Sequence[RecordedEvent]) -> list[BreakEntry]:
    entries = []
    for item in recorded:
        user, at = user_named(item.provenance.actor) or item.provenance.actor, item.occurred_at
        match item.event:
            case BreakDecided(state=state, reason=reason):
                entries.append(BreakEntry("decided", at, user, reason, state))
            case BreakAssigned(assignee=assignee):
                entries.append(BreakEntry("assigned", at, user, assignee))
            case BreakCommented(note=note):
                entries.append(BreakEntry("comment", at, user, note))
            case BreakFileAttached(name=name, digest=digest, size_bytes=size):
                entries.append(BreakEntry("file", at, user, name, None, digest, size))
    return entries
