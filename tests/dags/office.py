"""A running Airflow and the people who use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from stack.lifecycle import Stack
from tests.sql import execute

DAGS = "/api/v2/dags"
BULK = "bulk_disbursement"
MAKER, CHECKER, VIEWER = "ops", "approver", "viewer"
HEADER = "order_id,product_code,client_number\n"


class Office:
    """A running stack, used by its people through Airflow's API and the command ``sat``.

    A run is named by its path in the API.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.settings = stack.settings()
        self.url = self.settings.airflow_url
        self._tokens = {
            user: requests.post(
                f"{self.url}/auth/token", json={"username": user, "password": password}, timeout=90
            ).json()["access_token"]
            for user, password in stack.credentials.user_passwords.items()
        }

    def ask(self, method: str, path: str, user: str = MAKER, **more: Any) -> requests.Response:
        """Send a request to Airflow as ``user``."""
        headers = {"Authorization": f"Bearer {self._tokens[user]}", **more.pop("headers", {})}
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=90, **more)

    def sandbox(self, method: str, path: str, **more: Any) -> Any:
        """Ask the SAT server's judge."""
        reply = requests.request(method, f"{self.settings.sandbox_url}/_sandbox/{path}", timeout=90, **more)
        assert reply.ok, reply.text
        return reply.json()

    def sat(self, *words: str, user: str = MAKER, code: int = 0) -> str:
        """Run the command ``sat`` as a person; returns what it prints."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAT_")}
        done = subprocess.run(
            [str(Path(sys.executable).with_name("sat")), *words],
            env={
                **inherited,
                "SAT_CONFIG": str(self.stack.layout.command_line_settings),
                "SAT_AIRFLOW_USER": user,
                "SAT_AIRFLOW_PASSWORD": self.stack.credentials.user_passwords[user],
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    # Runs

    def submit(self, content: str, **conf: object) -> tuple[str, str]:
        """Submit and run a file as its maker; returns the batch and the run."""
        query = {"account": "sat_default", "file_name": "orders.csv"}
        reply = self.ask("POST", "/sat/v1/batches", params=query, data=content.encode())
        assert reply.status_code == 200, reply.text
        batch_id = str(reply.json()["batch_id"])
        return batch_id, self.start(BULK, batch_id=batch_id, **conf)

    def start(self, dag_id: str, **conf: object) -> str:
        """Start a run as soon as Airflow has read the DAG's file."""
        self.until(lambda: self.ask("GET", f"{DAGS}/{dag_id}").ok or None)
        body = {"logical_date": None, "conf": conf}
        reply = self.ask("POST", f"{DAGS}/{dag_id}/dagRuns", json=body)
        assert reply.status_code == 200, reply.text
        return f"{DAGS}/{dag_id}/dagRuns/{quote(reply.json()['dag_run_id'], safe='')}"

    def end_of(self, run: str) -> str:
        """Wait for the end of a run; returns its state."""

        def look() -> str | None:
            state = str(self.ask("GET", run).json()["state"])
            return state if state in ("success", "failed") else None

        try:
            return str(self.until(look))
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.story_of(run)}") from None

    def story_of(self, run: str) -> str:
        """How the tasks of a run stand, and the end of the log of those that failed."""
        tasks = self.ask("GET", f"{run}/taskInstances").json()["task_instances"]
        words = [f"{task['task_id']}: {task['state']}, try {task['try_number']}" for task in tasks]
        words += [
            self.log_of(run, task["task_id"], task["try_number"])[-3000:]
            for task in tasks
            if task["state"] == "failed"
        ]
        return "\n".join(words)

    def log_of(self, run: str, task_id: str, try_number: int = 1) -> str:
        """What a task has logged so far, its trigger included."""
        return self.ask("GET", f"{run}/taskInstances/{task_id}/logs/{try_number}").text

    def returned(self, run: str, task_id: str) -> Any:
        """What a task returned."""
        reply = self.ask("GET", f"{run}/taskInstances/{task_id}/xcomEntries/return_value")
        assert reply.status_code == 200, reply.text
        value = reply.json()["value"]
        return json.loads(value) if isinstance(value, str) and value.startswith("{") else value

    # Approval

    def request_of(self, run: str) -> dict[str, Any]:
        """What the run's approval shows, once it waits for an answer."""

        def look() -> dict[str, Any] | None:
            task = self.ask("GET", f"{run}/taskInstances/approve").json()
            assert task.get("state") not in ("success", "failed", "upstream_failed"), task
            if task.get("state") != "deferred":
                return None
            shown: dict[str, Any] = self.ask("GET", _answer_path(run)).json()
            return None if shown["response_received"] else shown

        found: dict[str, Any] = self.until(look)
        return found

    def decide(self, run: str, option: str, user: str, done: Callable[[], object]) -> None:
        """Answer until the answer has taken effect.

        An answer within a moment of the question can be lost: Airflow takes the end of the process that asked
        for that of the task that was queued meanwhile, and tries it again. No person is that fast.
        """

        def look() -> bool | None:
            if done():
                return True
            time.sleep(1)
            reply = self.answer(run, option, user)
            # 409: it is answered already, and the task has not come to it yet.
            assert reply.status_code in (200, 409), reply.text
            return None

        self.until(look)

    def answer(self, run: str, option: str, user: str) -> requests.Response:
        """Answer the run's request for approval."""
        body = {"chosen_options": [option], "params_input": {}}
        return self.ask("PATCH", _answer_path(run), user, json=body)

    # The application's database

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the reader's role sees."""
        dsn = self.settings.application.reader_dsn
        return execute(dsn, statement, values)

    def events(self, batch_id: str, type_name: str) -> list[tuple[str, dict[str, Any]]]:
        """Actor and data of a batch's events of a type."""
        found = self.rows(
            "SELECT actor, data FROM sat.events WHERE stream = %s AND type = %s ORDER BY version",
            f"batch/{batch_id}",
            type_name,
        )
        return [(actor, json.loads(data)) for actor, data in found]

    def states(self, batch_id: str) -> list[str]:
        """The states of a batch's orders, by row."""
        found = self.rows("SELECT state FROM sat.orders WHERE batch_id = %s ORDER BY row_number", batch_id)
        return [state for (state,) in found]

    def until(self, look: Callable[[], Any]) -> Any:
        """What ``look`` finds; a busy machine takes its time over a dozen tasks."""
        give_up = time.monotonic() + 400
        while (found := look()) is None:
            assert time.monotonic() < give_up, "nothing came within 400 seconds"
            time.sleep(1)  # each look costs the API server a hundredth of that
        return found


def _answer_path(run: str) -> str:
    return f"{run}/taskInstances/approve/-1/hitlDetails"
