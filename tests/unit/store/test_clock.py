"""Every machine keeps the database's time, whatever its wall clock says, and knows how far that is off."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from sat_hook.store.clock import (
    AGREEMENT,
    MEASURE_EVERY_SECONDS,
    StoreClock,
    clock_is_apart,
    look_at_clock,
    shared_clock,
)
from tests.orders import T0, ManualClock


class Skewed(ManualClock):
    """A machine whose wall clock is off, and may be set while it runs."""

    def __init__(self, off: timedelta) -> None:
        super().__init__()
        self.off = off

    def now(self) -> datetime:
        return super().now() + self.off


class Time:
    """The database's clock, which may take its time to answer."""

    def __init__(self, machine: ManualClock, answers_after_seconds: float = 0.0) -> None:
        self.machine = machine
        self.answers_after_seconds = answers_after_seconds
        self.asked = 0

    def database_time(self) -> datetime:
        self.asked += 1
        self.machine.advance(self.answers_after_seconds / 2)
        told = ManualClock.now(self.machine)
        self.machine.advance(self.answers_after_seconds / 2)
        return told


HOURS = timedelta(hours=7)


@pytest.mark.parametrize("off", [HOURS, -HOURS, timedelta(seconds=11), timedelta(days=3650)])
def test_a_wrong_clock_gives_the_database_s_time(off: timedelta) -> None:
    """Ahead or behind, by seconds or by years; and time goes on between two looks."""
    machine = Skewed(off)
    clock = shared_clock(Time(machine), machine)
    assert clock.now() == T0
    machine.advance(10)
    assert clock.now() == T0 + timedelta(seconds=10)
    assert clock.ahead == off


def test_a_clock_that_agrees_is_the_machine_s_own() -> None:
    """Measuring is never exact: what is that close counts as right."""
    machine = Skewed(AGREEMENT)
    assert shared_clock(Time(machine), machine).now() == T0 + AGREEMENT


def test_before_the_first_look_it_is_the_machine_s_own() -> None:
    """Making one asks no database."""
    machine = Skewed(HOURS)
    time = Time(machine)
    clock = StoreClock(time, machine)
    assert (clock.now(), clock.ahead, time.asked) == (T0 + HOURS, timedelta(0), 0)


def test_the_database_is_asked_twice_a_minute_at_most() -> None:
    """However often it is called."""
    machine = Skewed(HOURS)
    time = Time(machine)
    clock = shared_clock(time, machine)
    for _ in range(100):
        machine.advance(MEASURE_EVERY_SECONDS / 50)
        look_at_clock(clock)
    assert time.asked <= 3


def test_a_wall_clock_that_is_set_meanwhile_is_seen_at_once() -> None:
    """No look at the database is needed for it: the other clock of the machine never jumps."""
    machine = Skewed(timedelta(0))
    clock = shared_clock(Time(machine), machine)
    assert clock_is_apart(clock, 10.0) is None
    machine.off = HOURS
    assert clock.now() == T0
    assert "25,200 seconds ahead of the database's; expected at most 10" in (
        clock_is_apart(clock, 10.0) or ""
    )
    machine.off = -HOURS
    assert "behind" in (clock_is_apart(clock, 10.0) or "")


def test_a_slow_answer_changes_nothing_that_was_measured_well() -> None:
    """It is unknown when within that time the database read its clock."""
    machine = Skewed(HOURS)
    time = Time(machine)
    clock = shared_clock(time, machine)
    machine.advance(MEASURE_EVERY_SECONDS)
    time.answers_after_seconds = 20.0
    look_at_clock(clock)
    assert clock.now() == ManualClock.now(machine)


def test_other_clocks_are_left_alone() -> None:
    """A clock that knows no database is taken as it is."""
    machine = Skewed(HOURS)
    look_at_clock(machine)
    assert clock_is_apart(machine, 10.0) is None
