"""The page "Batch progress": counts, rate, estimated end and rupiah. No script, nobody's name or number."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from sat_hook.domain.guards import WIB
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.progress import BatchProgress, pace_in_words

REFRESH_SECONDS = 5

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem;"
    "color:#1c2b2a;background:#fbfcfb}h1{font-size:1.4rem;margin:0}p{margin:.3rem 0}"
    ".still{color:#5b6b69}progress{width:100%;height:1.1rem;accent-color:#2b7a5b}"
    "table{border-collapse:collapse;width:100%;margin:1.2rem 0}"
    "th,td{text-align:right;padding:.35rem .6rem;border-bottom:1px solid #dde5e2}"
    ".need{border-left:.3rem solid #b3541e;padding-left:.7rem}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}td progress{width:9rem}"
)

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; style-src 'sha256-"
        + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        + "'"
    ),
}
"""What the page is to be served with: nothing on it runs, and nothing from elsewhere is loaded."""


def progress_page(progress: BatchProgress) -> str:
    """The page as HTML; it loads itself again until the batch is complete."""
    batch = progress.batch
    title = f"Batch {escape(batch.batch_id)}"
    refresh = "" if batch.state.is_final else f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
    looked_at = f"{progress.looked_at.astimezone(WIB):%Y-%m-%d %H:%M:%S} WIB"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{escape(batch.state.value)}, account {escape(batch.account)}</p>
{_needs(progress)}
<p>{_bar(progress.ended, progress.rows, "ended")}</p>
<p><strong>{progress.ended:,} of {progress.orders:,}</strong> orders have ended{_pace(progress)}.
{_aside(progress)}</p>
<p>Paid Rp {progress.paid_rupiah:,} of Rp {progress.quoted_rupiah:,}.</p>
{_for_people(progress)}
<table>
<thead><tr><th>state</th><th>orders</th><th>rupiah</th><th></th></tr></thead>
<tbody>
{_rows(progress)}
</tbody>
</table>
<p class="still">As of {looked_at}{"" if batch.state.is_final else "; renewed by itself"}.</p>
</body>
</html>
"""


def _pace(progress: BatchProgress) -> str:
    return f"; {escape(pace_in_words(progress))}" if progress.to_go else ""


def _needs(progress: BatchProgress) -> str:
    if not progress.needs:
        return ""
    subject, _, reasons = progress.needs_in_words.partition(": ")
    return f'<p class="need"><strong>{escape(subject)}</strong>: {escape(reasons)}.</p>'


def _aside(progress: BatchProgress) -> str:
    if not progress.batch.set_aside:
        return ""
    return f"{progress.batch.set_aside:,} of {progress.rows:,} rows became no order."


def _for_people(progress: BatchProgress) -> str:
    if not progress.for_people:
        return ""
    return f"<p><strong>{progress.for_people:,} wait for a person</strong>: held or escalated.</p>"


def _rows(progress: BatchProgress) -> str:
    return "\n".join(
        f"<tr><td>{escape(count.state.value)}</td><td>{count.orders:,}</td>"
        # What a failed order was charged came back: it costs nothing, as in the result file.
        f"<td>{_rupiah(count.state, count.charged_rupiah, count.quoted_rupiah):,}</td>"
        f"<td>{_bar(count.orders, progress.orders, count.state.value)}</td></tr>"
        for count in progress.counts
    )


def _rupiah(state: OrderState, charged_rupiah: int, quoted_rupiah: int) -> int:
    if state in (OrderState.FAILED, OrderState.REJECTED, OrderState.CANCELLED):
        return 0
    return charged_rupiah if state is OrderState.SUCCEEDED else quoted_rupiah


def _bar(part: int, whole: int, label: str) -> str:
    return f'<progress value="{part}" max="{max(1, whole)}" aria-label="{escape(label)}"></progress>'
