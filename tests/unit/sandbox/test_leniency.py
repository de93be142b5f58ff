"""What foreign SDKs send differently, and where the server is strict all the same (protocol 2, 3, 4.1, 7)."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.keys import KeyPairs
from sandbox.wire import MalformedDocumentError, Request, parse_form
from tests.fuzzing import examples
from tests.unit.sandbox.partner import Partner, document, refusal

SECRETS = {"demo": "demo", "id with space": "s:e%c+ret/"}


def basic(client_id: str, secret: str) -> dict[str, str]:
    """A Basic header."""
    return {"authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "query", "body"),
    [
        (basic("demo", "demo"), "", b"grant_type=client_credentials"),
        (basic("demo", "demo"), "grant_type=client_credentials", b""),
        (basic("id with space", "s:e%c+ret/"), "", b"grant_type=client_credentials"),
        (basic("id%20with%20space", "s%3Ae%25c%2Bret%2F"), "", b"grant_type=client_credentials"),
        (basic("id+with+space", "s%3Ae%25c%2Bret%2F"), "", b"grant_type=client_credentials"),
        ({}, "", b"grant_type=client_credentials&client_id=demo&client_secret=demo"),
    ],
)
def test_every_sdk_gets_its_token(new_partner, headers, query, body) -> None:
    """Basic raw, percent-encoded or form-encoded, or credentials in the body; grant in body or query."""
    partner = new_partner(credentials=SECRETS)
    reply = partner.judge.answer(Request("POST", "/token", query, headers, body))
    assert document(reply)["token_type"].lower() == "bearer"
    assert document(reply)["expires_in"] == 3_600


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (basic("demo", "wrong"), b"grant_type=client_credentials", (401, "invalid_client")),
        (basic("wrong", "demo"), b"grant_type=client_credentials", (401, "invalid_client")),
        ({"authorization": "Basic !"}, b"grant_type=client_credentials", (401, "invalid_client")),
        ({}, b"grant_type=client_credentials", (401, "invalid_client")),
        (basic("demo", "demo"), b"grant_type=password", (400, "unsupported_grant_type")),
        (basic("demo", "demo"), b"", (400, "invalid_request")),
    ],
)
def test_other_token_requests_are_refused(partner: Partner, headers, body, expected) -> None:
    """With the words of RFC 6749 (a guess)."""
    outcome = partner.judge.answer(Request("POST", "/token", headers=headers, body=body))
    assert (outcome.reply.status, document(outcome)["error"]) == expected


def test_tokens_expire_and_the_old_one_stays_valid_until_its_own_time(partner: Partner) -> None:
    """A refresh takes nothing from the token before it."""
    old = partner.bearer
    partner.wait(3_000)
    new = "Bearer " + partner.token()["access_token"]
    assert new != old
    assert partner.send("GET", "/api/v2/account", headers={"authorization": old}).reply.status == 200
    partner.wait(600)
    assert refusal(partner.send("GET", "/api/v2/account", headers={"authorization": old})) == (401, "P90")
    assert partner.send("GET", "/api/v2/account", headers={"authorization": new}).reply.status == 200


def test_a_refresh_can_return_the_same_token(new_partner) -> None:
    """With what is left of its life."""
    partner = new_partner({"tokens": {"reissue_same": True, "lifetime_seconds": 900}})
    partner.wait(500)
    again = partner.token()
    assert "Bearer " + again["access_token"] == partner.bearer
    assert again["expires_in"] == 400


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", "Basic ZGVtbzpkZW1v"])
def test_everything_but_ping_needs_a_token(partner: Partner, authorization: str) -> None:
    """Missing, unknown or of another scheme."""
    headers = {"authorization": authorization}
    for method, path in (
        ("GET", "account"),
        ("GET", "product-list"),
        ("GET", "order/A1"),
        ("POST", "inquiry"),
    ):
        assert refusal(partner.send(method, f"/api/v2/{path}", headers=headers)) == (401, "P90")
    body = b'{"data":{"type":"order","id":"A1","attributes":{"product_code":"t25k","client_number":"1"}}}'
    headers["signature"] = partner.signer.sign(body)
    assert refusal(partner.send("POST", "/api/v2/order", body, headers=headers)) == (401, "P90")
    assert partner.entry("A1")["charged"] == 0


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"amount": None, "fields": None, "downline_id": None},
        {"amount": 0, "fields": [], "downline_id": ""},
        {"amount": 0.0},
        {"amount": ""},
    ],
)
def test_all_spellings_of_no_value_are_the_same(partner: Partner, attributes) -> None:
    """Absent, null, [], "", 0 and 0.0: a prepaid order costs the catalogue price, its fields are null."""
    answer = document(partner.order("A1", **attributes))["data"]["attributes"]
    assert (answer["sales_price"], answer["fields"]) == (52_000, None)


def test_integral_floats_are_amounts(partner: Partner) -> None:
    """py_sat sends 12500.0."""
    answer = document(partner.order("A1", "pln-postpaid", "53", amount=12_500.0))
    assert answer["data"]["attributes"]["sales_price"] == 12_500


@pytest.mark.parametrize("amount", [12_500.5, -1, "12500", True, 10**13, [1]])
def test_other_amounts_are_refused(partner: Partner, amount) -> None:
    """Money is a whole number of rupiah."""
    assert refusal(partner.order("A1", "pln-postpaid", "53", amount=amount)) == (400, "P92")
    assert partner.ledger()["totals"]["charged"] == 0


def test_a_bill_cannot_be_paid_without_an_amount(partner: Partner) -> None:
    """An inquiry product has no catalogue price to fall back on (a guess)."""
    assert refusal(partner.order("A1", "pln-postpaid", "53")) == (400, "P93")


@pytest.mark.parametrize("path", ["/api/v2/product-list", "/api/v2/product-list/"])
@pytest.mark.parametrize("query", ["product_code=25k-xl,15k-xl", "product_code=25k-xl%2C15k-xl"])
def test_slashes_and_commas(partner: Partner, path: str, query: str) -> None:
    """With a trailing slash or not, with a plain comma or an encoded one."""
    products = document(partner.send("GET", path, query=query))["data"]
    assert [product["id"] for product in products] == ["25k-xl", "15k-xl"]


def test_empty_filter_is_no_filter(partner: Partner) -> None:
    """The Go SDK sends ``product_code=``."""
    everything = document(partner.send("GET", "/api/v2/product-list", query="product_code="))["data"]
    assert len(everything) > 10


def test_inactive_products_can_be_left_out_of_the_list(new_partner) -> None:
    """As the vendor's page says; asked for by code they are still shown."""
    partner = new_partner({"list_inactive": False})
    everything = document(partner.send("GET", "/api/v2/product-list"))["data"]
    assert {product["attributes"]["status"] for product in everything} == {1}
    assert partner.send("GET", "/api/v2/product-list", query="product_code=20k-axis").reply.status == 200


@pytest.mark.parametrize(
    "scheme",
    [
        padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH),
        padding.PSS(padding.MGF1(hashes.SHA256()), 32),
        padding.PSS(padding.MGF1(hashes.SHA256()), 20),
        padding.PKCS1v15(),
    ],
    ids=["max", "digest", "20", "pkcs1v15"],
)
def test_every_sdk_s_signature_is_accepted(partner: Partner, keys: KeyPairs, scheme) -> None:
    """PSS with any salt, or PKCS#1 v1.5; the Go SDK's trailing newline is part of what it signs."""
    key = serialization.load_pem_private_key(keys.client_private_pem, None)
    body = (
        b'{"data":{"type":"order","id":"A1","attributes":{"product_code":"t25k","client_number":"1",'
        b'"amount":0,"fields":null,"downline_id":""}}}\n'
    )
    signature = base64.b64encode(key.sign(body, scheme, hashes.SHA256())).decode()
    assert partner.post_order(body, signature).reply.status == 200


SDK_CHECKOUTS = {
    "python": (
        b'{"data": {"id": "A1", "type": "order", "attributes": {"product_code": "t25k", '
        b'"client_number": "0812", "amount": 0.0}}}',
        222,
    ),
    "go": (
        b'{"data":{"type":"order","id":"A1","attributes":{"amount":0,"client_number":"0812","downline_id":"",'
        b'"fields":null,"product_code":"t25k"}}}\n',
        222,
    ),
    "node": (
        b'{"data":{"type":"order","id":"A1","attributes":{"product_code":"t25k","client_number":"0812"}}}',
        32,
    ),
    "php": (
        b'{"data":{"type":"order","id":"A1","attributes":{"product_code":"t25k","client_number":"0812",'
        b'"fields":[],"amount":0}}}',
        222,
    ),
}


@pytest.mark.parametrize("sdk", SDK_CHECKOUTS)
def test_each_sdk_s_checkout_bytes_are_the_same_order(partner: Partner, keys: KeyPairs, sdk: str) -> None:
    """Its own serialisation and salt, as its wire facts say (protocol sections 4 and 7)."""
    body, salt = SDK_CHECKOUTS[sdk]
    key = serialization.load_pem_private_key(keys.client_private_pem, None)
    signature = key.sign(body, padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())
    answer = document(partner.post_order(body, base64.b64encode(signature).decode()))["data"]["attributes"]
    assert (answer["status"], answer["sales_price"], answer["fields"]) == ("Pending", 369, None)


def test_signature_covers_the_raw_bytes(partner: Partner) -> None:
    """The same document in other bytes, no signature, or another key's: refused and not charged."""
    body = b'{"data":{"type":"order","id":"A1","attributes":{"product_code":"t25k","client_number":"1"}}}'
    good = partner.signer.sign(body)
    assert refusal(partner.post_order(body + b"\n", good)) == (400, "P91")
    assert refusal(partner.post_order(body, "")) == (400, "P91")
    assert refusal(partner.post_order(body, "AAAA")) == (400, "P91")
    assert refusal(partner.post_order(body, partner.world.signer.sign(body))) == (400, "P91")
    assert partner.entry("A1")["charged"] == 0
    assert partner.post_order(body, good).reply.status == 200


def test_request_id_is_one_encoded_path_segment(partner: Partner) -> None:
    """An id with slashes and question marks is found when encoded, and is no other path when it is not."""
    partner.order("a/../../v2/account?x=1")
    encoded = "a%2F..%2F..%2Fv2%2Faccount%3Fx%3D1"
    assert document(partner.ask(encoded))["data"]["id"] == "a/../../v2/account?x=1"
    assert refusal(partner.ask("a/../../v2/account")) == (404, "P99")


def test_unknown_paths_and_methods(partner: Partner) -> None:
    """404 and 405, with the allowed method named."""
    assert refusal(partner.send("GET", "/api/v3/account")) == (404, "P99")
    refused = partner.send("DELETE", "/api/v2/order/A1")
    assert (refused.reply.status, refused.reply.headers["allow"]) == (405, "GET")
    assert refusal(partner.send("GET", "/token")) == (405, "P99")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"data":[]}',
        b'{"data":{"type":"account","attributes":{}}}',
        b'{"data":{"type":"inquiry","attributes":[]}}',
        b'{"data":{"type":"inquiry","attributes":{"product_code":1,"client_number":"1"}}}',
        b'{"data":{"type":"inquiry","attributes":{"product_code":"t25k"}}}',
        b'{"data":{"type":"inquiry","attributes":{"product_code":"t25k","client_number":"1","amount":NaN}}}',
        b'{"data":{"type":"inquiry","attributes":{"product_code":"t25k","client_number":"1","amount":1e999}}}',
        b'{"data":{"type":"inquiry","attributes":{"product_code":"t25k","client_number":"\\ud800"}}}',
        b'{"data":{"type":"inquiry","attributes":{"product_code":"t25k","client_number":"1","fields":[1]}}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_malformed_inquiries_are_refused(partner: Partner, body: bytes) -> None:
    """Each with a 400 in SAT's shape (the code is a guess)."""
    assert refusal(partner.send("POST", "/api/v2/inquiry", body)) == (400, "P92")


def test_oversized_bodies_are_refused(partner: Partner) -> None:
    """Before anything is parsed."""
    assert refusal(partner.send("POST", "/api/v2/inquiry", b" " * 300_000)) == (413, "P99")


MEMBERS = st.sampled_from(["data", "type", "attributes", "id", "amount", "fields", "name"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=examples(150), deadline=None)
@given(st.binary(max_size=200) | DOCUMENTS.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_crash_the_parser(body: bytes) -> None:
    """Whatever comes is a form or a refusal."""
    try:
        form = parse_form(body, "order")
    except MalformedDocumentError:
        return
    assert form.product_code
