"""Rate, estimated end and rupiah of a batch, and the words for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_events import BatchSource
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.progress import BatchProgress, in_words
from sat_hook.store.event_store import Need, StateCount

NOW = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)


def progress(
    *counts: tuple[OrderState, int],
    settled: int = 0,
    seconds: float = 60.0,
    state: BatchState = BatchState.QUOTED,
    account: str = "demo",
) -> BatchProgress:
    """A look at a batch whose orders cost 10,000 rupiah each."""
    batch = Batch(
        batch_id="B" + "A" * 25,
        version=3,
        state=state,
        account=account,
        reference="r",
        source=BatchSource.FILE,
        file_name="orders.csv",
        spool_uri="file:///spool/x",
        digest="0" * 64,
        size_bytes=1,
    )
    made = tuple(StateCount(name, number, number * 10_000, number * 10_000) for name, number in counts)
    return BatchProgress(batch, made, settled=settled, settled_seconds=seconds, looked_at=NOW)


def test_rows_that_need_a_person_are_counted_against_what_was_submitted() -> None:
    """Rows that became no order are rows, too: of 29 that were submitted 25 need a person."""
    looked = progress((OrderState.SUCCEEDED, 4), (OrderState.REJECTED, 2), (OrderState.HELD, 2))
    batch = looked.batch.model_copy(update={"orders": 8, "set_aside": 21})
    needs = (
        Need("refused", "missing_value", 21),
        Need("held", "business_duplicate", 2),
        Need("rejected", "unknown_product", 2),
    )
    words = in_words(replace(looked, batch=batch, needs=needs))
    assert "21 set aside" in words
    assert (
        "25 of 29 rows need you: 21 missing_value, 2 held for business_duplicate, 2 unknown_product" in words
    )


def test_the_end_follows_from_the_rate() -> None:
    """Thirty in the last minute and ninety to go are three minutes; ends and people's orders do not wait."""
    looked = progress(
        (OrderState.SUCCEEDED, 60),
        (OrderState.FAILED, 10),
        (OrderState.REJECTED, 5),
        (OrderState.PENDING, 80),
        (OrderState.QUOTED, 10),
        (OrderState.HELD, 2),
        (OrderState.ESCALATED, 1),
        settled=30,
    )
    assert (looked.orders, looked.ended, looked.for_people, looked.to_go) == (168, 75, 3, 90)
    assert looked.per_minute == 30
    assert looked.ends_at == NOW + timedelta(minutes=3)
    assert (looked.charged_rupiah, looked.quoted_rupiah) == (600_000, 1_630_000)
    assert in_words(looked) == (
        "75 of 168 orders ended (60 succeeded, 10 failed, 5 rejected, 80 pending, 10 quoted, 2 held, "
        "1 escalated); 30 a minute, the last about 10:03 WIB; paid Rp 600,000 of Rp 1,630,000"
    )


def test_a_burst_is_no_rate_of_thousands() -> None:
    """Orders that ended at the same moment count as having taken some seconds."""
    assert progress((OrderState.PENDING, 5), settled=50, seconds=0.0).per_minute == 600


@pytest.mark.parametrize(
    ("looked", "words"),
    [
        (progress((OrderState.PENDING, 5)), "none ended in the last 5 minutes"),
        (progress((OrderState.QUOTED, 5)), "none under way"),
        (progress((OrderState.PENDING, 9000), settled=1), "about 2026-11-08 16:00 WIB"),
        (progress(), "0 of 0 orders ended (no orders)"),
    ],
    ids=["nothing lately", "not sent", "days", "no orders"],
)
def test_what_nobody_can_tell_is_not_told(looked: BatchProgress, words: str) -> None:
    """No estimate without a rate; an end on another day has its date."""
    assert words in in_words(looked)
    assert (looked.ends_at is None) == ("about" not in words)
