"""SAT's messages as frozen models (protocol sections 4, 5 and 8).

Amounts are whole rupiah. Strings that SAT leaves out or sends as ``null`` are ``""``; amounts that it leaves
out are ``None``; lists that it leaves out are ``()`` and otherwise keep their order and repeated names.
Unknown members are kept in ``model_extra``. Customers' data and goods are masked in every repr.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from sat_hook.protocol.endpoints import MAXIMUM_REQUEST_ID_CHARACTERS
from sat_hook.protocol.errors import UnreadableReplyError
from sat_hook.protocol.values import (
    DisplayText,
    Flag,
    Moment,
    OptionalRupiah,
    ProductStatus,
    Rupiah,
    SentRupiah,
    Status,
    Text,
    is_absent,
    name_values,
    shape_of,
    text,
    whole_number,
)

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_ESCAPED_NUL = b"\\u0000"


class Message(BaseModel):
    """A value that was, or will be, on the wire."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )

    masked: ClassVar[frozenset[str]] = frozenset()
    """Members that a repr shows as ``***`` (when they are not empty)."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name in type(self).model_fields:
            value = getattr(self, name)
            yield name, _Masked() if name in self.masked and value else value
        if self.model_extra:
            # Unknown members may hold personal data, so only their names are shown.
            yield "unknown_members", sorted(self.model_extra)

    def __str__(self) -> str:
        return repr(self)


class _Masked:
    def __repr__(self) -> str:
        return "***"


class NameValue(Message):
    """One line of a name/value list. Names repeat ("Nama", "NAMA"): never fold a list into a dict."""

    masked = frozenset({"value"})

    name: DisplayText = ""
    value: DisplayText = ""


NameValues = Annotated[tuple[NameValue, ...], BeforeValidator(name_values)]


class _Request(Message):
    """What we send. An unknown member is our own mistake, so it is refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=256)
    masked = frozenset({"client_number", "fields", "downline_id"})

    product_code: str = Field(min_length=1)
    client_number: str = Field(min_length=1)
    amount_rupiah: Annotated[SentRupiah, Field(ge=0)] | None = None
    fields: tuple[NameValue, ...] = Field(default=(), max_length=64)
    downline_id: str | None = None

    def _attributes(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "product_code": self.product_code,
            "client_number": self.client_number,
        }
        if self.amount_rupiah is not None:
            attributes["amount"] = self.amount_rupiah
        if self.fields:
            attributes["fields"] = [{"name": line.name, "value": line.value} for line in self.fields]
        if self.downline_id:
            attributes["downline_id"] = self.downline_id
        return attributes


class InquiryRequest(_Request):
    """Asks what a bill costs (protocol section 5.4). Set ``amount_rupiah`` only for open payments."""


class OrderRequest(_Request):
    """Buys a product (protocol section 5.5). ``amount_rupiah`` is None for fixed-price products, and the
    inquiry's
    ``sales_price_rupiah`` for products that need an inquiry."""

    request_id: str = Field(min_length=1, max_length=MAXIMUM_REQUEST_ID_CHARACTERS)


class Ping(Message):
    """SAT's answer to a ping: it is up, and which environment it is (protocol section 5.1)."""

    buildhash: Text = ""
    sandbox: bool | None = None
    status: Text = ""


class Account(Message):
    """The account and its deposit (protocol section 5.2)."""

    id: Annotated[str, BeforeValidator(text), Field(min_length=1)]
    saldo_rupiah: Rupiah = Field(alias="saldo")


class Product(Message):
    """One product of the catalogue (protocol section 5.3). ``price_rupiah`` is what we are charged.

    ``unreadable`` says why the line could not be read. Only ``code`` is known then; it is empty if it cannot
    be read either. Such a product cannot be ordered, but it is not treated as delisted.
    """

    code: str
    unreadable: str = ""
    name: Text = ""
    price_rupiah: OptionalRupiah = Field(default=None, alias="price")
    is_inquiry: Flag = False
    status: Status = 0
    operator_name: Text = ""
    category_name: Text = ""

    @property
    def is_active(self) -> bool:
        """True if the product can be ordered now; false for an unknown status and an unreadable product."""
        return self.status is ProductStatus.ACTIVE


class Inquiry(Message):
    """What a bill costs (protocol section 5.4): ``sales_price_rupiah`` is what a checkout sends."""

    masked = frozenset({"client_number", "client_name", "meter_id", "inquiry_result", "fields"})

    product_code: Text = ""
    client_number: Text = ""
    client_name: Text = ""
    base_price_rupiah: OptionalRupiah = Field(default=None, alias="base_price")
    admin_fee_rupiah: OptionalRupiah = Field(default=None, alias="admin_fee")
    sales_price_rupiah: Rupiah = Field(alias="sales_price")
    meter_id: Text = ""
    inquiry_result: NameValues = ()
    fields: NameValues = ()
    ref_id: Text = ""
    min_payment_rupiah: OptionalRupiah = Field(default=None, alias="min_payment")
    max_payment_rupiah: OptionalRupiah = Field(default=None, alias="max_payment")
    min_amount_rupiah: OptionalRupiah = Field(default=None, alias="min_amount")


class UnreadableAmount(NamedTuple):
    """An amount from SAT that is not a whole number: the member's name, and what was found."""

    member: str
    found: str


class OrderDetail(Message):
    """An order as SAT sees it: the checkout's reply, the status and the callback (protocol section 5.6).

    ``status`` is kept as SAT sent it; ``Pending``, ``Success`` and ``Failed`` are known. The order's id,
    product, client number and status must be readable. Other members never make the message unreadable: an
    amount that is not a whole number becomes None and is listed in ``unreadable_amounts``, and a text may be
    any JSON. Amounts are as SAT sent them and may be negative or absurdly large.
    """

    masked = frozenset(
        {"client_number", "client_name", "voucher_code", "serial_number", "fulfillment_result", "fields"}
    )

    request_id: Text = ""
    status: Annotated[str, Field(min_length=1, max_length=64)]
    error_code: DisplayText = ""
    error_detail: DisplayText = ""
    product_code: Text = ""
    client_number: Text = ""
    sales_price_rupiah: int | None = Field(default=None, alias="sales_price")
    admin_fee_rupiah: int | None = Field(default=None, alias="admin_fee")
    partner_fee_rupiah: int | None = Field(default=None, alias="partner_fee")
    fulfilled_at: Moment = None
    fulfillment_result: NameValues = ()
    client_name: DisplayText = ""
    voucher_code: DisplayText = ""
    serial_number: DisplayText = ""
    fields: NameValues = ()
    unreadable_amounts: tuple[UnreadableAmount, ...] = ()


class ErrorEntry(Message):
    """One of SAT's errors (protocol section 8); ``status`` is the HTTP status as text."""

    code: Text = ""
    detail: Text = ""
    status: Text = ""


def encode_inquiry(request: InquiryRequest) -> bytes:
    """The body of an inquiry: compact, deterministic, unset members left out."""
    return _encode({"data": {"type": "inquiry", "attributes": request._attributes()}})


def encode_order(request: OrderRequest) -> bytes:
    """The body of a checkout: serialized here once, then signed, recorded and sent unchanged."""
    return _encode({"data": {"type": "order", "id": request.request_id, "attributes": request._attributes()}})


def parse_ping(body: bytes) -> Ping:
    """:raises UnreadableReplyError: when the body is not a ping (plain JSON, without ``data`` around it)."""
    return _validated(Ping, _object(_json(body), "the ping"), "the ping")


def parse_account(body: bytes) -> Account:
    """:raises UnreadableReplyError: when the body is not an account, or the deposit is not whole rupiah."""
    data, attributes = _resource(body, "account")
    return _validated(Account, {**attributes, "id": data.get("id")}, "the account")


def parse_products(body: bytes) -> list[Product]:
    """Read every product of the list, in any status. An unreadable product does not affect the others.

    :raises UnreadableReplyError: when the body is not a list of products.
    """
    data = _envelope(body, "the product list").get("data")
    if not isinstance(data, list):
        raise UnreadableReplyError("the product list has no list of products in 'data'")
    return [_product(entry, index) for index, entry in enumerate(data)]


def parse_inquiry(body: bytes) -> Inquiry:
    """:raises UnreadableReplyError: when the body is not an inquiry, or its price is not whole rupiah."""
    _, attributes = _resource(body, "inquiry")
    return _validated(Inquiry, attributes, "the inquiry")


def parse_order(body: bytes) -> OrderDetail:
    """Read an order from a checkout's reply, a status or a callback. Signatures are checked elsewhere.

    :raises UnreadableReplyError: when the body is not an order: no ``data``, no id, no status, or a product
        or client number that is neither text nor a number.
    """
    data, attributes = _resource(body, "order")
    request_id = _id(data)
    if not request_id:
        raise UnreadableReplyError("the order has no id")
    members = {**attributes, "request_id": request_id, **_amounts(attributes)}
    return _validated(OrderDetail, members, "the order")


def parse_errors(body: bytes) -> tuple[ErrorEntry, ...]:
    """Read SAT's error entries, at least one.

    :raises UnreadableReplyError: when the body is not a SAT error: HTML of a proxy, ``{"error": …}``, an
        empty list.
    """
    entries = _object(_json(body), "the error").get("errors")
    if not isinstance(entries, list) or not entries:
        raise UnreadableReplyError("the error has no list of entries in 'errors'")
    return tuple(_validated(ErrorEntry, _object(entry, "an error entry"), "the error") for entry in entries)


def parse_document(body: bytes, what: str) -> dict[str, Any]:
    """Read a plain JSON object that has no model here (the token, a token error).

    :raises UnreadableReplyError: when the body is something else.
    """
    return _object(_json(body), what)


def _product(entry: object, index: int) -> Product:
    what = f"product {index + 1} of the list"
    code = ""
    try:
        data = _object(entry, what)
        code = _id(data)
        attributes = dict(_object(data.get("attributes"), what))
        # The documents say product_name and price; the vendor's own Python model says name and sales_price.
        attributes["name"] = attributes.pop("product_name", None) or attributes.get("name")
        other_price = attributes.get("sales_price")
        if attributes.get("price") is None and other_price is not None:
            attributes["price"] = attributes.pop("sales_price")
        unreadable = "" if code else f"{what} has no code"
        return _validated(Product, {**attributes, "code": code, "unreadable": unreadable}, what)
    except UnreadableReplyError as error:
        return Product(code=code, unreadable=str(error))


def _id(data: dict[str, Any]) -> str:
    """The id of a resource; empty when it is missing, or neither text nor a number."""
    try:
        found = text(data.get("id"))
    except ValueError:
        return ""  # a number with more digits than Python converts to text
    return found if isinstance(found, str) else ""


_AMOUNTS = ("sales_price", "admin_fee", "partner_fee")


def _amounts(attributes: dict[str, Any]) -> dict[str, Any]:
    """Read an order's amounts one by one: a bad amount must not make a signed status unreadable."""
    read: dict[str, Any] = dict.fromkeys(_AMOUNTS)
    unreadable = []
    for member in _AMOUNTS:
        found = attributes.get(member)
        try:
            read[member] = None if is_absent(found) else whole_number(found)
        except ValueError:
            unreadable.append(UnreadableAmount(member, shape_of(found)))
    return {**read, "unreadable_amounts": tuple(unreadable)}


def _resource(body: bytes, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    what = f"the {kind}"
    data = _object(_envelope(body, what).get("data"), f"'data' of {what}")
    if data.get("type") not in (kind, None, ""):
        raise UnreadableReplyError(f"{what} was expected, another type of resource was found")
    return data, _object(data.get("attributes"), f"'attributes' of {what}")


def _envelope(body: bytes, what: str) -> dict[str, Any]:
    envelope = _object(_json(body), what)
    if envelope.get("errors"):
        raise UnreadableReplyError(f"{what} has errors where only data was expected")
    return envelope


def _json(body: bytes) -> object:
    """Parse strict JSON in UTF-8. Refuses lone surrogates and NUL: databases cannot store them as text."""
    if _ESCAPED_NUL in body:
        raise UnreadableReplyError("the body has a NUL character in a text")
    try:
        document: object = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except (ValueError, RecursionError):
        # The parser's message may quote the body, which may hold a voucher.
        raise UnreadableReplyError(f"the body ({len(body)} bytes) is not JSON in UTF-8") from None
    return document


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableReplyError(f"{what} is not a JSON object")
    return value


_M = TypeVar("_M", bound=Message)


def _validated(model: type[_M], members: dict[str, Any], what: str) -> _M:
    try:
        return model.model_validate(members)
    except ValidationError as error:
        raise UnreadableReplyError(f"{what} cannot be read: {_findings(error)}") from None


def _findings(error: ValidationError) -> str:
    """Which members are wrong and why, without their values."""
    found: Sequence[Any] = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in found[:5])


def _encode(document: dict[str, Any]) -> bytes:
    return _compact(document).encode("utf-8")
