"""The lock on Airflow's own buttons and API: a batch's run is started and changed by right."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sat_hook.application.person import Person, RightMissingError
from sat_hook.application.rights import Right, RightsFileError
from sat_hook.application.runs import BATCH_DAG

if TYPE_CHECKING:
    from sat_hook.plugin.airflow_host import AirflowHost

AIRFLOW_APP = "sat.airflow_app"
"""The key under which a request's scope holds Airflow's own app."""

_START = re.compile(rf"/api/v2/dags/{BATCH_DAG}/dagRuns/?")
# Airflow takes ~ for all DAGs, and then names them in the body.
_ANSWER = re.compile(rf"/api/v2/dags/({BATCH_DAG}|~)/dagRuns/.*/hitlDetails/?")
# A run that is cleared, set to a state, or given another XCom goes on, and pays.
_CHANGE = re.compile(rf"/api/v2/dags/({BATCH_DAG}|~)/(dagRuns|clear)\w*(/.*)?")
_READ = re.compile(r".*/(list|dry_run)/?")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class AirflowDoor:
    """A middleware around all of Airflow. Requests that it does not lock pass unread."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[AIRFLOW_APP] = scope["app"]
            rights = _rights_for(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))
            if rights and (refusal := await _refusal(Request(scope), rights)) is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _rights_for(method: str, path: str) -> tuple[Right, ...]:
    """The rights of which a request needs one; none for a request that is not locked."""
    if method in _SAFE_METHODS or _READ.fullmatch(path):
        return ()
    if method == "POST" and _START.fullmatch(path):
        return (Right.SUBMIT,)
    if _ANSWER.fullmatch(path):
        return (Right.APPROVE,)
    return (Right.SUBMIT, Right.DECIDE) if _CHANGE.fullmatch(path) else ()


async def _refusal(request: Request, rights: tuple[Right, ...]) -> JSONResponse | None:
    host = _host()
    try:
        user = await host.user_of(request)
        Person(user.name, await run_in_threadpool(host.rights_of, user)).require(*rights)
    except HTTPException as error:
        return JSONResponse({"detail": error.detail}, error.status_code)
    except (RightMissingError, RightsFileError) as error:
        return JSONResponse({"detail": str(error)}, 403)
    return None


@cache
def _host() -> AirflowHost:
    # Every Airflow process imports plugins, only the API server asks.
    from sat_hook.plugin.airflow_host import AirflowHost

    return AirflowHost()
