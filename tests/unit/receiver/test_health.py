"""Health is asked of the database now and then, however many ask; figures are for neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from sat_hook.protocol.signing import Verifier
from sat_hook.receiver.app import create_app
from sat_hook.receiver.errors import ReceiverSettingsError
from sat_hook.receiver.health import REMEMBERED_SECONDS
from sat_hook.receiver.inbox import Inbox
from sat_hook.receiver.settings import ReceiverSettings
from tests.keys import sat_pair

_, PUBLIC_PEM = sat_pair()


class Asked:
    """A database that answers when it is there, and counts."""

    def __init__(self) -> None:
        self.times = 0
        self.is_there = True
        self.seconds = 0.0

    def is_reachable(self, inbox: Inbox) -> bool:
        """Stands where the inbox asks."""
        self.times += 1
        return self.is_there


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Behind every inbox of the test."""
    asked = Asked()
    monkeypatch.setattr(Inbox, "is_reachable", lambda inbox: asked.is_reachable(inbox))
    return asked


def health(
    database: Asked, client: str = "127.0.0.1", source: Callable[[], ReceiverSettings] | None = None
) -> Callable[..., list[httpx.Response]]:
    """Ask so many times at once, as ``client``."""
    settings = ReceiverSettings("postgresql://r@127.0.0.1:1/x", {"demo": Verifier([PUBLIC_PEM])})
    app = create_app(source or (lambda: settings), with_health=True, monotonic=lambda: database.seconds)

    def ask(times: int = 1, **headers: str) -> list[httpx.Response]:
        async def all_at_once() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app, client=(client, 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client_:
                return await asyncio.gather(*(client_.get("/health", headers=headers) for _ in range(times)))

        return asyncio.run(all_at_once())

    return ask


def test_a_flood_of_questions_is_one_question(database: Asked) -> None:
    """Otherwise a client could keep the database, and every thread, busy."""
    ask = health(database)
    assert {reply.status_code for reply in ask(20)} == {200}
    assert database.times == 1
    database.is_there = False
    assert ask()[0].status_code == 200
    database.seconds += REMEMBERED_SECONDS
    assert {reply.status_code for reply in ask(20)} == {503}
    assert database.times == 2


@pytest.mark.parametrize(
    ("client", "headers", "sees"),
    [
        ("127.0.0.1", {}, True),
        ("10.1.2.3", {}, True),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.1"}, False),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.1"}, False),
        ("8.8.8.8", {}, False),
        ("not an address", {}, False),
    ],
)
def test_how_much_comes_is_told_to_neighbours_alone(
    database: Asked, client: str, headers: dict[str, str], sees: bool
) -> None:
    """The number of callbacks is the number of orders."""
    [reply] = health(database, client)(**headers)
    assert reply.json()["status"] == "ok"
    assert ("kept" in reply.json()) is sees


def test_without_settings_it_is_unavailable(database: Asked) -> None:
    """And says no more than that."""

    def source() -> ReceiverSettings:
        raise ReceiverSettingsError("receiver.json: accounts: found nothing")

    [reply] = health(database, source=source)()
    assert (reply.status_code, reply.json()) == (503, {"status": "unavailable"})
