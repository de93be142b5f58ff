"""Charts as inline SVG: horizontal waterfalls and stacked bars, from a zero line, every bar with its figure.

They take their colours from the custom properties of :data:`STYLE` (light and dark; told apart by people who
see colours differently), and need no script and nothing from elsewhere. The same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

WIDTH = 800
_LABEL_WIDTH = 225
_FIGURE_WIDTH = 190
_ROW_HEIGHT = 32
_BAR_HEIGHT = 18
_TOP = 6
_AXIS_HEIGHT = 26
_PLOT = WIDTH - _LABEL_WIDTH - _FIGURE_WIDTH
_LEAST_BAR = 2.0
"""Pixels: what is not nothing is seen."""
_GAP = 2.0
_LONGEST_LABEL = 31
_TICKS = 4
NO_BREAK = "\u00a0"
"""The space inside an amount: no line ends there."""
_UNITS = ((10**12, "tn"), (10**9, "bn"), (10**6, "mn"))


class Colour(StrEnum):
    """What a colour says; the values are CSS classes."""

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


AGES = (Colour.AGE_1, Colour.AGE_2, Colour.AGE_3, Colour.AGE_4)
"""From young to old; one hue, ever stronger."""

_LIGHT = {
    "surface": "#fcfcfb",
    "ink": "#0b0b0b",
    "ink-2": "#52514e",
    "grid": "#e4e3df",
    "axis": "#8a8983",
    "link": "#1a5fb4",
    "c-total": "#6f6e69",
    "c-increase": "#2a78d6",
    "c-decrease": "#c9820b",
    "c-alarm": "#c2272d",
    "c-succeeded": "#2a78d6",
    "c-in-flight": "#eda100",
    "c-failed": "#c2272d",
    "c-reversed": "#4a3aa7",
    "c-not-sent": "#a3a29b",
    "c-age-1": "#9ec5f4",
    "c-age-2": "#5598e7",
    "c-age-3": "#256abf",
    "c-age-4": "#0d366b",
}
_DARK = {
    "surface": "#1a1a19",
    "ink": "#ffffff",
    "ink-2": "#c3c2b7",
    "grid": "#33332f",
    "axis": "#8a8983",
    "link": "#7ab4f5",
    "c-total": "#9a9993",
    "c-increase": "#4f98ea",
    "c-decrease": "#d99a2b",
    "c-alarm": "#f0706c",
    "c-succeeded": "#4f98ea",
    "c-in-flight": "#e0a92e",
    "c-failed": "#f0706c",
    "c-reversed": "#a79df0",
    "c-not-sent": "#75746e",
    "c-age-1": "#1c4f8f",
    "c-age-2": "#2f7bd6",
    "c-age-3": "#7db1f0",
    "c-age-4": "#d6e7fc",
}


def _properties(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


STYLE = (
    f":root{{color-scheme:light dark;{_properties(_LIGHT)}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_properties(_DARK)}}}}}\n"
    # Paper is white.
    f"@media print{{:root{{color-scheme:light;{_properties(_LIGHT)}}}}}\n"
    ".chart{display:block;width:100%;height:auto;min-width:560px;font:12px system-ui,sans-serif}\n"
    ".chart text{fill:var(--ink-2)}\n"
    ".chart .figure{fill:var(--ink);font-variant-numeric:tabular-nums}\n"
    # A figure that stands on a line stays readable.
    ".chart .figure{paint-order:stroke;stroke:var(--surface);stroke-width:4px}\n"
    ".chart .strong{font-weight:600;fill:var(--ink)}\n"
    ".chart .grid{stroke:var(--grid);stroke-width:1}\n"
    ".chart .zero{stroke:var(--axis);stroke-width:1}\n"
    ".chart .link{stroke:var(--axis);stroke-width:1;stroke-dasharray:2 2}\n"
    + "\n".join(f".{name}{{fill:var(--{name});background:var(--{name})}}" for name in Colour)
    + "\n"
)
"""The style sheet that the charts need; also defines ``--surface``, ``--ink`` and ``--ink-2``."""


@dataclass(frozen=True, slots=True)
class Step:
    """A bar of a waterfall, from one amount of rupiah to another; totals begin at 0."""

    label: str
    from_rupiah: int
    to_rupiah: int
    figure: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a stacked bar. ``what`` is shown when one points at it."""

    size: int
    colour: Colour
    what: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A stacked bar, with the figure that stands at its end."""

    label: str
    parts: tuple[Part, ...]
    figure: str

    @property
    def size(self) -> int:
        """How long it is."""
        return sum(part.size for part in self.parts)


def rupiah(amount: int) -> str:
    """``Rp 4,990,000``: to the rupiah, with a true minus."""
    return f"{'−' if amount < 0 else ''}Rp{NO_BREAK}{abs(amount):,}"


def short_rupiah(amount: int) -> str:
    """``Rp 4.99 mn``: three digits and a unit (million, billion, trillion); exact below a million."""
    return f"{'−' if amount < 0 else ''}Rp{NO_BREAK}{short_number(abs(amount))}"


def short_number(amount: int) -> str:
    """``4.99 mn``: about three digits and a unit; exact below a million."""
    for unit, name in _UNITS:
        if abs(amount) >= unit:
            whole = abs(amount) // unit
            places = 2 if whole < 10 else 1 if whole < 100 else 0
            digits = (abs(amount) * 10**places + unit // 2) // unit
            text = f"{digits // 10**places:,}"
            rest = f"{digits % 10**places:0{places}d}".rstrip("0") if places else ""
            return f"{'−' if amount < 0 else ''}{text}{'.' + rest if rest else ''}{NO_BREAK}{name}"
    return f"{amount:,}".replace("-", "−")


def waterfall(title: str, steps: Sequence[Step]) -> str:
    """The steps from one total to another, as SVG; rupiah from a zero line."""
    scale = _Scale.over([0, *(s.from_rupiah for s in steps), *(s.to_rupiah for s in steps)])
    rows = []
    for place, step in enumerate(steps):
        top = _TOP + place * _ROW_HEIGHT + (_ROW_HEIGHT - _BAR_HEIGHT) / 2
        low, high = sorted((scale.at(step.from_rupiah), scale.at(step.to_rupiah)))
        if step.from_rupiah != step.to_rupiah:
            high = max(high, low + _LEAST_BAR)
        if place + 1 < len(steps):
            at = scale.at(step.to_rupiah)
            rows.append(_line("link", at, top + _BAR_HEIGHT, at, top + _ROW_HEIGHT))
        rows.append(
            _row(
                step.label,
                place,
                _rectangle(low, top, high - low, step.colour, ""),
                high,
                step.figure,
                is_strong=step.colour in (Colour.TOTAL, Colour.ALARM),
            )
        )
    return _svg(title, len(steps), scale, rows, is_rupiah=True)


def stacked_bars(title: str, bars: Sequence[Bar], *, is_rupiah: bool) -> str:
    """One bar a line, as SVG; its parts stand side by side with a gap, from a zero line."""
    scale = _Scale.over([0, *(bar.size for bar in bars)])
    rows = []
    for place, bar in enumerate(bars):
        top = _TOP + place * _ROW_HEIGHT + (_ROW_HEIGHT - _BAR_HEIGHT) / 2
        drawn, size, right = [], 0, scale.at(0)
        for part in bar.parts:
            if not part.size:
                continue
            left = max(scale.at(size), right)
            size += part.size
            right = max(scale.at(size), left + _LEAST_BAR + _GAP)
            drawn.append(_rectangle(left, top, right - left - _GAP, part.colour, part.what))
        rows.append(_row(bar.label, place, "".join(drawn), right, bar.figure))
    return _svg(title, len(bars), scale, rows, is_rupiah=is_rupiah)


def legend(entries: Sequence[tuple[Colour, str]]) -> str:
    """What the colours mean, as HTML."""
    return (
        '<p class="legend">'
        + "".join(f'<span><i class="{colour}"></i>{escape(name)}</span>' for colour, name in entries)
        + "</p>"
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
        return cls(low, high, _round_step(high - low))

    def at(self, amount: int) -> float:
        return _LABEL_WIDTH + _PLOT * (amount - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> range:
        return range(-(-self.low // self.step) * self.step, self.high + 1, self.step)


def _round_step(span: int) -> int:
    """1, 2 or 5 times a power of ten, so that about four of them make ``span``."""
    power: int = 10 ** max(len(str(span)) - 2, 0)
    while True:
        for factor in (1, 2, 5):
            if factor * power * _TICKS >= span:
                return factor * power
        power *= 10


def _row(label: str, place: int, bar: str, right: float, figure: str, *, is_strong: bool = False) -> str:
    middle = _TOP + place * _ROW_HEIGHT + _ROW_HEIGHT / 2
    strong = " strong" if is_strong else ""
    # Codes of a family differ at their beginnings or at their ends.
    kept = _LONGEST_LABEL // 2
    cut = label if len(label) <= _LONGEST_LABEL else f"{label[:kept]}…{label[-kept:]}"
    return (
        f"<g><title>{escape(label)}: {escape(figure)}</title>"
        f'<text class="label{strong}" x="{_LABEL_WIDTH - 10}" y="{_number(middle)}" text-anchor="end"'
        f' dominant-baseline="central">{escape(cut)}</text>{bar}'
        f'<text class="figure{strong}" x="{_number(right + 7)}" y="{_number(middle)}"'
        f' dominant-baseline="central">{escape(figure)}</text></g>'
    )


def _rectangle(left: float, top: float, width: float, colour: Colour, what: str) -> str:
    title = f"<title>{escape(what)}</title>" if what else ""
    return (
        f'<rect class="{colour}" x="{_number(left)}" y="{_number(top)}" width="{_number(width)}"'
        f' height="{_BAR_HEIGHT}" rx="1.5">{title}</rect>'
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line class="{kind}" x1="{_number(x1)}" y1="{_number(y1)}" x2="{_number(x2)}" y2="{_number(y2)}"/>'
    )


def _svg(title: str, rows: int, scale: _Scale, drawn: Sequence[str], *, is_rupiah: bool) -> str:
    bottom = _TOP + rows * _ROW_HEIGHT
    axis = []
    for tick in scale.ticks:
        at = scale.at(tick)
        axis.append(_line("zero" if tick == 0 else "grid", at, _TOP, at, bottom))
        words = short_rupiah(tick) if is_rupiah else short_number(tick)
        axis.append(f'<text x="{_number(at)}" y="{bottom + 17}" text-anchor="middle">{escape(words)}</text>')
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {bottom + _AXIS_HEIGHT}" role="img"'
        f' aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(axis)}{''.join(drawn)}</svg>"
    )


def _number(value: float) -> str:
    return f"{value:.1f}"
