"""A chunk that stops is an event of its batch, and people are told, unless it was people who stopped it."""

from __future__ import annotations

import pytest

from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.batch_events import ChunkStopped, StopCause
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.pipeline.alerting import collect_alerts
from sat_hook.pipeline.errors import AccountPausedError, ChargedAboveQuoteError, ChunkIncompleteError
from sat_hook.pipeline.limits import AlertingLimits, ExecutionLimits
from sat_hook.pipeline.overrides import pause_account
from sat_hook.store.alerts import AlertBook
from tests.integration.pipeline.test_steps import ready
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line

PATIENT = ExecutionLimits(in_flight=2, failures_to_stop=4)


def stops(line: Line, batch_id: str) -> list[ChunkStopped]:
    """What the batch's stream says about stopped chunks."""
    stream = line.store.read_stream(StreamId(StreamKind.BATCH, batch_id))
    return [event for recorded in stream if isinstance(event := recorded.event, ChunkStopped)]


def test_an_open_breaker_is_told(line: Line) -> None:
    """Nothing but 503: the chunk stops, and says which rows and how many orders are left."""
    batch_id = ready(line, 40)
    line.execution = PATIENT
    busy = {"fault": "error", "operations": ["checkout"], "when": "before", "status": 503}
    line.server.set_faults({"faults": [busy]})
    with pytest.raises(ChunkIncompleteError):
        line.execute(batch_id)
    (stopped,) = stops(line, batch_id)
    assert stopped.cause is StopCause.BREAKER
    assert 20 < stopped.unsent < 40
    book = AlertBook(line.store.database)
    assert collect_alerts(line.store, book, AlertingLimits()) == 1
    alert = book.recent()[0].alert
    assert (alert.kind, alert.account, alert.batch_id) == (AlertKind.CHUNK_STOPPED, ACCOUNT, batch_id)


def test_a_charge_above_the_quote_is_told_twice_over(line: Line) -> None:
    """As an order that costs too much, and as a chunk that stopped for it."""
    batch_id = ready(line, 10)
    line.execution = ExecutionLimits(in_flight=1)
    dearer = {"fault": "price_change", "moment": "checkout", "change_rupiah": 1_000}
    line.server.set_faults({"faults": [{**dearer, "at_checkout": "charge_changed"}]})
    with pytest.raises(ChargedAboveQuoteError):
        line.execute(batch_id)
    assert [stopped.cause for stopped in stops(line, batch_id)] == [StopCause.OVERCHARGED]
    book = AlertBook(line.store.database)
    collect_alerts(line.store, book, AlertingLimits())
    kinds = {told.alert.kind for told in book.recent()}
    assert kinds == {AlertKind.CHARGED_ABOVE_QUOTE, AlertKind.CHUNK_STOPPED}


def test_what_people_stopped_is_no_news_to_them(line: Line) -> None:
    """A paused account: the task fails and says so; no alert is raised."""
    batch_id = ready(line, 5)
    pause_account(line.handler, ACCOUNT, "a look first", BY_TEST)
    with pytest.raises(AccountPausedError):
        line.execute(batch_id)
    assert stops(line, batch_id) == []


def test_a_chunk_that_was_sent_whole_stops_nowhere(line: Line) -> None:
    """No alarm without a reason."""
    batch_id = ready(line, 5)
    line.execute(batch_id)
    assert stops(line, batch_id) == []
