"""A person withdraws what was not sent yet: funds are free, and of withdrawing and sending one wins."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, load_batch
from sat_hook.domain.batch import BatchState
from sat_hook.domain.batch_commands import WithdrawBatch
from sat_hook.domain.batch_events import BatchSource, ShortFundsPolicy
from sat_hook.domain.decision import RefusalReason
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.guards import GuardRules
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import (
    Hold,
    OrderCommand,
    RecordReply,
    ReplyVerdict,
    RequestCheckout,
    Withdraw,
)
from sat_hook.domain.order_events import HoldReason
from sat_hook.pipeline.approval import approve, ask_for_approval
from sat_hook.pipeline.approval_request import ApprovalPolicy
from sat_hook.pipeline.errors import ApprovalTermsChangedError, BatchStoppedError, OrderNotFoundError
from sat_hook.pipeline.funding import reserve
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import FundingLimits
from sat_hook.pipeline.results import complete, render_results
from sat_hook.pipeline.submission import submit
from sat_hook.pipeline.withdrawal import withdraw_batch, withdraw_order
from sat_hook.store.as_of import as_of_position
from sat_hook.store.event_store import Change
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.funds import MemoryFunds
from sat_hook.testing.guards import MemoryGuardLedger
from sat_hook.testing.spool import MemorySpool
from tests.deposits import seen
from tests.orders import ACCOUNT, BY_TEST, ManualClock
from tests.quoted_batches import Row, orders_of, quoted_batch

PERSON = Provenance("user:mia", "plugin:withdraw")
CHECKER = Provenance("user:carl", "plugin:approve")
WHY = "the customer paid elsewhere"
ROWS = [Row(f"08121100000{n}", 10_000) for n in range(1, 5)]
NO_LAG = FundingLimits(saldo_lag_seconds=0)


class Desk:
    """A quoted, guarded and reserved batch of four orders, and a deposit that is just large enough."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryEventStore(self.clock)
        self.handler = CommandHandler(self.store, self.clock)
        self.funds = MemoryFunds(self.store)
        self.batch_id = quoted_batch(self.handler, "a", ROWS, maker=Provenance("user:budi", "plugin"))
        self.guard()
        self.reserve()

    def guard(self) -> None:
        guard_batch(self.handler, MemoryGuardLedger(self.store), self.batch_id, GuardRules(), BY_TEST)

    def reserve(self, batch_id: str | None = None) -> int:
        """How many orders got funds behind them."""
        look = seen(40_000, self.clock.now())
        policy = ShortFundsPolicy.PARTIAL
        done = reserve(self.funds, self.clock, batch_id or self.batch_id, look, policy, BY_TEST, NO_LAG)
        return done.orders

    def promised(self) -> int:
        """What of the deposit is reserved or under way."""
        with self.funds.looking(ACCOUNT) as account:
            return account.outstanding(self.clock.now()).total_rupiah

    def orders(self) -> list[Order]:
        return orders_of(self.handler, self.batch_id)

    def intent(self, order: Order) -> RequestCheckout:
        """What a sender asks for right before it sends."""
        now = self.clock.now()
        window, settled = now + timedelta(seconds=15), now + timedelta(seconds=60)
        return RequestCheckout("{}", now, window, settled, based_on_version=order.version)

    def ask(self, order: Order, command: OrderCommand, known: Order | None = None) -> RefusalReason | None:
        """Decide on the state that was read earlier, if ``known`` is given."""
        read = {order.request_id: known} if known else None
        refusal = self.handler.apply([OrderCommandRequest(order.request_id, command)], BY_TEST, read)[
            order.request_id
        ].refusal
        return refusal.reason if refusal else None

    def batch_events(self) -> list[tuple[str, str, dict[str, Any]]]:
        stream = self.store.read_stream(StreamId(StreamKind.BATCH, self.batch_id))
        return [(e.type_name, e.provenance.actor, json.loads(e.data)) for e in stream]


def test_a_reserved_order_is_withdrawn_and_its_funds_are_free() -> None:
    """It ends unsent in the person's name, another batch gets its money, and no sender gets past it."""
    desk = Desk()
    first, *_ = desk.orders()
    other = quoted_batch(desk.handler, "b", [Row("081211999999", 10_000)])
    guard_batch(desk.handler, MemoryGuardLedger(desk.store), other, GuardRules(), BY_TEST)
    assert (desk.promised(), desk.reserve(other)) == (40_000, 0)
    done = withdraw_order(desk.handler, first.request_id, WHY, PERSON)
    assert (done.state, done.reason_code, done.reason_detail) == (OrderState.CANCELLED, "withdrawn", WHY)
    assert (desk.promised(), desk.reserve(other)) == (30_000, 1)
    last = desk.store.read_stream(StreamId(StreamKind.ORDER, first.request_id))[-1]
    assert (last.type_name, last.provenance) == ("OrderWithdrawn", PERSON)
    assert desk.ask(first, desk.intent(first)) is RefusalReason.OVERTAKEN
    assert desk.ask(done, desk.intent(done)) is RefusalReason.WRONG_STATE


@pytest.mark.parametrize("is_first", ["withdrawal", "sender"])
def test_of_withdrawing_and_sending_at_once_one_wins(is_first: str) -> None:
    """Both have read the same order; the first commit counts, the other is refused by name."""
    desk = Desk()
    first, *_ = desk.orders()
    if is_first == "withdrawal":
        assert desk.ask(first, Withdraw(WHY), first) is None
        assert desk.ask(first, desk.intent(first), first) is RefusalReason.OVERTAKEN
    else:
        assert desk.ask(first, desk.intent(first), first) is None
        assert desk.ask(first, Withdraw(WHY), first) is RefusalReason.MAY_HAVE_BEEN_SENT
    (now, *_) = desk.orders()
    assert now.state is (OrderState.CANCELLED if is_first == "withdrawal" else OrderState.SUBMITTING)


@pytest.mark.parametrize("verdict", [None, ReplyVerdict.ACCEPTED, ReplyVerdict.UNKNOWN])
def test_what_may_have_been_sent_is_not_withdrawn(verdict: ReplyVerdict | None) -> None:
    """Under way, accepted or unknown: the refusal has a name, and nothing changes."""
    desk = Desk()
    first, *_ = desk.orders()
    desk.ask(first, desk.intent(first))
    if verdict is not None:
        desk.ask(first, RecordReply(1, verdict, "timeout", reported_status="Pending"))
    (before, *_) = desk.orders()
    with pytest.raises(OverrideRefusedError, match="may_have_been_sent"):
        withdraw_order(desk.handler, first.request_id, WHY, PERSON)
    assert desk.orders()[0] == before


def test_what_provably_never_left_is_withdrawn() -> None:
    """An attempt of which not a byte left is no sending."""
    desk = Desk()
    first, *_ = desk.orders()
    desk.ask(first, desk.intent(first))
    desk.ask(first, RecordReply(1, ReplyVerdict.NOT_SENT, "connect_timeout"))
    assert withdraw_order(desk.handler, first.request_id, WHY, PERSON).state is OrderState.CANCELLED


def test_a_withdrawal_needs_an_order_and_a_reason() -> None:
    """Like every decision of a person; and once is enough."""
    desk = Desk()
    first, *_ = desk.orders()
    with pytest.raises(OverrideRefusedError):
        withdraw_order(desk.handler, first.request_id, " ", PERSON)
    with pytest.raises(OrderNotFoundError):
        withdraw_order(desk.handler, "S" + "A" * 31, WHY, PERSON)
    withdraw_order(desk.handler, first.request_id, WHY, PERSON)
    with pytest.raises(OverrideRefusedError, match="already_ended"):
        withdraw_order(desk.handler, first.request_id, WHY, PERSON)


def test_a_batch_of_which_nothing_was_sent_is_refused_as_a_whole() -> None:
    """Quoted, held and reserved orders alike; the funds are free, and no run goes on with it."""
    desk = Desk()
    second = desk.orders()[1]
    desk.ask(second, Hold(HoldReason.LIMIT, ""))
    report = withdraw_batch(desk.handler, desk.batch_id, WHY, PERSON)
    assert (report.withdrawn, report.may_have_been_sent, desk.promised()) == (4, 0, 0)
    assert {order.reason_code for order in desk.orders()} == {"withdrawn"}
    batch = load_batch(desk.store, desk.batch_id)
    assert (batch.state, batch.refusal_code, batch.withdrawn) == (BatchState.REFUSED, "withdrawn", WHY)
    assert [name for name, actor, _ in desk.batch_events() if actor == PERSON.actor] == [
        "BatchWithdrawn",
        "BatchRefused",
    ]
    with pytest.raises(BatchStoppedError, match=WHY):
        desk.guard()
    with pytest.raises(OverrideRefusedError, match="no order that was not sent yet"):
        withdraw_batch(desk.handler, desk.batch_id, WHY, PERSON)


def test_of_a_batch_that_is_being_sent_the_rest_is_withdrawn() -> None:
    """What may have been sent goes on to its end, and the batch is completed with it."""
    desk = Desk()
    first, *_ = desk.orders()
    desk.ask(first, desk.intent(first))
    report = withdraw_batch(desk.handler, desk.batch_id, WHY, PERSON)
    assert (report.withdrawn, report.may_have_been_sent, desk.promised()) == (3, 1, 10_000)
    assert load_batch(desk.store, desk.batch_id).state is BatchState.QUOTED
    desk.guard()
    assert desk.reserve() == 0
    desk.ask(first, RecordReply(1, ReplyVerdict.REJECTED, "rejected", code="P04"))
    summary = complete(desk.handler, desk.batch_id, BY_TEST)
    assert summary.batch.state is BatchState.COMPLETED
    assert summary.orders_by_state == {"cancelled": 3, "failed": 1}


def test_a_withdrawal_that_was_cut_short_is_finished_by_the_next_run() -> None:
    """The mark is there and no order has ended: guards find it, and nothing is reserved or asked for."""
    desk = Desk()
    desk.handler.apply_to_batch(desk.batch_id, WithdrawBatch(WHY), PERSON)
    desk.guard()
    assert {order.reason_code for order in desk.orders()} == {"withdrawn"}
    assert ask_for_approval(desk.handler, desk.batch_id, ApprovalPolicy(0), BY_TEST) is None


def test_a_withdrawal_that_was_cut_short_is_finished_while_approval_is_asked_for() -> None:
    """The mark came after the guards: the task that asks for approval ends, however often it runs."""
    desk = Desk()
    policy = ApprovalPolicy(0)
    assert ask_for_approval(desk.handler, desk.batch_id, policy, BY_TEST) is not None
    desk.handler.apply_to_batch(desk.batch_id, WithdrawBatch(WHY), PERSON)
    assert ask_for_approval(desk.handler, desk.batch_id, policy, BY_TEST) is None
    assert {order.reason_code for order in desk.orders()} == {"withdrawn"}
    assert ask_for_approval(desk.handler, desk.batch_id, policy, BY_TEST) is None


def test_a_withdrawal_that_was_cut_short_is_finished_before_funds_are_reserved() -> None:
    """Quoted orders that it had not reached get no funds and end; the task has nothing to complain of."""
    desk = Desk()
    late = quoted_batch(desk.handler, "late", [Row("081211000009", 10_000)])
    desk.handler.apply_to_batch(late, WithdrawBatch(WHY), PERSON)
    promised = desk.promised()
    assert desk.reserve(late) == 0
    assert desk.promised() == promised
    (order,) = orders_of(desk.handler, late)
    assert (order.state, order.reason_code) == (OrderState.CANCELLED, "withdrawn")


def test_nobody_approves_what_was_withdrawn_meanwhile() -> None:
    """The batch that was shown is not there any more."""
    desk = Desk()
    policy = ApprovalPolicy(0)
    request = ask_for_approval(desk.handler, desk.batch_id, policy, BY_TEST)
    assert request is not None
    withdraw_order(desk.handler, desk.orders()[0].request_id, WHY, PERSON)
    with pytest.raises(ApprovalTermsChangedError):
        approve(desk.handler, desk.batch_id, policy, request.terms, CHECKER)
    again = ask_for_approval(desk.handler, desk.batch_id, policy, BY_TEST)
    assert again is not None
    assert again.terms.orders == 3
    approve(desk.handler, desk.batch_id, policy, again.terms, CHECKER)
    withdraw_batch(desk.handler, desk.batch_id, WHY, PERSON)
    assert {order.reason_code for order in desk.orders()} == {"withdrawn"}


class Interrupting(MemoryEventStore):
    """A store at whose second append of orders another process acts first."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.countdown = 2
        self.interrupt: Callable[[], object] = lambda: None

    def append(
        self, changes: Sequence[Change], provenance: Provenance, occurred_at: datetime
    ) -> frozenset[StreamId]:
        if any(change.stream.kind is StreamKind.ORDER for change in changes):
            self.countdown -= 1
            if self.countdown == 0:
                self.interrupt()
        return super().append(changes, provenance, occurred_at)


def test_a_batch_is_withdrawn_in_the_middle_of_its_intake() -> None:
    """Rows that are read afterwards become no orders, those of the run under way end, the file says so."""
    clock = ManualClock()
    store, spool = Interrupting(clock), MemorySpool()
    handler = CommandHandler(store, clock)
    rows = "".join(f"A-{n},50k-simpati,0812110{n:05d}\n" for n in range(1_200))
    content = f"order_id,product_code,client_number\n{rows}".encode()
    batch_id = submit(
        store, spool, clock, account=ACCOUNT, reference=None, source=BatchSource.FILE, file_name="a.csv",
        content=content, provenance=BY_TEST,
    ).batch_id  # fmt: skip
    store.interrupt = lambda: withdraw_batch(handler, batch_id, WHY, PERSON)
    report = take_in(handler, spool, batch_id, BY_TEST)
    assert report.batch.state is BatchState.REFUSED
    orders = orders_of(handler, batch_id)
    assert 500 <= len(orders) <= 1_000
    assert {order.state for order in orders} == {OrderState.CANCELLED}
    lines = (
        render_results(as_of_position(store, store.close_position()), spool, batch_id)
        .content.decode()
        .splitlines()
    )
    assert len(lines) == 1_201
    assert all(",not sent," in line and ",withdrawn," in line for line in lines[1:])
