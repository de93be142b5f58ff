"""A SAT that does exactly what a test tells it, byte by byte, on a loopback socket.

Raw on purpose: the interesting servers are those that no HTTP library would let us write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sat_hook.protocol.signing import Signer


@dataclass(frozen=True)
class Received:
    """One request as it came: the raw target, lower-case header names, the exact body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


Handler = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class ScriptedSAT:
    """Answers by path: bytes, or a coroutine that writes what it likes.

    ``script[path]`` is one answer for ever, or a list that is used up and whose last entry stays.
    """

    port: int = 0
    scheme: str = "http"
    script: dict[str, Any] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    token_lifetime_seconds: Any = 3600
    token_delay_seconds: float = 0.0
    tokens_given: int = 0
    connections: int = 0
    is_reusing_token: bool = False

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/api"

    @property
    def token_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/token"

    def requests_to(self, path: str) -> list[Received]:
        """What came to ``path`` below the base, in order."""
        return [request for request in self.received if request.path == f"/api{path}"]

    @property
    def token_requests(self) -> list[Received]:
        return [request for request in self.received if request.path == "/token"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as many requests as the peer likes."""
        self.connections += 1
        # Cancelled only by the end of the test, which is no error.
        expected = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError)
        with contextlib.suppress(*expected):
            while (request := await _read_request(reader)) is not None:
                self.received.append(request)
                await self._answer(request, writer)
                await writer.drain()
        writer.transport.abort()

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> None:
        path = request.path.removeprefix("/api")
        answer = self.script.get(path)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer is None and path == "/token":
            await asyncio.sleep(self.token_delay_seconds)
            answer = self._token()
        if callable(answer):
            await answer(request, writer)
        else:
            writer.write(answer if answer is not None else http_answer(404, b"<html>nothing here</html>"))

    def _token(self) -> bytes:
        if not self.is_reusing_token or self.tokens_given == 0:
            self.tokens_given += 1
        grant: dict[str, Any] = {"access_token": f"c:token-{self.tokens_given}", "token_type": "Bearer"}
        if self.token_lifetime_seconds is not None:
            grant["expires_in"] = self.token_lifetime_seconds
        return json_answer(grant)


@contextmanager
def scripted_sat(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedSAT]:
    """A running server on a free port, its event loop in a thread of its own."""
    sat = ScriptedSAT(scheme="https" if tls else "http")
    loop = asyncio.new_event_loop()
    started = threading.Event()
    over = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(sat.serve, "127.0.0.1", 0, ssl=tls, backlog=256)
        sat.port = server.sockets[0].getsockname()[1]
        started.set()
        await over.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)

    def run_loop() -> None:
        loop.run_until_complete(run())
        loop.close()

    thread = threading.Thread(target=run_loop, daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield sat
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)


def http_answer(
    status: int, body: bytes = b"", *, content_type: str = "application/json", **headers: str
) -> bytes:
    """A plain response; underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def json_answer(document: Any, status: int = 200, **headers: str) -> bytes:
    """A JSON response."""
    return http_answer(status, json.dumps(document).encode(), **headers)


def errors_answer(*codes: str, status: int = 400) -> bytes:
    """SAT's errors."""
    entries = [{"code": code, "detail": f"about {code}", "status": str(status)} for code in codes]
    return json_answer({"errors": entries}, status)


def order_document(request_id: str, status: str = "Pending", **attributes: Any) -> dict[str, Any]:
    """An order as SAT shows it."""
    shown = {"status": status, "sales_price": 12500, "partner_fee": 1000, **attributes}
    return {"data": {"type": "order", "id": request_id, "attributes": shown}}


def signed_answer(signer: Signer, document: Any, **options: Any) -> bytes:
    """A signed 200."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return http_answer(200, body, signature=signer.sign(body), **options)


async def hang_up(request: Received, writer: asyncio.StreamWriter) -> None:
    """The request arrived, then the connection is reset."""
    writer.transport.abort()


async def stay_silent(request: Received, writer: asyncio.StreamWriter) -> None:
    """The request arrived, and nothing comes back for longer than any test waits."""
    await asyncio.sleep(30)


def drip(head: bytes, drop: bytes = b" ", pause_seconds: float = 0.05) -> Handler:
    """Starts well, then sends a byte now and then for ever."""

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            await writer.drain()
            await asyncio.sleep(pause_seconds)
            writer.write(drop)

    return answer


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request_line, *header_lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = request_line.split(" ")
    headers: dict[str, str] = {}
    for line in header_lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)
