"""The report of a closed day: figures and their rows, sections in both languages, the PDF, the charts."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from xml.etree import ElementTree

import pandas as pd
import pytest

from sat_hook.domain.books_events import BreakDecided, DayClosed
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.order import OrderState
from sat_hook.presentation.chart_style import COLOURS, STYLE, Meaning, ink_on
from sat_hook.presentation.charts import Bar, Part, Step, stacked_bars, waterfall
from sat_hook.presentation.language import Language, Wording
from sat_hook.reconciliation.breaks_file import write_orders
from sat_hook.reconciliation.day_figures import (
    TOTALLED,
    DayFigures,
    figures_of,
    from_bytes,
    grouped_orders,
    placed,
    rows_from,
    to_bytes,
)
from sat_hook.reconciliation.day_orders import DayOrders
from sat_hook.reconciliation.figures import headline
from sat_hook.reconciliation.model import ControlTotal, DayClose
from sat_hook.reconciliation.report_breaks import MAXIMUM_BREAKS
from sat_hook.reconciliation.report_orders import GROUP_OF
from sat_hook.reconciliation.report_parts import Section
from sat_hook.reconciliation.report_pdf import FONTS, MISSING, render_pdf
from sat_hook.reconciliation.report_sections import sections_of
from sat_hook.reconciliation.versions import Version, VersionEvent
from tests.pdf_text import pdf_text
from tests.reconciliation_days import closed_day

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def close() -> DayClose:
    """A day."""
    return closed_day(150)


def figures(close: DayClose) -> DayFigures:
    """Its figures."""
    return figures_of(close, list(grouped_orders(close.orders.frame)[1].values()))


def sections(close: DayClose, language: Language = Language.ENGLISH) -> dict[str, Section]:
    """Its sections, by name."""
    return {section.name: section for section in sections_of(figures(close), (), Wording(language))}


def text_of(section: Section) -> str:
    """What a person reads of a section."""
    cells = [f"{cell.text} {cell.under}" for table in section.tables for row in table.rows for cell in row]
    headings = [heading.text for table in section.tables for heading in table.headings]
    return " ".join((section.title, *headings, *cells, *section.notes)).replace("\u00a0", " ")


def test_groups_have_every_order_once(close: DayClose) -> None:
    """Their numbers and totals are those of the orders; equal days give equal groups."""
    places, of_keys = grouped_orders(close.orders.frame)
    groups = list(of_keys.values())
    assert sorted(places) == list(range(len(close.orders.frame)))
    assert sum(group.orders for group in groups) == len(close.orders.frame)
    for name in TOTALLED:
        assert sum(group.total(name) for group in groups) == int(close.orders.frame[name].sum())
    mixed = close.orders.frame.sample(frac=1, random_state=3)
    assert list(grouped_orders(mixed)[1].values()) == groups


def test_a_figure_opens_its_rows(close: DayClose) -> None:
    """The rows of a group are at its place in the CSV, also with line breaks and quotes in an order's id."""
    odd = close.orders.frame.copy()
    odd.loc[3, "order_id"] = 'a "quoted", name\r\nin two lines'
    places, of_keys = grouped_orders(odd)
    groups = list(of_keys.values())
    file = io.BytesIO()
    titles, *sizes = write_orders(odd, file, places, [group.orders for group in groups])
    found = 0
    for group in placed(groups, sizes, titles):
        rows = [row for row, _ in rows_from(file, group.offset, group.offset + group.size)]
        assert len(rows) == group.orders
        assert all(group.product_code in row.decode("utf-8") for row in rows)
        found += len(rows)
    assert found == len(odd)


def test_stored_figures_are_read_as_they_were(close: DayClose) -> None:
    """Every member, with its type."""
    assert from_bytes(to_bytes(figures(close))) == figures(close)


@pytest.mark.parametrize("language", Language)
def test_a_report_says_what_the_day_was(close: DayClose, language: Language) -> None:
    """Saldo, matches, breaks, products with their margin, files and adjustments, in both languages."""
    wording, shown = Wording(language), sections(close, language)
    assert close.saldo is not None
    told = text_of(shown["saldo"])
    for line in close.saldo.waterfall:
        assert wording.rupiah(line.after_rupiah).replace("\u00a0", " ") in told
    assert "BCA-20261122-1" in text_of(shown["top-ups"])
    assert len(shown["matches"].tables[0].rows) == 4
    for item in close.breaks:
        assert item.what in text_of(shown["largest"])
        assert item.break_id in text_of(shown["largest"])
    paid = close.orders.frame[close.orders.frame["state"] == "succeeded"]
    fee, price = int(paid["partner_fee_rupiah"].sum()), int(paid["charged_rupiah"].sum())
    total = [cell.text for cell in shown["products"].tables[0].rows[-1]]
    assert total[1:] == [
        wording.number(len(close.orders.frame)),
        wording.number(len(paid)),
        wording.rupiah(price),
        wording.rupiah(fee),
        wording.percent(fee, price),
    ]
    assert "settlement-2026-11-22.csv" in text_of(shown["files"])
    assert "order-900000" in text_of(shown["adjustments"])


def test_control_totals_are_numbers_of_the_language(close: DayClose) -> None:
    """Dots between the thousands in Indonesian; a digest and a missing total stay what they are."""
    controls = (
        ControlTotal("rupiah of successes", "1,156,000", "-156,000"),
        ControlTotal("digest of these events", "345672456928364", "0"),
        ControlTotal("opening saldo is yesterday's closing", "7", "none"),
    )
    shown = sections(replace(close, controls=controls), Language.INDONESIAN)["controls"].tables[0].rows
    assert [[cell.text for cell in row[1:3]] for row in shown] == [
        ["1.156.000", "−156.000"],
        ["345672456928364", "0"],
        ["7", "tidak ada"],
    ]


def test_each_figure_knows_its_rows(close: DayClose) -> None:
    """Debits open the orders that were debited; a break opens itself."""
    shown = sections(close)
    debits = next(row for row in shown["saldo"].tables[0].rows if row[0].text == "Debits")
    assert debits[1].opens is not None
    assert (debits[1].opens.kind, debits[1].opens.query) == ("orders", {"term": "debit_rupiah"})
    first = shown["largest"].tables[0].rows[0][0]
    assert first.opens is not None
    assert first.opens.kind == "break"
    for row in shown["states"].tables[0].rows[:-1]:
        assert row[1].opens is not None


def test_a_chart_stands_beside_the_table_of_its_figures(close: DayClose) -> None:
    """So nothing is told by a colour alone; each bar has its figure, each colour its word."""
    for section in sections(close).values():
        if section.charts:
            assert section.tables
    assert {meaning for section in sections(close).values() for chart in section.charts
            for meaning, _ in chart.legend} <= set(COLOURS)  # fmt: skip


def test_a_day_without_observation_says_so(close: DayClose) -> None:
    """No saldo to compare is told, not passed over."""
    blind = replace(close, breaks=(), saldo=None)
    assert "not observed" in text_of(sections(blind)["saldo"])
    assert not headline(figures(blind)).is_clean


def test_a_large_day_stays_a_page(close: DayClose) -> None:
    """Breaks and products are limited, and the report says how many there are."""
    breaks = tuple(replace(close.breaks[0], break_id=f"K{number:015d}") for number in range(700))
    orders = pd.concat([close.orders.frame] * 3, ignore_index=True)
    orders["product_code"] = pd.Categorical([f"product-{number}" for number in range(len(orders))])
    shown = sections(replace(close, breaks=breaks, orders=DayOrders.of(orders)))
    assert len(shown["largest"].tables[0].rows) == MAXIMUM_BREAKS
    assert "The largest 100 of 700" in text_of(shown["largest"])
    assert "The 200 largest of 450 products" in text_of(shown["products"])


def test_decisions_are_one_line_each_and_the_newest_are_shown(close: DayClose) -> None:
    """Breaks that were decided at once are one. A PDF that listed thousands of lines took minutes."""
    closed = DayClosed(
        account=close.account,
        day=close.day,
        cut_off_minutes=0,
        position=9,
        result_digest="0" * 64,
        orders=1,
        open_breaks=3,
        saldo=None,
        adjusted_days={},
    )

    def version(number: int, event: VersionEvent, break_ids: tuple[str, ...] = ()) -> Version:
        at = close.business_day.closes_at
        return Version(number, 10 + number, at, "user:tika", "", event, closed, 11, break_ids)

    def decided(*numbers: int) -> Version:
        keys = tuple(f"K{number:015d}" for number in numbers)
        event = BreakDecided(
            account=close.account, break_id=keys[-1], state=BreakState.EXPLAINED, reason="late file"
        )
        return version(numbers[-1], event, keys)

    versions = [version(1, closed), decided(2, 3, 4), decided(5)]
    made = {one.name: one for one in sections_of(figures(close), versions, Wording(Language.ENGLISH))}
    numbers_and_words = [(row[0].text, row[3].text) for row in made["versions"].tables[0].rows]
    assert numbers_and_words[1:] == [
        ("4", "3 breaks: explained: late file"),
        ("5", "break K000000000000005: explained: late file"),
    ]
    one_by_one = [decided(number) for number in range(6, 306)]
    made = {
        one.name: one
        for one in sections_of(figures(close), [*versions, *one_by_one], Wording(Language.ENGLISH))
    }
    rows = [row[0].text for row in made["versions"].tables[0].rows]
    assert rows == ["1", *(str(number) for number in range(206, 306))]
    assert "not listed here: 202." in text_of(made["versions"])


def test_every_state_has_a_colour() -> None:
    """A new state of an order needs a place in the chart."""
    assert set(GROUP_OF) == {state.value for state in OrderState}


@pytest.mark.parametrize("language", Language)
def test_the_pdf_has_the_sections_and_the_ids(close: DayClose, language: Language) -> None:
    """On A4; account, day and log position on each sheet; places for two signatures; the same bytes again."""
    content = render_pdf(figures(close), (), language)
    assert content == render_pdf(figures(closed_day(150)), (), language)
    assert b"/MediaBox [0 0 595.28 841.89]" in content
    text = pdf_text(content)
    for section in sections(close, language).values():
        assert section.title.split(",")[0] in text
    position = {Language.INDONESIAN: "posisi log 9001", Language.ENGLISH: "log position 9001"}[language]
    assert f"demo \xb7 2026-11-22 \xb7 {position}" in text
    assert text.count("_" * 40) == 2
    for item in close.breaks:
        assert item.break_id in text


def test_any_letters_make_a_pdf(close: DayClose) -> None:
    """European ones as they are, decomposed or not; a box for others, which the PDF would put wrongly."""
    breaks = (
        replace(
            close.breaks[0], what="Łódź cafe\u0301 Ελλάς Київ − “ok” ½ | 支払い | سلام | 👩\u200d👧\ufe0f"
        ),
        *close.breaks[1:],
    )
    content = render_pdf(figures(replace(close, breaks=breaks)), (), Language.ENGLISH)
    text = pdf_text(content)
    for word in ["Łódź", "café", "Ελλάς", "Київ", "−", "“ok”", "½"]:
        assert word in text
    assert [len(word) for word in text.split() if set(word) == {MISSING}] == [3, 4, 2]
    assert len(content) < 60_000, "the PDF holds only the letters that it uses"


def test_the_fonts_are_the_released_ones() -> None:
    """DejaVu Sans Condensed 2.37, unchanged, with its licence beside it."""
    folder = files("sat_hook.presentation").joinpath("fonts")
    found = {name: hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() for name in FONTS.values()}
    assert found == {
        "DejaVuSansCondensed.ttf": "2d8aa290adcf1ebcbb35f63e57cf32941b012eaab4b65096b904112cf3bac972",
        "DejaVuSansCondensed-Bold.ttf": "6d2f2481e2aae944e8411cc5be515c69503ff7f5db52f2c67bcbe5d4de6bec13",
    }
    assert "Bitstream" in folder.joinpath("LICENSE").read_text("utf-8")


def test_an_older_break_is_aged_by_the_day(close: DayClose) -> None:
    """The age is that on the closed day, whatever today is."""
    old = replace(close.breaks[0], first_seen=close.day - timedelta(days=40))
    rows = sections(replace(close, breaks=(old,)))["breaks"].tables[0].rows
    assert [cell.text for cell in rows[0][1:5]] == ["0", "0", "0", "1"]


def test_charts_follow_the_theme() -> None:
    """Each colour has a light and a dark form, chosen by the reader or by the system."""
    for name, colour in COLOURS.items():
        assert f"--{name}:{colour.light};" in STYLE
        assert STYLE.count(f"--{name}:{colour.dark};") >= 2


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
            str,
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


def test_a_figure_stands_on_its_bar() -> None:
    """Where there is room, in black or white: no meaning is in a colour alone."""
    bar = Bar("b", (Part(90, Meaning.AGE_1, "", "90"), Part(1, Meaning.AGE_4, "", "1")), "91")
    chart = ElementTree.fromstring(stacked_bars("t", [bar], str))
    inside = [text for text in chart.iter(f"{SVG}text") if text.get("class", "").startswith("on-")]
    assert [(text.text, text.get("class")) for text in inside] == [("90", "on-c-age-1")]
    assert (ink_on(COLOURS["c-age-1"]), ink_on(COLOURS["c-age-4"])) == (
        ("#000000", "#ffffff"),
        ("#ffffff", "#000000"),
    )


def test_what_is_not_nothing_is_seen() -> None:
    """A rupiah beside a billion has a bar; nothing has none."""
    chart = ElementTree.fromstring(
        stacked_bars(
            "t",
            [
                Bar("big", (Part(10**9, Meaning.SUCCEEDED, "big"),), "1 bn"),
                Bar("small", (Part(0, Meaning.SUCCEEDED, "none"), Part(1, Meaning.FAILED, "one")), "1"),
            ],
            str,
        )
    )
    bars = list(chart.iter(f"{SVG}rect"))
    assert [bar.attrib["class"] for bar in bars] == ["c-succeeded", "c-failed"]
    assert float(bars[1].attrib["width"]) >= 2


@pytest.mark.parametrize("amounts", [[0], [0, 0], [1], [-3, -1], [10**15], [7, -(10**12)]])
def test_any_amounts_make_a_chart(amounts: list[int]) -> None:
    """Nothing, one rupiah, debts and fortunes: a zero line, at most a dozen ticks, and well-formed."""
    wording = Wording(Language.INDONESIAN)
    steps = [Step("s", 0, amount, wording.rupiah(amount), Meaning.TOTAL) for amount in amounts]
    chart = ElementTree.fromstring(waterfall("<t>&", steps, wording.short_rupiah))
    lines = [line.attrib["class"] for line in chart.iter(f"{SVG}line")]
    assert lines.count("zero") == 1
    assert lines.count("grid") <= 12
