"""A small HTTP server that answers like Airflow with the plugin, as far as the command asks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import QuietHandler, http_server

BATCH_ID = "B" + "A" * 25
PASSWORD = "airflow-secret"
PARAMETERS = ("account", "approve_held", "batch_id", "on_bad_rows", "order_limit_rupiah")
FIRST_RUN = f"batch_{BATCH_ID}"


ENDED = ("succeeded", "failed")


def summary_of(*counts: tuple[str, int], state: str = "quoted", **more: Any) -> dict[str, Any]:
    """A batch in figures, whose orders cost 52,000 rupiah each."""
    total = sum(orders for _, orders in counts)
    return {
        "batch_id": BATCH_ID,
        "state": state,
        "is_over": state == "completed",
        "account": "demo",
        "file_name": "orders.csv",
        "size_bytes": 100,
        "reference": None,
        "rows": total,
        "orders": total,
        "set_aside": 0,
        "moved_on": 0,
        "quoted_rupiah": 52_000 * total,
        "paid_rupiah": sum(52_000 * orders for name, orders in counts if name == "succeeded"),
        "counts": [
            {"state": name, "orders": n, "quoted_rupiah": 52_000 * n, "charged_rupiah": 52_000 * n}
            for name, n in counts
        ],
        "ended": sum(orders for name, orders in counts if name in ENDED),
        "unsent": sum(orders for name, orders in counts if name == "quoted"),
        "for_people": sum(orders for name, orders in counts if name in ("held", "escalated")),
        "needs_in_words": "",
        "refusal_code": None,
        "refusal_message": None,
        "results_uri": None,
        "results_position": None,
        "pause_reason": None,
        "progress_in_words": f"{total} orders in words",
        "progress_in_short": f"{total} orders in short",
        **more,
    }


@dataclass
class ScriptedAirflow:
    """What the server says, and what it was asked."""

    url: str = ""
    run_states: list[str] = field(default_factory=lambda: ["success"])
    is_run_there: bool = False
    is_paused: bool = False
    failed_tasks: tuple[str, ...] = ()
    asking_tasks: tuple[str, ...] = ()
    """Those that wait for an answer."""
    deferred_tasks: tuple[str, ...] = ()
    goods: bytes = b"order_id,voucher_code\r\nA1,5196\r\n"
    overrides: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    uploads: list[tuple[dict[str, list[str]], bytes]] = field(default_factory=list)
    triggered: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Those that were JSON."""
    logins: int = 0
    submitted: dict[str, Any] = field(default_factory=dict)
    """What the answer to a submission says besides the batch."""
    checked: dict[str, Any] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=lambda: {"sat_default": "demo"})
    summary: dict[str, Any] = field(default_factory=lambda: summary_of(("succeeded", 5)))
    """The batch in figures."""
    missing_rupiah: int | None = None
    lists: dict[str, Callable[[dict[str, list[str]]], dict[str, Any]]] = field(default_factory=dict)
    """The page that a list answers to a query."""
    later_runs: str = "success"
    """How every run of a batch stands that is not its first."""

    def answer(self, method: str, target: str, token: str, body: bytes) -> tuple[int, Any]:
        """Status, and JSON or bytes."""
        parts = urlsplit(target)
        self.targets.append(target)
        if body.startswith(b"{"):
            self.bodies.append(json.loads(body))
        if f"{method} {parts.path}" in self.overrides:
            return self.overrides[f"{method} {parts.path}"]
        if parts.path == "/auth/token":
            self.logins += 1
            if json.loads(body) != {"username": "ops", "password": PASSWORD}:
                return 401, {"detail": "Invalid credentials"}
            return 201, {"access_token": f"token-{self.logins}"}
        if not token.startswith("Bearer token-"):
            return 401, {"detail": "Not authenticated"}
        match method, parts.path.removeprefix("/sat/v1"):
            case "GET", path if path in self.lists:
                return 200, self.lists[path](parse_qs(parts.query))
            case "POST", "/batches":
                self.uploads.append((parse_qs(parts.query), body))
                return 200, {"batch_id": BATCH_ID, **self.submitted}
            case "POST", "/batches/check":
                self.uploads.append((parse_qs(parts.query), body))
                return 200, self.checked
            case "GET", path if path == f"/batches/{BATCH_ID}/summary":
                return 200, self.summary
            case "GET", path if path == f"/batches/{BATCH_ID}/missing-funds":
                return 200, {"missing_rupiah": self.missing_rupiah}
            case "GET", "/accounts":
                return 200, self.accounts
            case "POST", path if path == f"/batches/{BATCH_ID}/start":
                begun = {"run_id": FIRST_RUN, "is_new": not self.is_run_there}
                if self.is_run_there:
                    return 200, {**begun, "state": self.run_states[0]}
                self.triggered.append(json.loads(body))
                return 200, {**begun, "state": "queued"}
            case "POST", path if path == f"/batches/{BATCH_ID}/run":
                self.triggered.append(json.loads(body))
                return 200, {"run_id": f"{FIRST_RUN}_20261101T080000", "state": "queued"}
            case "POST", path if re.fullmatch(r"/dags/\w+/runs", path):
                self.triggered.append(json.loads(body))
                return 200, {"run_id": "asked_now", "state": "queued"}
            case "GET", path if re.fullmatch(r"/dags/\w+/parameters", path):
                return 200, dict.fromkeys(PARAMETERS)
            case "GET", path if path == f"/runs/bulk_disbursement/{FIRST_RUN}":
                state = self.run_states.pop(0) if len(self.run_states) > 1 else self.run_states[0]
                return 200, self._progress(state)
            case "GET", path if re.fullmatch(r"/runs/\w+/\w+", path):
                return 200, self._progress(self.later_runs)
            case "GET", path if path.endswith("/results"):
                return 200, b"\xef\xbb\xbforder_id,sat_verdict\r\nA1,paid\r\n"
            case "POST", path if path.endswith("/deliver"):
                self.reasons.append(json.loads(body)["reason"])
                return 200, self.goods
        return 404, {"detail": "Not Found"}

    def _progress(self, state: str) -> dict[str, Any]:
        """How far a run has come."""
        tasks = {
            "failed": self.failed_tasks,
            "running": () if self.asking_tasks or self.deferred_tasks else ("execute", "execute"),
            "awaiting_input": self.asking_tasks,
            "deferred": self.deferred_tasks,
        }
        listed = [{"task_id": name, "state": at} for at, names in tasks.items() for name in names]
        return {"state": state, "tasks": listed, "is_paused": self.is_paused}


@contextmanager
def scripted_airflow() -> Iterator[ScriptedAirflow]:
    """The server, while the block lasts."""
    script = ScriptedAirflow()

    class Handler(QuietHandler):
        def _answer(self) -> None:
            token = self.headers.get("Authorization", "")
            status, said = script.answer(self.command, self.path, token, self.body())
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            is_results = urlsplit(self.path).path.endswith("/results")
            self.reply(status, content, **({"X_SAT_Log_Position": "1227"} if is_results else {}))

        do_GET = do_POST = _answer

    with http_server(Handler) as script.url:
        yield script
