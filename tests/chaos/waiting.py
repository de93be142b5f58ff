"""A batch that waits under a real Airflow, while its callbacks arrive in every way and its processes die.

The groups of the batch differ in what happens to their callbacks. For some groups, statuses are not answered
until all planned kills are done. The SAT server's ledger is the judge.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest import mock

import psutil
import psycopg2
import requests

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.batch_events import BatchSource
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId, StreamKind
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order import Order, OrderState
from sat_hook.pipeline.batch_summary import summarise
from sat_hook.pipeline.submission import submit
from sat_hook.protocol.signing import Signer
from sat_hook.store.database import Database
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.rechecks import PostgresRecheckSchedule
from sat_hook.store.spool import LocalSpool
from sat_hook.triggers.batch import SATBatchTrigger
from stack.airflow_api import AirflowApi, AirflowApiError
from stack.airflow_settings import APPLICATION_DATABASE
from stack.errors import StackError
from stack.lifecycle import Stack
from tests.sql import execute

ACCOUNT = "demo"
PRODUCT = "25k-xl"
SUPERVISED_EVERY_SECONDS = 20.0
PRICE_RUPIAH = 30_000  # more than it costs, for topping up
TRUTH: dict[str, Any] = {"faults": []}

#: What happens to the callbacks of each group, if its name does not say so.
FAULTS: dict[str, list[dict[str, Any]]] = {
    "plain": [],
    "early": [{"fault": "callback_before_response"}],
    "lost": [{"fault": "callback_dropped"}],
    "doubled": [{"fault": "callback_duplicated", "copies": 3, "gap_seconds": 0.1}],
    "reordered": [{"fault": "callback_reordered", "hold_seconds": 3.0}],
    "stale": [{"fault": "callback_delayed", "seconds": 12.0}],
    "stranger": [{"fault": "fails"}, {"fault": "callback_forged", "manner": "stranger", "genuine": False}],
    "unsigned": [{"fault": "fails"}, {"fault": "callback_forged", "manner": "unsigned", "genuine": False}],
    "tampered": [{"fault": "fails"}, {"fault": "callback_forged", "manner": "tampered", "genuine": False}],
    "foretold": [{"fault": "callback_dropped"}],
    # Success, and a minute later Failed, without a callback.
    "taken_back": [
        {"fault": "callback_dropped"},
        {"fault": "success_then_reversed", "after_seconds": 60.0},
    ],
    # Their end stays hidden until the kills: statuses are not answered, SAT's own callbacks are lost.
    "held": [{"fault": "callback_dropped"}],
    "unheard": [{"fault": "callback_dropped"}],
    "rung": [{"fault": "callback_dropped"}],
}
FORGED = ("stranger", "unsigned", "tampered")
SILENT = ("held", "unheard", "rung")
ENDS = ("OrderSucceeded", "OrderFailed", "OrderReversed")
#: What order and ledger must show for these ends in an order's stream.
TRUE_AFTER = {
    "OrderSucceeded": (OrderState.SUCCEEDED, "Success"),
    "OrderFailed": (OrderState.FAILED, "Failed"),
    "OrderSucceeded OrderReversed": (OrderState.REVERSED, "Failed"),
}
_BUSY = {"fault": "error", "operations": ["status"], "when": "before", "status": 503, "body": "html"}


@dataclass
class Load:
    """The triggerer's cost while orders waited."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    questions: int = 0

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s of waiting: {self.cpu_seconds:.1f} CPU seconds of the triggerer, "
            f"{self.questions} questions"
        )


@dataclass
class WaitingBatch:
    """One batch on a running stack, and the actions on it while it waits.

    :param sizes: how many orders each group has; a group that is not named has none.
    :param patience: factor on the usual time for everything.
    """

    stack: Stack
    sizes: dict[str, int]
    say: Callable[[str], None] = print
    patience: float = 1.0
    mark: str = field(default_factory=lambda: f"{random.SystemRandom().getrandbits(40):010x}")
    batch_id: str = ""
    run_id: str = ""

    def __post_init__(self) -> None:
        self.settings = self.stack.settings()
        self.database = Database(self.settings.application.writer_dsn, "chaos")
        self.store = PostgresEventStore(self.database)
        self._api: AirflowApi | None = None
        self._signer = Signer((self.stack.layout.keys / "sat_private.pem").read_bytes())

    # The batch

    def order_ids(self, *groups: str) -> list[str]:
        """The submitter's ids of these groups."""
        return [f"{self.mark}-{g}-{number:05d}" for g in groups for number in range(self.sizes.get(g, 0))]

    def keys(self, *groups: str) -> list[str]:
        """The request ids of these groups."""
        return [request_id_of(ACCOUNT, order_id) for order_id in self.order_ids(*groups)]

    def lie(self) -> None:
        """Give the SAT server its faults for each group."""
        rules = [
            {**fault, "name": f"{group} {number}", "client_numbers": [f"{self._number_of(group)}*"]}
            for group, faults in FAULTS.items()
            for number, fault in enumerate(faults)
            if self.sizes.get(group)
        ]
        if silent := self.keys(*SILENT):
            rules.append({**_BUSY, "name": "silent", "request_ids": silent})
        self._put_faults({"faults": rules})

    def _number_of(self, group: str) -> str:
        """Return the prefix of a group's client numbers."""
        return f"0817{int(self.mark, 16) % 100:02d}{list(FAULTS).index(group):02d}"

    def tell_the_truth(self) -> None:
        """Stop all faults. What was lost stays lost."""
        self._put_faults(TRUTH)

    def submit(self) -> None:
        """Register the file and start the run."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["order_id", "product_code", "client_number"])
        for group in self.sizes:
            for number, order_id in enumerate(self.order_ids(group)):
                writer.writerow([order_id, PRODUCT, f"{self._number_of(group)}{number:05d}"])
        self._post("topup", {"rupiah": PRICE_RUPIAH * sum(self.sizes.values())})
        batch = submit(
            self.store,
            LocalSpool(self.stack.layout.spool),
            SystemClock(),
            account=ACCOUNT,
            reference=None,
            source=BatchSource.FILE,
            file_name=f"waiting-{self.mark}.csv",
            content=out.getvalue().encode(),
            provenance=Provenance("user:chaos", "chaos test"),
        )
        self.batch_id = batch.batch_id
        self.until_dags_are_read("bulk_disbursement", "post_final_watch", "alerts")
        conf = {"batch_id": batch.batch_id}
        self.run_id = self.api().trigger("bulk_disbursement", conf)

    def until_dags_are_read(self, *dag_ids: str) -> None:
        """Wait until Airflow has read all DAG files; a stack that has just started has not."""
        api = self.api()
        self.until(lambda: all(api.has_dag(dag_id) for dag_id in dag_ids), 60, "DAGs read")

    # What is observed of it

    def orders(self, *groups: str) -> list[Order]:
        """Return the orders of these groups."""
        return list(self.store.load_orders(self.keys(*groups)).values())

    def states(self, *groups: str) -> set[OrderState]:
        """Their states."""
        return {order.state for order in self.orders(*groups)}

    def events(self, key: str) -> list[RecordedEvent]:
        """The events of one order."""
        return self.store.read_stream(StreamId(StreamKind.ORDER, key))

    def each_order(self) -> Iterator[Order]:
        """All orders of the batch."""
        return each_order(self.store, OrderSlice(self.batch_id))

    def is_deferred(self) -> bool:
        """Whether the run's wait is with the triggerer."""
        return self._task_state("wait") == "deferred"

    def is_complete(self) -> bool:
        """Whether the log has nothing left to wait for, and the run has ended."""
        return summarise(self.store, self.batch_id).is_complete and self._task_state("results") == "success"

    def ledger(self, keys: Collection[str] = ()) -> dict[str, Any]:
        """Return the SAT server's ledger, of all orders or of some."""
        query = [("request_id", key) for key in keys]
        reply = requests.get(f"{self.settings.sandbox_url}/_sandbox/ledger", params=query, timeout=90)
        document: dict[str, Any] = reply.json()
        return document

    def fired(self, name: str) -> int:
        """Return how often a fault of the present scenario was applied."""
        reply = requests.get(f"{self.settings.sandbox_url}/_sandbox/faults", timeout=90).json()
        return int(reply["fired"].get(name, 0))

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Return rows of the application's database, read as a superuser."""
        return execute(self.stack.postgres.dsn(APPLICATION_DATABASE), query, arguments)

    # What happens to it

    def call_back(self, keys: Iterable[str], status: str = "Success") -> list[int]:
        """Send genuine callbacks to the receiver. Returns the responses."""
        with requests.Session() as http:
            http.trust_env = False
            answers = []
            for key in keys:
                document = {"data": {"type": "order", "id": key, "attributes": {"status": status}}}
                body = json.dumps(document).encode()
                headers = {
                    "Content-Type": "application/vnd.api+json",
                    "Signature": self._signer.sign(body),
                }
                reply = http.post(self.settings.callback_url, data=body, headers=headers, timeout=90)
                answers.append(reply.status_code)
        return answers

    def kill(self, victim: str) -> None:
        """Send SIGKILL to one part of the stack, by its process id."""
        if victim == "postgres":
            server = self.stack.postgres.status()
            assert server is not None
            process = psutil.Process(server.pid)
        else:
            found = self.stack.service(victim).process()
            assert found is not None
            process = found
        self.say(f"SIGKILL {victim} {process.pid}")
        process.kill()
        self.until(lambda: not _is_alive(process), 10, f"{victim} is gone")

    def until_idle(self, name: str = "silent") -> None:
        """Wait until no status query is running: a killed process keeps its claims for a while."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 0.8:
            if (now := self.fired(name)) != last:
                last, since = now, time.monotonic()
            time.sleep(0.1)

    def repair(self) -> None:
        """Restart what died, as often as needed. In production a supervisor does it; here the stack does."""
        for remaining in reversed(range(5)):
            try:
                self.stack.up()
            except (StackError, psycopg2.OperationalError) as error:
                # Processes that depended on the victim may die a moment later.
                self.say(f"not up yet: {str(error).splitlines()[0]}")
                if not remaining:
                    raise
                continue
            return

    def until(
        self, condition: Callable[[], bool], seconds: float, what: str, *, is_supervised: bool = False
    ) -> float:
        """Wait for ``condition``. Returns how long it took.

        :param is_supervised: restart what dies or gets stuck in the meantime, as in production.
        """
        began = repaired = time.monotonic()
        while not condition():
            if is_supervised and time.monotonic() - repaired > SUPERVISED_EVERY_SECONDS:
                self.repair()
                repaired = time.monotonic()
            waited = time.monotonic() - began
            assert waited < seconds * self.patience, f"{what}: not within {waited:g} seconds"
            time.sleep(0.5)
        self.say(f"{what}: {time.monotonic() - began:.1f} s")
        return time.monotonic() - began

    def second_instance(self, seconds: float) -> str:
        """Run the same trigger in this process, beside Airflow's own, and let it end normally.

        A trigger that is cut off keeps its claims until its lease is over, which would take minutes.
        """
        trigger = SATBatchTrigger(
            batch_id=self.batch_id,
            sat_conn_id="sat_default",
            db_conn_id="sat_db",
            deadline=(SystemClock().now() + timedelta(seconds=seconds)).isoformat(),
        )

        async def run() -> str:
            return [str(event.payload["end"]) async for event in trigger.run()].pop()

        variables = {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(
                {**connection, "extra": json.loads(connection["extra"] or "{}")}
            )
            for name, connection in self.settings.connections().items()
        }
        with mock.patch.dict("os.environ", variables):
            return asyncio.run(run())

    def look_again(self, *groups: str) -> None:
        """Pretend that days have passed: run the DAG that rechecks ended orders, then the one that sends
        alerts.
        """
        PostgresRecheckSchedule(self.database).enroll(1, 6)
        self.rows(
            "UPDATE sat.final_watch SET due_at = now() - interval '1 hour', next_try_at = now(),"
            " overdue_at = now() + interval '1 hour' WHERE request_id = ANY (%s) RETURNING 1",
            self.keys(*groups),
        )
        self.run_to_its_end("post_final_watch")
        self.run_to_its_end("alerts")
        # Alerts are collected from the settled log: an append of other orders may hold back the first run.
        if len(self.told()) < len(self.keys(*groups)):
            self.run_to_its_end("alerts")

    def run_to_its_end(self, dag_id: str) -> None:
        """Run a DAG without parameters; it must succeed."""
        api = self.api()
        run_id = api.trigger(dag_id, {})
        self.until(lambda: _run_state(api, dag_id, run_id) == "success", 60, dag_id, is_supervised=True)

    def told(self) -> list[tuple[Any, ...]]:
        """The kinds of the batch's alerts that people and other DAGs were told."""
        return self.rows(
            "SELECT kind FROM sat.alerts WHERE batch_id = %s"
            " AND notified_at IS NOT NULL AND announced_at IS NOT NULL",
            self.batch_id,
        )

    @contextmanager
    def measured(self) -> Iterator[Load]:
        """Measure the triggerer's cost and queries until the end of the block."""
        load = Load()
        found = self.stack.service("triggerer").session()
        before = sum(_cpu_seconds(process) for process in found)
        asked, began = self.fired("silent"), time.monotonic()
        yield load
        load.seconds = time.monotonic() - began
        load.cpu_seconds = sum(_cpu_seconds(process) for process in found) - before
        load.questions = self.fired("silent") - asked

    # How it is judged

    def judge(self) -> list[str]:
        """Check that each order was charged at most once, each end is true, and each stream has one end."""
        ledger = self.ledger()
        findings = [] if ledger["deposit"]["conserved"] else ["the deposit does not add up"]
        for order in self.each_order():
            entry = ledger["requests"].get(order.request_id)
            if entry is None or entry["posted"] != 1 or entry["charged"] != 1:
                findings.append(f"{order.request_id} was not posted and charged once: {entry}")
                continue
            types = [recorded.type_name for recorded in self.events(order.request_id)]
            ends = " ".join(name for name in types if name in ENDS)
            if (order.state, entry["status"]) != TRUE_AFTER.get(ends):
                findings.append(
                    f"{order.request_id} is called {order.state.value}, SAT says {entry['status']}: {types}"
                )
        return findings

    def close(self) -> None:
        """Leave the stack as it was found."""
        self.tell_the_truth()
        self.database.close()

    def api(self) -> AirflowApi:
        """Airflow's API as the user ``ops``."""
        return AirflowApi(self.settings.airflow_url, "ops", self.stack.credentials.user_passwords["ops"])

    def _task_state(self, task_id: str) -> str | None:
        try:
            self._api = self._api or self.api()
            return self._api.task_state("bulk_disbursement", self.run_id, task_id)
        except (AirflowApiError, requests.RequestException) as error:
            self.say(f"Airflow does not answer: {error}")
            self._api = None
            return None

    def _put_faults(self, scenario: dict[str, Any]) -> None:
        reply = requests.put(f"{self.settings.sandbox_url}/_sandbox/faults", json=scenario, timeout=90)
        assert reply.ok, reply.text

    def _post(self, route: str, document: dict[str, Any]) -> None:
        reply = requests.post(f"{self.settings.sandbox_url}/_sandbox/{route}", json=document, timeout=90)
        assert reply.ok, reply.text


def _run_state(api: AirflowApi, dag_id: str, run_id: str) -> str:
    return {str(run["dag_run_id"]): str(run["state"]) for run in api.runs(dag_id)}[run_id]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
