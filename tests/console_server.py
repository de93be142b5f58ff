"""The web application under plain uvicorn at ``/sat``, as Airflow mounts it, with users by cookie."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from sat_hook.web.app import create_app
from tests.web_host import FakeHost

COOKIE = "_token"


@contextmanager
def console_server(host: FakeHost) -> Iterator[str]:
    """The address of a server on loopback; a user's cookie is the user's name."""
    outer = FastAPI(openapi_url=None)
    outer.mount("/sat", create_app(host))
    server = uvicorn.Server(uvicorn.Config(outer, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/sat"
    finally:
        server.should_exit = True
        thread.join()
