"""The product: one task process that takes the orders of one batch from their quotes to their ends.

It runs the batch as the operators do, with commits that PostgreSQL has flushed. The clock starts after intake
and validation, which call SAT only for its catalogue.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks.processes import ready, told
from benchmarks.world import ACCOUNT, PRODUCT, Keys, client_number, order_id, settings
from sat_hook.application.batch_run import BatchRun
from sat_hook.application.ports import StepLimits, ports_on
from sat_hook.application.run_facts import RunFacts
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.batch_events import BatchSource, ShortFundsPolicy
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.gc_tuning import gc_for_bulk_work
from sat_hook.pipeline.limits import ExecutionLimits, PollingLimits, QuotingLimits
from sat_hook.pipeline.submission import submit
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool

BY_BENCH = Provenance("service:bench", "bench")


class Memory:
    """The growth of the resident memory: at the start, and after each phase."""

    def __init__(self) -> None:
        self.megabytes: dict[str, float] = {}

    def note(self, phase: str) -> None:
        """Record the resident memory now."""
        with Path("/proc/self/statm").open() as file:
            pages = int(file.read().split()[1])
        self.megabytes[phase] = round(pages * resource.getpagesize() / 1e6, 1)

    @property
    def peak_megabytes(self) -> float:
        """Return the peak."""
        unit = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


class Bench:
    """One batch and the process that works on it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.first: int = options.first
        self.orders: int = options.orders
        account = settings(options.url, Keys(options.keys), options.in_flight)
        database, clock, spool = Database(options.dsn, "bench"), SystemClock(), LocalSpool(folder)
        self.ports = ports_on(
            database,
            CommandHandler(PostgresEventStore(database), clock),
            account,
            partial(AsyncSATClient, account, clock),
            submissions=spool,
            results=spool,
            limits=StepLimits(
                quoting=QuotingLimits(in_flight=options.in_flight),
                execution=ExecutionLimits(in_flight=options.in_flight),
                polling=PollingLimits(
                    in_flight=options.in_flight, claim=options.in_flight, first_delay_seconds=0.0
                ),
            ),
        )
        self.run = BatchRun(self.ports, self._submitted(), RunFacts(BY_BENCH, run="bench"))
        self.memory = Memory()

    async def measured(self) -> dict[str, object]:
        """Run everything. Returns the measurements."""
        seconds: dict[str, float] = {}
        began = time.perf_counter()
        await asyncio.to_thread(self.run.intake)
        await self.run.validate()
        seconds["intake"] = time.perf_counter() - began
        self.memory.note("intake")
        ready()
        phases: tuple[tuple[str, Callable[[], Awaitable[object]]], ...] = (
            ("quote", self._quote),
            ("guard", partial(asyncio.to_thread, self.run.guard)),
            ("reserve", partial(self.run.reserve, ShortFundsPolicy.PARTIAL, self.ports.limits.funding)),
            ("execute", self.run.execute),
            ("settle", self._settle),
        )
        with gc_for_bulk_work():  # as the operators do
            for name, phase in phases:
                began = time.perf_counter()
                await phase()
                seconds[name] = time.perf_counter() - began
                self.memory.note(name)
        ended = {count.state: count.orders for count in self.ports.store.count_by_state(self.run.batch_id)}
        assert ended == {OrderState.SUCCEEDED: self.orders}, ended
        return {
            "orders": self.orders,
            "seconds": sum(seconds[name] for name, _ in phases),
            "seconds_of_phase": seconds,
            "resident_megabytes": self.memory.megabytes,
            "peak_megabytes": self.memory.peak_megabytes,
            "cpu_seconds": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
        }

    def _submitted(self) -> str:
        rows = [
            f"{order_id(number)},{PRODUCT},{client_number(number)}"
            for number in range(self.first, self.first + self.orders)
        ]
        return submit(
            self.ports.store,
            self.ports.submissions,
            self.ports.clock,
            account=ACCOUNT,
            reference=None,
            source=BatchSource.FILE,
            file_name="bench.csv",
            content="\n".join(["order_id,product_code,client_number", *rows, ""]).encode("ascii"),
            provenance=BY_BENCH,
        ).batch_id

    async def _quote(self) -> None:
        await self.run.quote()
        await asyncio.to_thread(self.run.close_quotes)

    async def _settle(self) -> None:
        async with self.ports.sat() as sat:
            while (await self.run.wait(sat)).left:
                pass


def main() -> None:
    """Run one process' share of a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline_side", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--in-flight", type=int, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told(asyncio.run(Bench(options, Path(folder)).measured()))


if __name__ == "__main__":
    main()
