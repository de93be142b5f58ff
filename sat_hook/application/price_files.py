"""Prices as files: a picture, a week, changes and margins. A workbook is in a person's language.

CSV is for programs: the names of its columns and its words are the same in every language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from sat_hook.application.errors import ListingRefusedError
from sat_hook.application.prices import ChangeFilter, Period, Prices
from sat_hook.application.rights import Person
from sat_hook.application.service import Service
from sat_hook.catalogue import change_words, chart
from sat_hook.catalogue.errors import TooManyPeriodsError
from sat_hook.catalogue.margin import percent_of
from sat_hook.catalogue.weekly_page import weekly_page
from sat_hook.domain.business_day import WIB, local_time
from sat_hook.domain.prices import RecordedChange
from sat_hook.presentation.language import Language, Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Cell, Column, Kind, one_sheet
from sat_hook.presentation.text_tables import TextTable

_USUAL_JUMP_PERCENT = 10

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
_CHANGE_COLUMNS = (
    Column(_("When (WIB)"), 20, Kind.MOMENT),
    Column(_("Product"), 28, Kind.TEXT),
    Column(_("Name"), 40, Kind.TEXT),
    Column(_("Change"), 20, Kind.WORD),
    Column(_("What"), 22, Kind.WORD),
    Column(_("Before"), 20, Kind.RUPIAH),
    Column(_("After"), 20, Kind.RUPIAH),
    Column(_("By how much"), 14, Kind.MOVE),
)
_MARGIN_COLUMNS = (
    Column(_("Day"), 13, Kind.DAY),
    Column(_("Product"), 28, Kind.TEXT),
    Column(_("Paid orders"), 18, Kind.COUNT),
    Column(_("Charged (Rp)"), 20, Kind.RUPIAH),
    Column(_("Margin (Rp)"), 20, Kind.RUPIAH),
    Column(_("Per cent"), 12, Kind.SHARE),
    Column(_("Without a fee from SAT"), 24, Kind.COUNT),
)


class ChartFormat(StrEnum):
    """What a chart is drawn as: a picture, or a page with the changes below it."""

    SVG = "svg"
    HTML = "html"

    @property
    def media_type(self) -> str:
        """As HTTP names it."""
        return "image/svg+xml" if self is ChartFormat.SVG else "text/html"


@dataclass(frozen=True, slots=True)
class PriceFiles(Service):
    """Files of what :class:`~sat_hook.application.prices.Prices` reads, with the same rights and errors."""

    def chart(
        self, period: Period, code: str, drawn_as: ChartFormat, language: Language, person: Person
    ) -> str:
        """A product's price over time, as a picture or a page without other files.

        :raises ProductNotListedError: the product was never listed.
        :raises ListingRefusedError: the period is empty, or has too many changes to be drawn.
        """
        if period.until <= period.since:
            raise ListingRefusedError("since: found the end of the period; expected a time before it")
        prices = Prices(self.installation)
        found = prices.listings(period.account, code, person)
        try:
            picture = chart.PriceChart(
                account=found.account,
                periods=found.periods,
                moments=prices.product(period, code, person).moments,
                since=period.since,
                until=period.until,
            )
        except TooManyPeriodsError as error:
            raise ListingRefusedError(
                f"since: found {error}; expected at most {chart.MAXIMUM_PERIODS:,}"
            ) from None
        draw = chart.page if drawn_as is ChartFormat.HTML else chart.svg
        return draw(picture, Wording(language))

    def week_page(self, account: str | None, day: date | None, language: Language, person: Person) -> str:
        """A week as a page without other files."""
        return weekly_page(Prices(self.installation).week(account, day, person), Wording(language))

    def changes(
        self, period: Period, which: ChangeFilter, person: Person, workbook_in: Language | None
    ) -> bytes:
        """The changes of a period, the newest first.

        :param workbook_in: the language of a workbook; None for CSV.
        :raises ListingRefusedError: there are too many.
        """
        found = Prices(self.installation).every_change(period, which, person)
        if workbook_in is not None:
            wording = Wording(workbook_in)
            rows = (cells for recorded in found for cells in _change_cells(recorded, wording))
            return one_sheet(_("What changed"), _CHANGE_COLUMNS, rows, wording)
        jump = which.jump_percent or _USUAL_JUMP_PERCENT
        lines = (cells for recorded in found for cells in _change_texts(recorded, jump))
        return CHANGES.content(lines, as_workbook=False)

    def margins(self, period: Period, person: Person, workbook_in: Language | None) -> bytes:
        """Margins by day and product.

        :param workbook_in: the language of a workbook; None for CSV.
        """
        share: Callable[[int, int], Cell] = percent_of if workbook_in is None else _share
        rows = [
            (
                one.day,
                one.product_code,
                one.orders,
                one.sales_price_rupiah,
                one.margin_rupiah,
                share(one.margin_rupiah, one.sales_price_rupiah),
                one.without_fee,
            )
            for one in Prices(self.installation).margins_by_day(period, person)
        ]
        if workbook_in is not None:
            return one_sheet(_("Margin"), _MARGIN_COLUMNS, rows, Wording(workbook_in))
        return MARGINS.content((tuple(map(str, row)) for row in rows), as_workbook=False)


def _change_cells(recorded: RecordedChange, wording: Wording) -> Iterator[tuple[Cell, ...]]:
    change = recorded.change
    product = change.after or change.before
    assert product is not None
    kind = change_words.KINDS[change.kind]
    head = (local_time(recorded.seen_at), change.code, product.name, kind)
    for attribute, before, after, _moved in change_words.values_of(change, wording):
        moved = None
        if isinstance(before, int) and isinstance(after, int):
            moved = _share(after - before, before)
        yield (*head, attribute, before, after, moved)


def _share(part: int, whole: int) -> Decimal | None:
    return Decimal(part) / whole if whole > 0 else None


def _change_texts(recorded: RecordedChange, jump_percent: int) -> Iterator[tuple[str, ...]]:
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
