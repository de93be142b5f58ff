"""The page that Prometheus scrapes, as an ASGI app: a bearer token, a rate limit, and one reader at a time.

Without a token it does not exist (404). With a token file that cannot be used it answers 503. So a mistake
hides figures and never shows them to strangers.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

logger = logging.getLogger(__name__)

SCRAPES_PER_MINUTE = 120
BAD_TOKENS_PER_MINUTE = 60
SCRAPE_SECONDS = 15.0
"""A slower scrape is answered 503. Its work goes on, and the next scrape gets its figures."""
LOG_EVERY_SECONDS = 60.0

Families = Callable[[], Iterable[Metric]]
Tokens = Callable[[], Sequence[str] | None]


class MinuteLimit:
    """Admits so many requests in any minute."""

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._monotonic = monotonic
        self._admitted: deque[float] = deque()

    def admits(self) -> bool:
        """Count a request; False when it is one too many."""
        now = self._monotonic()
        while self._admitted and now - self._admitted[0] >= 60.0:
            self._admitted.popleft()
        if len(self._admitted) >= self._most:
            return False
        self._admitted.append(now)
        return True


class ScrapePage:
    """Answers ``GET`` with figures in the format that the scraper accepts.

    :param families: reads the figures. It may block, and must not raise for a part that it cannot read.
    :param tokens: reads the tokens that are valid now, on each request: they rotate without a restart. None:
        there is no page. It may raise.
    :param monotonic: seconds of a clock that never jumps.
    """

    def __init__(self, families: Families, tokens: Tokens, monotonic: Callable[[], float]) -> None:
        self._families = families
        self._tokens = tokens
        self._monotonic = monotonic
        self._scrapes = MinuteLimit(SCRAPES_PER_MINUTE, monotonic)
        self._bad_tokens = MinuteLimit(BAD_TOKENS_PER_MINUTE, monotonic)
        self._reading: asyncio.Task[list[Metric]] | None = None
        self._logged_at = -LOG_EVERY_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        response = await self.answer(request)
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The figures, or why there are none."""
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("method not allowed\n", 405, headers={"Allow": "GET"})
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                families = await asyncio.shield(self._read())
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
            return Response(encode(_Read(families)), headers={"Content-Type": content_type})
        except Exception as error:
            self._log("the figures could not be read: %s", type(error).__name__)
            return PlainTextResponse("figures unavailable\n", 503, headers={"Retry-After": "15"})

    async def _refusal(self, request: Request) -> Response | None:
        try:
            # A file may be on a disk that hangs.
            async with asyncio.timeout(SCRAPE_SECONDS):
                tokens = await asyncio.to_thread(self._tokens)
        except Exception as error:
            self._log("the scrape tokens cannot be used: %s", error)
            return PlainTextResponse("figures unavailable\n", 503)
        if tokens is None:
            return PlainTextResponse("not found\n", 404)
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        is_known = [hmac.compare_digest(given.strip().encode(), token.encode()) for token in tokens]
        if kind.lower() != "bearer" or not any(is_known):
            if not self._bad_tokens.admits():
                return PlainTextResponse("too many requests\n", 429, headers={"Retry-After": "60"})
            return PlainTextResponse("unauthorized\n", 401, headers={"WWW-Authenticate": "Bearer"})
        if not self._scrapes.admits():
            return PlainTextResponse("too many requests\n", 429, headers={"Retry-After": "60"})
        return None

    def _read(self) -> asyncio.Task[list[Metric]]:
        """The reading under way, or a new one."""
        if self._reading is None or self._reading.done():
            work = asyncio.to_thread(lambda: list(self._families()))
            self._reading = asyncio.get_running_loop().create_task(work)
        return self._reading

    def _log(self, text: str, why: object) -> None:
        now = self._monotonic()
        if now - self._logged_at >= LOG_EVERY_SECONDS:
            self._logged_at = now
            logger.warning(text, why)


class _Read:
    """Families that were read, for the encoder."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
