"""What charts are made of: elements whose texts are escaped, and round ticks for their axes."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, *children: object, **attributes: object) -> Markup:
    """An element. Children and attributes are escaped, unless they are Markup; floats get one decimal.

    :param attributes: ``text_anchor`` is written ``text-anchor``, and ``class_`` is ``class``; what is None
        is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    content = joined(children)
    # Every part of it has been escaped.
    return Markup(f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>")  # noqa: S704


def joined(parts: Iterable[object], separator: str = "") -> Markup:
    """Parts in a row; what is not Markup is escaped."""
    return Markup(separator).join(escape(part) for part in parts)  # noqa: S704


def line(class_: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A straight line."""
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def rectangle(
    class_: str, x: float, y: float, width: float, height: float, title: str = "", **attributes: object
) -> Markup:
    """A rectangle. ``title`` is shown when one points at it."""
    told = (element("title", title),) if title else ()
    return element("rect", *told, class_=class_, x=x, y=y, width=width, height=height, **attributes)


def round_step(least: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50 … that is not below ``least``."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if factor * size >= least:
                return factor * size
        size *= 10


def _number(value: object) -> object:
    return f"{value:.1f}" if isinstance(value, float) else value
