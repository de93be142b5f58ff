"""Whatever is written into an address or a body, it is answered, and no text becomes markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.web.app import create_app
from stack.databases import ApplicationDatabase
from tests.fuzzing import some
from tests.integration.web.test_who_did_what import ANY_BODY, ORDER, PARTS, UnaskedSAT, fill
from tests.orders import ACCOUNT, BATCH
from tests.web_host import FakeAccounts, FakeHost, FakeUser

ODD = ("", "a\0b", "2026-02-31", "9999-12-31", "9" * 20, "\u0663")
MARKUP = '"><script>alert(1)</script>'
PLACES = {"batch_id": BATCH, "request_id": ORDER[2], "account": "x"}
WORDS = {"decision": "release", "change": "pause", "signature": "prepare"}


def _queries(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for part in dependant.dependencies:
        yield from _queries(part)


def _filled(path: str) -> str:
    """A path with something in each place."""
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda place: {**PARTS, **PLACES, **WORDS}.get(place[1], "x"), path)


def _pages(app: FastAPI) -> list[tuple[str, list[str]]]:
    """The address of each page that only reads, and what its query may name."""
    return [
        (
            _filled(route.path),
            sorted(set(_queries(route.dependant))),
        )
        for route in app.routes
        if isinstance(route, APIRoute) and "GET" in route.methods and "{draft_id}" not in route.path
        if route.path.startswith("/console")
    ]


@pytest.fixture(scope="module")
def app(module_database: ApplicationDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The app with something of everything."""
    store, folder = PostgresEventStore(Database(module_database.writer_dsn)), tmp_path_factory.mktemp("app")
    host = FakeHost(FakeUser("rosa"), store=store, folder=folder)
    host.accounts = FakeAccounts({"x": ACCOUNT}, {"x": UnaskedSAT()})
    fill(store, folder)
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
                for text in (MARKUP, *some(ODD, 3, asked // 4)):
                    answer = await client.get(path, params={name: text})
                    assert answer.status_code < 500, (path, name, text)
                    assert "<script>alert" not in answer.text, (path, name)
                    asked += 1
    assert len(pages) > 15
    assert asked > 100


ANY_QUERY = {"account": "sat_default", "reference": "INV-1"}
TEXTS = ("a\0b", "\ud800", "\u202e", "9" * 400, "x" * 20_000, " ", "\N{PILE OF POO}" * 3, "{{7*7}}", "%s%n")
BODIES = (
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"NaN",
    b"{",
    b"\xff\xfe{\x00}\x00",
    b'{"reason": "as agreed", "reason": NaN}',
    b"[" * 50_000,
    b'{"reason": ' + b'{"a": ' * 10_000,
    b'{"reason": 1e400, "version": 1e400, "amount_rupiah": 1e400}',
    b'{"reason": "' + b"x" * 600_000 + b'"}',
)
SHORT_BODIES = [body for body in BODIES if len(body) < 100]
OTHER_MEDIA_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "")


def _posts(app: FastAPI) -> list[str]:
    """The address of each route of the API by which something is sent."""
    # No account has a connection: SAT is not asked.
    app.state.host.accounts = FakeAccounts({"x": ACCOUNT})
    return sorted(
        _filled(route.path)
        for route in app.routes
        if isinstance(route, APIRoute) and "POST" in route.methods and route.path.startswith("/v1")
    )


async def test_an_odd_body_is_answered(app: FastAPI) -> None:
    """No JSON, JSON of another shape, far too deep or long, of another media type: refused with a reason."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"authorization": "Bearer rosa"}
    ) as client:
        for turn, path in enumerate(_posts(app)):
            sent = [(body, "application/json") for body in some(BODIES, 6, turn)]
            sent += product(some(SHORT_BODIES, 1, turn), OTHER_MEDIA_TYPES)
            for body, media_type in sent:
                answer = await client.post(
                    path, content=body, params=ANY_QUERY, headers={"content-type": media_type}
                )
                assert answer.status_code < 500, (path, body[:50], media_type, answer.text)


async def test_an_odd_text_is_answered(app: FastAPI) -> None:
    """In each member of a body: a NUL, half a character, something far too long."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"authorization": "Bearer rosa"}
    ) as client:
        for turn, path in enumerate(_posts(app)):
            for text in some(TEXTS, 4, turn):
                odd = {name: text if isinstance(value, str) else value for name, value in ANY_BODY.items()}
                one_odd = {**ANY_BODY, "reason": text}
                for body in (odd, one_odd):
                    answer = await client.post(
                        path,
                        content=json.dumps(body),
                        params=ANY_QUERY,
                        headers={"content-type": "application/json"},
                    )
                    assert answer.status_code < 500, (path, text[:50], answer.text)
