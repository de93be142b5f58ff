"""The jobs that prepare the databases, on a PostgreSQL of their own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from stack.databases import dsn_of
from stack.postgres import EmbeddedPostgres, wheel_installation
from tests.deployment.composition import CHECKOUT

ROLES = ("sat_writer", "sat_reader", "sat_receiver")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A superuser's DSN. Roles belong to a server, and these tests change their passwords."""
    # Where PostgreSQL runs as another user, pytest's own folder cannot be entered by it.
    folder = tmp_path_factory.mktemp("deployment")
    embedded = EmbeddedPostgres(folder / "postgres", secrets.token_urlsafe(12), durable=False)
    embedded.start()
    yield embedded.dsn()
    embedded.stop("immediate")


def run_jobs(superuser_dsn: str, environment: dict[str, str]) -> None:
    """The jobs `databases` and `sat-schema`, as compose orders them."""
    parts = parse_dsn(superuser_dsn)
    binaries = wheel_installation() / "bin"
    given = {
        "PATH": f"{binaries}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "PGHOST": parts["host"],
        "PGPORT": parts["port"],
        "PGUSER": parts["user"],
        "PGPASSWORD": parts["password"],
        **{name: value for name, value in environment.items() if name.endswith("_PASSWORD")},
        "SAT_ADMIN_DSN": dsn_of(superuser_dsn, database="postgres"),
        "SAT_OWNER_DSN": dsn_of(
            superuser_dsn, database="sat", user="sat_owner", password=environment["SAT_OWNER_PASSWORD"]
        ),
    }
    for command in (
        ["sh", str(CHECKOUT / "docker" / "prepare-databases.sh")],
        ["sh", "-c", "sat db create-roles && sat db migrate"],
    ):
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr


def test_the_jobs_make_databases_roles_and_schema_and_change_passwords(
    server: str, environment: dict[str, str]
) -> None:
    """From nothing, again without a change, and again with a new password for every role."""
    run_jobs(server, environment)
    run_jobs(server, environment)
    renewed = environment | {
        name: secrets.token_urlsafe(12)
        for name in environment
        if name.endswith("_PASSWORD") and not name.startswith("POSTGRES")
    }
    run_jobs(server, renewed)
    for role in ROLES:
        password = renewed[f"{role.upper()}_PASSWORD"]
        with psycopg2.connect(dsn_of(server, database="sat", user=role, password=password)) as connection:
            assert connection.server_version > 160000
        connection.close()


def test_the_pipelines_roles_cannot_enter_airflows_database(server: str, environment: dict[str, str]) -> None:
    """Metadata are Airflow's own."""
    run_jobs(server, environment)
    dsn = dsn_of(server, database="airflow", user="sat_writer", password=environment["SAT_WRITER_PASSWORD"])
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        psycopg2.connect(dsn)
    own = dsn_of(server, database="airflow", user="airflow", password=environment["AIRFLOW_DB_PASSWORD"])
    psycopg2.connect(own).close()
