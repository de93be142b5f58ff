"""A batch waits under a real Airflow: callbacks arrive in every way they can, and the waiting processes are
killed.

One batch covers everything, because a batch for each way would take minutes. ``waited`` is its story; each
test looks at one part of the result.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from sat_hook.audit.log_verification import verify_log
from sat_hook.audit.rebuild import compare_projections
from sat_hook.domain.order import OrderState
from sat_hook.triggers.batch import GAVE_UP
from stack.lifecycle import Stack
from tests.chaos.siege import Siege
from tests.chaos.story import Waited, sizes_of, story
from tests.chaos.waiting import FORGED, SILENT, WaitingBatch

pytestmark = pytest.mark.timeout(1800)

SIZES = sizes_of(held=100)


@pytest.fixture(scope="module")
def waited(running_stack: Stack, siege: Siege) -> Iterator[Waited]:
    """The whole story, once. At the same time, the orders of another batch, whose task was killed, end."""
    del siege
    # Limits that only a failure reaches: the machine may have other work, too.
    batch = WaitingBatch(running_stack, SIZES, lambda line: print(line, file=sys.stderr), patience=8.0)
    try:
        yield story(batch)
    finally:
        batch.close()


def test_every_order_ends_once_and_as_sat_says(waited: Waited) -> None:
    """By SAT's ledger, every order was charged at most once, and its recorded end is true."""
    assert waited.batch.judge() == []
    assert len(list(waited.batch.each_order())) == sum(SIZES.values())


def test_the_log_is_whole_after_the_kills(waited: Waited) -> None:
    """Every digest and every derived row is right."""
    findings: list[str] = []
    verify_log(waited.batch.database, lambda finding: findings.append(str(finding)))
    compare_projections(waited.batch.database, lambda finding: findings.append(str(finding)))
    assert findings == []


@pytest.mark.parametrize("group", ["plain", "lost", "doubled", "reordered", "stale"])
def test_whatever_becomes_of_a_callback_the_order_succeeds(waited: Waited, group: str) -> None:
    """The order succeeds if its callback comes in time, never, four times, out of order, or long after the
    end.
    """
    assert waited.batch.states(group) == {OrderState.SUCCEEDED}


def test_a_callback_before_the_checkouts_own_answer_is_kept_and_believed_in_time(waited: Waited) -> None:
    """The callback came first, and the order stays pending until SAT is asked."""
    for key in waited.batch.keys("early"):
        types = [recorded.type_name for recorded in waited.batch.events(key)]
        assert types.index("CheckoutRequested") < types.index("OrderSucceeded")
        ((answered,),) = waited.batch.rows(
            "SELECT i.received_at < e.recorded_at FROM sat.callback_inbox AS i JOIN sat.events AS e"
            " ON e.stream = 'order/' || i.request_id WHERE i.request_id = %s AND e.type = 'CheckoutAccepted'",
            key,
        )
        assert answered, "the callback was kept before the checkout's answer was recorded"


def test_a_lost_callback_leaves_no_trace_but_the_end(waited: Waited) -> None:
    """Polling found the end."""
    keys = waited.batch.keys("lost")
    rows = waited.batch.rows("SELECT 1 FROM sat.callback_inbox WHERE request_id = ANY (%s)", keys)
    assert rows == []


def test_a_doubled_callback_is_kept_once_and_counted(waited: Waited) -> None:
    """One arrival is kept; the others count as repeats of it."""
    ledger = waited.batch.ledger(waited.batch.keys("doubled"))["requests"]
    for key in waited.batch.keys("doubled"):
        rows = waited.batch.rows(
            "SELECT r.repeats FROM sat.callback_inbox AS i JOIN sat.callback_repeats AS r"
            " USING (account, digest) WHERE i.request_id = %s",
            key,
        )
        # Four; a callback not answered within SAT's five seconds is sent once more.
        sent = len(ledger[key]["callbacks"])
        assert sent >= 4
        assert rows == [(sent - 1,)]


@pytest.mark.parametrize("group", FORGED)
def test_a_forged_success_is_refused_and_the_order_fails_as_sat_says(waited: Waited, group: str) -> None:
    """A wrong key, no signature, a signature over other bytes: none of these callbacks is kept."""
    keys = waited.batch.keys(group)
    assert waited.batch.states(group) == {OrderState.FAILED}
    assert waited.batch.rows("SELECT 1 FROM sat.callback_inbox WHERE request_id = ANY (%s)", keys) == []
    for entry in waited.batch.ledger(keys)["requests"].values():
        forged = [callback for callback in entry["callbacks"] if callback["label"] == "forged"]
        assert forged
        assert {callback["answer"] for callback in forged} == {400}


def test_a_callback_older_than_the_end_changes_nothing(waited: Waited) -> None:
    """It is kept and leads to a status query, but adds nothing to the stream."""
    for key in waited.batch.keys("stale"):
        assert waited.batch.events(key)[-1].type_name == "OrderSucceeded"


def test_a_callback_for_an_order_that_nobody_knows_yet_waits_for_it(waited: Waited) -> None:
    """A callback that came before its order was submitted is matched later, and leads to a status query."""
    keys = waited.batch.keys("foretold")
    assert set(waited.foretold) == {200}
    assert waited.batch.states("foretold") == {OrderState.SUCCEEDED}
    kept = waited.batch.rows("SELECT 1 FROM sat.callback_inbox WHERE request_id = ANY (%s)", keys)
    queued = waited.batch.rows("SELECT 1 FROM sat.callback_queue WHERE request_id = ANY (%s)", keys)
    assert (len(kept), queued) == (len(keys), [])


def test_callbacks_that_nobody_was_listening_for_are_found_in_the_queue(waited: Waited) -> None:
    """The triggerer was dead when the notification came, but the callback stayed in the queue."""
    assert set(waited.unheard) == {200}
    assert waited.batch.states("unheard") == {OrderState.SUCCEEDED}


def test_the_wait_goes_on_after_triggerer_and_database_were_killed(waited: Waited) -> None:
    """The trigger resumes, reconnects, asks for statuses, and receives notifications again."""
    assert waited.questions_after_the_kills > 0
    assert set(waited.rung) == {200}
    print(f"rung, and ended after {waited.seconds_to_ring:.1f} s; {waited.load}", file=sys.stderr)


def test_a_reversal_is_found_by_looking_again_and_people_are_told(waited: Waited) -> None:
    """SAT sends no callback: the recheck on a later day finds the reversal and sends an asset event naming
    the batch.
    """
    batch = waited.batch
    assert batch.states("taken_back") == {OrderState.REVERSED}
    assert batch.told() == [("order_reversed",)] * SIZES["taken_back"]
    assert (
        len(batch.rows("SELECT 1 FROM sat.alerts WHERE batch_id = %s", batch.batch_id)) == SIZES["taken_back"]
    )
    events = [
        event for event in batch.api().asset_events("alerts") if batch.batch_id in event["extra"]["batches"]
    ]
    # One, or two if the schedule's own run came in between.
    assert {event["uri"] for event in events} == {"sat://alerts/order_reversed"}
    assert sum(event["extra"]["alerts"] for event in events) == SIZES["taken_back"]


def test_waiting_asks_on_schedule_however_many_ask(waited: Waited) -> None:
    """Two instances of the trigger share the status queries: no order is asked about more often."""
    assert waited.second == GAVE_UP
    silent = len(waited.batch.keys(*SILENT))
    # 2 seconds after the first, then 1.7 times later each time, up to a fifth sooner by chance.
    most, moment, delay = 1, 0.0, 2.0 * 0.8
    while moment + delay <= waited.load.seconds:
        most, moment, delay = most + 1, moment + delay, delay * 1.7
    assert waited.load.questions <= silent * most
