"""The judge behind a socket: aiohttp's plain server with one handler, without a framework."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from aiohttp import web

from sandbox import refusals
from sandbox.control import PREFIX, control
from sandbox.courier import Courier
from sandbox.deposit import ConservationError
from sandbox.judge import MAX_BODY_BYTES, Judge
from sandbox.wire import Manner, Outcome, Reply, Request, refuse
from sandbox.world import World

DEFAULT_HOST = "127.0.0.1"
HEARTBEAT_SECONDS = 0.25
SILENCE_SECONDS = 600.0


class SandboxService:
    """Serves requests, advances time and sends callbacks. Use as an asynchronous context manager.

    :param latency_seconds: added to every reply of SAT's wire, not to the judge's routes.
    """

    def __init__(
        self, world: World, *, host: str = DEFAULT_HOST, port: int = 0, latency_seconds: float = 0.0
    ) -> None:
        self.world = world
        self.judge = Judge(world)
        self._host = host
        self._port = port
        self._latency_seconds = latency_seconds
        self._courier = Courier(world)
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.2)
        self._heart: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails when the judge itself is wrong: its deposit does not add up, and its results are void."""

    @property
    def url(self) -> str:
        """The base URL without a path; the API is under ``/api``, tokens at ``/token``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def __aenter__(self) -> SandboxService:
        await self._courier.__aenter__()
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._heart = asyncio.get_running_loop().create_task(self._beat())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.gather(self._heart, return_exceptions=True)
        await self._runner.cleanup()
        await self._courier.__aexit__(*exception)
        self.world.journal.close()

    async def wait_until_broken(self) -> None:
        """Wait for a failure of the judge itself, and raise it.

        :raises ConservationError: when the deposit does not add up.
        """
        await asyncio.shield(self.broken)

    def _break(self, error: ConservationError) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)
            self.broken.exception()  # retrieved here, because there may be no waiter

    async def _beat(self) -> None:
        """Advance time even without requests."""
        while True:
            try:
                now = self.world.advance()
                self._courier.send_due()
            except ConservationError as error:
                self._break(error)
                return
            due = self.world.next_due()
            wait = HEARTBEAT_SECONDS if due is None else min(HEARTBEAT_SECONDS, max(0.001, due - now))
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return _response(refuse(refusals.TOO_LARGE))
        body = await request.read() if request.can_read_body else b""
        headers = {name.lower(): value for name, value in request.headers.items()}
        arrived = Request(request.method, path, query, headers, body)
        try:
            if not path.startswith(PREFIX):
                return await self._serve(request, arrived)
            reply = control(self.judge, arrived)
        except ConservationError as error:
            self._break(error)
            raise
        self._wake.set()
        return _response(reply)

    async def _serve(self, request: web.BaseRequest, arrived: Request) -> web.StreamResponse:
        arrival = self.judge.arrive(arrived)
        if isinstance(arrival, Outcome):
            outcome = arrival
        else:
            if arrival.delay_seconds:
                await asyncio.sleep(arrival.delay_seconds)
            outcome = self.judge.carry_out(arrival)
        if outcome.after_callback_of is not None:
            waiting: Awaitable[None] = self._courier.wait_for_answer(
                outcome.after_callback_of, self.world.scenario.callbacks.timeout_seconds
            )
            self._wake.set()
            await waiting
        delay_seconds = outcome.delay_seconds + self._latency_seconds
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
        if outcome.reply is None:
            return await _lose(request, outcome.loss)
        return _response(outcome.reply)


async def _lose(request: web.BaseRequest, manner: Manner | None) -> web.StreamResponse:
    if manner is Manner.SILENCE:
        await asyncio.sleep(SILENCE_SECONDS)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
