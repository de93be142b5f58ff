"""Prices over time: what changed, one product's history, a comparison, a week, and margins.

Accounts are named by their connections or by their names in the log. The only account that has prices need
not be named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import cast

from sat_hook.application.errors import ListingRefusedError, ProductNotListedError
from sat_hook.application.installation import account_among
from sat_hook.application.pages import USUAL_PAGE, Page, cursor_of, limited, list_name, page_of, place_in
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.catalogue.margin import ProductMargin, margin_lines
from sat_hook.catalogue.weekly import Week, WeekSummary, read_week
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.prices import PricePeriod, PriceSnapshot, RecordedChange, gaps_between
from sat_hook.store.prices import ChangePlace, DayMargin, PriceHistory

MAXIMUM_COMPARED = 4
MAXIMUM_DAYS = 366
"""The longest period of changes, charts and margins."""
MAXIMUM_LOOKED_AT = 10_000
"""Most changes that a filtered page looks at; the next page goes on from there."""
MAXIMUM_EXPORTED = 50_000
READ_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Period:
    """The times from ``since`` to just before ``until``, of an account's prices.

    :param account: by either of its names; None for the only account that has prices.
    """

    account: str | None
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes of prices.

    :param text: a part of the code or the name.
    :param code: a pattern of codes, like ``*-xl``.
    :param jump_percent: only prices that moved by at least that much at once.
    """

    text: str | None = None
    code: str = "*"
    jump_percent: int | None = None

    def takes(self, recorded: RecordedChange) -> bool:
        change = recorded.change
        if not fnmatchcase(change.code, self.code):
            return False
        if self.jump_percent is not None and not change.is_jump(self.jump_percent):
            return False
        if self.text is None:
            return True
        names = (change.code, *(p.name for p in (change.before, change.after) if p is not None))
        return any(self.text.casefold() in name.casefold() for name in names)


@dataclass(frozen=True, slots=True)
class ListedPeriods:
    """Every listing of one product of an account, the oldest first."""

    account: str
    periods: tuple[PricePeriod, ...]


@dataclass(frozen=True, slots=True)
class PriceLists:
    """Which price lists are known of a period.

    :param last_list_at: when the last list up to the end of the period was requested; None when none was.
    :param gaps: the longer times for which no list is known.
    """

    account: str
    last_list_at: datetime | None
    gaps: tuple[tuple[datetime, datetime], ...]


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
    """Prices over time, for pages, programs and files. Reads only.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right for it,
    :class:`~sat_hook.application.errors.AccountUnclearError` when it is not clear which account is
    meant, and :class:`~sat_hook.application.errors.ListingRefusedError` when no price list was ever read.
    """

    def accounts(self, person: Person) -> tuple[str, ...]:
        """The accounts whose prices were ever asked for."""
        person.require(Right.VIEW)
        return tuple(self._history().accounts())

    def listings(self, account: str | None, code: str, person: Person) -> ListedPeriods:
        """Every listing of a product.

        :raises ProductNotListedError: it was never listed.
        """
        person.require(Right.VIEW)
        account, history = self._account(account), self._history()
        periods = history.periods(account, code)
        if not periods:
            similar = history.similar_codes(account, code)
            hint = f" (for example {', '.join(similar)})" if similar else ""
            raise ProductNotListedError(f"found {code!r}; expected a product that was ever listed{hint}")
        return ListedPeriods(account, tuple(periods))

    def lists(self, period: Period, person: Person) -> PriceLists:
        """Which lists are known of a period, which may be one moment."""
        person.require(Right.VIEW)
        account, since, until = self._account(period.account), period.since, period.until
        # A list of the last moment counts, too, but no time before it is without a list because of it.
        moments = self._history().complete_moments(account, since, until + timedelta(microseconds=1))
        gaps = gaps_between([moment for moment in moments if moment < until], since, until)
        return PriceLists(account, moments[-1] if moments else None, tuple(gaps))

    def attempts(
        self, period: Period, person: Person, *, cursor: str | None = None, limit: int = USUAL_PAGE
    ) -> Page[PriceSnapshot]:
        """A page of the attempts to read the price list, the newest first."""
        person.require(Right.VIEW)
        account, limit = self._account(period.account), limited(limit)
        name = list_name("price attempts", account, period)
        until, before_id = place_in(name, cursor, tuple[datetime, int]) or (period.until, 0)
        found = self._history().snapshots(account, period.since, until, limit + 1, before_id=before_id)
        return page_of(name, found, limit, lambda row: (row.asked_at, row.snapshot_id or 0))

    def freshness(self, period: Period, person: Person) -> Freshness:
        """How old what is known is, and what of a period, up to now, is not known."""
        now = SystemClock().now()
        newest = self.lists(Period(period.account, now, now), person)
        passed = replace(period, until=min(period.until, now))
        if passed.since >= passed.until:
            return Freshness(last_list_at=newest.last_list_at, gaps=(), failed=())
        attempts = self._history().snapshots(newest.account, passed.since, passed.until)
        return Freshness(
            last_list_at=newest.last_list_at,
            gaps=self.lists(passed, person).gaps,
            failed=tuple(attempt for attempt in attempts if attempt.reason is not None),
        )

    def changes(
        self,
        period: Period,
        which: ChangeFilter,
        person: Person,
        *,
        is_newest_first: bool = False,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[RecordedChange]:
        """A page of the changes of a period. A filtered page may be short while there is a next one."""
        person.require(Right.VIEW)
        account, limit = self._account(period.account), limited(limit)
        name = list_name("price changes", account, period, which, is_newest_first)
        place = place_in(name, cursor, ChangePlace)
        found: list[RecordedChange] = []
        every = self._each_change(account, period, place, is_newest_first=is_newest_first)
        for looked, recorded in enumerate(every, 1):
            if which.takes(recorded):
                if len(found) == limit:
                    return Page(tuple(found), cursor_of(name, ChangePlace.of(found[-1])))
                found.append(recorded)
            if looked == MAXIMUM_LOOKED_AT:
                return Page(tuple(found), cursor_of(name, ChangePlace.of(recorded)))
        return Page(tuple(found), None)

    def every_change(self, period: Period, which: ChangeFilter, person: Person) -> tuple[RecordedChange, ...]:
        """The changes of a period, the newest first, for a file.

        :raises ListingRefusedError: more than :data:`MAXIMUM_EXPORTED` match.
        """
        person.require(Right.VIEW)
        every = self._each_change(self._account(period.account), period, None, is_newest_first=True)
        found = tuple(islice(filter(which.takes, every), MAXIMUM_EXPORTED + 1))
        if len(found) > MAXIMUM_EXPORTED:
            raise ListingRefusedError(
                f"changes: found more than {MAXIMUM_EXPORTED:,}; expected fewer: choose a shorter period"
            )
        return found

    def names(self, period: Period, person: Person) -> Mapping[str, str]:
        """The names of the products that were listed at the end of a period, by code."""
        person.require(Right.VIEW)
        listed = self._history().listed_at(self._account(period.account), period.until)
        return {code: product.name for code, product in listed.items()}

    def product(self, period: Period, code: str, person: Person) -> ProductHistory:
        """One product's listings, for a picture and a table; without listings if it was never listed."""
        person.require(Right.VIEW)
        account, history = self._account(period.account), self._history()
        until = min(period.until, SystemClock().now())
        return ProductHistory(
            account=account,
            code=code,
            periods=tuple(history.periods(account, code)),
            moments=tuple(history.complete_moments(account, period.since, until)),
            since=period.since,
            until=until,
        )

    def compare(self, period: Period, codes: Sequence[str], person: Person) -> tuple[ProductHistory, ...]:
        """Several products' listings in one period, in the order in which they are named.

        :raises ListingRefusedError: too many products.
        """
        wanted = list(dict.fromkeys(codes))
        if len(wanted) > MAXIMUM_COMPARED:
            raise ListingRefusedError(
                f"products: found {len(wanted)}; expected at most {MAXIMUM_COMPARED} to compare"
            )
        return tuple(self.product(period, code, person) for code in wanted)

    def week(self, account: str | None, day: date | None, person: Person) -> WeekSummary:
        """The week (Monday to Sunday, WIB) of a day, or the last week that is over.

        :raises ListingRefusedError: the week has not begun.
        """
        person.require(Right.VIEW)
        whose, now = self._account(account), SystemClock().now()
        return read_week(self._history(), whose, week_of(day, now), now)

    def margins(self, period: Period, person: Person) -> tuple[ProductMargin, ...]:
        """What the succeeded orders that were sent in a period cost and earned, by product."""
        totals: dict[str, ProductMargin] = {}
        for _ in self._margin_lines(period, person, totals):
            pass
        return tuple(total for _, total in sorted(totals.items()))

    def margins_by_day(self, period: Period, person: Person) -> tuple[DayMargin, ...]:
        """The same by WIB day of their first sending and product, the newest day first.

        :raises ListingRefusedError: the period is too long.
        """
        person.require(Right.FINANCE)
        if period.until - period.since > timedelta(days=MAXIMUM_DAYS):
            raise ListingRefusedError(
                f"period: found {(period.until - period.since).days} days; expected at most {MAXIMUM_DAYS}"
            )
        account = self._account(period.account)
        return tuple(self._history().margins_by_day(account, period.since, period.until))

    def margin_lines(self, period: Period, person: Person) -> Iterator[str]:
        """Every order that was sent in a period, with the price listed then, as lines of CSV."""
        return self._margin_lines(period, person, {})

    def _margin_lines(
        self, period: Period, person: Person, totals: dict[str, ProductMargin]
    ) -> Iterator[str]:
        person.require(Right.FINANCE)
        account = self._account(period.account)
        return margin_lines(self._history().margins(account, period.since, period.until), totals)

    def _each_change(
        self, account: str, period: Period, place: ChangePlace | None, *, is_newest_first: bool
    ) -> Iterator[RecordedChange]:
        """Every change of a period after a place, whether it is meant or not."""
        history, since, until = self._history(), period.since, period.until
        while True:
            if is_newest_first:
                read = history.newest_changes(account, since, until, place, READ_AT_ONCE)
            else:
                begin, *after = place or (since, 0, "")
                key = cast("tuple[int, str]", tuple(after))
                read = history.changes(account, begin, until, READ_AT_ONCE, after=key)
            yield from read
            if len(read) < READ_AT_ONCE:
                return
            place = ChangePlace.of(read[-1])

    def _account(self, named: str | None) -> str:
        known = self._history().accounts()
        if not known:
            raise ListingRefusedError(
                "the history of prices: found nothing; expected a price list (take one: sat prices snapshot)"
            )
        return account_among(self.installation.accounts, named, known)

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
