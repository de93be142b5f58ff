"""The steps of a batch as processes run them, and what goes wrong around them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Any, TypeVar

from sat_hook.application.batch_run import BatchRun
from sat_hook.application.ports import Ports, StepLimits
from sat_hook.application.run_facts import RunFacts
from sat_hook.audit.errors import CheckpointForkedError
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.settings import AccountSettings
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.alerts import Alert
from sat_hook.domain.batch_events import BatchSource, ShortFundsPolicy
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.guards import NO_RULES, AccountRules
from sat_hook.pipeline.approval import approve
from sat_hook.pipeline.approval_request import ApprovalRequest
from sat_hook.pipeline.chunks import Chunk
from sat_hook.pipeline.errors import AccountPausedError
from sat_hook.pipeline.limits import ExecutionLimits, FundingLimits, PollingLimits, RecoveryLimits
from sat_hook.pipeline.rule_changes import confirm_rules, propose_rules
from sat_hook.pipeline.submission import submit
from sat_hook.pipeline.trusted_callbacks import TrustedCallbacks
from sat_hook.store.clock import shared_clock
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.event_store import EventStore
from sat_hook.store.funds import FundsStore
from sat_hook.store.guards import GuardLedger
from sat_hook.store.poll_schedule import PollSchedule
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.funds import MemoryFunds
from sat_hook.testing.guards import MemoryGuardLedger
from sat_hook.testing.poll_schedule import MemoryPollSchedule
from sat_hook.testing.spool import MemorySpool
from tests.simulation.network import SimulatedSAT, client_of, other_account
from tests.simulation.outside import (
    GuardedFunds,
    GuardedGuards,
    GuardedSchedule,
    GuardedSpool,
    GuardedStore,
    Offloading,
)
from tests.simulation.processes import Census, Process, Storm
from tests.simulation.virtual_time import VirtualClock, VirtualTime
from tests.simulation.watch import Watch
from tests.simulation.weather import Batch, Plan

T = TypeVar("T")

RECOVERY = RecoveryLimits(dedup_horizon_seconds=1800.0, attempts=4, give_up_after_seconds=3600.0)
LIMITS = StepLimits(
    execution=ExecutionLimits(in_flight=4, group_size=5, failures_to_stop=6),
    polling=PollingLimits(claim=4, in_flight=4, first_delay_seconds=4.0, growth=2.2),
    # SAT's saldo is at most a minute old here (the fault stale_saldo); clocks differ by at most 8 seconds.
    funding=FundingLimits(saldo_lag_seconds=70.0),
    recovery=RECOVERY,
)
SENSOR_GIVES_UP_SECONDS = 5400.0
SETTLING_SECONDS = 60.0
LONGEST_SLEEP_SECONDS = 60.0
LONGEST_QUIET_SLEEP_SECONDS = 600.0
DEBOUNCE_SECONDS = 0.2
LONGEST_ANSWER_SECONDS = 300.0
SAT_FORGETS_AFTER_SECONDS = RECOVERY.dedup_horizon_seconds + 180.0

BY_PERSON = Provenance("user:siti", "a command")
BY_APPROVER = Provenance("user:budi", "an approval")
BY_SECOND_APPROVER = Provenance("user:dewi", "an approval")


class ShortOfFundsError(RuntimeError):
    """The deposit is too low: Airflow's task is deferred until a top-up."""


@dataclass
class Steps:
    """One account with its database and its SAT, and the actions of a process on them."""

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
    backup: MemoryEventStore | None = None
    _numbers: Any = field(default_factory=count)
    _resumed: asyncio.Event = field(default_factory=asyncio.Event)

    def process(self, name: str) -> Process:
        """Start a process on a machine whose clock is slightly wrong, and sometimes very wrong."""
        weather = self.plan.weather
        wrong = self.chance.uniform(-weather.skew_seconds, weather.skew_seconds)
        if self.storm.strikes(weather.wrong_clock):
            wrong = weather.wrong_clock_seconds
            self.watch.count(f"clock:{'ahead' if wrong > 0 else 'behind'}")
        clock = VirtualClock(self.time, wrong)
        number = next(self._numbers)
        return Process(f"{name}#{number}", self.time, clock, self.census, self.chance, self.watch.note)

    def handler(self, process: Process) -> CommandHandler:
        """Return the command handler of ``process``."""
        store = GuardedStore(self.store, process, self.storm, self.watch)
        clock = shared_clock(store, process.clock)  # type: ignore[arg-type]
        return CommandHandler(store, clock, Offloading(process))  # type: ignore[arg-type]

    def client(self, process: Process, settings: AccountSettings | None = None) -> AsyncSATClient:
        """Return the client of ``process``."""
        return client_of(self.sat, process, self.watch, self.storm, settings or self.settings)

    def ports(self, process: Process) -> Ports:
        """Return the account's ports of ``process``. Sometimes a run names another account's connection."""
        settings, spool = self.settings, GuardedSpool(self.spool, process)
        if self.storm.strikes(self.plan.weather.wrong_account):
            self.watch.count("process:another account's connection")
            other = other_account(self.account)
            settings = replace(settings, account=other, client_id=other)
        return Ports(
            connection=settings.account,
            settings=settings,
            rules=lambda: self._asked_rules,
            handler=self.handler(process),
            sat=lambda: self.client(process, settings),
            funds=GuardedFunds(self.funds, process, self.watch),
            guards=GuardedGuards(self.guards, process, self.watch),
            schedule=GuardedSchedule(self.schedule, process),
            submissions=spool,
            results=spool,
            rollback=lambda: None,
            alert=self._alert,
            chance=process.chance,
            trusted=self.trusted,
            limits=LIMITS,
        )

    def run_of(self, process: Process, batch_id: str) -> BatchRun:
        """Return the batch's run in ``process``."""
        return self._run(self.ports(process), process, batch_id)

    def _run(self, ports: Ports, process: Process, batch_id: str) -> BatchRun:
        return BatchRun(ports, batch_id, facts_of(process), approve_held=self.plan.weather.approve_held)

    def _alert(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            self.watch.count(f"alert:{alert.kind.value}")

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

    async def _do(self, name: str, batch_id: str, process: Process, chunk: Chunk | None = None) -> bool:
        """Do one step of the batch's run. Returns False when the run ends here."""
        run = self.run_of(process, batch_id)
        match name:
            case "quote":
                await run.quote(chunk)
            case "execute":
                await run.execute(chunk)
            case "validate":
                await run.validate()
            case "check_balance":
                await run.check_balance(ShortFundsPolicy.WAIT, run.ports.limits.funding)
            case "approve":
                return await self._approve(run, process)
            case "reserve":
                await self._reserve(run)
            case "wait":
                await self._wait(run)
            case _:
                # Steps that call no service.
                await run.ports.offload(getattr(run, name))
        return True

    async def _plan(self, batch_id: str, chunk_rows: int, process: Process) -> list[Chunk]:
        run = self.run_of(process, batch_id)
        return await run.ports.offload(partial(run.plan_chunks, chunk_rows))

    async def _approve(self, run: BatchRun, process: Process) -> bool:
        """A person answers after a while, and sometimes wrongly."""
        chance, offload = process.chance, run.ports.offload
        while (request := await offload(run.ask_approval)) is not None:
            await asyncio.sleep(chance.uniform(1, LONGEST_ANSWER_SECONDS))
            await process.thawed()
            is_signed = bool(request.batch.signers)
            who, approves = BY_SECOND_APPROVER if is_signed else BY_APPROVER, True
            if chance.random() < self.plan.weather.answer_badly:
                self.watch.count("people:answer badly")
                approves = chance.random() >= 0.3
                if approves:
                    who = BY_APPROVER if is_signed else BY_PERSON
            if not approves:
                await offload(partial(run.answer_approval, request.terms, who, approves=False))
            left_out = self._left_out(request)
            await offload(
                partial(
                    approve,
                    run.ports.handler,
                    run.batch_id,
                    run.policy,
                    request.terms,
                    who,
                    left_out=left_out,
                    reason="not this one" if left_out else None,
                )
            )
        return True

    def _left_out(self, request: ApprovalRequest) -> list[str]:
        """The first of two approvers may leave out the last order."""
        is_asked_first = not request.batch.signers and request.batch.left_out is None
        if not (self.plan.weather.leaves_out and is_asked_first and len(request.rows) > 1):
            return []
        return [max(request.rows, key=request.rows.__getitem__)]

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
        return AccountRules(
            weather.rules,
            weather.approval_over_rupiah,
            second_approval_over_rupiah=weather.second_approval_over_rupiah,
        )

    @property
    def _asked_rules(self) -> AccountRules:
        """Return the rules that connection and run ask for, or none."""
        return NO_RULES if self.plan.weather.connection_is_loose else self._account_rules

    async def _reserve(self, run: BatchRun) -> None:
        policy = self.chance.choice((ShortFundsPolicy.WAIT, ShortFundsPolicy.PARTIAL))
        found = await run.reserve(policy, run.ports.limits.funding)
        if found.is_short and (policy is ShortFundsPolicy.WAIT or not found.batch.reserved_up_to_row):
            raise ShortOfFundsError
        if self.plan.weather.restored and self.backup is None and isinstance(self.store, MemoryEventStore):
            self.backup = copy_of(self.store)

    async def _execute_on_the_backup(self, batch_id: str, process: Process) -> None:
        """A person restores an older backup by mistake, sees orders that were not sent, and sends them."""
        restored, self.backup = self.backup, None
        if restored is None or not isinstance(self.store, MemoryEventStore):
            return
        published = self.store.log[-1]
        process.works_on_a_backup = len(restored.log) < len(self.store.log)

        def rollback() -> CheckpointForkedError | None:
            kept = restored.read_log(published.position - 1, published.position, 1)
            return None if [item.digest for item in kept] == [published.digest] else CheckpointForkedError(1)

        ports = replace(
            self.ports(process),
            handler=CommandHandler(restored, process.clock, Offloading(process)),
            funds=MemoryFunds(restored),
            guards=MemoryGuardLedger(restored),
            schedule=MemoryPollSchedule(restored),
            rollback=rollback,
        )
        try:
            await self._run(ports, process, batch_id).execute()
        except AccountPausedError:
            self.watch.count("people:an older backup is found out")

    async def _wait(self, run: BatchRun) -> None:
        deadline = self.time.seconds + SENSOR_GIVES_UP_SECONDS
        async with run.ports.sat() as sat:
            while True:
                try:
                    found = await run.wait(sat)
                except StoreUnavailableError:
                    await asyncio.sleep(5.0)
                    continue
                if not found.left:
                    return
                remaining = deadline - self.time.seconds
                if remaining <= 0:
                    if not await run.ports.offload(partial(run.escalate, "no end in sight")):
                        return
                    deadline = self.time.seconds + SETTLING_SECONDS
                    continue
                longest = LONGEST_SLEEP_SECONDS if not self.storm.is_over else LONGEST_QUIET_SLEEP_SECONDS
                await self._bell(min(remaining, longest, found.pause_seconds or DEBOUNCE_SECONDS))

    async def _bell(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.sat.rang.wait()
                await asyncio.sleep(DEBOUNCE_SECONDS)
        except TimeoutError:
            pass
        self.sat.rang.clear()


def by(process: Process) -> Provenance:
    """Return the provenance of a process' own actions."""
    return Provenance("service:airflow", process.name)


def facts_of(process: Process) -> RunFacts:
    """Return what a process knows of its run."""
    return RunFacts(by(process), run="bulk_disbursement/simulated")


def copy_of(store: MemoryEventStore) -> MemoryEventStore:
    """Return a backup: later changes to one store do not show in the other."""
    made = copy(store)
    for name, value in vars(store).items():
        if isinstance(value, dict | list):
            setattr(made, name, copy(value))
    return made
