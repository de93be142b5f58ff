"""Whether what answers on the stack's ports is the stack, and whether its parts know the right ports."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from stack import health, lifecycle
from stack.airflow_settings import AirflowSettings
from stack.credentials import Credentials
from stack.databases import ApplicationDatabase
from stack.health import HealthCheck
from stack.layout import Layout
from stack.lifecycle import SERVICE_NAMES, Stack
from stack.ports import Ports
from stack.postgres import free_port
from stack.processes import Service, ServiceFailedError, stop_all
from tests.loopback import QuietHandler, serving

SLEEPS = "import time; time.sleep(60)"
ANSWERS = """
import sys
from tests.unit.stack import test_health
from http.server import ThreadingHTTPServer
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), getattr(test_health, sys.argv[2])).serve_forever()
"""


class Healthy(QuietHandler):
    """What Airflow and the SAT server say when all is well."""

    unwell = ""

    def do_GET(self) -> None:
        """Everything beats now, but for what is unwell."""
        now = datetime.now(UTC).isoformat()
        parts = {
            name: {
                "status": "unhealthy" if name == self.unwell else "healthy",
                f"latest_{name}_heartbeat": now,
            }
            for name in ("scheduler", "triggerer", "dag_processor")
        }
        self.reply(200, json.dumps(parts).encode())


class WithoutScheduler(Healthy):
    """The scheduler's process is there, and its heart has stopped."""

    unwell = "scheduler"


@contextmanager
def stranger() -> Iterator[int]:
    """A foreign stack, as far as its health goes; gives its port."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Healthy)) as server:
        yield server.server_port


def settings_with(folder: Path, ports: Ports) -> AirflowSettings:
    """Settings of a stack in the folder."""
    layout = Layout(folder, folder / ".stack")
    layout.make_folders()
    credentials = Credentials.load_or_make(layout.credentials)
    application = ApplicationDatabase.named(
        "sat", "postgresql://127.0.0.1:5432/postgres", credentials.role_passwords
    )
    return AirflowSettings(layout, credentials, ports, application)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[list[Service]]:
    """Services that do not run yet, and are gone after the test."""
    made = [Service(name, tmp_path, tmp_path) for name in SERVICE_NAMES]
    yield made
    stop_all(made, insist_seconds=0, patience_seconds=0)


def answer(service: Service, port: int, how: type[Healthy] = Healthy) -> None:
    """Let the service answer on the port."""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    service.start([sys.executable, "-c", ANSWERS, str(port), how.__name__], environment)


def test_a_strangers_answer_does_not_make_our_part_ready(services: list[Service], tmp_path: Path) -> None:
    """Two stacks that start together may choose the same free port; only one of them gets it."""
    with stranger() as taken:
        settings = settings_with(tmp_path, Ports(postgres=1, api=taken, sandbox=taken))
        for service in services:
            service.start([sys.executable, "-c", SLEEPS], os.environ)
        assert HealthCheck(settings, services, just_started=services).ready_now() == set()


def test_the_part_that_did_not_get_its_port_is_named(services: list[Service], tmp_path: Path) -> None:
    """The stack is not up, even if a server answers there."""
    with stranger() as taken:
        settings = settings_with(tmp_path, Ports(postgres=1, api=taken, sandbox=taken))
        for service in services:
            script = "raise SystemExit('address in use')" if service.name == "api-server" else SLEEPS
            service.start([sys.executable, "-c", script], os.environ)
        with pytest.raises(ServiceFailedError, match="api-server ended by itself"):
            HealthCheck(settings, services, just_started=services).wait()


def test_our_own_answer_makes_it_ready(services: list[Service], tmp_path: Path) -> None:
    """The process that was started is the one that listens."""
    settings = settings_with(tmp_path, Ports(postgres=1, api=free_port(), sandbox=free_port()))
    ports = {"api-server": settings.ports.api, "sandbox": settings.ports.sandbox}
    for service in services:
        if service.name in ports:
            answer(service, ports[service.name])
        else:
            service.start([sys.executable, "-c", SLEEPS], os.environ)
    assert HealthCheck(settings, services, just_started=[]).wait() == []


def test_a_part_whose_heart_has_stopped_is_stuck(
    services: list[Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives and answers no more; one that was only just started has more time."""
    monkeypatch.setattr(health, "STUCK_SECONDS", 0.5)
    monkeypatch.setattr(HealthCheck, "start_seconds", 30)
    settings = settings_with(tmp_path, Ports(postgres=1, api=free_port(), sandbox=free_port()))
    ports = {"api-server": settings.ports.api, "sandbox": settings.ports.sandbox}
    for service in services:
        if service.name in ports:
            answer(service, ports[service.name], WithoutScheduler)
        else:
            service.start([sys.executable, "-c", SLEEPS], os.environ)
    # The two that answer are given the time that they need.
    starting = [service for service in services if service.name in ports]
    stuck = HealthCheck(settings, services, just_started=starting).wait()
    assert [service.name for service in stuck] == ["scheduler"]
    monkeypatch.setattr(HealthCheck, "start_seconds", 1)
    with pytest.raises(ServiceFailedError, match="scheduler was not ready"):
        HealthCheck(settings, services, just_started=stuck).wait()


class WithoutServers(Stack):
    """A stack whose parts only sleep, on the ports that it is given."""

    ports = Ports(postgres=1, api=2, sandbox=3)

    def _prepare(self) -> AirflowSettings:
        return settings_with(self.layout.checkout, self.ports)

    def _store_metadata(self, settings: AirflowSettings) -> None:
        """There is no database."""


def test_parts_that_know_another_port_are_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks call the API server, and the SAT server the receiver, where they were told that it is."""
    monkeypatch.setattr(lifecycle, "_command", lambda *_: [sys.executable, "-c", SLEEPS])
    monkeypatch.setattr(HealthCheck, "wait", lambda _: None)
    said: list[str] = []
    stack = WithoutServers(Layout(tmp_path, tmp_path / ".stack"), said.append)

    def pids() -> list[int]:
        processes = [stack.service(name).process() for name in SERVICE_NAMES]
        return [process.pid for process in processes if process is not None]

    try:
        stack.up()
        first = pids()
        stack.up()
        assert pids() == first
        stack.ports = Ports(postgres=1, api=4, sandbox=3)
        stack.up()
        assert len(pids()) == len(SERVICE_NAMES)
        assert not set(pids()) & set(first)
        assert "a port has changed: stopping api-server" in "\n".join(said)
    finally:
        stop_all([stack.service(name) for name in SERVICE_NAMES], insist_seconds=0, patience_seconds=0)


def test_what_is_stuck_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are left alone."""
    monkeypatch.setattr(lifecycle, "_command", lambda *_: [sys.executable, "-c", SLEEPS])
    said: list[str] = []
    stack = WithoutServers(Layout(tmp_path, tmp_path / ".stack"), said.append)
    looks: list[list[Service]] = [[], [stack.service("scheduler")], []]
    monkeypatch.setattr(HealthCheck, "wait", lambda _: looks.pop(0))

    def pids() -> dict[str, int]:
        processes = {name: stack.service(name).process() for name in SERVICE_NAMES}
        return {name: process.pid for name, process in processes.items() if process is not None}

    try:
        stack.up()
        before = pids()
        stack.up()
        after = pids()
        assert [name for name in SERVICE_NAMES if before[name] != after[name]] == ["scheduler"]
        assert said[-1] == "starting again what answers no more: scheduler"
        assert looks == []
    finally:
        stop_all([stack.service(name) for name in SERVICE_NAMES], insist_seconds=0, patience_seconds=0)
