"""One decision about many orders: what it will do, what it did, and what could not be done and why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sat_hook.application import bulk_decisions, decision_acts
from sat_hook.application.bulk_decisions import BulkDecisions, BulkPreview, Chosen
from sat_hook.application.decision_acts import BulkAct
from sat_hook.application.decision_worker import DecisionWorker, decide_next_part
from sat_hook.application.errors import DecisionNotFoundError, RightMissingError, SelectionChangedError
from sat_hook.application.kept_decisions import KeptDecision
from sat_hook.application.rights import Person, Right
from sat_hook.audit.actions import actions_since
from sat_hook.commands.errors import ContentionError, OverrideRefusedError, ReasonRefusedError
from sat_hook.domain import order_events
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.order import OrderState
from sat_hook.store.bulk_decisions import BulkDecisionStore
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.order_lists import OrderFilter
from sat_hook.store.poll_schedule import PollScope, PostgresPollSchedule
from tests.integration.listings.conftest import HELD, READER, SENT, Office
from tests.orders import ACCOUNT, T0
from tests.quoted_batches import orders_of

DORA = Person("dora", frozenset({Right.VIEW, Right.DECIDE}))
WHY = "looked at with the shop"
ESCALATED = order_events.OrderEscalated(reason="no answer for a day")


class IdleWorker(DecisionWorker):
    """Carries out nothing: a test does that itself, or another process."""

    def wake(self) -> None:
        """Nothing."""


def bulk(office: Office) -> BulkDecisions:
    """The use case over the office's log, whose process carries out nothing by itself."""
    installation = office.lists.installation
    return BulkDecisions(installation, IdleWorker(installation))


def carry_on(office: Office) -> bool:
    """Decide one group, as any process may."""
    return decide_next_part(office.store, office.lists.installation.settings().recovery)


def of_batch(batch_id: str, **more: Any) -> Chosen:
    """The orders of a batch that match a filter."""
    return Chosen(which=OrderFilter(batch_id=batch_id, **more))


def begun(office: Office, preview: BulkPreview, chosen: Chosen) -> str:
    """Decide what the preview showed."""
    return bulk(office).begin(preview.act, chosen, preview.digest, WHY, DORA)


def done(office: Office, preview: BulkPreview, chosen: Chosen) -> KeptDecision:
    """Do what the preview showed, to its end."""
    decision_id = begun(office, preview, chosen)
    while carry_on(office):
        pass
    return bulk(office).find(decision_id, DORA)


@pytest.fixture
def batch_id(office: Office) -> str:
    """Four orders: one held, one escalated, one quoted, one held for another reason."""
    batch_id = office.batch("bulk")
    office.happen(office.order_of("bulk", 2), HELD)
    office.happen(office.order_of("bulk", 3), SENT, ESCALATED)
    office.happen(
        office.order_of("bulk", 5),
        order_events.OrderHeld(reason=order_events.HoldReason.LEFT_OUT, detail="left out"),
    )
    return batch_id


def states(office: Office, batch_id: str) -> list[OrderState]:
    """The states of the batch's orders, by row."""
    return [order.state for order in orders_of(office.handler, batch_id)]


def test_a_preview_says_what_will_happen_and_what_cannot(office: Office, batch_id: str) -> None:
    """Orders and rupiah by state and reason, and the others with why. Nothing changes."""
    before = states(office, batch_id)
    preview = bulk(office).preview(BulkAct.RELEASE, of_batch(batch_id), DORA)
    assert (preview.orders, preview.rupiah, preview.batch_ids) == (2, 77_000, (batch_id,))
    assert preview.by_standing == {("held", "left_out"): (1, 25_000), ("held", "limit"): (1, 52_000)}
    assert preview.undone_by_code == {"wrong_state": 2}
    assert [(one.row_number, one.text) for one in preview.undone] == [
        (3, "the order is escalated"),
        (4, "the order is quoted"),
    ]
    assert states(office, batch_id) == before


@pytest.mark.parametrize(
    ("act", "after"),
    [
        (BulkAct.RELEASE, ["quoted", "escalated", "quoted", "quoted"]),
        (BulkAct.CANCEL, ["cancelled", "escalated", "quoted", "cancelled"]),
        (BulkAct.SUCCEEDED, ["held", "succeeded", "quoted", "held"]),
        (BulkAct.FAILED, ["held", "failed", "quoted", "held"]),
        (BulkAct.WITHDRAW, ["cancelled", "escalated", "cancelled", "cancelled"]),
    ],
)
def test_each_act_decides_what_its_preview_showed(
    office: Office, batch_id: str, act: BulkAct, after: list[str]
) -> None:
    """The result counts the same orders and rupiah, and names the others. The person is the actor."""
    chosen = of_batch(batch_id)
    preview = bulk(office).preview(act, chosen, DORA)
    result = done(office, preview, chosen)
    assert states(office, batch_id) == after
    standing = result.standing
    assert (standing.done, standing.done_rupiah) == (preview.orders, preview.rupiah)
    assert (result.undone, standing.undone_by_code) == (preview.undone, preview.undone_by_code)
    assert standing.looked_at == standing.chosen == 4
    assert standing.ended_at is not None


def test_orders_are_chosen_by_id_or_by_filter(office: Office, batch_id: str) -> None:
    """Ids that no order has are named; a filter takes what matches; both, or a slow filter, are refused."""
    held = office.order_of("bulk", 2)
    by_id = Chosen((held, "S" + "A" * 31))
    preview = bulk(office).preview(BulkAct.CANCEL, by_id, DORA)
    assert (preview.orders, preview.undone_by_code) == (1, {"not_found": 1})
    done(office, preview, by_id)
    narrow = of_batch(batch_id, reason_code="left_out")
    assert bulk(office).preview(BulkAct.RELEASE, narrow, DORA).orders == 1
    open_orders = Chosen(which=OrderFilter(account="sat_default", states=(OrderState.ESCALATED,)))
    assert bulk(office).preview(BulkAct.FAILED, open_orders, DORA).orders == 1
    for wrong in (
        Chosen(),
        Chosen((held,), OrderFilter(batch_id=batch_id)),
        Chosen(which=OrderFilter(account=ACCOUNT)),
        of_batch(batch_id, client_number="08121000001"),
    ):
        with pytest.raises(OverrideRefusedError):
            bulk(office).preview(BulkAct.CANCEL, wrong, DORA)


def test_only_what_was_shown_is_decided(office: Office, batch_id: str) -> None:
    """An order that changed since the preview stops all of it, before anything is recorded."""
    chosen = of_batch(batch_id)
    preview = bulk(office).preview(BulkAct.RELEASE, chosen, DORA)
    office.happen(office.order_of("bulk", 4), HELD)
    with pytest.raises(SelectionChangedError):
        done(office, preview, chosen)
    assert states(office, batch_id).count(OrderState.HELD) == 3


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order is a group of its own."""
    monkeypatch.setattr(bulk_decisions, "ORDERS_A_PART", 1)


def fail_once(monkeypatch: pytest.MonkeyPatch, error: Exception, *, after_it: bool = False) -> None:
    """The first group fails: nothing of it is recorded, or what was recorded is not told."""
    real, calls = decision_acts.decide_held_orders, iter([True])

    def decide(*args: Any) -> Any:
        fails = next(calls, False)
        if fails and not after_it:
            raise error
        result = real(*args)
        if fails:
            raise error
        return result

    monkeypatch.setattr(decision_acts, "decide_held_orders", decide)


@pytest.mark.parametrize("error", [ContentionError("another process works on it"), ZeroDivisionError()])
@pytest.mark.usefixtures("one_by_one")
def test_a_group_that_fails_does_not_keep_the_others(
    office: Office, batch_id: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Its orders are listed as failed, whatever went wrong; the groups after it are decided."""
    fail_once(monkeypatch, error)
    chosen = Chosen((office.order_of("bulk", 2), office.order_of("bulk", 5)))
    decision_id = begun(office, bulk(office).preview(BulkAct.CANCEL, chosen, DORA), chosen)
    steps = []
    while carry_on(office):
        found = bulk(office).find(decision_id, DORA).standing
        steps.append((found.done, found.undone_by_code, found.ended_at is None))
    assert steps == [(0, {"failed": 1}, True), (1, {"failed": 1}, False)]
    assert states(office, batch_id) == ["held", "escalated", "quoted", "cancelled"]


@pytest.mark.parametrize("is_recorded", [False, True])
@pytest.mark.usefixtures("one_by_one")
def test_another_process_goes_on_where_one_has_died(
    office: Office, batch_id: str, monkeypatch: pytest.MonkeyPatch, is_recorded: bool
) -> None:
    """Each order is decided once and counted as done, whether or not its group was decided before.

    An order that is held again meanwhile stays held: the person has not decided that.
    """
    office.complete(batch_id)
    fail_once(monkeypatch, StoreUnavailableError("gone"), after_it=is_recorded)
    chosen = Chosen((office.order_of("bulk", 2), office.order_of("bulk", 5)))
    decision_id = begun(office, bulk(office).preview(BulkAct.RELEASE, chosen, DORA), chosen)
    with pytest.raises(StoreUnavailableError):
        carry_on(office)
    assert bulk(office).find(decision_id, DORA).standing.looked_at == 0
    if is_recorded:
        office.happen(chosen.request_ids[0], HELD)
    while carry_on(office):
        pass
    found = bulk(office).find(decision_id, DORA)
    assert (found.standing.done, found.standing.done_rupiah, found.undone) == (2, 77_000, ())
    released = [
        event.provenance
        for request_id in chosen.request_ids
        for event in office.store.read_stream(StreamId(StreamKind.ORDER, request_id))
        if event.type_name == "OrderReleased"
    ]
    assert released == [Provenance("user:dora", f"plugin:release:{decision_id}")] * 2
    assert states(office, batch_id)[0] == ("held" if is_recorded else "quoted")
    batch = office.store.load_batch(batch_id)
    assert batch is not None
    assert not batch.state.is_final


def test_a_decision_is_carried_out_by_the_server_alone(office: Office, batch_id: str) -> None:
    """Its thread goes on to the end, also with a decision that it finds, and has nothing to do afterwards."""
    chosen = of_batch(batch_id)
    installation = office.lists.installation
    left = begun(office, bulk(office).preview(BulkAct.WITHDRAW, chosen, DORA), chosen)
    worker = DecisionWorker(installation)
    found = BulkDecisions(installation, worker).find(left, DORA, wait_seconds=30).standing
    assert (found.ended_at is None, found.done) == (False, 3)
    decisions = BulkDecisions(installation, worker)
    again = decisions.preview(BulkAct.RECHECK, chosen, DORA)
    decision_id = decisions.begin(BulkAct.RECHECK, chosen, again.digest, WHY, DORA)
    worker.wait(30)
    assert decisions.find(decision_id, DORA).standing.ended_at is not None
    assert [one.standing.decision_id for one in decisions.newest(DORA)] == [decision_id, left]
    assert not carry_on(office)


def test_two_processes_do_not_work_on_one_decision(office: Office, batch_id: str) -> None:
    """While one has it, the other finds nothing to do; a decision about nothing has ended at once."""
    chosen = of_batch(batch_id)
    decision_id = begun(office, bulk(office).preview(BulkAct.RELEASE, chosen, DORA), chosen)
    with BulkDecisionStore(office.store.database).next_part() as part:
        assert part is not None
        assert part.decision.decision_id == decision_id
        assert not carry_on(office)
    assert carry_on(office)
    nothing = of_batch(batch_id, states=(OrderState.HELD,))
    empty = begun(office, bulk(office).preview(BulkAct.RELEASE, nothing, DORA), nothing)
    assert bulk(office).find(empty, DORA).standing.ended_at is not None


def test_the_same_decision_sent_twice_is_one(office: Office, batch_id: str) -> None:
    """While it is under way. Later the orders have changed, so it is refused: also by a question to SAT."""
    chosen = of_batch(batch_id)
    preview = bulk(office).preview(BulkAct.RELEASE, chosen, DORA)
    assert begun(office, preview, chosen) == begun(office, preview, chosen)
    assert done(office, preview, chosen).standing.done == 2
    with pytest.raises(SelectionChangedError):
        begun(office, preview, chosen)
    office.happen(office.order_of("bulk", 4), SENT)
    recheck = bulk(office).preview(BulkAct.RECHECK, chosen, DORA)
    first = done(office, recheck, chosen).standing
    assert first.done > 0
    with pytest.raises(SelectionChangedError):
        begun(office, recheck, chosen)
    again = bulk(office).preview(BulkAct.RECHECK, chosen, DORA)
    assert done(office, again, chosen).standing.decision_id != first.decision_id
    asked = actions_since(office.store.database, T0, user="dora")
    reasons = {json.loads(act.data)["reason"] for act in asked if act.type_name == "StatusAskedByOperator"}
    assert reasons == {WHY}


def test_a_recheck_makes_orders_due_at_once(office: Office, batch_id: str) -> None:
    """SAT is asked in the next round, also about an ended order; what was never sent is not asked about."""
    office.happen(office.order_of("bulk", 4), SENT, order_events.SucceededByOperator(reason="called SAT"))
    chosen = of_batch(batch_id)
    preview = bulk(office).preview(BulkAct.RECHECK, chosen, DORA)
    assert (preview.orders, preview.undone_by_code) == (2, {"never_sent": 2})
    assert done(office, preview, chosen).standing.done == 2
    due = PostgresPollSchedule(office.store.database).next_due(PollScope(batch_id=batch_id))
    assert due is not None


def test_the_right_and_a_reason_are_needed(office: Office, batch_id: str) -> None:
    """Deciding needs its right; makers may withdraw and ask again, and every act has a reason."""
    chosen = of_batch(batch_id)
    with pytest.raises(RightMissingError):
        bulk(office).preview(BulkAct.RELEASE, chosen, READER)
    maker = Person("maria", frozenset({Right.SUBMIT}))
    assert bulk(office).preview(BulkAct.WITHDRAW, chosen, maker).orders == 3
    preview = bulk(office).preview(BulkAct.CANCEL, chosen, DORA)
    with pytest.raises(ReasonRefusedError):
        bulk(office).begin(BulkAct.CANCEL, chosen, preview.digest, " ", DORA)
    decision_id = begun(office, preview, chosen)
    with pytest.raises(RightMissingError):
        bulk(office).find(decision_id, READER)
    assert bulk(office).newest(maker) == []
    with pytest.raises(DecisionNotFoundError):
        bulk(office).find("L" + "A" * 25, DORA)
