"""``sat retention``: what the retention policy lets go, and the removal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from sat_hook.cli.context import console, database_of, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.settings import CommandSettings

if TYPE_CHECKING:
    from sat_hook.application.retention_plan import RetentionPlan
    from sat_hook.application.retention_policy import RetentionPolicy
    from sat_hook.store.spool import LocalSpool

app = typer.Typer(help="How long data is kept: what may go, and its removal.", no_args_is_help=True)

Policy = Annotated[
    Path | None, typer.Option(help="The policy file (default: SAT_RETENTION_FILE, or the default terms)")
]


@app.command("plan")
def plan(context: typer.Context, policy: Policy = None) -> None:
    """Say what the policy lets go now, how much it is, and what must stay and why. Changes nothing."""
    from sat_hook.application.retention_plan import summary_of

    with _opened(context, "SAT_DB_DSN", policy) as retention:
        for line in summary_of(retention.plan()):
            console().print(line, markup=False)


@app.command("run")
def run(context: typer.Context, policy: Policy = None) -> None:
    """Remove what the policy lets go now (as SAT_OWNER_DSN).

    Safe to repeat. The files of an object store are removed by the DAG retention only.
    """
    from sat_hook.application.retention_plan import summary_of

    with _opened(context, "SAT_OWNER_DSN", policy) as retention:
        for line in summary_of(retention.run()):
            console().print(line, markup=False)


@contextmanager
def _opened(context: typer.Context, key: str, path: Path | None) -> Iterator[RetentionPlan]:
    from sat_hook.application.retention_plan import RetentionPlan
    from sat_hook.store.postgres import PostgresEventStore
    from sat_hook.store.retention import RetentionTables

    settings = settings_of(context)
    policy = _policy(settings, path)
    spools = _folder(settings, "SAT_SPOOL_URI"), _folder(settings, "SAT_RESULTS_URI")
    with database_of(settings, key) as database:
        now = PostgresEventStore(database).database_time()
        yield RetentionPlan(policy, RetentionTables(database), *spools, now)


def _policy(settings: CommandSettings, path: Path | None) -> RetentionPolicy:
    from sat_hook.application.errors import RetentionPolicyError
    from sat_hook.application.retention_policy import policy_in

    try:
        return policy_in(str(path) if path is not None else settings.get("SAT_RETENTION_FILE") or "")
    except RetentionPolicyError as error:
        raise CommandError(str(error)) from None


def _folder(settings: CommandSettings, key: str) -> LocalSpool:
    from sat_hook.store.spool import LocalSpool

    parts = urlsplit(settings.require(key))
    if parts.scheme not in ("", "file"):
        raise CommandError.at(
            f"setting {key}",
            f"a URI of {parts.scheme}",
            "a folder (run the DAG retention for an object store)",
        )
    return LocalSpool(Path(unquote(parts.path)))
