"""``python -m benchmarks.receiver``: durable callbacks a second, and the latency of each; a table and JSON.

Everything runs on two cores: the receiver as ``sat receiver serve`` runs it, PostgreSQL with fsync, and the
sender. A callback counts when it was answered 200, and every one that counts must be in the inbox.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import requests
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import PASSWORDS
from benchmarks.processes import CHECKOUT, BenchmarkError, started
from benchmarks.processor import Usage
from sat_hook.protocol.signing import generate_key_pair
from stack.databases import ApplicationDatabase, prepare_application
from stack.postgres import EmbeddedPostgres

CORES = 2
ACCOUNT = "bench"
START_SECONDS = 30.0

FAST_RATE, FAST_GOAL = 1_150.0, 1_000.0
STEADY_RATE, STEADY_GOAL_MILLISECONDS = 300.0, 50.0
# More than can be sent, so the result is the receiver's maximum.
FLOOD_RATE = 20_000.0
CONNECTIONS = 64
QUIET_CORES = 0.15
"""Figures are marked as noisy above this much work of other processes."""

console = Console(width=110)


def main() -> None:
    """Measure a steady load, a fast one, and the maximum."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.receiver", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of the steady and of the fast load")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "bench-receiver.json")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        # Before anything is started: every side inherits it.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory(prefix="sat-bench-") as folder:
        report = _measure(Path(folder), options.seconds)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    _show(report)
    console.print(f"Written to {options.output}")


def _measure(folder: Path, seconds: float) -> dict[str, Any]:
    # PostgreSQL may run as another user, who must be able to enter this folder.
    folder.chmod(0o755)
    private_pem, public_pem = generate_key_pair()
    (folder / "private.pem").write_bytes(private_pem)
    (folder / "public.pem").write_bytes(public_pem)
    server = EmbeddedPostgres(folder / "postgres", "bench")
    server.start()
    try:
        database = prepare_application("bench_receiver", server.dsn(), PASSWORDS)
        with _receiver(folder, database) as (url, pid):
            loads = {"steady": STEADY_RATE, "fast": FAST_RATE, "most": FLOOD_RATE}
            bench = _Bench(folder, database, server, url, pid)
            counts = {
                "steady": round(STEADY_RATE * seconds),
                "fast": round(FAST_RATE * seconds),
                "most": round(FAST_RATE * seconds / 2),
            }
            bench.run(500, STEADY_RATE)  # connections, caches and plans are warm afterwards
            runs = {name: bench.run(counts[name], rate) for name, rate in loads.items()}
            durability = _durability(database)
    finally:
        server.stop("immediate")
    return {
        **runs,
        "goals": {
            "callbacks_per_second": FAST_GOAL,
            "p99_milliseconds_at_300": STEADY_GOAL_MILLISECONDS,
        },
        "is_met": runs["fast"]["kept_per_second"] >= FAST_GOAL
        and runs["steady"]["p99_milliseconds"] < STEADY_GOAL_MILLISECONDS,
        "postgresql": durability,
        "machine": {
            "cores": CORES,
            "system": platform.platform(),
            "python": platform.python_version(),
            "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    }


class _Bench:
    def __init__(
        self, folder: Path, database: ApplicationDatabase, server: EmbeddedPostgres, url: str, pid: int
    ) -> None:
        self._folder, self._database, self._server = folder, database, server
        self._url, self._pid = url, pid
        self._sent = 0

    def run(self, callbacks: int, rate: float) -> dict[str, Any]:
        """Send that many distinct callbacks, and check that each acknowledged one is kept."""
        command = [
            "benchmarks.callback_side",
            *("--url", self._url),
            *("--private-key", str(self._folder / "private.pem")),
            *("--first", str(self._sent)),
            *("--callbacks", str(callbacks)),
            *("--rate", str(rate)),
            *("--connections", str(CONNECTIONS)),
        ]
        first, self._sent = self._sent, self._sent + callbacks
        with started(command) as side:
            side.line()
            running = self._server.status()
            assert running is not None
            pids = {"receiver": self._pid, "sender": side.process.pid, "postgresql": running.pid}
            before, began = Usage.now(pids), time.perf_counter()
            side.go()
            sent = side.document()
            used = Usage.now(pids).since(before)
            seconds = time.perf_counter() - began
        acknowledged = sent["statuses"].get("200", 0)
        kept, commits = self._kept(first, callbacks)
        if kept < acknowledged:
            raise BenchmarkError(f"{acknowledged} callbacks were acknowledged, {kept} are kept")
        latencies = sent["latencies"]
        others = used.others
        return {
            "offered_per_second": rate,
            "callbacks": callbacks,
            "statuses": sent["statuses"],
            "kept": kept,
            "kept_per_second": round(acknowledged / sent["seconds"], 1),
            "p50_milliseconds": _percentile(latencies, 0.50),
            "p99_milliseconds": _percentile(latencies, 0.99),
            "highest_milliseconds": _percentile(latencies, 1.0),
            "most_unanswered": sent["most_unanswered"],
            "callbacks_per_commit": round(kept / max(1, commits), 1),
            "processor_milliseconds_per_callback": {
                name: round(1000 * spent / callbacks, 3) for name, spent in used.by_side.items()
            },
            "others_cores": None if others is None else round(others / seconds, 2),
        }

    def _kept(self, first: int, callbacks: int) -> tuple[int, int]:
        with closing(psycopg2.connect(self._database.owner_dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*), count(DISTINCT xmin::text) FROM sat.callback_inbox"
                " WHERE request_id >= %s AND request_id < %s",
                (f"S{first:031d}", f"S{first + callbacks:031d}"),
            )
            kept, commits = cursor.fetchone() or (0, 0)
        return kept, commits


@contextmanager
def _receiver(folder: Path, database: ApplicationDatabase) -> Iterator[tuple[str, int]]:
    """Start ``sat receiver serve``. Yields its callback URL and process id."""
    settings = folder / "receiver.json"
    content = {"dsn": database.receiver_dsn, "accounts": {ACCOUNT: {"public_key_paths": ["public.pem"]}}}
    settings.write_text(json.dumps(content), "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [str(Path(sysconfig.get_path("scripts")) / "sat"), "receiver", "serve", "--port", str(port)]
    environment = {**os.environ, "SAT_RECEIVER_CONFIG": str(settings)}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _is_healthy(port):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise BenchmarkError("the receiver did not start; its own words stand above")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/sat/callbacks/{ACCOUNT}", process.pid
        finally:
            process.terminate()


def _is_healthy(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/sat/health", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def _durability(database: ApplicationDatabase) -> dict[str, str]:
    with closing(psycopg2.connect(database.receiver_dsn)) as connection, connection.cursor() as cursor:
        said = {}
        for setting in ("server_version", "fsync", "synchronous_commit", "full_page_writes"):
            cursor.execute(f"SHOW {setting}")
            said[setting] = str((cursor.fetchone() or ("unknown",))[0])
    return said


def _percentile(values: list[float], share: float) -> float:
    """In milliseconds, of sorted seconds."""
    if not values:
        return float("inf")
    return round(1000 * values[min(len(values) - 1, int(share * len(values)))], 2)


def _show(report: dict[str, Any]) -> None:
    table = Table(title=f"Callbacks on {CORES} cores, with PostgreSQL and the sender beside them")
    for column in ("", "offered/s", "kept/s", "p50 ms", "p99 ms", "longest ms", "a commit", "others' cores"):
        table.add_column(column, justify="right" if column else "left")
    for name in ("steady", "fast", "most"):
        run = report[name]
        is_flood = run["offered_per_second"] == FLOOD_RATE
        table.add_row(
            name,
            "all at once" if is_flood else f"{run['offered_per_second']:,.0f}",
            f"{run['kept_per_second']:,.0f}",
            # Of a flood they say how long it was, and nothing about the receiver.
            *(
                "" if is_flood else f"{run[f'{name}_milliseconds']:,.1f}"
                for name in ("p50", "p99", "highest")
            ),
            f"{run['callbacks_per_commit']:,.1f}",
            "?" if run["others_cores"] is None else f"{run['others_cores']:.2f}",
        )
    console.print(table)
    if any((report[name]["others_cores"] or 0) > QUIET_CORES for name in ("steady", "fast", "most")):
        console.print("Other work ran on this machine meanwhile: on a quiet one the figures are better.")
    console.print(
        f"goals: ≥ {FAST_GOAL:,.0f} kept a second, p99 < {STEADY_GOAL_MILLISECONDS:.0f} ms at "
        f"{STEADY_RATE:.0f} a second: {'met' if report['is_met'] else 'missed'}"
    )


if __name__ == "__main__":
    main()
