"""Kills processes in the middle of real batches while the SAT server lies; its ledger is the judge.

The kills are limited in number and time, and only hit processes of the given stack, by pid.
"""

from __future__ import annotations

import csv
import io
import itertools
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import psutil
import requests

from sat_hook.audit.log_verification import verify_log
from sat_hook.audit.rebuild import compare_projections
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.batch_events import BatchSource
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order, OrderState
from sat_hook.pipeline.batch_summary import summarise
from sat_hook.pipeline.submission import submit
from sat_hook.store.database import Database
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from stack.airflow_api import AirflowApi, AirflowApiError
from stack.errors import StackError
from stack.lifecycle import Stack
from stack.processes import Service

_BAD_GATEWAY = {"fault": "error", "operations": ["checkout"], "when": "after", "status": 502, "body": "html"}
_BUSY = {"fault": "error", "operations": ["status"], "when": "before", "status": 503, "body": "html"}
_SLOW = {"fault": "delay", "operations": ["checkout"], "distribution": "fixed", "seconds": 0.5}
LIES: dict[str, Any] = {
    "faults": [
        {"fault": "request_lost", "operations": ["checkout"], "rate": 0.05, "manner": "reset"},
        {"fault": "response_lost", "operations": ["checkout"], "rate": 0.05, "manner": "reset"},
        {**_BAD_GATEWAY, "rate": 0.03},
        {**_BUSY, "rate": 0.05},
        {**_SLOW, "rate": 1.0},
        {"fault": "callback_dropped", "rate": 0.3},
        {"fault": "callback_duplicated", "rate": 0.3, "copies": 2, "gap_seconds": 0.2},
        {"fault": "callback_before_response", "rate": 0.1},
    ]
}
TRUTH: dict[str, Any] = {"faults": []}

SENT = (OrderState.SUBMITTING, OrderState.PENDING, OrderState.UNKNOWN)
VICTIMS = ("task", "scheduler", "triggerer", "api-server", "postgres")
_TASK = re.compile(r"^airflow worker -- (LocalExecutor: )?[0-9a-f-]{36}")


@dataclass
class Verdict:
    """The result of the siege."""

    kills: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {name}" for name, count in self.kills.items()) or "none"
        ends = ", ".join(f"{count} {name}" for name, count in self.orders.items())
        found = "\n".join(f"  FOUND: {finding}" for finding in self.findings)
        word = "HELD" if not self.findings else "BROKEN"
        return f"{found}\n{word}: kills: {kills}; orders: {ends}; {self.seconds:.0f} s".lstrip("\n")


class Siege:
    """Batches in progress on a running stack, and the kills that interrupt them."""

    victims: ClassVar[Sequence[str]] = VICTIMS

    def __init__(self, stack: Stack, chance: random.Random, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._chance = chance
        # Every number is used once: the guards would hold a second order for a person.
        self._numbers = itertools.count(chance.randrange(10**8))
        self._say = say
        self._spool = LocalSpool(stack.layout.spool)
        self._database = Database(stack.settings().application.writer_dsn, "chaos")
        self._store = PostgresEventStore(self._database)
        self._batches: dict[str, str] = {}
        self._kills: dict[str, int] = {}
        self._began = 0.0

    def lay(self, *, batches: int, orders: int, kills: int) -> None:
        """Submit, kill, and then let SAT tell the truth again."""
        self._began = time.monotonic()
        self._lie(LIES)
        for _ in range(batches):
            self._submit(orders)
        for number in range(kills):
            if all(summarise(self._store, batch_id).is_complete for batch_id in self._batches):
                # A kill counts only in the middle of work.
                self._submit(orders)
            self._until(lambda: any(order.state in SENT for order in self._orders()), 300)
            self._kill(self.victims[number % len(self.victims)])
            self._repair()
        self._lie(TRUTH)

    def lift(self, seconds: float) -> Verdict:
        """Wait at most this long for the ends of all orders, and judge."""
        findings = self._wait_for_ends(time.monotonic() + seconds)
        verdict = Verdict(self._kills, self._counts(), time.monotonic() - self._began, findings)
        verdict.findings.extend(self._judge())
        verify_log(self._database, lambda finding: verdict.findings.append(str(finding)))
        compare_projections(self._database, lambda finding: verdict.findings.append(str(finding)))
        self._database.close()
        return verdict

    # What happens

    def _sandboxes(self) -> list[str]:
        """The addresses of the SAT servers."""
        return [self._stack.settings().sandbox_url]

    def _lie(self, scenario: dict[str, Any]) -> None:
        for sandbox in self._sandboxes():
            reply = requests.put(f"{sandbox}/_sandbox/faults", json=scenario, timeout=90)
            assert reply.ok, reply.text

    def _file(self, orders: int) -> tuple[str, bytes]:
        """The name and the bytes of a file with new orders."""
        mark = f"{self._chance.getrandbits(40):010x}"
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["order_id", "product_code", "client_number"])
        for row in range(orders):
            writer.writerow([f"{mark}-{row:04d}", "25k-xl", f"0817{next(self._numbers) % 10**8:08d}"])
        return f"chaos-{mark}.csv", out.getvalue().encode()

    def _chunk_rows(self, orders: int) -> int:
        return max(50, orders // 4)

    def _submit(self, orders: int) -> None:
        name, content = self._file(orders)
        batch = submit(
            self._store,
            self._spool,
            SystemClock(),
            account="demo",
            reference=None,
            source=BatchSource.FILE,
            file_name=name,
            content=content,
            provenance=Provenance("user:chaos", "chaos test"),
        )
        conf = {"batch_id": batch.batch_id, "chunk_rows": self._chunk_rows(orders)}
        self._batches[batch.batch_id] = self._api().trigger("bulk_disbursement", conf)

    def _kill(self, victim: str) -> None:
        """Kill one process of the kind while orders are in flight."""
        self._until(lambda: self._find(victim) is not None, 60)
        process = self._find(victim)
        if process is None:
            self._say(f"no {victim} runs at this moment; the scheduler is killed instead")
            # It may have died with an earlier victim, just after it was looked up.
            self._repair()
            victim = "scheduler"
            process = self._find(victim)
            assert process is not None
        self._say(f"SIGKILL {victim} {process.pid}")
        self._end(process)
        self._kills[victim] = self._kills.get(victim, 0) + 1
        time.sleep(self._chance.uniform(0.2, 2.0))

    def _end(self, process: psutil.Process) -> None:
        process.kill()

    def _find(self, victim: str) -> psutil.Process | None:
        if victim == "postgres":
            server = self._stack.postgres.status()
            return psutil.Process(server.pid) if server is not None else None
        if victim != "task":
            return self._service(victim).process()
        tasks = [p for p in self._service("scheduler").session() if _TASK.match(_title(p))]
        return self._chance.choice(tasks) if tasks else None

    def _service(self, name: str) -> Service:
        return self._stack.service(name)

    def _repair(self) -> None:
        """Restart what died, as often as needed. In production a supervisor does it; here the stack does."""
        for remaining in reversed(range(5)):
            try:
                self._stack.up()
            except StackError as error:
                # Processes that depended on the victim may die a moment later.
                self._say(f"not up yet: {str(error).splitlines()[0]}")
                if not remaining:
                    raise
                continue
            return

    # How it ends

    def _wait_for_ends(self, deadline: float) -> list[str]:
        """Clear failed tasks and run recovery, as people and the schedule do, until everything has ended."""
        recovered = 0.0
        while time.monotonic() < deadline:
            if all(summarise(self._store, batch_id).is_complete for batch_id in self._batches):
                return []
            if time.monotonic() - recovered > 8:
                recovered = time.monotonic()
                self._repair()
                self._nudge()
            time.sleep(2)
        return [
            f"batch {batch_id} has not ended in time: {self._states_of(batch_id)}"
            for batch_id in self._batches
            if not summarise(self._store, batch_id).is_complete
        ]

    def _nudge(self) -> None:
        try:
            api = self._api()
            api.trigger("order_recovery", {})
            states = {run["dag_run_id"]: run["state"] for run in api.runs("bulk_disbursement")}
            for batch_id, run_id in list(self._batches.items()):
                if states.get(run_id) in ("failed", "success") and summarise(self._store, batch_id).unsent:
                    self._batches[batch_id] = api.trigger("bulk_disbursement", self._again(batch_id))
        except (AirflowApiError, requests.RequestException) as error:
            self._say(f"Airflow is not ready for a nudge: {error}")

    def _again(self, batch_id: str) -> dict[str, str]:
        """The parameters of another run of a batch."""
        return {"batch_id": batch_id}

    def _judge(self) -> list[str]:
        """The SAT server's ledger against the log: each id charged at most once, each rupiah explained."""
        ledgers = [requests.get(f"{one}/_sandbox/ledger", timeout=90).json() for one in self._sandboxes()]
        charges = {key: entry for ledger in ledgers for key, entry in ledger["requests"].items()}
        findings = ["the deposit does not add up" for one in ledgers if not one["deposit"]["conserved"]]
        orders = {order.request_id: order for order in self._orders()}
        for request_id, order in orders.items():
            entry = charges.get(request_id)
            charged = entry["charged"] if entry else 0
            if charged > 1:
                findings.append(f"{request_id} was charged {charged} times")
            if order.state is OrderState.SUCCEEDED and charged != 1:
                findings.append(f"{request_id} is called succeeded and was charged {charged} times")
            if order.state in (OrderState.FAILED, OrderState.REJECTED) and entry and entry["net_rupiah"]:
                findings.append(f"{request_id} is called {order.state.value} and cost {entry['net_rupiah']}")
        return findings

    def _orders(self) -> Iterator[Order]:
        for batch_id in self._batches:
            yield from each_order(self._store, OrderSlice(batch_id))

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for order in self._orders():
            counts[order.state.value] = counts.get(order.state.value, 0) + 1
        return counts

    def _states_of(self, batch_id: str) -> str:
        return ", ".join(f"{c.orders} {c.state.value}" for c in summarise(self._store, batch_id).counts)

    def _api(self) -> AirflowApi:
        settings = self._stack.settings()
        return AirflowApi(settings.airflow_url, "ops", self._stack.credentials.user_passwords["ops"])

    def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not condition():
            time.sleep(0.1)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
