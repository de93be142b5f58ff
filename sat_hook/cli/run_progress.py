"""Follows a run until it ends: a live bar for each state on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from sat_hook.cli.airflow_api import WAITS_FOR_FUNDS, AirflowApi
from sat_hook.cli.formatting import STYLES, rupiah

LOOK_EVERY_SECONDS = 1.0
LEAST_BAR_CELLS = 10
MOST_BAR_CELLS = 40
_BESIDE_BAR_CELLS = 36
"""A state's name, a number of orders and the elapsed time."""


def states_in_words(states: Mapping[str, int]) -> str:
    """``succeeded 2, failed 1``."""
    return ", ".join(f"{state} {orders:,}" for state, orders in states.items())


@dataclass(frozen=True, slots=True)
class Seen:
    """A snapshot of a run: its state, what it is doing, how many orders are in each state and have ended."""

    run_state: str
    steps: tuple[str, ...]
    states: Mapping[str, int]
    ended: int = 0

    @classmethod
    def of(cls, run_state: str, steps: tuple[str, ...], summary: Mapping[str, Any]) -> Self:
        """With the orders of a batch's summary."""
        states = {count["state"]: count["orders"] for count in summary["counts"]}
        return cls(run_state, steps, states, summary["ended"])


class Display(Protocol):
    """Shows snapshots, one after the other."""

    def show(self, seen: Seen) -> None:
        """Show the newest snapshot."""


def follow(
    api: AirflowApi,
    run_id: str,
    summary: Callable[[], Mapping[str, Any]],
    out: Console,
    *,
    missing_rupiah: Callable[[], int | None] = lambda: None,
    deadline_seconds: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> str | None:
    """Wait for the run's end.

    :param summary: reads the batch in figures.
    :param missing_rupiah: reads how much the deposit lacks; called while the run waits for a top-up.
    :param deadline_seconds: stop following after this many seconds; the run continues.
    :returns: the run's final state, or None when the deadline passed first.
    """
    began = monotonic()
    with _display(out) as display:
        while True:
            # The run's state is read first: counts read after the run's end are final, too.
            run = api.progress(run_id)
            steps = run.steps
            if WAITS_FOR_FUNDS in steps and (missing := missing_rupiah()):
                waits = f"reserve (waits for a top-up of the deposit: {rupiah(missing)} are missing)"
                steps = tuple(waits if step == WAITS_FOR_FUNDS else step for step in steps)
            display.show(Seen.of(run.state, steps, summary()))
            if run.is_final:
                return run.state
            if deadline_seconds is not None and monotonic() - began >= deadline_seconds:
                return None
            sleep(LOOK_EVERY_SECONDS)


@contextmanager
def _display(out: Console) -> Iterator[Display]:
    if not out.is_terminal:
        yield Lines(out)
        return
    with bars(out, "run") as display:
        yield display


@contextmanager
def bars(out: Console, title: str) -> Iterator[Bars]:
    """Live bars on a terminal; ``title`` names the first."""
    progress = _BarsBelowWords(
        TextColumn("[{task.fields[style]}]{task.description:<12}"),
        BarColumn(bar_width=max(LEAST_BAR_CELLS, min(MOST_BAR_CELLS, out.width - _BESIDE_BAR_CELLS))),
        TextColumn("{task.fields[said]}"),
        _RunElapsed(),
        console=out,
    )
    with progress:
        yield Bars(progress, title)


class _BarsBelowWords(Progress):
    """Bars below a paragraph: next to the bar, a narrow terminal would cut amounts off."""

    words = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield Text(self.words, no_wrap=False, overflow="fold")
        yield from super().get_renderables()


class _RunElapsed(TimeElapsedColumn):
    """How long the run has been followed. The bars of the states have no time of their own."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields.get("is_run") else Text()


class Bars:
    """One bar for the whole, and one for each state that has orders."""

    def __init__(self, progress: _BarsBelowWords, title: str) -> None:
        self._progress = progress
        self._run = progress.add_task(title, total=None, style="bold", said="", is_run=True)
        self._states: dict[str, TaskID] = {}

    def show(self, seen: Seen) -> None:
        total = sum(seen.states.values())
        self._progress.words = f"{seen.run_state} {', '.join(seen.steps)}".rstrip()
        self._progress.update(self._run, total=total or None, completed=seen.ended)
        for state in seen.states:
            if state not in self._states:
                style = STYLES.get(state, "none")
                self._states[state] = self._progress.add_task(state, style=style, said="")
        for state, task in self._states.items():
            number = seen.states.get(state, 0)
            self._progress.update(task, total=total, completed=number, said=f"{number:,}", visible=number > 0)


class Lines:
    """Prints a line for each change."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._last: Seen | None = None

    def show(self, seen: Seen) -> None:
        if seen == self._last or self._is_between_tasks(seen):
            return
        self._last = seen
        states = states_in_words(seen.states)
        parts = [seen.run_state, " ".join(seen.steps), states]
        self._out.print(": ".join(part for part in parts if part), markup=False)

    def _is_between_tasks(self, seen: Seen) -> bool:
        """Whether the only change is that the last task has ended and the next has not begun."""
        last = self._last
        return (
            last is not None
            and not seen.steps
            and (seen.run_state, seen.states) == (last.run_state, last.states)
        )
