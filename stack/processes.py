"""Background processes that outlive the command that started them, and are found again by the next one.

A process is known by its id and the moment it started: an id alone may belong to somebody else by now.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# Held so that a child which outlives this process on purpose is not reported as forgotten.
_children: list[subprocess.Popen[bytes]] = []


class ServiceFailedError(RuntimeError):
    """A process ended by itself, or was not ready in time; the text has the end of its log."""


@dataclass(frozen=True, eq=False)
class Service:
    """One process with its own session, log file and record.

    :param name: as people know it; also the name of its log and record.
    """

    name: str
    logs: Path
    records: Path

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.logs / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.records / f"{self.name}.json"

    def process(self) -> psutil.Process | None:
        """The running process that an earlier call started, or None."""
        try:
            record = json.loads(self._record.read_text("utf-8"))
            process = psutil.Process(record["pid"])
            is_ours = _start_mark(process) == record["start_mark"]
            return process if is_ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it in a session of its own, so that Ctrl-C does not reach it; keep the last log as ``.1``.

        :param environment: added to the caller's own.
        """
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("wb") as output:
            started = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _children.append(started)
        record = {"pid": started.pid, "start_mark": _start_mark(psutil.Process(started.pid))}
        self._record.write_text(json.dumps(record) + "\n", "utf-8")

    def log_tail(self, lines: int = 20) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-lines:])

    def failed(self, why: str) -> ServiceFailedError:
        """The error that says which process failed and what it said last."""
        return ServiceFailedError(f"{self.name} {why}; the end of {self.log}:\n{self.log_tail()}")

    def forget(self) -> None:
        """Remove the record of a process that is gone."""
        self._record.unlink(missing_ok=True)


def stop_all(services: Iterable[Service], *, insist_seconds: float, patience_seconds: float) -> list[str]:
    """End all of them at once, with all they started; returns the names of those that had to be killed.

    Each is asked to end, and asked again after ``insist_seconds``: to Airflow's parts the second time means
    not to wait for running tasks and triggers, all of which can be taken up again. What is left of them and
    of the processes in their sessions ``patience_seconds`` later is killed.
    """
    running = {service: process for service in services if (process := service.process()) is not None}
    stubborn = list(running.values())
    for wait_seconds in (insist_seconds, patience_seconds):
        for process in stubborn:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, stubborn = psutil.wait_procs(stubborn, timeout=wait_seconds)
    # A session's number is not given away while a process of that session lives.
    left = [member for process in running.values() for member in _session_of(process.pid)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    for service in running:
        service.forget()
    return [service.name for service, process in running.items() if process in stubborn]


def _session_of(leader_pid: int) -> list[psutil.Process]:
    """Every living process of the session, the leader included: tasks have process groups of their own."""
    members = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(pid) == leader_pid:
                members.append(psutil.Process(pid))
    return members


def _start_mark(process: psutil.Process) -> str:
    """Something that no later process with the same id has.

    On Linux the boot and the clock tick of the start, because a corrected wall clock moves psutil's
    ``create_time``; elsewhere that time itself.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        stat = Path(f"/proc/{process.pid}/stat").read_text("utf-8", errors="replace")
        # Field 22; the name in field 2 may hold spaces and brackets.
        return f"{boot}/{stat.rpartition(')')[2].split()[19]}"
    except FileNotFoundError:
        return f"{process.create_time():.2f}"
