"""Top-ups of deposits: recorded by hand or from a bank's statement, matched with rises, reversed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from sat_hook.application.pages import USUAL_PAGE, Page, limited, list_name, page_of, place_in
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.application.service import Service
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.account import TopUpSeen
from sat_hook.domain.books_events import TopUpRecorded, TopUpReversed
from sat_hook.domain.business_day import WIB
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.people import user_named
from sat_hook.reconciliation import book_commands
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.top_up_match import Rise, match_rises

if TYPE_CHECKING:
    from sat_hook.reconciliation.bank_statement import LineTrouble, StatementLine

MAXIMUM_RECORDED_AT_ONCE = 500
NOON = time(12)
"""A statement that gives only days: the top-up counts from noon WIB, unless a rise says when it came."""

_TYPES = (TopUpRecorded.__name__, TopUpReversed.__name__, TopUpSeen.__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpRow:
    """A recorded top-up.

    :param recorded_by: the user; a service otherwise.
    :param rise: the rise of the deposit that it is matched with.
    :param reversed_by: who reversed it, and why and when; None while it counts.
    """

    account: str
    reference: str
    rupiah: int
    credited_at: datetime
    note: str
    recorded_by: str
    recorded_at: datetime
    position: int
    rise: Rise | None = None
    reversed_by: str | None = None
    reversed_at: datetime | None = None
    reversal_reason: str = ""


@dataclass(frozen=True, slots=True)
class TopUpPage(Page[TopUpRow]):
    """A page of top-ups, the last credited first.

    :param rises: rises of the deposit for which no top-up is recorded, the newest first.
    """

    rises: tuple[tuple[str, Rise], ...] = ()


@dataclass(frozen=True, slots=True)
class OfferedTopUp:
    """A line of a statement that may be a top-up.

    :param credited_at: the bank's time; from a matched rise, or noon, when the bank gives only a day.
    :param is_known: a top-up of this reference is recorded.
    """

    line: StatementLine
    credited_at: datetime
    rise: Rise | None
    is_known: bool

    @property
    def rupiah(self) -> int:
        """Its amount, without a sign."""
        return abs(self.line.rupiah)


@dataclass(frozen=True, slots=True)
class ReadStatement:
    """A bank's statement beside what is recorded."""

    account: str
    kind: str
    offered: tuple[OfferedTopUp, ...]
    troubles: tuple[LineTrouble, ...]


@dataclass(frozen=True, slots=True)
class NewTopUp:
    """A top-up to be recorded."""

    reference: str
    rupiah: int
    credited_at: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of several top-ups: each that is refused costs only itself."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Dated:
    """A movement for the match."""

    rupiah: int
    credited_at: datetime


@dataclass(frozen=True, slots=True)
class TopUps(Service):
    """Top-ups of all accounts."""

    def accounts(self, person: Person) -> list[str]:
        """The accounts that have books, by name."""
        person.require(*BOOK_READERS)
        return self.store.accounts_with_events()

    def page(
        self,
        person: Person,
        *,
        account: str | None = None,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> TopUpPage:
        """A page of top-ups, the last credited first, and rises that have none."""
        person.require(*BOOK_READERS)
        name = list_name("top-ups", account)
        place = place_in(name, cursor, tuple[datetime, int])
        limit = limited(limit)
        accounts = self.accounts(person) if account is None else [self.account_of(account)]
        rows: list[TopUpRow] = []
        rises: list[tuple[str, Rise]] = []
        for one in accounts:
            of_account, unmatched = self._of(one)
            rows += of_account
            rises += [(one, rise) for rise in unmatched]
        rows.sort(key=_place, reverse=True)
        following = [row for row in rows if place is None or _place(row) < place]
        rises.sort(key=lambda item: item[1].observed_at, reverse=True)
        page = page_of(name, following, limit, _place)
        return TopUpPage(page.items, page.next, tuple(rises[:limit]))

    def reverse(self, named: str, reference: str, reason: str, person: Person) -> bool:
        """Reverse a wrong top-up by a second entry; False when it is reversed already.

        :raises BooksRefusedError: no top-up has this reference.
        """
        person.require(Right.FINANCE)
        return book_commands.reverse_top_up(
            self.keeper,
            self.account_of(named),
            reference,
            checked_reason(reason),
            person.by("reverse-top-up"),
        )

    def read(self, named: str, name: str, content: bytes, person: Person) -> ReadStatement:
        """Read a bank's statement, and hold its lines against rises and recorded top-ups. Records nothing.

        :raises StatementRefusedError: the file cannot be read.
        """
        person.require(Right.FINANCE)
        # pandas is loaded by the first statement, not with the server.
        from sat_hook.reconciliation.bank_statement import read_statement

        account = self.account_of(named)
        statement, now = read_statement(content, name), self.store.database_time()
        rows, rises = self._of(account)
        known = {row.reference.casefold() for row in rows if row.reversed_by is None}
        unknown = [line for line in statement.lines if line.reference.casefold() not in known]
        dated = [_Dated(line.rupiah, line.at or _at(line, time())) for line in unknown]
        matched = {unknown[place].number: rise for place, rise in match_rises(dated, rises).items()}
        return ReadStatement(
            account,
            statement.kind,
            tuple(
                _offered(line, matched.get(line.number), now, is_known=line.reference.casefold() in known)
                for line in statement.lines
            ),
            statement.troubles,
        )

    def record(self, named: str, top_ups: Sequence[NewTopUp], reason: str, person: Person) -> Recorded:
        """Record several top-ups. One that is refused costs only itself.

        :raises BooksRefusedError: there are too many.
        :raises ReasonRefusedError: no reason is given.
        """
        person.require(Right.FINANCE)
        if not 0 < len(top_ups) <= MAXIMUM_RECORDED_AT_ONCE:
            raise BooksRefusedError(
                f"top-ups: found {len(top_ups)}; expected 1 to {MAXIMUM_RECORDED_AT_ONCE} at once"
            )
        note, account, keeper = checked_reason(reason), self.account_of(named), self.keeper
        new: list[str] = []
        known: list[str] = []
        refused: list[tuple[str, str]] = []
        for one in top_ups:
            try:
                is_new = book_commands.top_up(
                    keeper,
                    account,
                    reference=one.reference,
                    amount_rupiah=one.rupiah,
                    credited_at=one.credited_at,
                    note=note,
                    provenance=person.by("top-up"),
                )
            except BooksRefusedError as error:
                refused.append((one.reference, str(error)))
            else:
                (new if is_new else known).append(one.reference)
        return Recorded(tuple(new), tuple(known), tuple(refused))

    def _of(self, account: str) -> tuple[list[TopUpRow], list[Rise]]:
        """The top-ups of an account with the rises that they are matched with, and the other rises."""
        recorded = self.store.read_stream_of(BookKeeper.stream(account), _TYPES)
        rows = _rows(recorded)
        standing = [place for place, row in enumerate(rows) if row.reversed_by is None]
        rises = [
            Rise(event.found_rupiah - event.expected_rupiah, event.compared_with, event.observed_at)
            for event in (item.event for item in recorded)
            if isinstance(event, TopUpSeen)
        ]
        matched = match_rises([rows[place] for place in standing], rises)
        for at, rise in matched.items():
            place = standing[at]
            rows[place] = replace(rows[place], rise=rise)
        taken = set(matched.values())
        return rows, [rise for rise in rises if rise not in taken]


def _rows(recorded: Sequence[RecordedEvent]) -> list[TopUpRow]:
    rows: list[TopUpRow] = []
    for item in recorded:
        by = user_named(item.provenance.actor) or item.provenance.actor
        match item.event:
            case TopUpRecorded() as event:
                rows.append(
                    TopUpRow(
                        account=event.account,
                        reference=event.reference,
                        rupiah=event.amount_rupiah,
                        credited_at=event.credited_at,
                        note=event.note,
                        recorded_by=by,
                        recorded_at=item.occurred_at,
                        position=item.position,
                    )
                )
            case TopUpReversed() as event:
                place = next(at for at in reversed(range(len(rows))) if rows[at].reference == event.reference)
                rows[place] = replace(
                    rows[place],
                    reversed_by=by,
                    reversed_at=item.occurred_at,
                    reversal_reason=event.reason,
                )
    return rows


def _place(row: TopUpRow) -> tuple[datetime, int]:
    return row.credited_at, row.position


def _at(line: StatementLine, moment: time) -> datetime:
    return datetime.combine(line.day, moment, WIB)


def _offered(line: StatementLine, rise: Rise | None, now: datetime, *, is_known: bool) -> OfferedTopUp:
    at = line.at
    if at is None:
        at = min(_at(line, NOON), now)
        if rise is not None and not rise.since < at <= rise.observed_at:
            at = rise.observed_at - timedelta(seconds=1)
    return OfferedTopUp(line, at, rise, is_known)
