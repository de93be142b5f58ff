"""Airflow's REST API and the plugin's routes, as the person who runs the command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

import requests

from sat_hook.cli.errors import CommandError
from sat_hook.cli.settings import CommandSettings, hint_at_stopped_stack

DAG_ID = "bulk_disbursement"
BOOKS_DAG_ID = "nightly_reconciliation"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
UPLOAD_SECONDS = 180.0
MAXIMUM_NOTE_CHARACTERS = 1000
WAITS_FOR_FUNDS = "reserve (waits for a top-up of the deposit)"

LOST_DATABASE = "database_unavailable"
"""The error type in the plugin's response when the application database is unavailable."""

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


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the headers unchanged."""
    return request


def _step(task_id: str, state: str | None) -> str:
    """Return a task's name as it is shown to a user."""
    if state == "awaiting_input":
        return f"{task_id} (waits for a person: Required Actions in Airflow)"
    if (task_id, state) == ("reserve", "deferred"):
        return WAITS_FOR_FUNDS
    return task_id


class AirflowApi:
    """One user's session with Airflow.

    Every method raises :class:`CommandError` with a message for that user.
    """

    dag_id: ClassVar[str] = DAG_ID
    """The DAG that governs the actions: users who may trigger it may perform them."""

    def __init__(self, settings: CommandSettings) -> None:
        self.url = settings.require("SAT_AIRFLOW_URL").rstrip("/")
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise CommandError.at("setting SAT_AIRFLOW_URL", repr(self.url), "an http or https URL")
        self._settings = settings
        self._session = requests.Session()
        # Proxies and CA bundles come from the environment. The session sets its own authentication because
        # requests would otherwise replace the token with a password from ~/.netrc.
        self._session.auth = _as_it_is
        self._token = settings.get("SAT_AIRFLOW_TOKEN")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

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
        return self._document(self._ask("GET", "/sat/v1/accounts"))

    def trigger(self, run_id: str, conf: Mapping[str, Any], dag_id: str = DAG_ID, note: str = "") -> bool:
        """Start a run with a note for its readers. Returns False when a run with this id exists."""
        body: dict[str, Any] = {"logical_date": None, "dag_run_id": run_id, "conf": dict(conf)}
        if note:
            body["note"] = note[:MAXIMUM_NOTE_CHARACTERS]
        reply = self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body, accept=(409,))
        return reply.status_code != 409

    def parameters(self) -> list[str]:
        """Return the names of the parameters that a run of the DAG accepts."""
        return sorted(self._document(self._ask("GET", f"/api/v2/dags/{DAG_ID}/details"))["params"])

    def set_note(self, run_id: str, note: str) -> None:
        """Replace the note of a run, if the user may."""
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{quote(run_id, safe='')}"
        self._ask("PATCH", path, json={"note": note[:MAXIMUM_NOTE_CHARACTERS]}, accept=(403, 404))

    def run(self, run_id: str, dag_id: str = DAG_ID) -> dict[str, Any]:
        """Return the run as Airflow describes it."""
        return self._document(self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"))

    def tasks(self, run_id: str, state: str) -> list[str]:
        """Return the names of the run's tasks in a state. A mapped task is listed once."""
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        listed = self._document(self._ask("GET", path, query={"state": state}))["task_instances"]
        return list(dict.fromkeys(str(task["task_id"]) for task in listed))

    def steps(self, run_id: str) -> list[str]:
        """Return the names of the tasks that are running or deferred, and of those that wait for a person's
        answer.
        """
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        query = {"state": ("running", "deferred", "awaiting_input")}
        listed = self._document(self._ask("GET", path, query=query))["task_instances"]
        return list(dict.fromkeys(_step(str(task["task_id"]), task.get("state")) for task in listed))

    def is_paused(self) -> bool:
        """Whether the DAG is paused, so that runs only queue."""
        return bool(self._document(self._ask("GET", f"/api/v2/dags/{self.dag_id}"))["is_paused"])

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
        return self._document(self._ask("POST", path, json={"as": resolution, "reason": reason}))

    def decide_held_order(self, request_id: str, decision: str, reason: str) -> dict[str, Any]:
        """Release or cancel a held order. Returns the order's new standing."""
        path = f"/sat/v1/orders/{quote(request_id, safe='')}/{decision}"
        return self._document(self._ask("POST", path, json={"reason": reason}))

    def decide_held_batch(
        self, batch_id: str, decision: str, reason: str, held_for: str | None
    ) -> dict[str, Any]:
        """Release or cancel the held orders of a batch. Returns how many there were."""
        body = {"reason": reason, **({} if held_for is None else {"held_for": held_for})}
        return self._document(self._ask("POST", f"/sat/v1/batches/{batch_id}/{decision}", json=body))

    def withdraw(self, what: str, identifier: str, reason: str) -> dict[str, Any]:
        """Withdraw one order (``orders``), or every unsent order of a batch (``batches``)."""
        path = f"/sat/v1/{what}/{quote(identifier, safe='')}/withdraw"
        return self._document(self._ask("POST", path, json={"reason": reason}))

    def conf_of(self, run_id: str) -> dict[str, Any] | None:
        """Return the conf that a run was given, or None when there is no such run."""
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{quote(run_id, safe='')}"
        reply = self._ask("GET", path, accept=(404,))
        if reply.status_code == 404:
            return None
        conf = self._document(reply).get("conf")
        return conf if isinstance(conf, dict) else {}

    def change_account(self, account: str, change: str, reason: str) -> dict[str, Any]:
        """Pause or resume an account (by its Airflow connection). Returns the account's new standing."""
        path = f"/sat/v1/accounts/{quote(account, safe='')}/{change}"
        return self._document(self._ask("POST", path, json={"reason": reason}))

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
        return self._document(self._ask("POST", path, json=body))

    def decide_break(self, account: str, break_id: str, decision: str, reason: str) -> dict[str, Any]:
        """Explain, resolve or write off a break of the reconciliation."""
        path = f"/sat/v1/books/{quote(account, safe='')}/breaks/{quote(break_id, safe='')}/{decision}"
        return self._document(self._ask("POST", path, json={"reason": reason}))

    def sign_day(self, account: str, day: str, signature: str, reason: str) -> dict[str, Any]:
        """Sign a closed day as its preparer (``prepare``) or approver (``certify``)."""
        path = f"/sat/v1/books/{quote(account, safe='')}/days/{quote(day, safe='')}/{signature}"
        return self._document(self._ask("POST", path, json={"reason": reason}))

    def run_url(self, run_id: str, dag_id: str = DAG_ID) -> str:
        """Return the address of the run in Airflow's UI."""
        return f"{self.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | Sequence[str]] | None = None,
        json: object = None,
        body: bytes | None = None,
        content_type: str | None = None,
        seconds: float = ANSWER_SECONDS,
        accept: tuple[int, ...] = (),
        stream: bool = False,
    ) -> requests.Response:
        logged_in_now = self._token is None
        if self._token is None:
            self._token = self._log_in()

        def send() -> requests.Response:
            headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json, text/csv"}
            if content_type is not None:
                headers["Content-Type"] = content_type
            return self._send(
                method,
                path,
                params=query,
                json=json,
                data=body,
                headers=headers,
                seconds=seconds,
                stream=stream,
            )

        reply = send()
        if reply.status_code == 401 and not logged_in_now and self._settings.get("SAT_AIRFLOW_PASSWORD"):
            # A long wait outlives its token.
            self._token = self._log_in()
            reply = send()
        if reply.ok or reply.status_code in accept:
            return reply
        raise self._refusal(reply, path)

    def _log_in(self) -> str:
        user = self._settings.require("SAT_AIRFLOW_USER")
        password = self._settings.require("SAT_AIRFLOW_PASSWORD")
        reply = self._send(
            "POST", "/auth/token", json={"username": user, "password": password}, seconds=ANSWER_SECONDS
        )
        if not reply.ok:
            raise CommandError.at(
                f"logging in to {self.url}",
                f"HTTP {reply.status_code} for user {user!r}",
                "a user and password that Airflow knows (SAT_AIRFLOW_USER, SAT_AIRFLOW_PASSWORD)",
            )
        return str(self._document(reply)["access_token"])

    def _send(self, method: str, path: str, *, seconds: float, **more: Any) -> requests.Response:
        try:
            return self._session.request(
                method,
                f"{self.url}{path}",
                timeout=(CONNECT_SECONDS, seconds),
                allow_redirects=False,
                **more,
            )
        except requests.Timeout:
            raise CommandError.at(
                self.url, f"no answer in {seconds:.0f} seconds", "Airflow's API server"
            ) from None
        except requests.ConnectionError:
            refused = CommandError.at(
                f"{self.url} (SAT_AIRFLOW_URL)", "no answer", "Airflow's API server (does it run?)"
            )
            raise CommandError(hint_at_stopped_stack(self._settings, str(refused))) from None
        except requests.RequestException as error:
            raise CommandError.at(
                f"{self.url} (SAT_AIRFLOW_URL)", type(error).__name__, "Airflow's API server"
            ) from None

    def _document(self, reply: requests.Response) -> dict[str, Any]:
        try:
            document = reply.json()
        except requests.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise CommandError.at(
                f"{self.url} (SAT_AIRFLOW_URL)", "an answer that is no JSON object", "Airflow's API server"
            )
        return document

    def _dag_behind(self, path: str) -> str:
        """Return the DAG that a request of Airflow's API is about."""
        named = re.match(r"/api/v2/dags/(\w+)", path)
        return named[1] if named else self.dag_id

    def _refusal(self, reply: requests.Response, path: str) -> CommandError:
        status, detail, dag_id = reply.status_code, _detail(reply), self._dag_behind(path)
        if status == 401:
            return CommandError.at(
                self.url, "a token that Airflow refuses", "a valid SAT_AIRFLOW_TOKEN, or user and password"
            )
        if status == 403 and path.startswith("/sat/") and detail:
            return CommandError(detail)
        if status == 403:
            return CommandError.at(
                self.url, "a user who may not do this", f"one who may trigger the DAG {dag_id}"
            )
        if status == 503:
            away = detail or f"{self.url}: a part of Airflow is away"
            # If the response to a commit was lost, the commit may have happened.
            doubt = ", and look first whether it was done after all" if _kind(reply) == LOST_DATABASE else ""
            return CommandError(f"{away}; try again when it is back{doubt}")
        if status == 500:
            return CommandError.at(
                self.url,
                f"HTTP 500 for {path}",
                "success (its database may be away; the log of the API server says why)",
            )
        if status == 404 and path.startswith("/sat/") and detail in ("", "Not Found"):
            return CommandError.at(self.url, "no route /sat/v1", "an Airflow with the plugin sat_plugin")
        if status == 404 and path.startswith("/api/") and "dagRun" not in detail and dag_id in detail:
            return CommandError.at(self.url, f"no DAG {dag_id}", "an Airflow that has loaded it")
        return CommandError(detail or f"{self.url}: found HTTP {status} for {path}; expected success")


def downloaded(reply: requests.Response, name: str) -> Download:
    """Return the file in a response. ``name`` is used where the response gives none."""
    _, marker, encoded = reply.headers.get("Content-Disposition", "").partition("filename*=UTF-8''")
    position = reply.headers.get("X-SAT-Log-Position")
    notice = reply.headers.get("X-SAT-Notice")
    return Download(unquote(encoded) if marker else name, reply.content, position, notice)


def _kind(reply: requests.Response) -> str | None:
    """Return the type in an error's JSON."""
    try:
        document = reply.json()
    except requests.JSONDecodeError:
        return None
    return document.get("type") if isinstance(document, dict) else None


def _detail(reply: requests.Response) -> str:
    """Return the reason in an error's JSON, as one line."""
    try:
        document = reply.json()
    except requests.JSONDecodeError:
        return ""
    detail = document.get("detail", document.get("message", "")) if isinstance(document, dict) else ""
    if isinstance(detail, list):
        # FastAPI's validation errors.
        detail = "; ".join(
            f"{'.'.join(map(str, entry.get('loc', [])[1:]))}: {entry.get('msg')}"
            for entry in detail
            if isinstance(entry, dict)
        )
    return " ".join(str(detail).split())
