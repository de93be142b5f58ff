"""Ping, account, catalogue and inquiry over a real socket: a value, or an error with a type."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sat_hook.protocol.calls import account_call, inquiry_call
from sat_hook.protocol.errors import (
    NeverSentError,
    ProductNotFoundError,
    RefusedError,
    ReplyLostError,
    ReplyMismatchError,
    ReplyTimeoutError,
    SATError,
    SystemTroubleError,
    TokenUnavailableError,
    UnexpectedReplyError,
    UnreadableReplyError,
)
from sat_hook.protocol.messages import InquiryRequest, OrderRequest
from sat_hook.protocol.values import ProductStatus
from tests.scripted_sat import (
    ScriptedSAT,
    drip,
    errors_answer,
    hang_up,
    http_answer,
    json_answer,
    order_document,
    signed_answer,
    stay_silent,
)
from tests.unit.clients.conftest import MakeSettings

ACCOUNT = {"data": {"type": "account", "id": "2203", "attributes": {"saldo": 50000000}}}
BILL = InquiryRequest(product_code="pln-postpaid", client_number="002121212", downline_id="client-123")


def inquiry_document(**attributes: Any) -> dict[str, Any]:
    """A bill as SAT shows it."""
    shown = {
        "product_code": "pln-postpaid",
        "client_number": "002121212",
        "client_name": "TOKOPXXXX UXX",
        "base_price": 25000.0,
        "admin_fee": 2500,
        "sales_price": 27500,
        "inquiry_result": [{"name": "Nama", "value": "A"}, {"name": "NAMA", "value": "B"}],
        "fields": None,
        "min_amount": 10000,
        **attributes,
    }
    return {"data": {"type": "inquiry", "id": "002121212", "attributes": shown}}


def test_account_and_its_deposit(client: Any, sat: ScriptedSAT) -> None:
    """The id stays text, the deposit is a whole number of rupiah."""
    sat.script["/v2/account"] = json_answer(ACCOUNT)
    account = client.account()
    assert (account.id, account.saldo_rupiah) == ("2203", 50_000_000)


def test_answer_comes_with_its_raw_response(client: Any, sat: ScriptedSAT, clock: Any) -> None:
    """ask() gives the value, the exact bytes and the moment before it was asked."""
    sat.script["/v2/account"] = json_answer(ACCOUNT, X_Request_Id="abc-1")
    reply = client.ask(account_call())
    assert reply.value.saldo_rupiah == 50_000_000
    assert json.loads(reply.response.body) == ACCOUNT
    assert reply.response.headers["x-request-id"] == "abc-1"
    assert reply.began_at == clock.now()


def test_prices_and_names_are_lost(client: Any, sat: ScriptedSAT) -> None:
    """Both spellings of name and price are read; status 3 and an unknown status are kept."""
    sat.script["/v2/product-list"] = json_answer(
        {
            "data": [
                {"id": "25k-xl", "attributes": {"product_name": "XL", "price": 24913, "status": 1}},
                {"id": "15k-xl", "attributes": {"name": "XL 15", "sales_price": 15600.0, "status": 3}},
                {"id": "test2", "attributes": {"product_name": "", "price": 0, "status": 42}},
            ]
        }
    )
    products = client.list_products()
    assert [product.price_rupiah for product in products] == [24913, 15600, 0]
    assert [product.name for product in products] == ["XL", "XL 15", ""]
    assert products[1].status is ProductStatus.TEMPORARILY_INACTIVE
    assert products[2].status == 42
    assert [product.is_active for product in products] == [True, False, False]
    assert sat.requests_to("/v2/product-list")[0].target == "/api/v2/product-list"


def test_product_filter_is_encoded(client: Any, sat: ScriptedSAT) -> None:
    """Codes are joined by one encoded comma; an unknown one is P04."""
    sat.script["/v2/product-list"] = errors_answer("P04")
    with pytest.raises(ProductNotFoundError):
        client.list_products(["25k-xl", "a&b"])
    (request,) = sat.requests_to("/v2/product-list")
    assert request.target == "/api/v2/product-list?product_code=25k-xl%2Ca%26b"


def test_inquiry_loses_members(client: Any, sat: ScriptedSAT) -> None:
    """Whole rupiah, lists with repeated names, limits of open payments; unset members are not sent."""
    sat.script["/v2/inquiry"] = json_answer(inquiry_document(news="kept"))
    bill = client.inquiry(BILL)
    assert (bill.base_price_rupiah, bill.admin_fee_rupiah, bill.sales_price_rupiah) == (25000, 2500, 27500)
    assert isinstance(bill.base_price_rupiah, int)
    assert [line.name for line in bill.inquiry_result] == ["Nama", "NAMA"]
    assert (bill.min_amount_rupiah, bill.max_payment_rupiah, bill.fields) == (10000, None, ())
    assert bill.model_extra == {"news": "kept"}
    (request,) = sat.requests_to("/v2/inquiry")
    assert json.loads(request.body) == {
        "data": {
            "type": "inquiry",
            "attributes": {
                "product_code": "pln-postpaid",
                "client_number": "002121212",
                "downline_id": "client-123",
            },
        }
    }


@pytest.mark.parametrize("member", ["product_code", "client_number"])
def test_bill_of_somebody_else_is_quoted(client: Any, sat: ScriptedSAT, member: str) -> None:
    """An inquiry answered for another product or customer is an error, not a price."""
    sat.script["/v2/inquiry"] = json_answer(inquiry_document(**{member: "another"}))
    with pytest.raises(ReplyMismatchError):
        client.inquiry(BILL)


@pytest.mark.parametrize(
    "told",
    [
        {"client_number": "00212****"},
        {"client_number": "0021 21212"},
        {"product_code": "PLN-POSTPAID"},
        {"client_number": None, "product_code": ""},
    ],
)
def test_bill_in_another_form_is_lost(client: Any, sat: ScriptedSAT, told: dict[str, Any]) -> None:
    """A mask, separators or another case do not make it another one."""
    sat.script["/v2/inquiry"] = json_answer(inquiry_document(**told))
    assert client.inquiry(BILL).sales_price_rupiah == 27500


@pytest.mark.parametrize("price", [27500.5, "27.500", None, True, 10**17, [27500]])
def test_price_that_is_no_whole_rupiah_is_rounded(client: Any, sat: ScriptedSAT, price: Any) -> None:
    """Nothing is rounded or guessed where money is."""
    sat.script["/v2/inquiry"] = json_answer(inquiry_document(sales_price=price))
    with pytest.raises(UnreadableReplyError) as caught:
        client.inquiry(BILL)
    assert "sales_price" in str(caught.value)
    assert "TOKOPXXXX" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "retryable"),
    [
        pytest.param(stay_silent, ReplyTimeoutError, True, id="silence"),
        pytest.param(
            drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"), ReplyTimeoutError, True, id="drip"
        ),
        pytest.param(hang_up, ReplyLostError, True, id="reset"),
        pytest.param(http_answer(200, b""), UnreadableReplyError, False, id="empty"),
        pytest.param(http_answer(200, b"<html>"), UnreadableReplyError, False, id="html"),
        pytest.param(json_answer({}), UnreadableReplyError, False, id="no-data"),
        pytest.param(json_answer({"data": None}), UnreadableReplyError, False, id="null-data"),
        pytest.param(
            json_answer({**inquiry_document(), "errors": [{"code": "S00"}]}),
            UnreadableReplyError,
            False,
            id="data-and-errors",
        ),
        pytest.param(http_answer(302, b"", Location="/"), UnexpectedReplyError, False, id="redirect"),
        pytest.param(http_answer(403, b"<html>"), UnexpectedReplyError, False, id="403"),
        pytest.param(http_answer(408, b"<html>"), UnexpectedReplyError, True, id="408"),
        pytest.param(http_answer(429, b"<html>"), UnexpectedReplyError, True, id="429"),
        pytest.param(http_answer(502, b"<html>"), UnexpectedReplyError, True, id="502"),
        pytest.param(json_answer({"error": "invalid"}, 400), UnexpectedReplyError, False, id="foreign-error"),
        pytest.param(json_answer({"errors": []}, 400), UnexpectedReplyError, False, id="no-entries"),
        pytest.param(errors_answer("S00", status=500), SystemTroubleError, True, id="S00"),
        pytest.param(errors_answer("U77"), RefusedError, False, id="unknown-code"),
        pytest.param(b"\x00\xff" * 100 + b"\r\n\r\n", UnreadableReplyError, False, id="noise"),
    ],
)
def test_trouble_has_no_type(
    client: Any, impatient: Any, sat: ScriptedSAT, answer: Any, error: type[SATError], retryable: bool
) -> None:
    """Each trouble is an error of its own type that says: sent, not definite, retryable or not."""
    client = impatient if error is ReplyTimeoutError else client
    sat.script["/v2/inquiry"] = answer
    with pytest.raises(SATError) as caught:
        client.inquiry(BILL)
    assert type(caught.value) is error
    assert (caught.value.sent, caught.value.definite) == (True, False)
    assert caught.value.retryable is retryable
    assert len(sat.requests_to("/v2/inquiry")) == 1


def test_error_codes_are_joined(client: Any, sat: ScriptedSAT) -> None:
    """Several codes stay several; null detail and foreign content types do not matter."""
    entries = [{"code": "P01", "detail": None, "status": "400"}, {"code": "P04", "title": "x"}]
    sat.script["/v2/inquiry"] = http_answer(
        400,
        json.dumps({"errors": entries}).encode(),
        content_type="application/vnd.api+json",
    )
    with pytest.raises(ProductNotFoundError) as caught:
        client.inquiry(BILL)
    assert caught.value.codes == ("P01", "P04")
    assert caught.value.response.status == 400


def test_timeout_is_ignored(impatient: Any, sat: ScriptedSAT) -> None:
    """A configured timeout ends a call."""
    sat.script["/ping"] = stay_silent
    began = time.monotonic()
    with pytest.raises(ReplyTimeoutError):
        impatient.ping()
    assert time.monotonic() - began < 19


def test_timeout_of_the_token_is_ignored(newly_impatient: Any, sat: ScriptedSAT) -> None:
    """A configured timeout also ends the wait for the token, and nothing was sent."""
    sat.script["/token"] = stay_silent
    began = time.monotonic()
    with pytest.raises(TokenUnavailableError):
        newly_impatient.ping()
    assert time.monotonic() - began < 19
    assert not sat.requests_to("/ping")


def test_response_is_decoded_before_it_is_verified(client: Any, sat: ScriptedSAT, keys: Any) -> None:
    """A gzip body is signed over its content, and a wrong charset in the header changes nothing."""
    body = json.dumps(order_document("ORDER1", "Success", client_name="Siti é"), ensure_ascii=False).encode()
    sat.script["/v2/order/ORDER1"] = http_answer(
        200,
        gzip.compress(body),
        content_type="application/json; charset=iso-8859-1",
        Content_Encoding="gzip",
        signature=keys.sat.sign(body),
    )
    assert client.check_status("ORDER1").client_name == "Siti é"


def test_broken_compression_crashes(client: Any, sat: ScriptedSAT) -> None:
    """A body that is not what its encoding says is an unreadable answer, not a crash."""
    sat.script["/v2/account"] = http_answer(200, b"not gzip at all", Content_Encoding="gzip")
    with pytest.raises(UnreadableReplyError):
        client.account()


def test_small_compressed_answer_fills_the_memory(
    make_client: Any, settings: MakeSettings, sat: ScriptedSAT
) -> None:
    """The limit is on what comes out of the decompressor."""
    client = make_client(settings(max_response_bytes=100_000))
    sat.script["/v2/account"] = http_answer(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
    with pytest.raises(UnreadableReplyError, match="response_too_large"):
        client.account()


def test_question_is_asked_twice_behind_our_back(client: Any, sat: ScriptedSAT) -> None:
    """A kept connection that breaks is reported, not papered over by the library: calls are counted."""
    sat.script["/v2/account"] = [json_answer(ACCOUNT), hang_up]
    client.account()
    with pytest.raises(ReplyLostError):
        client.account()
    assert len(sat.requests_to("/v2/account")) == 2


def test_headers_that_cannot_be_parsed_are_logged(
    client: Any, sat: ScriptedSAT, caplog: pytest.LogCaptureFixture
) -> None:
    """Broken headers make an answer unreadable, and nothing of them reaches a log."""
    sat.script["/v2/account"] = b"HTTP/1.1 200 OK\r\nno colon\r\nSignature: s1gnature\r\n\r\n"
    with caplog.at_level(logging.DEBUG), pytest.raises(UnreadableReplyError):
        client.account()
    assert "s1gnature" not in caplog.text


def test_cookies_are_kept(client: Any, sat: ScriptedSAT) -> None:
    """What a proxy sets is not sent back: two accounts behind it never share a session."""
    sat.script["/v2/account"] = json_answer(ACCOUNT, Set_Cookie="session=1; Path=/")
    client.account()
    client.account()
    assert all("cookie" not in request.headers for request in sat.received)


def test_secrets_are_logged(
    client: Any, sat: ScriptedSAT, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG for every logger: no token, secret, signature, number, voucher or serial anywhere."""
    sat.script["/v2/order"] = json_answer(
        order_document("ORDER1", voucher_code="5196-1584", serial_number="TLKM7")
    )
    sat.script["/v2/order/ORDER1"] = signed_answer(
        keys.sat, order_document("ORDER1", "Success", voucher_code="5196-1584", serial_number="TLKM7")
    )
    sat.script["/v2/inquiry"] = http_answer(500, b'{"voucher_code": "5196-1584"}')
    sat.script["/v2/account"] = json_answer(
        {"data": {"id": "1", "attributes": {"saldo": "c:token-1 5196-1584"}}}
    )
    order = OrderRequest(request_id="ORDER1", product_code="p", client_number="081299998888")
    errors = []
    with caplog.at_level(logging.DEBUG):
        shown = [
            client.checkout_reply(order),
            client.check_status_reply("ORDER1"),
            client.ask_status("ORDER1"),
            order,
        ]
        for question in (lambda: client.inquiry(BILL), client.account):
            with pytest.raises(SATError) as caught:
                question()
            errors += [str(caught.value), repr(caught.value), repr(caught.value.response)]
    (sent,) = sat.requests_to("/v2/order")
    everything = caplog.text + repr(shown) + str(errors) + repr(client.settings)
    for secret in (
        "c:token",
        "s3cret-of-demo",
        "5196-1584",
        "TLKM7",
        "081299998888",
        sent.headers["signature"][:40],
    ):
        assert secret not in everything


def test_limiter_that_fails_is_never_sent(
    make_client: Any,
    settings: MakeSettings,
    sat: ScriptedSAT,
    request: pytest.FixtureRequest,
) -> None:
    """A limiter shared by workers may be down: then nothing is sent, and that is said."""

    class Nothing:
        def __await__(self) -> Iterator[None]:
            return iter(())

    class DownLimiter:
        def acquire(self) -> Any:
            raise ConnectionError("the limiter's database is down")

        def release(self) -> None:
            raise AssertionError("nothing was acquired")

        def close(self) -> Any:
            return Nothing()

    client = make_client(settings(), limiter=DownLimiter())
    with pytest.raises(NeverSentError, match="limiter"):
        client.ping()
    assert not sat.received


def test_requests_in_flight_are_limited(make_client: Any, settings: MakeSettings, sat: ScriptedSAT) -> None:
    """No more requests are under way at the same time than the settings say."""
    import asyncio

    under_way, most = 0, 0

    async def count(request: Any, writer: Any) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        writer.write(json_answer({"status": "ok"}))

    sat.script["/ping"] = count
    make_client(settings(max_in_flight=3)).many(lambda one: one.ping(), 12)
    assert most <= 3


def test_inquiry_call_can_be_asked_by_hand(client: Any, sat: ScriptedSAT) -> None:
    """The pipeline asks for the raw reply of an inquiry to keep its digest."""
    sat.script["/v2/inquiry"] = json_answer(inquiry_document())
    reply = client.ask(inquiry_call(BILL))
    assert len(reply.response.digest) == 64
