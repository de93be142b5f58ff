"""The tree of commands, and the options they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sat_hook.cli import (
    account,
    alerts,
    batch,
    batch_check,
    batch_watch,
    database,
    evidence,
    held_orders,
    log,
    order,
    prices,
    receiver,
    reconcile,
    replay,
    retention,
    settlement_preview,
    webhook,
)

app = typer.Typer(
    name="sat",
    help="Bulk orders against the SAT distributor API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
batch.app.command("check")(batch_check.check)
batch.app.command("watch")(batch_watch.watch)
batch.app.command("run")(held_orders.run)
batch.app.command("release")(held_orders.release)
batch.app.command("cancel")(held_orders.cancel)
batch.app.command("withdraw")(held_orders.withdraw)
app.add_typer(batch.app, name="batch")
app.add_typer(order.app, name="order")
app.add_typer(account.app, name="account")
app.add_typer(log.log_app, name="log")
app.add_typer(evidence.app, name="audit")
app.add_typer(log.projections_app, name="projections")
app.add_typer(prices.app, name="prices")
reconcile.app.command("preview")(settlement_preview.preview)
app.add_typer(reconcile.app, name="reconcile")
app.add_typer(reconcile.topup_app, name="topup")
app.add_typer(webhook.app, name="webhook")
app.add_typer(database.app, name="db")
app.add_typer(retention.app, name="retention")
app.add_typer(receiver.app, name="receiver")
app.command("replay")(replay.replay)
app.command("alerts")(alerts.alerts)
app.command("rechecks")(alerts.rechecks)
app.command("looks", hidden=True)(alerts.rechecks)  # the name of earlier releases
app.command("pause")(account.pause)
app.command("resume")(account.resume)


@app.command("dags-folder")
def dags_folder() -> None:
    """Print the folder of this release's DAGs, for Airflow's dags_folder or a bundle."""
    from sat_hook.shipped import shipped

    print(shipped("dags"))


@app.callback()
def shared(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="File of NAME=value settings (default: $SAT_CONFIG, or .stack/sat.env here or above)"
        ),
    ] = None,
) -> None:
    """Bulk orders against the SAT distributor API.

    Settings come from the environment, then from a file: SAT_DB_DSN, SAT_OWNER_DSN, SAT_AIRFLOW_URL,
    SAT_AIRFLOW_USER, SAT_AIRFLOW_PASSWORD, SAT_AIRFLOW_TOKEN.
    """
    context.obj = config
