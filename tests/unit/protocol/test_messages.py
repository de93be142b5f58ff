"""Messages: whole rupiah, lists as lists, unknown members kept, customers masked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sat_hook.protocol.errors import UnreadableReplyError
from sat_hook.protocol.messages import (
    Inquiry,
    InquiryRequest,
    NameValue,
    OrderDetail,
    OrderRequest,
    Product,
    encode_inquiry,
    encode_order,
    parse_account,
    parse_errors,
    parse_inquiry,
    parse_order,
    parse_ping,
    parse_products,
)
from sat_hook.protocol.values import MAXIMUM_RUPIAH
from tests.fuzzing import examples

# No lone surrogates (no UTF-8 has them) and no NUL (no database text has it).
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
FILLED = TEXT.filter(bool)
RUPIAH = st.integers(0, MAXIMUM_RUPIAH)
LINES = st.lists(st.builds(NameValue, name=TEXT, value=TEXT), max_size=5).map(tuple)


def order_body(request_id: Any = "R1", **attributes: Any) -> bytes:
    """An order as SAT sends it."""
    shown = {"status": "Pending", **attributes}
    return json.dumps({"data": {"type": "order", "id": request_id, "attributes": shown}}).encode()


@settings(max_examples=examples(300), deadline=None)
@given(
    st.builds(
        OrderRequest,
        request_id=FILLED,
        product_code=FILLED,
        client_number=FILLED,
        amount_rupiah=st.none() | RUPIAH,
        fields=LINES,
        downline_id=st.none() | FILLED,
    )
)
def test_order_survives_the_wire(request: OrderRequest) -> None:
    """What is encoded says exactly what was meant, unset members are absent, and again the same bytes."""
    body = encode_order(request)
    assert body == encode_order(request)
    data = json.loads(body)["data"]
    attributes = data["attributes"]
    assert (data["type"], data["id"]) == ("order", request.request_id)
    assert attributes["product_code"] == request.product_code
    assert attributes["client_number"] == request.client_number
    assert attributes.get("amount") == request.amount_rupiah
    assert ("amount" in attributes) == (request.amount_rupiah is not None)
    assert attributes.get("fields", []) == [line.model_dump() for line in request.fields]
    assert attributes.get("downline_id") == request.downline_id
    assert b'": ' not in body.replace(b'\\"', b"") or any(": " in text for text in _texts(request))


@settings(max_examples=examples(300), deadline=None)
@given(
    st.fixed_dictionaries(
        {"status": FILLED.filter(lambda text: len(text) <= 64)},
        optional={
            "error_code": TEXT | st.none(),
            "sales_price": RUPIAH | RUPIAH.map(float) | st.none(),
            "partner_fee": RUPIAH,
            "client_number": TEXT,
            "voucher_code": TEXT | st.none(),
            "fields": st.none() | st.lists(st.fixed_dictionaries({"name": TEXT, "value": TEXT}), max_size=3),
            "news": st.integers() | TEXT,
        },
    ),
    FILLED,
)
def test_reply_survives_the_wire(attributes: dict[str, Any], request_id: str) -> None:
    """Every member comes back as it was sent; absent and null are empty; unknown ones are kept."""
    order = parse_order(order_body(request_id, **attributes))
    assert order.request_id == request_id
    assert order.status == attributes["status"]
    assert order.error_code == (attributes.get("error_code") or "")
    price = attributes.get("sales_price")
    assert order.sales_price_rupiah == (None if price is None else int(price))
    assert order.sales_price_rupiah is None or type(order.sales_price_rupiah) is int
    assert [line.model_dump() for line in order.fields] == (attributes.get("fields") or [])
    assert (order.model_extra or {}).get("news") == attributes.get("news")


@pytest.mark.parametrize("amount", [12500.5, "12500", True, -1, MAXIMUM_RUPIAH + 1, float("nan"), 1e300])
def test_amount_that_is_no_whole_rupiah_is_sent(amount: Any) -> None:
    """No half rupiah, no text, no truth value, nothing negative or absurd leaves this machine."""
    with pytest.raises(ValidationError):
        OrderRequest(request_id="R1", product_code="p", client_number="1", amount_rupiah=amount)


def test_default_amount_goes_out_as_zero() -> None:
    """A fixed-price order has no amount at all, and an amount is an integer on the wire."""
    prepaid = OrderRequest(request_id="R1", product_code="50k-simpati", client_number="081211311111")
    assert b"amount" not in encode_order(prepaid)
    assert encode_order(prepaid) == (
        b'{"data":{"type":"order","id":"R1","attributes":'
        b'{"product_code":"50k-simpati","client_number":"081211311111"}}}'
    )
    bill = InquiryRequest(product_code="p", client_number="1", amount_rupiah=12500)
    assert b'"amount":12500}' in encode_inquiry(bill)


def test_misspelt_member_is_dropped_in_silence() -> None:
    """A request with a member that does not exist is refused: an unsent amount is a wrong order."""
    with pytest.raises(ValidationError) as caught:
        OrderRequest(request_id="R1", product_code="p", client_number="0812999", amount=5)  # type: ignore[call-arg]
    assert "0812999" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01T10:00:00Z", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01T17:00:00+07:00", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01T10:00:00.123456789Z", datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        ("", None),
        (None, None),
        ("2024-05-01T10:00:00", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        (1714557600, None),
    ],
)
def test_display_time_costs_a_status_its_readability(text: Any, moment: datetime | None) -> None:
    """Any offset is understood; what is no moment is none; the order stays readable in every case."""
    order = parse_order(order_body(status="Success", fulfilled_at=text))
    assert (order.status, order.fulfilled_at) == ("Success", moment)


@pytest.mark.parametrize("absent", [None, [], "", {}])
def test_empty_list_is_spelt_in_many_ways(absent: Any) -> None:
    """null, [], "" and {} are all no lines."""
    order = parse_order(order_body(fields=absent, fulfillment_result=absent))
    assert (order.fields, order.fulfillment_result) == ((), ())


def test_repeated_names_are_folded() -> None:
    """A name/value list is a list: order and repeated names are kept."""
    lines = [{"name": "Nama", "value": "A"}, {"name": "NAMA", "value": "B"}, {"name": "Nama", "value": 3}]
    order = parse_order(order_body(fulfillment_result=lines))
    assert [(line.name, line.value) for line in order.fulfillment_result] == [
        ("Nama", "A"),
        ("NAMA", "B"),
        ("Nama", "3"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": {"id": "R1"}}',
        b'{"data": {"id": "R1", "attributes": {}}}',
        b'{"data": {"id": "R1", "attributes": {"status": ""}}}',
        b'{"data": {"id": "", "attributes": {"status": "Success"}}}',
        b'{"data": {"attributes": {"status": "Success"}}}',
        b'{"data": {"id": true, "attributes": {"status": "Success"}}}',
        b'{"data": {"id": "R1", "type": "account", "attributes": {"status": "Success"}}}',
        b'{"data": {"id": "R1", "attributes": {"status": "Success", "sales_price": NaN}}}',
        b'{"data": {"id": "R1", "attributes": {"status": "Success", "product_code": {"a": 1}}}}',
        b'{"data": {"id": "R1", "attributes": {"status": "Success", "client_number": 0.5}}}',
        b'{"data": {"id": "R1", "attributes": {"status": ["Success"]}}}',
        b'{"data": {"id": "R1", "attributes": {"status": "a\\u0000b"}}}',
        b'{"data": {"id": "R1", "attributes": {"status": "\\ud800"}}}',
        b'{"data": {"id": "R1", "attributes": {"status": "\xff"}}}',
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_order_without_substance_is_a_success(body: bytes) -> None:
    """No data, no id, no status, no product or number that can be read: not an order, and the error has a
    type."""
    with pytest.raises(UnreadableReplyError):
        parse_order(body)


def test_one_new_status_hides_the_catalogue() -> None:
    """Status 3, unknown statuses and products without a price are kept."""
    products = parse_products(
        json.dumps(
            {
                "data": [
                    {"id": "a", "attributes": {"status": 3, "price": 1}},
                    {"id": "b", "attributes": {"status": 77}},
                    {"id": "c", "attributes": {"product_name": None, "name": "C", "status": None}},
                ]
            }
        ).encode()
    )
    assert [(product.status, product.price_rupiah) for product in products] == [(3, 1), (77, None), (0, None)]
    assert products[2].name == "C"
    assert not any(product.is_active for product in products)


def test_foreign_error_is_an_error_without_codes() -> None:
    """A JSON error that is not SAT's is unreadable, not an empty list."""
    for body in (
        b'{"error":"invalid_token"}',
        b'{"errors":[]}',
        b'{"errors":{}}',
        b'{"errors":["x"]}',
        b"<html>",
    ):
        with pytest.raises(UnreadableReplyError):
            parse_errors(body)
    (entry,) = parse_errors(b'{"errors":[{"code":"P03","detail":null,"status":400,"meta":{"a":1}}]}')
    assert (entry.code, entry.detail, entry.status) == ("P03", "", "400")


def test_customers_and_goods_are_in_the_repr() -> None:
    """Numbers, names, vouchers, serials, bill lines and unknown members are masked; codes are not."""
    secrets = {
        "client_number": "081299998888",
        "client_name": "Siti Rahma",
        "voucher_code": "5196-1584",
        "serial_number": "TLKM030595",
    }
    order = parse_order(
        order_body(**secrets, fields=[{"name": "Nama", "value": "Siti Rahma"}], token="PLN-TOKEN-9")
    )
    bill = Inquiry(
        client_number="081299998888", client_name="Siti Rahma", sales_price_rupiah=5, meter_id="TLKM030595"
    )
    request = OrderRequest(
        request_id="R1",
        product_code="p",
        client_number="081299998888",
        fields=(NameValue(name="a", value="5196-1584"),),
    )
    shown = f"{order!r} {order} {bill!r} {request!r} {request.fields!r} {[order]}"
    for secret in (*secrets.values(), "PLN-TOKEN-9"):
        assert secret not in shown
    assert "unknown_members=['token']" in shown
    assert "request_id='R1'" in shown


def test_models_are_made_by_name_too() -> None:
    """Our own code names units; the wire's names stay on the wire."""
    assert Product(code="a", price_rupiah=5).price_rupiah == 5
    assert OrderDetail(status="Pending", sales_price_rupiah=5).sales_price_rupiah == 5
    assert (
        parse_account(b'{"data":{"type":"account","id":2203,"attributes":{"saldo":-5}}}').saldo_rupiah == -5
    )
    assert parse_ping(b'{"sandbox":true,"status":"ok","buildhash":"b"}').sandbox is True
    assert parse_inquiry(b'{"data":{"attributes":{"sales_price":5.0}}}').sales_price_rupiah == 5


def _texts(request: OrderRequest) -> list[str]:
    lines = [text for line in request.fields for text in (line.name, line.value)]
    return [
        request.request_id,
        request.product_code,
        request.client_number,
        request.downline_id or "",
        *lines,
    ]
