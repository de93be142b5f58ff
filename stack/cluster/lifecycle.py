"""Starts and stops the cluster: the parts of docker-compose.celery.yaml, without Docker."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, cast

import requests

from stack.airflow_settings import SAT_ACCOUNT, AirflowSettings
from stack.cluster.health import ClusterHealth
from stack.cluster.settings import (
    AIRFLOW_PARTS,
    BUCKET,
    PROGRAMS,
    SECOND_ACCOUNT,
    ClusterPorts,
    ClusterSettings,
)
from stack.health import HealthCheck
from stack.lifecycle import SetUpError, Stack
from stack.ports import Ports
from stack.processes import Service

#: What the parts of Airflow need from their first moment.
FOUNDATIONS = ("redis", "pgbouncer", "storage")
_FOUNDATION_SECONDS = 120
#: Service → its port.
PORTS = {
    "redis": "redis",
    "pgbouncer": "pooler",
    "storage": "storage",
    "proxy": "proxy",
    "receiver-1": "receiver_1",
    "receiver-2": "receiver_2",
    "sandbox": "sandbox",
    "second-sandbox": "second_sandbox",
    "api-server": "api",
}


class Cluster(Stack):
    """Redis, PgBouncer, an S3 server, a proxy before two receivers, two schedulers, triggerers and workers.

    Each part of Airflow has a home and a host name of its own, so none can lean on another one's files. Two
    accounts have a SAT server each.
    """

    service_names: ClassVar[Sequence[str]] = (
        *FOUNDATIONS,
        *AIRFLOW_PARTS,
        "receiver-1",
        "receiver-2",
        "proxy",
        "sandbox",
        "second-sandbox",
    )
    ports_kind: ClassVar[type[Ports]] = ClusterPorts
    port_owners: ClassVar[Mapping[str, str]] = {port: service for service, port in PORTS.items()}

    def settings(self) -> ClusterSettings:
        return cast("ClusterSettings", super().settings())

    def restart_ended(self) -> list[str]:
        """Start again what has ended, as a supervisor does, and return the names. It waits for nothing and
        stops nothing: a part may end once more while another one that it needs is not there yet.
        """
        settings = self.settings()
        with self._alone():
            ended = [service for service in self._services if service.process() is None]
            if ended:
                self._start(ended, settings, json.dumps(asdict(settings.ports)))
        return [service.name for service in ended]

    def _settings(self, ports: Ports) -> ClusterSettings:
        assert isinstance(ports, ClusterPorts)
        return ClusterSettings(self.layout, self.credentials, ports, self._application(ports.postgres))

    def _health(self, settings: AirflowSettings, just_started: Sequence[Service]) -> HealthCheck:
        ports = {service: getattr(settings.ports, port) for service, port in PORTS.items()}
        return ClusterHealth(settings, self._services, just_started=just_started, ports=ports)

    def _start(self, services: list[Service], settings: AirflowSettings, told: str) -> None:
        super()._start([service for service in services if service.name in FOUNDATIONS], settings, told)
        self._wait_for_foundations(settings)
        super()._start([service for service in services if service.name not in FOUNDATIONS], settings, told)

    def _wait_for_foundations(self, settings: AirflowSettings) -> None:
        health = self._health(settings, [])
        give_up = time.monotonic() + _FOUNDATION_SECONDS
        while missing := set(FOUNDATIONS) - health.ready_now(besides=AIRFLOW_PARTS):
            if time.monotonic() > give_up:
                raise self.service(min(missing)).failed(f"did not listen after {_FOUNDATION_SECONDS} s")
            time.sleep(0.1)
        url = settings.environment()["AWS_ENDPOINT_URL"]
        requests.put(f"{url}/{BUCKET}", timeout=30, proxies={"http": ""}).raise_for_status()

    def _environment_of(self, service_name: str, settings: AirflowSettings) -> Mapping[str, str]:
        assert isinstance(settings, ClusterSettings)
        return settings.environment_of(service_name)

    def _command_of(self, service_name: str, settings: AirflowSettings) -> list[str]:
        assert isinstance(settings, ClusterSettings)
        folder, ports = settings.folder, settings.ports
        if service_name in AIRFLOW_PARTS:
            return [*_with_host_name(service_name), sys.executable, "-m", "airflow", *_part(service_name)]
        match service_name:
            case "redis":
                return [_program("redis-server"), str(folder / "redis.conf")]
            case "pgbouncer":
                _program("pgbouncer")
                return ["/bin/sh", str(self.layout.checkout / "docker" / "pgbouncer.sh")]
            case "proxy":
                return [
                    _program("haproxy"),
                    "-db",
                    "-f",
                    str(self.layout.checkout / "docker" / "haproxy.cfg"),
                ]
            case "storage":
                return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(ports.storage)]
            case "receiver-1" | "receiver-2":
                port = getattr(ports, PORTS[service_name])
                return [str(Path(sys.executable).parent / "sat"), "receiver", "serve", "--port", str(port)]
            case "sandbox":
                return self._sandbox(settings, SAT_ACCOUNT, ports.sandbox)
            case "second-sandbox":
                return self._sandbox(settings, SECOND_ACCOUNT, ports.second_sandbox)
            case _:
                raise ValueError(f"no such service: {service_name}")

    def _sandbox(self, settings: ClusterSettings, account: str, port: int) -> list[str]:
        # fmt: off
        return [
            sys.executable, "-m", "sandbox", "serve", "--port", str(port), "--keys", str(self.layout.keys),
            "--callback-url", settings.callback_url_of(account),
            "--journal", str(self.layout.state / f"{account}.journal"),
        ]
        # fmt: on


def _part(name: str) -> list[str]:
    """The arguments of ``airflow`` for a part."""
    kind = name.partition("-")[0]
    match kind:
        case "worker":
            # Log servers would listen on all addresses; logs go to the object store.
            return ["celery", "worker", "--skip-serve-logs"]
        case "scheduler" | "triggerer":
            return [kind, "--skip-serve-logs"]
        case _:
            return [name]


def _with_host_name(name: str) -> list[str]:
    """The command prefix that gives a process a host name of its own."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return [_program("unshare"), *as_root, "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]


def _program(name: str) -> str:
    """The path of a program.

    :raises SetUpError: it is not installed.
    """
    found = shutil.which(name, path=PROGRAMS)
    if found is None:
        raise SetUpError(
            f"{name}: not found; the cluster needs Linux with redis-server, pgbouncer, haproxy and unshare "
            "(Debian: apt-get install redis-server pgbouncer haproxy)"
        )
    return found
