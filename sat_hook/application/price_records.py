"""The records of prices between two moments: listings, changes, missing lists, a week, margins.

Accounts are named by their connections or by their names in the log. The only account that has prices need
not be named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import cast

from sat_hook.application.cursors import cursor_of, list_name, place_of
from sat_hook.application.errors import ListingRefusedError, ProductNotListedError
from sat_hook.application.installation import account_among
from sat_hook.application.listings import USUAL_PAGE, Page, limited
from sat_hook.application.person import Person
from sat_hook.application.prices import week_of
from sat_hook.application.rights import Right
from sat_hook.application.service import Service
from sat_hook.catalogue import chart
from sat_hook.catalogue.errors import TooManyPeriodsError
from sat_hook.catalogue.margin import ProductMargin, margin_lines
from sat_hook.catalogue.weekly import WeekSummary, read_week
from sat_hook.catalogue.weekly_page import weekly_page
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.prices import PricePeriod, PriceSnapshot, RecordedChange, gaps_between
from sat_hook.presentation.language import Language, Wording
from sat_hook.store.prices import PriceHistory

READ_AT_ONCE = 1_000
"""Changes that are read in one statement, of which a page keeps those that match."""


class ChartFormat(StrEnum):
    """What a chart is drawn as: a picture, or a page with the changes below it."""

    SVG = "svg"
    HTML = "html"

    @property
    def media_type(self) -> str:
        """As HTTP names it."""
        return "image/svg+xml" if self is ChartFormat.SVG else "text/html"


@dataclass(frozen=True, slots=True)
class Period:
    """The times from ``since`` to just before ``until``, of an account's prices.

    :param account: None for the only account that has prices.
    """

    account: str | None
    since: datetime
    until: datetime


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


@dataclass(frozen=True, slots=True)
class PriceRecords(Service):
    """The records of prices. Reads only.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right for it,
    :class:`~sat_hook.application.errors.AccountUnclearError` when it is not clear which account is
    meant, and :class:`~sat_hook.application.errors.ListingRefusedError` when no price list was ever read.
    """

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
        account, limit, until, before_id = self._account(period.account), limited(limit), period.until, 0
        name = list_name("price attempts", account, period)
        if cursor is not None:
            until, before_id = cast("tuple[datetime, int]", place_of(name, cursor, datetime, int))
        found = self._history().snapshots(account, period.since, until, limit + 1, before_id=before_id)
        if len(found) <= limit:
            return Page(tuple(found), None)
        last = found[limit - 1]
        return Page(tuple(found[:limit]), cursor_of(name, (last.asked_at, last.snapshot_id or 0)))

    def changes(
        self,
        period: Period,
        person: Person,
        *,
        product: str = "*",
        jump_percent: int | None = None,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[RecordedChange]:
        """A page of the changes of a period, the oldest first.

        :param product: a pattern of product codes, like ``*-xl``.
        :param jump_percent: only prices that moved by at least that much at once.
        """
        person.require(Right.VIEW)
        account, limit = self._account(period.account), limited(limit)
        name = list_name("price changes", account, period, product, jump_percent)
        since, after = period.since, (0, "")
        if cursor is not None:
            since, *rest = cast("tuple[datetime, int, str]", place_of(name, cursor, datetime, int, str))
            after = cast("tuple[int, str]", tuple(rest))
        history, kept = self._history(), []
        while True:
            found = history.changes(account, since, period.until, READ_AT_ONCE, after=after)
            for recorded in found:
                if fnmatchcase(recorded.change.code, product) and (
                    jump_percent is None or recorded.change.is_jump(jump_percent)
                ):
                    kept.append(recorded)
                    if len(kept) > limit:
                        return Page(tuple(kept[:limit]), cursor_of(name, _place_of(kept[limit - 1])))
            if len(found) < READ_AT_ONCE:
                return Page(tuple(kept), None)
            since, *rest = _place_of(found[-1])
            after = cast("tuple[int, str]", tuple(rest))

    def chart(
        self, period: Period, code: str, drawn_as: ChartFormat, language: Language, person: Person
    ) -> str:
        """A product's price over time, as a picture or a page without other files.

        :raises ProductNotListedError: the product was never listed.
        :raises ListingRefusedError: the period is empty, or has too many changes to be drawn.
        """
        if period.until <= period.since:
            raise ListingRefusedError("since: found the end of the period; expected a time before it")
        found, since, until = self.listings(period.account, code, person), period.since, period.until
        try:
            picture = chart.PriceChart(
                account=found.account,
                periods=found.periods,
                moments=self._history().complete_moments(found.account, since, until),
                since=since,
                until=until,
            )
        except TooManyPeriodsError as error:
            raise ListingRefusedError(
                f"since: found {error}; expected at most {chart.MAXIMUM_PERIODS:,}"
            ) from None
        draw = chart.page if drawn_as is ChartFormat.HTML else chart.svg
        return draw(picture, Wording(language))

    def week(self, account: str | None, day: date | None, person: Person) -> WeekSummary:
        """The week (Monday to Sunday, WIB) of a day, or the last week that is over.

        :raises ListingRefusedError: the week has not begun.
        """
        person.require(Right.VIEW)
        whose, now = self._account(account), SystemClock().now()
        return read_week(self._history(), whose, week_of(day, now), now)

    def week_page(self, account: str | None, day: date | None, person: Person) -> str:
        """A week as a page without other files; see :meth:`week`."""
        return weekly_page(self.week(account, day, person))

    def margins(self, period: Period, person: Person) -> tuple[ProductMargin, ...]:
        """What the succeeded orders that were sent in a period cost and earned, by product."""
        totals: dict[str, ProductMargin] = {}
        for _ in self._margin_lines(period, person, totals):
            pass
        return tuple(total for _, total in sorted(totals.items()))

    def margin_file(self, period: Period, person: Person) -> Iterator[str]:
        """The orders that were sent in a period as lines of CSV, each with the price listed then."""
        return self._margin_lines(period, person, {})

    def _margin_lines(
        self, period: Period, person: Person, totals: dict[str, ProductMargin]
    ) -> Iterator[str]:
        person.require(Right.FINANCE)
        account = self._account(period.account)
        return margin_lines(self._history().margins(account, period.since, period.until), totals)

    def _account(self, named: str | None) -> str:
        known = self._history().accounts()
        if not known:
            raise ListingRefusedError(
                "the history of prices: found nothing; expected a price list (take one: sat prices snapshot)"
            )
        return account_among(self.installation.accounts, named, known)

    def _history(self) -> PriceHistory:
        return PriceHistory(self.database)


def _place_of(recorded: RecordedChange) -> tuple[datetime, int, str]:
    return recorded.seen_at, recorded.snapshot_id, recorded.change.code
