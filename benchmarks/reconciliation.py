"""``python -m benchmarks.reconciliation`` closes days of 10,000, 100,000 and 1,000,000 orders.

Each day has its own database with the day's log and signed statuses, a settlement file with a row for every
success, and two observations of the deposit. A separate process closes the day once and writes the report.
For it, and for the PostgreSQL process that serves it, elapsed and processor seconds and peak memory are
measured. Writes ``build/reconciliation.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from rich.console import Console
from rich.table import Table

from benchmarks.busy_day import ACCOUNT, SALDO_RUPIAH, write_orders
from benchmarks.processes import CHECKOUT
from sat_hook.domain.books_events import DepositObserved, SettlementMapping
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.day_close import close_day
from sat_hook.reconciliation.report import write_report
from sat_hook.reconciliation.settlement import keep_settlement
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from stack.databases import (
    APPLICATION_OWNER,
    APPLICATION_ROLES,
    ApplicationDatabase,
    drop_database,
    prepare_application,
)
from stack.postgres import EmbeddedPostgres

DAY = BusinessDay(date(2026, 11, 22))
SIZES = (10_000, 100_000, 1_000_000)
BY_BENCH = Provenance("service:bench", "bench")
TARGET_SECONDS = 90
TARGET_MEGABYTES = 2_048
LOOK_EVERY_SECONDS = 0.05
SHOWN_SECONDS = ("close_seconds", "report_seconds", "total_seconds", "processor_seconds")


class FixedClock:
    """Shows a time shortly after the cut-off."""

    def now(self) -> datetime:
        return DAY.closes_at.astimezone(UTC) + timedelta(minutes=30)

    def boottime_seconds(self) -> float:
        return 0.0


def main() -> None:
    """Measure each size once and print a table; or, as the measured process, close one day."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconciliation", description=__doc__)
    parser.add_argument("--orders", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "reconciliation.json")
    parser.add_argument("--close", nargs=2, metavar=("DSN", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.close:
        print(json.dumps(_close(options.close[0], Path(options.close[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="sat-reconciliation-") as folder:
        report = _measure(Path(folder), options.orders)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    _show(report)


def _measure(folder: Path, sizes: list[int]) -> list[dict[str, Any]]:
    # PostgreSQL may run as another user, who must be able to enter this folder.
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres", "bench", durable=False)
    server.start()
    passwords = dict.fromkeys((APPLICATION_OWNER, *APPLICATION_ROLES), "bench")
    try:
        results = []
        for orders in sizes:
            name = f"bench_{orders}"
            database = prepare_application(name, server.dsn(), passwords)
            began = time.monotonic()
            write_orders(database, DAY, orders)
            prepare_books(database, folder)
            print(f"{orders:,} orders written in {time.monotonic() - began:.0f} s", file=sys.stderr)
            results.append({"orders": orders, **_run(database, folder)})
            print(json.dumps(results[-1]), file=sys.stderr)
            drop_database(server.dsn(), name)
        return results
    finally:
        server.stop("immediate")


def prepare_books(database: ApplicationDatabase, folder: Path, breaks: int = 0) -> None:
    """Write two observations of the deposit and a settlement file.

    :param breaks: rows of the file with another price; all others agree with the orders.
    """
    with psycopg2.connect(database.owner_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT request_id, (body::jsonb #>> '{data,attributes,sales_price}')::bigint,"
            " body::jsonb #>> '{data,attributes,status}' FROM sat.status_evidence"
        )
        proofs = cursor.fetchall()
    connection.close()
    paid = [(key, price) for key, price, status in proofs if status == "Success"]
    lines = [f"{key},{price + (number < breaks)},Success" for number, (key, price) in enumerate(paid)]
    spent = sum(price for _, price, status in proofs if status != "Failed")
    store = PostgresEventStore(Database(database.writer_dsn, "bench"))
    keeper, spool = BookKeeper(store, FixedClock()), LocalSpool(folder / "spool")
    for at, saldo in ((DAY.opens_at, SALDO_RUPIAH), (DAY.closes_at, SALDO_RUPIAH - spent)):
        seen = DepositObserved(
            account=ACCOUNT, saldo_rupiah=saldo, requested_at=at, received_at=at, response_digest=None
        )
        keeper.post(ACCOUNT, Record(seen), BY_BENCH)
    imported = keep_settlement(
        spool,
        account=ACCOUNT,
        day=DAY.day,
        name="settlement-2026-11-22.csv",
        content="\n".join(("request_id,amount,status", *lines, "")).encode(),
        mapping=SettlementMapping(),
    )
    keeper.post(ACCOUNT, Record(imported), BY_BENCH)
    store.database.close()


def _run(database: ApplicationDatabase, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.reconciliation", "--close", database.writer_dsn, str(folder)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        largest = Largest(process)
        largest.start()
        assert process.stdout is not None
        said = process.stdout.read()
    largest.join()
    if process.returncode:
        raise SystemExit(f"closing ended with {process.returncode}")
    measured = json.loads(said)
    return {
        **measured,
        "postgres_megabytes": round(largest.megabytes),
        "processor_seconds": round(measured["processor_seconds"] + largest.processor_seconds, 1),
    }


class Largest(threading.Thread):
    """Watches the private memory of the server's process for ``sat-bench-close``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.megabytes = 0.0
        self.processor_seconds = 0.0

    def run(self) -> None:
        while self._process.poll() is None:
            for server in psutil.process_iter(["name", "cmdline"]):
                try:
                    words = " ".join(server.info["cmdline"] or ())
                    if words.startswith("postgres: sat_writer"):
                        # Shared buffers are the server's, not this query's.
                        memory = server.memory_info()
                        self.megabytes = max(self.megabytes, (memory.rss - memory.shared) / 2**20)
                        used = server.cpu_times()
                        self.processor_seconds = max(self.processor_seconds, used.user + used.system)
                except psutil.Error:
                    continue
            time.sleep(LOOK_EVERY_SECONDS)


def _close(dsn: str, folder: Path) -> dict[str, Any]:
    store = PostgresEventStore(Database(dsn, "sat-bench-close"))
    began = time.monotonic()
    closed = close_day(BookKeeper(store, FixedClock()), LocalSpool(folder / "spool"), ACCOUNT, DAY, BY_BENCH)
    closed_after = time.monotonic() - began
    with tempfile.TemporaryDirectory(dir=folder) as reports:
        files = write_report(closed.close, Path(reports))
        size = sum(file.size_bytes for file in files)
    assert closed.close.saldo is not None
    assert closed.close.saldo.unexplained_rupiah == 0
    # Orders that had not ended by the cut-off are in transit; nothing else may differ.
    assert closed.close.breaks == (), closed.close.breaks[:3]
    return {
        "rows": len(closed.close.orders),
        "close_seconds": round(closed_after, 1),
        "report_seconds": round(time.monotonic() - began - closed_after, 1),
        "total_seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(time.process_time(), 1),
        "process_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "report_megabytes": round(size / 2**20, 1),
    }


def _show(report: list[dict[str, Any]]) -> None:
    table = Table(title="Closing a day: four matches, breaks, report")
    for title in (
        "orders",
        "close s",
        "report s",
        "total s",
        "CPU s",
        "CPU µs an order",
        "process MB",
        "postgres MB",
    ):
        table.add_column(title, justify="right")
    for row in report:
        table.add_row(
            f"{row['orders']:,}",
            *(str(row[name]) for name in SHOWN_SECONDS),
            f"{row['processor_seconds'] / row['orders'] * 1e6:,.0f}",
            str(row["process_megabytes"]),
            str(row["postgres_megabytes"]),
        )
    console = Console()
    console.print(table)
    for row in report:
        memory = row["process_megabytes"] + row["postgres_megabytes"]
        if row["orders"] >= SIZES[-1] and (
            row["total_seconds"] > TARGET_SECONDS or memory > TARGET_MEGABYTES
        ):
            console.print(f"[red]missed[/]: {TARGET_SECONDS} s and {TARGET_MEGABYTES} MB are the targets")


if __name__ == "__main__":
    main()
