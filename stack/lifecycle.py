"""Prepares, starts and stops the whole stack: PostgreSQL, the SAT server and the four parts of Airflow."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from typing import ClassVar

from stack.airflow_settings import APPLICATION_DATABASE, METADATA_DATABASE, AirflowSettings
from stack.credentials import AIRFLOW_ROLE, Credentials
from stack.databases import ApplicationDatabase, ensure_database, ensure_role, prepare_application
from stack.errors import StackError
from stack.health import HealthCheck
from stack.layout import Layout, write_private
from stack.ports import Ports
from stack.postgres import EmbeddedPostgres
from stack.processes import Service, finishing, stop_all

# Airflow's triggerer takes ten seconds to end even when idle, five after a second signal. Killing it sooner
# is safe: triggers only read, and are resumed.
INSIST_SECONDS = 3
PATIENCE_SECONDS = 2

#: The service that takes longest to load is started first.
SERVICE_NAMES = ("api-server", "scheduler", "dag-processor", "triggerer", "sandbox")

Say = Callable[[str], None]


class SetUpError(StackError):
    """The stack could not be prepared; the text says which step failed and why."""


@dataclass(frozen=True, slots=True)
class PartState:
    """One line of ``status``."""

    name: str
    pid: int | None
    is_ready: bool
    where: str


class Stack:
    """The local stack of one checkout.

    :param say: called with one line for each step that takes time.
    :param overrides: environment variables that replace the stack's own, for experiments.
    """

    service_names: ClassVar[Sequence[str]] = SERVICE_NAMES
    ports_kind: ClassVar[type[Ports]] = Ports
    port_owners: ClassVar[Mapping[str, str]] = {"api": "api-server", "sandbox": "sandbox"}
    """Port → the service that listens on it, and keeps it while it runs."""

    def __init__(self, layout: Layout, say: Say, overrides: Mapping[str, str] | None = None) -> None:
        self.layout = layout
        self._say = say
        self._overrides = dict(overrides or {})
        self._services = [Service(name, layout.logs, layout.processes) for name in self.service_names]

    @cached_property
    def credentials(self) -> Credentials:
        """The stack's passwords; created at first use."""
        return Credentials.load_or_make(self.layout.credentials)

    @cached_property
    def postgres(self) -> EmbeddedPostgres:
        """The embedded server."""
        return EmbeddedPostgres(self.layout.postgres, self.credentials.superuser_password)

    def setup(self) -> None:
        """Prepare everything that the stack needs before it runs; a running stack keeps running."""
        with self._alone():
            was_running = self.postgres.status() is not None
            try:
                self._store_metadata(self._prepare())
            finally:
                if not was_running:
                    self.postgres.stop()

    def up(self) -> AirflowSettings:
        """Start the parts that do not run and wait until all parts answer.

        :raises stack.processes.ServiceFailedError: a process ended or was not ready in time; the parts that
            this call started are stopped again.
        """
        with self._alone():
            postgres_was_running = self.postgres.status() is not None
            missing: list[Service] = []
            try:
                settings = self._prepare()
                if not self.layout.prepared.exists():
                    self._store_metadata(settings)
                # The parts find each other by port; a part with outdated ports would call other processes.
                told = json.dumps(asdict(settings.ports))
                misled = [
                    service for service in self._services if service.process() and service.told() != told
                ]
                if misled:
                    self._say("a port has changed: stopping " + ", ".join(service.name for service in misled))
                    self._stop(misled)
                missing = [service for service in self._services if service.process() is None]
                if missing:
                    self._say("starting " + ", ".join(service.name for service in missing))
                self._start(missing, settings, told)
                # Changed connections, for example with a new port, are stored while Airflow loads.
                self._store_metadata(settings)
                stuck = self._health(settings, missing).wait()
                if stuck:
                    self._say("starting again what answers no more: " + ", ".join(one.name for one in stuck))
                    self._stop(stuck)
                    missing += stuck
                    self._start(stuck, settings, told)
                    self._health(settings, self._services).wait()
            except BaseException:
                with finishing():
                    self._stop(missing)
                    if not postgres_was_running:
                        self.postgres.stop()
                raise
            return settings

    def down(self) -> bool:
        """Stop all running parts, PostgreSQL last; returns whether any ran."""
        if not self.layout.credentials.exists():
            return False
        with self._alone():
            ran = self.postgres.status() is not None or any(service.process() for service in self._services)
            self._stop(self._services)
            self.postgres.stop()
            return ran

    def service(self, name: str) -> Service:
        """One of the stack's processes; raises KeyError for an unknown name."""
        return {service.name: service for service in self._services}[name]

    def settings(self) -> AirflowSettings:
        """The addresses and settings of the parts, as of the last start.

        :raises SetUpError: there was none.
        """
        ports = self.ports_kind.kept(self.layout.ports)
        if ports is None:
            raise SetUpError(f"nothing was ever set up in {self.layout.state}: run 'make setup'")
        return self._settings(ports)

    def status(self) -> list[PartState]:
        """The running parts, and whether they answer; empty before the first set-up."""
        ports = self.ports_kind.kept(self.layout.ports)
        if ports is None or not self.layout.credentials.exists():
            return []
        settings = self._settings(ports)
        server = self.postgres.status()
        where = {"api-server": settings.airflow_url, "sandbox": settings.sandbox_url}
        ready = self._health(settings, []).ready_now()
        return [
            PartState(
                "postgres",
                pid=server.pid if server else None,
                is_ready=server is not None and server.is_ready,
                where=f"127.0.0.1:{server.port}" if server else "",
            ),
            *(
                PartState(
                    service.name,
                    pid=process.pid if (process := service.process()) else None,
                    is_ready=process is not None and service.name in ready,
                    where=where.get(service.name, ""),
                )
                for service in self._services
            ),
        ]

    def _start(self, services: list[Service], settings: AirflowSettings, told: str) -> None:
        for service in services:
            environment = {**_environment(settings), **self._environment_of(service.name, settings)}
            command = self._command_of(service.name, settings)
            service.start(command, {**environment, **self._overrides}, told=told)

    def _command_of(self, service_name: str, settings: AirflowSettings) -> list[str]:
        return _command(service_name, settings)

    def _environment_of(self, service_name: str, settings: AirflowSettings) -> Mapping[str, str]:
        """What one service is told besides the settings of all."""
        del service_name, settings
        return {}

    def _health(self, settings: AirflowSettings, just_started: Sequence[Service]) -> HealthCheck:
        return HealthCheck(settings, self._services, just_started=just_started)

    def _stop(self, services: list[Service]) -> None:
        stop_all(services, insist_seconds=INSIST_SECONDS, patience_seconds=PATIENCE_SECONDS)

    def _prepare(self) -> AirflowSettings:
        """Prepare folders, keys, the running PostgreSQL with both databases, and the parts' files."""
        kept = self.ports_kind.kept(self.layout.ports)
        server = self.postgres.start(kept.postgres if kept else None)
        running = {service.name for service in self._services if service.process()}
        ports = self.ports_kind.choose(
            self.layout.ports,
            postgres=server.port,
            running=[port for port, owner in self.port_owners.items() if owner in running],
        )
        if not (self.layout.keys / "sat_public.pem").exists():
            self._run([sys.executable, "-m", "sandbox", "keys", str(self.layout.keys)])
        if not self.layout.audit_private_key.exists():
            # Imported here, so that orchestration alone does not load cryptography.
            from sat_hook.audit.keys import write_audit_key

            write_audit_key(self.layout.keys)
        superuser_dsn, passwords = self.postgres.dsn(), self.credentials.role_passwords
        prepare_application(APPLICATION_DATABASE, superuser_dsn, passwords)
        ensure_role(superuser_dsn, AIRFLOW_ROLE, passwords[AIRFLOW_ROLE])
        ensure_database(superuser_dsn, METADATA_DATABASE, owner=AIRFLOW_ROLE)
        settings = self._settings(ports)
        settings.write_files()
        return settings

    def _settings(self, ports: Ports) -> AirflowSettings:
        return AirflowSettings(self.layout, self.credentials, ports, self._application(ports.postgres))

    def _application(self, port: int) -> ApplicationDatabase:
        """The application's database by way of the server, or a pooler, at a port."""
        server = f"postgresql://127.0.0.1:{port}/postgres?sslmode=disable"
        return ApplicationDatabase.named(APPLICATION_DATABASE, server, self.credentials.role_passwords)

    def _store_metadata(self, settings: AirflowSettings) -> None:
        """Migrate Airflow's database and store the connections, if anything changed since last time."""
        wanted = {"airflow": version("apache-airflow-core"), "connections": settings.connections()}
        prepared = self.layout.prepared
        stored = json.loads(prepared.read_text("utf-8")) if prepared.exists() else {}
        if stored == wanted:
            return
        self._say("preparing Airflow's database and connections")
        known = stored.get("connections")
        # An earlier release stored only a digest.
        given = {"wanted": wanted["connections"], "stored": known if isinstance(known, dict) else {}}
        self._run(
            [sys.executable, "-m", "stack.metadata"],
            environment=_environment(settings),
            given=json.dumps(given),
        )
        write_private(prepared, json.dumps(wanted) + "\n")

    def _run(self, command: list[str], *, environment: dict[str, str] | None = None, given: str = "") -> None:
        done = subprocess.run(
            command,
            cwd=self.layout.checkout,
            env=environment,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode != 0:
            said = "\n".join(done.stdout.splitlines()[-20:])
            raise SetUpError(f"{' '.join(command[1:4])} ended with {done.returncode}:\n{said}")

    @contextmanager
    def only(self, what: str) -> Iterator[None]:
        """Hold a lock, so that only this process does ``what`` with this stack.

        :raises StackError: another process does; the text names it.
        """
        self.layout.make_folders()
        with (self.layout.state / f"{what}.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                process = lock.read().strip() or "unknown"
                raise StackError(
                    f"another {what} runs in {self.layout.checkout} (process {process}); wait for its end"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold a lock, so that only one command works on the stack at a time."""
        self.layout.make_folders()
        with (self.layout.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("waiting for another command that works on this stack")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _environment(settings: AirflowSettings) -> dict[str, str]:
    """The caller's environment without its Airflow settings, and with the stack's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    exempt = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    no_proxy = ",".join(filter(None, (exempt, "127.0.0.1", "localhost")))
    return {**inherited, "NO_PROXY": no_proxy, "no_proxy": no_proxy, **settings.environment()}


def _command(service_name: str, settings: AirflowSettings) -> list[str]:
    """The command of a service, run as a module of this interpreter, so that PATH does not matter."""
    airflow = [sys.executable, "-m", "airflow"]
    match service_name:
        case "api-server":
            return [*airflow, "api-server"]
        case "scheduler" | "triggerer":
            # Log servers would listen on all addresses; on one machine the API server reads the files.
            return [*airflow, service_name, "--skip-serve-logs"]
        case "dag-processor":
            return [*airflow, service_name]
        case "sandbox":
            # fmt: off
            return [
                sys.executable, "-m", "sandbox", "serve", "--port", str(settings.ports.sandbox),
                "--keys", str(settings.layout.keys), "--callback-url", settings.callback_url,
                "--journal", str(settings.layout.sandbox_journal),
                "--credentials", str(settings.layout.sandbox_credentials),
            ]
            # fmt: on
        case _:
            raise ValueError(f"no such service: {service_name}")
