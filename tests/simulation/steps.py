"""The steps of a batch as processes run them, with what goes wrong between two lines of them."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.settings import AccountSettings
from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.batch import BatchState
from sat_hook.domain.batch_events import BatchSource, ShortFundsPolicy
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.guards import NO_RULES, AccountRules
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
from sat_hook.pipeline.errors import (
    ApprovalRejectedError,
    BatchStoppedError,
)
from sat_hook.pipeline.execution import ChunkExecutor, Gate
from sat_hook.pipeline.funding import look_at_deposit, reserve
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import (
    ExecutionLimits,
    FundingLimits,
    PollingLimits,
    QuotingLimits,
    RecoveryLimits,
)
from sat_hook.pipeline.quoting import Quoter, close_quoting
from sat_hook.pipeline.results import complete, write_results
from sat_hook.pipeline.rule_changes import confirm_rules, propose_rules
from sat_hook.pipeline.status_polling import StatusPoller, escalate_in_flight, orders_in_flight
from sat_hook.pipeline.submission import submit
from sat_hook.pipeline.trusted_callbacks import TrustedCallbacks
from sat_hook.pipeline.validation import catalogue_of, validate_orders
from sat_hook.store.clock import shared_clock
from sat_hook.store.event_store import EventStore, OrderSlice, StoreUnavailableError
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
from tests.simulation.processes import Census, Process, Storm
from tests.simulation.virtual_time import VirtualClock, VirtualTime
from tests.simulation.watch import Watch
from tests.simulation.weather import Batch, Plan

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
SAT_FORGETS_AFTER_SECONDS = RECOVERY.dedup_horizon_seconds + 180.0

BY_PERSON = Provenance("user:siti", "a command")
BY_APPROVER = Provenance("user:budi", "an approval")


@dataclass
class Steps:
    """One account with its database, its SAT, and what a process does with them."""

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

    def process(self, name: str) -> Process:
        """A new process on some machine, whose clock is a little wrong, and now and then very."""
        weather = self.plan.weather
        wrong = self.chance.uniform(-weather.skew_seconds, weather.skew_seconds)
        if self.storm.strikes(weather.wrong_clock):
            wrong = weather.wrong_clock_seconds
            self.watch.count(f"clock:{'ahead' if wrong > 0 else 'behind'}")
        clock = VirtualClock(self.time, wrong)
        number = next(self._numbers)
        return Process(f"{name}#{number}", self.time, clock, self.census, self.chance, self.watch.note)

    def handler(self, process: Process) -> CommandHandler:
        """The command handler as ``process`` has it."""
        store = GuardedStore(self.store, process, self.storm, self.watch)
        clock = shared_clock(store, process.clock)  # type: ignore[arg-type]
        return CommandHandler(store, clock, Offloading(process))  # type: ignore[arg-type]

    def client(self, process: Process) -> AsyncSATClient:
        """The client as ``process`` has it."""
        return client_of(self.sat, process, self.watch, self.storm, self.settings)

    async def _submit(self, process: Process, batch: Batch) -> str:
        handler = self.handler(process)
        done = await handler.offload(
            lambda: submit(
                handler.store,
                GuardedSpool(self.spool, process),
                handler.clock,
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
        handler = self.handler(process)
        spool = GuardedSpool(self.spool, process)
        await handler.offload(lambda: take_in(handler, spool, batch_id, by(process)))
        return True

    async def _validate(self, process: Process, batch_id: str) -> bool:
        handler = self.handler(process)
        async with self.client(process) as sat:
            catalogue = catalogue_of(await sat.list_products())
        await handler.offload(lambda: validate_orders(handler, batch_id, catalogue, by(process)))
        return True

    async def _check_balance(self, process: Process, batch_id: str) -> bool:
        handler = self.handler(process)
        async with self.client(process) as sat:
            saldo = (await sat.account()).saldo_rupiah
        await handler.offload(lambda: check_balance(handler, batch_id, saldo, by(process)))
        return True

    async def _plan(self, process: Process, batch_id: str, chunk_rows: int) -> list[Chunk]:
        handler = self.handler(process)
        return await handler.offload(lambda: plan_chunks(handler.store, batch_id, chunk_rows))

    async def _quote(self, process: Process, which: OrderSlice) -> bool:
        handler = self.handler(process)
        async with self.client(process) as sat:
            catalogue = catalogue_of(await sat.list_products())
            await Quoter(handler, sat, catalogue, QuotingLimits()).quote_slice(which, by(process))
        return True

    async def _close_quotes(self, process: Process, batch_id: str) -> bool:
        handler = self.handler(process)
        await handler.offload(lambda: close_quoting(handler, batch_id, by(process)))
        return True

    async def _guard(self, process: Process, batch_id: str) -> bool:
        handler = self.handler(process)
        guards = GuardedGuards(self.guards, process, self.watch)

        def look() -> bool:
            if load_batch(handler.store, batch_id).state is not BatchState.REFUSED:
                guard_batch(handler, guards, batch_id, self._asked_rules.guards, by(process))
            return True

        return await handler.offload(look)

    async def _approve(self, process: Process, batch_id: str) -> bool:
        """True when the batch may go on; somebody answers after a while, and not always as one should."""
        handler, policy, chance = self.handler(process), self._policy, process.chance

        def ask() -> ApprovalRequest | None:
            return ask_for_approval(handler, batch_id, policy, by(process))

        if load_batch(handler.store, batch_id).state is BatchState.REFUSED:
            return False
        try:
            request = await handler.offload(ask)
            if request is None:
                return True
            await asyncio.sleep(chance.uniform(1, LONGEST_ANSWER_SECONDS))
            await process.thawed()
            who, terms = BY_APPROVER, request.terms
            if chance.random() < self.plan.weather.answer_badly:
                self.watch.count("people:answer badly")
                if chance.random() < 0.3:
                    await handler.offload(lambda: reject(handler, batch_id, terms, BY_APPROVER))
                who = BY_PERSON
            await handler.offload(lambda: approve(handler, batch_id, policy, terms, who))
        except ApprovalRejectedError:
            return False
        return True

    def confirm_rules(self) -> None:
        """Two people put the account's rules in the log, before anything else happens."""
        handler = CommandHandler(self.store, VirtualClock(self.time))
        rules = self._account_rules
        proposed = propose_rules(handler, self.account, rules, {}, "by contract", BY_PERSON).rules.proposal
        assert proposed is not None
        standing = confirm_rules(handler, self.account, proposed.number, "checked", BY_APPROVER)
        self.watch.begins_at(StreamId(StreamKind.ACCOUNT, standing.account_id), standing.version)

    @property
    def _account_rules(self) -> AccountRules:
        weather = self.plan.weather
        return AccountRules(weather.rules, weather.approval_over_rupiah)

    @property
    def _asked_rules(self) -> AccountRules:
        """What connection and run ask for: the account's rules, or nothing."""
        return NO_RULES if self.plan.weather.connection_is_loose else self._account_rules

    @property
    def _policy(self) -> ApprovalPolicy:
        return ApprovalPolicy(self._asked_rules.approval_over_rupiah, self.plan.weather.approve_held)

    async def _reserve(self, process: Process, batch_id: str) -> bool:
        """False when somebody rejected the batch after another had approved it."""
        handler = self.handler(process)
        if load_batch(handler.store, batch_id).state is BatchState.REFUSED:
            return False
        funds = GuardedFunds(self.funds, process, self.watch)
        policy = self.chance.choice((ShortFundsPolicy.WAIT, ShortFundsPolicy.PARTIAL))
        async with self.client(process) as sat:
            seen = await look_at_deposit(sat, handler.clock, self.account)
        found = await handler.offload(
            lambda: reserve(funds, handler.clock, batch_id, seen, policy, by(process), FUNDING)
        )
        if found.is_short and (policy is ShortFundsPolicy.WAIT or not found.batch.reserved_up_to_row):
            raise BatchStoppedError("the deposit does not reach")
        return True

    async def _execute(self, process: Process, which: OrderSlice) -> bool:
        handler = self.handler(process)

        def look() -> Gate:
            batch = load_batch(handler.store, which.batch_id)
            return Gate(True, approval_is_needed(handler.store, batch, self._policy))

        gate = await handler.offload(look)
        async with self.client(process) as sat:
            catalogue = catalogue_of(await sat.list_products())
            executor = ChunkExecutor(handler, sat, catalogue, by(process), EXECUTION, gate)
            await executor.run(which)
        return True

    async def _wait(self, process: Process, batch_id: str) -> bool:
        handler = self.handler(process)
        scope = PollScope(batch_id=batch_id)
        schedule = GuardedSchedule(self.schedule, process)
        deadline = self.time.seconds + SENSOR_GIVES_UP_SECONDS
        async with self.client(process) as sat:
            poller = StatusPoller(handler, schedule, sat, process.chance, POLLING, self.trusted)
            while True:
                try:
                    await poller.poll_due(scope, by(process))
                    in_flight = await handler.offload(lambda: orders_in_flight(handler, batch_id))
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
                await self._listener(min(remaining, longest, pause or DEBOUNCE_SECONDS))
        await handler.offload(lambda: escalate_in_flight(handler, batch_id, "no end in sight", by(process)))
        return True

    async def _listener(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.sat.rang.wait()
                await asyncio.sleep(DEBOUNCE_SECONDS)
        except TimeoutError:
            pass
        self.sat.rang.clear()

    async def _results(self, process: Process, batch_id: str) -> bool:
        handler = self.handler(process)
        spool = GuardedSpool(self.spool, process)
        await handler.offload(lambda: complete(handler, batch_id, by(process)))
        await handler.offload(lambda: write_results(handler, spool, spool, batch_id, by(process)))
        return True


def by(process: Process) -> Provenance:
    """The provenance of what a process does by itself."""
    return Provenance("service:airflow", process.name)
