"""The lock on Airflow's own buttons and API: a batch's run is started and changed by right.

The maker of a batch does not approve it there either.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sat_hook.application.errors import RightMissingError, RightsFileError
from sat_hook.application.person import Person
from sat_hook.application.rights import Right
from sat_hook.application.runs import BATCH_DAG, REJECT

if TYPE_CHECKING:
    from sat_hook.plugin.airflow_host import AirflowHost

AIRFLOW_APP = "sat.airflow_app"
"""The key under which a request's scope holds Airflow's own app."""

MAXIMUM_ANSWER_BYTES = 65_536
"""A longer answer to a question is taken for an approval."""

_START = re.compile(rf"/api/v2/dags/{BATCH_DAG}/dagRuns/?")
# Airflow takes ~ for all DAGs, and then names them in the body.
_ANSWER = re.compile(rf"/api/v2/dags/({BATCH_DAG}|~)/dagRuns/(?P<run_id>[^/]*)/.*hitlDetails/?")
# A run that is cleared, set to a state, or given another XCom goes on, and pays.
_CHANGE = re.compile(rf"/api/v2/dags/({BATCH_DAG}|~)/(dagRuns|clear)\w*(/.*)?")
_READ = re.compile(r".*/(list|dry_run)/?")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class AirflowDoor:
    """A middleware around all of Airflow. Requests that it does not lock pass unread."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[AIRFLOW_APP] = scope["app"]
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        rights, refusal = _rights_for(scope["method"], path), None
        if rights:
            person = await _person(Request(scope), rights)
            refusal = person if isinstance(person, JSONResponse) else None
            answered = _ANSWER.fullmatch(path)
            if isinstance(person, Person) and answered is not None:
                body, receive = await _read(receive)
                if body is None or _approves(body):
                    refusal = await run_in_threadpool(_refused_maker, answered["run_id"], person)
        await (refusal or self._app)(scope, receive, send)


def _rights_for(method: str, path: str) -> tuple[Right, ...]:
    """The rights of which a request needs one; none for a request that is not locked."""
    if method in _SAFE_METHODS or _READ.fullmatch(path):
        return ()
    if method == "POST" and _START.fullmatch(path):
        return (Right.SUBMIT,)
    if _ANSWER.fullmatch(path):
        return (Right.APPROVE,)
    return (Right.SUBMIT, Right.DECIDE) if _CHANGE.fullmatch(path) else ()


async def _person(request: Request, rights: tuple[Right, ...]) -> Person | JSONResponse:
    """The user of a request who has one of the rights, or the refusal."""
    host = _host()
    try:
        user = await host.user_of(request)
        person = Person(user.name, await run_in_threadpool(host.rights_of, user))
        person.require(*rights)
    except HTTPException as error:
        return JSONResponse({"detail": error.detail}, error.status_code)
    except (RightMissingError, RightsFileError) as error:
        return JSONResponse({"detail": str(error)}, 403)
    return person


async def _read(receive: Receive) -> tuple[bytes | None, Receive]:
    """The body of an answer, and a ``receive`` that gives it once more; None for one that is too long."""
    messages: list[Message] = []
    size, is_more = 0, True
    while is_more and size <= MAXIMUM_ANSWER_BYTES:
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
        is_more = messages[-1].get("more_body", False)
    body = None if is_more else b"".join(message.get("body", b"") for message in messages)

    async def receive_again() -> Message:
        return messages.pop(0) if messages else await receive()

    return body, receive_again


def _approves(body: bytes) -> bool:
    """Whether an answer is not a rejection, which the maker of a batch may give."""
    try:
        return bool(json.loads(body)["chosen_options"] != [REJECT])
    except (ValueError, KeyError, TypeError, RecursionError):
        return True


def _refused_maker(run_id: str, person: Person) -> JSONResponse | None:
    """The refusal of a maker who approves the batch of a run. Blocks."""
    from sat_hook.application.approvals import Approvals
    from sat_hook.application.errors import OwnBatchError
    from sat_hook.store.errors import StoreUnavailableError

    try:
        Approvals(_host()).refuse_maker_of_run(BATCH_DAG, run_id, person)
    except OwnBatchError as error:
        return JSONResponse({"detail": str(error)}, 403)
    except StoreUnavailableError as error:
        return JSONResponse({"detail": str(error)}, 503)
    return None


@cache
def _host() -> AirflowHost:
    # Every Airflow process imports plugins, only the API server asks.
    from sat_hook.plugin.airflow_host import AirflowHost

    return AirflowHost()
