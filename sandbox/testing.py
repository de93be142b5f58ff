"""The judge in tests: in this process (:class:`SandboxServer`) or a separate one (:class:`SandboxProcess`).

Both listen on a free loopback port, are context managers, and share :class:`Bench`, the client of the judge's
routes::

    with SandboxServer(faults={"faults": [{"fault": "response_lost", "times": 1}]}) as sat:
        ...  # point a client at sat.api_url, sat.token_url, with sat.keys and demo/demo
        assert sat.request("A1")["charged"] == 1
        assert sat.ledger()["deposit"]["conserved"]

It works without pytest; a fixture takes three lines.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from sandbox.clock import SystemClock
from sandbox.journal import FileJournal
from sandbox.keys import KeyPairs
from sandbox.scenario import scenario_of
from sandbox.server import SandboxService
from sandbox.tokens import DEMO_CREDENTIALS
from sandbox.world import DEFAULT_SEED, World

START_TIMEOUT_SECONDS = 15.0
STOP_TIMEOUT_SECONDS = 10.0
CLIENT_ID = "demo"
CLIENT_SECRET = "demo"  # noqa: S105 - the documented credentials of a local server


class SandboxError(RuntimeError):
    """The sandbox did not start, did not stop, or refused a request to the judge."""


class Bench:
    """The judge's routes of a running sandbox. ``url`` is its base without a path."""

    url: str
    keys: KeyPairs

    @property
    def api_url(self) -> str:
        """The base URL for SDKs."""
        return f"{self.url}/api"

    @property
    def token_url(self) -> str:
        """The URL of the token server."""
        return f"{self.url}/token"

    def ledger(self, *request_ids: str, totals_only: bool = False) -> dict[str, Any]:
        """The whole ledger, or that of some request ids; see ``docs/sandbox.md``."""
        query = [("request_id", request_id) for request_id in request_ids]
        if totals_only:
            query.append(("totals_only", "1"))
        return self._ask("GET", f"ledger?{urlencode(query)}")

    def request(self, request_id: str) -> dict[str, Any]:
        """The ledger's entry of one request id.

        :raises KeyError: when it never arrived.
        """
        entry: dict[str, Any] = self.ledger(request_id)["requests"][request_id]
        return entry

    def saldo_rupiah(self) -> int:
        """The true deposit, whatever the account endpoint shows."""
        saldo: int = self.ledger(totals_only=True)["deposit"]["now_rupiah"]
        return saldo

    def set_faults(self, scenario: Mapping[str, Any]) -> dict[str, Any]:
        """Replace settings and rules while running; ``{}`` removes all faults."""
        return self._ask("PUT", "faults", scenario)

    def top_up(self, rupiah: int) -> None:
        """Pay into the deposit."""
        self._ask("POST", "topup", {"rupiah": rupiah})

    def spend_elsewhere(self, rupiah: int) -> None:
        """Spend from the deposit as another party."""
        self._ask("POST", "spend", {"rupiah": rupiah})

    def set_callback_url(self, url: str | None) -> None:
        """Set the URL for callbacks, or None for no callbacks."""
        self._ask("PUT", "callback-url", {"url": url})

    def revoke_tokens(self) -> None:
        """Revoke all issued tokens."""
        self._ask("DELETE", "tokens")

    def wait_until(
        self, condition: Callable[[dict[str, Any]], bool], timeout_seconds: float = 60.0
    ) -> dict[str, Any]:
        """Poll the ledger until the condition holds, and return it.

        :raises SandboxError: when the time is up.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            ledger = self.ledger()
            if condition(ledger):
                return ledger
            if time.monotonic() > deadline:
                raise SandboxError(f"the condition did not hold within {timeout_seconds} seconds")
            time.sleep(0.02)

    def _ask(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310 - our own loopback URL
            f"{self.url}/_sandbox/{path}", data=body, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                answer: dict[str, Any] = json.loads(response.read())
                return answer
        except urllib.error.HTTPError as error:
            with error:
                raise SandboxError(f"{method} {path}: {error.read().decode()}") from error


class SandboxServer(Bench):
    """A sandbox in a thread of this process: starts quickly, and its :attr:`world` can be inspected.

    ``world`` belongs to the thread; from outside read it only while no request is in progress.
    """

    def __init__(
        self,
        *,
        keys: KeyPairs | None = None,
        seed: int = DEFAULT_SEED,
        faults: Mapping[str, Any] | None = None,
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        callback_url: str | None = None,
        journal: Path | None = None,
        latency_seconds: float = 0.0,
        port: int = 0,
    ) -> None:
        self.keys = keys or KeyPairs.generate()
        self._world_of: Callable[[], World] = lambda: World(
            self.keys,
            SystemClock(),
            seed=seed,
            scenario=scenario_of(faults or {}),
            credentials=credentials,
            journal=FileJournal(journal) if journal else None,
            callback_url=callback_url,
        )
        self._latency_seconds = latency_seconds
        self._port = port
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="sat-sandbox", daemon=True)

    def __enter__(self) -> Self:
        self.world = self._world_of()
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_SECONDS) or self._failure is not None:
            raise SandboxError("the sandbox did not start") from self._failure
        return self

    def __exit__(self, *exception: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_TIMEOUT_SECONDS)
        if self._thread.is_alive():
            raise SandboxError("the sandbox did not stop")
        if self._failure is not None:
            raise SandboxError("the judge itself is wrong") from self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        service = SandboxService(self.world, port=self._port, latency_seconds=self._latency_seconds)
        async with service:
            self.url = service.url
            self._ready.set()
            await self._stop.wait()
            if service.broken.done():
                await service.broken


class SandboxProcess(Bench):
    """``sat-sandbox serve`` as a separate process, which can be killed and restarted.

    :param directory: the folder of keys, fault file and journal; a temporary one by default.
    :param journal: remember everything over :meth:`kill` and :meth:`start`.
    :param port: kept across restarts once it is known.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        seed: int = DEFAULT_SEED,
        faults: Mapping[str, Any] | None = None,
        callback_url: str | None = None,
        journal: bool = False,
        latency_ms: float = 0.0,
        port: int = 0,
    ) -> None:
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="sat-sandbox-")
        self.directory = directory or Path(self._temporary.name if self._temporary else "")
        self._seed = seed
        self._faults = faults
        self._callback_url = callback_url
        self._journal = journal
        self._latency_ms = latency_ms
        self._port = port
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        key_directory = self.directory / "keys"
        if not key_directory.exists():
            KeyPairs.generate().write(key_directory)
        self.keys = KeyPairs.read(key_directory)
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def start(self) -> None:
        """Start the process and wait for its line.

        :raises SandboxError: with the output of the process.
        """
        self._process = subprocess.Popen(
            self._command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy()
        )
        assert self._process.stdout is not None
        line = _first_line(self._process, START_TIMEOUT_SECONDS)
        if not line.startswith("sat-sandbox ready at "):
            self._process.kill()
            said = self._process.communicate()[1]
            raise SandboxError(f"the sandbox did not start: {line}{said}")
        self.url = line.rsplit(" ", 1)[1].strip()
        self._port = int(self.url.rsplit(":", 1)[1])

    def stop(self) -> int:
        """Send SIGTERM; returns the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """Send SIGKILL."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(number)
        process.communicate(timeout=STOP_TIMEOUT_SECONDS)
        return process.returncode

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "sandbox", "serve", "--port", str(self._port)]
        command += ["--keys", str(self.directory / "keys"), "--seed", str(self._seed)]
        if self._faults is not None:
            path = self.directory / "faults.yaml"
            path.write_text(json.dumps(dict(self._faults)), encoding="utf-8")
            command += ["--faults", str(path)]
        if self._callback_url is not None:
            command += ["--callback-url", self._callback_url]
        if self._journal:
            command += ["--journal", str(self.directory / "journal.jsonl")]
        if self._latency_ms:
            command += ["--latency-ms", str(self._latency_ms)]
        return command


def _first_line(process: subprocess.Popen[str], timeout_seconds: float) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(timeout_seconds):
            return ""
    return process.stdout.readline()
