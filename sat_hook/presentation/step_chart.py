"""A chart of values over time: each is a line for as long as it held, with marked times between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from markupsafe import Markup

from sat_hook.domain.business_day import WIB, business_day, midnight
from sat_hook.presentation.chart_style import ALONE, DASHES, Meaning
from sat_hook.presentation.charts import LETTER_WIDTH, WIDTH, Scale
from sat_hook.presentation.language import Wording
from sat_hook.presentation.svg import element, joined, line, rectangle

HEIGHT = 350
_LEFT, _RIGHT, _PLOT_TOP, _PLOT_BOTTOM = 92, WIDTH - 12, 48, HEIGHT - 30
_TICK_WIDTH = 92
_MARKED_CHANGES = 40
_TIME_STEPS = (
    *(timedelta(minutes=minutes) for minutes in (15, 60, 120, 180, 360, 720)),
    *(timedelta(days=days) for days in (1, 2, 3, 7, 14, 30, 91, 365)),
)
_HATCHING = element(
    "defs",
    element(
        "pattern",
        element("line", class_="hatch", x1=0, y1=0, x2=0, y2=7),
        id="absent",
        width=7,
        height=7,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    ),
)


@dataclass(frozen=True, slots=True)
class Span:
    """What holds for a time: a value as a line, or None; ``what`` is its tooltip."""

    since: datetime
    until: datetime
    value: int | None
    manner: Meaning
    what: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The data of a step chart.

    :param spans: in [since, until), the oldest first; ``bands`` are times that are marked, without values.
    :param legend: the meanings of its lines and bands.
    """

    since: datetime
    until: datetime
    spans: Sequence[Span]
    bands: Sequence[Span]
    legend: Sequence[tuple[Meaning, str]]


def step_chart(label: str, timeline: Timeline, wording: Wording) -> Markup:
    """Rupiah over time: a line for as long as a value holds, a figure where it changes.

    :param label: what it shows, for people who do not see it.
    """
    return _StepChart(timeline, wording).drawing(label)


def alone(drawing: Markup, label: str, title: str, under: str) -> Markup:
    """A step chart as an SVG file, below its title."""
    top = 60
    return element(
        "svg",
        element("style", Markup(ALONE)),  # noqa: S704 - our own constant
        element("rect", class_="page", width=WIDTH, height=top + HEIGHT),
        element("g", element("text", title, class_="strong title", x=12, y=28), class_="chart"),
        element("g", element("text", under, x=12, y=48), class_="chart"),
        element("svg", drawing, y=top, width=WIDTH, height=HEIGHT),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {top + HEIGHT}",
        width=WIDTH,
        height=top + HEIGHT,
        role="img",
        aria_label=label,
    )


class _StepChart:
    """Places a timeline between the axes."""

    def __init__(self, timeline: Timeline, wording: Wording) -> None:
        self._timeline = timeline
        self._wording = wording
        values = [span.value for span in timeline.spans if span.value is not None] or [0]
        self._scale = Scale.around(values, _PLOT_BOTTOM, _PLOT_TOP - _PLOT_BOTTOM)

    def drawing(self, label: str) -> Markup:
        parts = (_HATCHING, *self._legend(), *self._bands(), *self._axes(), *self._lines(), *self._figures())
        tooltips = (self._band(span, "hit", 3.0) for span in self._timeline.spans)
        return element(
            "svg",
            joined((*parts, *tooltips), "\n"),
            class_="chart",
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            role="img",
            aria_label=label,
            xmlns="http://www.w3.org/2000/svg",
        )

    def _x(self, moment: datetime) -> float:
        since, until = self._timeline.since, self._timeline.until
        share = (min(max(moment, since), until) - since) / (until - since)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)

    def _legend(self) -> Iterator[Markup]:
        x, y = float(_LEFT), 13
        for meaning, words in self._timeline.legend:
            width = 36 + LETTER_WIDTH * len(words)
            if x + width > WIDTH:
                x, y = float(_LEFT), y + 18
            if meaning in DASHES:
                yield line(f"line {meaning}", x, y, x + 30, y)
            else:
                yield rectangle(meaning, x, y - 7, 30, 14)
            yield element("text", words, x=x + 36, y=y + 4)
            x += width + 16

    def _bands(self) -> Iterator[Markup]:
        for span in self._timeline.bands:
            yield self._band(span, span.manner, 2.0)

    def _band(self, span: Span, class_: str, least_width: float) -> Markup:
        x = self._x(span.since)
        width = max(least_width, round(self._x(span.until) - x, 1))
        return rectangle(
            class_, min(x, _RIGHT - width), _PLOT_TOP, width, _PLOT_BOTTOM - _PLOT_TOP, span.what
        )

    def _axes(self) -> Iterator[Markup]:
        for value in self._scale.ticks:
            y = self._scale.at(value)
            yield line("grid", _LEFT, y, _RIGHT, y)
            yield element("text", self._wording.rupiah(value), x=_LEFT - 8, y=y + 4, text_anchor="end")
        yield line("zero", _LEFT, _PLOT_BOTTOM, _RIGHT, _PLOT_BOTTOM)
        for moment, words in self._moments():
            x = self._x(moment)
            yield line("zero", x, _PLOT_BOTTOM, x, _PLOT_BOTTOM + 5)
            anchor = "middle" if x < _RIGHT - _TICK_WIDTH / 2 else "end"
            yield element("text", words, x=x, y=_PLOT_BOTTOM + 20, text_anchor=anchor)

    def _moments(self) -> Iterator[tuple[datetime, str]]:
        """Whole hours or days in Jakarta time."""
        since, until = self._timeline.since, self._timeline.until
        room = (_RIGHT - _LEFT) // _TICK_WIDTH
        step = next((step for step in _TIME_STEPS if (until - since) / step <= room), _TIME_STEPS[-1])
        moment = midnight(business_day(since))
        while moment <= until:
            if moment >= since:
                local = moment.astimezone(WIB)
                is_day = step >= timedelta(days=1) or not (local.hour or local.minute)
                yield moment, self._wording.day(local.date()) if is_day else f"{local:%H:%M} WIB"
            moment += step

    def _lines(self) -> Iterator[Markup]:
        """The lines; a thin upright joins a value to the next."""
        last: Span | None = None
        for span in self._timeline.spans:
            if span.value is not None:
                x, y = self._x(span.since), self._scale.at(span.value)
                if last is not None and last.until == span.since and last.value is not None:
                    yield line("step", x, self._scale.at(last.value), x, y)
                # A span shorter than a pixel stays visible.
                end = max(self._x(span.until), x + 1.5)
                yield line(f"line {span.manner}", min(x, end - 1.5), y, min(end, WIDTH), y)
            last = span

    def _figures(self) -> Iterator[Markup]:
        """A dot at each change; its figure where there is room; always the last figure."""
        held = [(span, span.value) for span in self._timeline.spans if span.value is not None]
        if not held:
            return
        changes = [held[0], *(two for one, two in pairwise(held) if one[1] != two[1])]
        span, value = held[-1]
        end, free_from = self._x(span.until), 0.0
        last = self._wording.rupiah(value)
        begin = end - LETTER_WIDTH * len(last)
        for one, amount in changes if len(changes) <= _MARKED_CHANGES else ():
            x, y, figure = self._x(one.since), self._scale.at(amount), self._wording.rupiah(amount)
            if one.since > self._timeline.since:
                yield element("circle", class_="dot", cx=x, cy=y, r=3)
            wide = LETTER_WIDTH * len(figure)
            if free_from <= x and x + wide < begin and one.until != span.until:
                yield element("text", figure, class_="figure", x=x + 4, y=y - 8)
                free_from = x + wide + 4
        y = self._scale.at(value) - 9
        yield element("text", last, class_="figure strong", x=end, y=y, text_anchor="end")
