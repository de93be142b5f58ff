"""The weekly summary as a self-contained HTML page: no script, no external resources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from sat_hook.catalogue.weekly import Move, WeekSummary
from sat_hook.domain.business_day import day_text, moment_text, span_text
from sat_hook.domain.prices import ListedProduct, SnapshotOutcome, percent_text, price_text
from sat_hook.presentation.chart_style import AMBER, BLUE, RED, custom_properties
from sat_hook.presentation.templates import templates_of

MAXIMUM_LINES = 200
"""Most lines of each table; the rest are counted."""

_BAR_PIXELS = 120
_BAR = Markup('<span class="bar {}" style="width:{}px"></span>')
_COLOURS = {"rise": AMBER, "fall": BLUE, "alarm": RED}


class _Section(NamedTuple):
    """A table under a heading. ``numbers`` are the columns to the right; ``beyond`` rows are left out."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    numbers: frozenset[int]
    beyond: int


def weekly_page(summary: WeekSummary) -> str:
    """The page; the same summary gives the same text."""
    return _TEMPLATES.get_template(
        "week.html.jinja"
    ).render(
        title=f"Prices of account {summary.account}, week {summary.week.name}",
        colours=Markup(custom_properties(":root", _COLOURS)),  # noqa: S704 - our own constant
        summary=summary,
        figures=_figures(summary),
        lists_read=summary.attempts.get(SnapshotOutcome.COMPLETE, 0),
        watching=_watching(summary),
        gaps=summary.gaps[:MAXIMUM_LINES],
        sections=[
            *_moves("Dearer", "rise", summary.rises),
            *_moves("Cheaper", "fall", summary.falls),
            *_statuses(summary),
            *_products("New", summary.appeared),
            *_products("Back again", summary.returned),
            *_products("Gone", summary.disappeared),
        ],
    )


def _figures(summary: WeekSummary) -> tuple[tuple[int, str], ...]:
    return (
        (summary.listed_after, "products listed"),
        (len(summary.rises), "dearer"),
        (len(summary.falls), "cheaper"),
        (summary.there_and_back, "there and back"),
        (len(summary.appeared) + len(summary.returned), "new or back"),
        (len(summary.disappeared), "gone"),
        (len(summary.statuses), "other status"),
    )


def _watching(summary: WeekSummary) -> str:
    """How many price lists were read, and the outcome of the other attempts."""
    complete = summary.attempts.get(SnapshotOutcome.COMPLETE, 0)
    others = [
        f"{count:,} {outcome.value}"
        for outcome, count in summary.attempts.items()
        if outcome is not SnapshotOutcome.COMPLETE
    ]
    read = "1 price list was read" if complete == 1 else f"{complete:,} price lists were read"
    return read + (f"; {', '.join(others)}" if others else "")


def _moves(title: str, kind: str, moves: Sequence[Move]) -> Iterator[_Section]:
    largest = max((_share(move) for move in moves), default=1.0)
    rows = []
    for move in moves[:MAXIMUM_LINES]:
        before, after = move.prices_rupiah
        # Widths of bars are pixels, not money.
        width = max(2, round(_BAR_PIXELS * _share(move) / largest))
        rows.append(
            (
                move.after.code,
                move.after.name,
                price_text(before),
                price_text(after),
                percent_text(before, after),
                _BAR.format(kind, width),
                f"{move.changes:,}",
            )
        )
    heads = ("product", "name", "before", "after", "by", "", "steps")
    yield from _section(title, heads, rows, len(moves), numbers={2, 3, 4, 6})


def _share(move: Move) -> float:
    before, after = move.prices_rupiah
    return abs(after - before) / abs(before)


def _statuses(summary: WeekSummary) -> Iterator[_Section]:
    rows = [
        (after.code, after.name, before.status_text, after.status_text)
        for before, after in summary.statuses[:MAXIMUM_LINES]
    ]
    heads = ("product", "name", "before", "after")
    yield from _section("Other status", heads, rows, len(summary.statuses))


def _products(title: str, products: Sequence[ListedProduct]) -> Iterator[_Section]:
    rows = [
        (product.code, product.name, price_text(product.price_rupiah), product.status_text)
        for product in products[:MAXIMUM_LINES]
    ]
    yield from _section(title, ("product", "name", "price", "status"), rows, len(products), numbers={2})


def _section(
    title: str,
    heads: tuple[str, ...],
    rows: list[Any],
    all_rows: int,
    *,
    numbers: set[int] | frozenset[int] = frozenset(),
) -> Iterator[_Section]:
    if rows:
        yield _Section(f"{title} ({all_rows:,})", heads, rows, frozenset(numbers), all_rows - len(rows))


_TEMPLATES = templates_of("sat_hook.catalogue")
_TEMPLATES.filters["day"] = day_text
_TEMPLATES.filters["moment"] = moment_text
_TEMPLATES.filters["span"] = span_text
