"""Approval on a real Airflow: the maker asks, somebody else answers, and only then is anything sent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
import requests

from sat_hook.domain.identity import batch_id_of
from stack.lifecycle import Stack

DAG = "/api/v2/dags/bulk_disbursement"
MAKER, CHECKER, VIEWER = "ops", "approver", "viewer"
HEADER = "order_id,product_code,client_number\n"


@dataclass
class Office:
    """A running stack and the people who use it."""

    url: str
    sandbox_url: str
    reader_dsn: str
    tokens: dict[str, str]

    def ask(self, method: str, path: str, user: str, **more: Any) -> requests.Response:
        """A request as ``user``."""
        headers = {"Authorization": f"Bearer {self.tokens[user]}"}
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=90, **more)

    def submit(self, content: str, **conf: object) -> tuple[str, str]:
        """Submit and run a file as its maker; returns the batch and the run."""
        query = {"account": "sat_default", "file_name": "orders.csv"}
        reply = self.ask("POST", "/sat/v1/batches", MAKER, params=query, data=content.encode())
        assert reply.status_code == 200, reply.text
        batch_id = str(reply.json()["batch_id"])
        return batch_id, self.run(batch_id, **conf)

    def run(self, batch_id: str | None, **conf: object) -> str:
        """Run a batch, or the rows that wait in the table, as its maker."""
        body = {"logical_date": None, "conf": {"batch_id": batch_id, **conf}}
        reply = self.ask("POST", f"{DAG}/dagRuns", MAKER, json=body)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["dag_run_id"])

    def request_of(self, run_id: str) -> dict[str, Any]:
        """What the run's approval shows, once it waits for an answer."""

        def look() -> dict[str, Any] | None:
            task = self.ask("GET", f"{DAG}/dagRuns/{run_id}/taskInstances/approve", MAKER).json()
            assert task.get("state") not in ("success", "failed", "upstream_failed"), task
            if task.get("state") != "awaiting_input":
                return None
            shown: dict[str, Any] = self.ask("GET", self._answer_path(run_id), MAKER).json()
            return None if shown["response_received"] else shown

        found: dict[str, Any] = self.until(look)
        return found

    def decide(self, run_id: str, option: str, user: str, done: Callable[[], object]) -> None:
        """Answer, until the answer has come to something.

        An answer within a moment of the question can be lost: Airflow takes the end of the process that asked
        for that of the task that was queued meanwhile, and tries it again. No person is that fast.
        """

        def look() -> bool | None:
            if done():
                return True
            time.sleep(1)
            reply = self.answer(run_id, option, user)
            # 409: it is answered already, and the task has not come to it yet.
            assert reply.status_code in (200, 409), reply.text
            return None

        self.until(look)

    def answer(self, run_id: str, option: str, user: str) -> requests.Response:
        """Answer the run's request for approval."""
        body = {"chosen_options": [option], "params_input": {}}
        return self.ask("PATCH", self._answer_path(run_id), user, json=body)

    def end_of(self, run_id: str) -> str:
        """How the run ended."""

        def look() -> str | None:
            state = str(self.ask("GET", f"{DAG}/dagRuns/{run_id}", MAKER).json()["state"])
            return state if state in ("success", "failed") else None

        try:
            return str(self.until(look))
        except AssertionError as error:
            listed = self.ask("GET", f"{DAG}/dagRuns/{run_id}/taskInstances", MAKER).json()["task_instances"]
            tasks = {task["task_id"]: (task["state"], task["try_number"]) for task in listed}
            raise AssertionError(f"{error}: {tasks}") from None

    def events(self, batch_id: str, type_name: str) -> list[tuple[str, dict[str, Any]]]:
        """Actor and data of a batch's events of a type."""
        with closing(psycopg2.connect(self.reader_dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT actor, data FROM sat.events WHERE stream = %s AND type = %s ORDER BY version",
                (f"batch/{batch_id}", type_name),
            )
            return [(actor, json.loads(data)) for actor, data in cursor.fetchall()]

    def states(self, batch_id: str) -> list[str]:
        """The states of a batch's orders, by row."""
        with closing(psycopg2.connect(self.reader_dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT state FROM sat.orders WHERE batch_id = %s ORDER BY row_number", (batch_id,)
            )
            return [state for (state,) in cursor.fetchall()]

    def until(self, look: Callable[[], Any]) -> Any:
        """What ``look`` finds; a busy machine takes its time over a dozen tasks."""
        give_up = time.monotonic() + 400
        while (found := look()) is None:
            assert time.monotonic() < give_up, "nothing came within 400 seconds"
            time.sleep(0.3)
        return found

    def _answer_path(self, run_id: str) -> str:
        return f"{DAG}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"


@pytest.fixture
def office(running_stack: Stack) -> Office:
    """The shared stack, with a token for each of its users and money in its deposit."""
    settings = running_stack.settings()
    tokens = {
        user: requests.post(
            f"{settings.airflow_url}/auth/token", json={"username": user, "password": password}, timeout=90
        ).json()["access_token"]
        for user, password in running_stack.credentials.user_passwords.items()
    }
    office = Office(settings.airflow_url, settings.sandbox_url, settings.application.reader_dsn, tokens)
    office.until(lambda: office.ask("GET", DAG, MAKER).ok or None)
    topup = requests.post(f"{settings.sandbox_url}/_sandbox/topup", json={"rupiah": 10_000_000}, timeout=90)
    topup.raise_for_status()
    return office


@pytest.mark.timeout(900)
def test_a_batch_is_sent_once_somebody_else_has_approved_it(office: Office) -> None:
    """Viewers may not answer, makers do not count, other options are refused; the checker's answer sends.

    Then a held twin is released by its maker: the next run asks again, and a rejection ends it.
    """
    mark = int(time.time()) % 10_000_000
    twin = f"25k-xl,0817{mark:08d}"
    rows = f"H{mark}-1,{twin}\nH{mark}-2,50k-simpati,0812{mark:08d}\nH{mark}-3,{twin}\n"
    batch_id, run_id = office.submit(HEADER + rows, approval_over_rupiah=0)
    shown = office.request_of(run_id)
    [approve, reject] = shown["options"]
    assert approve.startswith("Approve 2 orders for Rp ")
    assert reject == "Reject"
    assert batch_id in shown["subject"]
    assert "`ops`" in shown["body"]
    assert f"{mark:08d}" not in shown["body"], "no client number is shown"
    assert office.states(batch_id) == ["quoted", "quoted", "held"]

    assert office.answer(run_id, approve, VIEWER).status_code == 403
    assert office.answer(run_id, "Approve", CHECKER).status_code == 400, "only what is shown can be approved"

    office.decide(run_id, approve, MAKER, lambda: office.events(batch_id, "ApprovalRefused"))
    actor, refused = office.events(batch_id, "ApprovalRefused")[0]
    assert (actor, refused["reason"]) == (f"user:{MAKER}", "own_batch")
    office.request_of(run_id)
    assert office.states(batch_id) == ["quoted", "quoted", "held"], "nothing was sent"

    office.decide(run_id, approve, CHECKER, lambda: office.events(batch_id, "BatchApproved"))
    assert office.end_of(run_id) == "success"
    assert office.states(batch_id) == ["succeeded", "succeeded", "held"]
    [(actor, approved)] = office.events(batch_id, "BatchApproved")
    assert (actor, approved["approver"], approved["orders"]) == (f"user:{CHECKER}", CHECKER, 2)

    reply = office.ask(
        "POST", f"/sat/v1/batches/{batch_id}/release", MAKER, json={"reason": "two top-ups were meant"}
    )
    assert (reply.status_code, reply.json()["decided"]) == (200, 1), reply.text
    again = office.run(batch_id)
    shown = office.request_of(again)
    assert shown["options"][0].startswith("Approve 1 orders")
    office.decide(again, "Reject", CHECKER, lambda: office.events(batch_id, "ApprovalRejected"))
    assert office.end_of(again) == "success", "the batch is complete, as people wanted it"
    assert office.states(batch_id) == ["succeeded", "succeeded", "rejected"]
    assert [actor for actor, _ in office.events(batch_id, "ApprovalRejected")] == [f"user:{CHECKER}"]


@pytest.mark.timeout(900)
def test_who_has_a_table_s_rows_paid_is_their_maker(office: Office, running_stack: Stack) -> None:
    """Rows have no user; the run that claims them has one. Rejected as a whole, the batch is refused."""
    mark = int(time.time()) % 10_000_000
    reference = f"table {mark}"
    writer = psycopg2.connect(running_stack.settings().application.writer_dsn)
    with closing(writer), writer, writer.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sat.order_intake (account, batch_reference, order_id, product_code, client_number) "
            "VALUES (%s, %s, %s, %s, %s)",
            ("demo", reference, f"T{mark}", "25k-xl", f"0818{mark:08d}"),
        )
    run_id = office.run(None, approval_over_rupiah=0)
    shown = office.request_of(run_id)
    assert "`ops`" in shown["body"]
    assert f"`{reference}`" in shown["body"]
    batch_id = batch_id_of("demo", reference)
    [(actor, _)] = office.events(batch_id, "BatchSubmitted")
    assert actor == f"user:{MAKER}"
    office.decide(run_id, "Reject", CHECKER, lambda: office.events(batch_id, "BatchRefused"))
    assert office.end_of(run_id) == "failed"
    assert office.states(batch_id) == ["rejected"]
