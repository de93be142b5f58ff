"""Things that are too expensive to start for each test, and must not outlive pytest however it ends.

A keeper is a process that starts such a thing, says in one line where it is, and ends it as soon as its
standard input closes: when the session is over, or when pytest was killed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept(module: str, *arguments: str) -> Iterator[str]:
    """The line that the keeper ``module`` hands over; the thing it keeps lives as long as the context."""
    # A session of its own: Ctrl-C in the terminal must reach pytest alone, which then closes the pipe.
    keeper = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with keeper:
        assert keeper.stdout is not None
        assert keeper.stdin is not None
        line = keeper.stdout.readline().strip()
        assert line, f"{module} ended before anything ran; its reason stands in the captured output"
        try:
            yield line
        finally:
            keeper.stdin.close()


def hand_over(line: str) -> None:
    """In the keeper: tell the test session where the thing is, and return when it is no longer needed."""
    print(line, flush=True)
    sys.stdin.read()
