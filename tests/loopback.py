"""Small servers on a free port of this machine, for what the product calls or is called by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TypeVar

import uvicorn
from fastapi import FastAPI

S = TypeVar("S", bound=TCPServer)


class QuietHandler(BaseHTTPRequestHandler):
    """Reads bodies and writes answers; prints nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def body(self) -> bytes:
        """The request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; underscores in names of headers become hyphens."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(server: S) -> Iterator[S]:
    """A server that listens in a thread while the block lasts."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def http_server(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server that answers by ``handler`` while the block lasts."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def running(server: uvicorn.Server) -> Iterator[str]:
    """The address of a server of uvicorn's that runs in a thread while the block lasts."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of an app while it runs."""
    with running(uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))) as url:
        yield url
