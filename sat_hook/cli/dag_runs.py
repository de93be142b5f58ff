"""Starts a run of a DAG for a user, and waits for its end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from sat_hook.cli.context import airflow_of, settings_of
from sat_hook.cli.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

LOOK_EVERY_SECONDS = 0.5


class AskedRun(NamedTuple):
    """A run and its state. ``state`` is None when the command did not wait for the end."""

    run_id: str
    asked_at: datetime
    state: str | None


def ask_for_run(
    context: typer.Context, out: Console, dag_id: str, conf: dict[str, Any], *, wait: bool, timeout: float
) -> AskedRun:
    """Start a run as the caller's Airflow user, and print its address.

    :param timeout: seconds to wait at most.
    :raises CommandError: Airflow refuses.
    :raises typer.Exit: with code 3, when the run is still going after ``timeout``.
    """
    asked_at = datetime.now(UTC)
    with airflow_of(settings_of(context)) as api:
        run_id = str(api.start_other(dag_id, conf)["run_id"])
        out.print(f"Asked: {api.run_url(run_id, dag_id=dag_id)}")
        if not wait:
            return AskedRun(run_id, asked_at, None)
        deadline = time.monotonic() + timeout
        while not (run := api.progress(run_id, dag_id)).is_final:
            if time.monotonic() >= deadline:
                out.print(f"[yellow]Still running[/] after {timeout:.0f} seconds")
                raise typer.Exit(ExitCode.STILL_RUNNING)
            time.sleep(LOOK_EVERY_SECONDS)
    return AskedRun(run_id, asked_at, run.state)
