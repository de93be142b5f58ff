"""One product's price over time, as a picture that stands by itself: SVG, or HTML with the changes below it.

A price is a step: it holds from the list that showed it until the next one. Times when the product was not
listed, and times of which no list is known, are drawn as what they are. No script, nothing from elsewhere;
the same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from sat_hook.catalogue.gaps import GAP_HOURS, gaps_between
from sat_hook.catalogue.wib import day_text, midnight, moment_text, rupiah_text, span_text
from sat_hook.domain.guards import WIB
from sat_hook.domain.prices import PricePeriod, percent_text

WIDTH, HEIGHT = 960, 420
MAXIMUM_PERIODS = 5_000

_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 26, 92, 52
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

STYLE = """
.price{--surface:#fcfcfb;--ink:#0b0b0b;--ink-2:#52514e;--grid:#e4e3df;--axis:#8a8983;--active:#2a78d6;
--resting:#c9820b;--off:#6f6e69;--other:#4a3aa7;--gone:#c2272d;--blind:#eceae4;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
@media (prefers-color-scheme:dark){.price{--surface:#1a1a19;--ink:#fff;--ink-2:#c3c2b7;--grid:#33332f;
--active:#4f98ea;--resting:#d99a2b;--off:#9a9993;--other:#9184e6;--gone:#f0706c;--blind:#2a2a27}}
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
""".strip()

_STATUS_CLASSES = {1: "s1", 2: "s2", 3: "s3"}
_STATUS_WORDS = {"s1": "active", "s2": "inactive", "s3": "temporarily inactive", "s0": "unknown status"}


class TooManyPeriodsError(ValueError):
    """More than a picture can show; a shorter time has fewer."""


@dataclass(frozen=True, slots=True)
class PriceChart:
    """What is drawn.

    :param periods: all that the product was listed as, the oldest first; what is outside [since, until] is
        cut.
    :param moments: when lists were read, for the times of which nothing is known.
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
        """The periods of which something is seen."""
        return [p for p in self.periods if p.since < self.until and (p.until or self.until) > self.since]


def svg(chart: PriceChart) -> str:
    """The chart as an SVG file."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + drawing(chart)


def page(chart: PriceChart) -> str:
    """The chart as an HTML page, with the changes as a table below it, the newest first."""
    latest = chart.periods[-1].product
    heading = escape(latest.name or latest.code)
    rows = "\n".join(_rows(chart.periods))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{heading}: price</title>
<style>
:root{{color-scheme:light dark;--surface:#fcfcfb;--ink:#0b0b0b;--ink-2:#52514e;--grid:#e4e3df}}
@media (prefers-color-scheme:dark){{:root{{--surface:#1a1a19;--ink:#fff;--ink-2:#c3c2b7;--grid:#33332f}}}}
body{{background:var(--surface);color:var(--ink);font:14px system-ui,sans-serif;max-width:960px}}
body{{margin:16px auto}}
table{{border-collapse:collapse;width:100%}} th,td{{padding:5px 10px;border-bottom:1px solid var(--grid)}}
th{{text-align:left;color:var(--ink-2);font-weight:600}} .number{{text-align:right;white-space:nowrap}}
svg{{width:100%;height:auto}}
</style></head><body>
{drawing(chart)}
<table><thead><tr><th>since (WIB)</th><th>until (WIB)</th><th class="number">price</th>
<th class="number">change</th><th>status</th><th>name</th></tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


def drawing(chart: PriceChart) -> str:
    """The ``svg`` element."""
    plot = _Plot(chart)
    product = chart.periods[-1].product
    title = product.name or product.code
    title = title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "…"
    time = f"{moment_text(chart.since)} to {moment_text(chart.until)} WIB"
    says = f"{product.code} · account {chart.account} · {time}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="price" role="img" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" aria-label="{escape(_summary(chart), quote=True)}">',
        f"<style>{STYLE}</style>",
        '<defs><pattern id="gone" width="7" height="7" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><line class="gone-line" x1="0" y1="0" x2="0" y2="7"/></pattern>'
        "</defs>",
        f'<rect class="surface" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{_LEFT - 68}" y="30">{escape(title)}</text>',
        f'<text x="{_LEFT - 68}" y="50">{escape(says)}</text>',
        *plot.legend(),
        *plot.bands(),
        *plot.axes(),
        *plot.steps(),
        *plot.marks(),
        *plot.tooltips(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Plot:
    """Places things between the axes."""

    def __init__(self, chart: PriceChart) -> None:
        self.chart = chart
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

    def axes(self) -> Iterator[str]:
        """Prices on the left, days or hours below."""
        for price in self.ticks:
            y = self.y(price)
            yield f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{rupiah_text(price)}</text>'
        bottom = HEIGHT - _BOTTOM
        yield f'<line class="axis" x1="{_LEFT}" y1="{bottom}" x2="{WIDTH - _RIGHT}" y2="{bottom}"/>'
        for moment, words in _time_ticks(self.chart.since, self.chart.until):
            x = self.x(moment)
            yield f'<line class="axis" x1="{x}" y1="{bottom}" x2="{x}" y2="{bottom + 5}"/>'
            anchor = "middle" if x < WIDTH - _RIGHT - 36 else "end"
            yield f'<text x="{x}" y="{bottom + 20}" text-anchor="{anchor}">{words}</text>'
        yield f'<text x="{WIDTH - _RIGHT}" y="{bottom + 40}" text-anchor="end">times in WIB</text>'

    def bands(self) -> Iterator[str]:
        """When the product was not listed, and when nobody knows."""
        for (start, end), kind, words in [
            *((span, "blind", "no price list is known") for span in (*self.before, *self.gaps)),
            *((span, "gone", "not listed") for span in self.gone),
        ]:
            x, width = self.x(start), max(2.0, round(self.x(end) - self.x(start), 1))
            told = f"{words} from {moment_text(start)} to {moment_text(end)} WIB ({span_text(end - start)})"
            yield (
                f'<rect class="{kind}" x="{x}" y="{_TOP}" width="{width}" height="{HEIGHT - _TOP - _BOTTOM}">'
                f"<title>{told}</title></rect>"
            )

    def steps(self) -> Iterator[str]:
        """The line, in the manner of each status; a thin upright joins a price to the next."""
        last: PricePeriod | None = None
        for period in self.shown:
            price = period.product.price_rupiah
            if price is not None:
                x, end = self.x(period.since), self.x(period.until or self.chart.until)
                if last is not None and last.until == period.since and last.product.price_rupiah is not None:
                    was, now = self.y(last.product.price_rupiah), self.y(price)
                    yield f'<line class="step" x1="{x}" y1="{was}" x2="{x}" y2="{now}"/>'
                kind = _status_class(period)
                # A period that is shorter than a pixel is seen all the same.
                yield f'<path class="line {kind}" d="M{x} {self.y(price)}H{max(end, x + 1.5)}"/>'
            last = period

    def marks(self) -> Iterator[str]:
        """A dot and a figure where the price changes, as far as there is room; the last price always."""
        changes = [p for p in _price_changes(self.shown) if p.since >= self.chart.since]
        if len(changes) > _MARKED_CHANGES:
            changes = []
        priced = [p for p in self.shown if p.product.price_rupiah is not None]
        latest = priced[-1] if priced else None
        free_from = float(_LEFT)
        # The price that the picture begins with.
        if priced and priced[0].since <= self.chart.since and priced[0] is not latest:
            first = priced[0].product.price_rupiah
            assert first is not None
            yield f'<text class="mark" x="{_LEFT + 5}" y="{self.y(first) - 8}">{rupiah_text(first)}</text>'
            free_from += _LABEL_WIDTH
        end_x = WIDTH - _RIGHT - (_LABEL_WIDTH if latest is not None else 0)
        for period in changes:
            price = period.product.price_rupiah
            assert price is not None
            x, y = self.x(period.since), self.y(price)
            yield f'<circle class="dot" cx="{x}" cy="{y}" r="3"/>'
            if x >= free_from and x <= end_x - 12 and period is not latest:
                yield f'<text class="mark" x="{x + 4}" y="{y - 8}">{rupiah_text(price)}</text>'
                free_from = x + _LABEL_WIDTH
        if latest is not None:
            price = latest.product.price_rupiah
            assert price is not None
            x, y = self.x(latest.until or self.chart.until), self.y(price)
            yield f'<text class="figure" x="{x}" y="{y - 9}" text-anchor="end">{rupiah_text(price)}</text>'

    def legend(self) -> Iterator[str]:
        """What of all this is on the picture."""
        x = float(_LEFT)
        for kind in ("s1", "s3", "s2", "s0"):
            if any(_status_class(period) == kind for period in self.shown):
                yield f'<path class="line {kind}" d="M{x} 71H{x + 30}"/>'
                yield f'<text x="{x + 36}" y="75">{_STATUS_WORDS[kind]}</text>'
                x += 36 + 7 * len(_STATUS_WORDS[kind]) + 22
        for kind, words, spans in (
            ("gone", "not listed", self.gone),
            ("blind", "no price list is known", [*self.before, *self.gaps]),
        ):
            if spans:
                yield f'<rect class="{kind}" x="{x}" y="64" width="30" height="14"/>'
                yield f'<text x="{x + 36}" y="75">{words}</text>'
                x += 36 + 7 * len(words) + 22

    def tooltips(self) -> Iterator[str]:
        """What a pointer is told above each period."""
        for period in self.shown:
            x = self.x(period.since)
            width = max(3.0, round(self.x(period.until or self.chart.until) - x, 1))
            until = "now" if period.until is None else f"{moment_text(period.until)} WIB"
            words = (
                f"{rupiah_text(period.product.price_rupiah)}, {period.product.status_text}: "
                f"{moment_text(period.since)} WIB to {until}"
            )
            yield (
                f'<rect class="hit" x="{x}" y="{_TOP}" width="{width}" height="{HEIGHT - _TOP - _BOTTOM}">'
                f"<title>{words}</title></rect>"
            )


def _absences(chart: PriceChart) -> Iterator[tuple[datetime, datetime]]:
    """Between two periods that do not touch, and after a last one that has ended."""
    starts = [period.until for period in chart.periods]
    ends = [period.since for period in chart.periods[1:]] + [chart.until]
    for start, end in zip(starts, ends, strict=True):
        if start is not None and start < end and start < chart.until and end > chart.since:
            yield max(start, chart.since), min(end, chart.until)


def _price_changes(periods: Sequence[PricePeriod]) -> Iterator[PricePeriod]:
    """The periods that began with another price, or with the first one."""
    last: int | None = None
    for period in periods:
        price = period.product.price_rupiah
        if price is not None and price != last:
            yield period
        last = price


def _rows(periods: Sequence[PricePeriod]) -> Iterator[str]:
    for number in range(len(periods) - 1, -1, -1):
        period, product = periods[number], periods[number].product
        before = periods[number - 1].product.price_rupiah if number else None
        moved = number and before != product.price_rupiah
        cells = (
            ("", moment_text(period.since)),
            ("", "still" if period.until is None else moment_text(period.until)),
            (' class="number"', rupiah_text(product.price_rupiah)),
            (' class="number"', percent_text(before, product.price_rupiah) if moved else ""),
            ("", product.status_text),
            ("", product.name),
        )
        yield "<tr>" + "".join(f"<td{more}>{escape(text)}</td>" for more, text in cells) + "</tr>"


def _summary(chart: PriceChart) -> str:
    """The picture in a sentence, for who cannot see it."""
    latest = chart.periods[-1]
    count = sum(1 for _ in _price_changes(chart.shown))
    now = (
        f"now {rupiah_text(latest.product.price_rupiah)}"
        if latest.until is None
        else f"not listed since {moment_text(latest.until)} WIB"
    )
    return f"Price of {latest.product.code}: {count} prices in the time shown, {now}"


def _status_class(period: PricePeriod) -> str:
    return _STATUS_CLASSES.get(period.product.status, "s0")


def _price_ticks(low: int, high: int) -> list[int]:
    """Round prices around all that is drawn, at least two of them. Whole rupiah."""
    if low == high:
        spread = max(1, abs(high) // 10)
        low, high = low - spread if low else 0, high + spread
    step = _round_step(max(1, (high - low) // (_TICKS - 1)))
    first = low // step * step
    last = -(-high // step) * step
    # Room above the highest line for its figure, and below the lowest.
    first -= step if first >= step and low - first < step // 3 else 0
    last += step if last - high < step // 3 else 0
    return list(range(first, last + 1, step))


def _round_step(least: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 … that is not below ``least``."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if factor * size >= least:
                return factor * size
        size *= 10


def _time_ticks(since: datetime, until: datetime) -> Iterator[tuple[datetime, str]]:
    """Moments for the axis, on whole hours or days of Jakarta, with what is written there."""
    room = (WIDTH - _LEFT - _RIGHT) // 92
    step = next((s for s in _TIME_STEPS if (until - since) / s <= room), _TIME_STEPS[-1])
    moment = midnight(since.astimezone(WIB).date())
    while moment <= until:
        if moment >= since:
            local = moment.astimezone(WIB)
            day = f"{local.day} {local:%b}"
            if step < timedelta(days=1):
                words = f"{day} {local:%H:%M}" if step <= timedelta(hours=6) else f"{day} {local:%Hh}"
            else:
                words = day if step < timedelta(days=300) else day_text(moment)
            yield moment, words
        moment += step
