"""``python -m benchmarks.console``: the time that pages and checks of the console take; tables and JSON.

PostgreSQL, the pages and the client run on two cores. Each page is asked for several times by a user with
every right; the first answer, with cold caches, is shown beside the median and the slowest of the others.
Then drafts of many rows are read and checked.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from benchmarks.console_check import ScriptedConnection, measure_checks
from benchmarks.console_data import ACCOUNT, Sizes, batch_of_number, fill
from benchmarks.measuring import PASSWORDS
from benchmarks.processes import CHECKOUT
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import prepare_application
from stack.postgres import EmbeddedPostgres
from tests.console_server import COOKIE, console_server
from tests.web_host import FakeAccounts, FakeHost, FakeUser

CORES = 2
GOAL_MILLISECONDS = 300.0
GOAL_OF_CHECK_SECONDS = 10.0
USER = "ops"

console = Console(width=110)


def pages(largest: str, order: str) -> dict[str, str]:
    """Each page by its name."""
    batch = f"/batches/{largest}"
    return {
        "home": "/",
        "batches": "/batches",
        "batches by file": "/batches?text=orders",
        "batch of 100,000": batch,
        "batch, failed orders": f"{batch}?state=failed",
        "batch, by amount": f"{batch}?sort=amount&descending=true",
        "batch, one product": f"{batch}?product=50k-simpati",
        "orders": "/orders",
        "held orders": "/orders?state=held",
        "escalated orders": "/orders?state=escalated",
        "order": f"/orders/{order}",
        "approvals": "/approvals",
        "deliveries": "/deliveries",
        "products": "/products",
        "products by text": "/products?text=pulsa",
        "accounts": "/accounts",
        "new batch": "/new",
    }


def main() -> None:
    """Fill a database, and ask for every page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--largest", type=int, default=100_000, help="orders of the largest batch")
    parser.add_argument("--times", type=int, default=10, help="how often each page is asked for")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the drafts that are checked")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "bench-console.json")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory(prefix="sat-bench-") as folder:
        sizes = Sizes(orders=options.orders, largest=options.largest)
        report = _measure(Path(folder), sizes, options.times, options.rows)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    _show(report)
    console.print(f"Written to {options.output}")


def _measure(folder: Path, sizes: Sizes, times: int, rows: int) -> dict[str, Any]:
    # PostgreSQL may run as another user, who must be able to enter this folder.
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres", "bench")
    server.start()
    try:
        database = prepare_application("bench_console", server.dsn(), PASSWORDS)
        began = time.monotonic()
        fill(database.owner_dsn, sizes)
        filled = time.monotonic() - began
        with closing(Database(database.writer_dsn, "bench-console")) as connected:
            host = FakeHost(FakeUser(USER), store=PostgresEventStore(connected), folder=folder)
            host.accounts = FakeAccounts({"sat_default": ACCOUNT}, {"sat_default": ScriptedConnection()})
            with console_server(host) as url:
                measured = _ask(url, connected, times)
            checks = measure_checks(host, rows)
    finally:
        server.stop()
    return {
        "orders": sizes.orders,
        "largest": sizes.largest,
        "filled_seconds": filled,
        "pages": measured,
        "checks": checks,
    }


def _ask(url: str, database: Database, times: int) -> dict[str, dict[str, Any]]:
    largest = batch_of_number(0)
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT request_id FROM sat.orders WHERE batch_id = %s LIMIT 1", (largest,))
        ((order,),) = cursor.fetchall()
    measured = {}
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set(COOKIE, USER)
        for name, path in pages(largest, order).items():
            seconds, status, size = [], 0, 0
            for _ in range(times):
                began = time.perf_counter()
                answer = session.get(f"{url}/console{path}", timeout=120)
                seconds.append(time.perf_counter() - began)
                status, size = answer.status_code, len(answer.content)
            measured[name] = {
                "path": path,
                "status": status,
                "bytes": size,
                "first_milliseconds": seconds[0] * 1000,
                "median_milliseconds": median(seconds[1:] or seconds) * 1000,
                "slowest_milliseconds": max(seconds[1:] or seconds) * 1000,
            }
    return measured


def _show(report: dict[str, Any]) -> None:
    table = Table(
        "page", "status", "kB", "first ms", "median ms", "slowest ms", f"under {GOAL_MILLISECONDS:.0f}"
    )
    for name, page in report["pages"].items():
        median_ms = page["median_milliseconds"]
        is_good = page["status"] == 200 and median_ms < GOAL_MILLISECONDS
        table.add_row(
            name,
            str(page["status"]),
            f"{page['bytes'] / 1000:,.0f}",
            f"{page['first_milliseconds']:,.0f}",
            f"{median_ms:,.0f}",
            f"{page['slowest_milliseconds']:,.0f}",
            "yes" if is_good else "[red]no[/]",
        )
    console.print(table)
    checks = Table(
        "draft", "rows", "read s", "CPU s", "check s", "CPU s", f"under {GOAL_OF_CHECK_SECONDS:.0f}"
    )
    for name, check in report["checks"].items():
        checks.add_row(
            name,
            f"{check['rows']:,}",
            *(
                f"{check[part]:.1f}"
                for part in (
                    "read_seconds",
                    "read_processor_seconds",
                    "check_seconds",
                    "check_processor_seconds",
                )
            ),
            "yes" if check["check_seconds"] < GOAL_OF_CHECK_SECONDS else "[red]no[/]",
        )
    console.print(checks)
    console.print(
        f"{report['orders']:,} orders, {report['largest']:,} in the largest batch; filled in "
        f"{report['filled_seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
