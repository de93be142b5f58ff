"""``sat batch watch``: what it shows, when it stops, and what it makes of a database that goes away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sat_hook.cli.batch_watch import LONGEST_ABSENCE_SECONDS, watched
from sat_hook.domain.batch import BatchState
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.progress import BatchProgress
from sat_hook.store.event_store import StoreUnavailableError
from tests.unit.pipeline.test_progress import progress

PENDING = progress((OrderState.PENDING, 4))
HALF = progress((OrderState.SUCCEEDED, 2), (OrderState.PENDING, 2), settled=2)
DONE = progress((OrderState.SUCCEEDED, 3), (OrderState.ESCALATED, 1), state=BatchState.COMPLETED)


class Looks:
    """Looks one after the other; the last one stays. An exception among them is raised."""

    def __init__(self, *looks: BatchProgress | Exception) -> None:
        self._looks = list(looks)

    def __call__(self) -> BatchProgress:
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


def shown_of(looks: Sequence[BatchProgress | Exception], *, is_terminal: bool = False) -> list[str]:
    """The lines that come of these looks, a second apart."""
    seconds = Seconds()
    with console(is_terminal=is_terminal) as out:
        watched(Looks(*looks), out, sleep=seconds.sleep, monotonic=seconds)
        return out.export_text().splitlines()


def test_elsewhere_than_on_a_terminal_it_is_a_line_a_change() -> None:
    """At most one in five seconds, and always one at the end."""
    more = replace(HALF, counts=progress((OrderState.SUCCEEDED, 3), (OrderState.PENDING, 1)).counts)
    lines = shown_of([PENDING, *[HALF] * 6, more, DONE])
    assert [line.partition(" orders")[0] for line in lines] == [
        "quoted: 0 of 4",
        "quoted: 2 of 4",
        "completed: 3 of 4",
    ]
    assert "24 a minute" not in lines[0]
    assert "2 a minute, the last about 10:01 WIB" in lines[1].replace("2.0", "2")


def test_on_a_terminal_it_is_a_live_bar_for_each_state() -> None:
    """With rate, estimated end and rupiah beside the whole."""
    shown = "\n".join(shown_of([PENDING, HALF, DONE], is_terminal=True))
    for words in ("batch", "succeeded", "escalated", "completed 3 of 4", "paid Rp30,000 of Rp40,000"):
        assert words in shown


def test_it_stops_at_its_deadline() -> None:
    """The batch goes on; the last look says where it stood."""
    seconds = Seconds()
    with console(is_terminal=False) as out:
        last = watched(Looks(PENDING), out, deadline_seconds=7, sleep=seconds.sleep, monotonic=seconds)
    assert last is PENDING
    assert seconds.now == 7


def test_a_database_that_goes_away_for_a_while_is_waited_for() -> None:
    """A restart ends no watch."""
    away = StoreUnavailableError("away")
    assert shown_of([PENDING, *[away] * 60, DONE])[-1].startswith("completed")


def test_a_database_that_stays_away_is_trouble() -> None:
    """Else it would look as if nothing happened."""
    seconds = Seconds()
    with console(is_terminal=False) as out, pytest.raises(StoreUnavailableError):
        watched(Looks(PENDING, StoreUnavailableError("away")), out, sleep=seconds.sleep, monotonic=seconds)
    assert seconds.now == pytest.approx(LONGEST_ABSENCE_SECONDS, abs=2)
