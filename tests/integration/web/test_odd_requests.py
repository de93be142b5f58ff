"""Whatever is written into an address of the console, the answer is a page, and no text becomes markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.web.app import create_app
from stack.databases import ApplicationDatabase
from tests.integration.web.test_who_did_what import ORDER, UnaskedSAT, fill
from tests.orders import ACCOUNT, BATCH
from tests.web_host import FakeAccounts, FakeHost, FakeUser

ODD = ("", "a\0b", "2026-02-31", "9999-12-31", "9" * 20, "\u0663", '"><script>alert(1)</script>')
PLACES = {"batch_id": BATCH, "request_id": ORDER[2], "account": "x"}
OTHER_PLACES = {"code": "c", "dag_id": "d", "run_id": "r", "step": "s"}


def _queries(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for part in dependant.dependencies:
        yield from _queries(part)


def _pages(app: FastAPI) -> list[tuple[str, list[str]]]:
    """The address of each page that only reads, and what its query may name."""
    return [
        (
            route.path.replace(":path", "").format(**PLACES, **OTHER_PLACES),
            sorted(set(_queries(route.dependant))),
        )
        for route in app.routes
        if isinstance(route, APIRoute) and "GET" in route.methods and "{draft_id}" not in route.path
        if route.path.startswith("/console")
    ]


@pytest.fixture
def app(database: ApplicationDatabase, tmp_path: Path) -> Iterator[FastAPI]:
    """The app with something of everything."""
    store = PostgresEventStore(Database(database.writer_dsn))
    host = FakeHost(FakeUser("rosa"), store=store, folder=tmp_path)
    host.accounts = FakeAccounts({"x": ACCOUNT}, {"x": UnaskedSAT()})
    fill(store, tmp_path)
    yield create_app(host)
    store.database.close()


async def test_an_odd_address_is_answered(app: FastAPI) -> None:
    """A day that does not exist, a NUL, a number too large: refused, never an error of the server."""
    headers = {"sec-fetch-site": "same-origin"}
    pages, asked = _pages(app), 0
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", cookies={"_token": "rosa"}, headers=headers
    ) as client:
        for path, names in pages:
            for name in names:
                for text in ODD:
                    answer = await client.get(path, params={name: text})
                    assert answer.status_code < 500, (path, name, text)
                    assert "<script>alert" not in answer.text, (path, name)
                    asked += 1
    assert len(pages) > 15
    assert asked > 100
