"""The lock on Airflow's own API: every route of Airflow that changes a batch's run asks for a right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from sat_hook.application.rights import Right
from sat_hook.application.runs import BATCH_DAG, CLOSING_DAG
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId
from sat_hook.plugin import airflow_door
from sat_hook.plugin.airflow_door import LOCKS, MAXIMUM_BODY_BYTES, AirflowDoor
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore
from tests.orders import BATCH
from tests.web_host import FakeHost, FakeUser

OPEN = (
    "/api/v2/dags/{dag_id}",  # pauses or deletes the DAG: for administrators of Airflow, and starts nothing
    "/favorite",
    "/unfavorite",
    "/queuedEvents",
    "/list",
    "/dry_run",
)
"""Endings of routes below a DAG that let no order be sent."""


def _changes() -> Iterator[tuple[str, str]]:
    """Method and path of Airflow's routes below a DAG that are not for reading."""
    # Importing Airflow's API takes seconds, and every worker of pytest-xdist imports this module.
    from airflow.api_fastapi.core_api.routes.public import public_router

    for route in public_router.routes:
        for method in sorted(getattr(route, "methods", None) or ()):
            path: str = getattr(route, "path", "")
            if method not in ("GET", "HEAD") and path.startswith("/api/v2/dags/{dag_id}"):
                yield method, path


class Known(PostgresEventStore):
    """A log with one batch, which Mia submitted and the run ``of-mia`` works on."""

    def __init__(self) -> None:
        self.is_away = False

    def batch_of_run(self, dag_run: str) -> str | None:
        """By the run's name."""
        if self.is_away:
            raise StoreUnavailableError("the database does not answer")
        return BATCH if dag_run == f"{BATCH_DAG}/of-mia" else None

    def read_stream(self, stream: StreamId) -> list[RecordedEvent]:
        """Its submission."""
        assert stream.key == BATCH
        by = SimpleNamespace(provenance=Provenance("user:mia", "plugin:submit"))
        return cast("list[RecordedEvent]", [by])


async def _ask(method: str, path: str, user: str, **more: Any) -> int:
    async def airflow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await AirflowDoor(airflow)({**scope, "app": airflow}, receive, send)

    # Without certificates, which take longer to load than a request.
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow", verify=False)
    async with client:
        headers = {"authorization": f"Bearer {user}"}
        return (await client.request(method, path, headers=headers, **more)).status_code


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> Known:
    """Vera may view everything; the others have one right each. Mia has all of them."""
    rights = {
        "vera": {Right.VIEW, Right.VIEW_NUMBERS, Right.PAUSE, Right.DELIVER},
        "rosa": {Right.SUBMIT},
        "carl": {Right.APPROVE},
        "dewi": {Right.DECIDE},
        "fina": {Right.FINANCE},
        "ada": {Right.AUDIT},
        "mia": set(Right),
    }
    known = Known()
    host = FakeHost(*(FakeUser(name, frozenset(held)) for name, held in rights.items()), store=known)
    monkeypatch.setattr(airflow_door, "_host", lambda: host)
    return known


def _real(path: str, dag_id: str, named: str = "x") -> str:
    real = path.replace("{dag_id}", dag_id)
    for name in ("dag_run_id", "task_id", "group_id", "xcom_key:path", "key:path"):
        real = real.replace(f"{{{name}}}", named)
    return real.replace("{map_index}", "-1")


@pytest.mark.parametrize("dag_id", [*LOCKS, "~"])
async def test_whatever_changes_a_run_needs_a_right(dag_id: str) -> None:
    """Cleared, set to a state, or given another XCom, a run goes on and pays, or closes a day."""
    changes = set(_changes())
    assert len(changes) > 20
    assert ("POST", "/api/v2/dags/{dag_id}/clearTaskInstances") in changes
    for method, path in sorted(changes):
        real = _real(path, dag_id)
        if path.endswith(OPEN):
            assert await _ask(method, real, "vera") == 204, (method, real)
            continue
        # A run, a task or an XCom may be named like a route that only reads, or end with a line break.
        odd = (_real(path, dag_id, name) for name in ("list", "dry_run", "x%0A"))
        for where in (real, real.replace("_", "%5F"), *odd):
            assert await _ask(method, where, "vera") == 403, (method, where)
            assert await _ask(method, where, "nobody") == 401, (method, where)
        people = ("rosa", "carl", "dewi", "fina", "ada")
        allowed = {user for user in people if await _ask(method, real, user) == 204}
        assert await _ask(method, real, "mia") == 204, (method, real)
        if path.endswith("/hitlDetails") and dag_id in (BATCH_DAG, "~"):
            assert allowed == {"carl"}, (method, real)
        elif path.endswith("/dagRuns") and method == "POST" and dag_id == BATCH_DAG:
            assert allowed == {"rosa"}, (method, real)
        else:
            of_others = {BATCH_DAG: {"rosa", "dewi"}, CLOSING_DAG: {"fina"}, "~": set()}
            assert allowed == of_others.get(dag_id, {"ada"}), (method, real)


def _entries(*dag_ids: str) -> dict[str, Any]:
    """The body of a request about runs of several DAGs."""
    entities = [{"dag_id": dag_id, "dag_run_id": "r", "task_id": "t"} for dag_id in dag_ids]
    return {"json": {"actions": [{"action": "update", "entities": entities, "action_on_existence": "fail"}]}}


@pytest.mark.parametrize("path", ["dagRuns", "dagRuns/~/taskInstances", "dagRuns/r/taskInstances"])
@pytest.mark.parametrize("dag_id", ["other", "~"])
async def test_the_entries_of_a_request_may_name_another_dag(dag_id: str, path: str) -> None:
    """Airflow takes an entry's DAG before that of the path: each named one needs its right."""
    where = f"/api/v2/dags/{dag_id}/{path}"
    for user, named, status in (
        ("vera", ("other",), 204),
        ("vera", (BATCH_DAG,), 403),
        ("rosa", (BATCH_DAG, "other"), 204),
        ("rosa", (BATCH_DAG, CLOSING_DAG), 403),
        ("fina", (CLOSING_DAG,), 204),
        ("mia", (BATCH_DAG, CLOSING_DAG), 204),
    ):
        assert await _ask("PATCH", where, user, **_entries(*named)) == status, (user, named)
    escaped = b'{"actions": [{"entities": [{"dag_id": "bulk\\u005fdisbursement", "dag_run_id": "r"}]}]}'
    too_long = b'"' + b"x" * MAXIMUM_BODY_BYTES + b'"'
    for content in (escaped, escaped.decode().encode("utf-16"), b"{", b"[" * 100_000, too_long):
        assert await _ask("PATCH", where, "vera", content=content) == 403
        assert await _ask("PATCH", where, "mia", content=content) == 204


async def test_a_backfill_starts_runs() -> None:
    """The DAG is named in the body."""
    for user, dag_id, status in (
        ("vera", "other", 204),
        ("vera", CLOSING_DAG, 403),
        ("rosa", CLOSING_DAG, 403),
        ("fina", CLOSING_DAG, 204),
        ("dewi", BATCH_DAG, 403),
    ):
        assert await _ask("POST", "/api/v2/backfills", user, json={"dag_id": dag_id}) == status
    assert await _ask("POST", "/api/v2/backfills/dry_run", "vera", json={"dag_id": CLOSING_DAG}) == 204


async def test_another_dag_is_not_locked() -> None:
    """Neither are requests that only read."""
    for method, path in (
        ("POST", "/api/v2/dags/other/dagRuns"),
        ("PATCH", "/api/v2/dags/other/dagRuns/r"),
        ("POST", f"/api/v2/dags/other_{BATCH_DAG}/dagRuns"),
        ("GET", f"/api/v2/dags/{BATCH_DAG}/dagRuns"),
        ("POST", f"/api/v2/dags/{BATCH_DAG}/dagRuns/list"),
    ):
        assert await _ask(method, path, "vera") == 204, path
    assert await _ask("POST", "/api/v2/dags/other/clearTaskInstances", "vera", json={"dry_run": False}) == 204


async def test_a_maker_approves_nothing_in_airflow(people: Known) -> None:
    """Whatever Mia's rights: an approval, or an answer that cannot be read, is refused. Others may answer."""
    path = f"/api/v2/dags/{BATCH_DAG}/dagRuns/{{}}/taskInstances/approve/-1/hitlDetails"
    approve, no = ({"json": {"chosen_options": [option]}} for option in ("Approve 2 orders", "Reject"))
    own, other = path.format("of-mia"), path.format("of-rosa")
    for answer in (approve, {"content": b"{"}, {"content": b"[" * 100_000}, {"content": b""}):
        assert await _ask("PATCH", own, "mia", **answer) == 403, answer
    assert await _ask("PATCH", own, "mia", **no) == 204, "she may withdraw the batch as well"
    assert await _ask("PATCH", own, "carl", **approve) == 204
    assert await _ask("PATCH", other, "mia", **approve) == 204
    people.is_away = True
    assert await _ask("PATCH", own, "carl", **approve) == 503, "who the maker is must be known"


async def test_an_answer_reaches_airflow_whole() -> None:
    """The door has read it, and gives it on."""
    given: list[bytes] = []

    async def airflow(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        given.append(message["body"])
        while message["more_body"]:
            message = await receive()
            given.append(message["body"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await AirflowDoor(airflow)({**scope, "app": airflow}, receive, send)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000

    path = f"http://airflow/api/v2/dags/{BATCH_DAG}/dagRuns/r/taskInstances/approve/-1/hitlDetails"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        headers = {"authorization": "Bearer carl"}
        assert (await client.patch(path, content=parts(), headers=headers)).status_code == 204
    assert b"".join(given) == b"x" * 100_000
