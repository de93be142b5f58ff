"""The chart of a price: what is drawn, that it stands by itself, that nothing of the wire becomes markup."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.catalogue import chart as drawn
from sat_hook.catalogue.chart import PriceChart, drawing, page, svg
from sat_hook.catalogue.errors import TooManyPeriodsError
from sat_hook.domain.prices import PricePeriod, gaps_between
from sat_hook.presentation.chart_style import DASHES
from sat_hook.presentation.charts import WIDTH
from sat_hook.presentation.language import Language, Wording
from sat_hook.presentation.step_chart import HEIGHT
from tests.orders import T0
from tests.price_lists import product

ENGLISH = Wording(Language.ENGLISH)
SVG = "{http://www.w3.org/2000/svg}"


def hour(number: float) -> datetime:
    """So many hours after the beginning."""
    return T0 + timedelta(hours=number)


def period(price: int | None, since: float, until: float | None, status: int = 1) -> PricePeriod:
    """A product's life between two hours."""
    line = product("25k-xl", price, status=status, name="XL <25> & more")
    return PricePeriod(line, 1, hour(since), None if until is None else hour(until))


def chart_of(*periods: PricePeriod, hours: int = 100, moments: list[datetime] | None = None) -> PriceChart:
    """A chart of the first hours, with a list read every hour."""
    read = moments if moments is not None else [hour(number) for number in range(hours)]
    return PriceChart("demo", periods, read, T0, hour(hours))


def parsed(chart: PriceChart) -> ElementTree.Element:
    """The picture as a browser reads it."""
    return ElementTree.fromstring(drawing(chart, ENGLISH))


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Elements by class, without the legend's (above the plot)."""
    return [
        element
        for element in root.iter()
        if name in element.get("class", "").split()
        and element.get("y1") not in ("13", "31")
        and element.get("height") != "14"
    ]


def test_a_life_is_drawn_as_it_was() -> None:
    """A step for each period, its manner by status; the time off the list is hatched."""
    root = parsed(
        chart_of(
            period(25_000, 0, 20),
            period(26_000, 20, 40, status=3),
            period(26_000, 60, 80, status=2),
            period(26_500, 80, None, status=99),
        )
    )
    assert [len(of_class(root, kind)) for kind in (*DASHES, "c-absent")] == [1, 1, 1, 1, 1]
    assert len(of_class(root, "step")) == 2, "uprights join periods that touch"
    words = " ".join(element.text or "" for element in root.iter(f"{SVG}text"))
    for shown in (
        "for sale",
        "not for sale",
        "not for sale now",
        "unknown status",
        "not listed",
        "Rp\u00a026,500",
    ):
        assert shown in words
    assert "no price list is known" not in words


def test_what_nobody_knows_is_drawn_as_such() -> None:
    """Before the first list, and between two that are too far apart."""
    read = [hour(number) for number in range(100) if number < 10 or 50 < number < 90]
    root = parsed(chart_of(period(25_000, 5, None), moments=read))
    spans = [title.text for band in of_class(root, "c-blind") for title in band]
    assert len(spans) == 3
    assert all("no price list is known" in (text or "") for text in spans)
    assert [text.partition(": ")[2] for text in map(str, spans[:2])] == [
        f"{ENGLISH.time(hour(begin))} – {ENGLISH.time(hour(end))}" for begin, end in ((0, 5), (9, 51))
    ]


def test_it_stands_by_itself() -> None:
    """No script, no address but SVG's own name, nothing that is loaded."""
    chart = chart_of(period(25_000, 0, 50), period(None, 50, 60), period(0, 60, None))
    text = svg(chart, ENGLISH) + page(chart, ENGLISH)
    ElementTree.fromstring(svg(chart, ENGLISH))
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script|<link|<img|@import|href=", text)
    assert "XL &lt;25&gt; &amp; more" in text
    assert "XL <25>" not in text
    assert "no price" in text


def test_the_same_input_gives_the_same_picture() -> None:
    """Byte for byte."""
    one = chart_of(period(25_000, 0, None))
    assert svg(one, ENGLISH) == svg(chart_of(period(25_000, 0, None)), ENGLISH)
    assert "dijual" in page(one, Wording(Language.INDONESIAN))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-5, 10**9)),
            st.integers(1, 60 * 24),
            st.integers(0, 30),
            st.integers(0, 4),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 24 * 900),
    st.booleans(),
)
def test_whatever_happened_can_be_drawn(
    lives: list[tuple[int | None, int, int, int]], hours: int, is_open: bool
) -> None:
    """Any prices over any time: well-formed, and inside the picture."""
    periods, at = [], 0.0
    for price, length, pause, status in lives:
        periods.append(period(price, at, at + length, status))
        at += length + pause
    if is_open:
        last = periods[-1]
        periods[-1] = PricePeriod(last.product, 1, last.since, None)
    root = parsed(chart_of(*periods, hours=hours))
    for element in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(element.get(name, 0)) <= WIDTH
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(element.get(name, 0)) <= HEIGHT


def test_what_cannot_be_drawn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No product, no time, too many changes."""
    with pytest.raises(ValueError, match="listed"):
        chart_of()
    with pytest.raises(ValueError, match="ends"):
        chart_of(period(1, 0, None), hours=0)
    monkeypatch.setattr(drawn, "MAXIMUM_PERIODS", 1)
    with pytest.raises(TooManyPeriodsError, match="2 changes"):
        chart_of(period(1, 0, 1), period(2, 1, None))


def test_gaps_are_spans_without_a_list() -> None:
    """Between two lists, across the beginning, and up to the end."""
    read = [hour(0), hour(8), hour(9), hour(20)]
    assert gaps_between(read, hour(2), hour(30), gap_hours=3) == [
        (hour(2), hour(8)),
        (hour(9), hour(20)),
        (hour(20), hour(30)),
    ]
    assert gaps_between(read, hour(0), hour(21), gap_hours=12) == []
    assert gaps_between([], hour(0), hour(21)) == []
