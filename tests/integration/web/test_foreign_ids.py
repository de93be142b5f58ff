"""Ids of other accounts and other people, and what two people decide at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from sat_hook.domain import books_events
from sat_hook.domain.books_commands import RecordClose
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.order import OrderState
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.web.test_who_did_what import BREAKS, DAY, ORDER, REASON, UnaskedSAT, break_of, fill
from tests.orders import ACCOUNT, BATCH, BY_TEST, ManualClock
from tests.web_host import FakeAccounts, FakeHost, FakeUser, client_of

OTHER = "other"


@pytest.fixture
def host(database: ApplicationDatabase, tmp_path: Path) -> Iterator[FakeHost]:
    """Two accounts with a closed day each; the breaks are those of the first one."""
    with closing(Database(database.writer_dsn)) as opened:
        store = PostgresEventStore(opened)
        host = FakeHost(FakeUser("rosa"), FakeUser("carl"), store=store, folder=tmp_path)
        connections = {"sat_default": UnaskedSAT(), "sat_other": UnaskedSAT()}
        host.accounts = FakeAccounts({"sat_default": ACCOUNT, "sat_other": OTHER}, connections)
        fill(store, tmp_path)
        day = datetime.fromisoformat(DAY).date()
        closed = books_events.DayClosed(
            account=OTHER, day=day, cut_off_minutes=0, position=5, result_digest="1" * 64, orders=0,
            open_breaks=1, saldo=None, adjusted_days={},
        )  # fmt: skip
        own = books_events.BreaksRecorded(
            account=OTHER, day=day, position=5, breaks=(break_of(f"K{'Z' * 15}"),)
        )
        BookKeeper(store, ManualClock(datetime.now(UTC))).post(OTHER, RecordClose(closed, (own,)), BY_TEST)
        yield host


class Client:
    """Requests as a user."""

    def __init__(self, host: FakeHost) -> None:
        self._client = client_of(host)

    async def post(self, user: str, path: str, **body: Any) -> httpx.Response:
        """With a reason."""
        headers = {"authorization": f"Bearer {user}"}
        return await self._client.post(path, json={**REASON, **body}, headers=headers)

    async def upload(self, user: str, path: str, content: bytes) -> httpx.Response:
        """With a file."""
        return await self._client.post(path, content=content, headers={"authorization": f"Bearer {user}"})

    async def get(self, user: str, path: str) -> httpx.Response:
        """Reads."""
        return await self._client.get(path, headers={"authorization": f"Bearer {user}"})


def events_of(host: FakeHost, kind: StreamKind, key: str) -> list[str]:
    """The types of a stream's events."""
    return [one.type_name for one in host.store().read_stream(StreamId(kind, key))]


async def test_an_account_s_ids_do_nothing_at_another(host: FakeHost) -> None:
    """A break, a day and a proposal are looked up within the account that the address names."""
    client, mine = Client(host), BREAKS["explain"]
    before = events_of(host, StreamKind.ACCOUNT, account_id_of(OTHER))
    foreign = await client.post("rosa", f"/books/sat_other/breaks/{mine}/explain")
    assert (foreign.status_code, f"no break {mine}" in foreign.text) == (409, True), foreign.text
    asked = await client.post(
        "rosa", "/accounts/sat_default/rules/proposals", changes={"day_limit_orders": 9}
    )
    number = asked.json()["proposal"]
    for act in ("confirm", "decline"):
        answer = await client.post("carl", f"/accounts/sat_other/rules/{number}/{act}")
        assert (answer.status_code, "found none" in answer.text) == (409, True), answer.text
    assert events_of(host, StreamKind.ACCOUNT, account_id_of(OTHER)) == before
    days = (await client.get("rosa", "/books/sat_other/closes")).json()["items"]
    assert [(day["account"], day["open_breaks"]) for day in days] == [(OTHER, 1)]
    breaks = (await client.get("rosa", f"/books/other/closes/{DAY}/breaks")).json()["items"]
    assert [one["break_id"] for one in breaks] == [f"K{'Z' * 15}"]
    cursor = (await client.get("rosa", f"/books/demo/closes/{DAY}/breaks?limit=1")).json()["next"]
    moved = await client.get("rosa", f"/books/other/closes/{DAY}/breaks?limit=1&cursor={cursor}")
    assert (moved.status_code, moved.json()["type"]) == (422, "cursor_invalid"), "a cursor is of one list"
    for path in ("orders?account=sat_other", "batches?account=other"):
        assert (await client.get("rosa", f"/{path}")).json()["items"] == []


async def test_a_draft_is_its_owner_s(host: FakeHost) -> None:
    """To another person, whatever their rights, it does not exist."""
    client = Client(host)
    content = b"order_id,product_code,client_number\nA-1,50k-simpati,081234567890\n"
    draft = (await client.upload("rosa", "/drafts?account=sat_default", content)).json()
    place = f"/drafts/{draft['draft_id']}"
    for path in (place, f"{place}/rows", f"{place}/bad-rows"):
        assert (await client.get("carl", path)).status_code == 404, path
    for act in ("columns", "cells", "set-aside", "restore", "options", "check", "submit"):
        body = {"version": 1, "columns": [], "edits": [], "rows": [], "options": {}}
        answer = await client.post("carl", f"{place}/{act}", **body)
        assert (answer.status_code, answer.json()["type"]) == (404, "draft_not_found"), act
    # As for a draft that is gone already.
    assert (await client.post("carl", f"{place}/discard")).status_code == 204
    assert (await client.get("rosa", place)).json() == draft


@pytest.mark.parametrize(
    ("first", "second", "request_id", "ends"),
    [
        ("release", "cancel", ORDER[2], {OrderState.QUOTED, OrderState.CANCELLED}),
        ("release", "release", ORDER[3], {OrderState.QUOTED}),
        ("cancel", "withdraw", ORDER[2], {OrderState.CANCELLED}),
        ("resolve", "resolve", ORDER[4], {OrderState.SUCCEEDED, OrderState.FAILED}),
    ],
)
async def test_of_two_decisions_one_counts(
    host: FakeHost, first: str, second: str, request_id: str, ends: set[OrderState]
) -> None:
    """At the same moment, five times over: one is recorded, every other one is told that it came too late."""
    client = Client(host)
    before = len(events_of(host, StreamKind.ORDER, request_id))
    acts = [(first, "rosa", "succeeded"), (second, "carl", "failed")] * 5
    answers = await asyncio.gather(
        *(
            client.post(user, f"/orders/{request_id}/{act}", **({"as": how} if act == "resolve" else {}))
            for act, user, how in acts
        )
    )
    codes = [answer.status_code for answer in answers]
    assert (codes.count(200), codes.count(409)) == (1, 9), [answer.text for answer in answers]
    assert len(events_of(host, StreamKind.ORDER, request_id)) == before + 1
    assert host.store().load_orders([request_id])[request_id].state in ends


async def test_of_two_signatures_and_two_confirmations_one_counts(host: FakeHost) -> None:
    """A day is certified once, and a proposal is answered once, whoever else tries at that moment."""
    client = Client(host)
    host.users.update({name: FakeUser(name) for name in ("dina", "eva")})
    assert (await client.post("rosa", f"/books/demo/days/{DAY}/prepare")).status_code == 200
    signed = await asyncio.gather(
        *(client.post(user, f"/books/demo/days/{DAY}/certify") for user in ("carl", "dina", "eva", "rosa"))
    )
    recorded = events_of(host, StreamKind.ACCOUNT, account_id_of(ACCOUNT))
    assert recorded.count("DayCertified") == 1
    (last,) = {answer.json()["certified_by"] for answer in signed if answer.status_code == 200}
    assert last in ("carl", "dina", "eva", "user:carl", "user:dina", "user:eva")
    asked = await client.post("rosa", "/accounts/demo/rules/proposals", changes={"day_limit_orders": 9})
    place = f"/accounts/demo/rules/{asked.json()['proposal']}"
    answers = await asyncio.gather(
        client.post("carl", f"{place}/confirm"),
        client.post("dina", f"{place}/decline"),
        client.post("eva", f"{place}/confirm"),
        client.post("rosa", f"{place}/confirm"),
    )
    assert [answer.status_code for answer in answers].count(200) == 1
    recorded = events_of(host, StreamKind.ACCOUNT, account_id_of(ACCOUNT))
    assert recorded.count("AccountRulesConfirmed") + recorded.count("AccountRulesDeclined") == 1


async def test_of_two_withdrawals_one_counts(host: FakeHost) -> None:
    """The batch is withdrawn once, and each order ends once."""
    client = Client(host)
    answers = await asyncio.gather(
        *(client.post(user, f"/batches/{BATCH}/withdraw") for user in ("rosa", "carl") * 3)
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert events_of(host, StreamKind.BATCH, BATCH).count("BatchWithdrawn") == 1
    for number in (2, 8):
        assert events_of(host, StreamKind.ORDER, ORDER[number]).count("OrderWithdrawn") == 1
