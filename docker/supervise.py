"""``supervise.py URL COMPONENT COMMAND …``: run a part of Airflow, and end it when it has stopped working.

Docker starts again what has ended, and leaves alone what lives and does nothing. Airflow's scheduler can come
to that: after its database was away it may wait for ever for a worker of its own. Only Airflow's own word
counts: it has to say for PATIENCE_SECONDS that its database is healthy and that COMPONENT is not. That nobody
answers, or that the database is away, says nothing about the part. Standard library only, as in ``probe.py``.

The exit code is that of the command; 1 where it was ended.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import probe

LOOK_EVERY_SECONDS = 15.0
PATIENCE_SECONDS = 300.0
LAST_WORDS_SECONDS = 30.0


def has_stopped_working(url: str, component: str) -> bool:
    """Whether Airflow says so, and can know."""
    try:
        health = probe.health_of(url)
    except (OSError, ValueError):
        return False
    return probe.status_of(health, "metadatabase") == "healthy" and (
        probe.status_of(health, component) == "unhealthy"
    )


def main(arguments: list[str]) -> int:
    """The exit code."""
    url, component, command = arguments[0], arguments[1], arguments[2:]
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    worked = time.monotonic()
    while True:
        try:
            code = child.wait(LOOK_EVERY_SECONDS)
        except subprocess.TimeoutExpired:
            if not has_stopped_working(url, component):
                worked = time.monotonic()
            elif time.monotonic() - worked >= PATIENCE_SECONDS:
                return end(child, component)
        else:
            # As a shell says it when a signal was the end.
            return code if code >= 0 else 128 - code


def end(child: subprocess.Popen[bytes], component: str) -> int:
    """Ask it to end, and end it."""
    print(f"{component} lives and does not work: it is ended, to be started again", flush=True)
    child.terminate()
    try:
        child.wait(LAST_WORDS_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
