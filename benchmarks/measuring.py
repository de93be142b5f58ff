"""Runs sides against the stub and the database, and keeps the measurements."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import psycopg2

from benchmarks.processes import Side, started
from benchmarks.processor import Usage
from benchmarks.stub import ServedStub
from benchmarks.world import Keys
from stack.databases import (
    APPLICATION_OWNER,
    APPLICATION_ROLES,
    ApplicationDatabase,
    clone_database,
    drop_database,
    prepare_application,
)
from stack.postgres import EmbeddedPostgres

TEMPLATE = "bench_template"
PASSWORDS = dict.fromkeys((APPLICATION_OWNER, *APPLICATION_ROLES), "bench")


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run.

    :param others_cores: how many processors other processes kept busy during it; it is noise if not near 0.
    :param processor_milliseconds: per order, by side.
    """

    orders: int
    orders_per_second: float
    others_cores: float | None
    processor_milliseconds: dict[str, float]
    documents: list[dict[str, Any]]


@dataclass(slots=True)
class Series:
    """The runs of one thing."""

    runs: list[Run] = field(default_factory=list)

    @property
    def orders_per_second(self) -> float:
        """The median."""
        return median(run.orders_per_second for run in self.runs)

    def as_dict(self) -> dict[str, Any]:
        """Return the series for the report."""
        speeds = [run.orders_per_second for run in self.runs]
        return {
            "orders": self.runs[0].orders,
            "orders_per_second": round(self.orders_per_second, 1),
            "lowest": round(min(speeds), 1),
            "highest": round(max(speeds), 1),
            "runs": len(speeds),
            "others_cores": [run.others_cores for run in self.runs],
            "processor_milliseconds_per_order": self.runs[-1].processor_milliseconds,
        }


@dataclass(frozen=True)
class Bench:
    """What every run needs."""

    stub: ServedStub
    keys: Keys
    server: EmbeddedPostgres
    _names: Iterator[int] = field(default_factory=lambda: count(1))

    @classmethod
    def prepared(cls, stub: ServedStub, keys: Keys, server: EmbeddedPostgres) -> Bench:
        """Prepare a migrated database that the runs copy."""
        prepare_application(TEMPLATE, server.dsn(), PASSWORDS)
        return cls(stub, keys, server)

    def durability(self) -> dict[str, str]:
        """Return the server's settings for the durability of commits."""
        with psycopg2.connect(self.server.dsn()) as connection, connection.cursor() as cursor:
            said = {}
            for setting in ("server_version", "fsync", "synchronous_commit", "full_page_writes"):
                cursor.execute(f"SHOW {setting}")
                said[setting] = str((cursor.fetchone() or ("unknown",))[0])
        connection.close()
        return said

    def bare(self, orders: int, in_flight: int) -> Run:
        """Run the wire alone."""
        return self._run(
            [["benchmarks.bare_side", *self._peer(orders), "--in-flight", str(in_flight)]], False
        )

    def py_sat(self, orders: int, threads: int) -> Run:
        """Run py-sat-sdk."""
        return self._run([["benchmarks.py_sat_side", *self._peer(orders), "--threads", str(threads)]], False)

    def pipeline(self, orders: int, in_flight: int, processes: int = 1) -> Run:
        """Run the product on its own database; ``orders`` is the sum over all processes."""
        share = orders // processes
        with self.database() as database:
            commands = [
                self._pipeline_command(database, share, in_flight, 1 + number * share)
                for number in range(processes)
            ]
            return self._run(commands, True)

    def pipeline_on(self, database: ApplicationDatabase, orders: int, in_flight: int, first: int) -> Run:
        """Run the product in one process on a database that may have orders: those from ``first`` on."""
        return self._run([self._pipeline_command(database, orders, in_flight, first)], True)

    def _pipeline_command(
        self, database: ApplicationDatabase, orders: int, in_flight: int, first: int
    ) -> list[str]:
        return [
            "benchmarks.pipeline_side",
            *self._peer(orders),
            *("--in-flight", str(in_flight)),
            *("--first", str(first)),
            *("--dsn", database.writer_dsn),
        ]

    def headroom(self, requests: int, statuses: Path) -> float:
        """Measure the most requests a second that the stub serves."""
        command = ["benchmarks.load_side", "--url", self.stub.url, "--statuses", str(statuses)]
        with started([*command, "--requests", str(requests)]) as side:
            side.line()
            side.go()
            document = side.document()
        return float(document["requests"]) / float(document["seconds"])

    def _peer(self, orders: int) -> list[str]:
        return ["--url", self.stub.url, "--keys", str(self.keys.folder), "--orders", str(orders)]

    def _run(self, commands: Sequence[Sequence[str]], uses_database: bool) -> Run:
        with ExitStack() as stack:
            sides: list[Side] = [stack.enter_context(started(command)) for command in commands]
            for side in sides:
                side.line()
            pids = {f"process {number}": side.process.pid for number, side in enumerate(sides, 1)}
            pids["stub"] = self.stub.pid
            server = self.server.status()
            if uses_database and server is not None:
                pids["postgresql"] = server.pid
            before, began = Usage.now(pids), time.perf_counter()
            for side in sides:
                side.go()
            documents = [side.document() for side in sides]
            seconds = time.perf_counter() - began
            used = Usage.now(pids).since(before)
        orders = sum(document["orders"] for document in documents)
        others = used.others
        return Run(
            orders=orders,
            orders_per_second=orders / max(document["seconds"] for document in documents),
            others_cores=None if others is None else round(others / seconds, 2),
            processor_milliseconds={
                name: round(1000 * spent / orders, 3) for name, spent in used.by_side.items()
            },
            documents=documents,
        )

    @contextmanager
    def database(self) -> Iterator[ApplicationDatabase]:
        """A migrated database of its own."""
        name = f"bench_{next(self._names)}"
        clone_database(self.server.dsn(), TEMPLATE, name, owner=APPLICATION_OWNER)
        try:
            yield ApplicationDatabase.named(name, self.server.dsn(), PASSWORDS)
        finally:
            drop_database(self.server.dsn(), name)
