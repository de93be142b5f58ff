"""The page of a closed day: what it says, that it needs nothing from elsewhere, and its charts."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from xml.etree import ElementTree

import pandas as pd
import pytest

from sat_hook.domain.order import OrderState
from sat_hook.domain.rupiah import NO_BREAK, short_rupiah, typeset_rupiah
from sat_hook.presentation.bar_charts import Bar, Meaning, Part, Step, stacked_bars, waterfall
from sat_hook.reconciliation import page
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.page import LinkedFile, render_page
from tests.reconciliation_days import closed_day

FILES = (LinkedFile("day.xlsx", "workbook"), LinkedFile("day-breaks.csv", "the breaks as CSV"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def close() -> DayClose:
    """A day."""
    return closed_day(150)


def html_of(close: DayClose) -> str:
    """Its page."""
    return render_page(close, FILES).decode("utf-8")


def text_of(html: str) -> str:
    """What a person reads."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))).replace(NO_BREAK, " ")


def test_it_says_what_the_day_was(close: DayClose) -> None:
    """Day, figures, every break with its evidence, files, totals."""
    text = text_of(html_of(close))
    assert close.saldo is not None
    assert "2026-11-22" in text
    found = f"{len(close.open_breaks)} open breaks"
    assert f"To be looked at: {found}; −Rp 2,500 of the saldo unexplained." in text
    assert f"{close.saldo.closing.saldo_rupiah:,}" in text
    assert f"{int(close.orders['charged_rupiah'].sum()):,}" in text
    for item in close.breaks:
        assert item.what in text
        assert (item.request_id or item.break_id) in text
        assert f"position {item.evidence.positions[0]}" in text
    assert "BCA-20261122-1" in text
    assert "reversed since" in text


def test_a_clean_day_says_so(close: DayClose) -> None:
    """No break, nothing unexplained, every control agrees."""
    assert close.saldo is not None
    closing = replace(close.saldo.closing, saldo_rupiah=close.saldo.expected_rupiah)
    clean = replace(close, breaks=(), saldo=replace(close.saldo, closing=closing))
    assert "Everything agrees" in text_of(html_of(clean))


def test_a_day_without_observation_is_not_clean(close: DayClose) -> None:
    """No saldo to compare is told, not passed over."""
    text = text_of(html_of(replace(close, breaks=(), saldo=None)))
    assert "no saldo to compare" in text
    assert "Everything agrees" not in text


def test_it_needs_nothing_from_elsewhere(close: DayClose) -> None:
    """No script, no font, no image, no style sheet; links lead only to the files beside it."""
    html = html_of(close)
    assert "<script" not in html
    assert "@import" not in html
    assert "url(" not in html
    assert re.findall(r'\ssrc="', html) == []
    assert re.findall(r'href="([^"]*)"', html) == ["day.xlsx", "day-breaks.csv"]
    assert set(re.findall(r'https?://[^"\s<]*', html)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in html


def test_text_is_text(close: DayClose) -> None:
    """What submitters and providers wrote is shown and not run."""
    evil = "<script>alert(1)</script>\"'&"
    orders = close.orders.copy()
    orders["product_code"] = orders["product_code"].cat.rename_categories({"25k-xl": evil})
    breaks = (replace(close.breaks[0], what=evil, ours=evil, reason=evil), *close.breaks[1:])
    html = html_of(replace(close, account=evil, orders=orders, breaks=breaks))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 5


def test_the_same_day_gives_the_same_bytes(close: DayClose) -> None:
    """Rendered twice, from two closings."""
    assert render_page(closed_day(150), FILES) == render_page(close, FILES)


def test_a_large_day_stays_a_page(close: DayClose) -> None:
    """Breaks, lines and orders are limited, and the page says how many there are."""
    breaks = tuple(replace(close.breaks[0], break_id=f"K{number:015d}") for number in range(700))
    orders = pd.concat([close.orders] * 3, ignore_index=True)
    orders["state"] = pd.Categorical(["pending"] * len(orders))
    orders["product_code"] = pd.Categorical([f"product-{number}" for number in range(len(orders))])
    html = html_of(replace(close, breaks=breaks, orders=orders))
    text = text_of(html)
    assert "The first 500 of 700" in text
    assert "The first 200 of 450" in text
    assert "the first 300 of 450 lines" in text
    assert "439 others" in text
    assert len(html) < 1_000_000


def test_every_state_has_a_colour() -> None:
    """A new state of an order needs a place in the chart."""
    assert set(page._GROUP_OF) == {state.value for state in OrderState}


def test_charts_show_the_sums_of_the_day(close: DayClose) -> None:
    """The bars of the products are as long as their prices, from zero, and carry their figures."""
    html = html_of(close)
    chart = next(svg for svg in svgs(html) if "per product" in svg.attrib["aria-label"])
    sums = (
        close.orders.groupby("product_code", observed=True)["charged_rupiah"]
        .sum()
        .sort_values(ascending=False)
    )
    labels = [text.text for text in chart.iter(f"{SVG}text") if "label" in text.attrib.get("class", "")]
    assert labels == [str(code) for code in sums.index]
    figures = [text.text for text in chart.iter(f"{SVG}text") if "figure" in text.attrib.get("class", "")]
    for figure, rupiah in zip(figures, sums, strict=True):
        assert str(figure).startswith(short_rupiah(int(rupiah)))


def svgs(html: str) -> list[ElementTree.Element]:
    """The charts of a page."""
    return [
        ElementTree.fromstring(svg.replace("&nbsp;", " "))
        for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    ]


def test_a_waterfall_ends_where_the_next_step_begins() -> None:
    """Steps hang together; bars go from zero; a saldo below zero has its zero line inside."""
    chart = ElementTree.fromstring(
        waterfall(
            "t",
            [
                Step("a", 0, 100, "100", Meaning.TOTAL),
                Step("b", 100, -50, "−150", Meaning.DECREASE),
                Step("c", 0, -50, "−50", Meaning.TOTAL),
            ],
        )
    )
    bars = [(float(r.attrib["x"]), float(r.attrib["width"])) for r in chart.iter(f"{SVG}rect")]
    zero = next(
        float(line.attrib["x1"]) for line in chart.iter(f"{SVG}line") if line.attrib["class"] == "zero"
    )
    assert bars[0][0] == pytest.approx(zero, abs=0.1)
    assert bars[1][0] + bars[1][1] == pytest.approx(bars[0][0] + bars[0][1], abs=0.1)
    assert bars[2][0] == pytest.approx(bars[1][0], abs=0.1)
    assert bars[2][0] + bars[2][1] == pytest.approx(zero, abs=0.1)
    assert bars[1][1] / bars[0][1] == pytest.approx(1.5, abs=0.01)


def test_what_is_not_nothing_is_seen() -> None:
    """A rupiah beside a billion has a bar; nothing has none."""
    chart = ElementTree.fromstring(
        stacked_bars(
            "t",
            [
                Bar("big", (Part(10**9, Meaning.SUCCEEDED, "big"),), "1 bn"),
                Bar("small", (Part(0, Meaning.SUCCEEDED, "none"), Part(1, Meaning.FAILED, "one")), "1"),
            ],
            is_rupiah=True,
        )
    )
    bars = list(chart.iter(f"{SVG}rect"))
    assert [bar.attrib["class"] for bar in bars] == ["c-succeeded", "c-failed"]
    assert float(bars[1].attrib["width"]) >= 2


@pytest.mark.parametrize("amounts", [[0], [0, 0], [1], [-3, -1], [10**15], [7, -(10**12)]])
def test_any_amounts_make_a_chart(amounts: list[int]) -> None:
    """Nothing, one rupiah, debts and fortunes: a zero line, at most a dozen ticks, and well-formed."""
    steps = [Step("s", 0, amount, typeset_rupiah(amount), Meaning.TOTAL) for amount in amounts]
    chart = ElementTree.fromstring(waterfall("<t>&", steps))
    lines = [line.attrib["class"] for line in chart.iter(f"{SVG}line")]
    assert lines.count("zero") == 1
    assert lines.count("grid") <= 12
