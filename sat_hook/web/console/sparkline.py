"""A line of daily figures, small enough for a card."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from sat_hook.presentation.svg import element

WIDTH = 240
HEIGHT = 48
_EDGE = 3


def sparkline(values: Sequence[int], label: str) -> Markup:
    """Draw values from left to right, from zero up.

    :param label: what it shows, for people who do not see it.
    """
    highest = max((*values, 1))
    step = (WIDTH - 2 * _EDGE) / max(1, len(values) - 1)
    points = [
        (_EDGE + step * place, HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * max(0, value) / highest)
        for place, value in enumerate(values)
    ]
    line = element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    marks = [element("circle", cx=points[-1][0], cy=points[-1][1], r=_EDGE)] if points else []
    return element(
        "svg",
        line,
        *marks,
        class_="spark",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=label,
    )
