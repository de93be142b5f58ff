"""Follows a run to its end, and shows a batch in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.errors import ExitCode
from sat_hook.cli.formatting import STYLES, Columns, counted, facts, rupiah

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from sat_hook.cli.airflow_api import AirflowApi

STATES = Columns("state", ">orders", ">quoted", ">charged")

Wait = Annotated[bool, typer.Option("--wait", help="Follow the run to its end")]
Timeout = Annotated[
    float | None, typer.Option(help="Stop following after so many seconds; the run goes on", min=1)
]


def follow_to_end(
    api: AirflowApi, run_id: str, batch_id: str, timeout: float | None, out: Console
) -> str | None:
    """Follow a run until it ends or ``timeout`` has passed; return its final state, or None."""
    from sat_hook.cli.run_progress import follow

    state = follow(
        api,
        run_id,
        lambda: api.summary(batch_id),
        out,
        missing_rupiah=lambda: api.missing_rupiah(batch_id),
        deadline_seconds=timeout,
    )
    if state == "failed":
        failed = api.progress(run_id).failed
        out.print(f"[red]The run failed[/] in {failed}: {api.run_url(run_id)}")
    if state is None:
        out.print(f"[yellow]Still running[/] after {timeout:.0f} seconds; follow it at {api.run_url(run_id)}")
    return state


def print_summary(summary: Mapping[str, Any], out: Console, at: int | None = None) -> None:
    """Show a batch in figures, now or at a position of the log."""
    from rich.text import Text

    if at is not None:
        out.print(f"[yellow]As of position {at:,}[/] of the log")
    _print_facts(out, summary)
    _print_counts(out, summary["counts"])
    if summary["needs_in_words"]:
        out.print(Text(summary["needs_in_words"], "bold yellow"))
    if summary["pause_reason"] is not None:
        paused = f"Account {summary['account']} is paused, nothing is sent: {summary['pause_reason']}"
        out.print(paused, markup=False)
    position = summary["results_position"]
    if summary["results_uri"]:
        known = "" if position is None else f" (written at position {position} of the log)"
        out.print(f"results of the run: {summary['results_uri']}{known}", markup=False)
    then = "results as of now: sat batch results " if at is None else "results as of then: sat batch results "
    place = "" if at is None else f" --at {at}"
    out.print(f"{then}{summary['batch_id']}{place} --output FILE", markup=False)


def _print_facts(out: Console, batch: Mapping[str, Any]) -> None:
    orders = counted(batch["orders"], "order")
    shown = [
        ("batch", f"{batch['batch_id']} ({batch['state']})"),
        ("account", batch["account"]),
        ("file", f"{batch['file_name']}, {batch['size_bytes']:,} bytes"),
        ("rows", f"{batch['rows']:,}: {orders}, {batch['set_aside']:,} set aside"),
        ("quoted", rupiah(batch["quoted_rupiah"])),
        ("paid", rupiah(batch["paid_rupiah"])),
    ]
    if batch["reference"] is not None:
        shown.insert(1, ("reference", batch["reference"]))
    if batch["moved_on"]:
        moved = f"{counted(batch['moved_on'], 'order')}, submitted again in a later batch"
        shown.append(("moved on", moved))
    if batch["refusal_message"]:
        shown.append(("refused", f"{batch['refusal_code']}: {batch['refusal_message']}"))
    for line in facts(shown):
        out.print(line)


def _print_counts(out: Console, counts: Sequence[Mapping[str, Any]]) -> None:
    from rich.text import Text

    from sat_hook.domain.order_state import NOT_PAID

    if not counts:
        return
    table = STATES.table()
    for count in counts:
        state = count["state"]
        table.add(
            Text(state, STYLES.get(state, "")),
            f"{count['orders']:,}",
            rupiah(count["quoted_rupiah"]),
            # What ended unpaid costs nothing: it was never charged, or the charge was paid back.
            rupiah(0 if state in NOT_PAID else count["charged_rupiah"]),
        )
    out.print()
    out.print(table)
    out.print()


def exit_as_the_run_did(state: str | None) -> None:
    """End the command with the exit code for a run in this state. None is a run that is still going.

    :raises typer.Exit: unless the run succeeded.
    """
    if state == "failed":
        raise typer.Exit(ExitCode.FOUND_TROUBLE)
    if state is None:
        raise typer.Exit(ExitCode.STILL_RUNNING)
