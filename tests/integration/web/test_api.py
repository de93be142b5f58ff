"""The API as its description says: rights, documents, errors, and pages, as a client meets them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from sat_hook.application.rights import Right
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.web.api.models import RIGHTS_MEMBER
from sat_hook.web.app import create_app
from stack.databases import ApplicationDatabase
from tests.fuzzing import examples
from tests.integration.web.test_who_did_what import ANY_BODY, ORDER, PARTS, UnaskedSAT, fill
from tests.loopback import served
from tests.orders import ACCOUNT, BATCH
from tests.web_host import FakeAccounts, FakeHost, FakeUser

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PERIOD = "since=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00Z"
WORDS = ("release", "pause", "explain", "prepare")


@cache
def document() -> dict[str, Any]:
    """The description. Made in the first test that reads it: every worker imports this module."""
    return create_app(FakeHost()).openapi()


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each route."""
    return [
        (path, method.upper(), operation)
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]


@pytest.fixture(scope="module")
def host(
    module_database: ApplicationDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FakeHost]:
    """A log with something of everything, and for each right a user who has it alone."""
    store = PostgresEventStore(Database(module_database.writer_dsn))
    folder: Path = tmp_path_factory.mktemp("api")
    users = [FakeUser(right.value, frozenset({right})) for right in Right]
    host = FakeHost(*users, FakeUser("everything"), store=store, folder=folder)
    host.accounts = FakeAccounts({"sat_default": ACCOUNT}, {"sat_default": UnaskedSAT()})
    fill(store, folder)
    yield host
    store.database.close()


@pytest.fixture(scope="module")
def app(host: FakeHost) -> FastAPI:
    """The app on that log."""
    return create_app(host)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client who may do everything."""
    headers = {"authorization": "Bearer everything"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


async def test_the_description_is_for_users(host: FakeHost, client: httpx.AsyncClient) -> None:
    """It names the server where it is mounted; who is no user gets none."""
    described = (await client.get("/v1/openapi.json")).json()
    assert described["servers"] == [{"url": "/"}]
    assert described["components"]["schemas"]["Problem"]["properties"].keys() == {
        "type", "title", "status", "detail",
    }  # fmt: skip
    stranger = await client.get("/v1/openapi.json", headers={"authorization": "Bearer nobody"})
    assert (stranger.status_code, stranger.json()["type"]) == (401, "not_authenticated")


def test_no_document_has_goods_or_secrets() -> None:
    """A member that a use case's row gets for another reason is not published with it."""
    schemas = document()["components"]["schemas"].values()
    named = {name for schema in schemas for name in schema.get("properties", {})}
    kept_back = ("voucher", "serial_number", "secret", "private_key", "password", "token")
    assert [name for name in named if any(part in name for part in kept_back)] == ["vouchers"], "a count"


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "kind"),
    [
        ("GET", "/v1/nowhere", {}, 404, "not_found"),
        ("PUT", "/v1/batches", {}, 405, "method_not_allowed"),
        ("GET", f"/v1/batches/B{'A' * 25}", {}, 404, "batch_not_found"),
        ("GET", f"/v1/orders/S{'A' * 31}", {}, 404, "order_not_found"),
        ("GET", "/v1/batches/x", {}, 422, "request_invalid"),
        ("GET", "/v1/batches?cursor=e30", {}, 422, "cursor_invalid"),
        ("GET", "/v1/orders?sort=amount", {}, 422, "list_refused"),
        ("GET", "/v1/batches?text=a%00b", {}, 422, "value_refused"),
        ("GET", "/v1/batches?first_day=0001-01-01", {}, 422, "request_invalid"),
        ("GET", "/v1/batches?last_day=9999-12-31", {}, 422, "request_invalid"),
        ("GET", "/v1/accounts/nowhere", {}, 422, "connection_not_found"),
        ("POST", "/v1/accounts/sat_default/pause", {"json": {"reason": "x"}}, 422, "reason_refused"),
        ("POST", f"/v1/orders/{ORDER[1]}/withdraw", {"json": {"reason": "no more"}}, 409, "not_possible"),
    ],
)
async def test_every_error_is_a_problem_document(
    client: httpx.AsyncClient, method: str, path: str, more: dict[str, Any], status: int, kind: str
) -> None:
    """With type, title, status and detail, as application/problem+json (RFC 9457)."""
    reply = await client.request(method, path, **more)
    document = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status_code, document["status"], document["type"]) == (status, status, kind)
    assert document["title"]
    assert document["detail"]


async def test_an_invalid_request_is_not_repeated_in_its_error(client: httpx.AsyncClient) -> None:
    """It may hold a customer's data."""
    reply = await client.get("/v1/orders?least_rupiah=081234567890123456&state=081234567890")
    assert reply.status_code == 422
    assert "query.least_rupiah: " in reply.json()["detail"]
    assert "0812" not in reply.text


async def test_lists_are_pages(client: httpx.AsyncClient) -> None:
    """The items of a list, and where the next page begins; every order is found once."""
    found, query = [], "?limit=3"
    while query:
        page = (await client.get(f"/v1/batches/{BATCH}/orders{query}")).json()
        found += [order["row_number"] for order in page["items"]]
        query = page["next"] and f"?limit=3&cursor={page['next']}"
    assert found == sorted(set(found))
    assert len(found) > 3
    (batch,) = (await client.get("/v1/batches?text=ORDERS")).json()["items"]
    assert (batch["batch_id"], batch["account"]) == (BATCH, ACCOUNT)
    details = (await client.get(f"/v1/batches/{BATCH}")).json()
    assert details["batch"] == batch
    order = (await client.get(f"/v1/orders/{ORDER[4]}")).json()
    events = (await client.get(f"/v1/orders/{ORDER[4]}/events")).json()
    assert order["history"] == events["items"]
    assert events["next"] is None
    kinds = {need["kind"] for need in (await client.get("/v1/needs")).json()["items"]}
    assert {"held", "escalated"} <= kinds
    (deposit,) = (await client.get("/v1/deposits")).json()["items"]
    assert (deposit["account"], deposit["days"]) == (ACCOUNT, [])
    (account,) = (await client.get("/v1/account-standings")).json()["items"]
    assert account["connection"] == "sat_default"


async def test_numbers_are_masked_for_users_who_may_not_see_them(client: httpx.AsyncClient) -> None:
    """In lists, and in an order with all that is known of it; a search by number needs the right."""
    viewer = {"authorization": "Bearer view"}
    whole = (await client.get(f"/v1/orders/{ORDER[4]}")).json()["order"]["client_number"]
    for path in (
        f"/v1/orders/{ORDER[4]}",
        f"/v1/batches/{BATCH}/orders",
        "/v1/orders",
        f"/v1/orders/{ORDER[4]}/events",
    ):
        reply = await client.get(path, headers=viewer)
        assert reply.status_code == 200
        assert whole not in reply.text
    search = {"client_number": whole}
    refused = await client.post("/v1/orders/search", json=search, headers=viewer)
    assert (refused.status_code, refused.json()["type"]) == (403, "right_missing")
    found = (await client.post("/v1/orders/search", json=search)).json()
    assert [order["client_number"] for order in found["items"]] == [whole]
    assert (found["count"], found["next"]) == (1, None)


@pytest.mark.parametrize("place", ["orders", f"batches/{BATCH}/orders", "orders/export"])
async def test_a_number_in_an_address_is_refused(client: httpx.AsyncClient, place: str) -> None:
    """Servers and proxies keep addresses, and a filter that is passed over would list every order."""
    reply = await client.get(f"/v1/{place}", params={"client_number": "081234567890"})
    assert (reply.status_code, reply.json()["type"]) == (422, "list_refused")
    assert "POST /v1/orders/search" in reply.json()["detail"]
    assert "0812" not in reply.text


async def test_a_number_in_a_reason_is_masked_everywhere(client: httpx.AsyncClient, host: FakeHost) -> None:
    """People write numbers into reasons; users who may not see numbers read the reasons."""
    number = host.store().load_orders([ORDER[4]])[ORDER[4]].client_number
    reason = {"reason": f"the customer {number} asked for it"}
    for path, more in (
        ("/v1/accounts/sat_default/rules/proposals", {"changes": {"day_limit_orders": 9}}),
        (f"/v1/orders/{ORDER[2]}/cancel", {}),
        ("/v1/accounts/sat_default/pause", {}),
        (f"/v1/batches/{BATCH}/withdraw", {}),
    ):
        assert (await client.post(path, json={**reason, **more})).status_code == 200, path
    viewer = {"authorization": "Bearer view"}
    for path in (
        "/v1/account-standings",
        "/v1/accounts/sat_default/rules",
        f"/v1/batches/{BATCH}",
        f"/v1/batches/{BATCH}/summary",
        f"/v1/orders/{ORDER[2]}",
        "/console/accounts",
        f"/console/batches/{BATCH}",
        f"/console/orders/{ORDER[2]}",
    ):
        reply = await client.get(path, headers=viewer)
        assert (reply.status_code, number in reply.text) == (200, False), path
        assert "the customer ***" in reply.text, path


def requests_of(path: str, method: str) -> list[tuple[str, dict[str, Any]]]:
    """A valid request of an operation for each word that decides what it does."""
    found = []
    for word in WORDS if re.search(r"\{(decision|change|signature)\}", path) else ("",):
        made = re.sub(r"\{(\w+)\}", lambda part, word=word: PARTS.get(part[1], word or "code"), path)
        more: dict[str, Any] = {"json": ANY_BODY} if method == "POST" else {}
        found.append((f"{made}?account=sat_default&reference=order-1&month=2026-11&{PERIOD}", more))
    return found


ALSO = {"/v1/drafts/again": (Right.VIEW_NUMBERS,), "/v1/orders/search": (Right.VIEW,)}
"""What a route needs besides: the draft shows the numbers of the earlier batch, a search lists orders."""


async def test_a_route_needs_the_right_that_its_description_names(app: FastAPI, host: FakeHost) -> None:
    """A user with every other right is refused; one who has it alone is not. Comes after what only reads."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path, method, operation in operations():
            rights = operation[RIGHTS_MEMBER]
            assert rights, path
            assert operation["summary"], path
            host.users["others"] = FakeUser("others", frozenset(Right) - frozenset(map(Right, rights)))
            alone = [
                FakeUser(f"{right} alone", frozenset({Right(right), *ALSO.get(path, ())})) for right in rights
            ]
            host.users.update({user.name: user for user in alone})
            for (url, more), user in product(
                requests_of(path, method), ["others", *(user.name for user in alone)]
            ):
                reply = await client.request(method, url, headers={"authorization": f"Bearer {user}"}, **more)
                is_problem = reply.headers.get("content-type") == "application/problem+json"
                kind = reply.json()["type"] if is_problem else None
                if kind == "request_invalid":
                    continue  # not a word of this route
                assert (kind == "right_missing") is (user == "others"), (user, url, reply.text[:300])


USERS = ("everything", *(right.value for right in Right), "no right", "no user")


def test_whatever_is_sent_is_answered_as_described(app: FastAPI, host: FakeHost) -> None:
    """Valid or not, from a user of each right and of none: a listed status, its media type and schema.

    Nothing is an error of the server. Data is for users with one of the rights that the description names.
    """
    host.users["no right"] = FakeUser("no right", frozenset())
    description = schemathesis.openapi.from_dict(document())
    with served(app) as address:

        @settings(
            max_examples=examples(150),
            suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
        )
        @given(data=st.data())
        def ask(data: st.DataObject) -> None:
            user = data.draw(st.sampled_from(USERS))
            path, method, described = data.draw(st.sampled_from(operations()))
            mode = data.draw(st.sampled_from(list(GenerationMode)))
            operation = description[path][method]
            try:
                case = data.draw(operation.as_strategy(generation_mode=mode))
            except schemathesis.errors.InvalidSchema:
                return
            reply = case.call_and_validate(
                base_url=address, headers={"Authorization": f"Bearer {user}"}, checks=CHECKS
            )
            rights = described[RIGHTS_MEMBER]
            if user != "everything" and user not in rights:
                expected = 401 if user == "no user" else 403
                # What cannot be read is refused before it is known what it asks for.
                assert reply.status_code in (expected, 400, 404, 405, 413, 422), (user, path, reply.text)

        ask()


ODD_DAYS = ("0001-01-01", "1999-12-31", "3000-01-01", "9999-12-31", "10000-01-01", "2026-02-30", "today", "")
ODD_MOMENTS = (*(f"{day}T00:00:00+00:00" for day in ODD_DAYS), "2026-01-01T00:00:00", "1e400", "9" * 30)


GOOD = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z", "month": "2026-11"}


def _odd_requests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each place of the API that takes a day or a moment, with an odd one there and nothing else odd."""
    for path, method, operation in operations():
        parameters = operation.get("parameters", ())
        needed = {one["name"]: GOOD.get(one["name"], "x") for one in parameters if one["required"]}
        for parameter in parameters:
            name, schema = parameter["name"], json.dumps(parameter["schema"])
            odd = ODD_DAYS if '"date"' in schema else ODD_MOMENTS if '"date-time"' in schema else ()
            for text in odd:
                if parameter["in"] == "path":
                    yield method, path.replace(f"{{{name}}}", text or "x"), {"params": needed}
                elif text or parameter["required"]:
                    yield method, path, {"params": {**needed, name: text}}
        for name in ("credited_at", "recorded_from", "recorded_before"):
            if method == "POST" and f'"{name}"' in json.dumps(_body_of(operation)):
                yield from ((method, path, {"json": {**ANY_BODY, name: moment}}) for moment in ODD_MOMENTS)


def _body_of(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    reference: str = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    found: dict[str, Any] = document()["components"]["schemas"].get(reference.rpartition("/")[2], {})
    return found


async def test_days_and_moments_are_bounded(client: httpx.AsyncClient) -> None:
    """One that does not exist, or that no calendar of ours has, is refused as such, wherever it is sent."""
    asked = 0
    for method, url, more in _odd_requests():
        url = re.sub(r"\{(\w+)\}", lambda part: PARTS.get(part[1], "release"), url)
        reply = await client.request(method, url, **more)
        assert (reply.status_code, reply.json()["type"]) == (422, "request_invalid"), (url, more, reply.text)
        asked += 1
    assert asked > 60
