"""The report of a closed day as a PDF on A4: the sections of the page, ids on every sheet, a signature block.

Its letters are those of DejaVu Sans (Latin, Greek, Cyrillic and more); only the used ones are inside. A box
stands for any other letter; the CSV and the workbook have them all. The same day and version give the same
bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from importlib.resources import as_file, files
from xml.etree import ElementTree

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace, TTFFont

from sat_hook.presentation.chart_style import COLOURS, ink_on
from sat_hook.presentation.charts import WIDTH
from sat_hook.presentation.language import Language, Wording
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation.day_figures import DayFigures
from sat_hook.reconciliation.figures import headline
from sat_hook.reconciliation.report_parts import Chart, Section, Table, person_of
from sat_hook.reconciliation.report_sections import sections_of
from sat_hook.reconciliation.versions import SIGNATURES, Version, signatures_of

FONTS = {"": "DejaVuSansCondensed.ttf", "B": "DejaVuSansCondensed-Bold.ttf"}
"""The files of the fonts by style, in ``sat_hook/presentation/fonts``."""
MISSING = "\N{WHITE SQUARE}"
"""Stands for a letter that the fonts lack."""

_FONT = "Sans"
_MARGIN = 15.0
_POINTS_A_MILLIMETRE = 72 / 25.4
_INK, _INK_2, _LINE = (11, 11, 11), (82, 81, 78), (200, 199, 194)
_BAD = (179, 38, 30)
_CELL_SIZE = 8
_CELL_PADDING = (0.8, 1.6, 0.8, 1.6)
_SHORT_TEXT, _WIDEST_TEXT = 32.0, 70.0
"""Millimetres: a text of a table up to the first is not wrapped, one above the second always."""


class _Paper(FPDF):
    """Sheets with the day's ids at their foot."""

    def __init__(self, ids: str, pages: str) -> None:
        super().__init__(format="A4")
        for style, name in FONTS.items():
            with as_file(files("sat_hook.presentation").joinpath("fonts", name)) as file:
                self.add_font(_FONT, style, file)
        font = self.fonts[_FONT.lower()]
        assert isinstance(font, TTFFont)
        self._letters = font.cmap
        self._ids = ids
        self._pages = pages
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(auto=True, margin=_MARGIN + 5)
        self.alias_nb_pages()

    def shown(self, text: str) -> str:
        """A text in letters of the fonts. Those written from right to left would be in the wrong order."""
        return "".join(
            letter if letter == "\n" or self._has(letter) else MISSING
            for letter in unicodedata.normalize("NFC", str(text))
            if not _is_unseen(letter)
        )

    def width_of(self, text: str) -> float:
        """The width of a text in millimetres, in the font that is set."""
        return float(self.get_string_width(self.shown(text)))

    def _has(self, letter: str) -> bool:
        return ord(letter) in self._letters and unicodedata.bidirectional(letter) not in ("R", "AL", "AN")

    def footer(self) -> None:
        """Ids on the left, the number of the page on the right."""
        self.set_y(-_MARGIN)
        self.set_font(_FONT, size=7)
        self.set_text_color(*_INK_2)
        self.cell(self.epw - 30, 4, self.shown(self._ids))
        self.cell(30, 4, f"{self._pages} {self.page_no()} / {{nb}}", align="R")


def render_pdf(figures: DayFigures, versions: Sequence[Version], language: Language) -> bytes:
    """Render the PDF of a closed day.

    :param versions: those of the report up to this one.
    """
    wording = Wording(language)
    say = wording.text
    title = say(_("Reconciliation of %(day)s")) % {"day": wording.day(figures.day)}
    paper = _Paper(_ids_of(figures, versions, wording), say(_("Page")))
    paper.set_title(f"{title}, {figures.account}")
    paper.set_lang(language.value)
    paper.set_creation_date(versions[-1].at if versions else figures.business_day.closes_at)
    paper.add_page()
    _line(paper, title, 16, bold=True)
    _line(paper, _under_title(figures, versions, wording), 9, colour=_INK_2)
    _write_key_figures(paper, figures, versions, wording)
    for section in sections_of(figures, versions, wording):
        _write_section(paper, section)
    _write_signatures(paper, versions, wording)
    return bytes(paper.output())


def _ids_of(figures: DayFigures, versions: Sequence[Version], wording: Wording) -> str:
    position = wording.text(_("log position %(position)s")) % {"position": figures.position}
    ids = [figures.account, figures.day.isoformat(), position]
    if versions:
        ids.append(wording.text(_("version %(number)s")) % {"number": versions[-1].number})
        ids.append(f"SHA-256 {versions[-1].close.result_digest}")
    return " · ".join(ids)


def _under_title(figures: DayFigures, versions: Sequence[Version], wording: Wording) -> str:
    said = wording.text(_("Account %(account)s, from %(opens)s until before %(closes)s")) % {
        "account": figures.account,
        "opens": wording.time(figures.business_day.opens_at),
        "closes": wording.time(figures.business_day.closes_at),
    }
    if len(versions) < 2:
        return said
    after = wording.text(_("version %(number)s, after version %(before)s"))
    return f"{said}; {after % {'number': versions[-1].number, 'before': versions[-2].number}}"


def _write_key_figures(
    paper: _Paper, figures: DayFigures, versions: Sequence[Version], wording: Wording
) -> None:
    """The figures that decide whether a day can be signed, side by side."""
    head = headline(figures)
    shown = [
        (_("Orders"), wording.number(head.orders)),
        (_("Open breaks"), wording.number(head.open_breaks)),
        (_("Unexplained"), wording.rupiah(head.unexplained_rupiah)),
    ]
    if versions:
        shown.append((_("Version"), wording.number(versions[-1].number)))
    paper.ln(3)
    left, top, wide = paper.l_margin, paper.get_y(), paper.epw / len(shown)
    for place, (name, figure) in enumerate(shown):
        for text, size, style, colour, down in (
            (wording.text(name), 8, "", _INK_2, 0),
            (figure, 14, "B", _INK, 4.5),
        ):
            paper.set_font(_FONT, style, size)
            paper.set_text_color(*colour)
            paper.set_xy(left + place * wide + 2.5, top + down)
            paper.cell(wide - 2.5, size * 0.5, paper.shown(text))
        paper.set_draw_color(*_LINE)
        paper.line(left + place * wide, top, left + place * wide, top + 12)
    paper.set_xy(left, top + 12)


def _write_section(paper: _Paper, section: Section) -> None:
    # A heading is not left alone at the end of a sheet.
    if paper.will_page_break(35):
        paper.add_page()
    paper.ln(5)
    _line(paper, section.title, 12, bold=True)
    for chart in section.charts:
        _draw(paper, chart)
    for table in section.tables:
        _write_table(paper, table)
    for note in section.notes:
        _line(paper, note, 8, colour=_INK_2)


def _write_table(paper: _Paper, table: Table) -> None:
    if not table.rows:
        return
    widths = _widths(paper, table)
    paper.set_font(_FONT, size=_CELL_SIZE)
    paper.set_text_color(*_INK)
    paper.set_draw_color(*_LINE)
    paper.set_line_width(0.15)
    paper.set_fill_color(255)
    with paper.table(
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        col_widths=widths,
        headings_style=FontFace(emphasis="BOLD", color=_INK_2),
        line_height=4,
        padding=_CELL_PADDING,
        text_align=tuple("RIGHT" if heading.is_number else "LEFT" for heading in table.headings),
        v_align="TOP",
    ) as made:
        titles = made.row()
        for heading in table.headings:
            titles.cell(paper.shown(heading.text))
        for number, row in enumerate(table.rows, start=1):
            is_total = table.has_total and number == len(table.rows)
            line = made.row()
            for cell in row:
                text = f"{cell.text}\n{cell.under}" if cell.under else cell.text
                style = FontFace(
                    emphasis="BOLD" if is_total else None, color=_BAD if cell.tone == "bad" else None
                )
                line.cell(paper.shown(text), style=style)


def _widths(paper: _Paper, table: Table) -> tuple[float, ...]:
    """The widths of the columns: figures, words and short texts in one line, longer texts share the rest."""
    paper.set_font(_FONT, "B", _CELL_SIZE)
    least, wanted = [], []
    for place, heading in enumerate(table.headings):
        texts = [text for row in table.rows for text in (row[place].text, row[place].under) if text]
        long = max((paper.width_of(text) for text in texts), default=0)
        words = " ".join((heading.text, *texts)).split(" ")
        word = max(paper.width_of(text) for text in words)
        least.append(max(word, long) if heading.is_number or long < _SHORT_TEXT else word)
        wanted.append(max(least[-1], min(long, _WIDEST_TEXT)))
    padding = _CELL_PADDING[1] + _CELL_PADDING[3]
    room = max(0, paper.epw - sum(least) - padding * len(least))
    share = min(1, room / (sum(wanted) - sum(least) or 1))
    return tuple(small + padding + share * (wide - small) for small, wide in zip(least, wanted, strict=True))


def _draw(paper: _Paper, chart: Chart) -> None:
    """Draw a chart's own shapes: the picture is the one of the page."""
    root = ElementTree.fromstring(str(chart.drawing))  # noqa: S314 - our own drawing
    _, _, _, height = map(float, root.attrib["viewBox"].split())
    scale = paper.epw / WIDTH
    if paper.will_page_break(height * scale + 6):
        paper.add_page()
    left, top = paper.l_margin, paper.get_y() + 1
    for shape in root.iter():
        kind, at = shape.tag.rpartition("}")[2], shape.attrib
        if kind == "line":
            paper.set_draw_color(*_LINE)
            paper.set_line_width(0.15)
            x1, y1, x2, y2 = (float(at[name]) * scale for name in ("x1", "y1", "x2", "y2"))
            paper.line(left + x1, top + y1, left + x2, top + y2)
        elif kind == "rect":
            paper.set_fill_color(*_rgb(COLOURS[at["class"]].light))
            x, y, width, tall = (float(at[name]) * scale for name in ("x", "y", "width", "height"))
            paper.rect(left + x, top + y, width, tall, style="F")
        elif kind == "text":
            is_strong = "strong" in at.get("class", "")
            paper.set_font(_FONT, "B" if is_strong else "", 12 * scale * _POINTS_A_MILLIMETRE)
            paper.set_text_color(*_ink_of(at.get("class", "")))
            text = paper.shown(shape.text or "")
            wide = paper.get_string_width(text)
            shift = {"end": wide, "middle": wide / 2}.get(at.get("text-anchor", ""), 0)
            down = 4 * scale if at.get("dominant-baseline") else 0
            paper.text(left + float(at["x"]) * scale - shift, top + float(at["y"]) * scale + down, text)
    paper.set_y(top + height * scale + 1)
    _write_legend(paper, chart)


def _ink_of(class_: str) -> tuple[int, int, int]:
    """The colour of a text of a chart."""
    if class_.startswith("on-"):
        return _rgb(ink_on(COLOURS[class_.removeprefix("on-")]).light)
    return _INK if {"figure", "strong"} & set(class_.split()) else _INK_2


def _write_legend(paper: _Paper, chart: Chart) -> None:
    paper.set_font(_FONT, size=8)
    paper.set_text_color(*_INK_2)
    for meaning, word in chart.legend:
        text = paper.shown(word)
        if paper.get_x() + paper.get_string_width(text) + 10 > paper.w - paper.r_margin:
            paper.ln(5)
        paper.set_fill_color(*_rgb(COLOURS[meaning].light))
        paper.rect(paper.get_x() + 0.5, paper.get_y() + 1, 2.5, 2.5, style="F")
        paper.set_x(paper.get_x() + 4)
        paper.cell(paper.get_string_width(text) + 5, 4.5, text)
    if chart.legend:
        paper.ln(6)


def _write_signatures(paper: _Paper, versions: Sequence[Version], wording: Wording) -> None:
    """The signatures of the newest close; an empty line where one is missing."""
    signed = signatures_of(versions)
    if paper.will_page_break(45):
        paper.add_page()
    paper.ln(8)
    _line(paper, wording.text(_("Signatures of the day")), 12, bold=True)
    dated = wording.text(_("Date"))
    for name, kind in SIGNATURES:
        found = signed.get(kind)
        said = f"{'_' * 40}   {dated}: {'_' * 14}"
        if found is not None:
            said = f"{person_of(found.actor)}, {wording.time(found.at)}"
        paper.ln(4)
        _line(paper, f"{wording.text(name)}: {said}", 10)
    if versions:
        bound = wording.text(_("Both signatures are bound to the result with this digest:"))
        _line(paper, f"{bound} {versions[-1].close.result_digest}", 8, colour=_INK_2)


def _line(
    paper: _Paper, text: str, size: float, *, bold: bool = False, colour: tuple[int, int, int] = _INK
) -> None:
    paper.set_font(_FONT, "B" if bold else "", size)
    paper.set_text_color(*colour)
    paper.multi_cell(0, size * 0.5, paper.shown(text), align="L", new_x="LMARGIN", new_y="NEXT")


def _is_unseen(letter: str) -> bool:
    """Whether a letter only changes those beside it: joiners, directions, variants of emoji."""
    return unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
