"""Status polling: query orders in flight until a signed status ends them.

This module sends only GETs, so it may run in a trigger, twice at once, or after any crash (law 7).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from pydantic import ValidationError

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, OrderCommandResult
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import grouped
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Escalate
from sat_hook.domain.ports import Clock, Randomness
from sat_hook.pipeline.limits import PollingLimits, at_hand
from sat_hook.pipeline.micro_batching import MicroBatcher
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.trusted_callbacks import TrustedCallbacks
from sat_hook.pipeline.work_queue import WorkQueue
from sat_hook.protocol.outcomes import StatusOutcome, StatusVerdict
from sat_hook.store.clock import look_at_clock
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.poll_schedule import DuePoll, PollSchedule, PollScope

IN_FLIGHT = tuple(state for state in OrderState if state.is_in_flight)
JITTER = 0.2
# Orders that are due longest come first; no order is due for longer than this.
BEFORE_ALL_OTHERS = timedelta(days=3650)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PollReport:
    """One round of status queries.

    :param asked: how many orders were queried.
    :param ended: how many of them ended by the answers.
    :param unproven: how many answers proved nothing, by reason.
    """

    asked: int = 0
    ended: int = 0
    unproven: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Claimed:
    poll: DuePoll
    lease_until: datetime
    order: Order | None


@dataclass(frozen=True, slots=True)
class _Answer:
    claimed: _Claimed
    outcome: StatusOutcome
    asked_at: datetime

    @property
    def request_id(self) -> str:
        return self.claimed.poll.request_id

    @property
    def ask(self) -> OrderCommandRequest | None:
        """The command for the order; None when the answer proves nothing."""
        return status_command(self.request_id, self.outcome, self.asked_at, self.claimed.order)


class StatusPoller:
    """Queries orders of a batch or an account, each on its own schedule.

    :param trusted: ends orders by their callbacks before any query; None queries every order.
    """

    def __init__(
        self,
        handler: CommandHandler,
        schedule: PollSchedule,
        sat: SATApi,
        chance: Randomness,
        limits: PollingLimits,
        trusted: TrustedCallbacks | None = None,
    ) -> None:
        self._handler = handler
        self._schedule = schedule
        self._sat = sat
        self._chance = chance
        self._limits = limits
        self._trusted = trusted
        self._clock: Clock = handler.clock

    async def poll_due(
        self, scope: PollScope, provenance: Provenance, *, only_called: bool = False
    ) -> PollReport:
        """Query every order of the scope that is due now, callbacks first.

        :param only_called: query only orders with a new callback.
        :raises StoreUnavailableError: when the database is away; claimed orders come due again.
        """
        if not only_called:
            await self._handler.offload(lambda: self._enroll(scope))
        began = self._clock.now()
        # A called order is due before every other one.
        due_by = began - BEFORE_ALL_OTHERS / 2 if only_called else began
        asked = ended = 0
        unproven: Counter[str] = Counter()

        async def claim() -> list[_Claimed] | None:
            nonlocal ended
            # One pass over the orders that were due when it began. Orders that come due again meanwhile
            # belong to the next pass: the caller has a deadline to check and orders to escalate.
            if (self._clock.now() - began).total_seconds() >= self._limits.pass_seconds:
                return None
            found = await self._handler.offload(partial(self._claim, scope, due_by))
            if found is None:
                return None
            ended += found[1]
            return found[0]

        async def ask(claimed: _Claimed) -> None:
            nonlocal asked, ended
            async with turns:
                asked_at = self._clock.now()
                outcome = await self._sat.ask_status(claimed.poll.request_id)
            found = await recorder.put(_Answer(claimed, outcome, asked_at))
            asked, ended = asked + 1, ended + (found is True)
            if isinstance(found, Exception):
                unproven[f"not recorded: {type(found).__name__}"] += 1
            elif outcome.verdict is StatusVerdict.UNREADABLE:
                unproven[outcome.reason] += 1

        async def record(answers: list[_Answer]) -> Sequence[bool | Exception]:
            return await self._handler.offload(partial(self._record_each, answers, provenance))

        limits = self._limits
        turns = asyncio.Semaphore(limits.in_flight)
        async with MicroBatcher(
            record, size=limits.claim, wait_seconds=limits.group_wait_seconds
        ) as recorder:
            await WorkQueue(claim).each(ask, at_hand(limits.in_flight))
        return PollReport(asked, ended, unproven)

    async def seconds_to_next(self, scope: PollScope) -> float | None:
        """Seconds until the next order is due; None when none is scheduled."""
        due = await self._handler.offload(lambda: self._schedule.next_due(scope))
        return None if due is None else max(0.0, (due - self._clock.now()).total_seconds())

    def _enroll(self, scope: PollScope) -> None:
        look_at_clock(self._clock)
        now = self._clock.now()
        self._schedule.enroll(scope, now + timedelta(seconds=self._limits.first_delay_seconds))
        self._schedule.hasten(scope, now - BEFORE_ALL_OTHERS)

    def _claim(self, scope: PollScope, due_by: datetime) -> tuple[list[_Claimed], int] | None:
        """Orders to query now, and how many more their callbacks ended; None when none is due."""
        # Thousands may be due: orders with new callbacks do not queue behind them.
        self._schedule.hasten(scope, self._clock.now() - BEFORE_ALL_OTHERS)
        lease_until = self._clock.now() + timedelta(seconds=self._limits.lease_seconds)
        claimed = self._schedule.claim_due(scope, due_by, lease_until, self._limits.claim)
        if not claimed:
            return None
        told = self._end_by_callbacks(claimed, lease_until)
        left = [poll for poll in claimed if poll.request_id not in told]
        # Read while other orders are queried. The version shows if an order changes meanwhile.
        orders = self._readable([poll.request_id for poll in left])
        return [_Claimed(poll, lease_until, orders.get(poll.request_id)) for poll in left], len(told)

    def _readable(self, request_ids: list[str]) -> dict[str, Order]:
        """The orders, without those whose document cannot be read."""
        try:
            return self._handler.store.load_orders(request_ids)
        except ValidationError:
            if len(request_ids) <= 1:
                return {}
            each = (self._readable([request_id]) for request_id in request_ids)
            return {key: order for found in each for key, order in found.items()}

    def _end_by_callbacks(self, claimed: list[DuePoll], lease_until: datetime) -> frozenset[str]:
        """The orders ended by a trusted callback, if the account's connection trusts callbacks."""
        if self._trusted is None:
            return frozenset()
        try:
            ended = self._trusted.end(self._handler, [poll.request_id for poll in claimed])
        except StoreUnavailableError:
            raise
        except Exception as error:
            logger.warning("Callbacks could not end orders, which are queried: %s", type(error).__name__)
            return frozenset()
        self._schedule.forget(sorted(ended), lease_until)
        return ended

    def _record_each(self, answers: list[_Answer], provenance: Provenance) -> Sequence[bool | Exception]:
        """Record the answers together, else one by one: an order that cannot be recorded costs only itself.

        :returns: whether the answer ended the order, or why it could not be recorded. Such an order comes due
            again after its lease.
        """
        try:
            return self._record(answers, provenance)
        except StoreUnavailableError:
            raise
        except Exception as error:
            if len(answers) > 1:
                return [found for one in answers for found in self._record_each([one], provenance)]
            # Its text may quote values.
            logger.warning(
                "Order %s: its status could not be recorded: %s", answers[0].request_id, type(error).__name__
            )
            return [error]

    def _record(self, answers: list[_Answer], provenance: Provenance) -> list[bool]:
        """The orders that these answers ended; the others come due again."""
        known = {a.request_id: a.claimed.order for a in answers if a.claimed.order is not None}
        done: dict[int, OrderCommandResult] = {}
        orders: dict[str, Order] = {}
        for places in _one_of_each_order(answers):
            commands = {place: ask for place in places if (ask := answers[place].ask) is not None}
            resolved = self._handler.apply(commands.values(), provenance, {**known, **orders})
            done.update({place: resolved[ask.request_id] for place, ask in commands.items()})
            orders.update({key: found.after for key, found in resolved.items() if found.after is not None})
        # An event was recorded during the query and may be newer than the answer: query again.
        old = {answers[place].request_id for place, resolution in done.items() if resolution.is_old}
        silent = [answer.request_id for answer in answers if answer.request_id not in orders]
        if silent:
            orders.update(self._handler.store.load_orders(silent))
        by_lease: dict[datetime, list[DuePoll]] = {}
        for answer in answers:
            by_lease.setdefault(answer.claimed.lease_until, []).append(answer.claimed.poll)
        for lease_until, polls in by_lease.items():
            still = {
                p.request_id: p.polls
                for p in polls
                if p.request_id in old or _is_in_flight(orders.get(p.request_id))
            }
            due = {request_id: self._due_after(count) for request_id, count in still.items()}
            self._schedule.reschedule(due, lease_until)
            self._schedule.forget([p.request_id for p in polls if p.request_id not in still], lease_until)
        return [
            (resolution := done.get(place)) is not None
            and resolution.is_accepted
            and resolution.after is not None
            and resolution.after.state.is_final
            for place in range(len(answers))
        ]

    def _due_after(self, polls: int) -> datetime:
        # Jitter spreads orders that were sent together, so that queries do not come in waves.
        factor = 1 + JITTER * (2 * self._chance.random() - 1)
        return self._clock.now() + timedelta(seconds=self._limits.delay_seconds(polls) * factor)


def _one_of_each_order(answers: Sequence[_Answer]) -> Iterator[list[int]]:
    """The indexes of the answers, oldest query first; no order twice in one list.

    An order whose callback made it due may be queried again before its first answer arrives.
    """
    waiting = sorted(range(len(answers)), key=lambda place: answers[place].asked_at)
    while waiting:
        first: dict[str, int] = {}
        for place in waiting:
            first.setdefault(answers[place].request_id, place)
        chosen = set(first.values())
        yield sorted(chosen)
        waiting = [place for place in waiting if place not in chosen]


def orders_in_flight(handler: CommandHandler, batch_id: str) -> int:
    """The number of orders of the batch still in flight."""
    counts = handler.store.count_by_state(batch_id)
    return sum(count.orders for count in counts if count.state.is_in_flight)


def escalate_in_flight(handler: CommandHandler, batch_id: str, reason: str, provenance: Provenance) -> int:
    """Escalate every order that is still in flight; return how many.

    An order whose last attempt may still be under way is not escalated: its sender still works on it.
    """
    escalated = 0
    orders = list(each_order(handler.store, OrderSlice(batch_id, IN_FLIGHT)))
    for group in grouped(orders):
        now = handler.clock.now()
        done = handler.apply(
            [OrderCommandRequest(order.request_id, Escalate(reason, now)) for order in group], provenance
        )
        escalated += sum(1 for resolution in done.values() if resolution.is_accepted)
    return escalated


def _is_in_flight(order: Order | None) -> bool:
    return order is not None and order.state.is_in_flight
