"""``sat log`` and ``sat projections``: is the log whole, and does what is derived from it agree?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sat_hook.cli.opened import console, database_of, settings_of

if TYPE_CHECKING:
    from sat_hook.audit.findings import Finding

log_app = typer.Typer(help="The log of events.", no_args_is_help=True)
projections_app = typer.Typer(help="The tables derived from the log.", no_args_is_help=True)

FOUND_TROUBLE = 1


@log_app.callback()
def log() -> None:
    """The log of events."""


@log_app.command("verify")
def verify(
    context: typer.Context,
    as_owner: Annotated[
        bool, typer.Option("--as-owner", help="Check the bytes of signed evidence too (needs SAT_OWNER_DSN)")
    ] = False,
) -> None:
    """Verify digests, versions, heads, event types and evidence. Exit code 1 when something is wrong."""
    from sat_hook.audit.verification import verify_log

    out = console()
    with database_of(settings_of(context), "SAT_OWNER_DSN" if as_owner else "SAT_DB_DSN") as database:
        verification = verify_log(database, _print)
    evidence = "with the bytes of its evidence" if verification.evidence_read else "without evidence bytes"
    scope = (
        f"{verification.events:,} events in {verification.streams:,} streams, {evidence}; "
        f"closed at position {verification.closed_position:,}"
    )
    if verification.is_clean:
        out.print(f"[green]The log is whole[/]: {scope}")
        return
    out.print(f"[red]{verification.counts.total():,} problems[/]: {scope}")
    raise typer.Exit(FOUND_TROUBLE)


@projections_app.callback()
def projections() -> None:
    """The tables derived from the log."""


@projections_app.command("rebuild")
def rebuild(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: fold the log aside and compare")
    ] = False,
) -> None:
    """Empty the derived tables and fill them from the log; with --check, only compare (exit code 1 when
    something differs)."""
    from sat_hook.audit.rebuild import compare_projections, rebuild_projections

    out = console()
    if not check:
        with database_of(settings_of(context), "SAT_OWNER_DSN") as database:
            rebuilt = rebuild_projections(database)
        out.print(f"[green]Rebuilt[/] {rebuilt.orders:,} orders and {rebuilt.batches:,} batches from the log")
        return
    with database_of(settings_of(context)) as database:
        comparison = compare_projections(database, _print)
    scope = (
        f"{comparison.orders:,} orders and {comparison.batches:,} batches; "
        f"closed at position {comparison.closed_position:,}"
    )
    if comparison.is_clean:
        out.print(f"[green]The derived tables agree with the log[/]: {scope}")
        return
    out.print(f"[red]{comparison.counts.total():,} differences[/]: {scope}")
    raise typer.Exit(FOUND_TROUBLE)


def _print(finding: Finding) -> None:
    typer.echo(str(finding))
