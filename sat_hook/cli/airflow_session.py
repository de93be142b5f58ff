"""A user's session with Airflow: logging in, requests, and refusals in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests

from sat_hook.cli.errors import CommandError, UnavailableError
from sat_hook.cli.settings import CommandSettings, hint_at_stopped_stack

DAG_ID = "bulk_disbursement"
EXPORT_DAG_ID = "audit_export"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0

_NOT_FOUND = {
    "product_not_listed": "CODE: {}",
    "day_not_closed": "DAY: {} (see: sat reconcile list)",
}
"""What an argument of a command is called, by the type of a refusal that is about it."""

_OPTION = re.compile("(account|of|since|until): ")
"""What a refusal of a list begins with when it is about an option of the command."""

LOST_DATABASE = "database_unavailable"
"""The error type in the plugin's response when the application database is unavailable."""


class AirflowSession:
    """Requests to Airflow as one user. Every method raises :class:`CommandError`, with a message."""

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

    def _get(
        self, path: str, query: Mapping[str, str | Sequence[str] | None] | None = None
    ) -> dict[str, Any]:
        return self._document(self._ask("GET", path, query=query))

    def _post(self, path: str, json: object) -> dict[str, Any]:
        return self._document(self._ask("POST", path, json=json))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | Sequence[str] | None] | None = None,
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
            raise UnavailableError.at(
                self.url, f"no answer in {seconds:.0f} seconds", "Airflow's API server"
            ) from None
        except requests.ConnectionError:
            refused = CommandError.at(
                f"{self.url} (SAT_AIRFLOW_URL)", "no answer", "Airflow's API server (does it run?)"
            )
            raise UnavailableError(hint_at_stopped_stack(self._settings, str(refused))) from None
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

    def _refusal(self, reply: requests.Response, path: str) -> CommandError:
        problem, status = _problem(reply), reply.status_code
        detail = _detail(problem)
        if status == 401:
            return CommandError.at(
                self.url, "a token that Airflow refuses", "a valid SAT_AIRFLOW_TOKEN, or user and password"
            )
        if hint := _NOT_FOUND.get(problem.get("type", "")):
            return CommandError(hint.format(detail))
        if problem.get("type") in ("account_unclear", "list_refused") and _OPTION.match(detail):
            return CommandError(f"--{detail}")
        if status == 503:
            away = detail or f"{self.url}: a part of Airflow is away"
            # If the response to a commit was lost, the commit may have happened.
            is_lost = problem.get("type") == LOST_DATABASE
            doubt = ", and look first whether it was done after all" if is_lost else ""
            return UnavailableError(f"{away}; try again when it is back{doubt}")
        if status == 500:
            return UnavailableError.at(
                self.url,
                f"HTTP 500 for {path}",
                "success (its database may be away; the log of the API server says why)",
            )
        if status == 404 and path.startswith("/sat/") and detail in ("", "Not Found"):
            return CommandError.at(self.url, "no route /sat/v1", "an Airflow with the plugin sat_plugin")
        return CommandError(detail or f"{self.url}: found HTTP {status} for {path}; expected success")


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the headers unchanged."""
    return request


def _problem(reply: requests.Response) -> dict[str, Any]:
    """Return an error's JSON; nothing when it has none."""
    try:
        document = reply.json()
    except requests.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _detail(problem: Mapping[str, Any]) -> str:
    """Return the reason in an error's JSON, as one line."""
    detail = problem.get("detail", problem.get("message", ""))
    if isinstance(detail, list):
        # FastAPI's validation errors.
        detail = "; ".join(
            f"{'.'.join(map(str, entry.get('loc', [])[1:]))}: {entry.get('msg')}"
            for entry in detail
            if isinstance(entry, dict)
        )
    return " ".join(str(detail).split())
