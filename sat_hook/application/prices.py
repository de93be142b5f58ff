"""Prices over time: what changed, one product's history, a comparison, a week, and margins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice

from sat_hook.application.cursors import cursor_of, list_name, place_of
from sat_hook.application.errors import ListingRefusedError
from sat_hook.application.listings import USUAL_PAGE, Page, limited
from sat_hook.application.person import Person
from sat_hook.application.rights import Right
from sat_hook.application.service import Service
from sat_hook.catalogue.margin import margin_lines, percent_of
from sat_hook.catalogue.weekly import Week, WeekSummary, read_week
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.business_day import WIB
from sat_hook.domain.prices import PricePeriod, PriceSnapshot, RecordedChange, gaps_between
from sat_hook.presentation.text_tables import TextTable
from sat_hook.store.prices import ChangePlace, DayMargin, PriceHistory

MAXIMUM_COMPARED = 4
MAXIMUM_DAYS = 366
"""The longest period of changes, charts and margins."""
MAXIMUM_LOOKED_AT = 10_000
"""Most changes that a filtered page looks at; the next page goes on from there."""
MAXIMUM_EXPORTED = 50_000
READ_AT_ONCE = 1_000

CHANGES = TextTable(
    "changes",
    ("seen_at_wib", "product_code", "name", "change", "attribute", "before", "after", "is_jump"),
    (22, 28, 40, 14, 18, 24, 24, 8),
)
MARGINS = TextTable(
    "margins",
    (
        "day_wib",
        "product_code",
        "succeeded",
        "sales_price_rupiah",
        "margin_rupiah",
        "margin_percent",
        "without_fee",
    ),
    (12, 28, 12, 20, 18, 16, 14),
)


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """Which changes of an account's prices.

    :param text: a part of the code or the name.
    :param jump_percent: only prices that moved by at least so much at once.
    :param since: seen then or later; ``before`` is exclusive.
    """

    since: datetime
    before: datetime
    text: str | None = None
    jump_percent: int | None = None

    def takes(self, recorded: RecordedChange) -> bool:
        """Whether a change is meant."""
        change = recorded.change
        if self.jump_percent is not None and not change.is_jump(self.jump_percent):
            return False
        if self.text is None:
            return True
        names = (change.code, *(p.name for p in (change.before, change.after) if p is not None))
        return any(self.text.casefold() in name.casefold() for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductHistory:
    """A product's listings, and when lists were read in [since, until).

    :param moments: with the last one before; empty when no list was ever read.
    """

    account: str
    code: str
    periods: tuple[PricePeriod, ...]
    moments: tuple[datetime, ...]
    since: datetime
    until: datetime

    @property
    def shown(self) -> tuple[PricePeriod, ...]:
        """The listings of the period."""
        return tuple(
            one for one in self.periods if one.since < self.until and (one.until or self.until) > self.since
        )

    @property
    def prices_rupiah(self) -> tuple[int, ...]:
        """The prices of the period, the oldest first."""
        prices = (one.product.price_rupiah for one in self.shown)
        return tuple(price for price in prices if price is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old what is known of an account's prices is.

    :param gaps: times in the period without a list, the oldest first.
    :param failed: the attempts of the period that changed nothing, the newest first.
    """

    last_list_at: datetime | None
    gaps: tuple[tuple[datetime, datetime], ...]
    failed: tuple[PriceSnapshot, ...]


@dataclass(frozen=True, slots=True)
class Prices(Service):
    """Reads prices. Accounts are named by their connections or by their names in the log.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right to view.
    """

    def accounts(self, person: Person) -> tuple[str, ...]:
        """The accounts whose prices were ever asked for."""
        person.require(Right.VIEW)
        return tuple(self._history().accounts())

    def changes(
        self,
        named: str,
        query: ChangeQuery,
        person: Person,
        *,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[RecordedChange]:
        """A page of changes, the newest first. A filtered page may be short while there is a next one."""
        person.require(Right.VIEW)
        account, limit = self.account_of(named), limited(limit)
        name = list_name("prices", account, query)
        place = None if cursor is None else ChangePlace(*_members(name, cursor))
        found: list[RecordedChange] = []
        for looked, recorded in enumerate(self._each_change(account, query, place), 1):
            if query.takes(recorded):
                if len(found) == limit:
                    return Page(tuple(found), cursor_of(name, ChangePlace.of(found[-1])))
                found.append(recorded)
            if looked == MAXIMUM_LOOKED_AT:
                return Page(tuple(found), cursor_of(name, ChangePlace.of(recorded)))
        return Page(tuple(found), None)

    def freshness(self, named: str, since: datetime, before: datetime, person: Person) -> Freshness:
        """How old what is known is, and which times of a period are without a list."""
        person.require(Right.VIEW)
        account, history, now = self.account_of(named), self._history(), SystemClock().now()
        until = min(before, now)
        moments = history.complete_moments(account, since, until) if since < until else []
        attempts = history.snapshots(account, since, until) if since < until else []
        return Freshness(
            last_list_at=max(history.complete_moments(account, now, now), default=None),
            gaps=tuple(gaps_between(moments, since, until)),
            failed=tuple(attempt for attempt in attempts if attempt.reason is not None),
        )

    def product(
        self, named: str, code: str, person: Person, *, since: datetime, before: datetime
    ) -> ProductHistory:
        """One product's listings, for a picture and a table; without listings if it was never listed."""
        person.require(Right.VIEW)
        account, history = self.account_of(named), self._history()
        until = min(before, SystemClock().now())
        since = max(since, before - timedelta(days=MAXIMUM_DAYS))
        return ProductHistory(
            account=account,
            code=code,
            periods=tuple(history.periods(account, code)),
            moments=tuple(history.complete_moments(account, since, until)),
            since=since,
            until=until,
        )

    def compare(
        self, named: str, codes: Sequence[str], person: Person, *, since: datetime, before: datetime
    ) -> tuple[ProductHistory, ...]:
        """Several products' listings in one period, in the order in which they are named.

        :raises ListingRefusedError: too many products.
        """
        wanted = list(dict.fromkeys(codes))
        if len(wanted) > MAXIMUM_COMPARED:
            raise ListingRefusedError(
                f"products: found {len(wanted)}; expected at most {MAXIMUM_COMPARED} to compare"
            )
        return tuple(self.product(named, code, person, since=since, before=before) for code in wanted)

    def week(self, named: str, day: date | None, person: Person) -> WeekSummary:
        """The week that a day belongs to, or the last complete week.

        :raises ListingRefusedError: that week has not begun.
        """
        person.require(Right.VIEW)
        now = SystemClock().now()
        return read_week(self._history(), self.account_of(named), week_of(day, now), now)

    def margins(self, named: str, since: datetime, before: datetime, person: Person) -> tuple[DayMargin, ...]:
        """What succeeded orders of a period cost and earned, by WIB day of their first sending and product.

        :raises ListingRefusedError: the period is too long.
        """
        person.require(Right.FINANCE)
        if before - since > timedelta(days=MAXIMUM_DAYS):
            raise ListingRefusedError(
                f"period: found {(before - since).days} days; expected at most {MAXIMUM_DAYS}"
            )
        return tuple(self._history().margins_by_day(self.account_of(named), since, before))

    def margin_lines(self, named: str, since: datetime, before: datetime, person: Person) -> Iterator[str]:
        """Every order that was sent in a period, as lines of CSV, in constant memory."""
        person.require(Right.FINANCE)
        orders = self._history().margins(self.account_of(named), since, before)
        return margin_lines(orders, {})

    def changes_file(self, named: str, query: ChangeQuery, person: Person, *, as_workbook: bool) -> bytes:
        """The changes of a query as a file, the newest first.

        :raises ListingRefusedError: more than :data:`MAXIMUM_EXPORTED` match.
        """
        person.require(Right.VIEW)
        taken = filter(query.takes, self._each_change(self.account_of(named), query))
        rows = list(islice(taken, MAXIMUM_EXPORTED + 1))
        if len(rows) > MAXIMUM_EXPORTED:
            raise ListingRefusedError(
                f"changes: found more than {MAXIMUM_EXPORTED:,}; expected fewer: choose a shorter period"
            )
        lines = [cells for recorded in rows for cells in _change_cells(recorded, query.jump_percent or 10)]
        return CHANGES.content(lines, as_workbook=as_workbook)

    def margins_file(
        self, named: str, since: datetime, before: datetime, person: Person, *, as_workbook: bool
    ) -> bytes:
        """Margins by day and product as a file."""
        rows = [
            (
                one.day.isoformat(),
                one.product_code,
                str(one.orders),
                str(one.sales_price_rupiah),
                str(one.margin_rupiah),
                percent_of(one.margin_rupiah, one.sales_price_rupiah),
                str(one.without_fee),
            )
            for one in self.margins(named, since, before, person)
        ]
        return MARGINS.content(rows, as_workbook=as_workbook)

    def _each_change(
        self, account: str, query: ChangeQuery, place: ChangePlace | None = None
    ) -> Iterator[RecordedChange]:
        """Every change of the query's period after a place, whether it is meant or not."""
        while True:
            read = self._history().newest_changes(account, query.since, query.before, place, READ_AT_ONCE)
            yield from read
            if len(read) < READ_AT_ONCE:
                return
            place = ChangePlace.of(read[-1])

    def _history(self) -> PriceHistory:
        return PriceHistory(self.database)


def week_of(day: date | None, now: datetime) -> Week:
    """The week (Monday to Sunday, WIB) of a day, or the last week that is over.

    :raises ListingRefusedError: the week has not begun.
    """
    week = Week.last_before(now) if day is None else Week.of(day)
    if week.since >= now:
        raise ListingRefusedError(f"week: found {week.name}; expected a week that has begun")
    return week


def _members(name: str, cursor: str) -> tuple[datetime, int, str]:
    at, snapshot_id, code = place_of(name, cursor, datetime, int, str)
    assert isinstance(at, datetime)
    assert isinstance(snapshot_id, int)
    return at, snapshot_id, str(code)


def _change_cells(recorded: RecordedChange, jump_percent: int) -> Iterator[tuple[str, ...]]:
    change = recorded.change
    product = change.after or change.before
    assert product is not None
    seen = recorded.seen_at.astimezone(WIB).isoformat(timespec="seconds")
    jump = "yes" if change.is_jump(jump_percent) else ""
    head = (seen, change.code, product.name, change.kind.value)
    for attribute in change.attributes or ("price_rupiah",):
        before = getattr(change.before, attribute) if change.before is not None else None
        after = getattr(change.after, attribute) if change.after is not None else None
        moved = jump if attribute == "price_rupiah" else ""
        yield (*head, attribute, *("" if one is None else str(one) for one in (before, after)), moved)
