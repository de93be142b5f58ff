"""Plays Airflow's part (steps as processes: retried, given up, replaced, run twice at once) and people's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sat_hook.application.batch_run import STEPS, STEPS_AFTER_ALL, STEPS_OF_CHUNKS
from sat_hook.application.errors import BatchRefusedError
from sat_hook.application.recovery import recover_orders
from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain.account import PauseAccount, ResumeAccount
from sat_hook.domain.errors import StepError
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import AllowResend, Cancel, EndByOperator, OperatorEnd, Release
from sat_hook.pipeline.chunks import Chunk
from sat_hook.pipeline.errors import AccountPausedError, ApprovalRejectedError, BatchStoppedError
from sat_hook.pipeline.status_query import ask_about
from sat_hook.pipeline.withdrawal import withdraw_batch, withdraw_order
from sat_hook.protocol.errors import SATError
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.event_store import OrderSlice, each_order
from tests.simulation.processes import Ended, Killed, Process
from tests.simulation.steps import (
    BY_PERSON,
    LONGEST_QUIET_SLEEP_SECONDS,
    RECOVERY,
    ShortOfFundsError,
    Steps,
    by,
    facts_of,
)
from tests.simulation.weather import Batch

T = TypeVar("T")

TRIES = 200
ROUNDS_OF_PEOPLE = 6
LONGEST_BEFORE_WITHDRAWAL_SECONDS = 90.0
#: Ends a run of the DAG: another try of the step would fail as well.
FOR_GOOD = (BatchStoppedError, BatchRefusedError, ApprovalRejectedError)


@dataclass
class Line(Steps):
    """Takes batches through the steps, with the people around them."""

    async def run(self) -> None:
        """Run everything until no work is left and every zombie has stopped."""
        weather = self.plan.weather
        background = [
            asyncio.ensure_future(work)
            for work in (
                self._calm_down(),
                self._janitor(),
                self._kill_switch(weather.pause),
                self._curious(weather.ask_again),
            )
        ]
        try:
            ways = [
                asyncio.ensure_future(self._way_of(batch, number))
                for number, batch in enumerate(self.plan.batches)
            ]
            await asyncio.gather(*ways)
            if self.zombies:
                await asyncio.gather(*self.zombies, return_exceptions=True)
            await self._doubts_settled()
        finally:
            for task in background:
                task.cancel()
            ended = await asyncio.gather(*background, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, asyncio.CancelledError):
                raise error

    # One batch, from file to results.

    async def _way_of(self, batch: Batch, number: int) -> None:
        await asyncio.sleep(number * self.chance.uniform(0, 30))
        batch_id = await self.step("submit", partial(self._submit, batch=batch))
        assert batch_id is not None
        self.batch_ids.append(batch_id)
        withdrawing = asyncio.ensure_future(self._withdrawal(batch_id))
        for round_ in range(ROUNDS_OF_PEOPLE):
            await self._run_once(batch, batch_id, self._marked_successful() if not round_ else frozenset())
            is_last = round_ == ROUNDS_OF_PEOPLE - 1
            if not await self.step("people", partial(self._people, batch_id=batch_id, is_last=is_last)):
                break
        await withdrawing

    def _marked_successful(self) -> frozenset[str]:
        """Return steps that a person marks as successful in Airflow, which then never run."""
        rate = self.plan.weather.marked_successful
        return frozenset(name for name in ("guard", "approve") if self.storm.strikes(rate))

    async def _run_once(self, batch: Batch, batch_id: str, marked: frozenset[str]) -> None:
        """Run the DAG once. A step that fails for good ends it, except for the wait and the results."""
        goes_on = True
        chunks: list[Chunk] = []
        for name in STEPS:
            if not goes_on and name not in STEPS_AFTER_ALL:
                continue
            work = partial(self._do, name, batch_id)
            if name in marked:
                self.watch.count(f"people:mark {name} as successful")
            elif name == "plan":
                chunks = await self.step(name, partial(self._plan, batch_id, batch.chunk_rows)) or []
            elif name in STEPS_OF_CHUNKS:
                mapped = (
                    self.step(f"{name}[{index}]", partial(work, chunk=chunk))
                    for index, chunk in enumerate(chunks)
                )
                goes_on = all(await asyncio.gather(*mapped))
            else:
                goes_on = bool(await self.step(name, work)) and goes_on
            if name == "execute" and self.backup is not None:
                await self.step("execute on a backup", partial(self._execute_on_the_backup, batch_id))

    async def step(self, name: str, work: Callable[[Process], Awaitable[T]]) -> T | None:
        """Try a step as Airflow does until it succeeds. Returns None when it fails for good."""
        for _ in range(TRIES):
            copies = 2 if self.storm.strikes(self.plan.weather.run_twice) else 1
            if copies == 2:
                self.watch.count("process:run twice at once")
            processes = [self.process(name) for _ in range(copies)]
            ends = await asyncio.gather(*(process.run(work(process)) for process in processes))
            self._stop_if_broken()
            self.zombies.extend(end.zombie for end in ends if end.zombie is not None)
            done = next((end for end in ends if end.error is None and end.zombie is None), None)
            if done is not None:
                return done.value
            if any(isinstance(end.error, FOR_GOOD) for end in ends):
                self.watch.count("step:failed for good")
                return None
            for end in ends:
                await self._before_another_try(name, end)
        self.watch.broken(f"the step {name} never comes to an end", self.account)
        raise AssertionError

    async def _before_another_try(self, name: str, end: Ended[Any]) -> None:
        match end.error:
            case None:
                self.watch.count("process:replaced while it goes on")
            case Killed():
                await asyncio.sleep(self.chance.uniform(0, 30))
            case ShortOfFundsError():
                # A while later a person tops up the deposit.
                await asyncio.sleep(self.chance.uniform(1, 120))
                self.sat.judge.top_up(20_000_000)
                self.watch.count("people:top-up")
            case AccountPausedError():
                await self._resumed.wait()
            case StepError() | SATError() | StoreUnavailableError():
                self.watch.note(name, f"failed: {end.error}")
                self.watch.count(f"step:failed {type(end.error).__name__}")
                await asyncio.sleep(self.chance.uniform(5, 60))
            case _:
                raise end.error

    def _stop_if_broken(self) -> None:
        if self.watch.first_break is not None:
            raise self.watch.first_break

    # Beside the batches.

    async def _calm_down(self) -> None:
        await asyncio.sleep(self.plan.weather.storm_seconds)
        self.sat.stop_faults()
        self.watch.note("weather", "the storm is over")

    async def _janitor(self) -> None:
        # Now and then recovery was off for longer than SAT is trusted to know an id.
        late = self.chance.random() < 0.08
        await asyncio.sleep(RECOVERY.dedup_horizon_seconds + 300 if late else self.chance.uniform(5, 90))
        while True:
            await self._in_background("janitor", self._recover)
            await asyncio.sleep(300 if self.storm.is_over else self.chance.uniform(20, 120))

    async def _in_background(self, name: str, work: Callable[[Process], Awaitable[None]]) -> None:
        """Run a recurring job once. Its expected errors are ignored."""
        process = self.process(name)
        end = await process.run(work(process))
        if end.zombie is not None:
            self.zombies.append(end.zombie)
        if end.error is not None and not isinstance(
            end.error, Killed | StepError | SATError | StoreUnavailableError
        ):
            raise end.error

    async def _curious(self, wanted: bool) -> None:
        """A user who asks about orders again and again, including ended ones."""
        while wanted and not self.storm.is_over:
            await asyncio.sleep(self.chance.uniform(5, 40))
            self.watch.count("people:ask again")
            await self._in_background("curious", self._ask_again)

    async def _ask_again(self, process: Process) -> None:
        handler = self.handler(process)
        sent = [
            order.request_id
            for batch_id in self.batch_ids
            for order in each_order(handler.store, OrderSlice(batch_id))
            if order.attempt
        ]
        async with self.client(process) as sat:
            await ask_about(handler, sat, sent, by(process))

    async def _doubts_settled(self) -> None:
        """Wait for recovery while an order was reversed and then called successful again."""
        for _ in range(ROUNDS_OF_PEOPLE):
            taken_back = self.store.orders_of_account(self.account, (OrderState.REVERSED,))
            if self.storm.is_over and not any(order.doubted_at for order in taken_back):
                return
            await asyncio.sleep(LONGEST_QUIET_SLEEP_SECONDS)

    async def _recover(self, process: Process) -> None:
        report = await recover_orders(
            self.ports(process), facts_of(process), horizon_seconds=RECOVERY.dedup_horizon_seconds
        )
        self.watch.counters["janitor:sent again"] += report.sent_again
        self.watch.counters["janitor:escalated"] += report.escalated

    async def _kill_switch(self, wanted: bool) -> None:
        if not wanted:
            return
        await asyncio.sleep(self.chance.uniform(0, self.plan.weather.storm_seconds / 2))
        self._resumed.clear()
        await self.step("pause", lambda p: self._switch(p, PauseAccount("a person saw something")))
        await asyncio.sleep(self.chance.uniform(1, 200))
        await self.step("resume", lambda p: self._switch(p, ResumeAccount("it was nothing")))
        self._resumed.set()

    async def _withdrawal(self, batch_id: str) -> None:
        """A person withdraws the batch, or one order of it."""
        if self.chance.random() >= self.plan.weather.withdraw:
            return
        await asyncio.sleep(self.chance.uniform(0, LONGEST_BEFORE_WITHDRAWAL_SECONDS))
        await self.step("withdraw", lambda p: self._withdraw(p, batch_id))

    async def _withdraw(self, process: Process, batch_id: str) -> bool:
        handler, chance = self.handler(process), process.chance

        def decide() -> bool:
            orders = list(each_order(handler.store, OrderSlice(batch_id)))
            try:
                if chance.random() < 0.4:
                    withdraw_batch(handler, batch_id, "the wrong file", BY_PERSON)
                elif orders:
                    withdraw_order(handler, chance.choice(orders).request_id, "paid elsewhere", BY_PERSON)
            except OverrideRefusedError:
                self.watch.count("people:withdraw too late")
            return True

        return await handler.offload(decide)

    async def _switch(self, process: Process, command: PauseAccount | ResumeAccount) -> bool:
        handler = self.handler(process)
        await handler.offload(lambda: handler.apply_to_account(self.account, command, BY_PERSON))
        return True

    async def _people(self, process: Process, *, batch_id: str, is_last: bool) -> bool:
        """People decide held and escalated orders. Returns True when the batch must run again."""
        handler = self.handler(process)

        def look() -> bool:
            orders = list(each_order(handler.store, OrderSlice(batch_id)))
            if any(order.state is OrderState.QUOTED for order in orders):
                # Paid as far as the deposit reached; a person tops it up for the rest.
                self.sat.judge.top_up(20_000_000)
                self.watch.count("people:top-up")
            now = handler.clock.now()
            made = (self._decision(process, order, is_last, now) for order in orders)
            commands = [ask for ask in made if ask is not None]
            done = handler.apply(commands, BY_PERSON) if commands else {}
            states = {order.state for order in orders} | {
                resolution.after.state for resolution in done.values() if resolution.after is not None
            }
            return bool(states & {OrderState.QUOTED, OrderState.UNKNOWN, OrderState.RECEIVED}) and not is_last

        return await handler.offload(look)

    def _decision(
        self, process: Process, order: Order, is_last: bool, now: datetime
    ) -> OrderCommandRequest | None:
        weather, chance = self.plan.weather, process.chance
        if order.state is OrderState.HELD:
            if not is_last and chance.random() < weather.release_held:
                return OrderCommandRequest(order.request_id, Release("the new price is fine"))
            return OrderCommandRequest(order.request_id, Cancel("too dear"))
        if order.state is OrderState.ESCALATED and chance.random() < weather.operator:
            if not is_last and chance.random() < 0.5:
                assert order.first_sent_at is not None
                until = order.first_sent_at + timedelta(seconds=RECOVERY.dedup_horizon_seconds)
                return OrderCommandRequest(order.request_id, AllowResend("try again", now, until))
            end = chance.choice(tuple(OperatorEnd))
            return OrderCommandRequest(order.request_id, EndByOperator(end, "SAT's support told us", now))
        return None
