"""Background processes: found again, told from strangers, ended with all they started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stack.processes import Service, stop_all

SLEEPS = "import time; time.sleep(60)"
IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('deaf', flush=True)
time.sleep(60)
"""
ENDS_AT_THE_SECOND_SIGTERM = """
import signal, sys, time
asked = []
signal.signal(signal.SIGTERM, lambda *_: sys.exit() if asked else asked.append(1))
print('ready', flush=True)
while True: time.sleep(0.05)
"""
STARTS_A_CHILD_IN_A_GROUP_OF_ITS_OWN = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], process_group=0)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service that is not running yet, and is gone after the test."""
    made = Service("part", tmp_path, tmp_path)
    yield made
    stop_all([made], insist_seconds=0, patience_seconds=0)


def run(service: Service, script: str) -> None:
    """Start the script as the service."""
    service.start([sys.executable, "-c", script], os.environ)


def has_ended(process: psutil.Process) -> bool:
    """True for a process that is gone, or whose exit code was not read yet."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_for(what: Callable[[], bool]) -> None:
    """Return as soon as it is true; fail after ten seconds."""
    give_up = time.monotonic() + 60
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_another_command_finds_it_by_its_record(service: Service, tmp_path: Path) -> None:
    """`make down` is not the process that `make up` was."""
    run(service, SLEEPS)
    found = Service("part", tmp_path, tmp_path).process()
    assert found is not None
    assert found == service.process()


def test_it_leads_a_session_of_its_own(service: Service) -> None:
    """Ctrl-C in the terminal reaches the command, and not what it started."""
    run(service, SLEEPS)
    process = service.process()
    assert process is not None
    assert os.getsid(process.pid) == process.pid != os.getsid(0)


def test_a_process_that_ended_is_not_running(service: Service) -> None:
    """Neither while it waits to be reaped nor afterwards; and its last words can be read."""
    run(service, "print('last words')")
    wait_for(lambda: service.process() is None)
    assert "last words" in str(service.failed("ended by itself"))


def test_an_id_that_somebody_else_got_is_left_alone(service: Service, tmp_path: Path) -> None:
    """After a reboot the record may name a stranger."""
    stranger = subprocess.Popen([sys.executable, "-c", SLEEPS], start_new_session=True)
    try:
        (tmp_path / "part.json").write_text(json.dumps({"pid": stranger.pid, "start_mark": "another boot/1"}))
        assert service.process() is None
        stop_all([service], insist_seconds=0, patience_seconds=0)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_stopping_takes_no_longer_than_the_process_does(service: Service) -> None:
    """The bounds are bounds, not waits; and the record goes with the process."""
    run(service, SLEEPS)
    began = time.monotonic()
    assert stop_all([service], insist_seconds=20, patience_seconds=20) == []
    assert time.monotonic() - began < 15
    assert service.process() is None


def test_it_is_asked_twice(service: Service) -> None:
    """Airflow's parts wait for running work at the first signal and end at the second."""
    run(service, ENDS_AT_THE_SECOND_SIGTERM)
    wait_for(lambda: "ready" in service.log_tail())
    assert stop_all([service], insist_seconds=1.0, patience_seconds=60) == []


def test_a_deaf_process_is_killed_and_named(service: Service) -> None:
    """Stopping always ends."""
    run(service, IGNORES_SIGTERM)
    wait_for(lambda: "deaf" in service.log_tail())
    assert stop_all([service], insist_seconds=0.1, patience_seconds=0.1) == ["part"]
    assert service.process() is None


def test_its_children_end_with_it_whatever_their_process_group(service: Service) -> None:
    """A task of the scheduler has a process group of its own."""
    run(service, STARTS_A_CHILD_IN_A_GROUP_OF_ITS_OWN)
    wait_for(lambda: service.log_tail() != "")
    child = psutil.Process(int(service.log_tail()))
    stop_all([service], insist_seconds=5, patience_seconds=5)
    wait_for(lambda: has_ended(child))


def test_what_a_killed_process_left_is_ended_before_the_next_start(service: Service) -> None:
    """Workers of a scheduler that was killed would wait for ever."""
    run(service, STARTS_A_CHILD_IN_A_GROUP_OF_ITS_OWN)
    wait_for(lambda: service.log_tail() != "")
    child = psutil.Process(int(service.log_tail()))
    killed = service.process()
    assert killed is not None
    killed.kill()
    wait_for(lambda: service.process() is None)
    assert child.is_running()
    run(service, SLEEPS)
    wait_for(lambda: has_ended(child))


def test_the_log_of_the_run_before_is_kept(service: Service, tmp_path: Path) -> None:
    """What led to a restart can still be read."""
    run(service, "print('first')")
    wait_for(lambda: service.process() is None)
    run(service, "print('second')")
    wait_for(lambda: "second" in service.log_tail())
    assert (tmp_path / "part.log.1").read_text() == "first\n"
