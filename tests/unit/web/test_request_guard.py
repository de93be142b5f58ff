"""What the guard before the routes refuses: requests of another site, without a user, with a huge body."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount, Route

from sat_hook.web.app import create_app
from sat_hook.web.request_guard import MAXIMUM_JSON_BYTES, RequestGuard, guard_requests
from tests.web_host import FakeHost, FakeUser

OWN = "http://airflow.test:8080"
COOKIE = {"cookie": "_token=ops"}
FOREIGN = (
    {"origin": "https://evil.test"},
    {"origin": "null"},
    {"origin": "http://airflow.test"},
    {"origin": "http://airflow.test:8081"},
    {"origin": "http://airflow.test:8080.evil.test"},
    {"origin": "http://evil.test@"},
    {"origin": ""},
    {"origin": "http://[::1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": OWN},
)


@pytest.fixture
def app() -> FastAPI:
    """The whole app, with one user."""
    return create_app(FakeHost(FakeUser("ops")))


def _requests(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, re.sub(r"\{[^}]*\}", "x", route.path))
        for route in app.router.routes
        if isinstance(route, Route) or hasattr(route, "methods")
        for method in route.methods or ()  # type: ignore[attr-defined]
    ]


def _client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=OWN)


async def test_every_route_refuses_another_site(app: FastAPI) -> None:
    """A foreign page sends the cookie with text/plain: 403 on each route, whatever its method."""
    requests = _requests(app)
    assert len(requests) > 10
    async with _client(app) as client:
        for method, path in requests:
            for headers in FOREIGN:
                sent = {**COOKIE, **headers, "content-type": "text/plain"}
                reply = await client.request(method, path, headers=sent, content=b'{"reason":"pay me"}')
                assert (reply.status_code, "cross-site" in reply.text) == (403, True), (method, path, headers)


async def test_every_route_wants_a_user_before_the_body(app: FastAPI) -> None:
    """Without a user not one byte of the body is asked for."""

    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async with _client(app) as client:
        for method, path in _requests(app):
            sent = {"content-type": "application/json"}
            reply = await client.request(method, path, headers=sent, content=body())
            login = reply.headers.get("location", "").startswith("/api/v2/auth/login?")
            assert reply.status_code == 401 or (login and path.startswith("/console")), (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer ops"},
        {**COOKIE, "origin": OWN},
        {**COOKIE, "origin": "HTTP://AIRFLOW.test:8080"},
        {**COOKIE, "sec-fetch-site": "same-origin"},
        {**COOKIE, "sec-fetch-site": "none", "origin": OWN},
    ],
)
async def test_a_person_gets_through(headers: dict[str, str]) -> None:
    """A token, or the cookie with a page of this server, changes things."""
    async with _client(_small()) as client:
        reply = await client.post("/act", headers=headers, json={"reason": "r"})
        assert reply.status_code == 200, reply.text


async def test_a_cookie_alone_changes_nothing() -> None:
    """A change by cookie says where it comes from; looking needs no such word."""
    async with _client(_small()) as client:
        assert (await client.post("/act", headers=COOKIE, json={"reason": "r"})).status_code == 403
        assert (await client.get("/look", headers=COOKIE)).status_code == 200


async def test_a_link_from_elsewhere_may_be_followed() -> None:
    """A click on a link in a chat shows the page; a frame or a script of another site gets nothing."""
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    async with _client(_small()) as client:
        assert (await client.get("/look", headers={**COOKIE, **link})).status_code == 200
        assert (await client.post("/act", headers={**COOKIE, **link}, json={})).status_code == 403
        framed = {**link, "sec-fetch-dest": "iframe"}
        assert (await client.get("/look", headers={**COOKIE, **framed})).status_code == 403


async def test_the_address_that_people_use_is_our_own() -> None:
    """Behind a proxy that renames the host, pages come from the host's base URL."""
    async with _client(_small("https://pay.example.test/airflow")) as client:
        for origin, status in (("https://pay.example.test", 200), ("https://pay.example.test:444", 403)):
            sent = {**COOKIE, "origin": origin}
            assert (await client.post("/act", headers=sent, json={"reason": "r"})).status_code == status


@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_body_is_limited(is_declared: bool) -> None:
    """Too much JSON is refused: at once where its length is declared, else at the byte that is too many."""
    parts = [b'{"reason":"', *[b"x" * 65_536] * 1_000, b'"}']
    given: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            given.append(len(part))
            yield part

    headers = {"authorization": "Bearer ops", "content-type": "application/json"}
    if is_declared:
        headers["content-length"] = str(sum(map(len, parts)))
    async with _client(_small()) as client:
        reply = await client.post("/act", headers=headers, content=body())
    assert (reply.status_code, f"{MAXIMUM_JSON_BYTES:,}" in reply.text) == (413, True)
    assert sum(given) <= (0 if is_declared else MAXIMUM_JSON_BYTES + 65_536)


async def test_no_browser_keeps_an_answer() -> None:
    """The next user of a shared computer, and a proxy, find no page of another user."""
    async with _client(_small()) as client:
        for reply in (
            await client.get("/look", headers=COOKIE),
            await client.post("/act", headers={"authorization": "Bearer ops"}, json={"reason": "r"}),
            await client.post("/act", headers={"authorization": "Bearer ops"}, json=1),
        ):
            assert reply.headers["cache-control"] == "no-store", reply.status_code


async def test_what_is_mounted_is_not_guarded() -> None:
    """SAT's callbacks come without cookie and token, and with whatever headers SAT likes."""
    reached: list[str] = []

    async def receiver(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        reached.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    app = _small()
    app.router.routes.append(Mount("", app=receiver))
    async with _client(app) as client:
        reply = await client.post("/callbacks/demo", headers={"origin": "https://sat.test"}, content=b"{}")
        assert (reply.status_code, reached) == (204, ["/callbacks/demo"])
        assert (await client.post("/act", headers={"origin": "https://sat.test"})).status_code == 403


def test_the_app_guards_all_its_routes(app: FastAPI) -> None:
    """The guard stands before the app's own routes. It leaves open the console's scripts and styles."""
    guard = app.router.middleware_stack
    assert isinstance(guard, RequestGuard)
    assert [route.path for route in app.router.routes if isinstance(route, Mount)] == ["/console/static"]


def _small(base_url: str = "") -> FastAPI:
    app = FastAPI()
    guard_requests(app, FakeHost(FakeUser("ops"), base_url=base_url))

    @app.post("/act")
    def act(body: dict[str, str]) -> dict[str, str]:
        return body

    @app.get("/look")
    def look() -> str:
        return "seen"

    return app
