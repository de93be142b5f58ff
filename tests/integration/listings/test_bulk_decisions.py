"""One decision about many orders: what it will do, what it did, and what could not be done and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sat_hook.application import bulk_decisions
from sat_hook.application.bulk_decisions import (
    BulkAct,
    BulkDecisions,
    BulkPreview,
    BulkProgress,
    Chosen,
    SelectionChangedError,
)
from sat_hook.application.person import Person, RightMissingError
from sat_hook.application.rights import Right
from sat_hook.commands.errors import ContentionError, OverrideRefusedError, ReasonRefusedError
from sat_hook.domain import order_events
from sat_hook.domain.order import OrderState
from sat_hook.store.listings import OrderFilter
from sat_hook.store.poll_schedule import PollScope, PostgresPollSchedule
from tests.integration.listings.conftest import HELD, READER, SENT, Office
from tests.orders import ACCOUNT
from tests.quoted_batches import orders_of

DORA = Person("dora", frozenset({Right.VIEW, Right.DECIDE}))
WHY = "looked at with the shop"
ESCALATED = order_events.OrderEscalated(reason="no answer for a day")


def bulk(office: Office) -> BulkDecisions:
    """The use case over the office's log."""
    return BulkDecisions(office.lists.installation)


def of_batch(batch_id: str, **more: Any) -> Chosen:
    """The orders of a batch that match a filter."""
    return Chosen(which=OrderFilter(batch_id=batch_id, **more))


def done(office: Office, preview: BulkPreview, chosen: Chosen) -> BulkProgress:
    """Do what the preview showed, to its end."""
    *_, last = bulk(office).apply(preview.act, chosen, preview.digest, WHY, DORA)
    return last


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
    assert (result.done, result.done_rupiah) == (preview.orders, preview.rupiah)
    assert tuple(result.undone) == preview.undone
    assert result.looked_at == result.orders == 4


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


def test_a_group_that_fails_does_not_keep_the_others(
    office: Office, batch_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its orders are listed as failed; the groups after it are decided, and progress is told after each."""
    real, calls = bulk_decisions.decide_held_orders, iter([True, False])

    def decide(*args: Any) -> Any:
        if next(calls):
            raise ContentionError("another process works on it")
        return real(*args)

    def one_by_one(orders: Any) -> Iterator[Any]:
        yield from ([order] for order in orders)

    monkeypatch.setattr(bulk_decisions, "decide_held_orders", decide)
    monkeypatch.setattr(bulk_decisions, "grouped", one_by_one)
    chosen = Chosen((office.order_of("bulk", 2), office.order_of("bulk", 5)))
    preview = bulk(office).preview(BulkAct.CANCEL, chosen, DORA)
    steps = [
        (progress.done, dict(progress.undone_by_code))
        for progress in bulk(office).apply(BulkAct.CANCEL, chosen, preview.digest, WHY, DORA)
    ]
    assert steps == [(0, {"failed": 1}), (1, {"failed": 1})]
    assert states(office, batch_id) == ["held", "escalated", "quoted", "cancelled"]


def test_a_recheck_makes_orders_due_at_once(office: Office, batch_id: str) -> None:
    """SAT is asked in the next round, also about an ended order; what was never sent is not asked about."""
    office.happen(office.order_of("bulk", 4), SENT, order_events.SucceededByOperator(reason="called SAT"))
    chosen = of_batch(batch_id)
    preview = bulk(office).preview(BulkAct.RECHECK, chosen, DORA)
    assert (preview.orders, preview.undone_by_code) == (2, {"never_sent": 2})
    assert done(office, preview, chosen).done == 2
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
        bulk(office).apply(BulkAct.CANCEL, chosen, preview.digest, " ", DORA)
