"""Whether the parts of the stack answer, and waiting until all of them do."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psutil
import requests

from stack.airflow_settings import AirflowSettings
from stack.processes import Service

START_SECONDS = 120
STUCK_SECONDS = 45
"""What ran before and does not answer for so long will not. Airflow's scheduler can wait for a worker of its
own for ever after its database was gone for a moment."""
_POLL_SECONDS = 0.1

#: Service → its name in the answer of Airflow's health route.
_HEARTBEATS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


class HealthCheck:
    """Asks the SAT server and Airflow's API; the other parts of Airflow are known by their heartbeats.

    :param just_started: services whose heartbeat counts only when it is younger than this object, because
        one of an earlier run may be seconds old.
    """

    def __init__(
        self, settings: AirflowSettings, services: Sequence[Service], *, just_started: Sequence[Service]
    ) -> None:
        self._settings = settings
        self._services = services
        self._just_started = {service.name for service in just_started}
        self._began = datetime.now(UTC)
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy has no business between two parts of one machine

    def wait(self) -> list[Service]:
        """Return when everything answers, or all but parts that ran before and are stuck.

        :returns: those that are stuck.
        :raises stack.processes.ServiceFailedError: naming the first that ended, or was late.
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
            if waited > START_SECONDS:
                raise late[0].failed(f"was not ready after {START_SECONDS} s")
            time.sleep(_POLL_SECONDS)

    def ready_now(self, besides: Collection[str] = ()) -> set[str]:
        """Names of the services that answer now; those named in ``besides`` are not asked."""
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
        """Whether the stack's own process is the one that listens there.

        A port that was free when it was chosen may have been taken by another checkout's stack while ours was
        loading, and that one answers, too.
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
