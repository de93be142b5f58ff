"""The requests of the demonstration to Airflow's REST API."""

from __future__ import annotations

import json
from typing import Any

import requests

from stack.errors import StackError

_TIMEOUT_SECONDS = 30


class AirflowApiError(StackError):
    """Airflow refused a request; the text has the request and Airflow's answer."""


class AirflowApi:
    """Airflow's REST API as one user.

    :raises AirflowApiError: the login was refused.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy between two parts on one machine
        token = self.ask("POST", "/auth/token", json={"username": user, "password": password})
        self._http.headers["Authorization"] = f"Bearer {token['access_token']}"

    def has_dag(self, dag_id: str) -> bool:
        """True once Airflow has read the DAG's file."""
        reply = self._http.get(f"{self._url}/api/v2/dags/{dag_id}", timeout=_TIMEOUT_SECONDS)
        return reply.ok

    def import_errors(self) -> list[str]:
        """The import errors of files in the DAG folder."""
        errors = self.ask("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run; returns its id."""
        run = self.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        return str(run["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The latest runs, newest first."""
        runs: list[dict[str, Any]] = self.ask(
            "GET", f"/api/v2/dags/{dag_id}/dagRuns", params={"order_by": "-run_after", "limit": 20}
        )["dag_runs"]
        return runs

    def failed_tasks(self, dag_id: str, run_id: str) -> list[str]:
        """Names of the tasks that failed in a run."""
        tasks = self.ask(
            "GET",
            f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances",
            params={"state": "failed", "limit": 20},
        )
        return [str(task["task_id"]) for task in tasks["task_instances"]]

    def task_state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        """The state of an unmapped task; None before it has one."""
        task = self.ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return None if task["state"] is None else str(task["state"])

    def task_log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """The log of the first try of an unmapped task, as JSON."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
        return json.dumps(self.ask("GET", path, params={"full_content": "true"}))

    def asset_events(self, dag_id: str) -> list[dict[str, Any]]:
        """The latest asset events of a DAG, newest first."""
        events: list[dict[str, Any]] = self.ask(
            "GET",
            "/api/v2/assets/events",
            params={"source_dag_id": dag_id, "order_by": "-timestamp", "limit": 50},
        )["asset_events"]
        return events

    def ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """Send a request; returns the document of the answer.

        :raises AirflowApiError: the request was refused.
        """
        reply = self._http.request(method, f"{self._url}{path}", timeout=_TIMEOUT_SECONDS, **arguments)
        if not reply.ok:
            raise AirflowApiError(f"{method} {path} was answered {reply.status_code}: {reply.text[:500]}")
        document: dict[str, Any] = reply.json()
        return document
