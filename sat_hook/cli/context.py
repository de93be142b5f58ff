"""Opens what a command needs, for as long as the command runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sat_hook.cli.errors import CommandError
from sat_hook.cli.settings import CommandSettings, find_settings, hint_at_stopped_stack

if TYPE_CHECKING:
    from rich.console import Console

    from sat_hook.cli.airflow_api import AirflowApi
    from sat_hook.store.database import Database

PLAIN_WIDTH = 10_000
"""Without a terminal, a row is one line of any length: for grep, less and files."""
BATCH_ID = re.compile(r"B[A-Z2-7]{25}")


def settings_of(context: typer.Context) -> CommandSettings:
    """Return the settings of this invocation."""
    config = context.obj
    assert config is None or isinstance(config, Path)
    return find_settings(config, os.environ, Path.cwd())


def dsn_of(settings: CommandSettings, key: str) -> str:
    """Return the DSN under ``key``.

    :raises CommandError: it is missing, or is not a DSN.
    """
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    dsn = settings.require(key)
    try:
        parse_dsn(dsn)
    except ProgrammingError:
        # libpq's own message quotes the DSN, which holds a password.
        raise CommandError.at(
            f"setting {key}", "something else", "a postgresql:// URL or libpq's key=value form"
        ) from None
    return dsn


@contextmanager
def database_of(settings: CommandSettings, key: str = "SAT_DB_DSN") -> Iterator[Database]:
    """Open the application database, with the reader's role by default.

    :raises CommandError: inside the block, when the database does not answer.
    """
    from sat_hook.store.database import Database
    from sat_hook.store.errors import StoreUnavailableError

    with closing(Database(dsn_of(settings, key), "sat cli")) as database:
        try:
            yield database
        except StoreUnavailableError as error:
            raise CommandError(hint_at_stopped_stack(settings, " ".join(str(error).split()))) from error


@contextmanager
def airflow_of(settings: CommandSettings) -> Iterator[AirflowApi]:
    """Open a session with Airflow as the configured user."""
    from sat_hook.cli.airflow_api import AirflowApi

    with closing(AirflowApi(settings)) as api:
        yield api


def console() -> Console:
    """Return standard output as a console: colours and width of a terminal, or wide plain text."""
    from rich.console import Console

    out = Console(highlight=False, soft_wrap=True)
    return out if out.is_terminal else Console(highlight=False, soft_wrap=True, width=PLAIN_WIDTH)


def batch_id_from(text: str) -> str:
    """Read a batch id as the user typed it.

    :raises CommandError: the text is not a batch id.
    """
    batch_id = text.strip().upper()
    if BATCH_ID.fullmatch(batch_id) is None:
        raise CommandError.at(
            "ID", repr(text), "a batch id: B and 25 letters or digits (see: sat batch list)"
        )
    return batch_id
