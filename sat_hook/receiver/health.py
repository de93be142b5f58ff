"""``GET …/health`` of the stand-alone receiver: whether callbacks can be stored now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sat_hook.receiver.responses import Refused

if TYPE_CHECKING:
    from sat_hook.receiver.app import Receiver

REMEMBERED_SECONDS = 1.0


class Health:
    """Checks the database and caches the result, however many requests come."""

    def __init__(self, receiver: Receiver, monotonic: Callable[[], float]) -> None:
        self._receiver = receiver
        self._monotonic = monotonic
        self._asking: asyncio.Task[bool] | None = None
        self._answer = False
        self._answered_at: float | None = None

    async def answer(self, request: Request) -> Response:
        """200 or 503. The counts are internal, so only neighbours get them."""
        is_reachable = await self._is_reachable()
        content: dict[str, Any] = {"status": "ok" if is_reachable else "unavailable"}
        if await self._comes_from_a_neighbour(request):
            tally = self._receiver.tally
            content["settings"] = "stale" if self._receiver.has_stale_settings else "current"
            content["kept"], content["repeated"] = tally.kept, tally.repeated
            content["refused"] = {refusal.value: count for refusal, count in sorted(tally.refusals.items())}
        return JSONResponse(content, 200 if is_reachable else 503)

    async def _is_reachable(self) -> bool:
        now = self._monotonic()
        if self._answered_at is not None and now - self._answered_at < REMEMBERED_SECONDS:
            return self._answer
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        try:
            inbox = (await self._receiver.current()).inbox
            self._answer = await asyncio.to_thread(inbox.is_reachable)
        except Refused:
            self._answer = False
        finally:
            self._answered_at, self._asking = self._monotonic(), None
        return self._answer

    async def _comes_from_a_neighbour(self, request: Request) -> bool:
        try:
            sources = (await self._receiver.current()).sources
        except Refused:
            return False
        if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
            return False
        source = sources.source_of(request.client.host if request.client else None, ())
        return source is not None and source.is_private
