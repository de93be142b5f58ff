"""Runs one seed, from the first draw to the verdict."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from sandbox.scenario import DedupHorizon
from sat_hook.clients import async_transport
from sat_hook.domain.event_record import RecordedEvent, StreamKind
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_decisions import ORDER_DECIDER
from sat_hook.pipeline import pause_watch
from sat_hook.pipeline.trusted_callbacks import TrustedCallbacks
from sat_hook.store.event_store import EventStore, OrderSlice, each_order
from sat_hook.store.funds import FundsStore
from sat_hook.store.guards import GuardLedger
from sat_hook.store.poll_schedule import PollSchedule
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.funds import MemoryFunds
from sat_hook.testing.guards import MemoryGuardLedger
from sat_hook.testing.poll_schedule import MemoryPollSchedule
from sat_hook.testing.spool import MemorySpool
from tests.simulation.inbox import TRUSTING_EVERY
from tests.simulation.line import Line
from tests.simulation.network import SimulatedSAT, settings_of
from tests.simulation.processes import Census, Fate, Storm
from tests.simulation.seals import REAL_EVERY, quick_seals, real_seals
from tests.simulation.steps import RECOVERY, SAT_FORGETS_AFTER_SECONDS
from tests.simulation.virtual_time import StandstillError, VirtualClock, VirtualTime, run_virtually
from tests.simulation.watch import BrokenInvariantError, Watch
from tests.simulation.weather import Plan, draw_plan

LONGEST_RUN_SECONDS = 48 * 3600.0
MAXIMUM_NOTES = 20_000
SELDOM_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Backend:
    """The storage of the log: a store, a schedule, and the receiver's one action."""

    store: EventStore
    schedule: PollSchedule
    funds: FundsStore
    guards: GuardLedger
    receive: Callable[[str, str, str, bytes, str], bool]


def memory_backend(clock: VirtualClock) -> Backend:
    """Return a backend with everything in dictionaries."""
    store = MemoryEventStore(clock)
    schedule = MemoryPollSchedule(store)
    return Backend(
        store,
        schedule,
        MemoryFunds(store),
        MemoryGuardLedger(store),
        lambda account, request_id, digest, *_: schedule.receive(account, request_id, digest),
    )


MakeBackend = Callable[[VirtualClock], Backend]


@dataclass(slots=True)
class Verdict:
    """The result of one seed. ``digest`` covers the whole story, so that replays can be compared."""

    seed: int
    broken: BaseException | None
    counters: Counter[str]
    digest: str
    boundaries: int
    orders: int
    ends: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[float, str, str]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """The order that the broken invariant is about, if it is about one."""
        return self.broken.subject if isinstance(self.broken, BrokenInvariantError) else ""

    def story(self) -> str:
        """What happened, in order; only the events of the affected order, if there is one."""
        subject = self.subject
        lines = []
        for seconds, who, what in self.notes:
            if not subject or subject in what or not _names_an_order(what):
                lines.append(f"{seconds:12.3f}  {who:<18} {what}")
        return "\n".join(lines)


def _names_an_order(what: str) -> bool:
    return any(len(word.strip(":,()")) == 32 and word[:1] == "S" for word in what.split())


def run_seed(
    seed: int,
    *,
    plan: Plan | None = None,
    fate: Fate | None = None,
    backend: MakeBackend = memory_backend,
    traced: bool = False,
    account: str | None = None,
) -> Verdict:
    """Simulate one seed. Never raises for anything that the simulated world does.

    :param plan: replaces the plan that the seed draws.
    :param fate: replaces the storm of the plan's weather.
    :param traced: keep the story and the names of the boundaries.
    """
    plan = plan or draw_plan(seed)
    # In most seeds the account is never paused; a check every half second would take most of the time.
    looks = pause_watch.LOOK_EVERY_SECONDS if plan.weather.pause else SELDOM_SECONDS
    with _without_surroundings(), patch.object(pause_watch, "LOOK_EVERY_SECONDS", looks):
        return _Run(seed, plan, fate, backend, traced, account or f"seed{seed}").verdict()


@contextmanager
def _without_surroundings() -> Iterator[None]:
    """Hide this machine's logs, proxies and certificate authorities from the simulated world."""
    was = async_transport.proxy_of, async_transport.ca_bundle, logging.root.manager.disable
    async_transport.proxy_of = lambda url: None
    async_transport.ca_bundle = lambda: ""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        async_transport.proxy_of, async_transport.ca_bundle = was[:2]
        logging.disable(was[2])


class _Run:
    def __init__(
        self,
        seed: int,
        plan: Plan,
        fate: Fate | None,
        backend: MakeBackend,
        traced: bool,
        account: str,
    ) -> None:
        self._seed = seed
        self._plan = plan
        self._fate = fate
        self._make_backend = backend
        self._traced = traced
        self._account = account
        self._notes: list[tuple[float, str, str]] = []
        self._time = VirtualTime(plan.weather.start)
        self._seals = real_seals() if seed % REAL_EVERY == 0 else quick_seals()
        self._watch = Watch(
            self._time,
            plan.weather,
            self._seals,
            RECOVERY.dedup_horizon_seconds,
            self._note if traced else lambda who, what: None,
        )
        self._line: Line | None = None
        self._log_began_at = 0

    def verdict(self) -> Verdict:
        """Run to the end and judge."""
        broken: BaseException | None = None
        try:
            run_virtually(self._time, self._main)
        except BrokenInvariantError as error:
            broken = error
        except (Exception, StandstillError) as error:
            broken = error
        broken = self._watch.first_break or broken
        line = self._line
        if line is None:
            # The world could not be made: this is not a finding of the simulation.
            raise RuntimeError(f"seed {self._seed} cannot begin") from broken
        log = self._log() if broken is None else []
        return Verdict(
            self._seed,
            broken,
            self._watch.counters,
            _digest(log, self._watch.counters),
            line.census.passed,
            sum(1 for known in self._watch.known.values() if known.order is not None),
            {
                known.order.order_id: known.order.state.value
                for known in self._watch.known.values()
                if known.order is not None
            },
            self._notes,
            line.census.labels,
        )

    def _note(self, who: str, what: str) -> None:
        if len(self._notes) < MAXIMUM_NOTES:
            self._notes.append((self._time.seconds, who, what))

    def _trusted(self, sat: SimulatedSAT) -> TrustedCallbacks | None:
        """Return the rules of a connection with trust_callbacks."""
        if self._seed % TRUSTING_EVERY:
            return None
        return TrustedCallbacks(sat.inbox, self._account, self._seals.sat_verifier)  # type: ignore[arg-type]

    async def _main(self) -> None:
        chance = random.Random(self._seed ^ 0x5EED)
        storm = Storm(self._plan.weather, chance, self._time, self._watch.counters)
        backend = self._make_backend(VirtualClock(self._time))
        self._log_began_at = backend.store.close_position()
        census = Census(self._fate or storm, keep_labels=self._traced)
        sat = SimulatedSAT(
            self._time, self._watch, storm, chance, self._seals, self._account, backend.receive
        )
        sat.world.scenario = sat.world.scenario.model_copy(
            update={"dedup_horizon": DedupHorizon(seconds=SAT_FORGETS_AFTER_SECONDS)}
        )
        self._line = line = Line(
            plan=self._plan,
            account=self._account,
            time=self._time,
            store=backend.store,
            schedule=backend.schedule,
            funds=backend.funds,
            guards=backend.guards,
            spool=MemorySpool(),
            sat=sat,
            settings=settings_of(self._account, self._seals),
            watch=self._watch,
            storm=storm,
            census=census,
            chance=chance,
            trusted=self._trusted(sat),
        )
        line.confirm_rules()
        try:
            async with asyncio.timeout(LONGEST_RUN_SECONDS):
                await line.run()
        except TimeoutError:
            self._watch.broken("two days later it still has not come to an end", self._account)
        self._check_end(line)

    # The end.

    def _check_end(self, line: Line) -> None:
        watch, world = self._watch, line.sat.world
        if watch.first_break is not None:
            raise watch.first_break
        world.ledger.audit()
        if not line.sat.fired:
            line.sat.stop_faults()
        for label, times in line.sat.fired.items():
            watch.counters[f"fault:{label}"] += times
        projected = {
            order.request_id: order
            for batch_id in line.batch_ids
            for order in each_order(line.store, OrderSlice(batch_id))
        }
        for request_id, known in watch.known.items():
            if known.order is None:
                continue
            stored = projected.get(request_id)
            watch.require(stored == known.order, "the projection is not the fold of the log", request_id)
            self._check_end_of(request_id)
        self._check_log()

    def _check_end_of(self, request_id: str) -> None:
        watch = self._watch
        assert self._line is not None
        known = watch.known[request_id]
        order = known.order
        assert order is not None
        charged = self._line.sat.world.ledger.order(request_id)
        if order.state is OrderState.ESCALATED:
            watch.count("end:escalated")
            return
        watch.require(order.state.is_final, f"an order never ends and stays {order.state.value}", request_id)
        watch.count(f"end:{order.state.value}")
        watch.require(
            order.doubted_at is None, "a success after a reversal was never asked about again", request_id
        )
        if order.evidence_digest is None and not order.ended_by_operator:
            watch.require(charged is None, f"{order.state.value}, but SAT charged it", request_id)

    def _check_log(self) -> None:
        streams: dict[str, list[RecordedEvent]] = {}
        for recorded in self._log():
            if recorded.stream.kind is StreamKind.ORDER:
                streams.setdefault(recorded.stream.key, []).append(recorded)
            self._watch.require(
                recorded.digest == recorded.computed_digest(), "a digest is wrong", str(recorded.stream)
            )
        for request_id, rows in streams.items():
            versions = [row.version for row in rows]
            self._watch.require(
                versions == list(range(1, len(rows) + 1)), "a version is missing or twice there", request_id
            )
            again = ORDER_DECIDER.fold(request_id, ((row.event, row.occurred_at) for row in rows))
            self._watch.require(
                again == self._watch.known[request_id].order, "the log folds to another order", request_id
            )

    def _log(self) -> list[RecordedEvent]:
        assert self._line is not None
        store = self._line.store
        if isinstance(store, MemoryEventStore):
            return store.log
        # In a database that many seeds share: only rows of this run's account, since the run began.
        own = {*self._watch.known, *self._line.batch_ids}
        rows: list[RecordedEvent] = []
        after, end = self._log_began_at, store.close_position()
        while page := store.read_log(after, end, 5000):
            rows.extend(recorded for recorded in page if recorded.stream.key in own)
            after = page[-1].position
        return rows


def _digest(log: list[RecordedEvent], counters: Counter[str]) -> str:
    digest = hashlib.sha256()
    for recorded in log:
        digest.update(f"{recorded.stream}|{recorded.version}|{recorded.digest}\n".encode())
    for name, times in sorted(counters.items()):
        digest.update(f"{name}={times}\n".encode())
    return digest.hexdigest()
