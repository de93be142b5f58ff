"""The colours of pages and charts, light and dark. They stay distinguishable with colour blindness."""

from __future__ import annotations

from collections.abc import Mapping
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
