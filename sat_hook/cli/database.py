"""``sat db``: schema, roles, privileges and partitions of the application database."""

from __future__ import annotations

import typer

from sat_hook.cli.context import console, database_of, dsn_of, settings_of
from sat_hook.cli.errors import ExitCode
from sat_hook.cli.formatting import Columns, moment

app = typer.Typer(
    help="Schema, roles, privileges and partitions of the application database.", no_args_is_help=True
)

PARTITIONS = Columns("partition", ">from position", ">to position", "recorded from (WIB)", "to", ">MB", "")


@app.command("migrate")
def migrate(context: typer.Context) -> None:
    """Bring the schema to this release, then apply the privileges (as SAT_OWNER_DSN).

    Derived tables that this release fills differently are rebuilt from the log.
    Privileges come last, so that no role uses a new table before it is filled.
    """
    from sat_hook.audit.rebuild import rebuild_after_upgrade
    from sat_hook.store import migrations

    settings = settings_of(context)
    dsn = dsn_of(settings, "SAT_OWNER_DSN")
    migrations.migrate(dsn)
    out = console()
    with database_of(settings, "SAT_OWNER_DSN") as database:
        rebuilt = rebuild_after_upgrade(database)
    migrations.apply_privileges(dsn)
    out.print("[green]The schema is this release's[/], with its privileges")
    if rebuilt is not None and rebuilt.orders:
        out.print(f"The derived tables were rebuilt from the log: {rebuilt.orders} orders")


@app.command("create-roles")
def create_roles(context: typer.Context) -> None:
    """Create the roles sat_writer, sat_reader and sat_receiver, or set new passwords.

    Connects as SAT_ADMIN_DSN (a superuser or CREATEROLE; default: SAT_OWNER_DSN). The passwords are read from
    SAT_WRITER_PASSWORD, SAT_READER_PASSWORD and SAT_RECEIVER_PASSWORD. A superuser also revokes, in the
    database that SAT_OWNER_DSN names, the privileges that PostgreSQL gives every role and that no role needs.
    """
    from psycopg2.extensions import make_dsn, parse_dsn

    from sat_hook.store import migrations

    settings = settings_of(context)
    passwords = {role: settings.require(f"{role.upper()}_PASSWORD") for role in migrations.ROLES}
    key = "SAT_ADMIN_DSN" if settings.get("SAT_ADMIN_DSN") else "SAT_OWNER_DSN"
    dsn = dsn_of(settings, key)
    migrations.create_roles(dsn, passwords)
    console().print(f"[green]Roles are ready[/]: {', '.join(migrations.ROLES)}")
    # Only in this database: others, for example Airflow's own, need the privileges that are revoked here.
    name = (
        parse_dsn(dsn_of(settings, "SAT_OWNER_DSN")).get("dbname") if settings.get("SAT_OWNER_DSN") else None
    )
    if name is None or not migrations.restrict_catalog(make_dsn(dsn, dbname=name)):
        console().print(
            "[yellow]Every role keeps the functions for advisory locks and large objects that PostgreSQL "
            "gives to everybody[/]: run this once as a superuser, with SAT_OWNER_DSN naming the database."
        )


@app.command("apply-privileges")
def apply_privileges(context: typer.Context) -> None:
    """Set what each role may do (as SAT_OWNER_DSN)."""
    from sat_hook.store import migrations

    migrations.apply_privileges(dsn_of(settings_of(context), "SAT_OWNER_DSN"))
    console().print("[green]Privileges are set[/]")


@app.command("partitions")
def partitions(context: typer.Context) -> None:
    """List the log's partitions. Exit code 1 when one of them needs a person."""
    from sat_hook.store.log_partitions import LogPartitions

    out, table = console(), PARTITIONS.table()
    with database_of(settings_of(context)) as database:
        log = LogPartitions(database)
        found, troubles = log.all(), log.troubles()
    for part in found:
        positions = (part.first_position, part.last_position)
        recorded = (part.first_recorded_at, part.last_recorded_at)
        table.add(
            part.name,
            *("" if position is None else f"{position:,}" for position in positions),
            *("" if at is None else moment(at) for at in recorded),
            f"{part.size_bytes / 1e6:,.1f}",
            "new events" if part.is_current else "",
        )
    out.print(table)
    for trouble in troubles:
        out.print(trouble, style="yellow", markup=False)
    if troubles:
        raise typer.Exit(ExitCode.FOUND_TROUBLE)


@app.command("make-partitions")
def make_partitions(context: typer.Context) -> None:
    """Make the log's next two partitions, as the DAG retention does every day (as SAT_OWNER_DSN).

    In a new month, new events go to the next partition from then on. Safe to repeat.
    """
    from sat_hook.store.log_partitions import LogPartitions

    with database_of(settings_of(context), "SAT_OWNER_DSN") as database:
        made = LogPartitions(database).make_ahead()
    turned = "; a new month begins: new events go to the next one" if made.is_turned else ""
    console().print(f"[green]Partitions are ready[/]: {made.made} made{turned}")
