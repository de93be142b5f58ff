"""Processes that can be killed, frozen, or run twice at once, and their access to the outside.

A process touches the world only at boundaries: a commit, a request, a file. At each it may be killed (from
then on nothing from it reaches the outside) or frozen (it continues later without noticing, and others may
have taken its place).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tests.simulation.virtual_time import VirtualClock, VirtualTime
from tests.simulation.weather import Weather

T = TypeVar("T")

HEARTBEAT_SECONDS = 15.0
LONGEST_FREEZE_SECONDS = 240.0


class Killed(BaseException):
    """SIGKILL. Not an Exception, so that no handler of the product catches it."""


class Fate:
    """Decides what happens at a boundary. This one lets everything pass."""

    def at(self, number: int, process: Process, label: str) -> None:
        """May call :meth:`Process.die` or :meth:`Process.freeze`."""


@dataclass
class Census:
    """Numbers the boundaries of a run in the order they are passed."""

    fate: Fate
    passed: int = 0
    labels: list[str] = field(default_factory=list)
    keep_labels: bool = False

    def pass_(self, process: Process, label: str) -> None:
        """Count one more boundary."""
        number = self.passed
        self.passed += 1
        if self.keep_labels:
            self.labels.append(f"{process.name}: {label}")
        self.fate.at(number, process, label)


class KilledAt(Fate):
    """Stops the process that passes boundary ``number``; all others pass."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.hit: str | None = None

    def at(self, number: int, process: Process, label: str) -> None:
        if number == self._number:
            self.hit = f"{process.name}: {label}"
            process.die(label)


class Storm(Fate):
    """Kills and freezes at random, until the storm is over."""

    def __init__(
        self, weather: Weather, chance: random.Random, time: VirtualTime, counters: Counter[str]
    ) -> None:
        self._weather = weather
        self._chance = chance
        self._time = time
        self._counters = counters

    @property
    def is_over(self) -> bool:
        """Whether all faults have ended."""
        return self._time.seconds >= self._weather.storm_seconds

    def strikes(self, rate: float) -> bool:
        """Whether a fault with this rate happens now."""
        return rate > 0 and not self.is_over and self._chance.random() < rate

    def at(self, number: int, process: Process, label: str) -> None:
        if self.is_over:
            return
        if self.strikes(self._weather.kill):
            self._counters[f"process:killed {label}"] += 1
            process.die(label)
        elif self.strikes(self._weather.freeze):
            self._counters[f"process:frozen {label}"] += 1
            process.freeze(self._chance.uniform(1, LONGEST_FREEZE_SECONDS))


@dataclass(eq=False)
class Process:
    """One operating system process: a task try, a trigger, a janitor, a person's command."""

    name: str
    time: VirtualTime
    clock: VirtualClock
    census: Census
    chance: random.Random
    note: Callable[[str, str], None]
    seen_prices: dict[str, int] = field(default_factory=dict)
    is_dead: bool = False
    works_on_a_backup: bool = False
    frozen_until: float = 0.0
    last_frozen_at: float = -1.0
    _death: asyncio.Event = field(default_factory=asyncio.Event)
    _given_up: asyncio.Event = field(default_factory=asyncio.Event)

    def boundary(self, label: str) -> None:
        """Pass one boundary.

        :raises Killed: the process is dead or dies here.
        """
        if self.is_dead:
            raise Killed
        self.census.pass_(self, label)

    async def gate(self, label: str) -> None:
        """Pass one boundary. A frozen process stays here until it thaws."""
        await self.thawed()
        self.boundary(label)
        await self.thawed()

    async def thawed(self) -> None:
        """Return when the process is not frozen.

        :raises Killed: it is dead.
        """
        while self.time.seconds < self.frozen_until and not self.is_dead:  # noqa: ASYNC110
            # It may be frozen again in the meantime, so check again afterwards.
            await asyncio.sleep(self.frozen_until - self.time.seconds)
        if self.is_dead:
            raise Killed

    def die(self, label: str) -> None:
        """Stop existing at once."""
        self.note(self.name, f"killed {label}")
        self.is_dead = True
        self._death.set()
        raise Killed

    def freeze(self, seconds: float) -> None:
        """Stand still for ``seconds``. After a missed heartbeat the supervisor gives the process up."""
        self.note(self.name, f"frozen for {seconds:.1f} s")
        self.frozen_until = self.time.seconds + seconds
        self.last_frozen_at = self.time.seconds
        if seconds > HEARTBEAT_SECONDS:
            asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._given_up.set)

    async def run(self, work: Awaitable[T]) -> Ended[T]:
        """Run ``work`` as this process until it ends, is killed, or is given up."""
        task = asyncio.ensure_future(work)
        signs = [asyncio.ensure_future(event.wait()) for event in (self._death, self._given_up)]
        await asyncio.wait((task, *signs), return_when=asyncio.FIRST_COMPLETED)
        for sign in signs:
            sign.cancel()
        if self.is_dead:
            await _bury(task)
            return Ended(None, Killed(), None)
        if not task.done():
            self.note(self.name, "given up by its supervisor, goes on as a zombie")
            return Ended(None, None, asyncio.ensure_future(self._live_on(task)))
        error = task.exception()
        return Ended(None if error else task.result(), error, None)

    async def _live_on(self, task: asyncio.Future[T]) -> None:
        death = asyncio.ensure_future(self._death.wait())
        await asyncio.wait((task, death), return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        await _bury(task)


async def _bury(task: asyncio.Future[T]) -> None:
    # Cancelling runs finally clauses, which a SIGKILL would not. They no longer reach the outside.
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """How a process ended: with a value, with an error, or given up while it continues as a zombie."""

    value: T | None
    error: BaseException | None
    zombie: asyncio.Future[None] | None
