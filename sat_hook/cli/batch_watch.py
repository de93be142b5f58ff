"""``sat batch watch``: follows a batch until it is complete, with live bars on a terminal and lines
elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sat_hook.cli.context import batch_id_from, console, database_of, settings_of

if TYPE_CHECKING:
    from rich.console import Console

    from sat_hook.pipeline.progress import BatchProgress

LEFT_FOR_PEOPLE = 1
STILL_RUNNING = 3
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
    from sat_hook.clients.clock import SystemClock
    from sat_hook.pipeline.progress import progress_of
    from sat_hook.store.postgres import PostgresEventStore
    from sat_hook.store.progress import PostgresProgress

    wanted, out = batch_id_from(batch_id), console()
    with database_of(settings_of(context)) as database:
        store, progress, clock = PostgresEventStore(database), PostgresProgress(database), SystemClock()
        last = watched(lambda: progress_of(store, progress, clock, wanted), out, deadline_seconds=timeout)
    if not last.batch.state.is_final:
        out.print(f"[yellow]Still running[/] after {timeout:.0f} seconds; the batch goes on")
        raise typer.Exit(STILL_RUNNING)
    _say_end(last, out)
    if last.has_exceptions:
        raise typer.Exit(LEFT_FOR_PEOPLE)


def watched(
    look: Callable[[], BatchProgress],
    out: Console,
    *,
    deadline_seconds: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> BatchProgress:
    """Show the batch's progress until it is complete or the deadline has passed. Returns the last progress
    shown.

    If the database goes away in between, wait for it.

    :raises StoreUnavailableError: the database was unavailable on the first read, or for
        ``LONGEST_ABSENCE_SECONDS``.
    """
    from sat_hook.store.event_store import StoreUnavailableError

    began = seen_at = monotonic()
    last = look()
    with _display(out, monotonic) as show:
        while True:
            is_over = last.batch.state.is_final
            show(last)
            if is_over or (deadline_seconds is not None and monotonic() - began >= deadline_seconds):
                return last
            sleep(LOOK_EVERY_SECONDS)
            try:
                last, seen_at = look(), monotonic()
            except StoreUnavailableError:
                if monotonic() - seen_at >= LONGEST_ABSENCE_SECONDS:
                    raise


@contextmanager
def _display(out: Console, monotonic: Callable[[], float]) -> Iterator[Callable[[BatchProgress], None]]:
    from sat_hook.cli.run_progress import Seen, bars

    if not out.is_terminal:
        yield Lines(out, monotonic).show
        return
    with bars(out, "batch") as live:

        def show(progress: BatchProgress) -> None:
            live.show(Seen(progress.batch.state.value, (_beside_the_bar(progress),), progress.counts))

        yield show


class Lines:
    """Prints a line when something changed, at most one per ``LINE_EVERY_SECONDS``, and one at the end."""

    def __init__(self, out: Console, monotonic: Callable[[], float]) -> None:
        self._out = out
        self._monotonic = monotonic
        self._last: object = None
        self._said_at = 0.0

    def show(self, progress: BatchProgress) -> None:
        """Print the batch's progress, if it is worth a line."""
        from sat_hook.pipeline.progress import in_words

        standing, now = (progress.batch.state, progress.counts), self._monotonic()
        if standing == self._last:
            return
        is_early = self._last is not None and now - self._said_at < LINE_EVERY_SECONDS
        if is_early and not progress.batch.state.is_final:
            return
        self._last, self._said_at = standing, now
        self._out.print(f"{progress.batch.state.value}: {in_words(progress)}", markup=False)


def _beside_the_bar(progress: BatchProgress) -> str:
    from sat_hook.cli.formatting import rupiah
    from sat_hook.pipeline.progress import pace_in_words

    parts = [f"{progress.ended:,} of {progress.orders:,}"]
    parts += [pace_in_words(progress)] if progress.to_go else []
    parts += [progress.needs_in_words] if progress.needs else []
    parts.append(f"paid {rupiah(progress.paid_rupiah)} of {rupiah(progress.quoted_rupiah)}")
    return ", ".join(parts)


def _say_end(progress: BatchProgress, out: Console) -> None:
    from sat_hook.cli.formatting import counted

    batch = progress.batch
    if batch.refusal_message:
        out.print(f"Refused ({batch.refusal_code}): {batch.refusal_message}", markup=False)
    if progress.for_people:
        waiting = counted(progress.for_people, "order")
        out.print(f"{waiting} held or escalated, for a person to decide: sat order list", markup=False)
    out.print(f"results file: sat batch results {batch.batch_id} --output FILE", markup=False)
