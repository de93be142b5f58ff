"""``sat batch run``, ``release``, ``cancel`` and ``withdraw``: decisions about unsent orders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.context import airflow_of, batch_id_from, console, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.options import Reason, rupiah_from
from sat_hook.cli.run_summary import Timeout, Wait, exit_as_the_run_did, follow_to_end, print_summary
from sat_hook.presentation.hints import did_you_mean

if TYPE_CHECKING:
    from sat_hook.cli.airflow_api import AirflowApi

BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch id that submit printed")]
HeldFor = Annotated[
    str | None,
    typer.Option(
        help="Only those held for business_duplicate, limit, price_above_quote, approval or left_out"
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the DAG, for this run; repeatable"),
]


def run(
    context: typer.Context,
    batch_id: BatchId,
    account: Annotated[
        str | None, typer.Option(help="The connection of the batch's account, if it has several")
    ] = None,
    param: Parameters = None,
    wait: Wait = False,
    timeout: Timeout = None,
) -> None:
    """Run a batch again: unsent and released orders. Nothing is sent twice.

    The parameters are those of the first run, unless you give others. With --wait the exit code is 1 when
    the run failed.
    """
    batch_id, out = batch_id_from(batch_id), console()
    with airflow_of(settings_of(context)) as api:
        begun = api.run_again(batch_id, account=account, parameters=run_parameters(api, param))
        run_id = str(begun["run_id"])
        out.print(f"Batch [bold]{batch_id}[/] runs once more: {api.run_url(run_id)}")
        if not wait:
            return
        state = follow_to_end(api, run_id, batch_id, timeout, out)
        print_summary(api.summary(batch_id), out)
    exit_as_the_run_did(state)


def release(context: typer.Context, batch_id: BatchId, reason: Reason, held_for: HeldFor = None) -> None:
    """Release the held orders of a batch for its next run. The same cause does not hold them again."""
    done = _decide(context, batch_id, "release", reason, held_for)
    console().print(
        f"{done['decided']} orders are released, {done['still_held']} stay held; they are sent by: "
        f"sat batch run {done['batch_id']}"
    )


def cancel(context: typer.Context, batch_id: BatchId, reason: Reason, held_for: HeldFor = None) -> None:
    """End the held orders of a batch. They were never sent and never will be."""
    done = _decide(context, batch_id, "cancel", reason, held_for)
    console().print(f"{done['decided']} orders are cancelled, {done['still_held']} stay held")


def withdraw(context: typer.Context, batch_id: BatchId, reason: Reason) -> None:
    """End every unsent order of a batch, including quoted and reserved ones.

    An order that may have been sent cannot be withdrawn. It continues to its end.
    """
    with airflow_of(settings_of(context)) as api:
        done = api.act("batches", batch_id_from(batch_id), "withdraw", reason=reason)
    sent = done["may_have_been_sent"]
    then = f"; {sent} may have been sent and go on to their end" if sent else ""
    console().print(f"{done['withdrawn']} orders are withdrawn and will not be sent{then}")


def run_parameters(api: AirflowApi, texts: list[str] | None) -> dict[str, Any]:
    """Read a run's parameters. Each must exist in the DAG, because Airflow would ignore a misspelled limit.

    :raises CommandError: as ``parameters_from``, and for a name that the DAG does not have.
    """
    given = parameters_from(texts)
    known = sorted(api.parameters()) if given else []
    for name in given:
        if name not in known:
            raise CommandError.at(
                "--param", f"{name!r}{did_you_mean(name, known)}", f"one of {', '.join(known)}"
            )
    return given


def parameters_from(texts: list[str] | None) -> dict[str, Any]:
    """Read ``NAME=VALUE`` pairs by name. A value that is JSON (a number, true, null) is read as JSON.

    Amounts may have thousands separators: as JSON, ``50.000`` would be fifty.

    :raises CommandError: a text has no name, or an amount cannot be read.
    """
    read: dict[str, Any] = {}
    for text in texts or ():
        name, found, value = (part.strip() for part in text.partition("="))
        if not found or not name:
            raise CommandError.at("--param", repr(text), "NAME=VALUE")
        if name.endswith("_rupiah") and value not in ("null", "0"):
            read[name] = rupiah_from(value, name)
            continue
        try:
            read[name] = json.loads(value)
        except json.JSONDecodeError:
            read[name] = value
    return read


def _decide(
    context: typer.Context, batch_id: str, decision: str, reason: str, held_for: str | None
) -> dict[str, Any]:
    with airflow_of(settings_of(context)) as api:
        only = {} if held_for is None else {"held_for": held_for}
        return api.act("batches", batch_id_from(batch_id), decision, reason=reason, **only)
