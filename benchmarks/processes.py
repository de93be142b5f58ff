"""Runs every side of a measurement as a process of its own, which ends with the benchmark in every case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]


class BenchmarkError(RuntimeError):
    """A side of the measurement failed; its own output is above this error."""


@dataclass(frozen=True, slots=True)
class Side:
    """A running ``python -m …`` that speaks in lines."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """Return the next line that it prints.

        :raises BenchmarkError: the side ended instead.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise BenchmarkError(f"{self.process.args!r} ended with {self.process.wait()}")
        return line

    def document(self) -> Any:
        """The next line as JSON."""
        return json.loads(self.line())

    def go(self) -> None:
        """Let the side begin: it waits for a line once it has prepared everything."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def started(command: Sequence[str]) -> Iterator[Side]:
    """Start ``python -m`` *command*. Closing its standard input ends it."""
    environment = {**os.environ, "OAUTHLIB_INSECURE_TRANSPORT": "1", "NO_PROXY": "127.0.0.1"}
    environment.pop("PYTHONASYNCIODEBUG", None)
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Side(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def ready() -> None:
    """In a side: report that everything is prepared. Returns when the measurement begins."""
    print("ready", flush=True)
    sys.stdin.readline()


def told(document: object) -> None:
    """In a side: report the measurements."""
    print(json.dumps(document), flush=True)
