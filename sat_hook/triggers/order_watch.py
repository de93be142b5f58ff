"""Follow the orders of an account for all the waits of an event loop: one poller, one pool, one listener.

A triggerer runs thousands of waits. They join the watch of their account. It queries the statuses that are
due, reads how all the waits stand with two statements, and wakes only those that changed. A notification
names a batch: only its called orders are queried, and only its waits are looked at.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sat_hook.application.errors import WrongAccountError
from sat_hook.application.ports import Ports
from sat_hook.commands.errors import BatchNotFoundError
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import OrderState
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.ports import ports_of
from sat_hook.hooks.sat import SATHook
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.status_polling import PollReport, StatusPoller
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.poll_schedule import AwaitedOrders, PollScope, callback_channel
from sat_hook.triggers.connection_refresh import REREAD_SECONDS, changed_connection
from sat_hook.triggers.notifications import DEBOUNCE_SECONDS, NotificationListener
from sat_hook.triggers.of_event_loop import OfEventLoop

# Also the maximum delay until a wait notices that another process, or a task, has ended it.
LONGEST_SLEEP_SECONDS = 5.0
TROUBLE_PAUSE_SECONDS = 5.0
# Looks at very many waits take at most this share of the time.
LOOKING_SHARE = 0.1
WAKE = "-"
"""A notification about no batch: it only ends a pause."""

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Wait:
    """One trigger's wait: for the orders of a batch that are in flight, or for one order.

    :param left: how many of them have not ended; None until they were queried once.
    :param state: of the one order.
    """

    watch: OrderWatch
    batch_id: str
    request_id: str | None
    left: int | None = None
    state: OrderState | None = None
    _failure: Exception | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def look(self, seconds: float | None) -> int | None:
        """Return ``left`` once something changed, or after ``seconds``.

        :raises Exception: what ended the watch.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        if self._failure is not None:
            raise self._failure
        return self.left

    def found(self, left: int, state: OrderState | None, *, is_queried: bool) -> None:
        """Take over how the orders stand; wake the trigger if that matters to it."""
        if left and self.left is None and not is_queried:
            return
        if not left or self.left is None or state is not self.state:
            self.wake()
        self.left, self.state = left, state

    def wake(self) -> None:
        """Let the trigger look."""
        self._woken.set()

    def fail(self, failure: Exception) -> None:
        """End the wait with an error."""
        self._failure = failure
        self.wake()


class OrderWatch:
    """The waits of one event loop for one account.

    :param sat_conn_id: the account's connection.
    :param db_conn_id: the application database's connection.
    """

    def __init__(self, sat_conn_id: str, db_conn_id: str) -> None:
        self.sat_conn_id = sat_conn_id
        self.db_conn_id = db_conn_id
        self.application = ApplicationHook(db_conn_id, "sat trigger")
        self.remark = ""
        """What the waits' logs should say: the last trouble, or empty."""
        self.new: set[Wait] = set()
        """Waits whose account was not checked yet. Only then do looks find them."""
        self._waits: dict[str, set[Wait]] = {}
        self._listener: NotificationListener | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def batch_ids(self) -> frozenset[str]:
        """The batches that are waited for."""
        return frozenset(self._waits)

    def waits_of(self, batch_ids: Iterable[str]) -> list[Wait]:
        """The waits for these batches and their orders, without new ones."""
        found = (wait for batch_id in batch_ids for wait in self._waits.get(batch_id, ()))
        return [wait for wait in found if wait not in self.new]

    def now(self) -> datetime:
        """The database's time."""
        return self.application.handler.clock.now()

    def join(self, batch_id: str, request_id: str | None) -> Wait:
        """A new wait. The first one starts the watch."""
        wait = Wait(self, batch_id, request_id)
        self._waits.setdefault(batch_id, set()).add(wait)
        self.new.add(wait)
        if self._listener is not None:
            self._listener.ring(WAKE)
        if self._task is None:
            # Its log lines belong to the triggerer, not to the task that happened to be first.
            self._task = asyncio.create_task(self._run(), context=contextvars.Context())
        return wait

    async def leave(self, wait: Wait) -> None:
        """Remove a wait; the last one ends the watch."""
        waits = self._waits[wait.batch_id]
        waits.discard(wait)
        self.new.discard(wait)
        if not waits:
            del self._waits[wait.batch_id]
        if not self._waits and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _all_waits(self) -> list[Wait]:
        return [wait for waits in self._waits.values() for wait in waits]

    def say(self, remark: str) -> None:
        """Put a remark into the logs of the waits, once."""
        if remark != self.remark:
            self.remark = remark
            for wait in self._all_waits():
                wait.wake()

    async def _run(self) -> None:
        try:
            while True:
                await self._connected()
        except Exception as error:
            if self._task is not asyncio.current_task():
                logger.warning("A watch that was left did not close: %s", type(error).__name__)
                return
            # The triggers raise it. A later wait starts the watch again.
            self._task = None
            for wait in self._all_waits():
                wait.fail(error)

    async def _connected(self) -> None:
        """Follow the orders until the connection to the application database has changed."""
        application = ApplicationHook(self.db_conn_id, "sat trigger")
        async with application.shared() as database:
            self.application = application
            hook = SATHook(self.sat_conn_id, database)
            account = (await hook.asettings()).account
            async with NotificationListener(database, callback_channel(account)) as listener:
                self._listener = listener
                while True:
                    async with hook.async_client() as sat:
                        changed = await self._followed(hook, ports_of(hook, application), sat, listener)
                    if changed is None:
                        return
                    hook = changed

    async def _followed(
        self, hook: SATHook, ports: Ports, sat: SATApi, listener: NotificationListener
    ) -> SATHook | None:
        """Follow the orders until a connection has changed.

        :returns: the changed connection to SAT; None when that of the database has changed.
        """
        reread_at = time.monotonic() + REREAD_SECONDS
        self.new.update(self._all_waits())
        rounds = _Rounds(self, ports, sat, partial(listener.ring, WAKE))
        try:
            while True:
                try:
                    seconds = await rounds.next()
                except StoreUnavailableError as error:
                    self.say(f"The application database is away, waiting for it: {error}")
                    await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
                    if await self.application.has_moved():
                        logger.info("Connection %s has changed: reconnecting.", self.db_conn_id)
                        return None
                    continue
                if time.monotonic() >= reread_at:
                    changed = await changed_connection(hook, self.application.database, logger)
                    if changed is not None:
                        return changed
                    reread_at = time.monotonic() + REREAD_SECONDS
                rounds.hear(await listener.wait(seconds))
        finally:
            await rounds.stop()


@dataclass(frozen=True, slots=True)
class _Passed:
    """A pass over the due orders of some batches; the next of them is due after ``pause_seconds``."""

    batch_ids: frozenset[str]
    report: PollReport
    pause_seconds: float


class _Rounds:
    """Queries and looks of a watch over one connection to SAT.

    Queries take as long as SAT does, so they run beside the looks.
    """

    def __init__(self, watch: OrderWatch, ports: Ports, sat: SATApi, wake: Callable[[], None]) -> None:
        self._watch = watch
        self._ports = ports
        self._poller = StatusPoller(
            ports.handler, ports.schedule, sat, ports.chance, ports.limits.polling, ports.trusted
        )
        self._provenance = Provenance("service:airflow", f"poll of account {ports.account}")
        self._awaited = AwaitedOrders(watch.application.database, ports.account)
        self._wake = wake
        """Ends the pause between two rounds."""
        self._pass: asyncio.Task[_Passed] | None = None
        self._joined: set[str] = set()
        self._called: set[str] = set()
        self._due_at = self._look_at = 0.0

    def hear(self, payloads: Iterable[str]) -> None:
        """Take over notifications: each names a batch, or may be about anything."""
        for payload in payloads:
            if payload:
                self._called.add(payload.partition(" ")[0])
            else:
                self._due_at = 0.0

    async def next(self) -> float:
        """Do what is due, and begin the next pass; returns the seconds until something else is due.

        :raises StoreUnavailableError: when the database is away. The next round begins with a full pass.
        """
        try:
            return await self._next()
        except StoreUnavailableError:
            self._due_at = self._look_at = 0.0
            raise

    async def stop(self) -> None:
        """End the pass that is under way."""
        if self._pass is not None:
            self._pass.cancel()
            await asyncio.gather(self._pass, return_exceptions=True)

    async def _next(self) -> float:
        if self._watch.new:
            await self._admit()
        if self._pass is not None and self._pass.done():
            ended, self._pass = self._pass, None
            passed = ended.result()
            self._watch.say(_remark(passed.report))
            pace = await self._look(passed.batch_ids, is_queried=True)
            self._due_at = min(self._due_at, time.monotonic() + max(passed.pause_seconds, pace))
        if time.monotonic() >= self._look_at:
            await self._look(self._watch.batch_ids)
            self._look_at = time.monotonic() + LONGEST_SLEEP_SECONDS
        if self._pass is None:
            self._begin()
        until = self._look_at if self._pass is not None else min(self._look_at, self._due_at)
        return max(0.0, until - time.monotonic())

    async def _admit(self) -> None:
        """Look at new waits. Those for another account fail, because SAT does not know their orders."""
        joined = frozenset(self._watch.new)
        batch_ids = frozenset(wait.batch_id for wait in joined)
        accounts = await asyncio.to_thread(self._awaited.accounts_of, sorted(batch_ids))
        for wait in joined:
            if wait.batch_id not in accounts:
                wait.fail(BatchNotFoundError(f"there is no batch {wait.batch_id}"))
                continue
            try:
                self._ports.require_account(accounts[wait.batch_id], f"batch {wait.batch_id}")
            except WrongAccountError as error:
                wait.fail(error)
        self._watch.new -= joined
        self._joined |= batch_ids
        await self._look(batch_ids)

    def _begin(self) -> None:
        """Begin the next pass: over all batches if one is due, else new ones, else called orders."""
        watched, only_called = self._watch.batch_ids, False
        if time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + LONGEST_SLEEP_SECONDS
            self._joined.clear()
        elif self._joined:
            watched &= self._joined
            self._joined.clear()
        else:
            watched, only_called = watched & self._called, True
        # Every pass takes the called orders of its batches first.
        self._called &= self._watch.batch_ids - watched
        if watched:
            self._pass = asyncio.create_task(self._passed(watched, only_called))
            self._pass.add_done_callback(lambda _: self._wake())

    async def _passed(self, batch_ids: frozenset[str], only_called: bool) -> _Passed:
        scope = PollScope(account=self._ports.account, batch_ids=tuple(sorted(batch_ids)))
        report = await self._poller.poll_due(scope, self._provenance, only_called=only_called)
        pause_seconds = await self._poller.seconds_to_next(scope)
        return _Passed(batch_ids, report, LONGEST_SLEEP_SECONDS if pause_seconds is None else pause_seconds)

    async def _look(self, batch_ids: frozenset[str], *, is_queried: bool = False) -> float:
        """Tell the waits for these batches how they stand; returns the shortest pause until the next look."""
        began = time.monotonic()
        waits = self._watch.waits_of(batch_ids)
        whole = sorted({wait.batch_id for wait in waits if wait.request_id is None})
        single = sorted({wait.request_id for wait in waits if wait.request_id is not None})
        in_flight = await asyncio.to_thread(self._awaited.in_flight, whole) if whole else {}
        states = await asyncio.to_thread(self._awaited.states, single) if single else {}
        for wait in waits:
            state = None if wait.request_id is None else states.get(wait.request_id)
            is_left = state is not None and not is_over(state)
            left = in_flight.get(wait.batch_id, 0) if wait.request_id is None else int(is_left)
            wait.found(left, state, is_queried=is_queried)
        return max(DEBOUNCE_SECONDS, (time.monotonic() - began) / LOOKING_SHARE)


def is_over(state: OrderState) -> bool:
    """Whether the wait for an order is over: it has ended or is escalated."""
    return state.is_final or state is OrderState.ESCALATED


def _remark(report: PollReport) -> str:
    if not report.unproven:
        return ""
    return f"Answers about statuses that prove nothing: {dict(report.unproven)}"


_watches: OfEventLoop[tuple[str, str], OrderWatch] = OfEventLoop(lambda key: OrderWatch(*key))


@asynccontextmanager
async def waiting(
    sat_conn_id: str, db_conn_id: str, batch_id: str, request_id: str | None = None
) -> AsyncIterator[Wait]:
    """A wait for a batch or one of its orders, with the watch of its account in this event loop."""
    watch = _watches.of((sat_conn_id, db_conn_id))
    wait = watch.join(batch_id, request_id)
    try:
        yield wait
    finally:
        await watch.leave(wait)
