"""Creates the databases of a PostgreSQL server: one for the application, one for Airflow's metadata.

The role ``sat_owner`` owns the application's database. The roles of the running parts (``sat_writer``,
``sat_reader``, ``sat_receiver``) get their privileges from the migrations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

APPLICATION_OWNER = "sat_owner"
APPLICATION_ROLES = ("sat_writer", "sat_reader", "sat_receiver")


@dataclass(frozen=True, slots=True, repr=False)
class ApplicationDatabase:
    """One database with the application's schema, and a libpq URL for each role (they hold passwords)."""

    name: str
    superuser_dsn: str
    owner_dsn: str
    writer_dsn: str
    reader_dsn: str
    receiver_dsn: str

    def __repr__(self) -> str:
        return f"ApplicationDatabase(name={self.name!r})"

    @classmethod
    def named(cls, name: str, superuser_dsn: str, passwords: Mapping[str, str]) -> ApplicationDatabase:
        """The URLs of a database, which need not exist.

        :param superuser_dsn: URL or key/value string of any database of the server.
        :param passwords: one for ``sat_owner`` and for each of :data:`APPLICATION_ROLES`.
        """

        def of(role: str) -> str:
            return dsn_of(superuser_dsn, database=name, user=role, password=passwords[role])

        return cls(
            name=name,
            superuser_dsn=dsn_of(superuser_dsn, database=name),
            owner_dsn=of(APPLICATION_OWNER),
            writer_dsn=of("sat_writer"),
            reader_dsn=of("sat_reader"),
            receiver_dsn=of("sat_receiver"),
        )


def prepare_application(name: str, superuser_dsn: str, passwords: Mapping[str, str]) -> ApplicationDatabase:
    """Create or update roles, database and schema; safe to repeat.

    :raises psycopg2.Error: the server refused.
    """
    # Imported here, so that orchestration alone does not load the store.
    from sat_hook.audit.rebuild import rebuild_after_upgrade
    from sat_hook.store import migrations
    from sat_hook.store.database import Database

    application = ApplicationDatabase.named(name, superuser_dsn, passwords)
    ensure_role(superuser_dsn, APPLICATION_OWNER, passwords[APPLICATION_OWNER])
    migrations.create_roles(superuser_dsn, {role: passwords[role] for role in APPLICATION_ROLES})
    ensure_database(superuser_dsn, name, owner=APPLICATION_OWNER)
    migrations.restrict_catalog(application.superuser_dsn)
    migrations.migrate(application.owner_dsn)
    with closing(Database(application.owner_dsn, "stack")) as database:
        rebuild_after_upgrade(database)
    migrations.apply_privileges(application.owner_dsn)
    return application


def ensure_role(superuser_dsn: str, role: str, password: str) -> None:
    """Create or update a role that may log in with this password and has no other privilege."""
    with administration(superuser_dsn) as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        verb = "ALTER" if cursor.fetchone() else "CREATE"
        cursor.execute(
            sql.SQL(f"{verb} ROLE {{}} LOGIN PASSWORD {{}}").format(
                sql.Identifier(role), sql.Literal(password)
            )
        )


def ensure_database(superuser_dsn: str, name: str, *, owner: str) -> None:
    """Create a database that only its owner and the granted roles may connect to."""
    with administration(superuser_dsn) as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone() is None:
            cursor.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
            )


def clone_database(superuser_dsn: str, template: str, name: str, *, owner: str) -> None:
    """Copy a database without open connections; takes tens of milliseconds for a small one."""
    with administration(superuser_dsn) as cursor:
        cursor.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(owner)
            )
        )


def drop_database(superuser_dsn: str, name: str) -> None:
    """Remove a database and end its sessions; does nothing if it does not exist."""
    with administration(superuser_dsn) as cursor:
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def administration(superuser_dsn: str) -> Iterator[Any]:
    """A cursor for statements that cannot run inside a transaction (CREATE DATABASE …)."""
    with closing(psycopg2.connect(superuser_dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def dsn_of(dsn: str, *, database: str, user: str | None = None, password: str | None = None) -> str:
    """The server of ``dsn`` as a URL for another database and, if given, another role."""
    parts = parse_dsn(dsn)
    role = user or parts.get("user", "postgres")
    secret = parts.get("password", "") if user is None else password or ""
    credentials = quote(role, safe="") + (f":{quote(secret, safe='')}" if secret else "")
    address = f"{parts.get('host', '127.0.0.1')}:{parts.get('port', '5432')}"
    return (
        f"postgresql://{credentials}@{address}/{quote(database, safe='')}"
        f"?sslmode={parts.get('sslmode', 'prefer')}"
    )
