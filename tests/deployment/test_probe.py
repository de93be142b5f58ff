"""The containers' health check says healthy only of what is."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployment.composition import CHECKOUT
from tests.loopback import QuietHandler, http_server

HEALTH = {
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "unhealthy", "latest_scheduler_heartbeat": None},
    "triggerer": {"status": None},
}


@pytest.fixture(scope="module")
def probe() -> dict[str, Any]:
    """What docker/probe.py defines."""
    return runpy.run_path(str(CHECKOUT / "docker" / "probe.py"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Answers /health as Airflow does, /away with 503, /text with something else."""
    answers = {
        "/health": (200, json.dumps(HEALTH)),
        "/away": (503, "{}"),
        "/text": (200, "no JSON"),
    }

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            self.reply(status, body.encode())

    with http_server(Handler) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "component", "code"),
    [
        ("/health", None, 0),
        ("/health", "metadatabase", 0),
        ("/health", "scheduler", 1),
        ("/health", "triggerer", 1),
        ("/health", "dag_processor", 1),
        ("/away", None, 1),
        ("/text", None, 0),
        ("/text", "scheduler", 1),
    ],
)
def test_exit_code(probe: dict[str, Any], server: str, path: str, component: str | None, code: int) -> None:
    """0 for an answer 200 in which the component, if one is asked for, is healthy; else 1."""
    assert probe["main"]([server + path, *([component] if component else [])]) == code


def test_nobody_there(probe: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """A refused connection is one line, not a traceback."""
    assert probe["main"](["http://127.0.0.1:1/health"]) == 1
    assert capsys.readouterr().out.count("\n") == 1
