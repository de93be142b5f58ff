"""Sends the due callbacks and reports their answers to the outbox."""

from __future__ import annotations

import asyncio

import aiohttp

from sandbox.callbacks import Callback
from sandbox.wire import CALLBACK_TYPE
from sandbox.world import World
from sat_hook.protocol.signing import SIGNATURE_HEADER

MAX_CONCURRENT_CALLBACKS = 64


class Courier:
    """Posts callbacks to the registered URL. Use as an asynchronous context manager."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered: dict[str, asyncio.Event] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Courier:
        connector = aiohttp.TCPConnector(limit=MAX_CONCURRENT_CALLBACKS)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._session is not None
        await self._session.close()

    def send_due(self) -> None:
        """Start sending all callbacks that are due now."""
        for callback in self._world.outbox.take_due(self._world.now()):
            task = asyncio.get_running_loop().create_task(self._send(callback))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def wait_for_answer(self, request_id: str, timeout_seconds: float) -> None:
        """Wait until a callback of this request got any answer, or until the timeout."""
        event = self._answered.setdefault(request_id, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._answered.pop(request_id, None)

    async def _send(self, callback: Callback) -> None:
        policy = self._world.scenario.callbacks
        answer = await self._post(callback, policy.timeout_seconds)
        self._world.outbox.answered(callback, answer, policy, self._world.now())
        event = self._answered.get(callback.request_id)
        if event is not None:
            event.set()

    async def _post(self, callback: Callback, timeout_seconds: float) -> int | str:
        """Post a callback; returns the HTTP status or the name of the error."""
        url = self._world.callback_url
        if url is None:
            return "unregistered"
        assert self._session is not None
        headers = {"Content-Type": CALLBACK_TYPE}
        if callback.signature is not None:
            headers[SIGNATURE_HEADER] = callback.signature
        try:
            async with self._session.post(
                url,
                data=callback.body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_seconds),
                allow_redirects=False,
            ) as response:
                return response.status
        except TimeoutError:
            return "timeout"
        except aiohttp.ClientConnectorError:
            return "unreachable"
        except (aiohttp.ClientError, OSError, ValueError):
            return "broken"
