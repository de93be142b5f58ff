"""Background processes that outlive the command that started them; the next command finds them again.

A process is identified by its id and its start time, because an id may be reused.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from stack.errors import StackError

_KILL_SECONDS = 5
_POLL_SECONDS = 0.02


class ServiceFailedError(StackError):
    """A process ended or was not ready in time; the text has the end of its log."""


@dataclass(frozen=True, eq=False)
class Service:
    """One process with its session, log file and record.

    :param name: its display name, and the name of its log and record.
    """

    name: str
    logs: Path
    records: Path

    @property
    def log(self) -> Path:
        """The log file of the process."""
        return self.logs / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.records / f"{self.name}.json"

    def process(self) -> psutil.Process | None:
        """The running process that an earlier call started, or None."""
        record = self._read_record()
        if record is None:
            return None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(record["pid"])
            if _start_mark(process) == record["start_mark"] and _is_alive(process):
                return process
        return None

    def session(self) -> list[psutil.Process]:
        """The process and its live descendants, even if the process itself is gone.

        Tasks have separate process groups but stay in the session. The session id is not reused while one of
        them lives, unless the machine was rebooted.
        """
        record = self._read_record()
        if record is None or not record["start_mark"].startswith(_boot_mark()):
            return []
        with suppress(psutil.NoSuchProcess):
            if _start_mark(psutil.Process(record["pid"])) != record["start_mark"]:
                return []
        members = []
        for pid in psutil.pids():
            with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
                if os.getsid(pid) == record["pid"]:
                    members.append(psutil.Process(pid))
        return members

    def told(self) -> str:
        """The ``told`` of the last start; empty when there was none."""
        return str((self._read_record() or {}).get("told", ""))

    def start(self, command: Sequence[str], environment: Mapping[str, str], *, told: str = "") -> None:
        """Start it in a new session, so that Ctrl-C does not reach it; keep the last log as ``.1``.

        :param command: the path of a program, and its arguments.
        :param environment: the complete environment; nothing is inherited.
        :param told: settings that must stay valid while the process runs; kept for :meth:`told`.
        """
        for orphan in self.session():
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        # Not subprocess: the process deliberately outlives this one, which never waits for its exit status.
        pid = os.posix_spawn(
            command[0],
            list(command),
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        record = {"pid": pid, "start_mark": _start_mark(psutil.Process(pid)), "told": told}
        self._record.write_text(json.dumps(record) + "\n", "utf-8")

    def _read_record(self) -> dict[str, Any] | None:
        try:
            record = json.loads(self._record.read_text("utf-8"))
        except FileNotFoundError:
            return None
        assert isinstance(record, dict)
        return record

    def log_tail(self, lines: int = 20) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-lines:])

    def failed(self, why: str) -> ServiceFailedError:
        """The error that names the failed process and the end of its log."""
        return ServiceFailedError(f"{self.name} {why}; the end of {self.log}:\n{self.log_tail()}")

    def forget(self) -> None:
        """Remove the record of a process that is gone."""
        self._record.unlink(missing_ok=True)


def stop_all(services: Sequence[Service], *, insist_seconds: float, patience_seconds: float) -> list[str]:
    """Stop all services in parallel, with their descendants; returns the names of those that were killed.

    Each gets a signal to end, and a second one after ``insist_seconds``, which tells Airflow's parts not to
    wait for running tasks and triggers; all of these can be resumed. Whatever is left of their sessions
    ``patience_seconds`` later is killed.
    """
    running = {service: process for service in services if (process := service.process()) is not None}
    stubborn = list(running.values())
    for wait_seconds in (insist_seconds, patience_seconds):
        for process in stubborn:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        stubborn = _wait_for(stubborn, wait_seconds)
    left = [member for service in services for member in service.session()]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_for(left, _KILL_SECONDS)
    for service in services:
        service.forget()
    return [service.name for service, process in running.items() if process in stubborn]


@contextmanager
def finishing() -> Iterator[None]:
    """Lets a bounded clean-up finish even if Ctrl-C is pressed."""
    kept = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _wait_for(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all are gone or the time is up; returns those that still live.

    An ended process counts as gone even while its parent, which may be another command, has not collected
    its exit status.
    """
    give_up = time.monotonic() + seconds
    while (alive := [process for process in processes if _is_alive(process)]) and time.monotonic() < give_up:
        time.sleep(_POLL_SECONDS)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _start_mark(process: psutil.Process) -> str:
    """A mark that no later process with the same id has.

    On Linux it is the boot id and the clock tick of the start, because a corrected wall clock changes
    psutil's ``create_time``; elsewhere it is that time.
    """
    boot = _boot_mark()
    if not boot:
        return f"{process.create_time():.2f}"
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(process.pid) from None
    # Field 22; the name in field 2 may hold spaces and brackets.
    return f"{boot}/{stat.rpartition(')')[2].split()[19]}"


def _boot_mark() -> str:
    """The id of this boot of the machine (Linux); empty elsewhere."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    return boot_id.read_text("ascii").strip() if boot_id.exists() else ""
