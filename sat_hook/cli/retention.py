"""``sat retention``: what the retention policy lets go, its removal, and archived months of the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from sat_hook.cli.context import console, database_of, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.formatting import Columns
from sat_hook.cli.settings import CommandSettings

if TYPE_CHECKING:
    from sat_hook.application.log_archive import LogArchive
    from sat_hook.application.retention_policy import RetentionPolicy
    from sat_hook.store.database import Database
    from sat_hook.store.spool import LocalSpool

app = typer.Typer(
    help="How long data is kept: what may go, its removal, archives of the log.", no_args_is_help=True
)

ARCHIVES = Columns("partition", ">from position", ">to position", ">events", ">moved", ">MB", "file")
Policy = Annotated[
    Path | None, typer.Option(help="The policy file (default: SAT_RETENTION_FILE, or the default terms)")
]


@app.command("plan")
def plan(context: typer.Context, policy: Policy = None) -> None:
    """Say what the policy lets go now, how much it is, and what must stay and why. Changes nothing."""
    _retain(context, "SAT_DB_DSN", policy, is_run=False)


@app.command("run")
def run(context: typer.Context, policy: Policy = None) -> None:
    """Archive and remove what the policy lets go now (as SAT_OWNER_DSN).

    Safe to repeat. The files of an object store are removed by the DAG retention only.
    """
    _retain(context, "SAT_OWNER_DSN", policy, is_run=True)


@app.command("restore")
def restore(
    context: typer.Context,
    partition: Annotated[str, typer.Argument(help="An archived partition, for example events_0003")],
) -> None:
    """Put the events of an archived partition back into the database, and verify them (as SAT_OWNER_DSN)."""
    settings = settings_of(context)
    with database_of(settings, "SAT_OWNER_DSN") as database, _in_words():
        restored = _archive(settings, database).restore(partition)
    console().print(f"[green]Restored[/] {restored.partition} from the file with digest {restored.digest}")


@app.command("archives")
def archives(context: typer.Context) -> None:
    """List the archived partitions: positions, events and file."""
    from sat_hook.store.log_archives import LogArchives

    table = ARCHIVES.table()
    with database_of(settings_of(context)) as database:
        for one in LogArchives(database).in_effect():
            positions = (f"{one.first_position:,}", f"{one.last_position:,}")
            counts = (f"{one.events:,}", f"{one.moved_events:,}", f"{one.size_bytes / 1e6:,.1f}")
            table.add(one.partition, *positions, *counts, one.uri)
    console().print(table)


def _retain(context: typer.Context, key: str, path: Path | None, *, is_run: bool) -> None:
    from sat_hook.application.retention_plan import RetentionPlan, summary_of
    from sat_hook.application.retention_policy import Kind
    from sat_hook.store.postgres import PostgresEventStore
    from sat_hook.store.retention import RetentionTables

    settings = settings_of(context)
    policy = _policy(settings, path)
    spools = _folder(settings, "SAT_SPOOL_URI"), _folder(settings, "SAT_RESULTS_URI")
    with database_of(settings, key) as database, _in_words():
        now = PostgresEventStore(database).database_time()
        has_archive = policy.days_of(Kind.EVENTS) is not None
        archive = _archive(settings, database) if has_archive else None
        retention = RetentionPlan(policy, RetentionTables(database), *spools, now, archive)
        for line in summary_of(retention.run() if is_run else retention.plan()):
            console().print(line, markup=False)


def _archive(settings: CommandSettings, database: Database) -> LogArchive:
    from sat_hook.application.log_archive import LogArchive
    from sat_hook.cli.log import audit_keys, published_at
    from sat_hook.clients.clock import SystemClock
    from sat_hook.store.clock import StoreClock
    from sat_hook.store.postgres import PostgresEventStore

    published = published_at(settings.get("SAT_CHECKPOINTS_URI") or "")
    clock = StoreClock(PostgresEventStore(database), SystemClock())
    spool = _folder(settings, "SAT_ARCHIVE_URI")
    return LogArchive(database, spool, audit_keys(settings, []), published, clock)


@contextmanager
def _in_words() -> Iterator[None]:
    from sat_hook.domain.errors import StepError

    try:
        yield
    except StepError as error:
        raise CommandError(str(error)) from error


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
