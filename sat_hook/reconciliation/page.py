"""The report of a closed day as one self-contained HTML page: charts and tables, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from sat_hook.domain.business_day import in_wib
from sat_hook.domain.order import OrderState
from sat_hook.domain.rupiah import short_rupiah, typeset_rupiah
from sat_hook.presentation.bar_charts import AGES, STYLE, Bar, Meaning, Part, Step, stacked_bars, waterfall
from sat_hook.presentation.templates import templates_of
from sat_hook.reconciliation.figures import (
    BANDS,
    TOTALLED,
    Aged,
    ageing,
    by_product_and_state,
    by_state,
    counted,
    headline,
)
from sat_hook.reconciliation.model import BreakCategory, DayClose, SaldoEquation, WaterfallLine
from sat_hook.reconciliation.versions import Version

MAXIMUM_BREAKS = 500
"""Maximum number of breaks in the page; the others are in the files."""
MAXIMUM_LINES = 300
"""Maximum number of product and state lines in the page's table."""
MAXIMUM_ORDERS = 200
"""Maximum number of orders in the page: only those that may need a person."""
MAXIMUM_BARS = 12
"""Number of products with a bar of their own."""

UNEXPLAINED = "Unexplained"
"""The label of the waterfall's step that must be 0."""

_STEPS = (
    (Meaning.TOTAL, "saldo, or its change"),
    (Meaning.INCREASE, "comes in"),
    (Meaning.DECREASE, "goes out"),
    (Meaning.ALARM, "unexplained"),
)
_GROUPS: tuple[tuple[Meaning, str, frozenset[OrderState]], ...] = (
    (Meaning.SUCCEEDED, "succeeded", frozenset({OrderState.SUCCEEDED})),
    (
        Meaning.IN_FLIGHT,
        "in flight or unknown",
        frozenset({OrderState.SUBMITTING, OrderState.PENDING, OrderState.UNKNOWN, OrderState.ESCALATED}),
    ),
    (Meaning.FAILED, "failed", frozenset({OrderState.FAILED})),
    (Meaning.REVERSED, "reversed", frozenset({OrderState.REVERSED})),
    (
        Meaning.NOT_SENT,
        "not sent",
        frozenset(
            {
                OrderState.RECEIVED,
                OrderState.REJECTED,
                OrderState.QUOTED,
                OrderState.HELD,
                OrderState.CANCELLED,
            }
        ),
    ),
)
_GROUP_OF: dict[str, Meaning] = {state.value: colour for colour, _, states in _GROUPS for state in states}


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """A file beside the page."""

    name: str
    what: str


def render_page(close: DayClose, files: Sequence[LinkedFile], versions: Sequence[Version] = ()) -> bytes:
    """Render the page of a closed day, UTF-8.

    :param files: the files beside it; the page links to them by name.
    :param versions: those of the report up to this one.
    """
    aged = ageing(close)
    lines = by_product_and_state(close.orders)
    looked_at = _to_look_at(close.orders)
    page = _TEMPLATES.get_template(
        "day.html.jinja"
    ).render(
        close=close,
        head=headline(close),
        style=Markup(STYLE),  # noqa: S704 - our own constant
        files=files,
        versions=versions,
        bands=BANDS,
        aged=aged,
        categories=_aged_by_category(aged),
        waterfall=_waterfall(close.saldo) if close.saldo else "",
        steps_legend=_STEPS,
        changes=_changes(close.saldo) if close.saldo else "",
        breaks_by_category=_breaks_by_category(aged),
        breaks_by_age=_breaks_by_age(aged),
        ages_legend=list(zip(AGES, BANDS, strict=True)),
        products=_products(lines),
        states_legend=[(colour, name) for colour, name, _ in _GROUPS],
        totalled=TOTALLED,
        states=_rows(by_state(close.orders)),
        lines=_rows(lines.head(MAXIMUM_LINES)),
        all_lines=len(lines),
        breaks=close.breaks[:MAXIMUM_BREAKS],
        looked_at=_rows(looked_at.head(MAXIMUM_ORDERS)),
        all_looked_at=len(looked_at),
    )
    return page.encode("utf-8")


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    names = list(frame.columns)
    return [dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def _to_look_at(orders: pd.DataFrame) -> pd.DataFrame:
    """Return the orders that have not ended, or that a break names."""
    ended = [state.value for state in OrderState if state.is_final]
    found = orders[(orders["breaks"] > 0) | ~orders["state"].isin(ended)]
    return found[
        ["request_id", "order_id", "product_code", "client_number", "state", "sent_at", "breaks"]
    ].join(found[["charged_rupiah", "evidence"]])


def _waterfall(saldo: SaldoEquation) -> Markup:
    lines = saldo.waterfall
    steps = []
    for place, line in enumerate(lines):
        is_total = place in (0, len(lines) - 1)
        steps.append(
            Step(
                line.label,
                0 if is_total else line.after_rupiah - line.rupiah,
                line.after_rupiah,
                typeset_rupiah(line.rupiah) if is_total else _signed(line.rupiah),
                _colour_of(line, is_total=is_total),
            )
        )
    return waterfall("From the opening to the closing saldo", steps)


def _changes(saldo: SaldoEquation) -> Markup:
    """Chart the steps between the observations alone: beside a large saldo they are too thin to compare."""
    steps, opening = [], saldo.opening.saldo_rupiah
    for line in saldo.waterfall[1:-1]:
        after = line.after_rupiah - opening
        steps.append(
            Step(
                line.label, after - line.rupiah, after, _signed(line.rupiah), _colour_of(line, is_total=False)
            )
        )
    change = saldo.closing.saldo_rupiah - opening
    steps.append(Step("Change of the saldo", 0, change, _signed(change), Meaning.TOTAL))
    return waterfall("What changed the saldo", steps)


def _colour_of(line: WaterfallLine, *, is_total: bool) -> Meaning:
    if is_total:
        return Meaning.TOTAL
    if line.label == UNEXPLAINED and line.rupiah:
        return Meaning.ALARM
    return Meaning.DECREASE if line.rupiah < 0 else Meaning.INCREASE


def _signed(amount: int) -> str:
    return f"+{typeset_rupiah(amount)}" if amount > 0 else typeset_rupiah(amount)


def _aged_by_category(aged: Sequence[Aged]) -> list[tuple[str, list[Aged]]]:
    return [
        (category.value, [item for item in aged if item.category is category]) for category in BreakCategory
    ]


def _breaks_by_category(aged: Sequence[Aged]) -> Markup:
    bars = []
    for name, items in _aged_by_category(aged):
        parts = tuple(
            Part(item.breaks, colour, f"{item.band}: {counted(item.breaks, 'break')}")
            for colour, item in zip(AGES, items, strict=True)
        )
        gross = sum(item.gross_rupiah for item in items)
        number = sum(item.breaks for item in items)
        figure = f"{number:,} · {short_rupiah(gross)}" if number else "none"
        bars.append(Bar(name, parts, figure))
    return stacked_bars("Number of breaks carried on, by category and age", bars, is_rupiah=False)


def _breaks_by_age(aged: Sequence[Aged]) -> Markup:
    bars = []
    for colour, band in zip(AGES, BANDS, strict=True):
        items = [item for item in aged if item.band == band]
        number, gross = sum(item.breaks for item in items), sum(item.gross_rupiah for item in items)
        figure = f"{short_rupiah(gross)} · {counted(number, 'break')}" if number else "none"
        bars.append(Bar(band, (Part(gross, colour, figure),), figure))
    return stacked_bars("Size of the breaks carried on, by age", bars, is_rupiah=True)


def _products(lines: pd.DataFrame) -> Markup:
    """Return a bar per product, by falling cost; the rest together."""
    sizes = lines.groupby("product_code")["charged_rupiah"].sum()
    ranked = [str(code) for code, _ in sorted(sizes.items(), key=lambda item: (-int(item[1]), str(item[0])))]
    shown = ranked if len(ranked) <= MAXIMUM_BARS else ranked[: MAXIMUM_BARS - 1]
    bars = [_product_bar(code, lines[lines["product_code"] == code]) for code in shown]
    if len(shown) < len(ranked):
        others = lines[~lines["product_code"].isin(shown)]
        bars.append(_product_bar(f"{len(ranked) - len(shown):,} others", others))
    return stacked_bars("Orders per product and status, by their price", bars, is_rupiah=True)


def _product_bar(label: str, lines: pd.DataFrame) -> Bar:
    groups = lines["state"].map(_GROUP_OF)
    parts = []
    for colour, name, _ in _GROUPS:
        of_group = lines[groups == colour]
        price, number = int(of_group["charged_rupiah"].sum()), int(of_group["orders"].sum())
        parts.append(Part(price, colour, f"{name}: {counted(number, 'order')}, {typeset_rupiah(price)}"))
    price, number = int(lines["charged_rupiah"].sum()), int(lines["orders"].sum())
    return Bar(label, tuple(parts), f"{short_rupiah(price)} · {counted(number, 'order')}")


_TEMPLATES = templates_of("sat_hook.reconciliation")
# A cell of a frame may hold pandas' own missing value.
_TEMPLATES.filters["wib"] = lambda moment: "" if pd.isna(moment) else in_wib(moment)
_TEMPLATES.filters["short_digest"] = lambda digest: f"{digest[:12]}…" if digest else ""
