"""``sat batch watch``: follows a batch until it is complete, with live bars on a terminal and lines
elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.context import airflow_of, batch_id_from, console, settings_of
from sat_hook.cli.errors import ExitCode, UnavailableError

if TYPE_CHECKING:
    from rich.console import Console

LOOK_EVERY_SECONDS = 1.0
LINE_EVERY_SECONDS = 5.0
LONGEST_ABSENCE_SECONDS = 120.0


def watch(
    context: typer.Context,
    batch_id: Annotated[str, typer.Argument(metavar="ID", help="The batch id that submit printed")],
    timeout: Annotated[
        float | None, typer.Option(help="Stop watching after so many seconds; the batch goes on", min=1)
    ] = None,
) -> None:
    """Watch a batch until it is complete: states, rate, estimated end, rupiah.

    The exit code is 0 when every order has ended; 1 when the batch is complete but needs a person (held or
    escalated orders, or a refused batch); 3 when --timeout passed first.
    """
    wanted, out = batch_id_from(batch_id), console()
    with airflow_of(settings_of(context)) as api:
        last = watched(lambda: api.summary(wanted), out, deadline_seconds=timeout)
    if not last["is_over"]:
        out.print(f"[yellow]Still running[/] after {timeout:.0f} seconds; the batch goes on")
        raise typer.Exit(ExitCode.STILL_RUNNING)
    _say_end(last, out)
    if last["for_people"] or last["refusal_code"] is not None:
        raise typer.Exit(ExitCode.FOUND_TROUBLE)


def watched(
    look: Callable[[], Mapping[str, Any]],
    out: Console,
    *,
    deadline_seconds: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Mapping[str, Any]:
    """Show the batch's progress until it is complete or the deadline has passed. Returns the last summary
    shown.

    If Airflow or the database goes away in between, wait for it.

    :param look: reads the batch in figures.
    :raises UnavailableError: there was no answer to the first read, or for ``LONGEST_ABSENCE_SECONDS``.
    """
    began = seen_at = monotonic()
    last = look()
    with _display(out, monotonic) as show:
        while True:
            show(last)
            if last["is_over"] or (deadline_seconds is not None and monotonic() - began >= deadline_seconds):
                return last
            sleep(LOOK_EVERY_SECONDS)
            try:
                last, seen_at = look(), monotonic()
            except UnavailableError:
                if monotonic() - seen_at >= LONGEST_ABSENCE_SECONDS:
                    raise


@contextmanager
def _display(out: Console, monotonic: Callable[[], float]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    from sat_hook.cli.run_progress import Seen, bars

    if not out.is_terminal:
        yield Lines(out, monotonic).show
        return
    with bars(out, "batch") as live:

        def show(summary: Mapping[str, Any]) -> None:
            live.show(Seen.of(summary["state"], (summary["progress_in_short"],), summary))

        yield show


class Lines:
    """Prints a line when something changed, at most one per ``LINE_EVERY_SECONDS``, and one at the end."""

    def __init__(self, out: Console, monotonic: Callable[[], float]) -> None:
        self._out = out
        self._monotonic = monotonic
        self._last: object = None
        self._said_at = 0.0

    def show(self, summary: Mapping[str, Any]) -> None:
        """Print the batch's progress, if it is worth a line."""
        standing, now = (summary["state"], summary["counts"]), self._monotonic()
        if standing == self._last:
            return
        is_early = self._last is not None and now - self._said_at < LINE_EVERY_SECONDS
        if is_early and not summary["is_over"]:
            return
        self._last, self._said_at = standing, now
        self._out.print(f"{summary['state']}: {summary['progress_in_words']}", markup=False)


def _say_end(summary: Mapping[str, Any], out: Console) -> None:
    from sat_hook.cli.formatting import counted

    if summary["refusal_message"]:
        out.print(f"Refused ({summary['refusal_code']}): {summary['refusal_message']}", markup=False)
    if summary["for_people"]:
        waiting = counted(summary["for_people"], "order")
        out.print(f"{waiting} held or escalated, for a person to decide: sat order list", markup=False)
    out.print(f"results file: sat batch results {summary['batch_id']} --output FILE", markup=False)
