"""Members in another JSON type: what says the same is read, what does not costs only itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.protocol.errors import UnreadableReplyError
from sat_hook.protocol.messages import OrderDetail, parse_account, parse_inquiry, parse_order, parse_products
from tests.fuzzing import examples
from tests.unit.protocol.test_messages import order_body

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
AMOUNT = st.integers(0, 10**12)
SAME = AMOUNT.flatmap(
    lambda n: st.sampled_from([n, float(n), str(n), f"{n}.0", f"{n}.00"]).map(lambda w: (n, w))
)
BESIDE = (
    "error_code",
    "error_detail",
    "fulfilled_at",
    "fulfillment_result",
    "client_name",
    "voucher_code",
    "serial_number",
    "fields",
    "news",
    "unreadable_amounts",
    "sales_price_rupiah",
)


def _list(*entries: Any) -> bytes:
    return json.dumps({"data": list(entries)}).encode()


@settings(max_examples=examples(150), deadline=None)
@given(
    st.sampled_from(["Pending", "Success", "Failed"]),
    SAME | JSON.map(lambda value: (None, value)),
    st.dictionaries(st.sampled_from(BESIDE), JSON, max_size=len(BESIDE)),
)
def test_no_member_beside_status_and_identity_costs_an_order(
    status: str, price: tuple[int | None, Any], beside: dict[str, Any]
) -> None:
    """Whatever JSON the other members are, id and status are read; an amount is the number that it says."""
    number, written = price
    order = parse_order(order_body("R1", **beside, status=status, sales_price=written, product_code="p"))
    assert (order.request_id, order.status, order.product_code) == ("R1", status, "p")
    if number is not None:
        assert (order.sales_price_rupiah, order.unreadable_amounts) == (number, ())
    unread = [amount.member for amount in order.unreadable_amounts]
    assert (order.sales_price_rupiah is None) == (written in (None, "") or "sales_price" in unread)
    assert type(order.sales_price_rupiah) in (int, type(None))


@pytest.mark.parametrize(
    "price",
    [
        "12.500",
        "12,500",
        "12500.5",
        "1e3",
        " 12500",
        "Rp 12500",
        "012500",
        "٣",
        True,
        [12500],
        {},
        12500.5,
        10**30,
    ],
)
def test_an_amount_that_may_mean_something_else_is_not_read(price: Any) -> None:
    """Thousand marks, fractions, blanks, flags: nothing is guessed where money is, and the order is read."""
    order = parse_order(order_body(status="Success", sales_price=price))
    assert order.sales_price_rupiah is None
    assert [amount.member for amount in order.unreadable_amounts] == ["sales_price"]


def test_an_unreadable_amount_shows_no_goods() -> None:
    """A voucher or a number in the wrong member is described, not shown."""
    for secret in ("5196 1584 0828 2085 4701", "TLKM030595", "08123456789012345"):
        order = parse_order(order_body(status="Success", sales_price=secret, admin_fee=[secret]))
        assert secret not in repr(order)
        assert len(order.unreadable_amounts) == 2
    (shown,) = parse_order(order_body(status="Success", sales_price="12.500")).unreadable_amounts
    assert shown.found == "12.500"


def test_goods_in_another_shape_are_kept() -> None:
    """A voucher as a number, lines as an object or a list of texts: the customer gets what was bought."""
    order: OrderDetail = parse_order(
        order_body(status="Success", voucher_code=51961584, serial_number={"sn": "X1"}, fields="Budi")
    )
    assert (order.voucher_code, order.serial_number) == ("51961584", '{"sn":"X1"}')
    assert [(line.name, line.value) for line in order.fields] == [("", "Budi")]
    lines = parse_order(order_body(status="Success", fulfillment_result={"Token": 12, "Nama": None}))
    assert [(line.name, line.value) for line in lines.fulfillment_result] == [("Token", "12"), ("Nama", "")]


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(JSON | st.fixed_dictionaries({"id": JSON, "attributes": JSON}), max_size=4), SAME)
def test_a_product_that_cannot_be_read_costs_only_itself(odd: list[Any], price: tuple[int, Any]) -> None:
    """Whatever is on the list beside it, a good product is read; each odd one is there with its reason."""
    number, written = price
    good = {"id": "good", "attributes": {"price": written, "status": "1", "is_inquiry": 0}}
    products = parse_products(_list(*odd, good))
    assert len(products) == len(odd) + 1
    assert (products[-1].code, products[-1].price_rupiah, products[-1].is_active) == ("good", number, True)
    for product in products:
        assert not (product.unreadable and product.is_active)
        assert product.code or product.unreadable


@pytest.mark.parametrize(
    ("attributes", "price", "is_inquiry", "status"),
    [
        ({"price": "12500", "is_inquiry": "1", "status": "1"}, 12500, True, 1),
        ({"price": "12500.0", "is_inquiry": 1, "status": 1.0}, 12500, True, 1),
        ({"price": 12500.0, "is_inquiry": "false", "status": "2"}, 12500, False, 2),
        ({"price": "", "is_inquiry": None, "status": None}, None, False, 0),
    ],
)
def test_numbers_and_flags_of_a_product_in_other_types(
    attributes: dict[str, Any], price: int | None, is_inquiry: bool, status: int
) -> None:
    """Text, fractions of nothing, 0 and 1: a product is what it says."""
    (product,) = parse_products(_list({"id": "a", "attributes": attributes}))
    assert (product.price_rupiah, product.is_inquiry, product.status) == (price, is_inquiry, status)
    assert not product.unreadable


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "a", "attributes": {"price": "12.500", "status": 1}},
        {"id": "a", "attributes": {"price": 1, "is_inquiry": "perhaps", "status": 1}},
        {"id": "a", "attributes": {"price": 1, "status": "on"}},
        {"id": "a", "attributes": {"price": 10**16, "status": 1}},
        {"id": "a", "attributes": ["price", 1]},
        {"id": "a"},
    ],
)
def test_an_unreadable_product_keeps_its_code(entry: dict[str, Any]) -> None:
    """It is known by its code, has no price, cannot be ordered, and says why."""
    (product,) = parse_products(_list(entry))
    assert (product.code, product.price_rupiah, product.is_active) == ("a", None, False)
    assert "product 1 of the list" in product.unreadable


@pytest.mark.parametrize(
    "entry", [{"id": True, "attributes": {}}, {"id": None, "attributes": {}}, "a", 7, None]
)
def test_a_product_without_a_code_is_told_of(entry: Any) -> None:
    """It is on the list without a code."""
    (product,) = parse_products(_list(entry))
    assert product.code == ""
    assert product.unreadable


def test_a_saldo_and_a_bill_as_text() -> None:
    """The deposit and a bill are read from text as from numbers; what is not exact is refused."""
    assert parse_account(b'{"data":{"id":1,"attributes":{"saldo":"500000"}}}').saldo_rupiah == 500_000
    assert parse_inquiry(b'{"data":{"attributes":{"sales_price":"27500.0"}}}').sales_price_rupiah == 27_500
    for saldo in (b'"500.000"', b"true", b"1" + b"0" * 16, b"[]"):
        with pytest.raises(UnreadableReplyError):
            parse_account(b'{"data":{"id":1,"attributes":{"saldo":' + saldo + b"}}}")
