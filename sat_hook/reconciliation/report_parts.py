"""What a report is made of: sections of charts and tables, in one language, for the page and the PDF.

A cell may name the rows behind its figure. The page makes a link of that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from sat_hook.domain.people import user_named
from sat_hook.presentation.chart_style import Meaning
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation.day_figures import DayFigures


class Opens(NamedTuple):
    """The rows behind a figure.

    :param kind: ``orders``, ``breaks``, ``break``, ``topups``, ``settlements``, ``day`` or ``version``.
    """

    kind: str
    query: Mapping[str, str] = {}


class Cell(NamedTuple):
    """A cell. ``under`` is a smaller second line; ``tone`` is ``bad`` where a person must look."""

    text: str
    opens: Opens | None = None
    under: str = ""
    tone: str = ""


class Heading(NamedTuple):
    """The heading of a column."""

    text: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the last row is its total where ``has_total`` says so."""

    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]
    has_total: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, with the meanings of its colours."""

    drawing: Markup
    legend: tuple[tuple[Meaning, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report. ``name`` identifies it; notes come after its tables."""

    name: str
    title: str
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


class SectionMaker:
    """Makes sections of one day's figures in one language."""

    def __init__(self, figures: DayFigures, wording: Wording) -> None:
        self.figures = figures
        self.wording = wording
        self.say = wording.text

    def headings(self, *words: str, numbers: Collection[str] = ()) -> tuple[Heading, ...]:
        """The headings of a table. See :func:`headings_of`."""
        return headings_of(self.wording, *words, numbers=numbers)


def headings_of(wording: Wording, *words: str, numbers: Collection[str] = ()) -> tuple[Heading, ...]:
    """The headings of a table.

    :param words: marked for translation.
    :param numbers: those of them above numbers.
    """
    return tuple(Heading(wording.text(word), is_number=word in numbers) for word in words)


def control_total(total: str, wording: Wording) -> str:
    """A total in a language: a number, a digest (hexadecimal digits without a comma), or none."""
    if re.fullmatch("-?[0-9]{1,3}(,[0-9]{3})*", total):
        return wording.number(int(total.replace(",", "")))
    return wording.text(_("none")) if total == "none" else total


def person_of(actor: str) -> str:
    """The user behind an actor; a service as it is called."""
    return user_named(actor) or actor
