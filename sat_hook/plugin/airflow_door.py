"""The lock on Airflow's own buttons and API: runs are started and changed by right, as in the console.

The maker of a batch does not approve it there either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sat_hook.application.errors import RightMissingError, RightsFileError
from sat_hook.application.evidence_packs import EXPORT_DAG
from sat_hook.application.rights import Person, Right
from sat_hook.application.runs import BATCH_DAG, CLOSING_DAG, REJECT
from sat_hook.application.verifications import FULL_VERIFICATION_DAG, VERIFICATION_DAG

if TYPE_CHECKING:
    from sat_hook.plugin.airflow_host import AirflowHost

AIRFLOW_APP = "sat.airflow_app"
"""The key under which a request's scope holds Airflow's own app."""

MAXIMUM_BODY_BYTES = 1_048_576
"""A longer answer to a question is taken for an approval, a longer request about several runs for one about
every locked DAG."""


class Lock(NamedTuple):
    """The rights of which a person needs one, to start a run of a DAG and to change one."""

    start: tuple[Right, ...]
    change: tuple[Right, ...]


LOCKS: Mapping[str, Lock] = {
    # A run that is cleared, set to a state, or given another XCom goes on, and pays.
    BATCH_DAG: Lock((Right.SUBMIT,), (Right.SUBMIT, Right.DECIDE)),
    CLOSING_DAG: Lock((Right.FINANCE,), (Right.FINANCE,)),
    EXPORT_DAG: Lock((Right.AUDIT,), (Right.AUDIT,)),
    VERIFICATION_DAG: Lock((Right.AUDIT,), (Right.AUDIT,)),
    FULL_VERIFICATION_DAG: Lock((Right.AUDIT,), (Right.AUDIT,)),
}
"""The DAGs whose runs people start by right. Others only repeat what their schedule does."""

# DOTALL: Airflow takes a run's id that ends with a line break.
_RUNS = re.compile(r"/api/v2/dags/(?P<dag_id>[^/]+)/(?P<what>(dagRuns|clear)\w*(/.*)?)", re.DOTALL)
# The entries of these requests may name other DAGs than the path, which has ~ for all of them.
_SEVERAL = re.compile(r"(dagRuns|clear\w+|dagRuns/[^/]*/taskInstances)/?")
_START = re.compile(r"dagRuns/?")
_ANSWER = re.compile(rf"/api/v2/dags/({BATCH_DAG}|~)/dagRuns/(?P<run_id>[^/]*)/.*hitlDetails/?", re.DOTALL)
_BACKFILL = re.compile(r"/api/v2/backfills/?")
# The whole path: a run, a task or an XCom may have such a name, too.
_READ = re.compile(
    r"POST /api/v2/(dags/[^/]+/dagRuns/([^/]+/taskInstances/)?list|backfills/dry_run)/?"
    r"|PATCH /api/v2/dags/[^/]+/dagRuns/[^/]+/task(Group)?Instances/[^/]+/(-?\d+/)?dry_run/?"
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Needed = frozenset[tuple[Right, ...]]
"""Groups of rights; a person needs one of each group."""


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
        body, refusal = None, None
        answered = _ANSWER.fullmatch(path)
        is_several = _names_dags(scope["method"], path)
        if is_several or (answered is not None and not _is_open(scope["method"], path)):
            body, receive = await _read(receive)
            is_several = is_several and body != b""
        needed = _rights_for(scope["method"], path, is_several=is_several)
        if is_several:
            needed |= _rights_for_named(body, is_start=_BACKFILL.fullmatch(path) is not None)
        if needed:
            person = await _person(Request(scope), needed)
            refusal = person if isinstance(person, JSONResponse) else None
            if isinstance(person, Person) and answered is not None and (body is None or _approves(body)):
                refusal = await run_in_threadpool(_refused_maker, answered["run_id"], person)
        await (refusal or self._app)(scope, receive, send)


def _is_open(method: str, path: str) -> bool:
    return method in _SAFE_METHODS or _READ.fullmatch(f"{method} {path}") is not None


def _names_dags(method: str, path: str) -> bool:
    """Whether a request names DAGs in its body."""
    if _is_open(method, path):
        return False
    if method == "POST" and _BACKFILL.fullmatch(path):
        return True
    found = _RUNS.fullmatch(path)
    if found is None or (method == "POST" and _START.fullmatch(found["what"])):
        return False
    return _SEVERAL.fullmatch(found["what"]) is not None


def _rights_for(method: str, path: str, *, is_several: bool) -> Needed:
    """The rights that a request needs because of its path; none for a request that is not locked.

    :param is_several: whether its body names DAGs.
    """
    found = _RUNS.fullmatch(path)
    if found is None or _is_open(method, path):
        return frozenset()
    if _ANSWER.fullmatch(path):
        return frozenset({(Right.APPROVE,)})
    is_start = method == "POST" and _START.fullmatch(found["what"]) is not None
    if found["dag_id"] == "~" and not is_several:
        return _rights_of(LOCKS, is_start=is_start)
    return _rights_of({found["dag_id"]}, is_start=is_start)


def _rights_for_named(body: bytes | None, *, is_start: bool) -> Needed:
    """The rights for the locked DAGs that a body names; those of every lock for a body that cannot tell."""
    try:
        named = set(_texts_in(json.loads(body or b"")))  # None is too long
    except (ValueError, RecursionError):
        named = set(LOCKS)
    return _rights_of(named, is_start=is_start)


def _rights_of(dag_ids: Collection[str], *, is_start: bool) -> Needed:
    locks = [lock for dag_id, lock in LOCKS.items() if dag_id in dag_ids]
    return frozenset(lock.start if is_start else lock.change for lock in locks)


def _texts_in(value: Any) -> Iterator[str]:
    """Every text in a JSON value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_in(inner)


async def _person(request: Request, needed: Needed) -> Person | JSONResponse:
    """The user of a request who has a right of each group, or the refusal."""
    host = _host()
    try:
        user = await host.user_of(request)
        person = Person(user.name, await run_in_threadpool(host.rights_of, user))
        for rights in needed:
            person.require(*rights)
    except HTTPException as error:
        return JSONResponse({"detail": error.detail}, error.status_code)
    except (RightMissingError, RightsFileError) as error:
        return JSONResponse({"detail": str(error)}, 403)
    return person


async def _read(receive: Receive) -> tuple[bytes | None, Receive]:
    """The body of a request, and a ``receive`` that gives it once more; None for one that is too long."""
    messages: list[Message] = []
    size, is_more = 0, True
    while is_more and size <= MAXIMUM_BODY_BYTES:
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
