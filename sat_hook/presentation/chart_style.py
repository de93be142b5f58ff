"""The colours and the style sheet of charts. Each colour has a meaning, a light form and a dark one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sat_hook.presentation.colours import (
    AMBER,
    BLUE,
    BLUES,
    GREY,
    MIST,
    RED,
    SILVER,
    VIOLET,
    YELLOW,
    Colour,
    custom_properties,
    ink_on,
    themed_properties,
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
    """.chart{display:block;width:100%;max-width:54rem;height:auto;min-width:560px}
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
