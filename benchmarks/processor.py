"""Measures the processor time of the sides and of all other processes on the machine (Linux only)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time used up to now, in seconds."""

    by_side: Mapping[str, float]
    machine: float | None

    @classmethod
    def now(cls, pids: Mapping[str, int]) -> Usage:
        """Return the usage of some processes, including their children, and of the whole machine."""
        by_side = {
            name: _of_process(pid) + sum(map(_of_process, _children(pid))) for name, pid in pids.items()
        }
        return cls(by_side, _of_machine())

    def since(self, before: Usage) -> Usage:
        """Return the usage between two moments."""
        by_side = {name: max(0.0, used - before.by_side[name]) for name, used in self.by_side.items()}
        known = self.machine is not None and before.machine is not None
        return Usage(by_side, self.machine - before.machine if known else None)  # type: ignore[operator]

    @property
    def others(self) -> float | None:
        """The usage of processes that are not sides."""
        return None if self.machine is None else max(0.0, self.machine - sum(self.by_side.values()))


def _of_process(pid: int) -> float:
    """Including the children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _of_machine() -> float | None:
    try:
        with Path("/proc/stat").open() as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
    except OSError:
        return None
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / _TICKS
