"""The colours of pages and charts, light and dark, and the style sheet of charts: there each has a meaning.

They stay distinguishable with colour blindness.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Colour(NamedTuple):
    """A colour on a light and on a dark surface."""

    light: str
    dark: str


BLUE = Colour("#2a78d6", "#4f98ea")
AMBER = Colour("#c9820b", "#d99a2b")
YELLOW = Colour("#eda100", "#e0a92e")
RED = Colour("#c2272d", "#f0706c")
VIOLET = Colour("#4a3aa7", "#a79df0")
GREY = Colour("#6f6e69", "#9a9993")
SILVER = Colour("#a3a29b", "#75746e")
MIST = Colour("#eceae4", "#2a2a27")
BLUES = (
    Colour("#9ec5f4", "#1c4f8f"),
    Colour("#5598e7", "#2f7bd6"),
    Colour("#256abf", "#7db1f0"),
    Colour("#0d366b", "#d6e7fc"),
)
"""One hue, each step stronger than the last."""

PAGE: Mapping[str, Colour] = {
    "surface": Colour("#fcfcfb", "#1a1a19"),
    "ink": Colour("#0b0b0b", "#ffffff"),
    "ink-2": Colour("#52514e", "#c3c2b7"),
    "grid": Colour("#e4e3df", "#33332f"),
    "axis": Colour("#8a8983", "#8a8983"),
    "link": Colour("#1a5fb4", "#7ab4f5"),
}
"""The background and text colours of every page and chart."""


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read on a colour (WCAG's contrast)."""
    return Colour(*(_ink_on(form) for form in colour))


def _ink_on(form: str) -> str:
    shares = (int(form[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (
        share / 12.92 if share <= 0.04 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


def themed_properties(colours: Mapping[str, Colour]) -> str:
    """CSS that defines ``--name`` for each colour, on pages whose readers choose a theme (``data-theme``).

    Without a choice the system's theme counts. Print uses the light colours.
    """
    light = "".join(f"--{name}:{colour.light};" for name, colour in colours.items())
    dark = "".join(f"--{name}:{colour.dark};" for name, colour in colours.items())
    return (
        f":root{{{light}}}\n"
        f"@media screen{{:root[data-theme=dark]{{{dark}}}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
    )


def custom_properties(selector: str, colours: Mapping[str, Colour]) -> str:
    """CSS that defines ``--name`` for each colour and those of :data:`PAGE`: light, dark and print."""
    named = {**PAGE, **colours}
    light = "".join(f"--{name}:{colour.light};" for name, colour in named.items())
    dark = "".join(f"--{name}:{colour.dark};" for name, colour in named.items())
    return (
        f"{selector}{{color-scheme:light dark;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{{selector}{{{dark}}}}}\n"
        # Print uses the light colours.
        f"@media print{{{selector}{{color-scheme:light;{light}}}}}\n"
    )


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
    ACTIVE = "c-active"
    RESTING = "c-resting"
    OFF = "c-off"
    OTHER = "c-other"
    ABSENT = "c-absent"
    BLIND = "c-blind"


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
    Meaning.ACTIVE: BLUE,
    Meaning.RESTING: AMBER,
    Meaning.OFF: GREY,
    Meaning.OTHER: VIOLET,
    Meaning.ABSENT: RED,
    Meaning.BLIND: MIST,
}

DASHES: Mapping[Meaning, str] = {
    Meaning.ACTIVE: "none",
    Meaning.RESTING: "7 4",
    Meaning.OFF: "2 4",
    Meaning.OTHER: "9 3 2 3",
}
"""The lines of a step chart: a dash tells them apart, too."""

_RULES = (
    """.chart{display:block;width:100%;max-width:54rem;height:auto;min-width:44rem}
.chart{font:12px system-ui,sans-serif}
.chart text{fill:var(--ink-2)}
.chart .figure{fill:var(--ink);font-variant-numeric:tabular-nums}
.chart .figure{paint-order:stroke;stroke:var(--page);stroke-width:4px}
.chart .strong{font-weight:600;fill:var(--ink)}
.chart .grid{stroke:var(--line)} .chart .zero,.chart .step{stroke:var(--ink-2)}
.chart .link{stroke:var(--ink-2);stroke-dasharray:2 2}
.chart .line{stroke-width:2.5} .chart .dot{fill:var(--ink)} .chart .hit{fill:transparent}
.chart .hatch{stroke:var(--c-absent);stroke-width:1.2}
.spark{width:100%;height:3rem} .spark circle{fill:var(--brand)}
.spark polyline{fill:none;stroke:var(--brand);stroke-width:2;vector-effect:non-scaling-stroke}
"""
    + "".join(
        f".{name}{{fill:var(--{name});background:var(--{name})}} "
        f".chart .on-{name}{{fill:var(--on-{name});font-variant-numeric:tabular-nums}}\n"
        for name in Meaning
    )
    + "".join(
        f".chart .line.{name}{{stroke:var(--{name});stroke-dasharray:{dash}}}\n"
        for name, dash in DASHES.items()
    )
    + ".chart .c-absent{fill:url(#absent)}\n"
)
_PROPERTIES: Mapping[str, Colour] = {
    **COLOURS,
    **{f"on-{name}": ink_on(one) for name, one in COLOURS.items()},
}

STYLE = themed_properties(_PROPERTIES) + _RULES
"""The style sheet of the charts. It uses the console's tokens for text, lines and surface."""

ALONE = (
    custom_properties(":root", _PROPERTIES)
    + ":root{--page:var(--surface);--line:var(--grid);--brand:var(--link)}\n"
    + ".page{fill:var(--page)} .title{font:600 18px system-ui,sans-serif}\n"
    + _RULES
)
"""The style of a chart in a file of its own: the system's theme chooses its colours."""
