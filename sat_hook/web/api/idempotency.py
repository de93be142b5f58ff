"""Requests that may be repeated: with the header ``Idempotency-Key``, a POST is done once.

The same request with the same key gets the first one's answer again, with ``Idempotent-Replayed: true``. An
answer that may change when the request is sent again is not kept: a refusal of the user, and an error of the
server. Files are never kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sat_hook.application.rights import Right
from sat_hook.store.errors import KeyInvalidError
from sat_hook.store.idempotency import (
    MAXIMUM_ANSWER_BYTES,
    MAXIMUM_KEY_CHARACTERS,
    KeptAnswer,
    RememberedRequests,
    RequestKey,
)
from sat_hook.web.host import Host

HEADER = "idempotency-key"
REPLAYED_HEADER = "Idempotent-Replayed"
BODY_SECONDS = 120

_KEY = re.compile(rf"[!-~]{{1,{MAXIMUM_KEY_CHARACTERS}}}")
_NOT_FINAL = frozenset({401, 403, 408, 413, 429})


def remember_requests(app: FastAPI, host: Host) -> None:
    """Remember the POST requests of ``app`` that carry a key. The guard is put around this."""
    app.router.middleware_stack = IdempotentRequests(app.router.middleware_stack, host)


class IdempotentRequests:
    """An ASGI app around another one.

    :param host: has the database that keeps keys and answers.
    """

    def __init__(self, app: ASGIApp, host: Host) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        user = scope.get("state", {}).get("sat_user") if scope["type"] == "http" else None
        # Only requests that the guard has let through have a user.
        if user is None or scope["method"] != "POST" or not _is_of_api(scope):
            await self._app(scope, receive, send)
            return
        given = Request(scope).headers.getlist(HEADER)
        if not given:
            await self._app(scope, receive, send)
            return
        if len(given) > 1 or not _KEY.fullmatch(given[0]):
            raise KeyInvalidError(
                f"Idempotency-Key: expected once, 1 to {MAXIMUM_KEY_CHARACTERS} visible ASCII characters"
            )
        body = await _body_of(receive)
        # Routes check rights, and a kept answer reaches no route: with other rights it is another request.
        rights = await run_in_threadpool(self._host.rights_of, user)
        request = RequestKey(user.name, given[0], _digest(scope, body, rights))
        remembered = RememberedRequests(self._host.store().database)
        begun = await run_in_threadpool(remembered.begin, request)
        if isinstance(begun, KeptAnswer):
            answer = Response(
                begun.response, begun.status, {REPLAYED_HEADER: "true"}, media_type=begun.media_type
            )
            await answer(scope, receive, send)
            return
        await self._first(scope, _received(body, receive), send, remembered, request, begun)

    async def _first(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        remembered: RememberedRequests,
        request: RequestKey,
        claim: datetime,
    ) -> None:
        listened = _Listener(send)
        try:
            await self._app(scope, receive, listened)
        finally:
            # Also when the client has gone: what was done stays done.
            kept = listened.status is not None and listened.status < 500 and listened.status not in _NOT_FINAL
            if kept and listened.is_complete:
                assert listened.status is not None
                await _whole(remembered.end, request, claim, listened.status, listened.answer())
            else:
                await _whole(remembered.release, request, claim)


class _Listener:
    """Passes a response on, and keeps it if it is JSON and short."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._parts: list[bytes] = []
        self._size = 0
        self._media_type = ""
        self.status: int | None = None
        self.is_complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = {name.lower(): value for name, value in message.get("headers", ())}
            self._media_type = headers.get(b"content-type", b"").decode("latin-1")
            if b"content-disposition" in headers:
                self._media_type = ""
        elif message["type"] == "http.response.body":
            part = message.get("body", b"")
            self._size += len(part)
            if self._is_kept:
                self._parts.append(part)
            self.is_complete = not message.get("more_body", False)
        await self._send(message)

    @property
    def _is_kept(self) -> bool:
        return "json" in self._media_type and self._size <= MAXIMUM_ANSWER_BYTES

    def answer(self) -> KeptAnswer | None:
        """The response, if it may be kept."""
        if not self._is_kept or self.status is None:
            return None
        return KeptAnswer(self.status, self._media_type, b"".join(self._parts).decode("utf-8"))


async def _whole(act: Callable[..., None], *arguments: Any) -> None:
    """Do what must be done although the request was cancelled."""
    await asyncio.shield(run_in_threadpool(act, *arguments))


def _is_of_api(scope: Scope) -> bool:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path.startswith("/v1/")


async def _body_of(receive: Receive) -> bytes:
    """The whole body; the guard limits its size."""
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                parts.append(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {BODY_SECONDS} seconds") from None


def _received(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read to the app, and then whatever comes after it."""
    waiting = [body]

    async def receive_again() -> MutableMapping[str, Any]:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receive_again


def _digest(scope: Scope, body: bytes, rights: frozenset[Right]) -> str:
    """What makes requests the same: their route with its query, their body, and the user's rights."""
    digest, held = hashlib.sha256(), " ".join(sorted(rights))
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    for part in (path.encode("utf-8"), scope.get("query_string", b""), body, held.encode("ascii")):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
