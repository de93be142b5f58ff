"""``sat batch``: submit files, follow them, and fetch their results."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.context import airflow_of, batch_id_from, console, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.for_programs import Form, Output, is_written
from sat_hook.cli.formatting import MAXIMUM_LISTED, Columns, rupiah
from sat_hook.cli.held_orders import Parameters, run_parameters
from sat_hook.cli.options import Reason
from sat_hook.cli.run_summary import Timeout, Wait, exit_as_the_run_did, follow_to_end, print_summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from sat_hook.cli.airflow_api import AirflowApi, Download

app = typer.Typer(help="Batches of orders.", no_args_is_help=True)

BATCHES = Columns(
    "batch", "state", "account", "file", ">rows", ">orders", ">aside", ">need you", ">quoted", ">paid by run"
)

BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch id that submit printed")]
At = Annotated[
    int | None,
    typer.Option(
        metavar="POSITION", help="As it was known at this position of the log (default: now)", min=1
    ),
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write (default: standard output)")
]


File = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or XLSX file of orders")]
Account = Annotated[
    str, typer.Option(help="The account that pays: its Airflow connection, or its name in the log")
]
Reference = Annotated[
    str | None, typer.Option(help="Names the batch, so that the same file can be run again next month")
]


class OnBadRows(StrEnum):
    """What the run does when some rows are bad."""

    PROCEED = "proceed"
    WAIT = "wait"
    REFUSE = "refuse"


@app.command("submit")
def submit(
    context: typer.Context,
    file: File,
    account: Account = "sat_default",
    reference: Reference = None,
    on_bad_rows: Annotated[OnBadRows | None, typer.Option(help="Pay the good rows, wait, or refuse")] = None,
    param: Parameters = None,
    wait: Wait = False,
    timeout: Timeout = None,
) -> None:
    """Submit a file and run it. If the file was already run, say so and change nothing.

    With --wait the exit code is 1 when the run failed. The exit code does not depend on how single orders
    ended; the results say that.
    """
    content = read_orders(file)
    out = console()
    with airflow_of(settings_of(context)) as api:
        # Checked before the file is submitted: a misspelled limit would be no limit.
        parameters = run_parameters(api, param)
        submitted = api.submit(content, upload_query(file, account, reference, on_bad_rows))
        if on_bad_rows is not None:
            parameters["on_bad_rows"] = on_bad_rows.value
        begun = api.start(
            submitted.batch_id,
            account=submitted.connection,
            parameters=parameters,
            note=submitted.needs_in_words,
        )
        run_id = str(begun["run_id"])
        if begun["is_new"]:
            out.print(f"Batch [bold]{submitted.batch_id}[/] runs: {api.run_url(run_id)}")
            _say_needs(out, submitted.needs_in_words, f"each of them: sat batch results {submitted.batch_id}")
        else:
            _say_already_run(api, begun, submitted.batch_id, out)
        if api.progress(run_id).is_paused:
            out.print("[yellow]The DAG bulk_disbursement is paused[/]: the run waits until a user resumes it")
        if not wait:
            out.print(f"Look at it with: sat batch show {submitted.batch_id}")
            return
        state = follow_to_end(api, run_id, submitted.batch_id, timeout, out)
        print_summary(api.summary(submitted.batch_id), out)
    exit_as_the_run_did(state)


@app.command("list")
def list_batches(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="How many", min=1, max=MAXIMUM_LISTED)] = 20,
    text: Annotated[str | None, typer.Option(help="A part of the file's name or of the reference")] = None,
    standing: Annotated[
        str | None, typer.Option(help="For example awaiting_approval, short_of_funds, paying, complete")
    ] = None,
    maker: Annotated[str | None, typer.Option(help="Submitted by this user")] = None,
    account: Annotated[
        str | None, typer.Option(help="Of this account only: its connection or its name")
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """List the latest batches, newest first."""
    which = {"text": text, "standing": standing, "maker": maker, "account": account}
    with airflow_of(settings_of(context)) as api:
        batches = api.listed("batches", limit=limit, **which)
    more, batches = len(batches) > limit, batches[:limit]
    if is_written(batches, output):
        return
    out = console()
    if not batches:
        out.print("No such batch was submitted" if any(which.values()) else "No batch was ever submitted")
        return
    table = BATCHES.table()
    for batch in batches:
        table.add(
            batch["batch_id"],
            batch["state"],
            batch["account"],
            batch["file_name"],
            f"{batch['rows']:,}",
            f"{sum(batch['orders'].values()):,}",
            f"{batch['set_aside']:,}",
            f"{batch['needs_rows']:,}",
            rupiah(batch["quoted_rupiah"] or None),
            rupiah(batch["run_paid_rupiah"]),
        )
    out.print(table)
    out.print("What is known now, late ends and reversals included: sat batch show ID")
    if more:
        rest = f": sat batch list --limit {min(limit * 5, MAXIMUM_LISTED)}" if limit < MAXIMUM_LISTED else ""
        out.print(f"The newest {limit:,}; there are older ones{rest}")


@app.command("show")
def show(context: typer.Context, batch_id: BatchId, at: At = None, output: Output = Form.TABLE) -> None:
    """Show the state of a batch and its orders, now or at a position of the log."""
    with airflow_of(settings_of(context)) as api:
        summary = api.summary(batch_id_from(batch_id), at)
    if not is_written(summary, output):
        print_summary(summary, console(), at)


@app.command("results")
def results(context: typer.Context, batch_id: BatchId, output: OutputFile = None, at: At = None) -> None:
    """Write the result file: the submitted rows, each with its verdict as known now.

    With --at, the verdicts are those known at a position of the log. That file always has the same bytes,
    even if the orders have changed since. `sat batch show` names the position of the file that the run wrote.
    """
    with airflow_of(settings_of(context)) as api:
        download = api.results(batch_id_from(batch_id), at)
    _write(download, output)


@app.command("deliver")
def deliver(
    context: typer.Context,
    batch_id: BatchId,
    reason: Reason,
    output: OutputFile = None,
) -> None:
    """Fetch vouchers and serials of the succeeded orders. Your name and reason are recorded.

    If --output ends with .xlsx, the file is a workbook of text cells, so a spreadsheet program changes no
    digit. Otherwise it is CSV with the separator of the submitted file.
    """
    is_workbook = output is not None and output.suffix.lower() == ".xlsx"
    with airflow_of(settings_of(context)) as api:
        download = api.deliver(batch_id_from(batch_id), reason, "xlsx" if is_workbook else "csv")
    _write(download, output)


def _say_needs(out: Console, needs_in_words: str, then: str) -> None:
    from rich.text import Text

    if needs_in_words:
        out.print(Text(needs_in_words, "bold yellow"))
        out.print(then, markup=False)


def _say_already_run(api: AirflowApi, run: Mapping[str, Any], batch_id: str, out: Console) -> None:
    """Print which batch these bytes are, its state, and what the user may want instead of submitting them
    again.
    """
    from sat_hook.cli.airflow_api import FINAL_RUN_STATES
    from sat_hook.cli.run_progress import states_in_words

    state = str(run["state"])
    out.print(
        f"[yellow]Already run[/]: this file is batch [bold]{batch_id}[/], whose run is {state}; nothing was "
        f"changed. {api.run_url(run['run_id'])}"
    )
    summary = api.summary(batch_id)
    states = states_in_words({count["state"]: count["orders"] for count in summary["counts"]}) or "no orders"
    out.print(f"The batch is {summary['state']}: {states}", markup=False)
    if state in FINAL_RUN_STATES and summary["unsent"]:
        out.print(f"To send what is left of it, run it once more: sat batch run {batch_id}", markup=False)
    out.print(
        "To pay other orders with the same file (next month's), name it and give the orders new ids "
        "(an order id is one order for ever): sat batch submit FILE --reference NAME",
        markup=False,
    )


def upload_query(
    file: Path, account: str, reference: str | None, on_bad_rows: OnBadRows | None
) -> dict[str, str | None]:
    """Return what the route of an upload is told about a file; None stays out of the request."""
    policy = None if on_bad_rows is None else on_bad_rows.value
    return {"account": account, "file_name": file.name, "reference": reference, "on_bad_rows": policy}


def read_orders(file: Path) -> bytes:
    """Return the bytes of a file of orders.

    :raises CommandError: the file is empty or too large.
    """
    from sat_hook.application.settings import read_settings

    most = read_settings().maximum.file_bytes
    try:
        with file.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise CommandError.of_system(str(file), error, "a CSV or XLSX file of orders") from None
    if len(content) > most:
        raise CommandError.at(str(file), f"more than {most:,} bytes", "a smaller file, or several")
    return content


def _write(download: Download, output: Path | None) -> None:
    """Write to a file that only its owner can read, or to standard output unchanged."""
    from sat_hook.store.private_files import private_file

    if download.notice:
        typer.echo(download.notice, err=True)
    if output is None:
        sys.stdout.buffer.write(download.content)
        sys.stdout.buffer.flush()
        return
    try:
        with private_file(output) as file:
            file.write(download.content)
    except OSError as error:
        raise CommandError.of_system(f"--output {output}", error, "a file that can be written") from None
    as_of = f", as of position {download.position} of the log" if download.position else ""
    typer.echo(f"{output}: {len(download.content):,} bytes{as_of}", err=True)
