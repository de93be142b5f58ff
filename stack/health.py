"""Checks whether the parts of the stack answer, and waits until all do."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

import psutil
import requests

from stack.airflow_settings import AirflowSettings
from stack.processes import Service

STUCK_SECONDS = 45
"""A part that ran before and does not answer for this long is stuck. Airflow's scheduler can wait forever for
one
of its workers after a short loss of its database."""
_POLL_SECONDS = 0.1

#: Service → its name in the answer of Airflow's health route.
_HEARTBEATS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


class HealthCheck:
    """Checks the SAT server and Airflow's API directly, and the other parts of Airflow by their heartbeats.

    :param just_started: services whose heartbeat counts only if it is newer than this object, because an
        earlier run's heartbeat may be seconds old.
    """

    start_seconds: ClassVar[float] = 120

    def __init__(
        self, settings: AirflowSettings, services: Sequence[Service], *, just_started: Sequence[Service]
    ) -> None:
        self._settings = settings
        self._services = services
        self._just_started = {service.name for service in just_started}
        self._began = datetime.now(UTC)
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy between two parts on one machine

    def wait(self) -> list[Service]:
        """Return when all parts answer, except parts that ran before and are stuck.

        :returns: the stuck parts.
        :raises stack.processes.ServiceFailedError: naming the first part that ended or was late.
        """
        began = time.monotonic()
        ready: set[str] = set()
        while True:
            for service in self._services:
                if service.process() is None:
                    raise service.failed("ended by itself")
            ready |= self.ready_now(besides=ready)
            late = [service for service in self._services if service.name not in ready]
            waited = time.monotonic() - began
            if not late:
                return []
            if waited > STUCK_SECONDS and not self._just_started & {service.name for service in late}:
                return late
            if waited > self.start_seconds:
                raise late[0].failed(f"was not ready after {self.start_seconds} s")
            time.sleep(_POLL_SECONDS)

    def ready_now(self, besides: Collection[str] = ()) -> set[str]:
        """Names of the services that answer now; those in ``besides`` are not checked."""
        ready = set()
        ports = self._settings.ports
        if (
            "sandbox" not in besides
            and self._get(f"{self._settings.sandbox_url}/_sandbox/health") is not None
            and self._is_ours("sandbox", ports.sandbox)
        ):
            ready.add("sandbox")
        health = self._get(f"{self._settings.airflow_url}/api/v2/monitor/health")
        if health is not None and self._is_ours("api-server", ports.api):
            ready.add("api-server")
            ready.update(
                name for name, part in _HEARTBEATS.items() if self._beats(name, health.get(part) or {})
            )
        return ready

    def _is_ours(self, name: str, port: int) -> bool:
        """Whether the stack's process is the one that listens on the port.

        While ours was loading, another checkout's stack may have taken the port, and it would answer as well.
        """
        process = next((service.process() for service in self._services if service.name == name), None)
        if process is None:
            return False
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            return any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for member in (process, *process.children(recursive=True))
                for connection in member.net_connections(kind="tcp")
            )
        return False

    def _beats(self, name: str, part: dict[str, Any]) -> bool:
        heartbeat = part.get(f"latest_{_HEARTBEATS[name]}_heartbeat")
        if part.get("status") != "healthy" or heartbeat is None:
            return False
        return name not in self._just_started or datetime.fromisoformat(heartbeat) >= self._began

    def _get(self, url: str) -> dict[str, Any] | None:
        try:
            reply = self._http.get(url, timeout=5, allow_redirects=False)
            document = reply.json() if reply.status_code == requests.codes.ok else None
        except requests.RequestException:
            return None
        return document if isinstance(document, dict) else None
