"""``sat reconcile …`` and ``sat topup record``: read and sign the books of an account."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer

from sat_hook.cli.books import Named, show_breaks, show_days, show_files, show_saldo, show_versions
from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.dag_runs import ask_for_run
from sat_hook.cli.errors import CommandError, ExitCode
from sat_hook.cli.for_programs import Form, Output, is_written
from sat_hook.cli.formatting import rupiah
from sat_hook.cli.options import Reason, day_from, moment_from, rupiah_from

DAG_ID = "nightly_reconciliation"
BREAK_ID = re.compile(r"K[A-Z2-7]{15}")

app = typer.Typer(no_args_is_help=True, help="Close days, read their breaks, decide and sign them.")
topup_app = typer.Typer(no_args_is_help=True, help="Top-ups of deposits.")

Day = Annotated[str, typer.Argument(metavar="DAY", help="The WIB day, for example 2026-11-22")]
BreakId = Annotated[str, typer.Argument(metavar="BREAK", help="The break's id (see: sat reconcile breaks)")]


@app.command("close")
def close(
    context: typer.Context,
    day: Annotated[str, typer.Argument(metavar="[DAY]", help="The WIB day; by default the last one")] = "",
    connections: Annotated[
        list[str] | None,
        typer.Option("--account", help="Airflow connections of accounts; default: those of the DAG"),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the run")] = False,
    timeout: Annotated[float, typer.Option(help="Stop waiting after so many seconds", min=1)] = 3600,
) -> None:
    """Close a day now, by a run of the DAG nightly_reconciliation, as your Airflow user.

    With --wait the exit code is 0 when it was closed, 1 when it was not, 3 when --timeout passed first.
    """
    conf: dict[str, Any] = {"accounts": connections} if connections else {}
    if day:
        chosen = day_from(day, "DAY")
        _refuse_a_day_that_is_not_over(context, chosen)
        conf["day"] = chosen.isoformat()
    out = console()
    state = ask_for_run(context, out, DAG_ID, conf, wait=wait, timeout=timeout).state
    if state is None:
        return
    out.print(f"the run ended: {state}")
    if state != "success":
        out.print("why: the log of its red task, see the link above")
        raise typer.Exit(ExitCode.FOUND_TROUBLE)


@app.command("list")
def list_days(context: typer.Context, account: Named = None, output: Output = Form.TABLE) -> None:
    """List the closed days of each account: breaks, unexplained amounts and signatures."""
    with airflow_of(settings_of(context)) as api:
        known = [account] if account else [row["account"] for row in api.every("account-standings")]
        if not known:
            raise CommandError.at("--account", "nothing", "an account; Airflow has none")
        closed = {name: list(api.every("books", name, "closes")) for name in known}
    if is_written([day for days in closed.values() for day in days], output):
        return
    for name, days in closed.items():
        if days or len(known) == 1:
            show_days(console(), name, days)


@app.command("show")
def show(context: typer.Context, day: Day, account: Named = None, output: Output = Form.TABLE) -> None:
    """Show a closed day: its saldo equation and its breaks. The report has the orders."""
    out = console()
    with airflow_of(settings_of(context)) as api:
        place = "books", api.account_or_only(account), "closes", day_from(day, "DAY").isoformat()
        found = api.read(*place)
        if is_written(found, output):
            return
        closed = found["closed"]
        show_saldo(out, closed, found["saldo"])
        show_breaks(out, closed["day"], api.every(*place, "breaks", every="true"))
        show_versions(out, closed, found["versions"])


@app.command("breaks")
def breaks(
    context: typer.Context,
    account: Named = None,
    every: Annotated[bool, typer.Option("--all", help="Those too that are resolved or written off")] = False,
    output: Output = Form.TABLE,
) -> None:
    """List the breaks as of the newest closed day, including older ones."""
    out = console()
    with airflow_of(settings_of(context)) as api:
        name = api.account_or_only(account)
        days = api.listed("books", name, "closes", limit=1)
        day, chosen = days[0]["day"] if days else None, "true" if every else "false"
        found = list(api.every("books", name, "closes", day, "breaks", every=chosen)) if day else []
    if is_written(found, output):
        return
    if day:
        show_breaks(out, day, found)
    else:
        show_days(out, name, [])


@app.command("explain")
def explain(context: typer.Context, break_id: BreakId, reason: Reason, account: Named = None) -> None:
    """Explain why a break exists. It is carried forward until evidence ends it."""
    _decide(context, account, break_id, "explain", reason)


@app.command("resolve")
def resolve(context: typer.Context, break_id: BreakId, reason: Reason, account: Named = None) -> None:
    """Mark a break as settled. It is not carried forward."""
    _decide(context, account, break_id, "resolve", reason)


@app.command("write-off")
def write_off(context: typer.Context, break_id: BreakId, reason: Reason, account: Named = None) -> None:
    """Write off a break's money. It is not carried forward."""
    _decide(context, account, break_id, "write-off", reason)


@app.command("files")
def files(context: typer.Context, day: Day, account: Named = None, output: Output = Form.TABLE) -> None:
    """List the settlement files of a day: which count, and why the others do not."""
    named = day_from(day, "DAY").isoformat()
    with airflow_of(settings_of(context)) as api:
        name = api.account_or_only(account)
        found = api.read("books", name, "days", named, "settlements")["items"]
    if not is_written(found, output):
        show_files(console(), name, named, found)


@app.command("choose")
def choose(
    context: typer.Context,
    day: Day,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Its name, or the first characters of its digest")
    ],
    reason: Reason,
    account: Named = None,
) -> None:
    """Choose which of several settlement files with the same orders counts, from the next close on."""
    closed = day_from(day, "DAY").isoformat()
    with airflow_of(settings_of(context)) as airflow:
        account = airflow.account_or_only(account)
        chosen = airflow.act("books", account, "days", closed, "settlement", file=file, reason=reason)
    state = "chosen" if chosen["is_new"] else "chosen before"
    console().print(
        f"{chosen['file']}: {state}; it counts from the next close of {chosen['day']} on "
        f"(sat reconcile close {chosen['day']})",
        markup=False,
    )


@app.command("prepare")
def prepare(context: typer.Context, day: Day, reason: Reason, account: Named = None) -> None:
    """Sign the newest close of a day as its preparer."""
    _sign(context, account, day, "prepare", reason)


@app.command("certify")
def certify(context: typer.Context, day: Day, reason: Reason, account: Named = None) -> None:
    """Certify a prepared day, as another person than its preparer. It is frozen from then on."""
    _sign(context, account, day, "certify", reason)


@app.command("report")
def report(
    context: typer.Context,
    day: Day,
    account: Named = None,
    output: Annotated[Path, typer.Option(help="A folder for the files, or the name of a .zip")] = Path(),
    version: Annotated[
        int | None, typer.Option(help="An earlier version; default: the newest", min=1)
    ] = None,
) -> None:
    """Fetch the report of a closed day: workbook, PDFs, breaks and orders, with all decisions and signatures.

    A version never changes. Later decisions and signatures make a new version, which lists the earlier ones.
    """
    named = day_from(day, "DAY").isoformat()
    with airflow_of(settings_of(context)) as airflow:
        fetched = airflow.day_report(airflow.account_or_only(account), named, version)
    out = console()
    try:
        for path in _saved(fetched.content, output):
            out.print(f"{path}: {path.stat().st_size:,} bytes", markup=False)
    except OSError as error:
        raise CommandError.of_system(f"--output {output}", error, "a place that can be written to") from None
    except zipfile.BadZipFile:
        raise CommandError.at("the report", "no ZIP", "the files of a report; try again") from None


@topup_app.command("record")
def record(
    context: typer.Context,
    amount: Annotated[
        str, typer.Argument(metavar="RUPIAH", help="Whole rupiah, for example 50000000 or 50.000.000")
    ],
    reference: Annotated[str, typer.Option(help="The bank's reference; it counts once")],
    reason: Reason,
    account: Named = None,
    at: Annotated[str, typer.Option(help="When it was credited (WIB unless it says otherwise)")] = "now",
) -> None:
    """Record a top-up of an account's deposit, for the saldo equation."""
    amount_rupiah = rupiah_from(amount, "RUPIAH")
    credited_at = moment_from(at, datetime.now(UTC), "--at")
    with airflow_of(settings_of(context)) as airflow:
        known = airflow.act(
            "books",
            airflow.account_or_only(account),
            "top-ups",
            amount_rupiah=amount_rupiah,
            reference=reference,
            credited_at=credited_at.isoformat(),
            reason=reason,
        )
    state = "recorded" if known["is_new"] else "recorded before"
    console().print(f"top-up of {rupiah(amount_rupiah)} to account {known['account']}: {state}")


def _refuse_a_day_that_is_not_over(context: typer.Context, day: date) -> None:
    """Refuse a day that is not over at once, instead of with a failed run. With a cut-off before midnight,
    today may be over.
    """
    from sat_hook.domain.business_day import MAXIMUM_CUT_OFF_MINUTES, BusinessDay

    now, minutes = datetime.now(UTC), -MAXIMUM_CUT_OFF_MINUTES
    if BusinessDay(day, minutes).closes_at <= now < BusinessDay(day, MAXIMUM_CUT_OFF_MINUTES).closes_at:
        with airflow_of(settings_of(context)) as airflow:
            minutes = airflow.cut_off_minutes()
    if BusinessDay(day, minutes).closes_at > now:
        raise CommandError(f"DAY: {day} is not over yet in Jakarta (WIB); expected a day that has ended")


def _decide(context: typer.Context, account: str | None, typed: str, decision: str, reason: str) -> None:
    break_id = typed.strip().upper()
    if BREAK_ID.fullmatch(break_id) is None:
        raise CommandError.at(
            "BREAK", repr(typed), "a break's id: K and 15 letters or digits (see: sat reconcile breaks)"
        )
    with airflow_of(settings_of(context)) as airflow:
        account = airflow.account_or_only(account)
        answer = airflow.act("books", account, "breaks", break_id, decision, reason=reason)
    console().print(f"break {answer['break_id']}: {answer['state']}")


def _sign(context: typer.Context, account: str | None, day: str, signature: str, reason: str) -> None:
    chosen = day_from(day, "DAY").isoformat()
    with airflow_of(settings_of(context)) as airflow:
        account = airflow.account_or_only(account)
        signed = airflow.act("books", account, "days", chosen, signature, reason=reason)
    out = console()
    out.print(
        f"{signed['day']} at position {signed['position']} (result {signed['result_digest'][:16]}…), "
        f"{signed['open_breaks']} breaks open"
    )
    out.print(f"prepared by {signed['prepared_by']}, certified by {signed['certified_by'] or 'no one yet'}")


def _saved(content: bytes, output: Path) -> list[Path]:
    from sat_hook.store.private_files import private_file

    if output.suffix.lower() == ".zip":
        with private_file(output) as file:
            file.write(content)
        return [output]
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            path = output / PurePosixPath(member).name
            with private_file(path) as file:
                file.write(archive.read(member))
            paths.append(path)
    return paths
