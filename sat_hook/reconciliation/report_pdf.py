"""The report of a closed day as a PDF on A4: the sections of the page, ids on every sheet, a signature block.

Its letters are those of the PDF's own fonts (Latin-1). Others are shown as a question mark; the CSV and the
workbook have them. The same day and version give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace
from markupsafe import Markup

from sat_hook.domain.books_events import DayCertified, DayClosed, DayPrepared
from sat_hook.presentation.charts import COLOURS, WIDTH
from sat_hook.presentation.language import Language, Wording
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation.day_figures import DayFigures
from sat_hook.reconciliation.figures import headline
from sat_hook.reconciliation.report_parts import Chart, Section, Table, person_of
from sat_hook.reconciliation.report_sections import sections_of
from sat_hook.reconciliation.versions import Version

_FONT = "Helvetica"
_MARGIN = 15.0
_POINTS_A_MILLIMETRE = 72 / 25.4
_INK, _INK_2, _LINE = (11, 11, 11), (82, 81, 78), (200, 199, 194)
_BAD = (179, 38, 30)
_REPLACED = str.maketrans({"−": "-", "–": "-", "…": "...", "→": "->", "’": "'", "\u00a0": " "})
_NARROW_SHARE = 1.0
_WIDE_SHARE = 2.6
"""The width of a column of text, if one of figures is 1."""


class _Paper(FPDF):
    """Sheets with the day's ids at their foot."""

    def __init__(self, ids: str, pages: str) -> None:
        super().__init__(format="A4")
        self._ids = ids
        self._pages = pages
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(auto=True, margin=_MARGIN + 5)
        self.alias_nb_pages()

    def footer(self) -> None:
        """Ids on the left, the number of the page on the right."""
        self.set_y(-_MARGIN)
        self.set_font(_FONT, size=7)
        self.set_text_color(*_INK_2)
        self.cell(self.epw - 30, 4, self._ids)
        self.cell(30, 4, f"{self._pages} {self.page_no()} / {{nb}}", align="R")


def render_pdf(figures: DayFigures, versions: Sequence[Version], language: Language) -> bytes:
    """Render the PDF of a closed day.

    :param versions: those of the report up to this one.
    """
    wording = Wording(language)
    say = wording.text
    title = say(_("Reconciliation of %(day)s")) % {"day": wording.day(figures.day)}
    paper = _Paper(_latin(_ids_of(figures, versions, wording)), say(_("Page")))
    paper.set_title(_latin(f"{title}, {figures.account}"))
    paper.set_lang(language.value)
    paper.set_creation_date(versions[-1].at if versions else figures.business_day.closes_at)
    paper.add_page()
    _line(paper, title, 16, bold=True)
    _line(paper, _under_title(figures, versions, wording), 9, colour=_INK_2)
    for figure in _key_figures(figures, wording):
        _line(paper, figure, 10)
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


def _key_figures(figures: DayFigures, wording: Wording) -> Iterable[str]:
    head = headline(figures)
    for name, figure in (
        (_("Orders"), wording.number(head.orders)),
        (_("Open breaks"), wording.number(head.open_breaks)),
        (_("Unexplained"), wording.rupiah(head.unexplained_rupiah)),
    ):
        yield f"{wording.text(name)}: {figure}"


def _write_section(paper: FPDF, section: Section) -> None:
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


def _write_table(paper: FPDF, table: Table) -> None:
    if not table.rows:
        return
    paper.set_font(_FONT, size=8)
    paper.set_text_color(*_INK)
    paper.set_draw_color(*_LINE)
    paper.set_fill_color(255)
    shares = [_NARROW_SHARE if heading.is_number else _WIDE_SHARE for heading in table.headings]
    if all(not heading.is_number for heading in table.headings):
        shares = [_NARROW_SHARE] * len(table.headings)
    aligned = tuple("RIGHT" if heading.is_number else "LEFT" for heading in table.headings)
    with paper.table(
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        col_widths=tuple(shares),
        headings_style=FontFace(emphasis="BOLD", color=_INK_2),
        line_height=4,
        padding=0.8,
        text_align=aligned,
        v_align="TOP",
    ) as made:
        titles = made.row()
        for heading in table.headings:
            titles.cell(_latin(heading.text))
        for number, row in enumerate(table.rows, start=1):
            is_total = table.has_total and number == len(table.rows)
            line = made.row()
            for cell in row:
                text = f"{cell.text}\n{cell.under}" if cell.under else cell.text
                style = FontFace(
                    emphasis="BOLD" if is_total else None, color=_BAD if cell.tone == "bad" else None
                )
                line.cell(_latin(text), style=style)


def _draw(paper: FPDF, chart: Chart) -> None:
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
            paper.set_text_color(*(_INK if "figure" in at.get("class", "") or is_strong else _INK_2))
            text = _latin(shape.text or "")
            wide = paper.get_string_width(text)
            shift = {"end": wide, "middle": wide / 2}.get(at.get("text-anchor", ""), 0)
            down = 4 * scale if at.get("dominant-baseline") else 0
            paper.text(left + float(at["x"]) * scale - shift, top + float(at["y"]) * scale + down, text)
    paper.set_y(top + height * scale + 1)
    _write_legend(paper, chart)


def _write_legend(paper: FPDF, chart: Chart) -> None:
    paper.set_font(_FONT, size=8)
    paper.set_text_color(*_INK_2)
    for meaning, word in chart.legend:
        text = _latin(word)
        if paper.get_x() + paper.get_string_width(text) + 10 > paper.w - paper.r_margin:
            paper.ln(5)
        paper.set_fill_color(*_rgb(COLOURS[meaning].light))
        paper.rect(paper.get_x() + 0.5, paper.get_y() + 1, 2.5, 2.5, style="F")
        paper.set_x(paper.get_x() + 4)
        paper.cell(paper.get_string_width(text) + 5, 4.5, text)
    if chart.legend:
        paper.ln(6)


def _write_signatures(paper: FPDF, versions: Sequence[Version], wording: Wording) -> None:
    """The signatures of the newest close; an empty line where one is missing."""
    signed: dict[type, Version] = {}
    for version in versions:
        if isinstance(version.event, DayClosed):
            signed.clear()
        signed[type(version.event)] = version
    if paper.will_page_break(45):
        paper.add_page()
    paper.ln(8)
    _line(paper, wording.text(_("Signatures of the day")), 12, bold=True)
    for name, kind in ((_("Prepared by"), DayPrepared), (_("Approved by"), DayCertified)):
        found = signed.get(kind)
        said = "_" * 40
        if found is not None:
            said = f"{person_of(found.actor)}, {wording.time(found.at)}"
        paper.ln(4)
        _line(paper, f"{wording.text(name)}: {said}", 10)
    if versions:
        bound = wording.text(_("Both signatures are bound to the result with this digest:"))
        _line(paper, f"{bound} {versions[-1].close.result_digest}", 8, colour=_INK_2)


def _line(
    paper: FPDF, text: str, size: float, *, bold: bool = False, colour: tuple[int, int, int] = _INK
) -> None:
    paper.set_font(_FONT, "B" if bold else "", size)
    paper.set_text_color(*colour)
    paper.multi_cell(0, size * 0.5, _latin(text), align="L", new_x="LMARGIN", new_y="NEXT")


def _latin(text: str | Markup) -> str:
    return str(text).translate(_REPLACED).encode("latin-1", "replace").decode("latin-1")


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
