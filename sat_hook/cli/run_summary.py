"""Follows a run to its end, and shows the outcome of its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sat_hook.cli.context import store_of
from sat_hook.cli.formatting import STYLES, Columns, counted, facts, rupiah

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from sat_hook.cli.airflow_api import AirflowApi
    from sat_hook.cli.settings import CommandSettings
    from sat_hook.pipeline.results import BatchSummary
    from sat_hook.store.event_store import StateCount

RUN_FAILED = 1
STILL_RUNNING = 3
STATES = Columns("state", ">orders", ">quoted", ">charged")

Wait = Annotated[bool, typer.Option("--wait", help="Follow the run to its end")]
Timeout = Annotated[
    float | None, typer.Option(help="Stop following after so many seconds; the run goes on", min=1)
]


def follow_to_end(
    api: AirflowApi,
    settings: CommandSettings,
    run_id: str,
    batch_id: str,
    timeout: float | None,
    out: Console,
) -> str | None:
    from sat_hook.application.settings import read_settings
    from sat_hook.cli.run_progress import follow
    from sat_hook.pipeline.funding import missing_for
    from sat_hook.store.funds import PostgresFunds

    limits = read_settings().funding
    with store_of(settings) as store:

        def counts() -> Sequence[StateCount]:
            return store.count_by_state(batch_id)

        def missing_rupiah() -> int | None:
            return missing_for(PostgresFunds(store.database), store, batch_id, limits)

        state = follow(api, run_id, counts, out, missing_rupiah=missing_rupiah, deadline_seconds=timeout)
    if state == "failed":
        failed = ", ".join(api.tasks(run_id, "failed")) or "a task"
        out.print(f"[red]The run failed[/] in {failed}: {api.run_url(run_id)}")
    if state is None:
        out.print(f"[yellow]Still running[/] after {timeout:.0f} seconds; follow it at {api.run_url(run_id)}")
    return state


def print_summary(
    settings: CommandSettings, batch_id: str, out: Console, at: int | None = None
) -> BatchSummary:
    """Show the states of a batch and its orders, now or at a position of the log."""
    from rich.text import Text

    from sat_hook.domain.identity import account_id_of
    from sat_hook.pipeline.results import summarise
    from sat_hook.store.as_of import as_of_position

    with store_of(settings) as store:
        summary = summarise(store if at is None else as_of_position(store, at), batch_id)
        standing = store.load_account(account_id_of(summary.batch.account))
    if at is not None:
        out.print(f"[yellow]As of position {at:,}[/] of the log")
    _print_facts(out, summary)
    _print_counts(out, summary.counts)
    if summary.needs:
        out.print(Text(summary.needs_in_words, "bold yellow"))
    if standing is not None and standing.is_paused and at is None:
        out.print(
            f"Account {standing.account} is paused, nothing is sent: {standing.pause_reason}", markup=False
        )
    position = summary.batch.results_position
    if summary.batch.results_uri:
        known = "" if position is None else f" (written at position {position} of the log)"
        out.print(f"results of the run: {summary.batch.results_uri}{known}", markup=False)
    then = "results as of now: sat batch results " if at is None else "results as of then: sat batch results "
    out.print(f"{then}{batch_id}{'' if at is None else f' --at {at}'} --output FILE", markup=False)
    return summary


def _print_facts(out: Console, summary: BatchSummary) -> None:
    batch = summary.batch
    shown = [
        ("batch", f"{batch.batch_id} ({batch.state.value})"),
        ("account", batch.account),
        ("file", f"{batch.file_name}, {batch.size_bytes:,} bytes"),
        ("rows", f"{batch.rows:,}: {counted(batch.orders, 'order')}, {batch.set_aside:,} set aside"),
        ("quoted", rupiah(batch.total_rupiah)),
        ("paid", rupiah(summary.charged_rupiah)),
    ]
    if batch.reference != batch.digest:
        shown.insert(1, ("reference", batch.reference))
    if summary.moved_on:
        shown.append(("moved on", f"{counted(summary.moved_on, 'order')}, submitted again in a later batch"))
    if batch.refusal_message:
        shown.append(("refused", f"{batch.refusal_code}: {batch.refusal_message}"))
    for line in facts(shown):
        out.print(line)


def _print_counts(out: Console, counts: Sequence[StateCount]) -> None:
    from rich.text import Text

    from sat_hook.domain.order import OrderState

    if not counts:
        return
    table = STATES.table()
    for count in counts:
        table.add(
            Text(count.state.value, STYLES[count.state]),
            f"{count.orders:,}",
            rupiah(count.quoted_rupiah),
            # The charge of a failed order was refunded: it costs nothing, as in the result file.
            rupiah(0 if count.state is OrderState.FAILED else count.charged_rupiah),
        )
    out.print()
    out.print(table)
    out.print()


def exit_as_the_run_did(state: str | None) -> None:
    """End the command with the exit code for a run in this state. None is a run that is still going.

    :raises typer.Exit: unless the run succeeded.
    """
    if state == "failed":
        raise typer.Exit(RUN_FAILED)
    if state is None:
        raise typer.Exit(STILL_RUNNING)
