"""The lock on Airflow's own API: every route of Airflow that changes a batch's run asks for a right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from sat_hook.application.rights import Right
from sat_hook.application.runs import BATCH_DAG
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId
from sat_hook.plugin import airflow_door
from sat_hook.plugin.airflow_door import AirflowDoor
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

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as client:
        headers = {"authorization": f"Bearer {user}"}
        return (await client.request(method, path, headers=headers, **more)).status_code


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> Known:
    """Vera may view everything; the others have one right each. Mia has all of them."""
    rights = {
        "vera": {Right.VIEW, Right.VIEW_NUMBERS, Right.PAUSE, Right.FINANCE, Right.DELIVER},
        "rosa": {Right.SUBMIT},
        "carl": {Right.APPROVE},
        "dewi": {Right.DECIDE},
        "mia": set(Right),
    }
    known = Known()
    host = FakeHost(*(FakeUser(name, frozenset(held)) for name, held in rights.items()), store=known)
    monkeypatch.setattr(airflow_door, "_host", lambda: host)
    return known


async def test_whatever_changes_a_run_needs_a_right() -> None:
    """Cleared, set to a state, or given another XCom, a run goes on and pays."""
    changes = set(_changes())
    assert len(changes) > 20
    assert ("POST", "/api/v2/dags/{dag_id}/clearTaskInstances") in changes
    for (method, path), dag_id in product(sorted(changes), (BATCH_DAG, "~")):
        real = path.replace("{dag_id}", dag_id)
        for name in ("dag_run_id", "task_id", "group_id", "xcom_key:path", "key:path"):
            real = real.replace(f"{{{name}}}", "x")
        real = real.replace("{map_index}", "-1")
        if path.endswith(OPEN):
            assert await _ask(method, real, "vera") == 204, (method, real)
            continue
        for where in (real, real.replace("bulk_disb", "bulk%5Fdisb")):
            assert await _ask(method, where, "vera") == 403, (method, where)
            assert await _ask(method, where, "nobody") == 401, (method, where)
        allowed = {user for user in ("rosa", "carl", "dewi") if await _ask(method, real, user) == 204}
        if path.endswith("/hitlDetails"):
            assert allowed == {"carl"}, (method, real)
        elif path.endswith("/dagRuns") and method == "POST" and dag_id != "~":
            assert allowed == {"rosa"}, (method, real)
        else:
            assert allowed == {"rosa", "dewi"}, (method, real)


async def test_another_dag_is_not_locked() -> None:
    """Neither are requests that only read."""
    for method, path in (
        ("POST", "/api/v2/dags/other/dagRuns"),
        ("POST", "/api/v2/dags/other/clearTaskInstances"),
        ("POST", f"/api/v2/dags/other_{BATCH_DAG}/dagRuns"),
        ("GET", f"/api/v2/dags/{BATCH_DAG}/dagRuns"),
        ("POST", f"/api/v2/dags/{BATCH_DAG}/dagRuns/list"),
    ):
        assert await _ask(method, path, "vera") == 204, path


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
