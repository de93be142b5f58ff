"""Migrates a database to this release's schema and sets the privileges of its roles.

Migrations are plain SQL in ``sql/migrations``. dbmate applies each in its own transaction.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

from sat_hook.shipped import shipped
from sat_hook.store.errors import MigrationError

ROLES = ("sat_writer", "sat_reader", "sat_receiver")
MIGRATION_TIMEOUT_SECONDS = 300
# For sessions that set nothing themselves, like psql: the server ends a session whose client is gone and
# releases its locks. Values that an administrator has set for a role stay.
ROLE_SETTINGS = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
}


def migrate(dsn: str) -> None:
    """Apply all pending migrations as the owner in ``dsn``.

    :raises MigrationError: with dbmate's message, without the password.
    """
    environment = {**os.environ, "DATABASE_URL": _as_url(dsn)}
    command = [
        _dbmate(),
        "--migrations-dir",
        str(shipped("sql") / "migrations"),
        "--migrations-table",
        "schema_migrations",
        "--no-dump-schema",
        "--env-file",
        os.devnull,
        "migrate",
    ]
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=MIGRATION_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        secret = parse_dsn(dsn).get("password") or "\0"
        words = (done.stderr or done.stdout).replace(secret, "***").replace(quote(secret, safe=""), "***")
        raise MigrationError(f"dbmate ended with {done.returncode}: {words.strip()}")


def create_roles(dsn: str, passwords: Mapping[str, str]) -> None:
    """Create the roles writer, reader and receiver, or reset their passwords, as a superuser or CREATEROLE.

    :raises ValueError: when ``passwords`` does not name exactly these roles.
    """
    if set(passwords) != set(ROLES):
        raise ValueError(f"expected passwords for {', '.join(ROLES)}; found {', '.join(sorted(passwords))}")
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        for role in ROLES:
            name = sql.Identifier(role)
            cursor.execute("SELECT rolconfig FROM pg_roles WHERE rolname = %s", (role,))
            found = cursor.fetchone()
            verb = "ALTER" if found else "CREATE"
            statement = sql.SQL(verb + " ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
            cursor.execute(statement.format(name, sql.Literal(passwords[role])))
            said = {entry.partition("=")[0] for entry in (found and found[0]) or ()}
            for setting, value in ROLE_SETTINGS.items():
                if setting not in said:
                    statement = sql.SQL("ALTER ROLE {} SET {} = {}")
                    cursor.execute(statement.format(name, sql.Identifier(setting), sql.Literal(value)))
    connection.close()


def restrict_catalog(dsn: str) -> bool:
    """Revoke default PUBLIC privileges that no role here needs (``sql/catalog_privileges.sql``).

    :param dsn: the application's database, with its roles. Returns False unless its user is a superuser.
    """
    text = (shipped("sql") / "catalog_privileges.sql").read_text("utf-8")
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(text)
    return True


def apply_privileges(dsn: str) -> None:
    """Set the privileges of each role in this database, as its owner (``sql/privileges.sql``)."""
    text = (shipped("sql") / "privileges.sql").read_text("utf-8")
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(text)
    connection.close()


def _dbmate() -> str:
    scripts = Path(sysconfig.get_path("scripts")) / "dbmate"
    if scripts.exists():
        return str(scripts)
    return "dbmate"


def _as_url(dsn: str) -> str:
    """Convert the DSN to a URL, the only form that dbmate accepts. libpq parses either form."""
    parts = parse_dsn(dsn)
    user = quote(parts.pop("user", ""), safe="")
    password = quote(parts.pop("password", ""), safe="")
    host = parts.pop("host", "localhost")
    port = parts.pop("port", "5432")
    name = quote(parts.pop("dbname", ""), safe="")
    # Loopback servers of the local stack have no certificate; elsewhere libpq's default applies.
    if host in ("localhost", "127.0.0.1", "::1"):
        parts.setdefault("sslmode", "disable")
    options = dict(parse_qsl(urlencode(parts)))
    options.pop("application_name", None)
    host = f"[{host}]" if ":" in host else host
    query = f"?{urlencode(options)}" if options else ""
    return f"postgres://{user}:{password}@{host}:{port}/{name}{query}"
