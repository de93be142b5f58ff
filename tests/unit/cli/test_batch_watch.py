"""``sat batch watch``: what it shows, when it stops, and what it makes of an Airflow that goes away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sat_hook.cli.batch_watch import LONGEST_ABSENCE_SECONDS, watched
from sat_hook.cli.errors import CommandError, UnavailableError
from tests.unit.cli.scripted_airflow import summary_of

Look = dict[str, Any]

PENDING = summary_of(("pending", 4), progress_in_words="0 of 4")
HALF = summary_of(("succeeded", 2), ("pending", 2), progress_in_words="2 of 4")
DONE = summary_of(
    ("succeeded", 3),
    ("escalated", 1),
    state="completed",
    progress_in_words="3 of 4",
    progress_in_short="3 of 4, paid Rp 30,000 of Rp 40,000",
)


class Looks:
    """Looks one after the other; the last one stays. An exception among them is raised."""

    def __init__(self, *looks: Look | Exception) -> None:
        self._looks = list(looks)

    def __call__(self) -> Look:
        look = self._looks[0] if len(self._looks) == 1 else self._looks.pop(0)
        if isinstance(look, Exception):
            raise look
        return look


class Seconds:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@contextmanager
def console(*, is_terminal: bool) -> Iterator[Console]:
    """A console that remembers."""
    with Path("/dev/null").open("w") as nowhere:
        yield Console(force_terminal=is_terminal, width=160, record=True, file=nowhere)


def shown_of(looks: Sequence[Look | Exception], *, is_terminal: bool = False) -> list[str]:
    """The lines that come of these looks, a second apart."""
    seconds = Seconds()
    with console(is_terminal=is_terminal) as out:
        watched(Looks(*looks), out, sleep=seconds.sleep, monotonic=seconds)
        return out.export_text().splitlines()


def test_elsewhere_than_on_a_terminal_it_is_a_line_a_change() -> None:
    """At most one in five seconds, and always one at the end."""
    more = summary_of(("succeeded", 3), ("pending", 1))
    lines = shown_of([PENDING, *[HALF] * 6, more, DONE])
    assert lines == ["quoted: 0 of 4", "quoted: 2 of 4", "completed: 3 of 4"]


def test_on_a_terminal_it_is_a_live_bar_for_each_state() -> None:
    """With rate, estimated end and rupiah beside the whole."""
    shown = "\n".join(shown_of([PENDING, HALF, DONE], is_terminal=True))
    for words in ("batch", "succeeded", "escalated", "completed 3 of 4", "paid Rp 30,000 of Rp 40,000"):
        assert words in shown


def test_it_stops_at_its_deadline() -> None:
    """The batch goes on; the last look says where it stood."""
    seconds = Seconds()
    with console(is_terminal=False) as out:
        last = watched(Looks(PENDING), out, deadline_seconds=7, sleep=seconds.sleep, monotonic=seconds)
    assert last is PENDING
    assert seconds.now == 7


def test_an_airflow_that_goes_away_for_a_while_is_waited_for() -> None:
    """A restart, of Airflow or of the database behind it, ends no watch."""
    away = UnavailableError("away")
    assert shown_of([PENDING, *[away] * 60, DONE])[-1].startswith("completed")


def test_an_airflow_that_stays_away_is_trouble() -> None:
    """Else it would look as if nothing happened."""
    seconds = Seconds()
    with console(is_terminal=False) as out, pytest.raises(UnavailableError):
        watched(Looks(PENDING, UnavailableError("away")), out, sleep=seconds.sleep, monotonic=seconds)
    assert seconds.now == pytest.approx(LONGEST_ABSENCE_SECONDS, abs=2)


def test_a_refusal_ends_the_watch() -> None:
    """A user who may not see the batch any more waits for nothing."""
    with pytest.raises(CommandError, match="lacks the right"):
        shown_of([PENDING, CommandError("user 'ops' lacks the right view")])
