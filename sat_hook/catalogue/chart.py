"""One product's price over time: a picture on a page, an SVG file, or HTML with the changes below it.

A price holds from the list that showed it until the next one, so it is drawn as a step. Times when the
product was not listed, and times without a known list, are marked. The same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from sat_hook.catalogue.errors import TooManyPeriodsError
from sat_hook.domain.prices import GAP_HOURS, PricePeriod, gaps_between
from sat_hook.presentation.chart_style import ALONE, Meaning
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.step_chart import Span, Timeline, alone, step_chart
from sat_hook.presentation.templates import templates_of

MAXIMUM_PERIODS = 5_000
MAXIMUM_READ = 20
"""Most prices of a picture that are read to people who do not see it; the table has all."""
_LONGEST_TITLE = 70

STATUSES: Mapping[int, tuple[Meaning, str]] = {
    1: (Meaning.ACTIVE, _("for sale")),
    2: (Meaning.OFF, _("not for sale")),
    3: (Meaning.RESTING, _("not for sale now")),
}
_OTHER = (Meaning.OTHER, _("unknown status"))
_BANDS: Mapping[Meaning, str] = {
    Meaning.ABSENT: _("not listed"),
    Meaning.BLIND: _("no price list is known"),
}


@dataclass(frozen=True, slots=True)
class PriceChart:
    """The data of a chart.

    :param periods: all listings of the product, oldest first; cut to [since, until].
    :param moments: when lists were read, to find the times without data.
    """

    account: str
    periods: Sequence[PricePeriod]
    moments: Sequence[datetime]
    since: datetime
    until: datetime
    gap_hours: float = GAP_HOURS

    def __post_init__(self) -> None:
        if not self.periods:
            raise ValueError("a chart needs a product that was listed at least once")
        if self.until <= self.since:
            raise ValueError("a chart needs a time that ends after it begins")
        if (count := len(self.shown)) > MAXIMUM_PERIODS:
            raise TooManyPeriodsError(f"{count:,} changes in that time")

    @property
    def shown(self) -> list[PricePeriod]:
        return [p for p in self.periods if p.since < self.until and (p.until or self.until) > self.since]


def drawing(chart: PriceChart, wording: Wording) -> Markup:
    """The picture. A page that has it also has the style sheet of charts."""
    bands = [
        Span(start, end, None, meaning, _told(wording.text(_BANDS[meaning]), start, end, wording))
        for meaning, spans in ((Meaning.BLIND, _blind(chart)), (Meaning.ABSENT, _absences(chart)))
        for start, end in spans
    ]
    spans = [
        Span(
            period.since,
            period.until or chart.until,
            period.product.price_rupiah,
            _status(period)[0],
            _told(
                f"{_price(period, wording)}, {wording.text(_status(period)[1])}",
                period.since,
                period.until,
                wording,
            ),
        )
        for period in chart.shown
    ]
    used = {span.manner for span in (*bands, *spans)}
    words = {**dict([*STATUSES.values(), _OTHER]), **_BANDS}
    legend = [(meaning, wording.text(said)) for meaning, said in words.items() if meaning in used]
    return step_chart(
        _summary(chart, wording), Timeline(chart.since, chart.until, spans, bands, legend), wording
    )


def svg(chart: PriceChart, wording: Wording) -> str:
    """The chart as an SVG file."""
    product = chart.periods[-1].product
    title = product.name or product.code
    title = title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "…"
    time = f"{wording.time(chart.since)} – {wording.time(chart.until)}"
    under = f"{product.code} · {wording.text(_('account'))} {chart.account} · {time}"
    drawn = alone(drawing(chart, wording), _summary(chart, wording), title, under)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawn}\n'


def page(chart: PriceChart, wording: Wording) -> str:
    """The chart as an HTML page, with a table of the changes below it, newest first."""
    latest = chart.periods[-1].product
    return _TEMPLATES.get_template("price.html.jinja").render(
        _=wording.text,
        language=wording.language.value,
        heading=latest.name or latest.code,
        style=Markup(ALONE),  # noqa: S704 - our own constant
        drawing=drawing(chart, wording),
        rows=list(_rows(chart.periods, wording)),
    )


def _status(period: PricePeriod) -> tuple[Meaning, str]:
    return STATUSES.get(period.product.status, _OTHER)


def _price(period: PricePeriod, wording: Wording) -> str:
    price = period.product.price_rupiah
    return wording.text(_("no price")) if price is None else wording.rupiah(price)


def _told(what: str, since: datetime, until: datetime | None, wording: Wording) -> str:
    return f"{what}: {wording.time(since)} – {wording.time(until) or wording.text(_('now'))}"


def _blind(chart: PriceChart) -> list[tuple[datetime, datetime]]:
    """The times without a known list; before the first listing there was none."""
    first = chart.periods[0].since
    before = [(chart.since, min(first, chart.until))] if first > chart.since else []
    return before + gaps_between(chart.moments, chart.since, chart.until, chart.gap_hours)


def _absences(chart: PriceChart) -> Iterator[tuple[datetime, datetime]]:
    """The spans between two periods that do not touch, and after a last one that has ended."""
    starts = [period.until for period in chart.periods]
    ends = [period.since for period in chart.periods[1:]] + [chart.until]
    for start, end in zip(starts, ends, strict=True):
        if start is not None and start < end and start < chart.until and end > chart.since:
            yield max(start, chart.since), min(end, chart.until)


def _rows(periods: Sequence[PricePeriod], wording: Wording) -> Iterator[dict[str, str]]:
    for number in range(len(periods) - 1, -1, -1):
        period = periods[number]
        before = periods[number - 1].product.price_rupiah if number else None
        yield {
            "since": wording.time(period.since),
            "until": wording.time(period.until) or wording.text(_("now")),
            "price": _price(period, wording),
            "change": wording.change(before, period.product.price_rupiah),
            "status": wording.text(_status(period)[1]),
            "name": period.product.name,
        }


def _summary(chart: PriceChart, wording: Wording) -> str:
    """The product, and its prices from the oldest to the newest, for people who do not see the picture."""
    prices: list[int] = []
    for period in chart.shown:
        price = period.product.price_rupiah
        if price is not None and prices[-1:] != [price]:
            prices.append(price)
    told = ", ".join(map(wording.rupiah, prices[-MAXIMUM_READ:]))
    return f"{chart.periods[-1].product.code}: {told or wording.text(_('no price'))}"


_TEMPLATES = templates_of("sat_hook.catalogue")
