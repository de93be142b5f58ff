"""The weekly summary as an HTML page that stands by itself: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from sat_hook.catalogue.weekly import Move, WeekSummary
from sat_hook.catalogue.wib import day_text, moment_text, rupiah_text, span_text
from sat_hook.domain.prices import ListedProduct, SnapshotOutcome, percent_text

MAXIMUM_LINES = 200
"""Of each table; what is beyond is counted."""

_BAR_PIXELS = 120

_STYLE = """
:root{color-scheme:light dark;--surface:#fcfcfb;--ink:#0b0b0b;--ink-2:#52514e;--grid:#e4e3df;--rise:#c9820b;
--fall:#2a78d6;--alarm:#c2272d}
@media (prefers-color-scheme:dark){:root{--surface:#1a1a19;--ink:#fff;--ink-2:#c3c2b7;--grid:#33332f;
--rise:#d99a2b;--fall:#4f98ea;--alarm:#f0706c}}
body{background:var(--surface);color:var(--ink);font:14px/1.45 system-ui,sans-serif;max-width:960px;
margin:24px auto;padding:0 16px}
h1{font-size:22px;margin:0} h2{font-size:16px;margin:28px 0 8px} .note{color:var(--ink-2)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(118px,1fr));gap:10px;margin:18px 0}
.figure{border:1px solid var(--grid);border-radius:6px;padding:8px 14px}
.figure b{display:block;font-size:22px} .figure span{color:var(--ink-2)}
table{border-collapse:collapse;width:100%} td,th{padding:4px 10px;border-bottom:1px solid var(--grid)}
th{text-align:left;color:var(--ink-2);font-weight:600} .number{text-align:right;white-space:nowrap}
.alarm{color:var(--alarm);font-weight:600} .bar{display:inline-block;height:10px;border-radius:2px}
.rise{background:var(--rise)} .fall{background:var(--fall)}
""".strip()


def weekly_page(summary: WeekSummary) -> str:
    """The page; the same summary gives the same text."""
    week = summary.week
    title = f"Prices of account {summary.account}, week {week.name}"
    end = "so far" if summary.until < week.until else ""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="note">{day_text(week.since)}, 00:00, to {moment_text(summary.until)} WIB {end}</p>',
        *_figures(summary),
        *_watching(summary),
        *_moves("Dearer", "rise", summary.rises),
        *_moves("Cheaper", "fall", summary.falls),
        *_statuses(summary),
        *_products("New", summary.appeared),
        *_products("Back again", summary.returned),
        *_products("Gone", summary.disappeared),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _figures(summary: WeekSummary) -> Iterator[str]:
    figures = (
        (summary.listed_after, "products listed"),
        (len(summary.rises), "dearer"),
        (len(summary.falls), "cheaper"),
        (summary.there_and_back, "there and back"),
        (len(summary.appeared) + len(summary.returned), "new or back"),
        (len(summary.disappeared), "gone"),
        (len(summary.statuses), "other status"),
    )
    yield '<div class="figures">'
    for count, words in figures:
        yield f'<div class="figure"><b>{count:,}</b><span>{words}</span></div>'
    yield "</div>"


def _watching(summary: WeekSummary) -> Iterator[str]:
    complete = summary.attempts.get(SnapshotOutcome.COMPLETE, 0)
    troubled = [
        f"{count:,} {outcome.value}"
        for outcome, count in summary.attempts.items()
        if outcome is not SnapshotOutcome.COMPLETE
    ]
    read = "1 price list was read" if complete == 1 else f"{complete:,} price lists were read"
    words = read + (f"; {', '.join(troubled)}" if troubled else "")
    yield f"<p>{words}.</p>" if complete else f'<p class="alarm">{words}: nothing is known of this week.</p>'
    if summary.gaps:
        spans = [f"{moment_text(a)} to {moment_text(b)} WIB ({span_text(b - a)})" for a, b in summary.gaps]
        yield f'<p class="alarm">No list is known of: {"; ".join(spans[:MAXIMUM_LINES])}.</p>'


def _moves(title: str, kind: str, moves: Sequence[Move]) -> Iterator[str]:
    if not moves:
        return
    largest = max(abs(b - a) / abs(a) for a, b in (move.prices_rupiah for move in moves))
    rows = []
    for move in moves[:MAXIMUM_LINES]:
        before, after = move.prices_rupiah
        # Widths of bars are pixels, not money.
        width = max(2, round(_BAR_PIXELS * abs(after - before) / abs(before) / largest))
        rows.append(
            (
                escape(move.after.code),
                escape(move.after.name),
                rupiah_text(before),
                rupiah_text(after),
                percent_text(before, after),
                f'<span class="bar {kind}" style="width:{width}px"></span>',
                f"{move.changes:,}",
            )
        )
    yield from _table(
        f"{title} ({len(moves):,})",
        ("product", "name", "before", "after", "by", "", "steps"),
        rows,
        numbers={2, 3, 4, 6},
        beyond=len(moves) - len(rows),
    )


def _statuses(summary: WeekSummary) -> Iterator[str]:
    rows = [
        (escape(after.code), escape(after.name), before.status_text, after.status_text)
        for before, after in summary.statuses[:MAXIMUM_LINES]
    ]
    if rows:
        yield from _table(
            f"Other status ({len(summary.statuses):,})",
            ("product", "name", "before", "after"),
            rows,
            beyond=len(summary.statuses) - len(rows),
        )


def _products(title: str, products: Sequence[ListedProduct]) -> Iterator[str]:
    rows = [
        (escape(product.code), escape(product.name), rupiah_text(product.price_rupiah), product.status_text)
        for product in products[:MAXIMUM_LINES]
    ]
    if rows:
        yield from _table(
            f"{title} ({len(products):,})",
            ("product", "name", "price", "status"),
            rows,
            numbers={2},
            beyond=len(products) - len(rows),
        )


def _table(
    title: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: frozenset[int] | set[int] = frozenset(),
    beyond: int = 0,
) -> Iterator[str]:
    """A table; its cells are HTML already."""

    def cells(kind: str, texts: Sequence[str]) -> str:
        return "".join(
            f'<{kind} class="number">{text}</{kind}>' if place in numbers else f"<{kind}>{text}</{kind}>"
            for place, text in enumerate(texts)
        )

    yield f"<h2>{title}</h2><table><thead><tr>{cells('th', heads)}</tr></thead><tbody>"
    for row in rows:
        yield f"<tr>{cells('td', row)}</tr>"
    yield "</tbody></table>"
    if beyond:
        yield f'<p class="note">… and {beyond:,} more (sat prices changes lists them)</p>'
