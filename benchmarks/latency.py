"""``python -m benchmarks.latency``: how long small batches take on a running stack, and which task takes it.

It starts the stack of ``make up`` in a temporary folder, with free ports. Airflow tells when each task was
queued, started and ended; the log tells when the events of the batch were recorded.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg2
import requests
from rich.console import Console
from rich.table import Table

from sat_hook.application.batch_run import STEPS
from stack.airflow_api import AirflowApi
from stack.layout import Layout
from stack.lifecycle import Stack
from stack.ports import Ports
from stack.postgres import free_port

DAG_ID = "bulk_disbursement"
CONNECTION = "sat_default"
BATCH_SECONDS = 900
POLL_SECONDS = 0.5
SETTLE_SECONDS = 20
#: SAT takes this long to pay an order. It is not what is measured.
FULFILMENT = {"fulfilment": {"min_seconds": 0.5, "max_seconds": 1.0}}

MOMENTS = ("started", "first_checkout", "paid", "results")

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Moments:
    """One batch, in seconds since its submission began."""

    started: float
    first_checkout: float
    paid: float
    results: float


def main() -> None:
    """Start a stack, measure, and stop it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1], help="submitted at once")
    parser.add_argument("--orders", type=int, default=5, help="of a batch")
    parser.add_argument("--rounds", type=int, default=3, help="one after the other; medians count")
    parser.add_argument("--waiting", type=int, default=0, help="batches that wait for approval")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the stack"
    )
    wanted = parser.parse_args()
    # However it is ended, the stack ends, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with _running(dict(one.split("=", 1) for one in wanted.set)) as stack:
        bench = LatencyBench(stack, wanted.orders)
        # The first batch warms the parts up and is not counted.
        bench.measure(1)
        if wanted.waiting:
            bench.park(wanted.waiting)
        for batches in wanted.batches:
            bench.forget()
            for _ in range(wanted.rounds):
                bench.measure(batches)
            bench.show()


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


@contextmanager
def _running(overrides: Mapping[str, str]) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="sat-latency-") as folder:
        Path(folder).chmod(0o755)
        layout = Layout(Layout.here().checkout, Path(folder) / "state")
        layout.make_folders()
        stack = Stack(layout, lambda line: console.print(f"• {line}", style="dim"), overrides)
        ports = Ports(postgres=free_port(), api=free_port(), sandbox=free_port())
        layout.ports.write_text(json.dumps(asdict(ports)), "utf-8")
        try:
            settings = stack.up()
            requests.put(
                f"{settings.sandbox_url}/_sandbox/faults", json=FULFILMENT, timeout=30
            ).raise_for_status()
            yield stack
        finally:
            stack.down()


class LatencyBench:
    """Batches on a running stack, and what Airflow and the log say about them."""

    def __init__(self, stack: Stack, orders: int) -> None:
        self._stack = stack
        self._orders = orders
        settings = stack.settings()
        self._airflow = AirflowApi(settings.airflow_url, "ops", stack.credentials.user_passwords["ops"])
        self._application = settings.application.reader_dsn
        self._metadata = settings.metadata_dsn(settings.ports.postgres)
        self._numbers = itertools.count(10_000_000)
        self.forget()
        while not self._airflow.has_dag(DAG_ID):
            time.sleep(POLL_SECONDS)

    def forget(self) -> None:
        """Forget what was measured."""
        self._moments: list[list[Moments]] = []
        self._tasks: dict[str, list[list[float]]] = {}
        self._cpu: list[dict[str, float]] = []

    def park(self, batches: int) -> None:
        """Submit batches that wait for an approval."""
        for _ in range(batches):
            self._submit({"approval_over_rupiah": 0})
        give_up = time.monotonic() + BATCH_SECONDS
        waiting = "SELECT count(*) FROM task_instance WHERE task_id = 'approve' AND state = 'deferred'"
        while (found := self._rows(self._metadata, waiting)[0][0]) < batches:
            if time.monotonic() > give_up:
                raise SystemExit(f"{found} of {batches} batches wait for an approval after {BATCH_SECONDS} s")
            time.sleep(POLL_SECONDS)
        console.print(f"{batches} batches wait for an approval")

    def measure(self, batches: int) -> None:
        """Submit batches at once, and wait for all results."""
        time.sleep(SETTLE_SECONDS)
        before = self._processor_seconds()
        began = datetime.now(UTC)
        ids = [self._submit({}) for _ in range(batches)]
        self._wait_for_ends(ids)
        used = {name: seconds - before[name] for name, seconds in self._processor_seconds().items()}
        moments = [self._moments_of(batch_id, began) for batch_id in ids]
        sent, paid, ended = (max(getattr(one, name) for one in moments) for name in MOMENTS[1:])
        console.print(
            f"{batches} × {self._orders} orders: first checkout "
            f"{min(one.first_checkout for one in moments):.1f} s, all begun {sent:.1f} s, "
            f"all paid {paid:.1f} s, all results {ended:.1f} s; "
            f"{sum(used.values()):.1f} s of processor time"
        )
        self._moments.append(moments)
        self._cpu.append(used)
        for batch_id in ids:
            self._note_tasks(batch_id)

    def show(self) -> None:
        """Print medians."""
        steps = Table(title="Median seconds of each task")
        for column in ("task", "until queued", "until started", "running"):
            steps.add_column(column, justify="left" if column == "task" else "right")
        for name in sorted(self._tasks, key=STEPS.index):
            columns = zip(*self._tasks[name], strict=True)
            steps.add_row(name, *(f"{median(column):.2f}" for column in columns))
        console.print(steps)
        ends = Table(title=f"Median of {len(self._moments)} rounds, seconds since the submission")
        for column in ("", "first batch", "last batch"):
            ends.add_column(column, justify="left" if not column else "right")
        for name in MOMENTS:
            by_round = [[getattr(one, name) for one in moments] for moments in self._moments]
            ends.add_row(
                name.replace("_", " "),
                f"{median(map(min, by_round)):.1f}",
                f"{median(map(max, by_round)):.1f}",
            )
        console.print(ends)
        used = {name: median(one[name] for one in self._cpu) for name in self._cpu[0]}
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in used.items())
        console.print(f"Processor seconds of a round: {sum(used.values()):.1f} ({parts})")

    def _submit(self, parameters: Mapping[str, object]) -> str:
        rows = [f"L-{next(self._numbers)}" for _ in range(self._orders)]
        lines = [f"{row},25k-xl,0817{row[2:]}" for row in rows]
        content = "\n".join(["order_id,product_code,client_number", *lines]).encode()
        query = {"account": CONNECTION, "file_name": f"{rows[0]}.csv"}
        submitted = self._airflow.ask("POST", "/sat/v1/batches", params=query, data=content)
        batch_id = str(submitted["batch_id"])
        self._airflow.ask("POST", f"/sat/v1/batches/{batch_id}/start", json={"parameters": parameters})
        return batch_id

    def _wait_for_ends(self, ids: Sequence[str]) -> None:
        """Until the runs of all batches have ended."""
        ended = (
            "SELECT count(*) FROM dag_run "
            "WHERE dag_id = %s AND conf->>'batch_id' = ANY (%s) AND state IN ('success', 'failed')"
        )
        give_up = time.monotonic() + BATCH_SECONDS
        while (found := self._rows(self._metadata, ended, (DAG_ID, list(ids)))[0][0]) < len(ids):
            if time.monotonic() > give_up:
                raise SystemExit(f"{found} of {len(ids)} runs have ended after {BATCH_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def _moments_of(self, batch_id: str, began: datetime) -> Moments:
        recorded = (
            "SELECT min(recorded_at) FILTER (WHERE type = 'CheckoutRequested'), "
            "max(recorded_at) FILTER (WHERE type = 'OrderSucceeded'), "
            "max(recorded_at) FILTER (WHERE type = 'BatchCompleted') FROM sat.events WHERE stream = %s "
            "OR stream IN (SELECT 'order/' || request_id FROM sat.orders WHERE batch_id = %s)"
        )
        found = self._rows(self._application, recorded, (f"batch/{batch_id}", batch_id))[0]
        assert None not in found, f"batch {batch_id} was not paid"
        sent, paid, ended = ((at - began).total_seconds() for at in found)
        run = "SELECT start_date FROM dag_run WHERE dag_id = %s AND conf->>'batch_id' = %s"
        started = self._rows(self._metadata, run, (DAG_ID, batch_id))[0][0]
        return Moments((started - began).total_seconds(), sent, paid, ended)

    def _note_tasks(self, batch_id: str) -> None:
        """Read when each task was ready, queued, started and ended. A deferred task is queued twice; what is
        kept is its last part.
        """
        query = (
            "SELECT t.task_id, t.queued_dttm, t.start_date, t.end_date, t.scheduled_dttm "
            "FROM task_instance t "
            "JOIN dag_run r USING (dag_id, run_id) WHERE r.dag_id = %s AND r.conf->>'batch_id' = %s "
            "ORDER BY t.end_date"
        )
        ends: list[datetime] = []
        for task, queued, started, end, scheduled in self._rows(self._metadata, query, (DAG_ID, batch_id)):
            since = max((one for one in ends if one <= queued), default=scheduled)
            waits = ((queued - since), (started - queued), (end - started))
            self._tasks.setdefault(task, []).append([part.total_seconds() for part in waits])
            ends.append(end)

    def _rows(self, dsn: str, query: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(query, arguments)
            return cursor.fetchall()

    def _processor_seconds(self) -> dict[str, float]:
        """What each part has used up to now, with the processes that it has started."""
        server = self._stack.postgres.status()
        assert server is not None
        postgres = psutil.Process(server.pid)
        sessions = {name: self._stack.service(name).session() for name in self._stack.service_names}
        sessions["postgres"] = [postgres, *postgres.children(recursive=True)]
        return {name: sum(map(_seconds_of, session)) for name, session in sessions.items()}


def _seconds_of(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0


if __name__ == "__main__":
    main()
