"""Reserving in a world with a true deposit behind the saldo: lagging, refunding late, and never overdrawn."""

from __future__ import annotations

import random
from bisect import bisect_right
from datetime import timedelta
from typing import Any

import pytest

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, load_batch
from sat_hook.domain import order_commands as asked
from sat_hook.domain.batch_events import FundsReserved, ShortFundsPolicy
from sat_hook.domain.decision import Refusal
from sat_hook.domain.funds import BalanceObservation, available_rupiah, commitment_of, outstanding
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import OrderCommand, ReplyVerdict
from sat_hook.domain.order_decisions import decide
from sat_hook.domain.order_events import HoldReason, QuoteSource, RejectionReason
from sat_hook.pipeline.errors import BatchStoppedError
from sat_hook.pipeline.funding import missing_rupiah, refuse_batch, reserve
from sat_hook.pipeline.limits import FundingLimits
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.funds import MemoryFunds
from tests.deposits import FAR_AWAY, order_of, quoted_batch, seen
from tests.orders import ACCOUNT, BY_TEST, T0, ManualClock

PARTIAL, WAIT, REFUSE = ShortFundsPolicy.PARTIAL, ShortFundsPolicy.WAIT, ShortFundsPolicy.REFUSE
LAG_SECONDS = 20.0
LIMITS = FundingLimits(saldo_lag_seconds=LAG_SECONDS)


class World:
    """A true deposit, SAT's lagging word about it, and three batches that want money from it."""

    def __init__(self, opening_rupiah: int, prices: list[list[int]]) -> None:
        self.clock = ManualClock()
        self.store = MemoryEventStore(self.clock)
        self.funds = MemoryFunds(self.store)
        self.handler = CommandHandler(self.store, self.clock)
        self.batches = [quoted_batch(self.store, f"batch {n}", each) for n, each in enumerate(prices)]
        self.deposit = opening_rupiah
        self._times, self._saldos = [self.clock.now()], [opening_rupiah]
        self.debited: dict[str, int] = {}
        self.refundable: dict[str, int] = {}

    def move(self, rupiah: int) -> None:
        self.deposit += rupiah
        assert self.deposit >= 0, "SAT was asked for money that is not there"
        self._times.append(self.clock.now())
        self._saldos.append(self.deposit)

    def look(self, age_seconds: float) -> BalanceObservation:
        """SAT's answer, which may be as old as it likes within the lag."""
        then = self.clock.now() - timedelta(seconds=age_seconds)
        saldo = self._saldos[max(0, bisect_right(self._times, then) - 1)]
        return BalanceObservation(ACCOUNT, saldo, self.clock.now(), self.clock.now())

    def orders(self, *states: OrderState) -> list[Order]:
        return [order for order in self.store.orders.values() if order.state in states]

    def tell(self, order: Order, command: OrderCommand) -> Order:
        done = self.handler.apply([OrderCommandRequest(order.request_id, command)], BY_TEST)[order.request_id]
        assert done.after is not None
        return done.after

    def reserved_up_to(self, order: Order) -> int:
        return self.store.batches[order.batch_id].reserved_up_to_row

    # What may happen. Each takes a number that chooses among what there is.

    def reserve(self, choice: int, age: float) -> None:
        batch_id = self.batches[choice % len(self.batches)]
        policy = (PARTIAL, PARTIAL, WAIT)[choice % 3]
        reserve(self.funds, self.clock, batch_id, self.look(age), policy, BY_TEST, LIMITS)

    def send(self, choice: int, age: float) -> None:
        """As an executor does it: only what is reserved; the answer may be lost before or after a charge."""
        ready = [
            order
            for order in self.orders(OrderState.QUOTED)
            if commitment_of(order, self.reserved_up_to(order)) is not None
        ]
        if not ready:
            return
        order = ready[choice % len(ready)]
        now = self.clock.now()
        order = self.tell(order, asked.RequestCheckout("{}", now, now, now))
        if order.state is not OrderState.SUBMITTING:
            return
        fate = ("accepted", "lost after", "lost before", "rejected", "dies after", "not sent")[int(age) % 6]
        if fate in ("accepted", "lost after", "dies after"):
            price = order.quote_rupiah or 0
            self.move(-price)
            self.debited[order.request_id] = price
        verdicts = {
            "accepted": ReplyVerdict.ACCEPTED,
            "lost after": ReplyVerdict.UNKNOWN,
            "lost before": ReplyVerdict.UNKNOWN,
            "rejected": ReplyVerdict.REJECTED,
            "not sent": ReplyVerdict.NOT_SENT,
        }
        if fate in verdicts:
            self.tell(order, asked.RecordReply(order.attempt, verdicts[fate], fate, code="P04"))

    def ask(self, choice: int, age: float) -> None:
        """A signed status of something that was charged; failures are refunded, now or later."""
        known = [
            order
            for order in self.orders(OrderState.SUBMITTING, OrderState.UNKNOWN, OrderState.PENDING)
            if order.request_id in self.debited
        ]
        if not known:
            return
        order = known[choice % len(known)]
        word = ("Success", "Failed", "Pending")[int(age) % 3]
        self.tell(order, asked.RecordStatus(word, self.clock.now(), "e" * 64))
        if word == "Failed":
            self.refundable[order.request_id] = self.debited[order.request_id]
            if choice % 2:
                self.refund(0, 0)

    def refund(self, choice: int, age: float) -> None:
        if self.refundable:
            self.move(self.refundable.pop(sorted(self.refundable)[choice % len(self.refundable)]))

    def hold_or_release(self, choice: int, age: float) -> None:
        chosen = self.orders(OrderState.QUOTED, OrderState.HELD)
        if chosen:
            order = chosen[choice % len(chosen)]
            held = order.state is OrderState.HELD
            self.tell(order, asked.Release("fine") if held else asked.Hold(HoldReason.LIMIT, "limit"))

    def quote_anew(self, choice: int, age: float) -> None:
        chosen = self.orders(OrderState.QUOTED)
        if chosen:
            order = chosen[choice % len(chosen)]
            price = max(1, (order.quote_rupiah or 0) + (choice % 41) - 20)
            self.tell(order, asked.Quote(price, QuoteSource.CATALOGUE, None, FAR_AWAY))

    def top_up(self, choice: int, age: float) -> None:
        self.move(choice % 100)

    def advance(self, choice: int, age: float) -> None:
        self.clock.advance(float(choice % 15))

    def arrive_late(self, choice: int, age: float) -> None:
        """A request that was thought lost is carried out after all."""
        lost = [o for o in self.orders(OrderState.UNKNOWN) if o.request_id not in self.debited]
        if lost:
            order = lost[choice % len(lost)]
            self.debited[order.request_id] = order.quote_rupiah or 0
            self.move(-self.debited[order.request_id])

    def liabilities(self) -> int:
        """What the deposit still has to bear: what an executor would send, or what may arrive late."""
        total = 0
        for order in self.store.orders.values():
            checkout = asked.RequestCheckout("{}", self.clock.now(), T0, T0)
            would_be_sent = (
                order.state is OrderState.QUOTED
                and order.row_number <= self.reserved_up_to(order)
                and not isinstance(decide(order, checkout), Refusal)
            )
            may_arrive = order.state in (OrderState.SUBMITTING, OrderState.UNKNOWN)
            if would_be_sent or (may_arrive and order.request_id not in self.debited):
                total += order.quote_rupiah or 0
        return total


STEPS = (
    *("reserve", "reserve", "reserve", "send", "send", "send", "ask", "ask", "advance", "advance"),
    *("refund", "hold_or_release", "hold_or_release", "quote_anew", "top_up", "arrive_late"),
)


def live(seed: int, steps: int = 80) -> None:
    """One life by chance; after each step the true deposit bears everything that is committed."""
    chance = random.Random(seed)
    prices = [[chance.randint(1, 60) for _ in range(chance.randint(1, 6))] for _ in range(3)]
    world = World(chance.randint(20, 200), prices)
    for _ in range(steps):
        name = chance.choice(STEPS)
        getattr(world, name)(chance.randrange(1_000), chance.uniform(0, LAG_SECONDS))
        assert world.liabilities() <= world.deposit, f"after {name}"


@pytest.mark.parametrize("first_seed", range(0, 400, 100))
def test_the_true_deposit_always_bears_what_is_committed(first_seed: int) -> None:
    """However old the saldo is within the lag, with any losses, delays, refunds, holds and new quotes."""
    for seed in range(first_seed, first_seed + 100):
        live(seed)


def test_a_lag_that_is_set_too_short_is_what_overdraws() -> None:
    """The same world with a saldo older than agreed: the property is not vacuous."""
    world = World(100, [[60], [60]])
    world.reserve(0, 0.0)
    world.send(0, 0.0)
    world.clock.advance(LAG_SECONDS + 10)
    world.reserve(1, LAG_SECONDS + 15)
    assert world.liabilities() > world.deposit


def made(saldo: int, *prices: list[int]) -> World:
    """A world at its beginning."""
    return World(saldo, list(prices))


def events_of(world: World, batch_id: str) -> list[FundsReserved]:
    """The reservations of a batch."""
    streams = (recorded for recorded in world.store.log if recorded.stream.key == batch_id)
    return [recorded.event for recorded in streams if isinstance(recorded.event, FundsReserved)]


def reserved(world: World, number: int, saldo: int, policy: ShortFundsPolicy = PARTIAL, **when: Any) -> Any:
    """One reservation by the given saldo."""
    return reserve(
        world.funds, world.clock, world.batches[number], seen(saldo, **when), policy, BY_TEST, LIMITS
    )


def test_partial_pays_as_far_as_the_deposit_reaches_in_row_order() -> None:
    """The third order does not fit and the fourth would: no row is skipped; a top-up goes on there."""
    world = made(100, [40, 50, 30, 5])
    first = reserved(world, 0, 100)
    assert (first.orders, first.reserved_rupiah, first.left_orders, first.left_rupiah) == (2, 90, 2, 35)
    assert first.is_short
    (event,) = events_of(world, world.batches[0])
    assert (event.up_to_row, event.available_rupiah, event.left_orders) == (3, 100, 2)

    again = reserved(world, 0, 100)
    assert (again.orders, again.available_rupiah) == (0, 10)
    assert len(events_of(world, world.batches[0])) == 1, "nothing changed, so nothing is recorded"
    rest = reserved(world, 0, 125)
    assert (rest.orders, rest.reserved_rupiah, rest.is_short) == (2, 35, False)
    assert load_batch(world.store, world.batches[0]).reserved_rupiah == 125


@pytest.mark.parametrize("policy", [WAIT, REFUSE])
def test_wait_and_refuse_reserve_all_or_nothing(policy: ShortFundsPolicy) -> None:
    """A batch that waits holds nothing that others could use."""
    world = made(100, [40, 70])
    assert reserved(world, 0, 109, policy).is_short
    assert events_of(world, world.batches[0]) == []
    batch = load_batch(world.store, world.batches[0])
    assert missing_rupiah(world.funds, batch, seen(100), LIMITS) == 10
    assert missing_rupiah(world.funds, batch, seen(110), LIMITS) == 0
    assert reserved(world, 0, 110, policy).reserved_rupiah == 110
    assert missing_rupiah(world.funds, load_batch(world.store, batch.batch_id), seen(0), LIMITS) == 0


def test_one_batch_leaves_to_the_next_what_it_did_not_take() -> None:
    """Reservations of all batches count, each order once."""
    world = made(100, [40], [70], [60])
    assert reserved(world, 0, 100, WAIT).orders == 1
    assert reserved(world, 1, 100, WAIT).is_short
    assert reserved(world, 2, 100, WAIT).orders == 1
    orders = [commitment_of(o, world.reserved_up_to(o)) for o in world.store.orders.values()]
    still_out = outstanding([found for found in orders if found], seen(100).includes_before(LAG_SECONDS))
    assert available_rupiah(seen(100), still_out) >= 0
    assert reserved(world, 1, 100, WAIT).available_rupiah == 0


def test_orders_that_end_without_a_charge_release_their_funds() -> None:
    """Held, rejected, and refused at checkout: what stood behind them is free for others at once."""
    world = made(150, [50, 50, 50], [50], [50], [50])
    reserved(world, 0, 150)
    held, rejected, refused = (world.store.orders[order_of("batch 0", row)] for row in (2, 3, 4))
    for number, (order, command) in enumerate(
        (
            (held, asked.Hold(HoldReason.LIMIT, "limit")),
            (rejected, asked.Reject(RejectionReason.BATCH_REFUSED, "enough")),
            (refused, None),
        ),
        start=1,
    ):
        assert reserved(world, number, 150).is_short
        if command is not None:
            world.tell(order, command)
        else:
            world.tell(order, asked.RequestCheckout("{}", T0, T0, T0))
            world.tell(order, asked.RecordReply(1, ReplyVerdict.REJECTED, "", code="P04"))
        assert not reserved(world, number, 150).is_short


def test_a_released_order_is_reserved_again_before_anything_else() -> None:
    """It is within the reserved rows, and yet without funds; renewing it is an event of its own."""
    world = made(100, [40, 30], [60])
    reserved(world, 0, 100)
    order = world.store.orders[order_of("batch 0", 2)]
    world.tell(order, asked.Hold(HoldReason.PRICE_ABOVE_QUOTE, "dearer"))
    assert reserved(world, 1, 100).orders == 1
    world.tell(order, asked.Release("pay it"))
    assert reserved(world, 0, 100).is_short, "its funds went to the other batch"
    renewed = reserved(world, 0, 130)
    assert (renewed.orders, renewed.reserved_rupiah) == (1, 40)
    event = events_of(world, world.batches[0])[-1]
    assert (event.renewed, event.up_to_row) == (1, 3)
    assert not world.store.orders[order.request_id].must_be_reserved_again


def test_a_refused_batch_sends_nothing_and_ends() -> None:
    """Quoted orders are rejected with the reason, held ones cancelled; run again, it changes nothing."""
    world = made(10, [40, 30])
    world.tell(world.store.orders[order_of("batch 0", 3)], asked.Hold(HoldReason.LIMIT, "limit"))
    batch = refuse_batch(world.handler, world.batches[0], "too little", BY_TEST)
    assert (batch.state.value, batch.refusal_code) == ("refused", "insufficient_funds")
    states = {order.state: order.reason_code for order in world.store.orders.values()}
    assert states == {OrderState.REJECTED: "insufficient_funds", OrderState.CANCELLED: "cancelled"}
    position = world.store.close_position()
    refuse_batch(world.handler, world.batches[0], "too little", BY_TEST)
    assert world.store.close_position() == position
    with pytest.raises(BatchStoppedError, match="refused"):
        reserved(world, 0, 1_000)


def test_a_batch_that_has_sent_something_is_not_refused_as_a_whole() -> None:
    """Its unsent orders end; those under way are followed to their ends."""
    world = made(100, [40, 70])
    reserved(world, 0, 100)
    world.send(0, 1.0)
    batch = refuse_batch(world.handler, world.batches[0], "too little", BY_TEST)
    assert batch.state.value == "quoted"
    assert {order.state for order in world.store.orders.values()} == {
        OrderState.UNKNOWN,
        OrderState.REJECTED,
    }


def test_another_accounts_deposit_pays_for_nothing() -> None:
    """A look at another account is a mistake of the caller and is named."""
    world = made(100, [40])
    with pytest.raises(BatchStoppedError, match="belongs to account"):
        reserve(
            world.funds,
            world.clock,
            world.batches[0],
            seen(100, account="other"),
            WAIT,
            BY_TEST,
            LIMITS,
        )


def test_the_newest_look_counts_whoever_took_it() -> None:
    """A task that was slow to reserve uses what another has seen since."""
    world = made(100, [40])
    reserve_later = seen(100, T0)
    world.funds.observations.append(seen(30, T0 + timedelta(seconds=5)))
    done = reserve(world.funds, world.clock, world.batches[0], reserve_later, WAIT, BY_TEST, LIMITS)
    assert (done.saldo_rupiah, done.is_short) == (30, True)
