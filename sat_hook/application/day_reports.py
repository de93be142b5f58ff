"""A closed day as people read and sign it: figures, the rows behind them, files, what changed since."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sat_hook.application.day_books import MAXIMUM_ORDERS_ON_REQUEST, DayBooks, Signature
from sat_hook.application.days import DayRow, Days, DayState
from sat_hook.application.errors import CursorError
from sat_hook.application.pages import cursor_of, place_in
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.application.service import Service
from sat_hook.domain.books import PostedClose, fold_books
from sat_hook.domain.books_commands import Seen
from sat_hook.domain.books_events import BookedBreak, BreakDecided, DayClosed, DayPrepared
from sat_hook.domain.people import is_same_login
from sat_hook.presentation.language import Language
from sat_hook.reconciliation.day_figures import TOTALLED, DayFigures, OrderGroup, rows_from
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.model import ORDER_COLUMNS, Adjustment
from sat_hook.reconciliation.versions import Version, as_decided, version_numbered, versions_of
from sat_hook.store.books import NOT_READ, DayStore

if TYPE_CHECKING:
    from sat_hook.reconciliation.kept_reports import KeptReport

ROWS_PER_PAGE = 100
MAXIMUM_DAYS_SIGNED = 31


class FileKind(StrEnum):
    """A file of a day's report."""

    WORKBOOK = "xlsx"
    PDF = "pdf"
    BREAKS = "breaks"
    ORDERS = "orders"


class Changes(NamedTuple):
    """What happened to a day since it was prepared; pairs are before and after.

    :param decisions: about its breaks.
    :param new_breaks: of the newest close, which the prepared one did not have.
    :param gone_breaks: the reverse.
    """

    since: Version
    orders: tuple[int, int]
    unexplained_rupiah: tuple[int | None, int | None]
    new_breaks: tuple[BookedBreak, ...]
    gone_breaks: tuple[BookedBreak, ...]
    decisions: tuple[Version, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether the day is as it was prepared."""
        return not (self.decisions or self.new_breaks or self.gone_breaks) and all(
            before == after for before, after in (self.orders, self.unexplained_rupiah)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReport:
    """A version of a closed day's report.

    :param version: the one that is shown; ``versions`` are all, the oldest first.
    :param may_sign: the signature that the person may add now.
    :param adjusted: evidence that later days posted about this one, with those days.
    """

    row: DayRow
    figures: DayFigures
    version: Version
    versions: tuple[Version, ...]
    changes: Changes | None
    may_sign: Signature | None
    adjusted: tuple[tuple[date, Adjustment], ...]


@dataclass(frozen=True, slots=True)
class OrderChoice:
    """Which orders of a day: those behind a figure. None chooses all.

    :param term: the name of a column of :data:`TOTALLED`: orders for which it is not 0.
    """

    product: str | None = None
    state: str | None = None
    evidence: str | None = None
    settlement: str | None = None
    term: str | None = None

    def chooses(self, group: OrderGroup) -> bool:
        """Whether a group's orders are chosen."""
        return (
            self.product in (None, group.product_code)
            and self.state in (None, group.state)
            and self.evidence in (None, group.evidence)
            and self.settlement in (None, group.settlement)
            and (self.term is None or group.total(self.term) != 0)
        )


@dataclass(frozen=True, slots=True)
class OrderRows:
    """A page of the orders behind a figure, as the close recorded them. Client numbers are masked.

    :param count: all of them; ``totals`` are theirs, by the names of :data:`TOTALLED`.
    :param next: the cursor of the next page.
    """

    rows: tuple[Mapping[str, str], ...]
    count: int
    totals: Mapping[str, int]
    next: str | None


class SignedDay(NamedTuple):
    """What became of a signature under one of several days; ``refusal`` is empty when it was added."""

    day: date
    signature: Signature | None
    refusal: str


@dataclass(frozen=True, slots=True)
class DayReports(Service):
    """The reports of closed days.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right for it, and
    :class:`~sat_hook.reconciliation.errors.BooksRefusedError` for a day or a version that is not there.
    """

    def report(self, named: str, day: date, person: Person, number: int | None = None) -> DayReport | None:
        """A version of a day's report, the newest by default; None when the day is not closed.

        :raises BooksRefusedError: the day was closed by an earlier release and is too large to be read.
        """
        row = Days(self.installation).day(named, day, person)
        if row.position is None:
            return None
        versions = versions_of(self.database, row.account, day, up_to_position=row.seen_position)
        version = version_numbered(versions, day, number)
        figures = as_decided(self._figures(row.account, version, person), versions, version)
        return DayReport(
            row=row,
            figures=figures,
            version=version,
            versions=tuple(versions),
            changes=self._changes(versions, row) if version == versions[-1] else None,
            may_sign=signature_for(row, person),
            adjusted=tuple(self._adjusted(row, person)),
        )

    def orders(
        self, named: str, day: date, choice: OrderChoice, person: Person, cursor: str | None = None
    ) -> OrderRows:
        """A page of the orders behind a figure of the newest close."""
        from sat_hook.reconciliation.kept_reports import orders_of_close

        person.require(*BOOK_READERS)
        account = self.account_of(named)
        version = self._newest_close(account, day)
        groups = [group for group in self._figures(account, version, person).groups if choice.chooses(group)]
        name = f"day-orders {account} {day} {version.close.position} {choice}"
        number, start = 0, None
        if (begun := place_in(name, cursor, tuple[int, int])) is not None:
            number, start = begun
            if not 0 <= number < len(groups) or not 0 <= start - groups[number].offset < groups[number].size:
                raise CursorError
        rows: list[Mapping[str, str]] = []
        following = None
        with orders_of_close(self.installation.results(), version) as file:
            for place, group in enumerate(groups[number:], start=number):
                begin = group.offset if start is None else start
                start = None
                for record, end in rows_from(file, begin, group.offset + group.size):
                    if len(rows) == ROWS_PER_PAGE:
                        following = cursor_of(name, (place, begin))
                        break
                    rows.append(_row_of(record))
                    begin = end
                if following is not None:
                    break
        totals = {column: sum(group.total(column) for group in groups) for column in TOTALLED}
        return OrderRows(tuple(rows), sum(group.orders for group in groups), totals, following)

    def file(
        self,
        named: str,
        day: date,
        kind: FileKind,
        language: Language,
        person: Person,
        number: int | None = None,
    ) -> tuple[str, BinaryIO]:
        """A file of a version of the report, with its name. The caller closes it.

        A workbook that an earlier release wrote for a day too large to be written here is English.

        :raises BooksRefusedError: the version has no such file, because an earlier release wrote it.
        """
        _, kept = DayBooks(self.installation).report(named, day, number, person)
        name = _name_of(kept, kind, language)
        if name not in kept.files:
            raise BooksRefusedError(f"{day}: found no {kind} of version {kept.version.number}; expected one")
        stem, _, ending = name.rpartition(".")
        shown = f"{stem}-version-{kept.version.number}.{ending}"
        return shown, self.installation.results().open(kept.files[name])

    def sign(
        self, named: str, days: Sequence[tuple[date, Seen]], reason: str, person: Person
    ) -> tuple[SignedDay, ...]:
        """Add the signature to each day that it needs next. One that is refused does not stop the others.

        :raises BooksRefusedError: too many days.
        """
        person.require(Right.SIGN_OFF)
        if len(days) > MAXIMUM_DAYS_SIGNED:
            raise BooksRefusedError(
                f"days: found {len(days)}; expected at most {MAXIMUM_DAYS_SIGNED} to be signed together"
            )
        signed = []
        for day, seen in days:
            signature = signature_for(Days(self.installation).day(named, day, person), person)
            refusal = "" if signature else f"{day}: found no signature that you can add; expected one"
            if signature is not None:
                try:
                    DayBooks(self.installation).sign(named, day, signature, reason, person, seen)
                except BooksRefusedError as error:
                    refusal = str(error)
            signed.append(SignedDay(day, signature, refusal))
        return tuple(signed)

    def _newest_close(self, account: str, day: date) -> Version:
        """The newest version of a day."""
        return version_numbered(versions_of(self.database, account, day), day, None)

    def _figures(self, account: str, version: Version, person: Person) -> DayFigures:
        # pandas is loaded by the first report, not with the server.
        from sat_hook.reconciliation.kept_reports import figures_of_close

        results, day = self.installation.results(), version.close.day
        figures = figures_of_close(results, version)
        if figures is None:
            # An earlier release has closed the day, or the run that closes it is about to write them.
            if version.close.orders > MAXIMUM_ORDERS_ON_REQUEST:
                raise BooksRefusedError(
                    f"{day}: found {version.close.orders:,} orders and no stored figures; expected figures, "
                    "close the day again"
                )
            number = self._number_of_close(account, version)
            DayBooks(self.installation).report(account, day, number, person)
            figures = figures_of_close(results, version)
        if figures is None:
            raise BooksRefusedError(
                f"{day}: found no stored figures; expected those of version {version.number}"
            )
        return figures

    def _number_of_close(self, account: str, version: Version) -> int:
        day = version.close.day
        versions = versions_of(self.database, account, day)
        return next(one.number for one in versions if one.position == version.closed_at)

    def _adjusted(self, row: DayRow, person: Person) -> list[tuple[date, Adjustment]]:
        found = []
        for later in row.adjusted_in:
            version = self._newest_close(row.account, later)
            figures = self._figures(row.account, version, person)
            found += [(later, item) for item in figures.adjustments if item.certified_day == row.day]
        return found

    def _changes(self, versions: Sequence[Version], row: DayRow) -> Changes | None:
        """What happened since the last preparation; None without one."""
        prepared = [version for version in versions if isinstance(version.event, DayPrepared)]
        if not prepared:
            return None
        since, newest = prepared[-1], versions[-1]
        decisions = tuple(
            version
            for version in versions
            if version.position > since.position and isinstance(version.event, BreakDecided)
        )
        if since.closed_at == newest.closed_at:
            orders, unexplained = since.close.orders, _unexplained(since.close)
            return Changes(since, (orders, orders), (unexplained, unexplained), (), (), decisions)
        account, day = row.account, row.day
        recorded = DayStore(self.database).day_events(
            account, NOT_READ, NOT_READ, day, up_to_position=row.seen_position
        )
        before = fold_books(account, recorded, up_to=since.position).closes[day]
        after = fold_books(account, recorded).closes[day]
        old, new = _breaks_of(before), _breaks_of(after)
        return Changes(
            since=since,
            orders=(before.event.orders, after.event.orders),
            unexplained_rupiah=(_unexplained(before.event), _unexplained(after.event)),
            new_breaks=tuple(item for break_id, item in new.items() if break_id not in old),
            gone_breaks=tuple(item for break_id, item in old.items() if break_id not in new),
            decisions=decisions,
        )


def signature_for(row: DayRow, person: Person) -> Signature | None:
    """The signature that a day needs next, if this person may add it."""
    if not person.has(Right.SIGN_OFF):
        return None
    if row.state in (DayState.CLOSED, DayState.WITH_BREAKS):
        return Signature.PREPARE
    is_own = row.prepared_by is not None and is_same_login(row.prepared_by, person.name)
    return Signature.CERTIFY if row.state is DayState.PREPARED and not is_own else None


def _breaks_of(close: PostedClose) -> dict[str, BookedBreak]:
    return {item.break_id: item for item in close.breaks}


def _unexplained(close: DayClosed) -> int | None:
    return None if close.saldo is None else close.saldo.unexplained_rupiah


def _row_of(record: bytes) -> Mapping[str, str]:
    (cells,) = csv.reader([record.decode("utf-8")])
    return dict(zip(ORDER_COLUMNS, cells, strict=True))


def _name_of(kept: KeptReport, kind: FileKind, language: Language) -> str:
    names = kept.names
    workbook = names.workbook_in(language)
    by_kind: dict[FileKind, str] = {
        FileKind.WORKBOOK: workbook if workbook in kept.files else names.workbook,
        FileKind.PDF: names.pdf(language),
        FileKind.BREAKS: names.breaks,
        FileKind.ORDERS: names.orders,
    }
    return by_kind[kind]
