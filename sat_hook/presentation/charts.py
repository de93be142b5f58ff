"""Charts as inline SVG, the same on pages and in reports.

Horizontal waterfalls and stacked bars begin at a zero line and carry their figures; a sparkline is a line of
daily figures. Colours come from :data:`STYLE`. Put the table of the figures beside each chart, so that no
meaning is in a colour alone. Charts need no script. The same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from markupsafe import Markup

from sat_hook.presentation.colours import (
    AMBER,
    BLUE,
    BLUES,
    GREY,
    RED,
    SILVER,
    VIOLET,
    YELLOW,
    Colour,
    themed_properties,
)
from sat_hook.presentation.svg import element, joined, line, rectangle, round_step

Words = Callable[[int], str]

WIDTH = 800
_LABEL_WIDTH = 225
_FIGURE_WIDTH = 190
_ROW_HEIGHT = 32
_BAR_HEIGHT = 18
_TOP = 6
_AXIS_HEIGHT = 26
_PLOT = WIDTH - _LABEL_WIDTH - _FIGURE_WIDTH
_LEAST_BAR = 2.0
"""Least width in pixels, so that every non-zero value is visible."""
_GAP = 2.0
_LONGEST_LABEL = 31
_TICKS = 4
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_EDGE = 240, 48, 3


class Meaning(StrEnum):
    """The meaning of a colour; the values are CSS classes."""

    TOTAL = "c-total"
    INCREASE = "c-increase"
    DECREASE = "c-decrease"
    ALARM = "c-alarm"
    SUCCEEDED = "c-succeeded"
    IN_FLIGHT = "c-in-flight"
    FAILED = "c-failed"
    REVERSED = "c-reversed"
    NOT_SENT = "c-not-sent"
    AGE_1 = "c-age-1"
    AGE_2 = "c-age-2"
    AGE_3 = "c-age-3"
    AGE_4 = "c-age-4"


AGES = (Meaning.AGE_1, Meaning.AGE_2, Meaning.AGE_3, Meaning.AGE_4)
"""From young to old: one hue, increasingly strong."""

COLOURS: Mapping[str, Colour] = {
    Meaning.TOTAL: GREY,
    Meaning.INCREASE: BLUE,
    Meaning.DECREASE: AMBER,
    Meaning.ALARM: RED,
    Meaning.SUCCEEDED: BLUE,
    Meaning.IN_FLIGHT: YELLOW,
    Meaning.FAILED: RED,
    Meaning.REVERSED: VIOLET,
    Meaning.NOT_SENT: SILVER,
    **dict(zip(AGES, BLUES, strict=True)),
}

STYLE = (
    themed_properties(COLOURS)
    + ".chart{display:block;width:100%;max-width:54rem;height:auto;min-width:560px}\n"
    ".chart{font:12px system-ui,sans-serif}\n"
    ".chart text{fill:var(--ink-2)}\n"
    ".chart .figure{fill:var(--ink);font-variant-numeric:tabular-nums}\n"
    # A figure on top of a line stays readable.
    ".chart .figure{paint-order:stroke;stroke:var(--page);stroke-width:4px}\n"
    ".chart .strong{font-weight:600;fill:var(--ink)}\n"
    ".chart .grid{stroke:var(--line);stroke-width:1}\n"
    ".chart .zero{stroke:var(--ink-2);stroke-width:1}\n"
    ".chart .link{stroke:var(--ink-2);stroke-width:1;stroke-dasharray:2 2}\n"
    + "\n".join(f".{name}{{fill:var(--{name});background:var(--{name})}}" for name in Meaning)
    + "\n.spark{width:100%;height:3rem}\n"
    ".spark polyline{fill:none;stroke:var(--brand);stroke-width:2;vector-effect:non-scaling-stroke}\n"
    ".spark circle{fill:var(--brand)}\n"
)
"""The style sheet of the charts. It uses the console's tokens for text, lines and surface."""


@dataclass(frozen=True, slots=True)
class Step:
    """A bar of a waterfall, from one amount of rupiah to another; totals begin at 0."""

    label: str
    from_rupiah: int
    to_rupiah: int
    figure: str
    colour: Meaning


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of a stacked bar. ``what`` is its tooltip."""

    size: int
    colour: Meaning
    what: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A stacked bar, with the figure at its end."""

    label: str
    parts: tuple[Part, ...]
    figure: str

    @property
    def size(self) -> int:
        """The length of the bar."""
        return sum(part.size for part in self.parts)


def waterfall(title: str, steps: Sequence[Step], words: Words) -> Markup:
    """The steps from one total to another, as SVG; rupiah from a zero line.

    :param words: of an amount, for the axis.
    """
    scale = _Scale.over([0, *(s.from_rupiah for s in steps), *(s.to_rupiah for s in steps)])
    rows = []
    for place, step in enumerate(steps):
        top = _top_of(place)
        low, high = sorted((scale.at(step.from_rupiah), scale.at(step.to_rupiah)))
        if step.from_rupiah != step.to_rupiah:
            high = max(high, low + _LEAST_BAR)
        if place + 1 < len(steps):
            at = scale.at(step.to_rupiah)
            rows.append(line("link", at, top + _BAR_HEIGHT, at, top + _ROW_HEIGHT))
        bar = _rectangle(low, top, high - low, step.colour, "")
        is_strong = step.colour in (Meaning.TOTAL, Meaning.ALARM)
        rows.append(_row(step.label, place, bar, high, step.figure, is_strong=is_strong))
    return _svg(title, len(steps), scale, rows, words)


def stacked_bars(title: str, bars: Sequence[Bar], words: Words) -> Markup:
    """One bar per line, as SVG; its parts are side by side with a gap, from a zero line.

    :param words: of a size, for the axis.
    """
    scale = _Scale.over([0, *(bar.size for bar in bars)])
    rows = []
    for place, bar in enumerate(bars):
        top = _top_of(place)
        drawn, size, right = [], 0, scale.at(0)
        for part in bar.parts:
            if not part.size:
                continue
            left = max(scale.at(size), right)
            size += part.size
            right = max(scale.at(size), left + _LEAST_BAR + _GAP)
            drawn.append(_rectangle(left, top, right - left - _GAP, part.colour, part.what))
        rows.append(_row(bar.label, place, joined(drawn), right, bar.figure))
    return _svg(title, len(bars), scale, rows, words)


def sparkline(values: Sequence[int], label: str) -> Markup:
    """Draw values from left to right, from zero up.

    :param label: what it shows, for people who do not see it.
    """
    highest = max((*values, 1))
    step = (_SPARK_WIDTH - 2 * _SPARK_EDGE) / max(1, len(values) - 1)
    points = [
        (
            _SPARK_EDGE + step * place,
            _SPARK_HEIGHT - _SPARK_EDGE - (_SPARK_HEIGHT - 2 * _SPARK_EDGE) * max(0, value) / highest,
        )
        for place, value in enumerate(values)
    ]
    path = element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    marks = [element("circle", cx=points[-1][0], cy=points[-1][1], r=_SPARK_EDGE)] if points else []
    return element(
        "svg",
        path,
        *marks,
        class_="spark",
        viewBox=f"0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}",
        role="img",
        aria_label=label,
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From amounts to pixels, with round ticks."""

    low: int
    high: int
    step: int

    @classmethod
    def over(cls, amounts: Sequence[int]) -> _Scale:
        low, high = min(amounts), max(amounts)
        if low == high:
            high = low + 1
        return cls(low, high, round_step(-(-(high - low) // _TICKS)))

    def at(self, amount: int) -> float:
        return _LABEL_WIDTH + _PLOT * (amount - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> range:
        return range(-(-self.low // self.step) * self.step, self.high + 1, self.step)


def _top_of(place: int) -> float:
    return _TOP + place * _ROW_HEIGHT + (_ROW_HEIGHT - _BAR_HEIGHT) / 2


def _row(
    label: str, place: int, bar: Markup, right: float, figure: str, *, is_strong: bool = False
) -> Markup:
    middle = _TOP + place * _ROW_HEIGHT + _ROW_HEIGHT / 2
    strong = " strong" if is_strong else ""
    # Product codes of one family differ at their start or their end.
    kept = _LONGEST_LABEL // 2
    cut = label if len(label) <= _LONGEST_LABEL else f"{label[:kept]}…{label[-kept:]}"
    return element(
        "g",
        element("title", f"{label}: {figure}"),
        element(
            "text",
            cut,
            class_=f"label{strong}",
            x=_LABEL_WIDTH - 10,
            y=middle,
            text_anchor="end",
            dominant_baseline="central",
        ),
        bar,
        element("text", figure, class_=f"figure{strong}", x=right + 7, y=middle, dominant_baseline="central"),
    )


def _rectangle(left: float, top: float, width: float, colour: Meaning, what: str) -> Markup:
    return rectangle(colour.value, left, top, width, _BAR_HEIGHT, what, rx="1.5")


def _svg(title: str, rows: int, scale: _Scale, drawn: Sequence[Markup], words: Words) -> Markup:
    bottom = _TOP + rows * _ROW_HEIGHT
    axis = []
    for tick in scale.ticks:
        at = scale.at(tick)
        axis.append(line("zero" if tick == 0 else "grid", at, _TOP, at, bottom))
        axis.append(element("text", words(tick), x=at, y=bottom + 17, text_anchor="middle"))
    return element(
        "svg",
        *axis,
        *drawn,
        class_="chart",
        viewBox=f"0 0 {WIDTH} {bottom + _AXIS_HEIGHT}",
        role="img",
        aria_label=title,
        xmlns="http://www.w3.org/2000/svg",
    )
