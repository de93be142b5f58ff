"""Airflow's REST API and the plugin's routes, as the person who runs the command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import requests

from sat_hook.cli.airflow_session import DAG_ID, AirflowSession

BOOKS_DAG_ID = "nightly_reconciliation"
UPLOAD_SECONDS = 180.0
MAXIMUM_NOTE_CHARACTERS = 1000
WAITS_FOR_FUNDS = "reserve (waits for a top-up of the deposit)"

FINAL_RUN_STATES = frozenset({"success", "failed"})


@dataclass(frozen=True, slots=True)
class Submitted:
    """The plugin's response to an upload.

    :param connection: the Airflow connection that pays.
    :param needs_in_words: how many rows cannot become orders, and why; empty when all can.
    """

    batch_id: str
    connection: str
    needs_in_words: str


@dataclass(frozen=True, slots=True)
class Download:
    """A file from the plugin. ``content`` may hold goods, so it is left out of the repr.

    ``position`` is the log position the file was made from, where it matters. ``notice`` is a message about
    the file for the user.
    """

    name: str
    content: bytes
    position: str | None = None
    notice: str | None = None

    def __repr__(self) -> str:
        return f"Download(name={self.name!r}, {len(self.content)} bytes)"


def _upload_query(
    account: str, reference: str | None, file_name: str, on_bad_rows: str | None
) -> dict[str, str]:
    query = {"account": account, "file_name": file_name}
    query |= {} if reference is None else {"reference": reference}
    return query | ({} if on_bad_rows is None else {"on_bad_rows": on_bad_rows})


def _step(task_id: str, state: str | None) -> str:
    """Return a task's name as it is shown to a user."""
    if state == "awaiting_input":
        return f"{task_id} (waits for a person: Required Actions in Airflow)"
    if (task_id, state) == ("reserve", "deferred"):
        return WAITS_FOR_FUNDS
    return task_id


class AirflowApi(AirflowSession):
    """What one user asks of Airflow and of the plugin."""

    def submit(
        self,
        content: bytes,
        *,
        account: str,
        reference: str | None,
        file_name: str,
        on_bad_rows: str | None = None,
    ) -> Submitted:
        """Upload a file. The same bytes always give the same batch."""
        query = _upload_query(account, reference, file_name, on_bad_rows)
        document = self._upload("/sat/v1/batches", query, content)
        connection = document.get("connection", account)
        return Submitted(document["batch_id"], connection, document.get("needs_in_words", ""))

    def check(
        self,
        content: bytes,
        *,
        account: str,
        reference: str | None,
        file_name: str,
        on_bad_rows: str | None = None,
    ) -> dict[str, Any]:
        """Report what a file would become. Records nothing."""
        query = _upload_query(account, reference, file_name, on_bad_rows)
        return self._upload("/sat/v1/batches/check", query, content)

    def _upload(self, path: str, query: Mapping[str, str], content: bytes) -> dict[str, Any]:
        return self._document(
            self._ask(
                "POST", path, query=query, body=content, content_type="text/csv", seconds=UPLOAD_SECONDS
            )
        )

    def accounts(self) -> dict[str, str]:
        """Return the accounts' names in the log, by Airflow connection."""
        return self._get("/sat/v1/accounts")

    def trigger(self, run_id: str, conf: Mapping[str, Any], dag_id: str = DAG_ID, note: str = "") -> bool:
        """Start a run with a note for its readers. Returns False when a run with this id exists."""
        body: dict[str, Any] = {"logical_date": None, "dag_run_id": run_id, "conf": dict(conf)}
        if note:
            body["note"] = note[:MAXIMUM_NOTE_CHARACTERS]
        reply = self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body, accept=(409,))
        return reply.status_code != 409

    def parameters(self) -> list[str]:
        """Return the names of the parameters that a run of the DAG accepts."""
        return sorted(self._get(f"/api/v2/dags/{DAG_ID}/details")["params"])

    def set_note(self, run_id: str, note: str) -> None:
        """Replace the note of a run, if the user may."""
        body = {"note": note[:MAXIMUM_NOTE_CHARACTERS]}
        self._ask("PATCH", _run_path(run_id), json=body, accept=(403, 404))

    def run(self, run_id: str, dag_id: str = DAG_ID) -> dict[str, Any]:
        """Return the run as Airflow describes it."""
        return self._get(_run_path(run_id, dag_id))

    def tasks(self, run_id: str, state: str) -> list[str]:
        """Return the names of the run's tasks in a state. A mapped task is listed once."""
        path = f"{_run_path(run_id)}/taskInstances"
        listed = self._get(path, {"state": state})["task_instances"]
        return list(dict.fromkeys(str(task["task_id"]) for task in listed))

    def steps(self, run_id: str) -> list[str]:
        """Return the names of the tasks that are running or deferred, and of those that wait for a person's
        answer.
        """
        path = f"{_run_path(run_id)}/taskInstances"
        query = {"state": ("running", "deferred", "awaiting_input")}
        listed = self._get(path, query)["task_instances"]
        return list(dict.fromkeys(_step(str(task["task_id"]), task.get("state")) for task in listed))

    def is_paused(self) -> bool:
        """Whether the DAG is paused, so that runs only queue."""
        return bool(self._get(f"/api/v2/dags/{self.dag_id}")["is_paused"])

    def results(self, batch_id: str, at: int | None = None) -> Download:
        """Return the result file as of now, or as of a log position."""
        query = None if at is None else {"at": str(at)}
        reply = self._ask("GET", f"/sat/v1/batches/{batch_id}/results", query=query)
        return downloaded(reply, f"{batch_id}.results.csv")

    def deliver(self, batch_id: str, reason: str, file_format: str = "csv") -> Download:
        """Return vouchers and serials as ``csv`` or ``xlsx``. The delivery is recorded with the user."""
        path = f"/sat/v1/batches/{batch_id}/deliver"
        reply = self._ask("POST", path, json={"reason": reason, "format": file_format})
        return downloaded(reply, f"{batch_id}.goods.{file_format}")

    def resolve(self, request_id: str, resolution: str, reason: str) -> dict[str, Any]:
        """Decide an escalated order. Returns the order's new standing."""
        path = f"/sat/v1/orders/{quote(request_id, safe='')}/resolve"
        return self._post(path, {"as": resolution, "reason": reason})

    def decide_held_order(self, request_id: str, decision: str, reason: str) -> dict[str, Any]:
        """Release or cancel a held order. Returns the order's new standing."""
        path = f"/sat/v1/orders/{quote(request_id, safe='')}/{decision}"
        return self._post(path, {"reason": reason})

    def decide_held_batch(
        self, batch_id: str, decision: str, reason: str, held_for: str | None
    ) -> dict[str, Any]:
        """Release or cancel the held orders of a batch. Returns how many there were."""
        body = {"reason": reason, **({} if held_for is None else {"held_for": held_for})}
        return self._post(f"/sat/v1/batches/{batch_id}/{decision}", body)

    def withdraw(self, what: str, identifier: str, reason: str) -> dict[str, Any]:
        """Withdraw one order (``orders``), or every unsent order of a batch (``batches``)."""
        path = f"/sat/v1/{what}/{quote(identifier, safe='')}/withdraw"
        return self._post(path, {"reason": reason})

    def conf_of(self, run_id: str) -> dict[str, Any] | None:
        """Return the conf that a run was given, or None when there is no such run."""
        reply = self._ask("GET", _run_path(run_id), accept=(404,))
        if reply.status_code == 404:
            return None
        conf = self._document(reply).get("conf")
        return conf if isinstance(conf, dict) else {}

    def change_account(self, account: str, change: str, reason: str) -> dict[str, Any]:
        """Pause or resume an account (by its Airflow connection). Returns the account's new standing."""
        path = f"/sat/v1/accounts/{quote(account, safe='')}/{change}"
        return self._post(path, {"reason": reason})

    def record_top_up(
        self, account: str, *, amount_rupiah: int, reference: str, credited_at: str, reason: str
    ) -> dict[str, Any]:
        """Record a top-up of an account's deposit."""
        body = {
            "amount_rupiah": amount_rupiah,
            "reference": reference,
            "credited_at": credited_at,
            "reason": reason,
        }
        path = f"/sat/v1/books/{quote(account, safe='')}/top-ups"
        return self._post(path, body)

    def decide_break(self, account: str, break_id: str, decision: str, reason: str) -> dict[str, Any]:
        """Explain, resolve or write off a break of the reconciliation."""
        path = f"/sat/v1/books/{quote(account, safe='')}/breaks/{quote(break_id, safe='')}/{decision}"
        return self._post(path, {"reason": reason})

    def sign_day(self, account: str, day: str, signature: str, reason: str) -> dict[str, Any]:
        """Sign a closed day as its preparer (``prepare``) or approver (``certify``)."""
        path = f"/sat/v1/books/{quote(account, safe='')}/days/{quote(day, safe='')}/{signature}"
        return self._post(path, {"reason": reason})

    def cut_off_minutes(self) -> int:
        """Return the cut-off with which the DAG closes days; midnight if the DAG does not say."""
        answer = self._ask("GET", f"/api/v2/dags/{BOOKS_DAG_ID}/details", accept=(404,))
        parameters = self._document(answer).get("params")
        described = parameters.get("cut_off_minutes") if isinstance(parameters, dict) else None
        value = described.get("value") if isinstance(described, dict) else described
        return value if isinstance(value, int) else 0

    def report(self, account: str, day: str, version: int | None) -> Download:
        """Return a version of a day's report as a ZIP; the newest by default."""
        path = f"/sat/v1/books/{quote(account, safe='')}/days/{quote(day, safe='')}/report"
        query = None if version is None else {"version": str(version)}
        reply = self._ask("GET", path, query=query, seconds=UPLOAD_SECONDS)
        return downloaded(reply, f"reconciliation-{day}.zip")

    def choose_settlement(self, account: str, day: str, file: str, reason: str) -> dict[str, Any]:
        """Choose which settlement file of a day counts."""
        path = f"/sat/v1/books/{quote(account, safe='')}/days/{quote(day, safe='')}/settlement"
        return self._post(path, {"file": file, "reason": reason})

    def rules(self, account: str) -> dict[str, Any]:
        """Return the rules in force, where each comes from, and what is proposed."""
        return self._get(_rules_of(account))

    def propose_rules(self, account: str, changes: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """Propose rules. Returns the proposal's number and all of its values."""
        body = {"changes": dict(changes), "reason": reason}
        return self._post(f"{_rules_of(account)}/proposals", body)

    def answer_proposal(self, account: str, proposal: int, answer: str, reason: str) -> dict[str, Any]:
        """``confirm`` or ``decline`` a proposal. Returns the account's rules after it."""
        return self._post(f"{_rules_of(account)}/{proposal}/{answer}", {"reason": reason})

    def run_url(self, run_id: str, dag_id: str = DAG_ID) -> str:
        """Return the address of the run in Airflow's UI."""
        return f"{self.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def _run_path(run_id: str, dag_id: str = DAG_ID) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _rules_of(account: str) -> str:
    return f"/sat/v1/accounts/{quote(account, safe='')}/rules"


def downloaded(reply: requests.Response, name: str) -> Download:
    """Return the file in a response. ``name`` is used where the response gives none."""
    _, marker, encoded = reply.headers.get("Content-Disposition", "").partition("filename*=UTF-8''")
    position = reply.headers.get("X-SAT-Log-Position")
    notice = reply.headers.get("X-SAT-Notice")
    return Download(unquote(encoded) if marker else name, reply.content, position, notice)
