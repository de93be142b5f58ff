"""SATHook: an Airflow connection becomes settings, or a sentence that says what is wrong with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.hooks.errors import SATConnectionError
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.sat_connection import pem_blocks
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.messages import InquiryRequest, OrderRequest
from sat_hook.protocol.signing import Padding, Signer, Verifier, generate_key_pair
from sat_hook.provider import get_provider_info
from tests.scripted_sat import (
    ScriptedSAT,
    http_answer,
    json_answer,
    order_document,
    scripted_sat,
    signed_answer,
)

Connect = Callable[..., SATHook]


@pytest.fixture(scope="module")
def pems() -> dict[str, str]:
    """The partner's and SAT's key pairs."""
    partner_private, partner_public = generate_key_pair()
    sat_private, sat_public = generate_key_pair()
    return {
        "partner": partner_private.decode(),
        "partner_public": partner_public.decode(),
        "sat": sat_private.decode(),
        "sat_public": sat_public.decode(),
    }


@pytest.fixture
def sat() -> Iterator[ScriptedSAT]:
    """A healthy playground."""
    with scripted_sat() as server:
        server.script["/ping"] = json_answer({"buildhash": "x", "sandbox": True, "status": "ok"})
        server.script["/v2/account"] = json_answer(
            {"data": {"type": "account", "id": "2203", "attributes": {"saldo": 50000000}}}
        )
        yield server


@pytest.fixture
def connect(sat: ScriptedSAT, pems: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A hook for a connection as Airflow stores it; ``extra`` members can be replaced or left out."""

    def make(connection_id: str = "sat_test", login: Any = "demo", **extra: Any) -> SATHook:
        members = {
            "environment": "custom",
            "base_url": sat.base_url,
            "token_url": sat.token_url,
            "private_key": pems["partner"],
            "sat_public_keys": pems["sat_public"],
            **extra,
        }
        connection = {
            "conn_type": "sat",
            "login": login,
            "password": "s3cret-of-demo",
            "extra": {name: value for name, value in members.items() if value is not None},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(connection))
        return SATHook(connection_id)

    return make


def test_connection_becomes_settings(connect: Connect, pems: dict[str, str]) -> None:
    """Every field of the form arrives where it belongs; the account is named after the connection."""
    hook = connect(
        padding="PKCS1v15",
        connect_timeout_seconds="2.5",
        read_timeout_seconds=7,
        total_timeout_seconds=9,
        requests_per_second=50,
        max_in_flight="8",
        trust_callbacks=True,
    )
    settings = hook.settings()
    assert (settings.account, settings.environment) == ("sat_test", Environment.CUSTOM)
    assert (settings.client_id, settings.client_secret) == ("demo", "s3cret-of-demo")
    assert settings.signer is not None
    assert settings.signer.padding is Padding.PKCS1V15
    assert (settings.connect_timeout_seconds, settings.read_timeout_seconds) == (2.5, 7.0)
    assert (settings.total_timeout_seconds, settings.requests_per_second) == (9.0, 50.0)
    assert (settings.max_in_flight, settings.trust_callbacks) == (8, True)
    assert connect("sat_other", account="north").settings().account == "north"


def test_environment_knows_its_addresses(connect: Connect) -> None:
    """Playground is the default, and both known environments need no URL."""
    hook = connect(environment=None, base_url=None, token_url=None)
    assert hook.settings().base_url == "https://b2b-playground.tokopedia.com/api"
    hook = connect("sat_live", environment="production", base_url=None, token_url=None)
    assert hook.settings().base_url == "https://b2b.tokopedia.com/api"
    assert hook.settings().token_url == "https://accounts.tokopedia.com/token"


def test_keys_come_from_files_or_one_line_fields(
    connect: Connect, pems: dict[str, str], tmp_path: Path
) -> None:
    """Paths work, several SAT keys work, and a PEM whose lines a form has joined is put together again."""
    other_public = generate_key_pair()[1].decode()
    (tmp_path / "own.pem").write_text(pems["partner"])
    (tmp_path / "one.pem").write_text(pems["sat_public"])
    (tmp_path / "two.pem").write_text(other_public)
    by_path = connect(
        private_key=None,
        private_key_path=str(tmp_path / "own.pem"),
        sat_public_keys=None,
        sat_public_key_paths=f"{tmp_path}/one.pem, {tmp_path}/two.pem",
    ).settings()
    one_line = connect(
        "sat_lines",
        private_key=pems["partner"].replace("\n", " "),
        sat_public_keys=(pems["sat_public"] + other_public).replace("\n", "\\n"),
    ).settings()
    assert by_path.verifier is not None
    assert one_line.verifier is not None
    assert by_path.verifier.fingerprints == one_line.verifier.fingerprints
    assert len(by_path.verifier.fingerprints) == 2
    assert repr(by_path.signer) == repr(one_line.signer) == repr(Signer(pems["partner"]))
    assert pem_blocks("nothing") == []


@pytest.mark.parametrize(
    ("changes", "field", "found"),
    [
        ({"environment": "prod"}, "environment", "'prod'"),
        ({"base_url": None}, "base_url", "nothing"),
        ({"base_url": "sat.example"}, "base_url", "'sat.example'"),
        ({"base_url": "https://me:pw@sat.example/api"}, "base_url", "credentials in the URL"),
        ({"environment": "production", "token_url": "http://x/token"}, "base_url", "http://"),
        ({"login": None}, "login (client id)", "nothing"),
        ({"padding": "oaep"}, "padding", "'oaep'"),
        ({"private_key": "MIIB"}, "private_key", "0 private keys"),
        ({"private_key_path": "/nowhere/own.pem"}, "private_key", "a key, and private_key_path as well"),
        (
            {"private_key": None, "private_key_path": "/nowhere/own.pem"},
            "private_key_path",
            "'/nowhere/own.pem' (No such file or directory)",
        ),
        ({"sat_public_keys": "no key"}, "sat_public_keys", "no PEM block"),
        ({"total_timeout_seconds": "soon"}, "total_timeout_seconds", "'soon'"),
        ({"total_timeout_seconds": 0}, "total_timeout_seconds", "0.0"),
        ({"max_in_flight": 1.5}, "max_in_flight", "'1.5'"),
        ({"trust_callbacks": "perhaps"}, "trust_callbacks", "'perhaps'"),
    ],
)
def test_wrong_field_is_named(connect: Connect, changes: dict[str, Any], field: str, found: str) -> None:
    """The message has the connection, the field, what was found and what was expected."""
    hook = connect(**changes)
    with pytest.raises(SATConnectionError) as caught:
        hook.settings()
    assert (caught.value.connection_id, caught.value.field, caught.value.found) == ("sat_test", field, found)
    assert str(caught.value).startswith(f"connection 'sat_test', field {field}: found ")
    assert hook.test_connection() == (False, str(caught.value).removeprefix("connection 'sat_test', "))


def test_private_key_in_the_place_of_the_public_one(connect: Connect, pems: dict[str, str]) -> None:
    """The message says what it is and shows nothing of it."""
    with pytest.raises(SATConnectionError, match="found a private key") as caught:
        connect(sat_public_keys=pems["partner"]).settings()
    assert pems["partner"][40:60] not in str(caught.value)


def test_hook_speaks_to_sat(connect: Connect, sat: ScriptedSAT, pems: dict[str, str]) -> None:
    """Ping, account, catalogue, inquiry, checkout and status by the names people use."""
    signer = Signer(pems["sat"])
    sat.script["/v2/product-list"] = json_answer(
        {"data": [{"id": "25k-xl", "attributes": {"product_name": "XL", "price": 24913, "status": 1}}]}
    )
    sat.script["/v2/inquiry"] = json_answer(
        {"data": {"type": "inquiry", "id": "2121212", "attributes": {"sales_price": 27500}}}
    )
    sat.script["/v2/order"] = json_answer(order_document("ORDER1"))
    sat.script["/v2/order/ORDER1"] = signed_answer(signer, order_document("ORDER1", "Success"))
    hook = connect()
    try:
        assert hook.ping().sandbox is True
        assert hook.account().saldo_rupiah == 50_000_000
        assert [product.price_rupiah for product in hook.list_product(["25k-xl"])] == [24913]
        bill = hook.inquiry(InquiryRequest(product_code="pln-postpaid", client_number="2121212"))
        order = OrderRequest(
            request_id="ORDER1",
            product_code="pln-postpaid",
            client_number="2121212",
            amount_rupiah=bill.sales_price_rupiah,
        )
        assert hook.checkout(order).status == "Pending"
        assert hook.check_status("ORDER1").status == "Success"
        (sent,) = sat.requests_to("/v2/order")
        Verifier([pems["partner_public"]]).verify(sent.body, sent.headers["signature"])
    finally:
        hook.close()


async def test_hook_gives_an_asynchronous_client(connect: Connect) -> None:
    """Triggers read the connection and speak to SAT without blocking their loop."""
    hook = connect()
    await hook.asettings()
    async with hook.async_client() as client:
        assert isinstance(client, AsyncSATClient)
        assert (await client.ping()).sandbox is True


def test_two_connections_never_mix(connect: Connect, sat: ScriptedSAT, pems: dict[str, str]) -> None:
    """Two hooks in one process: each its own token request, key and account."""
    sat.script["/v2/order"] = json_answer(order_document("ORDER1"))
    other_private, other_public = generate_key_pair()
    first, second = connect("sat_one"), connect("sat_two", login="two", private_key=other_private.decode())
    order = OrderRequest(request_id="ORDER1", product_code="p", client_number="1")
    try:
        first.checkout(order)
        second.checkout(order)
        one, two = sat.requests_to("/v2/order")
        Verifier([pems["partner_public"]]).verify(one.body, one.headers["signature"])
        Verifier([other_public]).verify(two.body, two.headers["signature"])
        assert one.headers["authorization"] != two.headers["authorization"]
        basics = [request.headers["authorization"] for request in sat.token_requests]
        assert len(set(basics)) == 2
    finally:
        first.close()
        second.close()


def test_test_connection_says_that_all_is_well(connect: Connect) -> None:
    """Account, deposit, and both keys by fingerprint."""
    success, message = connect().test_connection()
    assert success, message
    assert "account 2203 has a deposit of 50000000 rupiah" in message
    assert "a probe was signed and verified" in message


def test_test_connection_without_keys_says_what_cannot_be_done(connect: Connect) -> None:
    """A connection for reading is fine and says that it is one."""
    success, message = connect(private_key=None, sat_public_keys=None).test_connection()
    assert success
    assert "nothing can be ordered" in message
    assert "no order's end can be verified" in message


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/token", json_answer({"error": "invalid_client"}, 401), "refused the client id or its secret"),
        ("/token", http_answer(502, b"<html>"), "check the token URL"),
        ("/ping", http_answer(403, b"<html>"), "is this machine's address registered"),
        ("/ping", http_answer(200, b"<html>"), "is the base URL that of a SAT server"),
        ("/ping", http_answer(404, b"<html>"), "is the base URL that of a SAT server"),
        ("/v2/account", http_answer(500, b""), "HTTP 500"),
    ],
)
def test_test_connection_says_what_is_wrong(
    connect: Connect, sat: ScriptedSAT, path: str, answer: bytes, words: str
) -> None:
    """Each step that fails ends in a sentence with an advice, without the name that Airflow made up."""
    sat.script[path] = answer
    success, message = connect().test_connection()
    assert not success
    assert "sat_test" not in message
    assert words in message


@pytest.mark.parametrize(
    ("field", "url", "words"),
    [
        ("base_url", "http://127.0.0.1:1/api", "nothing listens at that address"),
        ("base_url", "http://no-such-host.invalid/api", "the host's name is not known"),
        ("token_url", "http://127.0.0.1:1/token", "nothing listens at that address"),
    ],
)
def test_test_connection_to_a_server_that_is_not_there(
    connect: Connect, field: str, url: str, words: str
) -> None:
    """A server that is down, or an address with a slip in it, and which of the two addresses it is."""
    success, message = connect(**{field: url}).test_connection()
    assert not success
    assert words in message
    assert f"check the {field.replace('_url', ' URL')}" in message


def test_own_public_key_in_the_place_of_sats(connect: Connect, pems: dict[str, str]) -> None:
    """The most common mistake of all, found before it makes every order wait for ever."""
    success, message = connect(sat_public_keys=pems["partner_public"]).test_connection()
    assert not success
    assert "SAT's own public key" in message


@pytest.mark.parametrize(("environment", "sandbox"), [("production", True), ("playground", False)])
def test_production_points_at_a_sandbox(
    connect: Connect, sat: ScriptedSAT, environment: str, sandbox: bool
) -> None:
    """Production against a sandbox-flagged server, or the reverse, is refused."""
    sat.script["/ping"] = json_answer({"sandbox": sandbox, "status": "ok"})
    hook = connect()
    object.__setattr__(hook.settings(), "environment", Environment(environment))
    success, message = hook.test_connection()
    assert not success
    assert "field environment" in message


def test_secrets_reach_no_log_and_no_repr(
    connect: Connect, sat: ScriptedSAT, pems: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG for every logger there is: no secret, token, key or signature."""
    sat.script["/v2/order"] = json_answer(order_document("ORDER1", voucher_code="5196-1584"))
    hook = connect()
    with caplog.at_level(logging.DEBUG):
        hook.checkout(OrderRequest(request_id="ORDER1", product_code="p", client_number="081299998888"))
        hook.close()
    (sent,) = sat.requests_to("/v2/order")
    shown = caplog.text + repr(hook.settings())
    secrets = ("s3cret-of-demo", "c:token", sent.headers["signature"][:40], pems["partner"][60:100])
    for secret in (*secrets, "5196-1584", "081299998888"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("aproval_over_rupiah", "did you mean approval_over_rupiah?"),
        ("Approval_over_rupiah", "did you mean approval_over_rupiah?"),
        ("duplicates_days", "did you mean duplicate_days?"),
        ("extra__sat__day_limit", "expected one of account"),
        ("trust_callback", "did you mean trust_callbacks?"),
        ("", "expected one of account"),
    ],
)
def test_a_misspelt_field_stops_the_account(connect: Any, name: str, hint: str) -> None:
    """A limit under another name would be no limit: nothing of the connection is used before it is mended."""
    for read in (SATHook.settings, SATHook.rules):
        with pytest.raises(SATConnectionError, match="found no field of this name") as refused:
            read(connect(**{name: 1}))
        assert hint in str(refused.value)


def test_a_field_has_one_value(connect: Any) -> None:
    """Older forms store fields under a prefix; two different values are refused."""
    assert connect(extra__sat__day_limit_orders="3").rules().guards.day_limit_orders == 3
    with pytest.raises(SATConnectionError, match="two values"):
        connect(extra__sat__day_limit_orders="3", day_limit_orders="4").rules()


def test_provider_info_fits_the_distribution() -> None:
    """Airflow refuses a provider whose name is not its distribution's; every field of the form is read."""
    from importlib.metadata import distribution

    from sat_hook.hooks.sat_connection import EXTRA_FIELDS

    info = get_provider_info()
    assert info["package-name"] == distribution("sat-bulk-orders").metadata["Name"]
    (connection_type,) = info["connection-types"]
    assert connection_type["connection-type"] == SATHook.conn_type
    assert connection_type["hook-name"] == SATHook.hook_name
    assert connection_type["hook-class-name"] == f"{SATHook.__module__}.{SATHook.__qualname__}"
    assert set(connection_type["conn-fields"]) <= EXTRA_FIELDS
