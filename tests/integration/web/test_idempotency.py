"""A POST with an Idempotency-Key is done once, however often it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sat_hook.application.errors import RightsFileError
from sat_hook.application.rights import Right
from sat_hook.commands.handler import standing_of
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.web.app import create_app
from stack.databases import ApplicationDatabase
from tests.integration.web.test_who_did_what import ORDER, REASON, fill
from tests.orders import ACCOUNT, BATCH
from tests.sql import execute
from tests.web_host import FakeAccounts, FakeHost, FakeUser

TOP_UP = {**REASON, "amount_rupiah": 1_000, "reference": "bank 1", "credited_at": "2026-11-01T08:00:00+07:00"}
TOP_UPS = "/v1/books/x/top-ups"
PAUSE, RESUME = "/v1/accounts/x/pause", "/v1/accounts/x/resume"


@pytest.fixture
def host(database: ApplicationDatabase, tmp_path: Path) -> Iterator[FakeHost]:
    """A log with something to decide on."""
    store = PostgresEventStore(Database(database.writer_dsn))
    users = (FakeUser("rosa"), FakeUser("carl"), FakeUser("vera", frozenset({Right.VIEW})))
    host = FakeHost(*users, store=store, folder=tmp_path)
    host.accounts = FakeAccounts({"x": ACCOUNT})
    fill(store, tmp_path)
    yield host
    store.database.close()


@pytest.fixture
async def client(host: FakeHost) -> AsyncIterator[httpx.AsyncClient]:
    """Requests as rosa, unless another is named."""
    transport = httpx.ASGITransport(create_app(host), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def post(
    client: httpx.AsyncClient, path: str, document: Any, key: str | None = "key-1", user: str = "rosa"
) -> httpx.Response:
    """A request with a key."""
    headers = {"authorization": f"Bearer {user}"} | ({} if key is None else {"idempotency-key": key})
    return await client.post(path, json=document, headers=headers)


def kept(database: ApplicationDatabase) -> list[tuple[Any, ...]]:
    """What is remembered: whose, under which key, with which status and answer."""
    kept = "SELECT person, key, status, response FROM sat.idempotency_keys ORDER BY 1, 2"
    return execute(database.writer_dsn, kept)


def age(database: ApplicationDatabase, interval: str) -> None:
    """Let time pass."""
    earlier = "UPDATE sat.idempotency_keys SET claimed_at = claimed_at - %s::interval"
    execute(database.writer_dsn, earlier, (interval,))


async def test_the_first_answer_is_given_again(client: httpx.AsyncClient) -> None:
    """Status, media type and body; the act is done once, and without a key as often as it is sent."""
    first = await post(client, TOP_UPS, TOP_UP)
    again = await post(client, TOP_UPS, TOP_UP)
    assert (first.status_code, first.json()["is_new"]) == (200, True)
    assert (again.status_code, again.content, again.headers["content-type"]) == (
        200, first.content, first.headers["content-type"],
    )  # fmt: skip
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (await post(client, TOP_UPS, TOP_UP, key=None)).json()["is_new"] is False
    assert (await post(client, TOP_UPS, TOP_UP, key="key-2")).json()["is_new"] is False


async def test_a_repeated_act_does_not_undo_a_later_one(client: httpx.AsyncClient, host: FakeHost) -> None:
    """A pause that is sent again after a resume pauses nothing."""
    assert (await post(client, PAUSE, REASON)).json()["is_paused"] is True
    assert (await post(client, RESUME, REASON, key="key-2")).json()["is_paused"] is False
    assert (await post(client, PAUSE, REASON)).headers["idempotent-replayed"] == "true"
    assert standing_of(host.store(), ACCOUNT).is_paused is False


@pytest.mark.parametrize(
    ("path", "document"),
    [(TOP_UPS, {**TOP_UP, "amount_rupiah": 2_000}), (PAUSE, TOP_UP), (f"{TOP_UPS}?a=1", TOP_UP)],
)
async def test_a_key_is_of_one_request(client: httpx.AsyncClient, path: str, document: Any) -> None:
    """Another body, route or query with the same key is refused; another user has keys of their own."""
    await post(client, TOP_UPS, TOP_UP)
    reply = await post(client, path, document)
    assert (reply.status_code, reply.json()["type"]) == (422, "idempotency_key_reused")
    own = await post(client, TOP_UPS, {**TOP_UP, "reference": "bank 2"}, user="carl")
    assert (own.status_code, own.json()["is_new"]) == (200, True)


async def test_a_kept_answer_is_for_the_rights_of_then(client: httpx.AsyncClient, host: FakeHost) -> None:
    """A user who has lost a right, or all of them with a broken file, is not given an old answer."""
    await post(client, TOP_UPS, TOP_UP)
    host.users["rosa"] = FakeUser("rosa", frozenset({Right.VIEW}))
    reply = await post(client, TOP_UPS, TOP_UP)
    assert (reply.status_code, reply.json()["type"]) == (422, "idempotency_key_reused")

    def broken(user: Any) -> Any:
        raise RightsFileError("the file cannot be read")

    host.rights_of = broken  # type: ignore[method-assign]
    reply = await post(client, TOP_UPS, TOP_UP)
    assert (reply.status_code, reply.json()["type"]) == (403, "rights_unusable")


@pytest.mark.parametrize("key", ["", "k" * 256, "a b", "kéy".encode().decode("latin-1"), "\t"])
async def test_a_key_is_visible_ascii(client: httpx.AsyncClient, key: str) -> None:
    """1 to 255 characters; anything else is said, and nothing is done."""
    headers = [(b"authorization", b"Bearer rosa"), (b"idempotency-key", key.encode("latin-1"))]
    reply = await client.post(TOP_UPS, json=TOP_UP, headers=headers)
    assert (reply.status_code, reply.json()["type"]) == (422, "idempotency_key_invalid")
    longest = await post(client, TOP_UPS, TOP_UP, key="k" * 255)
    assert longest.json()["is_new"] is True


async def test_a_request_under_way_is_not_begun_again(
    client: httpx.AsyncClient, database: ApplicationDatabase
) -> None:
    """Of many at once one is done; a request whose process is gone may begin again after ten minutes."""
    replies = await asyncio.gather(*(post(client, TOP_UPS, TOP_UP) for _ in range(6)))
    kinds = {(reply.status_code, reply.json().get("type")) for reply in replies}
    assert kinds <= {(200, None), (409, "idempotency_key_in_use")}
    assert (
        sum(reply.status_code == 200 and "idempotent-replayed" not in reply.headers for reply in replies) == 1
    )
    not_ended = "UPDATE sat.idempotency_keys SET status = NULL, media_type = NULL, response = NULL"
    execute(database.writer_dsn, not_ended)
    assert (await post(client, TOP_UPS, TOP_UP)).json()["type"] == "idempotency_key_in_use"
    age(database, "11 minutes")
    assert (await post(client, TOP_UPS, TOP_UP)).json()["is_new"] is False


async def test_files_are_never_kept(client: httpx.AsyncClient, database: ApplicationDatabase) -> None:
    """Goods are handed out once; the same request again is told so, and hands out nothing."""
    first = await post(client, f"/v1/batches/{BATCH}/deliver", REASON)
    assert first.headers["content-type"].startswith("text/csv")
    again = await post(client, f"/v1/batches/{BATCH}/deliver", REASON)
    assert (again.status_code, again.json()["type"]) == (409, "idempotency_answer_not_kept")
    assert kept(database) == [("rosa", "key-1", 200, None)]
    pack = await post(client, f"/v1/exports/X{'A' * 25}/pack", {}, key="key-2")
    assert pack.status_code == 404


async def test_what_may_end_otherwise_is_not_kept(
    client: httpx.AsyncClient, host: FakeHost, database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing right and an error of the server; a refusal in the present state is kept."""
    refused = await post(client, TOP_UPS, TOP_UP, user="vera")
    assert refused.status_code == 403
    with monkeypatch.context() as away:

        def fail(*_: object, **__: object) -> None:
            raise StoreUnavailableError("away")

        away.setattr(PostgresEventStore, "append", fail)
        assert (await post(client, PAUSE, REASON)).status_code == 503
        away.setattr(PostgresEventStore, "append", lambda *_: 1 / 0)
        assert (await post(client, PAUSE, REASON)).status_code == 500
    assert kept(database) == []
    withdraw = f"/v1/orders/{ORDER[1]}/withdraw"
    not_possible = await post(client, withdraw, REASON)
    assert not_possible.status_code == 409
    assert [(row[2], json.loads(row[3])["type"]) for row in kept(database)] == [(409, "not_possible")]
    assert (await post(client, withdraw, REASON)).headers["idempotent-replayed"] == "true"


async def test_a_key_is_forgotten_after_a_day(
    client: httpx.AsyncClient, database: ApplicationDatabase
) -> None:
    """The next request with a key cleans up."""
    await post(client, TOP_UPS, TOP_UP)
    age(database, "25 hours")
    await post(client, TOP_UPS, {**TOP_UP, "reference": "bank 2"}, key="key-2")
    assert [key for _, key, _, _ in kept(database)] == ["key-2"]


async def test_who_is_no_user_leaves_nothing(
    client: httpx.AsyncClient, database: ApplicationDatabase
) -> None:
    """The guard comes first."""
    assert (await post(client, TOP_UPS, TOP_UP, user="nobody")).status_code == 401
    assert kept(database) == []
