"""``sat audit``: evidence packs, who did what, audit keys."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.for_programs import Form, Output, is_written
from sat_hook.cli.formatting import Columns, moment
from sat_hook.cli.options import end_from, moment_from
from sat_hook.domain.business_day import business_day

app = typer.Typer(help="Evidence for others, and who did what.", no_args_is_help=True)

LOOK_EVERY_SECONDS = 1.0

ACTS = Columns("when (WIB)", "who", "what", ">events", "reason", "about", "by way of")


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
    from sat_hook.cli.airflow_session import EXPORT_DAG_ID

    now = datetime.now(UTC)
    recorded_from, recorded_before = moment_from(begin, now, "--from"), end_from(end, now, "--to")
    out = console()
    with airflow_of(settings_of(context)) as airflow:
        asked = airflow.act(
            "evidence-packs",
            recorded_from=recorded_from.isoformat(),
            recorded_before=recorded_before.isoformat(),
            with_personal_data=personal,
            reason=reason,
        )
        export_id = str(asked["export_id"])
        out.print(f"asked for export {export_id}")
        if airflow.progress(export_id, EXPORT_DAG_ID).is_paused:
            out.print("[yellow]The DAG audit_export is paused[/]: the pack waits until a user switches it on")
        deadline = time.monotonic() + timeout
        while not (run := airflow.progress(export_id, EXPORT_DAG_ID)).is_final:
            if time.monotonic() > deadline:
                raise CommandError.at(
                    f"export {export_id}",
                    f"a run that is {run.state}",
                    "its end; it goes on: see Airflow's pages",
                )
            time.sleep(LOOK_EVERY_SECONDS)
        if run.state == "failed":
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
    output: Output = Form.TABLE,
) -> None:
    """List people's actions: approvals, decisions, pauses, deliveries, sign-offs, exports, submissions."""
    out, begin = console(), moment_from(since, datetime.now(UTC), "--since")
    with airflow_of(settings_of(context)) as api:
        acts: list[dict[str, Any]] = []
        for act in api.every("log", "acts", user=user, first_day=business_day(begin).isoformat()):
            if datetime.fromisoformat(act["event"]["recorded_at"]) < begin:
                break
            acts.append(act)
    acts.reverse()
    if is_written(acts, output):
        return
    rows = ACTS.table()
    for act in acts:
        event = act["event"]
        reason = event["members"].get("reason")
        rows.add(
            moment(datetime.fromisoformat(event["recorded_at"])),
            event["user"] or event["actor"],
            event["type"],
            f"{act['times']:,}",
            reason if isinstance(reason, str) else "",
            event["stream"],
            event["cause"],
        )
    out.print(rows)


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
