"""Airflow's runs through its REST API, called in this process as the user of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from anyio import from_thread
from starlette.requests import Request
from starlette.types import ASGIApp

from sat_hook.application.errors import RunsError
from sat_hook.application.runs import MAXIMUM_UNDER_WAY, Run, RunState, RunTask

ANSWER_SECONDS = 60.0
MAXIMUM_NOTE_CHARACTERS = 1000
MAXIMUM_TASKS = 100
TOKEN_COOKIE = "_token"  # noqa: S105 - its name


_DAG = re.compile(r"/api/v2/dags/(\w+)(?:/dagRuns|/details)?(/.+)?")


class AirflowRuns:
    """The runs that a request's user may see and start.

    Airflow checks the user's permissions as if the user had called its API. The methods block, so they are
    called from a worker thread of the server.

    :param airflow: Airflow's own app.
    :param request: its token is passed on.
    """

    def __init__(self, airflow: ASGIApp, request: Request) -> None:
        self._airflow = airflow
        host = request.headers.get("host", "localhost")
        self._headers = {"authorization": f"Bearer {token_of(request)}", "host": host}

    def start(
        self,
        dag_id: str,
        run_id: str,
        conf: Mapping[str, Any],
        *,
        note: str = "",
        at: datetime | None = None,
    ) -> bool:
        body: dict[str, Any] = {"logical_date": None, "dag_run_id": run_id, "conf": dict(conf)}
        if note:
            body["note"] = note[:MAXIMUM_NOTE_CHARACTERS]
        if at is not None:
            body["run_after"] = at.astimezone(UTC).isoformat()
        return self._ask("POST", f"{_dag(dag_id)}/dagRuns", body, accept=409) is not None

    def find(self, dag_id: str, run_id: str) -> Run | None:
        run = self._ask("GET", _path(dag_id, run_id), accept=404)
        return None if run is None else _run(dag_id, run)

    def under_way(self, dag_id: str) -> list[Run]:
        wanted = [("state", state.value) for state in RunState if not state.is_final]
        query = urlencode([*wanted, ("order_by", "-run_after"), ("limit", MAXIMUM_UNDER_WAY)])
        found = self._ask("GET", f"{_dag(dag_id)}/dagRuns?{query}", accept=404)
        return [] if found is None else [_run(dag_id, run) for run in found["dag_runs"]]

    def tasks(self, dag_id: str, run_id: str, *states: str) -> Sequence[RunTask]:
        query = urlencode([("limit", MAXIMUM_TASKS), *(("state", state) for state in states)])
        found = self._ask("GET", f"{_path(dag_id, run_id)}/taskInstances?{query}") or {}
        return [RunTask(one["task_id"], one["state"]) for one in found.get("task_instances", ())]

    def parameters(self, dag_id: str) -> dict[str, Any]:
        params = (self._ask("GET", f"{_dag(dag_id)}/details") or {}).get("params") or {}
        return {name: one.get("value") if isinstance(one, dict) else one for name, one in params.items()}

    def is_paused(self, dag_id: str) -> bool:
        return bool((self._ask("GET", _dag(dag_id)) or {}).get("is_paused"))

    def cancel(self, dag_id: str, run_id: str) -> None:
        self._ask("PATCH", _path(dag_id, run_id), {"state": RunState.FAILED})

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        path = f"{_path(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}/-1/hitlDetails"
        self._ask("PATCH", path, {"chosen_options": [option], "params_input": {}})

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, accept: int = 0
    ) -> dict[str, Any] | None:
        """Return the answer; None for the status in ``accept``."""
        reply = from_thread.run(self._send, method, path, body)
        if reply.status_code == accept:
            return None
        if not reply.is_success:
            raise RunsError(reply.status_code, _detail(reply))
        answer: dict[str, Any] = reply.json()
        return answer

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        transport = httpx.ASGITransport(self._airflow)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://airflow", headers=self._headers, timeout=ANSWER_SECONDS
        ) as client:
            return await client.request(method, path, json=body)


def _run(dag_id: str, run: Mapping[str, Any]) -> Run:
    run_id = run["dag_run_id"]
    return Run(
        dag_id,
        run_id,
        RunState(run["state"]),
        datetime.fromisoformat(run["run_after"]),
        run.get("conf") or {},
        f"/dags/{dag_id}/runs/{quote(run_id, safe='')}",
    )


def token_of(request: Request) -> str:
    """The token of a request's user, from its header or the cookie of Airflow's login; empty without one."""
    header = request.headers.get("authorization", "")
    return header.partition(" ")[2].strip() if header else request.cookies.get(TOKEN_COOKIE, "")


def _dag(dag_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id, safe='')}"


def _path(dag_id: str, run_id: str) -> str:
    return f"{_dag(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _detail(reply: httpx.Response) -> str:
    """Airflow's reason, or what it means where Airflow gives none that helps."""
    try:
        detail = reply.json().get("detail", "")
    except (ValueError, AttributeError):
        detail = ""
    if dag := _DAG.fullmatch(reply.request.url.path):
        if reply.status_code == 403 and detail == "Forbidden":
            return f"Airflow: found a user who may not do this; expected one who may trigger the DAG {dag[1]}"
        if reply.status_code == 404 and not dag[2]:
            return f"Airflow: found no DAG {dag[1]}; expected an Airflow that has loaded it"
    return f"Airflow answered {reply.status_code}: {detail or reply.reason_phrase}"
