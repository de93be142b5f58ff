"""The weekly summary as a self-contained HTML page: no script, no external resources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from sat_hook.catalogue import change_words
from sat_hook.catalogue.weekly import Move, WeekSummary
from sat_hook.domain.prices import ListedProduct, SnapshotOutcome
from sat_hook.presentation.chart_style import AMBER, BLUE, RED, custom_properties
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
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


def weekly_page(summary: WeekSummary, wording: Wording) -> str:
    """The page in one language; the same summary gives the same text."""
    parts = _Parts(wording)
    say, week = wording.text, summary.week
    is_over = summary.until >= week.until
    span = say(_("%(since)s to %(until)s") if is_over else _("%(since)s to %(until)s so far"))
    title = say(_("Prices of account %(account)s, week %(week)s"))
    return _TEMPLATES.get_template("week.html.jinja").render(
        language=wording.language.value,
        title=title % {"account": summary.account, "week": week.name},
        colours=Markup(custom_properties(":root", _COLOURS)),  # noqa: S704 - our own constant
        span=span % {"since": wording.time(week.since), "until": wording.time(summary.until)},
        figures=[(wording.number(count), say(words)) for count, words in _figures(summary)],
        watching=parts.watching(summary),
        is_alarming=not summary.was_watched,
        unknown=say(_("No price list is known of")),
        gaps=parts.gaps(summary),
        beyond=lambda rows: (
            say(_("… and %(number)s more (sat prices changes lists them)")) % {"number": wording.number(rows)}
        ),
        sections=[
            *parts.moves(_("Dearer"), "rise", summary.rises),
            *parts.moves(_("Cheaper"), "fall", summary.falls),
            *parts.statuses(summary),
            *parts.products(_("New"), summary.appeared),
            *parts.products(_("Listed again"), summary.returned),
            *parts.products(_("Not listed any more"), summary.disappeared),
        ],
    )


def _figures(summary: WeekSummary) -> tuple[tuple[int, str], ...]:
    return (
        (summary.listed_after, _("Products at the end")),
        (len(summary.rises), _("Dearer")),
        (len(summary.falls), _("Cheaper")),
        (summary.there_and_back, _("There and back")),
        (len(summary.appeared) + len(summary.returned), _("New or back")),
        (len(summary.disappeared), _("Gone")),
        (len(summary.statuses), _("For sale or not")),
    )


def _share(move: Move) -> float:
    before, after = move.prices_rupiah
    return abs(after - before) / abs(before)


class _Parts:
    """The parts of the page in one language."""

    def __init__(self, wording: Wording) -> None:
        self._wording = wording
        self._say = wording.text

    def watching(self, summary: WeekSummary) -> str:
        """How many price lists were read, and the outcome of the other attempts."""
        complete = summary.attempts.get(SnapshotOutcome.COMPLETE, 0)
        said = [self._wording.count("%(num)s price list was read", "%(num)s price lists were read", complete)]
        said += [
            f"{self._wording.number(count)} {self._say(change_words.OUTCOMES[outcome])}"
            for outcome, count in summary.attempts.items()
            if outcome is not SnapshotOutcome.COMPLETE
        ]
        told = "; ".join(said)
        unknown = self._say(_("nothing is known of this week"))
        return told if complete else f"{told}: {unknown}"

    def gaps(self, summary: WeekSummary) -> str:
        """The times without a list; empty when there were none."""
        time = self._wording.time
        return "; ".join(f"{time(start)} – {time(end)}" for start, end in summary.gaps[:MAXIMUM_LINES])

    def moves(self, title: str, kind: str, moves: Sequence[Move]) -> Iterator[_Section]:
        """The products whose prices rose, or fell."""
        largest = max((_share(move) for move in moves), default=1.0)
        rupiah, rows = self._wording.rupiah, []
        for move in moves[:MAXIMUM_LINES]:
            # Widths of bars are pixels, not money.
            width = max(2, round(_BAR_PIXELS * _share(move) / largest))
            rows.append(
                (
                    move.after.code,
                    move.after.name,
                    *map(rupiah, move.prices_rupiah),
                    self._wording.change(*move.prices_rupiah),
                    _BAR.format(kind, width),
                    self._wording.number(move.changes),
                )
            )
        heads = (_("Product"), _("Name"), _("Before"), _("After"), _("By how much"), "", _("Steps"))
        yield from self._section(title, heads, rows, len(moves), numbers={2, 3, 4, 6})

    def statuses(self, summary: WeekSummary) -> Iterator[_Section]:
        """The products that are for sale now, or not any more."""
        rows = [
            (after.code, after.name, self._for_sale(before), self._for_sale(after))
            for before, after in summary.statuses[:MAXIMUM_LINES]
        ]
        heads = (_("Product"), _("Name"), _("Before"), _("After"))
        yield from self._section(_("For sale or not"), heads, rows, len(summary.statuses))

    def products(self, title: str, products: Sequence[ListedProduct]) -> Iterator[_Section]:
        """Products that came or went."""
        rows = [
            (product.code, product.name, self._wording.rupiah(product.price_rupiah), self._for_sale(product))
            for product in products[:MAXIMUM_LINES]
        ]
        heads = (_("Product"), _("Name"), _("Price"), _("For sale"))
        yield from self._section(title, heads, rows, len(products), numbers={2})

    def _for_sale(self, product: ListedProduct) -> str:
        said = change_words.STATUSES.get(product.status)
        return str(product.status) if said is None else self._say(said)

    def _section(
        self,
        title: str,
        heads: tuple[str, ...],
        rows: list[Any],
        all_rows: int,
        *,
        numbers: set[int] | frozenset[int] = frozenset(),
    ) -> Iterator[_Section]:
        if rows:
            said = f"{self._say(title)} ({self._wording.number(all_rows)})"
            yield _Section(said, tuple(map(self._say, heads)), rows, frozenset(numbers), all_rows - len(rows))


_TEMPLATES = templates_of("sat_hook.catalogue")
