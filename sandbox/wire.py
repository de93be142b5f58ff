"""Requests, replies and JSON:API documents, without any I/O (protocol section 4)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sandbox.refusals import Refusal

JSON_TYPE = "application/json"
CALLBACK_TYPE = "application/vnd.api+json"
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """A received request. ``path`` is percent-encoded, without the query; header names are lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": JSON_TYPE})

    def with_headers(self, **headers: str) -> Reply:
        """The same reply with more headers (underscores become dashes)."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})


class Manner(StrEnum):
    """How a missing answer appears to the client."""

    RESET = "reset"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one request: a reply after a delay, or no reply.

    ``after_callback_of``: the reply is sent only after a callback of this request id was answered (or gave
    up).
    """

    reply: Reply | None
    loss: Manner | None = None
    delay_seconds: float = 0.0
    after_callback_of: str | None = None


class JsonStyle(StrEnum):
    """How documents are serialised. Signatures cover the bytes, so clients must accept any style."""

    SPACED = "spaced"
    """Python's spacing, ASCII only: the only form that py_sat's callback handler can verify (protocol 11)."""
    COMPACT = "compact"
    COMPACT_NEWLINE = "compact_newline"
    """Compact with a trailing newline, as Go writes."""
    UTF8 = "utf8"
    """Compact with raw UTF-8."""


def encode(document: object, style: JsonStyle = JsonStyle.SPACED) -> bytes:
    """The document's bytes, which are signed and sent."""
    if style is JsonStyle.SPACED:
        return json.dumps(document).encode("ascii")
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=style is not JsonStyle.UTF8)
    return (text + "\n" if style is JsonStyle.COMPACT_NEWLINE else text).encode("utf-8")


def resource(kind: str, identifier: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """One JSON:API resource object."""
    return {"type": kind, "id": identifier, "attributes": dict(attributes)}


def refuse(refusal: Refusal, detail: str | None = None) -> Reply:
    """An error reply in SAT's form, where ``status`` is a string (protocol section 8)."""
    entry = {
        "code": refusal.code,
        "detail": detail or refusal.detail,
        "status": str(refusal.http_status),
    }
    return Reply(refusal.http_status, encode({"errors": [entry]}))


class MalformedDocumentError(Exception):
    """The body is not a JSON:API document of the expected type; the text says what was found."""


@dataclass(frozen=True, slots=True)
class OrderForm:
    """An inquiry or an order; all spellings of "no value" are ``None`` (protocol 4.1)."""

    identifier: str | None
    product_code: str
    client_number: str
    amount_rupiah: int | None
    fields: Sequence[Mapping[str, str]] | None
    downline_id: str | None

    @property
    def reference(self) -> str:
        """The partner's reference, if the request has one: a field of that name, or the downline."""
        for entry in self.fields or ():
            if entry["name"] == "reference":
                return entry["value"]
        return self.downline_id or ""


MAX_REQUEST_ID_CHARACTERS = 255
MAX_TEXT_CHARACTERS = 1_000
MAX_FIELDS = 100
MAX_AMOUNT_RUPIAH = 10**12


def parse_form(body: bytes, kind: str) -> OrderForm:
    """Read the document of an inquiry or an order.

    :raises MalformedDocumentError: when the body is not such a document.
    """
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedDocumentError("the body is not JSON") from error
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise MalformedDocumentError("the member data is not an object")
    if data.get("type", kind) != kind:
        raise MalformedDocumentError(f"the member type is not {kind}")
    attributes = data.get("attributes")
    if not isinstance(attributes, dict):
        raise MalformedDocumentError("the member attributes is not an object")
    return OrderForm(
        identifier=_optional_text(data, "id", MAX_REQUEST_ID_CHARACTERS),
        product_code=_text(attributes, "product_code"),
        client_number=_text(attributes, "client_number"),
        amount_rupiah=_amount(attributes.get("amount")),
        fields=_fields(attributes.get("fields")),
        downline_id=_optional_text(attributes, "downline_id", MAX_TEXT_CHARACTERS),
    )


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _text(members: Mapping[str, Any], name: str) -> str:
    value = _optional_text(members, name, MAX_TEXT_CHARACTERS)
    if value is None:
        raise MalformedDocumentError(f"the member {name} is missing")
    return value


def _optional_text(members: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = members.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > limit or not _is_encodable(value):
        raise MalformedDocumentError(f"the member {name} is not a text of at most {limit} characters")
    return value


def _amount(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        raise MalformedDocumentError("the member amount is not a whole number of rupiah")
    if value is None or value in ("", 0):
        return None
    if isinstance(value, str) or not 0 < value <= MAX_AMOUNT_RUPIAH or value != int(value):
        raise MalformedDocumentError("the member amount is not a whole number of rupiah")
    return int(value)


def _fields(value: object) -> list[dict[str, str]] | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list) or len(value) > MAX_FIELDS:
        raise MalformedDocumentError(f"the member fields is not a list of at most {MAX_FIELDS} entries")
    for entry in value:
        if not isinstance(entry, dict) or not all(
            isinstance(entry.get(name), str) for name in ("name", "value")
        ):
            raise MalformedDocumentError("an entry of fields is not a pair of name and value")
    entries = [{"name": entry["name"], "value": entry["value"]} for entry in value]
    for entry in entries:
        if not all(_is_encodable(text) and len(text) <= MAX_TEXT_CHARACTERS for text in entry.values()):
            raise MalformedDocumentError("an entry of fields is too long or is not Unicode")
    return entries


def _is_encodable(text: str) -> bool:
    """False for lone surrogates, which JSON can spell and UTF-8 cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
