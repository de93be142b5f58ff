"""``python -m benchmarks.scale`` pays orders until the log has so many; what does an order cost at each size?

All orders are really paid, against the stub, in one database. At each size the last batch counts: a flat
column means that an order costs the same whatever the log holds. Writes ``build/bench-scale.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg2
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Bench, Run
from benchmarks.processes import CHECKOUT
from benchmarks.stub import serving
from benchmarks.world import Keys, write_statuses
from stack.databases import ApplicationDatabase
from stack.postgres import EmbeddedPostgres

LATENCY_SECONDS = 0.05
IN_FLIGHT = 256
SHORT = (10_000, 50_000)
LONG = (10_000, 100_000, 1_000_000)

console = Console()


@dataclass(frozen=True, slots=True)
class Sized:
    """What an order of the last batch costs when the log has so many orders.

    :param database_bytes: of the whole database, an empty one's included, by its orders.
    :param transactions: committed in the database.
    :param seconds_of_phase: per 1,000 orders.
    :param others_cores: how many processors other processes kept busy; the speed is noise if not near 0.
    """

    orders_in_log: int
    orders_per_second: float
    task_milliseconds: float
    postgresql_milliseconds: float | None
    database_bytes: int
    wal_bytes: int
    transactions: float
    connections: int
    seconds_of_phase: dict[str, float]
    others_cores: float | None


def main() -> None:
    """Pay, measure, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--short", action="store_true", help="10,000 and 50,000 orders only (3 minutes)")
    parser.add_argument("--batch", type=int, default=5_000, help="orders of a batch")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "bench-scale.json")
    options = parser.parse_args()
    sizes = SHORT if options.short else LONG
    with tempfile.TemporaryDirectory(prefix="sat-bench-") as folder:
        rows = _measure(Path(folder), sizes, options.batch)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", "utf-8")
    _show(rows)


def _measure(folder: Path, sizes: tuple[int, ...], batch: int) -> list[Sized]:
    folder.chmod(0o755)  # PostgreSQL may run as another user, who must be able to enter this folder
    keys, statuses = Keys.made_in(folder), folder / "statuses.tsv"
    console.print(f"signing {sizes[-1]:,} statuses beforehand")
    write_statuses(statuses, keys, sizes[-1])
    server = EmbeddedPostgres(folder / "postgres", "bench")
    server.start()
    try:
        with serving(statuses, LATENCY_SECONDS) as stub:
            return _paid(Bench.prepared(stub, keys, server), sizes, batch)
    finally:
        server.stop("immediate")


def _paid(bench: Bench, sizes: tuple[int, ...], batch: int) -> list[Sized]:
    rows: list[Sized] = []
    with bench.database() as database:
        for first in range(1, sizes[-1] + 1, batch):
            before = _counters(database)
            with _most_connections(database) as most:
                run = bench.pipeline_on(database, batch, IN_FLIGHT, first)
            done = first + batch - 1
            if done in sizes:
                rows.append(_sized(done, run, before, _counters(database), most[0]))
                console.print(f"{done:,} orders: {run.orders_per_second:,.0f} orders/s")
    return rows


def _sized(
    orders_in_log: int, run: Run, before: tuple[int, int, int], after: tuple[int, int, int], connections: int
) -> Sized:
    [document] = run.documents
    used = run.processor_milliseconds
    return Sized(
        orders_in_log=orders_in_log,
        orders_per_second=round(run.orders_per_second, 1),
        task_milliseconds=used["process 1"],
        postgresql_milliseconds=used.get("postgresql"),
        database_bytes=after[0] // orders_in_log,
        wal_bytes=(after[1] - before[1]) // run.orders,
        transactions=round((after[2] - before[2]) / run.orders, 2),
        connections=connections,
        seconds_of_phase={
            name: round(1000 * seconds / run.orders, 2)
            for name, seconds in document["seconds_of_phase"].items()
        },
        others_cores=run.others_cores,
    )


def _counters(database: ApplicationDatabase) -> tuple[int, int, int]:
    """The database's bytes, the position of its WAL, and its transactions."""
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_database_size(current_database()), pg_current_wal_lsn() - '0/0', "
            "(SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())"
        )
        size, wal, transactions = cursor.fetchone() or (0, 0, 0)
    return int(size), int(wal), int(transactions)


@contextmanager
def _most_connections(database: ApplicationDatabase) -> Iterator[list[int]]:
    """The most connections of the pipeline that a look each half second finds."""
    most, ended = [0], threading.Event()

    def look() -> None:
        with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not ended.wait(0.5):
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                most[0] = max(most[0], int((cursor.fetchone() or (0,))[0]))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        ended.set()
        looking.join()


def _show(rows: list[Sized]) -> None:
    title = f"Cost of an order by orders in the log; {IN_FLIGHT} in flight, {LATENCY_SECONDS * 1000:.0f} ms"
    table = Table(title=title)
    for column in (
        "orders",
        "orders/s",
        "task ms",
        "server ms",
        "bytes",
        "WAL",
        "commits",
        "connections",
        "others",
    ):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            f"{row.orders_in_log:,}",
            f"{row.orders_per_second:,.0f}",
            f"{row.task_milliseconds:.2f}",
            "-" if row.postgresql_milliseconds is None else f"{row.postgresql_milliseconds:.2f}",
            f"{row.database_bytes:,}",
            f"{row.wal_bytes:,}",
            f"{row.transactions:.2f}",
            str(row.connections),
            "-" if row.others_cores is None else f"{row.others_cores:.2f}",
        )
    console.print(table)
    for row in rows:
        phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in row.seconds_of_phase.items())
        console.print(f"{row.orders_in_log:,} orders in the log, seconds per 1,000 orders: {phases}")


if __name__ == "__main__":
    main()
