"""The progress page of a batch: counts, rate, estimated end and rupiah. No script, no customer data."""

from __future__ import annotations

import base64
import hashlib

from markupsafe import Markup

from sat_hook.domain.order_state import NOT_PAID, OrderState
from sat_hook.pipeline.progress import BatchProgress, pace_in_words
from sat_hook.presentation.templates import templates_of
from sat_hook.store.event_store import StateCount

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
"""The page's content security: nothing on it runs, and nothing from elsewhere is loaded."""

_TEMPLATES = templates_of("sat_hook.web")


def progress_page(progress: BatchProgress) -> str:
    """Return the page as HTML. It reloads itself until the batch is complete."""
    subject, _, reasons = progress.needs_in_words.partition(": ")
    return _TEMPLATES.get_template("progress.html.jinja").render(
        progress=progress,
        batch=progress.batch,
        style=Markup(_STYLE),  # noqa: S704 - our own constant
        refresh_seconds=REFRESH_SECONDS,
        needs=(subject, reasons) if progress.needs else None,
        pace=pace_in_words(progress) if progress.to_go else "",
        counts=[(count, _rupiah_of(count)) for count in progress.counts],
    )


def _rupiah_of(count: StateCount) -> int:
    # What ended unpaid costs nothing: it was never charged, or the charge was paid back.
    if count.state in NOT_PAID:
        return 0
    return count.charged_rupiah if count.state is OrderState.SUCCEEDED else count.quoted_rupiah
