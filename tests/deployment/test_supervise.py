"""A part of Airflow that lives and does not work is ended; any other goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployment.composition import CHECKOUT
from tests.loopback import QuietHandler, http_server

#: The command, with less patience than in a deployment.
HASTY = """
import sys
import supervise
supervise.LOOK_EVERY_SECONDS, supervise.LAST_WORDS_SECONDS = 0.05, 0.3
supervise.PATIENCE_SECONDS = float(sys.argv[1])
sys.exit(supervise.main(sys.argv[2:]))
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(60)
"""
PATIENCE_SECONDS = 60


class Airflow:
    """Answers as Airflow's health route does."""

    url = ""

    def __init__(self) -> None:
        self.statuses: dict[str, str | None] = {"metadatabase": "healthy", "scheduler": "healthy"}
        self.asked = 0

    def until_asked(self, times: int) -> None:
        """Return when it was asked so often once more."""
        wanted, give_up = self.asked + times, time.monotonic() + PATIENCE_SECONDS
        while self.asked < wanted:
            assert time.monotonic() < give_up, "no request came"
            time.sleep(0.01)


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    """One that is well."""
    airflow = Airflow()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            airflow.asked += 1
            health: dict[str, Any] = {name: {"status": is_} for name, is_ in airflow.statuses.items()}
            self.reply(200, json.dumps(health).encode())

    with http_server(Handler) as url:
        airflow.url = f"{url}/health"
        yield airflow


def supervise(url: str, child: str, patience: float = 0.3) -> subprocess.Popen[str]:
    """Start a child under supervision."""
    return subprocess.Popen(
        [sys.executable, "-c", HASTY, str(patience), url, "scheduler", sys.executable, "-c", child],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "docker")},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_has_stopped_working_is_ended_however_deaf(airflow: Airflow) -> None:
    """Asked first, killed then; the container ends with it, which is how it is started again."""
    with supervise(airflow.url, DEAF) as supervised:
        airflow.until_asked(2)
        airflow.statuses["scheduler"] = "unhealthy"
        told, _ = supervised.communicate(timeout=PATIENCE_SECONDS)
    assert supervised.returncode == 1
    assert told == "scheduler lives and does not work: it is ended, to be started again\n"


@pytest.mark.parametrize(
    "statuses",
    [
        {"metadatabase": "healthy", "scheduler": "healthy"},
        {"metadatabase": "unhealthy", "scheduler": "unhealthy"},
        {"metadatabase": "healthy", "scheduler": None},
        {"metadatabase": "healthy"},
    ],
)
def test_what_works_or_cannot_be_judged_goes_on(airflow: Airflow, statuses: dict[str, str | None]) -> None:
    """For longer than the patience; a part that never ran has no status."""
    airflow.statuses = statuses
    with supervise(airflow.url, "import time; time.sleep(60)") as supervised:
        airflow.until_asked(20)
        assert supervised.poll() is None
        supervised.send_signal(signal.SIGTERM)
        assert supervised.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM


def test_a_moment_of_trouble_is_forgiven(airflow: Airflow) -> None:
    """Patience restarts with each good answer: trouble that comes and goes may outlast it."""
    patience = 4.0
    with supervise(airflow.url, "import time; time.sleep(60)", patience) as supervised:
        airflow.until_asked(1)
        until = time.monotonic() + 1.5 * patience
        while time.monotonic() < until:
            airflow.statuses["scheduler"] = "unhealthy"
            airflow.until_asked(1)
            airflow.statuses["scheduler"] = "healthy"
            airflow.until_asked(2)
        assert supervised.poll() is None
        supervised.kill()


def test_that_nobody_answers_says_nothing() -> None:
    """The API server may be the part that is away. A stop reaches the child, whose exit code is the end."""
    with supervise("http://127.0.0.1:1/health", POLITE) as supervised:
        assert supervised.stdout is not None
        assert supervised.stdout.readline() == "ready\n"
        time.sleep(1)
        assert supervised.poll() is None
        supervised.send_signal(signal.SIGTERM)
        assert supervised.wait(PATIENCE_SECONDS) == 7


def test_the_childs_end_is_the_end() -> None:
    """With its exit code."""
    with supervise("http://127.0.0.1:1/health", "raise SystemExit(3)") as supervised:
        assert supervised.wait(PATIENCE_SECONDS) == 3
