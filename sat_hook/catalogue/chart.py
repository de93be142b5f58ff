"""One product's price over time as a self-contained SVG, or HTML with the changes below it.

A price holds from the list that showed it until the next one, so it is drawn as a step. Times when the
product was not listed, and times without a known list, are marked. No script and no external resources; the
same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from markupsafe import Markup

from sat_hook.catalogue.errors import TooManyPeriodsError
from sat_hook.domain.business_day import WIB, business_day, day_text, midnight, moment_text, span_text
from sat_hook.domain.prices import GAP_HOURS, PricePeriod, gaps_between, percent_text, price_text
from sat_hook.presentation.colours import AMBER, BLUE, GREY, MIST, RED, VIOLET, custom_properties
from sat_hook.presentation.svg import element, joined, line, rectangle, round_step
from sat_hook.presentation.templates import templates_of

WIDTH, HEIGHT = 960, 420
MAXIMUM_PERIODS = 5_000

_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 26, 92, 52
_HEADING = 54
_MARKED_CHANGES = 40
_LABEL_WIDTH = 74
_TICKS = 5
_HOUR = 3_600
_DAY = 24 * _HOUR
_TIME_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(900, _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
        *(_DAY, 2 * _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 91 * _DAY, 365 * _DAY),
    )
)
_LONGEST_TITLE = 70

_COLOURS = {
    "active": BLUE,
    "resting": AMBER,
    "off": GREY,
    "other": VIOLET,
    "gone": RED,
    "blind": MIST,
}
STYLE = (
    custom_properties(".price", _COLOURS)
    + """.price{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.price .surface{fill:var(--surface)} .price text{fill:var(--ink-2);font-size:12px}
.price .title{fill:var(--ink);font-size:18px;font-weight:600}
.price .figure{fill:var(--ink);font-weight:600}
.price .figure,.price .mark{paint-order:stroke;stroke:var(--surface);stroke-width:4px;stroke-opacity:.8}
.price .grid{stroke:var(--grid)} .price .axis{stroke:var(--axis)}
.price .line{fill:none;stroke-width:2.5;stroke-linecap:butt}
.price .s1{stroke:var(--active)} .price .s3{stroke:var(--resting);stroke-dasharray:7 4}
.price .s2{stroke:var(--off);stroke-dasharray:2 4} .price .s0{stroke:var(--other);stroke-dasharray:9 3 2 3}
.price .step{stroke:var(--axis);stroke-width:1} .price .dot{fill:var(--ink)}
.price .gone{fill:url(#gone)} .price .gone-line{stroke:var(--gone);stroke-width:1.2}
.price .blind{fill:var(--blind)} .price .hit{fill:transparent}
"""
)

_HATCHING = element(
    "defs",
    element(
        "pattern",
        element("line", class_="gone-line", x1=0, y1=0, x2=0, y2=7),
        id="gone",
        width=7,
        height=7,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    ),
)
_TEMPLATES = templates_of("sat_hook.catalogue")

_STATUS_CLASSES = {1: "s1", 2: "s2", 3: "s3"}
_STATUS_WORDS = {"s1": "active", "s2": "inactive", "s3": "temporarily inactive", "s0": "unknown status"}


@dataclass(frozen=True, slots=True)
class ChartWords:
    """The texts of a chart, in the language of its reader.

    :param tick: a day, or a time of a day, below the axis.
    :param band: what holds between two moments; ``listing`` a price and a status, until now without an end.
    :param summary: the chart in one sentence, for people who do not see it.
    :param statuses: by CSS class.
    :param heading: whether product and time stand in the picture.
    """

    price: Callable[[int | None], str] = price_text
    tick: Callable[[datetime, timedelta], str] = lambda at, step: _tick_text(at, step)
    band: Callable[[str, datetime, datetime], str] = lambda what, start, end: (
        f"{what} from {moment_text(start)} to {moment_text(end)} WIB ({span_text(end - start)})"
    )
    listing: Callable[[str, datetime, datetime | None], str] = lambda what, since, until: (
        f"{what}: {moment_text(since)} WIB to {'now' if until is None else f'{moment_text(until)} WIB'}"
    )
    summary: Callable[[PriceChart], str] = lambda chart: _summary(chart)
    statuses: Mapping[str, str] = field(default_factory=lambda: _STATUS_WORDS)
    not_listed: str = "not listed"
    unknown: str = "no price list is known"
    zone: str = "times in WIB"
    heading: bool = True


ENGLISH = ChartWords()


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
        """The visible periods."""
        return [p for p in self.periods if p.since < self.until and (p.until or self.until) > self.since]

    @property
    def prices_rupiah(self) -> list[int]:
        """The visible prices, each once for as long as it holds."""
        prices = (period.product.price_rupiah for period in _price_changes(self.shown))
        return [price for price in prices if price is not None]


def svg(chart: PriceChart) -> str:
    """The chart as an SVG file."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawing(chart)}\n'


def page(chart: PriceChart) -> str:
    """The chart as an HTML page, with a table of the changes below it, newest first."""
    latest = chart.periods[-1].product
    return _TEMPLATES.get_template("price.html.jinja").render(
        heading=latest.name or latest.code,
        colours=Markup(custom_properties(":root", {})),  # noqa: S704 - our own constant
        drawing=drawing(chart),
        rows=list(_rows(chart.periods)),
    )


def drawing(chart: PriceChart, words: ChartWords = ENGLISH) -> Markup:
    """The ``svg`` element.

    :param words: a page that has them in its own language also has :data:`STYLE` in its own style sheet.
    """
    plot = _Plot(chart, words)
    product = chart.periods[-1].product
    title = product.name or product.code
    title = title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "…"
    time = f"{moment_text(chart.since)} to {moment_text(chart.until)} WIB"
    heading = [
        element("style", Markup(STYLE)),  # noqa: S704 - our own constant
        element("rect", class_="surface", width=WIDTH, height=HEIGHT),
        element("text", title, class_="title", x=_LEFT - 68, y=30),
        element("text", f"{product.code} · account {chart.account} · {time}", x=_LEFT - 68, y=50),
    ]
    parts = [
        *(heading if words.heading else ()),
        _HATCHING,
        *plot.legend(),
        *plot.bands(),
        *plot.axes(),
        *plot.steps(),
        *plot.marks(),
        *plot.tooltips(),
    ]
    top = 0 if words.heading else _HEADING
    return element(
        "svg",
        joined(parts, "\n"),
        xmlns="http://www.w3.org/2000/svg",
        class_="price",
        role="img",
        viewBox=f"0 {top} {WIDTH} {HEIGHT - top}",
        width=WIDTH,
        height=HEIGHT - top,
        aria_label=words.summary(chart),
    )


class _Plot:
    """Places things between the axes."""

    def __init__(self, chart: PriceChart, words: ChartWords) -> None:
        self.chart = chart
        self.words = words
        self.shown = chart.shown
        prices = [p.product.price_rupiah for p in self.shown if p.product.price_rupiah is not None]
        self.ticks = _price_ticks(min(prices, default=0), max(prices, default=0))
        self.low, self.high = self.ticks[0], self.ticks[-1]
        self.gaps = gaps_between(chart.moments, chart.since, chart.until, chart.gap_hours)
        first = chart.periods[0].since
        self.before = [(chart.since, min(first, chart.until))] if first > chart.since else []
        self.gone = [(start, end) for start, end in _absences(chart)]

    def x(self, moment: datetime) -> float:
        """From left to right."""
        inside = min(max(moment, self.chart.since), self.chart.until)
        share = (inside - self.chart.since) / (self.chart.until - self.chart.since)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, price_rupiah: int) -> float:
        """From bottom to top."""
        share = (price_rupiah - self.low) / (self.high - self.low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    def axes(self) -> Iterator[Markup]:
        """Prices on the left, days or hours below."""
        right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        for price in self.ticks:
            y = self.y(price)
            yield line("grid", _LEFT, y, right, y)
            yield element("text", self.words.price(price), x=_LEFT - 8, y=y + 4, text_anchor="end")
        yield line("axis", _LEFT, bottom, right, bottom)
        for moment, words in _time_ticks(self.chart.since, self.chart.until, self.words):
            x = self.x(moment)
            yield line("axis", x, bottom, x, bottom + 5)
            anchor = "middle" if x < right - 36 else "end"
            yield element("text", words, x=x, y=bottom + 20, text_anchor=anchor)
        yield element("text", self.words.zone, x=right, y=bottom + 40, text_anchor="end")

    def bands(self) -> Iterator[Markup]:
        """When the product was not listed, and when no list is known."""
        for (start, end), kind, words in [
            *((span, "blind", self.words.unknown) for span in (*self.before, *self.gaps)),
            *((span, "gone", self.words.not_listed) for span in self.gone),
        ]:
            told = self.words.band(words, start, end)
            yield self._band(kind, start, end, 2.0, told)

    def steps(self) -> Iterator[Markup]:
        """The line, styled by status; a thin vertical joins a price to the next."""
        last: PricePeriod | None = None
        for period in self.shown:
            price = period.product.price_rupiah
            if price is not None:
                x, end = self.x(period.since), self.x(period.until or self.chart.until)
                if last is not None and last.until == period.since and last.product.price_rupiah is not None:
                    yield line("step", x, self.y(last.product.price_rupiah), x, self.y(price))
                # A period shorter than a pixel stays visible.
                yield _stroke(_status_class(period), x, self.y(price), max(end, x + 1.5))
            last = period

    def marks(self) -> Iterator[Markup]:
        """A dot and a figure at each price change if there is room, and always at the last price."""
        changes = [p for p in _price_changes(self.shown) if p.since >= self.chart.since]
        if len(changes) > _MARKED_CHANGES:
            changes = []
        priced = [(p, p.product.price_rupiah) for p in self.shown if p.product.price_rupiah is not None]
        latest = priced[-1] if priced else None
        free_from = float(_LEFT)
        # The first price in the chart.
        if priced and priced[0][0].since <= self.chart.since and priced[0] is not latest:
            first = priced[0][1]
            yield element("text", self.words.price(first), class_="mark", x=_LEFT + 5, y=self.y(first) - 8)
            free_from += _LABEL_WIDTH
        end_x = WIDTH - _RIGHT - (_LABEL_WIDTH if latest is not None else 0)
        for period in changes:
            price = period.product.price_rupiah
            assert price is not None
            x, y = self.x(period.since), self.y(price)
            yield element("circle", class_="dot", cx=x, cy=y, r=3)
            if free_from <= x <= end_x - 12 and (latest is None or period is not latest[0]):
                yield element("text", self.words.price(price), class_="mark", x=x + 4, y=y - 8)
                free_from = x + _LABEL_WIDTH
        if latest is not None:
            period, price = latest
            x, y = self.x(period.until or self.chart.until), self.y(price) - 9
            yield element("text", self.words.price(price), class_="figure", x=x, y=y, text_anchor="end")

    def legend(self) -> Iterator[Markup]:
        """The legend of what the chart shows."""
        signs = [
            (kind, self.words.statuses[kind])
            for kind in ("s1", "s3", "s2", "s0")
            if any(_status_class(period) == kind for period in self.shown)
        ]
        if self.gone:
            signs.append(("gone", self.words.not_listed))
        if self.before or self.gaps:
            signs.append(("blind", self.words.unknown))
        x = float(_LEFT)
        for kind, words in signs:
            is_line = kind in _STATUS_WORDS
            yield _stroke(kind, x, 71, x + 30) if is_line else rectangle(kind, x, 64, 30, 14)
            yield element("text", words, x=x + 36, y=75)
            x += 58 + 7 * len(words)

    def tooltips(self) -> Iterator[Markup]:
        """The tooltip of each period."""
        for period in self.shown:
            status = self.words.statuses[_status_class(period)]
            what = f"{self.words.price(period.product.price_rupiah)}, {status}"
            words = self.words.listing(what, period.since, period.until)
            yield self._band("hit", period.since, period.until or self.chart.until, 3.0, words)

    def _band(self, kind: str, start: datetime, end: datetime, least_width: float, words: str) -> Markup:
        """A band over the whole height of the plot, between two moments."""
        x = self.x(start)
        width = max(least_width, round(self.x(end) - x, 1))
        return rectangle(kind, x, _TOP, width, HEIGHT - _TOP - _BOTTOM, words)


def _stroke(kind: str, x: float, y: float, end: float) -> Markup:
    """A horizontal line, styled by status."""
    return element("path", class_=f"line {kind}", d=f"M{x} {y}H{end}")


def _absences(chart: PriceChart) -> Iterator[tuple[datetime, datetime]]:
    """The spans between two periods that do not touch, and after a last one that has ended."""
    starts = [period.until for period in chart.periods]
    ends = [period.since for period in chart.periods[1:]] + [chart.until]
    for start, end in zip(starts, ends, strict=True):
        if start is not None and start < end and start < chart.until and end > chart.since:
            yield max(start, chart.since), min(end, chart.until)


def _price_changes(periods: Sequence[PricePeriod]) -> Iterator[PricePeriod]:
    """The periods that began with a new price, including the first one."""
    last: int | None = None
    for period in periods:
        price = period.product.price_rupiah
        if price is not None and price != last:
            yield period
        last = price


def _rows(periods: Sequence[PricePeriod]) -> Iterator[dict[str, str]]:
    for number in range(len(periods) - 1, -1, -1):
        period, product = periods[number], periods[number].product
        before = periods[number - 1].product.price_rupiah if number else None
        moved = number and before != product.price_rupiah
        yield {
            "since": moment_text(period.since),
            "until": "still" if period.until is None else moment_text(period.until),
            "price": price_text(product.price_rupiah),
            "change": percent_text(before, product.price_rupiah) if moved else "",
            "status": product.status_text,
            "name": product.name,
        }


def _summary(chart: PriceChart) -> str:
    """The chart in one sentence, for screen readers."""
    latest = chart.periods[-1]
    count = len(chart.prices_rupiah)
    now = (
        f"now {price_text(latest.product.price_rupiah)}"
        if latest.until is None
        else f"not listed since {moment_text(latest.until)} WIB"
    )
    return f"Price of {latest.product.code}: {count} prices in the time shown, {now}"


def _status_class(period: PricePeriod) -> str:
    return _STATUS_CLASSES.get(period.product.status, "s0")


def _price_ticks(low: int, high: int) -> list[int]:
    """Round prices around the drawn range, at least two. Whole rupiah."""
    if low == high:
        spread = max(1, abs(high) // 10)
        low, high = low - spread if low else 0, high + spread
    step = round_step(max(1, (high - low) // (_TICKS - 1)))
    first = low // step * step
    last = -(-high // step) * step
    # Room above the highest line for its figure, and below the lowest.
    first -= step if first >= step and low - first < step // 3 else 0
    last += step if last - high < step // 3 else 0
    return list(range(first, last + 1, step))


def _time_ticks(since: datetime, until: datetime, words: ChartWords) -> Iterator[tuple[datetime, str]]:
    """Axis ticks on whole hours or days in Jakarta time, with their labels."""
    room = (WIDTH - _LEFT - _RIGHT) // 92
    step = next((s for s in _TIME_STEPS if (until - since) / s <= room), _TIME_STEPS[-1])
    moment = midnight(business_day(since))
    while moment <= until:
        if moment >= since:
            yield moment, words.tick(moment, step)
        moment += step


def _tick_text(moment: datetime, step: timedelta) -> str:
    local = moment.astimezone(WIB)
    day = f"{local.day} {local:%b}"
    if step < timedelta(days=1):
        return f"{day} {local:%H:%M}" if step <= timedelta(hours=6) else f"{day} {local:%Hh}"
    return day if step < timedelta(days=300) else day_text(moment)
