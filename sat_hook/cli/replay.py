"""``sat replay``: checks that today's code reads the log as it was read when reports were published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat_hook.cli.context import console, database_of, settings_of
from sat_hook.cli.errors import CommandError, ExitCode
from sat_hook.cli.formatting import moment
from sat_hook.cli.options import moment_from
from sat_hook.domain.business_day import business_day, midnight

if TYPE_CHECKING:
    from rich.console import Console

    from sat_hook.audit.findings import Finding
    from sat_hook.audit.replay import Replay, ReportMaker, StateLine
    from sat_hook.store.database import Database


def replay(
    context: typer.Context,
    until: Annotated[
        str | None, typer.Option(metavar="POSITION|TIME", help="As of then (default: now)")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION|TIME",
            help="Make reports again that were given out since (default: the day before, Jakarta's)",
        ),
    ] = None,
    as_owner: Annotated[
        bool,
        typer.Option("--as-owner", help="Compare closed days, too: they read signed texts (SAT_OWNER_DSN)"),
    ] = False,
    state: Annotated[
        Path | None, typer.Option(help="Write the state of every stream to this file, a line of JSON each")
    ] = None,
) -> None:
    """Rebuild past state and reports from the log with this release, and compare. Changes nothing.

    Run it with the new release before you deploy it. Exit code 0: nothing differs; 1: something does, and
    each line says what and where; 2: it could not be done.
    """
    from sat_hook.application.replayed_days import ClosedDays
    from sat_hook.application.replayed_results import ResultFiles
    from sat_hook.audit.replay import replay as run
    from sat_hook.store.postgres import PostgresEventStore
    from sat_hook.store.spool import AnySpool

    out = console()
    key = "SAT_OWNER_DSN" if as_owner else "SAT_DB_DSN"
    with database_of(settings_of(context), key) as database, _state_lines(state) as state_line:
        position = None if until is None else _position(database, "--until", until)
        store, spool = PostgresEventStore(database), AnySpool()
        makers: list[ReportMaker] = [ResultFiles(store, spool), ClosedDays(store, spool)]
        replayed = run(
            database,
            makers,
            _print,
            until=position,
            since=_since(database, since, position),
            state_line=state_line,
        )
    _print_replay(out, replayed)
    if not replayed.is_clean:
        raise typer.Exit(ExitCode.FOUND_TROUBLE)


def _position(database: Database, option: str, text: str) -> int:
    from sat_hook.store.postgres import position_at

    if re.fullmatch(r"[0-9]{1,18}", text.strip()):
        return int(text)
    now = datetime.now(UTC)
    typed = moment_from(text, now, f"{option}, which is no position")
    if typed > now:
        # Below this position the log may still grow, so the output would not match the requested position.
        raise CommandError.at(option, f"{text!r}, a moment that has not been yet", "one that has")
    return position_at(database, typed)


def _since(database: Database, text: str | None, until: int | None) -> int:
    if text is not None:
        return _position(database, "--since", text)
    from sat_hook.store.postgres import position_at, recorded_at

    last = recorded_at(database, until)
    if last is None:
        return 0
    return position_at(database, midnight(business_day(last) - timedelta(days=1)))


@contextmanager
def _state_lines(path: Path | None) -> Iterator[StateLine | None]:
    """Write the state lines. They hold customers' numbers, so only the owner can read the file."""
    if path is None:
        yield None
        return
    from sat_hook.store.private_files import private_file

    try:
        with private_file(path) as file:

            def write(line: str) -> None:
                file.write(f"{line}\n".encode())

            yield write
    except OSError as error:
        raise CommandError.of_system(f"--state {path}", error, "a file that can be written") from None


def _print(finding: Finding) -> None:
    typer.echo(str(finding))


def _print_replay(out: Console, replayed: Replay) -> None:
    from sat_hook.application.replayed_days import ClosedDays
    from sat_hook.audit.replay import Verdict

    streams = sum(state.streams for state in replayed.states.values())
    when = "" if replayed.moment is None else f", recorded {moment(replayed.moment)} WIB"
    out.print(f"{streams:,} streams folded up to position {replayed.until:,}{when}")
    for kind, state in replayed.states.items():
        if state.streams:
            out.print(f"  {kind.value:<8} {state.streams:>9,}  state {state.digest}")
    moved = f"; {replayed.moved_on:,} have moved on since" if replayed.moved_on else ""
    out.print(f"{replayed.compared:,} of them compared with the derived tables{moved}")
    if not replayed.same_shape:
        out.print(
            "[yellow]Another release filled the derived tables[/]: members that only one of the two knows "
            "are not compared"
        )
    for name, verdicts in replayed.reports.items():
        counted = ", ".join(f"{number} {verdict.value}" for verdict, number in sorted(verdicts.items()))
        out.print(f"{name} given out after position {replayed.since:,}: {counted or 'none'}")
        if name == ClosedDays.name and verdicts[Verdict.NOT_COMPARABLE]:
            out.print("  they rest on signed texts, which this role may not read: --as-owner compares them")
    if replayed.is_clean:
        out.print("[green]Nothing differs[/]")
    else:
        out.print(f"[red]{replayed.counts.total():,} differences[/]")
