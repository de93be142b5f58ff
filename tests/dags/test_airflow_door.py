"""The lock on Airflow's own API: every route of Airflow that changes a batch's run asks for a right."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from airflow.api_fastapi.core_api.routes.public import public_router
from starlette.types import Receive, Scope, Send

from sat_hook.application.rights import Right
from sat_hook.application.runs import BATCH_DAG
from sat_hook.plugin import airflow_door
from sat_hook.plugin.airflow_door import AirflowDoor
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
    for route in public_router.routes:
        for method in sorted(getattr(route, "methods", None) or ()):
            path: str = getattr(route, "path", "")
            if method not in ("GET", "HEAD") and path.startswith("/api/v2/dags/{dag_id}"):
                yield method, path


CHANGES = sorted(_changes())


async def _ask(method: str, path: str, user: str) -> int:
    async def airflow(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await AirflowDoor(airflow)({**scope, "app": airflow}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as client:
        return (await client.request(method, path, headers={"authorization": f"Bearer {user}"})).status_code


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vera may view everything; the others have one right each."""
    rights = {
        "vera": {Right.VIEW, Right.VIEW_NUMBERS, Right.PAUSE, Right.FINANCE, Right.DELIVER},
        "rosa": {Right.SUBMIT},
        "carl": {Right.APPROVE},
        "dewi": {Right.DECIDE},
    }
    host = FakeHost(*(FakeUser(name, frozenset(held)) for name, held in rights.items()))
    monkeypatch.setattr(airflow_door, "_host", lambda: host)


def test_airflow_has_such_routes() -> None:
    """The other tests would hold of an empty list, too."""
    assert len(CHANGES) > 20
    assert ("POST", "/api/v2/dags/{dag_id}/clearTaskInstances") in CHANGES


@pytest.mark.parametrize("dag_id", [BATCH_DAG, "~"])
@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_whatever_changes_a_run_needs_a_right(method: str, path: str, dag_id: str) -> None:
    """Cleared, set to a state, or given another XCom, a run goes on and pays."""
    real = path.replace("{dag_id}", dag_id)
    for name in ("dag_run_id", "task_id", "group_id", "xcom_key:path", "key:path"):
        real = real.replace(f"{{{name}}}", "x")
    real = real.replace("{map_index}", "-1")
    if path.endswith(OPEN):
        assert await _ask(method, real, "vera") == 204
        return
    for where in (real, real.replace("bulk_disb", "bulk%5Fdisb")):
        assert await _ask(method, where, "vera") == 403, where
        assert await _ask(method, where, "nobody") == 401, where
    allowed = {user for user in ("rosa", "carl", "dewi") if await _ask(method, real, user) == 204}
    if path.endswith("/hitlDetails"):
        assert allowed == {"carl"}
    elif path.endswith("/dagRuns") and method == "POST" and dag_id != "~":
        assert allowed == {"rosa"}
    else:
        assert allowed == {"rosa", "dewi"}


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
