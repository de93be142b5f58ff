"""SAT's messages as frozen models (protocol sections 4, 5 and 8).

Amounts are whole rupiah. Strings that SAT leaves out or sends as ``null`` are ``""``; amounts that it leaves
out are ``None``; lists that it leaves out are ``()`` and otherwise keep their order and repeated names.
Members that we do not know are kept in ``model_extra``. Customers' data and goods are masked in every repr.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import from_json

from sat_hook.protocol.endpoints import MAXIMUM_REQUEST_ID_CHARACTERS
from sat_hook.protocol.errors import UnreadableReplyError

MAXIMUM_RUPIAH = 10**15
"""Far above any deposit, far below where a float loses single rupiah or a bigint ends."""

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_ESCAPED_NUL = b"\\u0000"


class ProductStatus(IntEnum):
    """Whether a product can be ordered (protocol section 5.3)."""

    ACTIVE = 1
    INACTIVE = 2
    TEMPORARILY_INACTIVE = 3


def _rupiah(value: object) -> object:
    """Whole rupiah: ``12500`` and ``12500.0``, never ``12500.5``, ``"12500"`` or ``true``."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAXIMUM_RUPIAH:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number of rupiah")  # noqa: TRY004 - pydantic collects ValueError
    if abs(value) > MAXIMUM_RUPIAH:
        raise ValueError("is more rupiah than this client believes")
    return value


def _optional_rupiah(value: object) -> object:
    return None if value is None or value == "" else _rupiah(value)


def _text(value: object) -> object:
    """Text; absent becomes empty, and an id or number sent as an integer keeps its digits."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _display_text(value: object) -> object:
    """Text that is only shown: any scalar."""
    return str(value) if isinstance(value, (bool, float)) else _text(value)


def _listed(value: object) -> object:
    """``null``, ``""`` and ``{}`` are seen where a list has nothing in it (protocol section 4.1)."""
    if value in (None, "", {}):
        return ()
    return value


def _moment(value: object) -> datetime | None:
    """RFC 3339 with any offset, as UTC. What is no such moment is None: a display time must never cost a
    signed status its readability, and the exact text stays in the evidence."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo is not None else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _product_status(value: object) -> ProductStatus | int:
    """A status that we do not know stays a number: one new status must not hide the whole catalogue."""
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic collects ValueError
    try:
        return ProductStatus(value)
    except ValueError:
        return value


Rupiah = Annotated[int, BeforeValidator(_rupiah)]
OptionalRupiah = Annotated[int | None, BeforeValidator(_optional_rupiah)]
Text = Annotated[str, BeforeValidator(_text)]
DisplayText = Annotated[str, BeforeValidator(_display_text)]
Moment = Annotated[datetime | None, PlainValidator(_moment)]
Status = Annotated[ProductStatus | int, PlainValidator(_product_status)]


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
            # Unknown members may hold anything, so only their names are shown.
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


NameValues = Annotated[tuple[NameValue, ...], BeforeValidator(_listed)]


class _Request(Message):
    """What we send: a member that does not exist is a mistake here, not news from the vendor."""

    model_config = ConfigDict(extra="forbid", str_max_length=256)
    masked = frozenset({"client_number", "fields", "downline_id"})

    product_code: str = Field(min_length=1)
    client_number: str = Field(min_length=1)
    amount_rupiah: Annotated[int, Field(ge=0), BeforeValidator(_rupiah)] | None = None
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
    """Asks what a bill costs (protocol section 5.4). ``amount_rupiah`` only for open payments."""


class OrderRequest(_Request):
    """Buys (protocol section 5.5). ``amount_rupiah``: none for fixed-price products, the inquiry's
    ``sales_price_rupiah`` for products that need an inquiry."""

    request_id: str = Field(min_length=1, max_length=MAXIMUM_REQUEST_ID_CHARACTERS)


class Ping(Message):
    """Is SAT there, and which SAT is it (protocol section 5.1)."""

    buildhash: Text = ""
    sandbox: bool | None = None
    status: Text = ""


class Account(Message):
    """The account and its deposit (protocol section 5.2)."""

    id: Annotated[str, BeforeValidator(_text), Field(min_length=1)]
    saldo_rupiah: Rupiah = Field(alias="saldo")


class Product(Message):
    """One product of the catalogue (protocol section 5.3). ``price_rupiah`` is what we are charged."""

    code: Annotated[str, BeforeValidator(_text), Field(min_length=1)]
    name: Text = ""
    price_rupiah: OptionalRupiah = Field(default=None, alias="price")
    is_inquiry: bool = False
    status: Status = 0
    operator_name: Text = ""
    category_name: Text = ""

    @property
    def is_active(self) -> bool:
        """True if it can be ordered now; an unknown status cannot."""
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


class OrderDetail(Message):
    """An order as SAT sees it: the checkout's reply, the status and the callback (protocol section 5.6).

    ``status`` is SAT's own word, kept as it came; ``Pending``, ``Success`` and ``Failed`` are known.
    """

    masked = frozenset(
        {"client_number", "client_name", "voucher_code", "serial_number", "fulfillment_result", "fields"}
    )

    request_id: Text = ""
    status: Annotated[str, Field(min_length=1, max_length=64)]
    error_code: Text = ""
    error_detail: Text = ""
    product_code: Text = ""
    client_number: Text = ""
    sales_price_rupiah: OptionalRupiah = Field(default=None, alias="sales_price")
    admin_fee_rupiah: OptionalRupiah = Field(default=None, alias="admin_fee")
    partner_fee_rupiah: OptionalRupiah = Field(default=None, alias="partner_fee")
    fulfilled_at: Moment = None
    fulfillment_result: NameValues = ()
    client_name: Text = ""
    voucher_code: Text = ""
    serial_number: Text = ""
    fields: NameValues = ()


class ErrorEntry(Message):
    """One of SAT's errors (protocol section 8); ``status`` is the HTTP status as text."""

    code: Text = ""
    detail: Text = ""
    status: Text = ""


def encode_inquiry(request: InquiryRequest) -> bytes:
    """The body of an inquiry: compact, deterministic, unset members left out."""
    return _encode({"data": {"type": "inquiry", "attributes": request._attributes()}})


def encode_order(request: OrderRequest) -> bytes:
    """The body of a checkout: serialized here once, then signed, recorded and sent as it is."""
    return _encode({"data": {"type": "order", "id": request.request_id, "attributes": request._attributes()}})


def parse_ping(body: bytes) -> Ping:
    """:raises UnreadableReplyError: when the body is no ping (plain JSON, no ``data`` around it)."""
    return _validated(Ping, _object(_json(body), "the ping"), "the ping")


def parse_account(body: bytes) -> Account:
    """:raises UnreadableReplyError: when the body is no account, or the deposit is no whole rupiah."""
    data, attributes = _resource(body, "account")
    return _validated(Account, {**attributes, "id": data.get("id")}, "the account")


def parse_products(body: bytes) -> list[Product]:
    """Every product of the list, whatever its status.

    :raises UnreadableReplyError: when the body is no list of products.
    """
    data = _envelope(body, "the product list").get("data")
    if not isinstance(data, list):
        raise UnreadableReplyError("the product list has no list of products in 'data'")
    return [_product(entry, index) for index, entry in enumerate(data)]


def parse_inquiry(body: bytes) -> Inquiry:
    """:raises UnreadableReplyError: when the body is no inquiry, or its price is no whole rupiah."""
    _, attributes = _resource(body, "inquiry")
    return _validated(Inquiry, attributes, "the inquiry")


def parse_order(body: bytes) -> OrderDetail:
    """An order from a checkout's reply, a status or a callback; nothing about signatures here.

    :raises UnreadableReplyError: when the body is no order: no ``data``, no id, no status, a price that is
        no whole rupiah.
    """
    data, attributes = _resource(body, "order")
    request_id = _text(data.get("id"))
    if not isinstance(request_id, str) or not request_id:
        raise UnreadableReplyError("the order has no id")
    return _validated(OrderDetail, {**attributes, "request_id": request_id}, "the order")


def parse_errors(body: bytes) -> tuple[ErrorEntry, ...]:
    """SAT's error entries, at least one.

    :raises UnreadableReplyError: when the body is no SAT error: HTML of a proxy, ``{"error": …}``, an
        empty list.
    """
    entries = _object(_json(body), "the error").get("errors")
    if not isinstance(entries, list) or not entries:
        raise UnreadableReplyError("the error has no list of entries in 'errors'")
    return tuple(_validated(ErrorEntry, _object(entry, "an error entry"), "the error") for entry in entries)


def parse_document(body: bytes, what: str) -> dict[str, Any]:
    """A plain JSON object that has no model of its own (the token, a token error).

    :raises UnreadableReplyError: when the body is something else.
    """
    return _object(_json(body), what)


def _product(entry: object, index: int) -> Product:
    what = f"product {index + 1} of the list"
    data = _object(entry, what)
    attributes = dict(_object(data.get("attributes"), what))
    # The documents say product_name and price; the vendor's own Python model says name and sales_price.
    attributes["name"] = attributes.pop("product_name", None) or attributes.get("name")
    other_price = attributes.get("sales_price")
    if attributes.get("price") is None and other_price is not None:
        attributes["price"] = attributes.pop("sales_price")
    return _validated(Product, {**attributes, "code": data.get("id")}, what)


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
    """Strict JSON in UTF-8. Lone surrogates and NUL are refused: no database could keep them as text."""
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
    """Which members are wrong and how, without their values."""
    found: Sequence[Any] = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in found[:5])


def _encode(document: dict[str, Any]) -> bytes:
    return _compact(document).encode("utf-8")
