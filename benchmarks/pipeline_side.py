"""The product: one task process that quotes, executes and settles the orders of one batch.

The real thing throughout: quoter, executor, poller, handler, event store and client, with commits that
PostgreSQL has flushed. Intake and validation come before the clock starts, because they call nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.processes import ready, told
from benchmarks.world import ACCOUNT, PRODUCT, Keys, client_number, order_id, settings
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.batch_events import BatchSource, ShortFundsPolicy
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.execution import ChunkExecutor
from sat_hook.pipeline.funding import look_at_deposit, reserve
from sat_hook.pipeline.gc_tuning import gc_for_bulk_work
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import ExecutionLimits, PollingLimits, QuotingLimits
from sat_hook.pipeline.quoting import Quoter, close_quoting
from sat_hook.pipeline.spool import LocalSpool
from sat_hook.pipeline.status_polling import StatusPoller, orders_in_flight
from sat_hook.pipeline.submission import submit
from sat_hook.pipeline.validation import catalogue_of, validate_orders
from sat_hook.store.database import Database
from sat_hook.store.event_store import OrderSlice
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.poll_schedule import PollScope, PostgresPollSchedule
from sat_hook.store.postgres import PostgresEventStore

BY_BENCH = Provenance("service:bench", "bench")


class Memory:
    """The resident set as it grows: at the start, and after each phase."""

    def __init__(self) -> None:
        self.megabytes: dict[str, float] = {}

    def note(self, phase: str) -> None:
        """How much is resident now."""
        with Path("/proc/self/statm").open() as file:
            pages = int(file.read().split()[1])
        self.megabytes[phase] = round(pages * resource.getpagesize() / 1e6, 1)

    @property
    def peak_megabytes(self) -> float:
        """The most that ever was."""
        unit = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


class Line:
    """One batch and the process that works on it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.in_flight: int = options.in_flight
        self.first: int = options.first
        self.orders: int = options.orders
        self.settings = settings(options.url, Keys(options.keys), options.in_flight)
        database = Database(options.dsn, "bench")
        self.store = PostgresEventStore(database)
        self.funds = PostgresFunds(database)
        self.schedule = PostgresPollSchedule(database)
        self.handler = CommandHandler(self.store, SystemClock())
        self.spool = LocalSpool(folder)
        self.memory = Memory()
        self.batch_id = ""

    async def run(self) -> dict[str, object]:
        """Everything; returns what was measured."""
        seconds: dict[str, float] = {}

        async with AsyncSATClient(self.settings, SystemClock()) as sat:
            self.catalogue = catalogue_of(await sat.list_products())
            began = time.perf_counter()
            await asyncio.to_thread(self._take_in)
            seconds["intake"] = time.perf_counter() - began
            self.memory.note("intake")
            ready()
            phases: tuple[tuple[str, Callable[[AsyncSATClient], Awaitable[None]]], ...] = (
                ("quote", self._quote),
                ("reserve", self._reserve),
                ("execute", self._execute),
                ("settle", self._settle),
            )
            with gc_for_bulk_work():  # as the operators do
                for name, phase in phases:
                    began = time.perf_counter()
                    await phase(sat)
                    seconds[name] = time.perf_counter() - began
                    self.memory.note(name)
        ended = {count.state: count.orders for count in self.store.count_by_state(self.batch_id)}
        assert ended == {OrderState.SUCCEEDED: self.orders}, ended
        return {
            "orders": self.orders,
            "seconds": sum(seconds[name] for name, _ in phases),
            "seconds_of_phase": seconds,
            "resident_megabytes": self.memory.megabytes,
            "peak_megabytes": self.memory.peak_megabytes,
            "cpu_seconds": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
        }

    def _take_in(self) -> None:
        rows = [
            f"{order_id(number)},{PRODUCT},{client_number(number)}"
            for number in range(self.first, self.first + self.orders)
        ]
        content = "\n".join(["order_id,product_code,client_number", *rows, ""]).encode("ascii")
        self.batch_id = submit(
            self.store,
            self.spool,
            self.handler.clock,
            account=ACCOUNT,
            reference=None,
            source=BatchSource.FILE,
            file_name="bench.csv",
            content=content,
            provenance=BY_BENCH,
        ).batch_id
        take_in(self.handler, self.spool, self.batch_id, BY_BENCH)
        validate_orders(self.handler, self.batch_id, self.catalogue, BY_BENCH)

    async def _quote(self, sat: AsyncSATClient) -> None:
        limits = QuotingLimits(in_flight=self.in_flight)
        quoter = Quoter(self.handler, sat, self.catalogue, limits)
        await quoter.quote_slice(OrderSlice(self.batch_id), BY_BENCH)
        close_quoting(self.handler, self.batch_id, BY_BENCH)

    async def _reserve(self, sat: AsyncSATClient) -> None:
        seen = await look_at_deposit(sat, self.handler.clock, ACCOUNT)
        clock = self.handler.clock
        reserve(self.funds, clock, self.batch_id, seen, ShortFundsPolicy.PARTIAL, BY_BENCH)

    async def _execute(self, sat: AsyncSATClient) -> None:
        limits = ExecutionLimits(in_flight=self.in_flight)
        executor = ChunkExecutor(self.handler, sat, self.catalogue, BY_BENCH, limits)
        await executor.run(OrderSlice(self.batch_id))

    async def _settle(self, sat: AsyncSATClient) -> None:
        limits = PollingLimits(in_flight=self.in_flight, claim=self.in_flight, first_delay_seconds=0.0)
        poller = StatusPoller(self.handler, self.schedule, sat, random.SystemRandom(), limits)
        scope = PollScope(batch_id=self.batch_id)
        while orders_in_flight(self.handler, self.batch_id):
            await poller.poll_due(scope, BY_BENCH)


def main() -> None:
    """One process' share of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline_side", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--in-flight", type=int, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told(asyncio.run(Line(options, Path(folder)).run()))


if __name__ == "__main__":
    main()
