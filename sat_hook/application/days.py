"""An account's business days as finance sees them: how each stands, what it waits for, and its closing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sat_hook.application.installation import names_of
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.application.runs import CLOSING_DAG, Run, Runs, RunTask
from sat_hook.application.service import Service, clock_on
from sat_hook.domain.books import AccountBooks, fold_books
from sat_hook.domain.business_day import BusinessDay, midnight
from sat_hook.domain.people import user_named
from sat_hook.reconciliation.deposit_match import look_near
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.store.books import DayStore
from sat_hook.store.breaks import BreakTable
from sat_hook.store.log_pages import LAST_POSITION

MAXIMUM_CLOSINGS = 50
"""Runs that people may start to close one day."""

_ONE_DAY = timedelta(days=1)


class DayState(StrEnum):
    """How a day stands."""

    NOT_BEGUN = "not_begun"
    """It is before the account's first entry, or in the future."""
    RUNNING = "running"
    """It is not over."""
    OPEN = "open"
    """It is over and not closed."""
    WITH_BREAKS = "with_breaks"
    """It is closed and has open breaks, or a saldo that is not explained."""
    CLOSED = "closed"
    PREPARED = "prepared"
    SIGNED = "signed"


class WaitKind(StrEnum):
    """What a day still waits for."""

    SETTLEMENT = "settlement"
    SALDO = "saldo"
    IN_FLIGHT = "in_flight"


class Wait(NamedTuple):
    """Something that a day still waits for. ``orders`` are those in flight."""

    kind: WaitKind
    orders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRow:
    """A day of an account. Facts of its newest close are None while it is not closed.

    :param open_breaks: without those that people have decided since the close.
    :param unexplained_rupiah: of the saldo; None also when the deposit was not observed at both ends.
    :param seen_position: of the newest event of the books that this shows, for signatures.
    :param prepared_by: who signed the newest close as its preparer.
    :param is_closed_again: whether an earlier close was prepared, and the newest one is not.
    :param adjusted_in: later days that post evidence about this one, which was signed.
    :param adjusts: signed days about which this one posts later evidence, with the number of items.
    """

    account: str
    day: date
    state: DayState
    waits: tuple[Wait, ...]
    seen_position: int
    closed_at: datetime | None = None
    position: int | None = None
    result_digest: str | None = None
    orders: int | None = None
    open_breaks: int | None = None
    unexplained_rupiah: int | None = None
    prepared_by: str | None = None
    signed_by: str | None = None
    is_closed_again: bool = False
    adjusted_in: tuple[date, ...] = ()
    adjusts: Mapping[date, int]


@dataclass(frozen=True, slots=True)
class Closing:
    """A run that closes a day, and its tasks in any order."""

    run: Run
    tasks: tuple[RunTask, ...]


@dataclass(frozen=True, slots=True)
class Days(Service):
    """The days of accounts."""

    def month(self, named: str, month: date, person: Person) -> tuple[DayRow, ...]:
        """Every day of a month.

        :param month: any day of it.
        """
        first = month.replace(day=1)
        last = (first + 31 * _ONE_DAY).replace(day=1) - _ONE_DAY
        return self._days(named, first, last, person)

    def day(self, named: str, day: date, person: Person) -> DayRow:
        (row,) = self._days(named, day, day, person)
        return row

    def close(self, named: str, day: date, person: Person, runs: Runs) -> Run:
        """Start a run that closes a day, or closes it again. While any run does so, return that one.

        :raises BooksRefusedError: the day is not over, or is signed.
        :raises RunsError: Airflow refuses.
        """
        person.require(Right.FINANCE)
        row = self.day(named, day, person)
        if row.state in (DayState.NOT_BEGUN, DayState.RUNNING):
            raise BooksRefusedError(f"{day}: found a day that is not over; expected one that has ended")
        if row.state is DayState.SIGNED:
            raise BooksRefusedError(
                f"{day}: found a day that {row.signed_by} has signed; expected one that may still change"
            )
        connection = names_of(self.installation.accounts, named).connection
        if (run := _under_way(runs, connection, day)) is not None:
            return run
        conf: dict[str, Any] = {"accounts": [connection], "day": day.isoformat()}
        books = self._books(row.account, day, day)
        minutes = cut_off_of(books, day)
        if minutes:
            conf["cut_off_minutes"] = minutes
        for number in range(1, MAXIMUM_CLOSINGS + 1):
            run_id = _run_id(connection, day, number)
            is_new = runs.start(CLOSING_DAG, run_id, conf, note=f"started by {person.name} in the console")
            run = runs.find(CLOSING_DAG, run_id)
            if run is not None and (is_new or not run.state.is_final):
                return run
        raise BooksRefusedError(
            f"{day}: found {MAXIMUM_CLOSINGS} runs that people started; expected fewer, "
            f"start {CLOSING_DAG} in Airflow"
        )

    def closing(self, named: str, day: date, person: Person, runs: Runs) -> Closing | None:
        """The run that closes a day now, else the last that was started from here; None when there is none.

        :raises RunsError: Airflow refuses.
        """
        person.require(*BOOK_READERS)
        connection = names_of(self.installation.accounts, named).connection
        found = _under_way(runs, connection, day)
        for number in range(1, MAXIMUM_CLOSINGS + 1) if found is None else ():
            run = runs.find(CLOSING_DAG, _run_id(connection, day, number))
            if run is None:
                break
            found = run
        return found and Closing(found, tuple(runs.tasks(CLOSING_DAG, found.run_id)))

    def _days(self, named: str, first: date, last: date, person: Person) -> tuple[DayRow, ...]:
        person.require(*BOOK_READERS)
        store = self.store
        account = self.account_of(named)
        head = DayStore(store.database).head(account)
        books = self._books(account, first, last, head)
        in_flight = DayStore(store.database).in_flight_by_day(account, cut_off_of(books, last))
        now = clock_on(store).now()
        begun = _first_day(books, in_flight)
        days = [first + number * _ONE_DAY for number in range((last - first).days + 1)]
        with_open = {
            day: close.posted.position for day, close in books.closes.items() if close.event.open_breaks
        }
        decided = self._decided(account, {day: at for day, at in with_open.items() if first <= day <= last})
        return tuple(
            _row(
                books,
                day,
                now,
                seen_position=head,
                begun=begun is not None and begun <= day,
                decided=decided.get(day, 0),
                in_flight=in_flight.get(day, 0),
            )
            for day in days
        )

    def _books(
        self, account: str, first: date, last: date, up_to_position: int = LAST_POSITION
    ) -> AccountBooks:
        """The books without breaks and decisions about them, with the deposits of some days."""
        recorded = DayStore(self.database).day_events(
            account,
            midnight(first - _ONE_DAY),
            midnight(last + 3 * _ONE_DAY),
            up_to_position=up_to_position,
        )
        return fold_books(account, recorded)

    def _decided(self, account: str, closes: Mapping[date, int]) -> dict[date, int]:
        """How many of the breaks that were open at each close people have decided since.

        :param closes: their positions.
        """
        if not closes:
            return {}
        table = BreakTable(self.database)
        table.catch_up()
        return table.decided_since(account, closes)


def cut_off_of(books: AccountBooks, day: date) -> int:
    """The cut-off that a day was closed with, in minutes after midnight; else that of the last day before."""
    known = books.closes.get(day) or books.before(day)
    return known.event.cut_off_minutes if known is not None else 0


def _under_way(runs: Runs, connection: str, day: date) -> Run | None:
    """The run that closes this day of this account now, however it was started."""
    for run in runs.under_way(CLOSING_DAG):
        if run.conf.get("day") == day.isoformat() and connection in (
            run.conf.get("accounts") or [connection]
        ):
            return run
    return None


def _run_id(connection: str, day: date, number: int) -> str:
    return f"close_{connection}_{day.isoformat()}_{number}"


def _first_day(books: AccountBooks, in_flight: Mapping[date, int]) -> date | None:
    """The first day of which the books know anything, among those that were read."""
    known = [*books.closes, *in_flight, *(posted.event.day for posted in books.settlements)]
    known += [BusinessDay.of(look.event.requested_at).day for look in books.observations[:1]]
    return min(known, default=None)


def _row(
    books: AccountBooks,
    day: date,
    now: datetime,
    *,
    seen_position: int,
    begun: bool,
    decided: int,
    in_flight: int,
) -> DayRow:
    business_day = BusinessDay(day, cut_off_of(books, day))
    close = books.closes.get(day)
    prepared, signed = books.prepared.get(day), books.certified.get(day)
    is_prepared = (
        close is not None and prepared is not None and prepared.event.position == close.event.position
    )
    open_breaks = None if close is None else close.event.open_breaks - decided
    saldo = close.event.saldo if close is not None else None
    state = DayState.OPEN
    if business_day.opens_at > now:
        state = DayState.NOT_BEGUN
    elif business_day.closes_at > now:
        state = DayState.RUNNING
    elif signed is not None:
        state = DayState.SIGNED
    elif is_prepared:
        state = DayState.PREPARED
    elif close is not None:
        is_clean = not open_breaks and saldo is not None and not saldo.unexplained_rupiah
        state = DayState.CLOSED if is_clean else DayState.WITH_BREAKS
    elif not begun:
        state = DayState.NOT_BEGUN
    waits: tuple[Wait, ...] = ()
    if state not in (DayState.NOT_BEGUN, DayState.RUNNING, DayState.SIGNED):
        waits = _waits(books, business_day, in_flight)
    return DayRow(
        account=books.account,
        day=day,
        state=state,
        waits=waits,
        seen_position=seen_position,
        closed_at=close.posted.at if close else None,
        position=close.event.position if close else None,
        result_digest=close.event.result_digest if close else None,
        orders=close.event.orders if close else None,
        open_breaks=open_breaks,
        unexplained_rupiah=saldo.unexplained_rupiah if saldo else None,
        prepared_by=user_named(prepared.posted.actor) if is_prepared and prepared else None,
        signed_by=user_named(signed.posted.actor) if signed else None,
        is_closed_again=prepared is not None and not is_prepared and signed is None,
        adjusted_in=tuple(books.adjusted_by(day)),
        adjusts=close.event.adjusted_days if close else {},
    )


def _waits(books: AccountBooks, day: BusinessDay, in_flight: int) -> tuple[Wait, ...]:
    waits = []
    if not books.settlements_of(day.day):
        waits.append(Wait(WaitKind.SETTLEMENT))
    if look_near(books, day.closes_at) is None:
        waits.append(Wait(WaitKind.SALDO))
    if in_flight:
        waits.append(Wait(WaitKind.IN_FLIGHT, in_flight))
    return tuple(waits)
