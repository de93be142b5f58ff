"""Building blocks of charts: escaped SVG elements, and round ticks for axes."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Make an element. Children and attributes are escaped unless they are Markup; floats get one decimal.

    :param attributes: ``text_anchor`` is written as ``text-anchor`` and ``class_`` as ``class``; None is left
        out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    content = joined(children)
    # Every part has been escaped.
    return Markup(f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>")  # noqa: S704


def joined(parts: Iterable[object], separator: str = "") -> Markup:
    """Join parts; escapes what is not Markup."""
    return Markup(separator).join(escape(part) for part in parts)  # noqa: S704


def line(class_: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def rectangle(
    class_: str, x: float, y: float, width: float, height: float, title: str = "", **attributes: object
) -> Markup:
    """A rectangle. ``title`` is its tooltip."""
    told = (element("title", title),) if title else ()
    return element("rect", *told, class_=class_, x=x, y=y, width=width, height=height, **attributes)


def round_step(least: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 … that is at least ``least``."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if factor * size >= least:
                return factor * size
        size *= 10


def _number(value: object) -> object:
    return f"{value:.1f}" if isinstance(value, float) else value
