"""Limits that a deployment sets by environment variables."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from sat_hook.pipeline.settings import BadLimitError, limit, settable


def made_with(environment: dict[str, str]) -> type:
    """A class of limits in such an environment."""

    @settable("SAT_TEST_", environment)
    @dataclass(frozen=True, slots=True)
    class Limits:
        in_flight: int = 8
        pause_seconds: float = 0.5
        days: tuple[int, ...] = (1, 7)

    return Limits


def test_nothing_set_leaves_the_defaults() -> None:
    """An empty variable is one that is not set."""
    limits = made_with({"SAT_TEST_IN_FLIGHT": " "})()
    assert (limits.in_flight, limits.pause_seconds, limits.days) == (8, 0.5, (1, 7))


def test_what_is_set_counts_unless_a_caller_knows_better() -> None:
    """The environment replaces the default, a run's own value replaces both."""
    kind = made_with({"SAT_TEST_IN_FLIGHT": "3", "SAT_TEST_PAUSE_SECONDS": "2"})
    assert (kind().in_flight, kind().pause_seconds) == (3, 2.0)
    assert kind(in_flight=5).in_flight == 5


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "nan", "inf", "1e400"])
def test_what_is_no_such_number_is_refused(text: str) -> None:
    """With the variable, what was found, and what was expected."""
    with pytest.raises(BadLimitError, match=r"SAT_TEST_IN_FLIGHT: found .*expected a whole number above 0"):
        made_with({"SAT_TEST_IN_FLIGHT": text})


def test_a_misspelled_limit_is_refused() -> None:
    """Nobody believes in a limit that is none."""
    with pytest.raises(BadLimitError, match="SAT_TEST_IN_FLIHGT: no such limit"):
        made_with({"SAT_TEST_IN_FLIHGT": "3"})


@pytest.mark.parametrize("text", ["soon", "0", "-0.1", "nan", "inf"])
def test_seconds_are_finite_and_above_zero(text: str) -> None:
    """A fraction is welcome, nonsense is not."""
    assert limit("SAT_X", 1.0, {"SAT_X": "0.25"}) == 0.25
    with pytest.raises(BadLimitError, match="expected a number above 0"):
        limit("SAT_X", 1.0, {"SAT_X": text})


def test_the_real_limits_hear_the_environment() -> None:
    """In a process of its own, for they are read when it starts."""
    code = (
        "from sat_hook.pipeline import limits as l;"
        "print(l.MAXIMUM_ROWS, l.ExecutionLimits().failures_to_stop, l.PollingLimits().claim,"
        " l.RecoveryLimits(attempts=9).attempts)"
    )
    environment = {
        "SAT_MAXIMUM_ROWS": "7",
        "SAT_EXECUTION_FAILURES_TO_STOP": "50",
        "SAT_POLLING_CLAIM": "16",
        "SAT_RECOVERY_ATTEMPTS": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["7", "50", "16", "9"]
