"""The web application under plain uvicorn at ``/sat``, as Airflow mounts it, with users by cookie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.web.app import create_app
from stack.databases import ApplicationDatabase
from tests.loopback import running
from tests.orders import ACCOUNT
from tests.web_host import FakeAccounts, FakeHost, FakeUser

COOKIE = "_token"


@contextmanager
def console_server(host: FakeHost) -> Iterator[str]:
    """The address of a server on loopback; a user's cookie is the user's name."""
    outer = FastAPI(openapi_url=None)
    outer.mount("/sat", create_app(host))
    with running(uvicorn.Server(uvicorn.Config(outer, port=0, log_level="warning"))) as url:
        yield f"{url}/sat"


@contextmanager
def api_settings(database: ApplicationDatabase, folder: Path, **accounts: str) -> Iterator[dict[str, str]]:
    """Settings of the command that lead to the API of a database; there is none for the database itself.

    The user, ``ops``, may do everything.

    :param accounts: names in the log, by connection.
    """
    with closing(Database(database.writer_dsn, "tests")) as opened:
        host = FakeHost(FakeUser("ops"), store=PostgresEventStore(opened), folder=folder)
        host.accounts = FakeAccounts(accounts or {"sat_default": ACCOUNT})
        with console_server(host) as url:
            yield {"SAT_AIRFLOW_URL": url.removesuffix("/sat"), "SAT_AIRFLOW_TOKEN": "ops"}
