"""Environments, addresses and paths of SAT (protocol sections 1 and 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from sat_hook.protocol.errors import InvalidRequestIdError

PING_PATH = "/ping"
ACCOUNT_PATH = "/v2/account"
PRODUCT_LIST_PATH = "/v2/product-list"
INQUIRY_PATH = "/v2/inquiry"
ORDER_PATH = "/v2/order"

MAXIMUM_REQUEST_ID_CHARACTERS = 64


class Environment(StrEnum):
    """Which SAT an account talks to; ``custom`` has addresses in the settings (local server, gateway)."""

    PLAYGROUND = "playground"
    PRODUCTION = "production"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The two URLs of an environment, without trailing slashes."""

    base_url: str
    token_url: str


_TOKEN_URL = "https://accounts.tokopedia.com/token"  # noqa: S105 - an address, no password

ADDRESSES: dict[Environment, Addresses] = {
    Environment.PLAYGROUND: Addresses("https://b2b-playground.tokopedia.com/api", _TOKEN_URL),
    Environment.PRODUCTION: Addresses("https://b2b.tokopedia.com/api", _TOKEN_URL),
}
"""The vendor's addresses; both environments share the token host."""

SANDBOX_FLAG: dict[Environment, bool] = {Environment.PLAYGROUND: True, Environment.PRODUCTION: False}
"""What ``sandbox`` in the ping must say; a custom environment may say either."""


CALLS: dict[tuple[str, str], str] = {
    ("GET", PING_PATH): "ping",
    ("GET", ACCOUNT_PATH): "account",
    ("GET", PRODUCT_LIST_PATH): "products",
    ("POST", INQUIRY_PATH): "inquiry",
    ("POST", ORDER_PATH): "checkout",
}


def call_of(method: str, path: str) -> str:
    """The kind of a call, without anything that it is about; ``status`` for an order's status."""
    if method == "GET" and path.startswith(f"{ORDER_PATH}/"):
        return "status"
    return CALLS.get((method, path), "token")


def order_path(request_id: str) -> str:
    """The path of an order's status, with the id percent-encoded as a single segment.

    :raises InvalidRequestIdError: for ids that no encoding protects (clients and proxies resolve ``.`` and
        ``..`` even when they are escaped), for empty ones and for those over 64 characters.
    """
    if not request_id or request_id in (".", ".."):
        raise InvalidRequestIdError(f"the request id {request_id!r} cannot be part of a path")
    if len(request_id) > MAXIMUM_REQUEST_ID_CHARACTERS:
        raise InvalidRequestIdError(
            f"the request id has {len(request_id)} characters; at most "
            f"{MAXIMUM_REQUEST_ID_CHARACTERS} are allowed"
        )
    try:
        return f"{ORDER_PATH}/{quote(request_id, safe='')}"
    except UnicodeEncodeError as error:
        raise InvalidRequestIdError("the request id is not Unicode text") from error


def product_list_query(codes: Sequence[str] | None) -> tuple[tuple[str, str], ...]:
    """The filter of the product list: codes joined by commas, or no parameter when unfiltered."""
    return (("product_code", ",".join(codes)),) if codes else ()
