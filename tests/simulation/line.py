"""What Airflow does: steps as processes, tried again, given up, replaced, run twice at once.

Each step here is what the operator of the same name does, with the same pieces of ``sat_hook.pipeline``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.settings import AccountSettings
from sat_hook.domain.account import PauseAccount, ResumeAccount
from sat_hook.domain.batch import BatchState
from sat_hook.domain.batch_events import BatchSource, ShortFundsPolicy
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import (
    AllowResend,
    Cancel,
    EndByOperator,
    OperatorEnd,
    Release,
)
from sat_hook.domain.recorded import Provenance
from sat_hook.pipeline.approval import (
    ApprovalPolicy,
    ApprovalRequest,
    approval_is_needed,
    approve,
    ask_for_approval,
    reject,
)
from sat_hook.pipeline.balance import check_balance
from sat_hook.pipeline.chunks import Chunk, plan_chunks
from sat_hook.pipeline.execution import ChunkExecutor, Gate
from sat_hook.pipeline.finality import StatusPoller, escalate_in_flight, orders_in_flight
from sat_hook.pipeline.funding import look_at_deposit, reserve
from sat_hook.pipeline.guarding import guard_batch
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import (
    ExecutionLimits,
    FundingLimits,
    PollingLimits,
    QuotingLimits,
    RecoveryLimits,
)
from sat_hook.pipeline.quoting import Quoter, close_quoting
from sat_hook.pipeline.recovery import Recovery
from sat_hook.pipeline.resolver import Ask, Resolver, load_batch
from sat_hook.pipeline.results import complete, write_results
from sat_hook.pipeline.submission import submit
from sat_hook.pipeline.trouble import (
    AccountPausedError,
    ApprovalRejectedError,
    BatchStoppedError,
    PipelineError,
)
from sat_hook.pipeline.trusting import TrustedCallbacks
from sat_hook.pipeline.validation import catalogue_of, validate_orders
from sat_hook.protocol.errors import SATError
from sat_hook.store.event_store import EventStore, OrderSlice, StoreUnavailableError, each_order
from sat_hook.store.funds import FundsStore
from sat_hook.store.guards import GuardLedger
from sat_hook.store.poll_schedule import PollSchedule, PollScope
from tests.simulation.network import SimulatedSAT, client_of
from tests.simulation.outside import (
    GuardedFunds,
    GuardedGuards,
    GuardedSchedule,
    GuardedSpool,
    GuardedStore,
    MemorySpool,
    Offloading,
)
from tests.simulation.processes import Census, Ended, Killed, Process, Storm
from tests.simulation.virtual_time import VirtualClock, VirtualTime
from tests.simulation.watch import Watch
from tests.simulation.weather import Batch, Plan

T = TypeVar("T")

EXECUTION = ExecutionLimits(in_flight=4, group_size=5, failures_to_stop=6)
# SAT's saldo is at most a minute old here (the fault stale_saldo), and clocks differ by at most 8 seconds.
FUNDING = FundingLimits(saldo_lag_seconds=70.0)
POLLING = PollingLimits(claim=4, in_flight=4, first_delay_seconds=4.0, growth=2.2)
RECOVERY = RecoveryLimits(dedup_horizon_seconds=1800.0, attempts=4, give_up_after_seconds=3600.0)
SENSOR_GIVES_UP_SECONDS = 5400.0
LONGEST_SLEEP_SECONDS = 60.0
LONGEST_QUIET_SLEEP_SECONDS = 600.0
DEBOUNCE_SECONDS = 0.2
LONGEST_ANSWER_SECONDS = 300.0
TRIES = 200
ROUNDS_OF_PEOPLE = 6
SAT_FORGETS_AFTER_SECONDS = RECOVERY.dedup_horizon_seconds + 180.0


@dataclass
class Line:
    """One account with its database, its SAT, and the people around it."""

    plan: Plan
    account: str
    time: VirtualTime
    store: EventStore
    schedule: PollSchedule
    funds: FundsStore
    guards: GuardLedger
    spool: MemorySpool
    sat: SimulatedSAT
    settings: AccountSettings
    watch: Watch
    storm: Storm
    census: Census
    chance: random.Random
    trusted: TrustedCallbacks | None = None
    batch_ids: list[str] = field(default_factory=list)
    zombies: list[asyncio.Future[None]] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)
    _resumed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Everything, until nothing is left to do and every zombie has come to rest."""
        weather = self.plan.weather
        background = [
            asyncio.ensure_future(work)
            for work in (self._calm_down(), self._janitor(), self._kill_switch(weather.pause))
        ]
        try:
            ways = [
                asyncio.ensure_future(self._way_of(batch, number))
                for number, batch in enumerate(self.plan.batches)
            ]
            await asyncio.gather(*ways)
            if self.zombies:
                await asyncio.gather(*self.zombies, return_exceptions=True)
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
        batch_id = await self.step("submit", lambda p: self._submit(p, batch))
        self.batch_ids.append(batch_id)
        await self.step("intake", lambda p: self._intake(p, batch_id))
        await self.step("validate", lambda p: self._validate(p, batch_id))
        await self.step("balance", lambda p: self._check_balance(p, batch_id))
        await self._over_chunks("quote", batch, batch_id, self._quote)
        await self.step("close quotes", lambda p: self._close_quotes(p, batch_id))
        for round_ in range(ROUNDS_OF_PEOPLE):
            await self.step("guard", lambda p: self._guard(p, batch_id))
            approved = await self.step("approve", lambda p: self._approve(p, batch_id))
            if approved and await self.step("reserve", lambda p: self._reserve(p, batch_id)):
                await self._over_chunks("execute", batch, batch_id, self._execute)
            await self.step("wait", lambda p: self._wait(p, batch_id))
            await self.step("results", lambda p: self._results(p, batch_id))
            is_last = round_ == ROUNDS_OF_PEOPLE - 1
            if not await self.step("people", lambda p, last=is_last: self._people(p, batch_id, is_last=last)):
                return

    async def _over_chunks(
        self, name: str, batch: Batch, batch_id: str, work: Callable[[Process, OrderSlice], Awaitable[Any]]
    ) -> None:
        chunks: list[Chunk] = await self.step(
            f"plan {name}", lambda p: self._plan(p, batch_id, batch.chunk_rows)
        )
        await asyncio.gather(
            *(
                self.step(f"{name}[{index}]", lambda p, c=chunk: work(p, c.of(batch_id)))
                for index, chunk in enumerate(chunks)
            )
        )

    async def step(self, name: str, work: Callable[[Process], Awaitable[T]]) -> T:
        """Try a step as Airflow does, until it succeeds."""
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
                return done.value  # type: ignore[return-value]
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
            case BatchStoppedError():
                # The one reason here is the deposit. A while later somebody pays in.
                await asyncio.sleep(self.chance.uniform(1, 120))
                self.sat.judge.top_up(20_000_000)
                self.watch.count("people:top-up")
            case AccountPausedError():
                await self._resumed.wait()
            case PipelineError() | SATError() | StoreUnavailableError():
                self.watch.note(name, f"failed: {end.error}")
                self.watch.count(f"step:failed {type(end.error).__name__}")
                await asyncio.sleep(self.chance.uniform(5, 60))
            case _:
                raise end.error

    def _stop_if_broken(self) -> None:
        if self.watch.first_break is not None:
            raise self.watch.first_break

    def process(self, name: str) -> Process:
        """A new process on some machine, whose clock is a little wrong."""
        skew = self.plan.weather.skew_seconds
        clock = VirtualClock(self.time, self.chance.uniform(-skew, skew))
        number = next(self._numbers)
        return Process(f"{name}#{number}", self.time, clock, self.census, self.chance, self.watch.note)

    def resolver(self, process: Process) -> Resolver:
        """The resolver as ``process`` has it."""
        store = GuardedStore(self.store, process, self.storm, self.watch)
        return Resolver(store, process.clock, Offloading(process))  # type: ignore[arg-type]

    def client(self, process: Process) -> AsyncSATClient:
        """The client as ``process`` has it."""
        return client_of(self.sat, process, self.watch, self.storm, self.settings)

    # The steps.

    async def _submit(self, process: Process, batch: Batch) -> str:
        resolver = self.resolver(process)
        done = await resolver.offload(
            lambda: submit(
                resolver.store,
                GuardedSpool(self.spool, process),
                process.clock,
                account=self.account,
                reference=batch.reference,
                source=BatchSource.FILE,
                file_name=f"{batch.reference}.csv",
                content=batch.content,
                provenance=BY_PERSON,
            )
        )
        return done.batch_id

    async def _intake(self, process: Process, batch_id: str) -> bool:
        resolver = self.resolver(process)
        spool = GuardedSpool(self.spool, process)
        await resolver.offload(lambda: take_in(resolver, spool, batch_id, by(process)))
        return True

    async def _validate(self, process: Process, batch_id: str) -> bool:
        resolver = self.resolver(process)
        async with self.client(process) as sat:
            catalogue = catalogue_of(await sat.list_products())
        await resolver.offload(lambda: validate_orders(resolver, batch_id, catalogue, by(process)))
        return True

    async def _check_balance(self, process: Process, batch_id: str) -> bool:
        resolver = self.resolver(process)
        async with self.client(process) as sat:
            saldo = (await sat.account()).saldo_rupiah
        await resolver.offload(lambda: check_balance(resolver, batch_id, saldo, by(process)))
        return True

    async def _plan(self, process: Process, batch_id: str, chunk_rows: int) -> list[Chunk]:
        resolver = self.resolver(process)
        return await resolver.offload(lambda: plan_chunks(resolver.store, batch_id, chunk_rows))

    async def _quote(self, process: Process, which: OrderSlice) -> bool:
        resolver = self.resolver(process)
        async with self.client(process) as sat:
            catalogue = catalogue_of(await sat.list_products())
            await Quoter(resolver, sat, catalogue, QuotingLimits()).quote_slice(which, by(process))
        return True

    async def _close_quotes(self, process: Process, batch_id: str) -> bool:
        resolver = self.resolver(process)
        await resolver.offload(lambda: close_quoting(resolver, batch_id, by(process)))
        return True

    async def _guard(self, process: Process, batch_id: str) -> bool:
        resolver = self.resolver(process)
        guards = GuardedGuards(self.guards, process, self.watch)

        def look() -> bool:
            if load_batch(resolver.store, batch_id).state is not BatchState.REFUSED:
                guard_batch(resolver, guards, batch_id, self.plan.weather.rules, by(process))
            return True

        return await resolver.offload(look)

    async def _approve(self, process: Process, batch_id: str) -> bool:
        """True when the batch may go on; somebody answers after a while, and not always as one should."""
        resolver, policy, chance = self.resolver(process), self._policy, process.chance

        def ask() -> ApprovalRequest | None:
            return ask_for_approval(resolver, batch_id, policy, by(process))

        if load_batch(resolver.store, batch_id).state is BatchState.REFUSED:
            return False
        try:
            request = await resolver.offload(ask)
            if request is None:
                return True
            await asyncio.sleep(chance.uniform(1, LONGEST_ANSWER_SECONDS))
            await process.thawed()
            who, terms = BY_APPROVER, request.terms
            if chance.random() < self.plan.weather.answer_badly:
                self.watch.count("people:answer badly")
                if chance.random() < 0.3:
                    await resolver.offload(lambda: reject(resolver, batch_id, terms, BY_APPROVER))
                who = BY_PERSON
            await resolver.offload(lambda: approve(resolver, batch_id, policy, terms, who))
        except ApprovalRejectedError:
            return False
        return True

    @property
    def _policy(self) -> ApprovalPolicy:
        weather = self.plan.weather
        return ApprovalPolicy(weather.approval_over_rupiah, weather.approve_held)

    async def _reserve(self, process: Process, batch_id: str) -> bool:
        """False when somebody rejected the batch after another had approved it."""
        resolver = self.resolver(process)
        if load_batch(resolver.store, batch_id).state is BatchState.REFUSED:
            return False
        funds = GuardedFunds(self.funds, process, self.watch)
        policy = self.chance.choice((ShortFundsPolicy.WAIT, ShortFundsPolicy.PARTIAL))
        async with self.client(process) as sat:
            seen = await look_at_deposit(sat, process.clock, self.account)
        found = await resolver.offload(
            lambda: reserve(funds, process.clock, batch_id, seen, policy, by(process), FUNDING)
        )
        if found.is_short and (policy is ShortFundsPolicy.WAIT or not found.batch.reserved_up_to_row):
            raise BatchStoppedError("the deposit does not reach")
        return True

    async def _execute(self, process: Process, which: OrderSlice) -> bool:
        resolver = self.resolver(process)

        def look() -> Gate:
            batch = load_batch(resolver.store, which.batch_id)
            return Gate(True, approval_is_needed(resolver.store, batch, self._policy))

        gate = await resolver.offload(look)
        async with self.client(process) as sat:
            catalogue = catalogue_of(await sat.list_products())
            executor = ChunkExecutor(resolver, sat, catalogue, by(process), EXECUTION, gate)
            await executor.run(which)
        return True

    async def _wait(self, process: Process, batch_id: str) -> bool:
        resolver = self.resolver(process)
        scope = PollScope(batch_id=batch_id)
        schedule = GuardedSchedule(self.schedule, process)
        deadline = self.time.seconds + SENSOR_GIVES_UP_SECONDS
        async with self.client(process) as sat:
            poller = StatusPoller(resolver, schedule, sat, process.chance, POLLING, self.trusted)
            while True:
                try:
                    await poller.poll_due(scope, by(process))
                    in_flight = await resolver.offload(lambda: orders_in_flight(resolver, batch_id))
                    pause = await poller.seconds_to_next(scope)
                except StoreUnavailableError:
                    await asyncio.sleep(5.0)
                    continue
                if not in_flight:
                    return True
                remaining = deadline - self.time.seconds
                if remaining <= 0:
                    break
                longest = LONGEST_SLEEP_SECONDS if not self.storm.is_over else LONGEST_QUIET_SLEEP_SECONDS
                await self._bell(min(remaining, longest, pause or DEBOUNCE_SECONDS))
        await resolver.offload(lambda: escalate_in_flight(resolver, batch_id, "no end in sight", by(process)))
        return True

    async def _bell(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.sat.rang.wait()
                await asyncio.sleep(DEBOUNCE_SECONDS)
        except TimeoutError:
            pass
        self.sat.rang.clear()

    async def _results(self, process: Process, batch_id: str) -> bool:
        resolver = self.resolver(process)
        spool = GuardedSpool(self.spool, process)
        await resolver.offload(lambda: complete(resolver, batch_id, by(process)))
        await resolver.offload(lambda: write_results(resolver, spool, spool, batch_id, by(process)))
        return True

    # Those around it.

    async def _calm_down(self) -> None:
        await asyncio.sleep(self.plan.weather.storm_seconds)
        self.sat.stop_faults()
        self.watch.note("weather", "the storm is over")

    async def _janitor(self) -> None:
        # Now and then the janitor was switched off for longer than SAT is trusted to know an id.
        late = self.chance.random() < 0.08
        await asyncio.sleep(RECOVERY.dedup_horizon_seconds + 300 if late else self.chance.uniform(5, 90))
        while True:
            process = self.process("janitor")
            end = await process.run(self._recover(process))
            if end.zombie is not None:
                self.zombies.append(end.zombie)
            if end.error is not None and not isinstance(
                end.error, Killed | PipelineError | SATError | StoreUnavailableError
            ):
                raise end.error
            await asyncio.sleep(300 if self.storm.is_over else self.chance.uniform(20, 120))

    async def _recover(self, process: Process) -> None:
        async with self.client(process) as sat:
            recovery = Recovery(
                self.resolver(process),
                GuardedSchedule(self.schedule, process),
                sat,
                process.chance,
                by(process),
                limits=RECOVERY,
                polling=POLLING,
                sending=EXECUTION,
                trusted=self.trusted,
            )
            report = await recovery.run(self.account)
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

    async def _switch(self, process: Process, command: PauseAccount | ResumeAccount) -> bool:
        resolver = self.resolver(process)
        await resolver.offload(lambda: resolver.apply_to_account(self.account, command, BY_PERSON))
        return True

    async def _people(self, process: Process, batch_id: str, *, is_last: bool) -> bool:
        """People look at what was held or handed to them; True when the batch has to go on."""
        resolver = self.resolver(process)

        def look() -> bool:
            orders = list(each_order(resolver.store, OrderSlice(batch_id)))
            if any(order.state is OrderState.QUOTED for order in orders):
                # Paid as far as the deposit reached; somebody pays in for the rest.
                self.sat.judge.top_up(20_000_000)
                self.watch.count("people:top-up")
            asks = [ask for order in orders if (ask := self._decision(process, order, is_last)) is not None]
            done = resolver.apply(asks, BY_PERSON) if asks else {}
            states = {order.state for order in orders} | {
                resolution.order.state for resolution in done.values() if resolution.order is not None
            }
            return bool(states & {OrderState.QUOTED, OrderState.UNKNOWN, OrderState.RECEIVED}) and not is_last

        return await resolver.offload(look)

    def _decision(self, process: Process, order: Order, is_last: bool) -> Ask | None:
        weather, chance = self.plan.weather, process.chance
        if order.state is OrderState.HELD:
            if not is_last and chance.random() < weather.release_held:
                return Ask(order.request_id, Release("the new price is fine"))
            return Ask(order.request_id, Cancel("too dear"))
        if order.state is OrderState.ESCALATED and chance.random() < weather.operator:
            if not is_last and chance.random() < 0.5:
                assert order.first_sent_at is not None
                until = order.first_sent_at + timedelta(seconds=RECOVERY.dedup_horizon_seconds)
                return Ask(order.request_id, AllowResend("try again", process.clock.now(), until))
            end = chance.choice(tuple(OperatorEnd))
            return Ask(order.request_id, EndByOperator(end, "SAT's support told us", process.clock.now()))
        return None


BY_PERSON = Provenance("user:siti", "a command")
BY_APPROVER = Provenance("user:budi", "an approval")


def by(process: Process) -> Provenance:
    """The provenance of what a process does by itself."""
    return Provenance("service:airflow", process.name)
