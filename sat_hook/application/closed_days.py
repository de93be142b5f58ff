"""An account's closed days as the books have them: saldo, breaks, settlement files, and report versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from sat_hook.application.errors import DayNotClosedError
from sat_hook.application.pages import USUAL_PAGE, Page, cursor_of, limited, list_name, page_of, place_in
from sat_hook.application.rights import BOOK_READERS, Person
from sat_hook.application.service import Service
from sat_hook.domain.books import AccountBooks, PostedClose
from sat_hook.domain.books_events import BookedBreak, SaldoTerms
from sat_hook.domain.breaks import BreakState
from sat_hook.reconciliation.versions import Version, versions_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedDay:
    """The newest close of a day.

    :param position: of the log, up to which it was closed.
    :param unexplained_rupiah: None when the deposit was not observed at both ends.
    :param prepared_by: the actor who signed this close as its preparer.
    :param is_closed_again: whether an earlier close was prepared, and this one is not.
    :param adjusted_in: later days that post evidence about this one.
    """

    account: str
    day: date
    position: int
    orders: int
    open_breaks: int
    unexplained_rupiah: int | None
    prepared_by: str | None
    is_closed_again: bool
    certified_by: str | None
    adjusted_in: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class ClosedDayDetails:
    """A closed day with its saldo equation, and the versions of its report, the oldest first."""

    row: ClosedDay
    saldo: SaldoTerms | None
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakOfDay:
    """A break as a close has it. ``state`` includes later decisions; ``subject`` is the order it is about."""

    break_id: str
    category: str
    first_seen: date
    amount_rupiah: int
    state: BreakState
    subject: str
    what: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementFile:
    """A settlement file of a day. ``reason`` is why it does not count; None when it does."""

    name: str
    digest: str
    rows: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ClosedDays(Service):
    """The closed days of accounts, which are named by their connections or by their names in the log."""

    def days(
        self, named: str, person: Person, *, cursor: str | None = None, limit: int = USUAL_PAGE
    ) -> Page[ClosedDay]:
        """A page of the closed days of an account, the newest first."""
        person.require(*BOOK_READERS)
        books, limit = self._books(named), limited(limit)
        name = list_name("closed days", books.account)
        days = sorted(books.closes, reverse=True)
        if (last := place_in(name, cursor, tuple[str])) is not None:
            days = [day for day in days if (day.isoformat(),) < last]
        rows = [_row(books, books.closes[day]) for day in days[: limit + 1]]
        return page_of(name, rows, limit, lambda row: (row.day.isoformat(),))

    def day(self, named: str, day: date, person: Person) -> ClosedDayDetails:
        """One closed day.

        :raises DayNotClosedError: it is not closed.
        """
        person.require(*BOOK_READERS)
        account, keeper = self.account_of(named), self.keeper
        books = keeper.books(account)
        close = _close_of(books, day)
        return ClosedDayDetails(
            _row(books, close), close.event.saldo, tuple(versions_of(self.database, account, day))
        )

    def breaks(
        self,
        named: str,
        day: date,
        person: Person,
        *,
        every: bool = False,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[BreakOfDay]:
        """A page of the breaks that the close of a day has, earlier ones included.

        :param every: those too that people have resolved or written off.
        :raises DayNotClosedError: the day is not closed.
        """
        person.require(*BOOK_READERS)
        books, limit = self._books(named), limited(limit)
        close = _close_of(books, day)
        name = list_name("breaks of a day", books.account, day, close.event.position, every)
        (first,) = place_in(name, cursor, tuple[int]) or (0,)
        return _page_from(name, first, limit, _breaks(books, close, every=every))

    def settlement_files(self, named: str, day: date, person: Person) -> tuple[SettlementFile, ...]:
        """The settlement files of a day: those that count, then those that do not."""
        person.require(*BOOK_READERS)
        books = self._books(named)
        registered = books.registered_of(day)
        files = [
            SettlementFile(
                name=posted.event.name,
                digest=posted.event.digest,
                rows=posted.event.rows,
                reason="lost where it is kept" if books.is_lost(posted.event) else None,
            )
            for posted in registered
        ]
        known = {posted.event.digest for posted in registered}
        files += [
            SettlementFile(
                name=aside.event.name, digest=aside.event.digest, rows=None, reason=aside.event.reason
            )
            for aside in books.set_aside.values()
            if aside.event.day == day and aside.event.digest not in known
        ]
        return tuple(files)

    def _books(self, named: str) -> AccountBooks:
        return self.keeper.books(self.account_of(named))


def _close_of(books: AccountBooks, day: date) -> PostedClose:
    close = books.closes.get(day)
    if close is None:
        raise DayNotClosedError(f"found {day}; expected a day that is closed")
    return close


def _row(books: AccountBooks, close: PostedClose) -> ClosedDay:
    event, day = close.event, close.event.day
    prepared, certified = books.prepared.get(day), books.certified.get(day)
    is_prepared = prepared is not None and prepared.event.position == event.position
    return ClosedDay(
        account=books.account,
        day=day,
        position=event.position,
        orders=event.orders,
        open_breaks=sum(books.standing_of(item, close) is BreakState.OPEN for item in close.breaks),
        unexplained_rupiah=event.saldo.unexplained_rupiah if event.saldo else None,
        prepared_by=prepared.posted.actor if prepared is not None and is_prepared else None,
        is_closed_again=prepared is not None and not is_prepared,
        certified_by=certified.posted.actor if certified is not None else None,
        adjusted_in=tuple(books.adjusted_by(day)),
    )


def _breaks(
    books: AccountBooks, close: PostedClose, *, every: bool
) -> Iterable[tuple[BookedBreak, BreakState]]:
    for item in close.breaks:
        state = books.standing_of(item, close)
        if every or not state.is_final:
            yield item, state


def _page_from(
    name: str, first: int, limit: int, found: Iterable[tuple[BookedBreak, BreakState]]
) -> Page[BreakOfDay]:
    chosen: Sequence[tuple[BookedBreak, BreakState]] = list(found)[max(first, 0) :]
    following = cursor_of(name, (first + limit,)) if len(chosen) > limit else None
    return Page(tuple(_of_day(item, state) for item, state in chosen[:limit]), following)


def _of_day(item: BookedBreak, state: BreakState) -> BreakOfDay:
    return BreakOfDay(
        break_id=item.break_id,
        category=item.category.value,
        first_seen=item.first_seen,
        amount_rupiah=item.amount_rupiah,
        state=state,
        subject=item.order_id or item.request_id or "",
        what=item.what,
        ours=item.ours,
        theirs=item.theirs,
    )
