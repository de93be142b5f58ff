"""The lock on Airflow's own buttons and API: starting a batch and answering its approval need rights too."""

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

_LOCKED = (
    ("POST", re.compile(rf"/api/v2/dags/{BATCH_DAG}/dagRuns/?"), Right.SUBMIT),
    ("PATCH", re.compile(rf"/api/v2/dags/{BATCH_DAG}/dagRuns/.*/hitlDetails/?"), Right.APPROVE),
)


class AirflowDoor:
    """A middleware around all of Airflow. Requests that it does not lock pass unread."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[AIRFLOW_APP] = scope["app"]
            right = _right_for(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))
            if right is not None and (refusal := await _refusal(Request(scope), right)) is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _right_for(method: str, path: str) -> Right | None:
    return next((right for verb, place, right in _LOCKED if method == verb and place.fullmatch(path)), None)


async def _refusal(request: Request, right: Right) -> JSONResponse | None:
    host = _host()
    try:
        user = await host.user_of(request)
        Person(user.name, await run_in_threadpool(host.rights_of, user)).require(right)
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
