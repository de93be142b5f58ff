"""``sat audit``: evidence packs, who did what, audit keys."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat_hook.cli.context import airflow_of, console, database_of, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.time_options import end_from, moment_from

if TYPE_CHECKING:
    from sat_hook.domain.event_record import RecordedEvent

app = typer.Typer(help="Evidence for others, and who did what.", no_args_is_help=True)

LOOK_EVERY_SECONDS = 1.0


@app.callback()
def audit() -> None:
    """Evidence packs for auditors, and a list of who did what."""


@app.command("export")
def export(
    context: typer.Context,
    begin: Annotated[str, typer.Option("--from", metavar="DAY", help="The first day (WIB), or a time")],
    end: Annotated[
        str, typer.Option("--to", metavar="DAY", help="The last day (WIB), itself included, or a time")
    ],
    output: Annotated[Path | None, typer.Option(help="Where to (default: ID.zip here)")] = None,
    personal: Annotated[
        bool,
        typer.Option(
            "--with-personal-data", help="Customers' numbers, vouchers and signed texts too; needs --reason"
        ),
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; it is recorded with your Airflow user")] = "",
    timeout: Annotated[float, typer.Option(help="Wait so many seconds for the pack", min=1)] = 3600,
) -> None:
    """Write and fetch an evidence pack of a period. Both are recorded with your Airflow user.

    The pack contains its own verifier: python verify.py --key PUBLIC_KEY PACK.
    """
    from sat_hook.cli.airflow_api import FINAL_RUN_STATES
    from sat_hook.cli.airflow_session import EXPORT_DAG_ID

    now = datetime.now(UTC)
    recorded_from, recorded_before = moment_from(begin, now, "--from"), end_from(end, now, "--to")
    out = console()
    with airflow_of(settings_of(context)) as airflow:
        asked = airflow.act(
            "exports",
            recorded_from=recorded_from.isoformat(),
            recorded_before=recorded_before.isoformat(),
            with_personal_data=personal,
            reason=reason,
        )
        export_id = str(asked["export_id"])
        out.print(f"asked for export {export_id}")
        # A run that exists goes on.
        airflow.trigger(export_id, {"export_id": export_id}, EXPORT_DAG_ID)
        if airflow.is_paused(EXPORT_DAG_ID):
            out.print("[yellow]The DAG audit_export is paused[/]: the pack waits until a user switches it on")
        deadline = time.monotonic() + timeout
        while (state := str(airflow.run(export_id, EXPORT_DAG_ID)["state"])) not in FINAL_RUN_STATES:
            if time.monotonic() > deadline:
                raise CommandError.at(
                    f"export {export_id}",
                    f"a run that is {state}",
                    "its end; it goes on: see Airflow's pages",
                )
            time.sleep(LOOK_EVERY_SECONDS)
        if state == "failed":
            raise CommandError.at(
                f"export {export_id}",
                "a failed run",
                f"a pack; the reason is in the task's log ({airflow.url})",
            )
        target = output or Path(f"{export_id}.zip")
        digest = airflow.evidence_pack(export_id, target)
    out.print(f"{target}: {target.stat().st_size:,} bytes, sha256 {digest}")


@app.command("actions")
def actions(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="DAY", help="A day (WIB), a time, or an age like 12h or 7d")],
    user: Annotated[str | None, typer.Option(help="Only what this Airflow user did")] = None,
) -> None:
    """List people's actions: approvals, decisions, pauses, deliveries, sign-offs, exports, submissions."""
    from sat_hook.audit.actions import actions_since
    from sat_hook.cli.formatting import moment

    out, begin = console(), moment_from(since, datetime.now(UTC), "--since")
    with database_of(settings_of(context)) as database:
        for count, act in _together(actions_since(database, begin, user)):
            name = act.provenance.actor.removeprefix("user:")
            times = f" ({count:,} times)" if count > 1 else ""
            out.print(
                f"{moment(act.recorded_at)} WIB  {name:<12} {act.type_name}{times}  {act.stream}"
                f"{_words(act)}  [{act.provenance.cause}]",
                markup=False,
            )


@app.command("new-key")
def new_key(
    folder: Annotated[
        Path, typer.Argument(help="Where to; made if need be. audit_private.pem must not be there yet")
    ],
) -> None:
    """Create an audit key: audit_private.pem for the workers, audit_public.pem for auditors."""
    from sat_hook.audit.keys import write_audit_key

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_id = write_audit_key(folder)
    except OSError as error:
        raise CommandError.of_system(f"{error.filename or folder}", error, "a folder without a key") from None
    console().print(f"made key {key_id} in {folder}")


def _together(acts: Iterator[RecordedEvent]) -> Iterator[tuple[int, RecordedEvent]]:
    """Group the events of one action, which may be one for each of a thousand orders, and count them."""
    from sat_hook.audit.actions import same_act

    for _, together in groupby(acts, key=same_act):
        first, count = None, 0
        for act in together:
            first, count = first or act, count + 1
        if first is not None:
            yield count, first


def _words(act: RecordedEvent) -> str:
    """Return the reason in the event, if it has one; an event of another release may not."""
    try:
        members = json.loads(act.data)
    except ValueError:
        return ""
    reason = members.get("reason") if isinstance(members, dict) else None
    return f'  "{reason}"' if isinstance(reason, str) and reason else ""
