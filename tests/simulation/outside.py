"""A process' access to database and spool: each call is a boundary, where a fault may happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, TypeVar

from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.order import Order
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.event_store import Change, EventStore
from sat_hook.store.funds import AccountFunds, FundsStore
from sat_hook.store.guards import GuardLedger, LockedAccount
from sat_hook.store.poll_schedule import DuePoll, PollSchedule, PollScope
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.spool import MemorySpool
from tests.simulation.processes import Process, Storm
from tests.simulation.watch import Watch

T = TypeVar("T")

SHORTEST_COMMIT_SECONDS = 0.001
LONGEST_COMMIT_SECONDS = 0.02


class Offloading:
    """Runs blocking work in place, lets its time pass, and sometimes freezes the process around it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def __call__(self, work: Callable[[], T]) -> T:
        # Every fourth one is slow, so that every process overtakes every other at some time.
        chance = self._process.chance
        slow = chance.random() < 0.25
        await asyncio.sleep(chance.uniform(SHORTEST_COMMIT_SECONDS, LONGEST_COMMIT_SECONDS) if slow else 0)
        await self._process.thawed()
        done = work()
        await self._process.thawed()
        return done


class GuardedStore:
    """The event store as one process sees it."""

    def __init__(self, base: EventStore, process: Process, storm: Storm, watch: Watch) -> None:
        self._base = base
        self._process = process
        self._storm = storm
        self._watch = watch

    def append(
        self, changes: Sequence[Change], provenance: Provenance, occurred_at: datetime
    ) -> frozenset[StreamId]:
        if not changes:
            return self._base.append(changes, provenance, occurred_at)
        self._process.boundary("before a commit")
        self._trouble("before")
        conflicts = self._base.append(changes, provenance, occurred_at)
        self._watch.appended(self._process, changes, conflicts, provenance, occurred_at)
        if isinstance(self._base, MemoryEventStore):
            # On PostgreSQL this is checked once, at the end: a read for every append would cost too much.
            for change in changes:
                if change.stream.kind is StreamKind.ORDER:
                    self._watch.projected(change.stream.key, self._base.orders.get(change.stream.key))
        self._trouble("after")
        self._process.boundary("after a commit")
        return conflicts

    def load_orders(self, request_ids: Iterable[str]) -> dict[str, Order]:
        self._alive()
        orders = self._base.load_orders(request_ids)
        for request_id in orders:
            # A read, and then another process' commit before ours: on one thread, this is a read of the past.
            earlier = self._watch.before_the_last_commit(request_id, self._process)
            if earlier is not None and self._storm.strikes(self._watch.weather.stale_read):
                self._watch.count("store:read overtaken by a commit")
                orders[request_id] = earlier
        return orders

    def _trouble(self, when: str) -> None:
        if self._storm.strikes(self._watch.weather.store_trouble):
            self._watch.count(f"store:unavailable {when} a commit")
            self._watch.note(self._process.name, f"the database is away {when} the commit")
            raise StoreUnavailableError("the database gave up")

    def _alive(self) -> None:
        if self._process.is_dead:
            self._process.boundary("dead")

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._base, name)

        def read(*args: Any, **kwargs: Any) -> Any:
            self._alive()
            return method(*args, **kwargs)

        # Kept, so that the next call finds it without a boundary.
        self.__dict__[name] = read
        return read


class GuardedFunds:
    """The funds as one process sees them. Everything under the lock happens, or nothing."""

    def __init__(self, base: FundsStore, process: Process, watch: Watch) -> None:
        self._base = base
        self._process = process
        self._watch = watch

    @contextmanager
    def locked(self, account: str) -> Iterator[AccountFunds]:
        self._process.boundary("before the funds' lock")
        with self._base.locked(account) as opened:
            yield _WatchedAccount(opened, self._process, self._watch)  # type: ignore[misc]
        self._process.boundary("after the funds' lock")

    @contextmanager
    def looking(self, account: str) -> Iterator[AccountFunds]:
        with self._base.looking(account) as opened:
            yield opened


class GuardedGuards:
    """The guards' ledger as one process sees it. Everything under its lock happens, or nothing."""

    def __init__(self, base: GuardLedger, process: Process, watch: Watch) -> None:
        self._base = base
        self._process = process
        self._watch = watch

    @contextmanager
    def locked(self, account: str) -> Iterator[LockedAccount]:
        self._process.boundary("before the guards' lock")
        with self._base.locked(account) as opened:
            yield _WatchedAccount(opened, self._process, self._watch)  # type: ignore[misc]
        self._process.boundary("after the guards' lock")

    @contextmanager
    def reading(self, account: str) -> Iterator[LockedAccount]:
        self._process.boundary("before the guards read")
        with self._base.reading(account) as opened:
            yield opened


class _WatchedAccount:
    """An account under its lock. A kill in here would leave no trace, so there is none."""

    def __init__(self, opened: AccountFunds | LockedAccount, process: Process, watch: Watch) -> None:
        self._opened = opened
        self.store = _WatchedStore(opened.store, process, watch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)


class _WatchedStore:
    def __init__(self, base: EventStore, process: Process, watch: Watch) -> None:
        self._base = base
        self._process = process
        self._watch = watch

    def append(
        self, changes: Sequence[Change], provenance: Provenance, occurred_at: datetime
    ) -> frozenset[StreamId]:
        conflicts = self._base.append(changes, provenance, occurred_at)
        self._watch.appended(self._process, changes, conflicts, provenance, occurred_at)
        return conflicts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)


class GuardedSchedule:
    """The poll schedule as one process sees it. Reading and writing it are boundaries too."""

    def __init__(self, base: PollSchedule, process: Process) -> None:
        self._base = base
        self._process = process

    def enroll(self, scope: PollScope, due_at: datetime) -> None:
        self._process.boundary("before enrolling")
        self._base.enroll(scope, due_at)

    def hasten(self, scope: PollScope, now: datetime) -> int:
        self._process.boundary("before hastening")
        return self._base.hasten(scope, now)

    def claim_due(self, scope: PollScope, now: datetime, lease_until: datetime, limit: int) -> list[DuePoll]:
        claimed = sorted(
            self._base.claim_due(scope, now, lease_until, limit), key=lambda poll: poll.request_id
        )
        if claimed:
            self._process.boundary("after claiming")
        return claimed

    def reschedule(self, due_at: Mapping[str, datetime], lease_until: datetime) -> None:
        if due_at:
            self._process.boundary("before rescheduling")
        self._base.reschedule(due_at, lease_until)

    def forget(self, request_ids: Sequence[str], lease_until: datetime) -> None:
        if request_ids:
            self._process.boundary("before forgetting")
        self._base.forget(request_ids, lease_until)

    def next_due(self, scope: PollScope) -> datetime | None:
        return self._base.next_due(scope)


class GuardedSpool:
    """The spool as one process sees it."""

    def __init__(self, base: MemorySpool, process: Process) -> None:
        self._base = base
        self._process = process

    def write(self, name: str, content: bytes) -> str:
        self._process.boundary("before writing a file")
        uri = self._base.write(name, content)
        self._process.boundary("after writing a file")
        return uri

    def open(self, uri: str) -> BinaryIO:
        return self._base.open(uri)
