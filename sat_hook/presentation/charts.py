"""Charts as SVG, the same on pages, in reports and in files of their own.

Horizontal waterfalls and stacked bars begin at a zero line and carry their figures; a sparkline is a line of
daily figures; ``step_chart`` shows how long each value held. Put the table of the figures beside each chart,
so that no meaning is in a colour alone. Charts need no script. The same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sat_hook.presentation.chart_style import Meaning
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
LETTER_WIDTH = 7.0
_TICKS = 4
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_EDGE = 240, 48, 3


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
    """A segment of a stacked bar. ``what`` is its tooltip; ``figure`` stands on it where there is room."""

    size: int
    colour: Meaning
    what: str
    figure: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stacked bar, with the figure at its end."""

    label: str
    parts: tuple[Part, ...]
    figure: str

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


def waterfall(title: str, steps: Sequence[Step], words: Words) -> Markup:
    """The steps from one total to another, as SVG; rupiah from a zero line.

    :param words: of an amount, for the axis.
    """
    scale = Scale.over([0, *(s.from_rupiah for s in steps), *(s.to_rupiah for s in steps)])
    rows = []
    for place, step in enumerate(steps):
        top = _top_of(place)
        low, high = sorted((scale.at(step.from_rupiah), scale.at(step.to_rupiah)))
        if step.from_rupiah != step.to_rupiah:
            high = max(high, low + _LEAST_BAR)
        if place + 1 < len(steps):
            at = scale.at(step.to_rupiah)
            rows.append(line("link", at, top + _BAR_HEIGHT, at, top + _ROW_HEIGHT))
        # A printer draws even a bar without a width.
        bar = _rectangle(low, top, high - low, step.colour, "") if high > low else Markup("")
        is_strong = step.colour in (Meaning.TOTAL, Meaning.ALARM)
        rows.append(_row(step.label, place, bar, high, step.figure, is_strong=is_strong))
    return _svg(title, len(steps), scale, rows, words)


def stacked_bars(title: str, bars: Sequence[Bar], words: Words) -> Markup:
    """One bar per line, as SVG; its parts are side by side with a gap, from a zero line.

    :param words: of a size, for the axis.
    """
    scale = Scale.over([0, *(bar.size for bar in bars)])
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
            width = right - left - _GAP
            drawn.append(_rectangle(left, top, width, part.colour, part.what))
            if len(part.figure) * LETTER_WIDTH < width:
                drawn.append(
                    element(
                        "text",
                        part.figure,
                        class_=f"on-{part.colour}",
                        x=left + width / 2,
                        y=top + _BAR_HEIGHT / 2,
                        text_anchor="middle",
                        dominant_baseline="central",
                    )
                )
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
class Scale:
    """From amounts to pixels, with round ticks."""

    low: int
    high: int
    step: int
    first: float
    length: float

    @classmethod
    def over(cls, amounts: Sequence[int]) -> Scale:
        """Over the width of bars."""
        low, high = min(amounts), max(amounts)
        if low == high:
            high = low + 1
        return cls(low, high, round_step(-(-(high - low) // _TICKS)), _LABEL_WIDTH, _PLOT)

    @classmethod
    def around(cls, amounts: Sequence[int], first: float, length: float) -> Scale:
        """Round ends around the amounts, with room for figures above and below."""
        low, high = min(amounts), max(amounts)
        step = round_step(max(1, (high - low) // _TICKS, (abs(high) // 50 if low == high else 0)))
        return cls((low // step - (low > 0)) * step, (high // step + 1) * step, step, first, length)

    def at(self, amount: int) -> float:
        return round(self.first + self.length * (amount - self.low) / (self.high - self.low), 1)

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


def _svg(title: str, rows: int, scale: Scale, drawn: Sequence[Markup], words: Words) -> Markup:
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
