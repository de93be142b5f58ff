"""``python -m benchmarks.books``: finance and audit in the console, over a day of many orders and breaks.

A day is written straight into the database, its settlement file names another price for some orders, and
the nightly close closes it, in a process of its own, with its report. Then a user with every right asks for
each page, takes each file, and decides all breaks at once. Shown are times, the largest growth of the
server's memory during a download, and the time until its first bytes. Processor time is that of the pages and
the client; PostgreSQL's is not in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg2
import requests
from rich.console import Console
from rich.table import Table

from benchmarks.busy_day import ACCOUNT, write_orders
from benchmarks.measuring import PASSWORDS
from benchmarks.processes import CHECKOUT
from benchmarks.reconciliation import BY_BENCH, DAY, FixedClock, prepare_books
from sat_hook.application.nightly_close import NightlyClose
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from stack.databases import prepare_application
from stack.postgres import EmbeddedPostgres
from tests.console_server import COOKIE, console_server
from tests.web_host import FakeAccounts, FakeHost, FakeUser

GOAL_MILLISECONDS = 500.0
USER = "finance"
DAY_PATH = f"/days/{ACCOUNT}/{DAY.day}"
FILES = ("xlsx", "pdf", "breaks", "orders")

console = Console(width=110)


def pages(break_id: str, position: int) -> dict[str, str]:
    """Each page by its name."""
    return {
        "days": f"/days?account={ACCOUNT}&month={DAY.day:%Y-%m}",
        "a day": DAY_PATH,
        "a day's signatures": f"/days/{ACCOUNT}/sign?day={DAY.day}",
        "orders of a day": f"{DAY_PATH}/orders",
        "orders of a product": f"{DAY_PATH}/orders?product=25k-xl",
        "breaks": "/breaks",
        "breaks by size": "/breaks?sort=size",
        "breaks of a day": f"/breaks?day={DAY.day}",
        "breaks, explained": "/breaks?state=explained",
        "breaks, one category": "/breaks?category=amount",
        "breaks of no one": "/breaks?assignee=-",
        "breaks, all states": f"/breaks?state=all&account={ACCOUNT}",
        "a break": f"/breaks/{break_id}",
        "settlement files": "/settlements",
        "top-ups": "/topups",
        "prices": "/prices",
        "margin": f"/prices/margin?account={ACCOUNT}",
        "log": "/audit",
        "log of the account": f"/audit?account={ACCOUNT}",
        "an event": f"/audit/events/{position}",
        "who did what": "/audit/acts",
        "verification": "/audit/verification",
    }


def main() -> None:
    """Fill a database, close the day, and ask for everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.books", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--breaks", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5, help="how often each page is asked for")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "bench-books.json")
    parser.add_argument("--close", nargs=2, metavar=("DSN", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.close:
        _close(options.close[0], Path(options.close[1]))
        return
    with tempfile.TemporaryDirectory(prefix="sat-bench-") as folder:
        report = _measure(Path(folder), options.orders, options.breaks, options.times)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    _show(report)


def _measure(folder: Path, orders: int, breaks: int, times: int) -> dict[str, Any]:
    # PostgreSQL may run as another user, who must be able to enter this folder.
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres", "bench")
    server.start()
    try:
        database = prepare_application("bench_books", server.dsn(), PASSWORDS)
        write_orders(database, DAY, orders)
        prepare_books(database, folder, breaks)
        began = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.books", "--close", database.writer_dsn, str(folder)]
        subprocess.run(command, cwd=CHECKOUT, check=True)
        closed = time.monotonic() - began
        with psycopg2.connect(database.owner_dsn) as connection, connection.cursor() as cursor:
            cursor.execute("ANALYZE")
            cursor.execute("SELECT break_id FROM sat.breaks WHERE is_listed ORDER BY break_id LIMIT 1")
            ((break_id,),) = cursor.fetchall()
            cursor.execute("SELECT max(position) FROM sat.events")
            ((position,),) = cursor.fetchall()
        connection.close()
        with closing(Database(database.writer_dsn, "bench-books")) as connected:
            host = FakeHost(FakeUser(USER), store=PostgresEventStore(connected), folder=folder / "spool")
            host.accounts = FakeAccounts({"sat_default": ACCOUNT})
            with console_server(host) as url, requests.Session() as session:
                session.trust_env = False
                session.cookies.set(COOKIE, USER)
                asked = {
                    name: _asked(session, f"{url}/console{path}", times)
                    for name, path in pages(break_id, position).items()
                }
                files = {kind: _taken(session, f"{url}/console{DAY_PATH}/files/{kind}") for kind in FILES}
                decided = _decided(session, f"{url}/v1/breaks")
                afterwards = {
                    name: _asked(session, f"{url}/console{path}", times)
                    for name, path in pages(break_id, position).items()
                    if name in ("days", "a day", "breaks", "breaks, explained", "a break", "who did what")
                }
    finally:
        server.stop()
    return {
        "orders": orders,
        "breaks": breaks,
        "closed_seconds": closed,
        "pages": asked,
        "files": files,
        "decision": decided,
        "pages_after_the_decision": afterwards,
    }


def _close(dsn: str, folder: Path) -> None:
    """Close the day and write its report, as the nightly run does."""
    with closing(Database(dsn, "bench-close")) as database:
        store, results = PostgresEventStore(database), LocalSpool(folder / "spool")
        NightlyClose(store, FixedClock(), ACCOUNT, results, list, BY_BENCH).close(DAY.day, 0)


def _asked(session: requests.Session, url: str, times: int) -> dict[str, Any]:
    seconds, processor, status, size = [], [], 0, 0
    for _ in range(times + 1):
        began, used = time.perf_counter(), time.process_time()
        answer = session.get(url, timeout=120)
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
        status, size = answer.status_code, len(answer.content)
    first, *others = seconds
    return {
        "status": status,
        "bytes": size,
        "first_milliseconds": first * 1000,
        "median_milliseconds": median(others) * 1000,
        "slowest_milliseconds": max(others) * 1000,
        "processor_milliseconds": median(processor[1:]) * 1000,
    }


def _taken(session: requests.Session, url: str) -> dict[str, Any]:
    """Download a file and throw it away, while the memory of this process, the server's, is watched."""
    with Grown() as grown:
        began, size = time.perf_counter(), 0
        with session.get(url, stream=True, timeout=600) as answer:
            first = time.perf_counter() - began
            for part in answer.iter_content(64 * 1024):
                size += len(part)
        taken = time.perf_counter() - began
    return {
        "status": answer.status_code,
        "bytes": size,
        "first_bytes_milliseconds": first * 1000,
        "milliseconds": taken * 1000,
        "grown_megabytes": grown.megabytes,
    }


def _decided(session: requests.Session, url: str) -> dict[str, Any]:
    """Explain every break that stands, as one decision."""
    act = {"decision": "explain", "filter": {"account": ACCOUNT}}
    began = time.perf_counter()
    preview = session.post(f"{url}/preview", json=act, headers=_key(), timeout=600)
    preview.raise_for_status()
    previewed = time.perf_counter() - began
    body = {**act, "digest": preview.json()["digest"], "reason": "the file of the day was wrong"}
    began = time.perf_counter()
    decided = session.post(f"{url}/decide", json=body, headers=_key(), timeout=600)
    decided.raise_for_status()
    while not decided.json()["ended_at"]:
        # It is answered after some seconds as far as it is, and goes on.
        time.sleep(0.1)
        address = f"{url}/decisions/{decided.json()['decision_id']}"
        decided = session.get(address, headers=_key(), timeout=600)
        decided.raise_for_status()
    seconds = time.perf_counter() - began
    return {
        "breaks": preview.json()["breaks"],
        "preview_milliseconds": previewed * 1000,
        "decide_seconds": seconds,
    }


def _key() -> dict[str, str]:
    return {"Authorization": f"Bearer {USER}", "Idempotency-Key": uuid.uuid4().hex}


class Grown(threading.Thread):
    """Watches by how many megabytes the memory of this process grows."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.megabytes = 0.0
        self._is_over = threading.Event()

    def __enter__(self) -> Grown:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()

    def run(self) -> None:
        process = psutil.Process()
        before = process.memory_info().rss
        while not self._is_over.wait(0.01):
            self.megabytes = max(self.megabytes, (process.memory_info().rss - before) / 2**20)


def _show(report: dict[str, Any]) -> None:
    table = Table("page", "status", "kB", "first ms", "median ms", "slowest ms", "CPU ms", "under 500")
    shown = [*report["pages"].items()]
    shown += [
        (f"{name}, after the decision", page) for name, page in report["pages_after_the_decision"].items()
    ]
    for name, page in shown:
        is_good = page["status"] == 200 and page["median_milliseconds"] < GOAL_MILLISECONDS
        table.add_row(
            name,
            str(page["status"]),
            f"{page['bytes'] / 1000:,.0f}",
            *(
                f"{page[f'{which}_milliseconds']:,.0f}"
                for which in ("first", "median", "slowest", "processor")
            ),
            "yes" if is_good else "[red]no[/]",
        )
    console.print(table)
    files = Table("file", "status", "MB", "first bytes ms", "ms", "memory MB")
    for name, file in report["files"].items():
        files.add_row(
            name,
            str(file["status"]),
            f"{file['bytes'] / 2**20:,.1f}",
            f"{file['first_bytes_milliseconds']:,.0f}",
            f"{file['milliseconds']:,.0f}",
            f"{file['grown_megabytes']:,.1f}",
        )
    console.print(files)
    decision = report["decision"]
    console.print(
        f"{report['orders']:,} orders and {report['breaks']:,} breaks, closed in "
        f"{report['closed_seconds']:.0f} s; preview of all {decision['preview_milliseconds']:,.0f} ms, "
        f"{decision['breaks']:,} decided in {decision['decide_seconds']:.1f} s"
    )


if __name__ == "__main__":
    main()
