"""The demonstration of the main job: example orders from a file and a table, paid and reconciled.

Everything works as for a user's batch: the file goes through the command ``sat``, the table's rows through
the DAG. The progress comes from the projections. The final check compares the result files with the SAT
server's ledger.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg2
import requests
from psycopg2 import sql
from psycopg2.extras import execute_values
from rich.console import Console
from rich.table import Table

from sat_hook.domain.identity import batch_id_of, digest_of
from stack.airflow_api import AirflowApi
from stack.airflow_settings import SAT_ACCOUNT, AirflowSettings
from stack.errors import StackError
from stack.example_orders import ExampleOrders, Expectation
from stack.lifecycle import Stack
from stack.processes import finishing
from stack.progress import BatchProgress, ProgressDisplay
from stack.reckoning import ResultRow, differences, read_results, unaccounted

DAG_ID = "bulk_disbursement"
CONNECTION = "sat_default"
FILE_NAME = "orders.csv"
DEPOSIT_RUPIAH = 100_000_000
RUN_SECONDS = 600
_POLL_SECONDS = 0.25
#: Each look at the runs takes time of the API server, which the tasks need too.
_RUNS_SECONDS = 2.0
_SHOWN_DIFFERENCES = 20


class DemoError(StackError):
    """The demonstration could not continue; the text has the step and its output."""


@dataclass
class DemoBatch:
    """One of the batches of the demonstration.

    :param results: the result file, once the pipeline has recorded that it is written.
    """

    batch_id: str
    expectations: tuple[Expectation, ...]
    progress: BatchProgress
    results: Path | None = None
    has_ended: bool = False


def run(stack: Stack, console: Console) -> int:
    """Start missing parts, run the job, check it, and stop what was started.

    :returns: 0 when every order ended as expected and SAT's ledger agrees, 1 otherwise.
    :raises StackError: another demonstration runs in this folder.
    """
    with stack.only("demo"):
        return _run_alone(stack, console)


def _run_alone(stack: Stack, console: Console) -> int:
    began = time.monotonic()
    was_running = all(part.is_ready for part in stack.status()) and bool(stack.status())
    settings = stack.up()
    try:
        return Demonstration(stack, settings, console).show(began)
    finally:
        if not was_running:
            console.print("• stopping what was started ('make up' starts it again)", style="dim")
            with finishing():
                stack.down()


class Demonstration:
    """One run over the example orders on a running stack."""

    def __init__(self, stack: Stack, settings: AirflowSettings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._layout = stack.layout
        self._sandbox = f"{settings.sandbox_url}/_sandbox"
        self._airflow = AirflowApi(settings.airflow_url, "ops", stack.credentials.user_passwords["ops"])
        self._reader = psycopg2.connect(settings.application.reader_dsn)
        self._reader.autocommit = True
        self._table_run_id = ""

    def show(self, began: float) -> int:
        """Submit, follow, check and summarise."""
        with closing(self._reader):
            run_number, orders = self._next_run()
            self._wait_for_dag()
            self._top_up()
            self._let_waiting_rows_go_first()
            before = self._ledger()
            batches = self._submit(orders, run_number)
            self._follow(batches)
            return self._judge(batches, before, self._ledger(), time.monotonic() - began)

    def _next_run(self) -> tuple[int, ExampleOrders]:
        """The first run whose order ids are unused."""
        run_number = 1
        while True:
            orders = ExampleOrders.of_run(self._layout.checkout / "examples", run_number)
            ids = orders.order_ids()
            used = self._rows(
                "SELECT 1 FROM sat.orders WHERE account = %s AND order_id = ANY (%s) UNION ALL "
                "SELECT 1 FROM sat.order_intake WHERE account = %s AND order_id = ANY (%s) LIMIT 1",
                (SAT_ACCOUNT, ids, SAT_ACCOUNT, ids),
            )
            if not used:
                return run_number, orders
            run_number += 1

    def _wait_for_dag(self) -> None:
        give_up = time.monotonic() + 60
        while not self._airflow.has_dag(DAG_ID):
            if errors := self._airflow.import_errors():
                raise DemoError("Airflow cannot read the DAG: " + "\n".join(errors))
            if time.monotonic() > give_up:
                raise DemoError(f"Airflow has not found the DAG {DAG_ID} after 60 s")
            time.sleep(_POLL_SECONDS)

    def _let_waiting_rows_go_first(self) -> None:
        """Wait for earlier rows, which would otherwise become part of this run's batch."""
        waiting = "SELECT 1 FROM sat.order_intake WHERE account = %s AND claimed_by IS NULL LIMIT 1"
        if not self._rows(waiting, (SAT_ACCOUNT,)):
            return
        self._console.print("• rows wait in order_intake; they are paid first", style="dim")
        self._airflow.trigger(DAG_ID, {"account": CONNECTION})
        give_up = time.monotonic() + 60
        while self._rows(waiting, (SAT_ACCOUNT,)):
            if time.monotonic() > give_up:
                raise DemoError("rows that waited in order_intake were not taken up within 60 s")
            time.sleep(_POLL_SECONDS)

    def _top_up(self) -> None:
        missing_rupiah = DEPOSIT_RUPIAH - self._ledger()["deposit"]["now_rupiah"]
        if missing_rupiah > 0:
            reply = requests.post(f"{self._sandbox}/topup", json={"rupiah": missing_rupiah}, timeout=30)
            reply.raise_for_status()

    def _ledger(self) -> dict[str, Any]:
        reply = requests.get(f"{self._sandbox}/ledger", timeout=30)
        reply.raise_for_status()
        ledger: dict[str, Any] = reply.json()
        return ledger

    def _submit(self, orders: ExampleOrders, run_number: int) -> list[DemoBatch]:
        """Fill in the table and start its run, then submit the file as a user would."""
        reference = f"demonstration {run_number}"
        self._fill_in_table(orders, reference)
        self._table_run_id = self._airflow.trigger(DAG_ID, {"account": CONNECTION})
        file = self._layout.demo / FILE_NAME
        file.write_bytes(orders.file)
        self._sat("batch", "submit", str(file))
        return [
            _batch(FILE_NAME, batch_id_of(SAT_ACCOUNT, digest_of(orders.file)), orders.file_expectations),
            _batch("order_intake", batch_id_of(SAT_ACCOUNT, reference), orders.table_expectations),
        ]

    def _sat(self, *arguments: str) -> str:
        """Run the command ``sat`` as a user would; returns its output."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "sat"), *arguments],
            env={**os.environ, **self._settings.command_line_environment()},
            cwd=self._layout.checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"'sat {' '.join(arguments)}' ended with {done.returncode}:\n{done.stdout}")
        return done.stdout.strip()

    def _fill_in_table(self, orders: ExampleOrders, reference: str) -> None:
        columns = list(orders.table[0])
        rows = [(SAT_ACCOUNT, reference, *(row[name] or None for name in columns)) for row in orders.table]
        insert = sql.SQL("INSERT INTO sat.order_intake ({}) VALUES %s").format(
            sql.SQL(", ").join(map(sql.Identifier, ("account", "batch_reference", *columns)))
        )
        connection = psycopg2.connect(self._settings.application.writer_dsn)
        with closing(connection), connection, connection.cursor() as cursor:
            execute_values(cursor, insert, rows)

    def _follow(self, batches: Sequence[DemoBatch]) -> None:
        """Show progress until every batch has its result file and its run has ended."""
        look_at_runs = time.monotonic()
        give_up = look_at_runs + RUN_SECONDS
        with ProgressDisplay(self._console, [batch.progress for batch in batches]) as display:
            while not all(batch.has_ended for batch in batches):
                if time.monotonic() > give_up:
                    raise DemoError(f"not at its end after {RUN_SECONDS} s; look at it with 'make up'")
                self._look(batches)
                display.update()
                if time.monotonic() > look_at_runs:
                    self._stop_at_a_failed_run(batches)
                    look_at_runs = time.monotonic() + _RUNS_SECONDS
                time.sleep(_POLL_SECONDS)

    def _look(self, batches: Sequence[DemoBatch]) -> None:
        ids = [batch.batch_id for batch in batches]
        documents = dict(
            self._rows("SELECT batch_id, document FROM sat.batches WHERE batch_id = ANY (%s)", (ids,))
        )
        counted = self._rows(
            "SELECT batch_id, state, count(*) FROM sat.orders WHERE batch_id = ANY (%s) GROUP BY 1, 2", (ids,)
        )
        for batch in batches:
            document = documents.get(batch.batch_id)
            if document is None:
                continue
            batch.progress.stage = document["state"]
            batch.progress.counts = {state: count for of, state, count in counted if of == batch.batch_id}
            batch.progress.counts["set aside"] = document["set_aside"]
            if document["results_uri"] and document["state"] in ("completed", "refused"):
                batch.results = Path(unquote(urlsplit(document["results_uri"]).path))
                batch.has_ended = True

    def _stop_at_a_failed_run(self, batches: Sequence[DemoBatch]) -> None:
        ids = {batch.batch_id for batch in batches}
        for run in self._airflow.runs(DAG_ID):
            is_ours = run["dag_run_id"] == self._table_run_id or run["conf"].get("batch_id") in ids
            if is_ours and run["state"] == "failed":
                tasks = ", ".join(self._airflow.failed_tasks(DAG_ID, run["dag_run_id"]))
                page = f"{self._settings.airflow_url}/dags/{DAG_ID}/runs/{run['dag_run_id']}"
                raise DemoError(f"the run failed in {tasks}; 'make up' shows it at {page}")

    def _judge(
        self, batches: Sequence[DemoBatch], before: dict[str, Any], after: dict[str, Any], seconds: float
    ) -> int:
        found: list[str] = []
        results: list[ResultRow] = []
        for batch in batches:
            assert batch.results is not None
            rows = read_results(batch.results.read_bytes())
            found += differences(rows, batch.expectations, after["requests"])
            results += rows
        found += unaccounted(self._known_request_ids(), before, after)
        self._summarise(batches, results, after, seconds)
        for proof in (("log", "verify"), ("projections", "rebuild", "--check")):
            self._console.print(f"{self._sat(*proof)} (sat {' '.join(proof)})", markup=False, soft_wrap=True)
        if not found:
            self._console.print(
                "every order ended as expected, and SAT's ledger agrees order by order", style="green"
            )
            return 0
        self._console.print(f"{len(found)} differences:", style="red")
        for line in found[:_SHOWN_DIFFERENCES]:
            self._console.print(f"  {line}", markup=False, soft_wrap=True)
        return 1

    def _known_request_ids(self) -> set[str]:
        """The request ids of all orders of the account, because an earlier batch may still be running."""
        return {
            row[0]
            for row in self._rows("SELECT request_id FROM sat.orders WHERE account = %s", (SAT_ACCOUNT,))
        }

    def _summarise(
        self,
        batches: Sequence[DemoBatch],
        results: Sequence[ResultRow],
        ledger: dict[str, Any],
        seconds: float,
    ) -> None:
        rows: Counter[str] = Counter(row.verdict for row in results)
        rupiah: Counter[str] = Counter()
        for row in results:
            if not row.is_repeat:
                rupiah[row.verdict] += row.charged_rupiah or 0
        table = Table(title=f"{len(results)} rows in {seconds:.0f} s", title_justify="left", box=None)
        table.add_column("how they ended")
        table.add_column("rows", justify="right")
        table.add_column("rupiah", justify="right")
        for verdict, count in rows.most_common():
            table.add_row(verdict, str(count), f"{rupiah[verdict]:,}" if rupiah[verdict] else "")
        table.add_row("[bold]together", f"[bold]{len(results)}", f"[bold]{rupiah.total():,}")
        self._console.print(table)
        self._console.print(f"deposit left: {ledger['deposit']['now_rupiah']:,} rupiah", highlight=False)
        for batch in batches:
            self._console.print(f"results: {batch.results}", markup=False, soft_wrap=True)

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._reader.cursor() as cursor:
            cursor.execute(query, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


def _batch(name: str, batch_id: str, expectations: tuple[Expectation, ...]) -> DemoBatch:
    return DemoBatch(batch_id, expectations, BatchProgress(name, rows=len(expectations)))
