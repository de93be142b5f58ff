"""The page about a batch's progress: what it shows, what it must not."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

from sat_hook.domain.batch import BatchState
from sat_hook.domain.order import OrderState
from sat_hook.store.event_store import Need
from sat_hook.web.progress_page import HEADERS, progress_page
from tests.unit.pipeline.test_progress import progress

RUNNING = progress((OrderState.SUCCEEDED, 6), (OrderState.PENDING, 3), (OrderState.HELD, 1), settled=6)


def test_it_shows_states_rate_end_and_rupiah() -> None:
    """And how many wait for a person."""
    page = progress_page(RUNNING)
    for words in (
        "6 of 10</strong> orders have ended; 6.0 a minute, the last about 10:00 WIB",
        "Paid Rp 60,000 of Rp 100,000",
        "1 wait for a person",
        "<td>pending</td><td>3</td><td>30,000</td>",
    ):
        assert words in page


def test_what_was_paid_back_costs_nothing() -> None:
    """Like every order that ended unpaid."""
    page = progress_page(progress((OrderState.SUCCEEDED, 6), (OrderState.REVERSED, 2)))
    assert "<td>reversed</td><td>2</td><td>0</td>" in page


def test_it_says_first_how_many_rows_need_a_person() -> None:
    """With the reasons, and the bar is as long as the file: it is not full while rows are left over."""
    batch = RUNNING.batch.model_copy(update={"orders": 10, "set_aside": 19})
    page = progress_page(replace(RUNNING, batch=batch, needs=(Need("refused", "<b>", 19),)))
    assert "<strong>19 of 29 rows need you</strong>: 19 &lt;b&gt;." in page
    assert page.index("rows need you") < page.index("orders have ended")
    assert 'value="6" max="29" aria-label="ended"' in page
    assert "19 of 29 rows became no order." in page


def test_it_renews_itself_until_the_batch_is_complete() -> None:
    """A complete batch does not change any more."""
    assert "refresh" in progress_page(RUNNING)
    done = progress((OrderState.SUCCEEDED, 6), state=BatchState.COMPLETED)
    assert "refresh" not in progress_page(done)


def test_somebody_else_s_words_are_text() -> None:
    """An account's name comes from a connection."""
    page = progress_page(progress(account="<script>alert(1)</script>"))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_its_policy_allows_its_own_style_and_nothing_else() -> None:
    """The digest in the header is that of the style on the page."""
    [style] = re.findall(r"<style>(.*?)</style>", progress_page(RUNNING), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
