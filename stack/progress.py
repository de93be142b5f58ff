"""Progress of batches by state: a live bar on a terminal, otherwise a line at each change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

BAR_WIDTH = 40
_PLAIN_SECONDS = 2.0

#: State → (colour, sign), in this order from left to right. Other states are shown as waiting.
_LOOKS: Mapping[str, tuple[str, str]] = {
    "succeeded": ("green", "█"),
    "failed": ("red", "█"),
    "reversed": ("red", "█"),
    "rejected": ("magenta", "█"),
    "cancelled": ("magenta", "█"),
    "set aside": ("magenta", "▓"),
    "held": ("blue", "█"),
    "unknown": ("yellow", "█"),
    "escalated": ("yellow", "█"),
    "pending": ("cyan", "▒"),
    "submitting": ("cyan", "░"),
    "quoted": ("white", "·"),
    "received": ("bright_black", "·"),
}


@dataclass
class BatchProgress:
    """The rows of one batch by state.

    :param rows: the number of rows.
    :param counts: rows by state; ``set aside`` are rows that did not become orders.
    """

    name: str
    rows: int
    stage: str = "waiting"
    counts: dict[str, int] = field(default_factory=dict)


class ProgressDisplay:
    """Shows the batches until the context ends; call :meth:`update` as often as you like."""

    def __init__(self, console: Console, batches: list[BatchProgress]) -> None:
        self._console = console
        self._batches = batches
        self._began = time.monotonic()
        self._live = (
            Live(console=console, refresh_per_second=8, transient=False) if console.is_terminal else None
        )
        self._last_line = ""
        self._last_line_at = 0.0

    def __enter__(self) -> ProgressDisplay:
        if self._live:
            self._live.start()
        self.update()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.update(is_last=True)
        if self._live:
            self._live.stop()

    def update(self, *, is_last: bool = False) -> None:
        """Show the current state of the batches."""
        if self._live:
            self._live.update(self._table(), refresh=is_last)
            return
        line = "; ".join(f"{batch.name}: {batch.stage}, {_in_words(batch)}" for batch in self._batches)
        is_due = time.monotonic() - self._last_line_at >= _PLAIN_SECONDS or is_last
        if line != self._last_line and is_due:
            self._last_line, self._last_line_at = line, time.monotonic()
            self._console.print(f"{self._elapsed_seconds():4.0f} s  {line}", markup=False, soft_wrap=True)

    def _elapsed_seconds(self) -> float:
        return time.monotonic() - self._began

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for batch in self._batches:
            table.add_row(batch.name, _bar(batch), Text(batch.stage, style="bold"), Text(_in_words(batch)))
        table.add_row(Text(f"{self._elapsed_seconds():.0f} s", style="dim"))
        return table


def _in_words(batch: BatchProgress) -> str:
    known = [f"{batch.counts[state]} {state}" for state in _LOOKS if batch.counts.get(state)]
    other = [f"{count} {state}" for state, count in batch.counts.items() if count and state not in _LOOKS]
    return ", ".join(known + other) or f"{batch.rows} rows"


def _bar(batch: BatchProgress) -> Text:
    """A bar over all rows; each state gets its share, rounded so that the sum fits."""
    bar = Text()
    rows = max(batch.rows, sum(batch.counts.values()), 1)
    done = 0
    for state, (colour, sign) in _LOOKS.items():
        before = done * BAR_WIDTH // rows
        done += batch.counts.get(state, 0)
        bar.append(sign * (done * BAR_WIDTH // rows - before), style=colour)
    bar.append("·" * (BAR_WIDTH - len(bar)), style="bright_black")
    return bar
