"""Builds the request of each operation and reads its reply. Shared by both clients; no I/O.

A :class:`Call` returns a value or raises a typed :class:`~sat_hook.protocol.errors.SATError`. A checkout has
an outcome instead (:mod:`sat_hook.protocol.outcomes`), which is turned into an error for callers that prefer
exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from sat_hook.protocol import endpoints
from sat_hook.protocol.errors import (
    ERROR_BY_CODE,
    CredentialsRefusedError,
    KeyMissingError,
    NeverSentError,
    OutcomeUnknownError,
    RefusedError,
    ReplyLostError,
    ReplyMismatchError,
    ReplyTimeoutError,
    SATError,
    SendWindowPassedError,
    TokenUnavailableError,
    UnexpectedReplyError,
    UnreadableReplyError,
    UnverifiedReplyError,
    WrongEnvironmentError,
    plain_code,
)
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireRequest, WireResponse, http_date
from sat_hook.protocol.messages import (
    Account,
    Inquiry,
    InquiryRequest,
    OrderDetail,
    Ping,
    Product,
    encode_inquiry,
    parse_account,
    parse_inquiry,
    parse_order,
    parse_ping,
    parse_products,
)
from sat_hook.protocol.outcomes import (
    CheckoutOutcome,
    CheckoutVerdict,
    StatusOutcome,
    UnknownReason,
    codes_of,
)

T = TypeVar("T")

_RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

_ERROR_BY_FAULT: dict[FaultKind, type[SATError]] = {
    FaultKind.SEND_WINDOW_PASSED: SendWindowPassedError,
    FaultKind.TOKEN_UNAVAILABLE: TokenUnavailableError,
    FaultKind.CREDENTIALS_REFUSED: CredentialsRefusedError,
    FaultKind.KEY_MISSING: KeyMissingError,
    FaultKind.WRONG_ENVIRONMENT: WrongEnvironmentError,
    FaultKind.TIMEOUT: ReplyTimeoutError,
    FaultKind.MALFORMED_RESPONSE: UnreadableReplyError,
    FaultKind.RESPONSE_TOO_LARGE: UnreadableReplyError,
}


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A read-only request to SAT: what to send, and how to read the body of HTTP 200."""

    request: WireRequest
    read: Callable[[bytes], T] = field(repr=False)
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer and how it was received.

    :param response: the raw response, as received.
    :param began_at: aware, UTC, taken before the request was written: the answer was true *after* this
        moment.
    """

    value: T
    response: WireResponse
    began_at: datetime


def ping_call() -> Call[Ping]:
    """Check that SAT is reachable (protocol section 5.1)."""
    return Call(WireRequest("GET", endpoints.PING_PATH), parse_ping)


def account_call() -> Call[Account]:
    """Read the account and its deposit (protocol section 5.2)."""
    return Call(WireRequest("GET", endpoints.ACCOUNT_PATH), parse_account)


def products_call(codes: Sequence[str] | None = None) -> Call[list[Product]]:
    """Read the catalogue, or the products with these codes (protocol section 5.3)."""
    query = endpoints.product_list_query(codes)
    return Call(WireRequest("GET", endpoints.PRODUCT_LIST_PATH, query), parse_products)


def inquiry_call(request: InquiryRequest) -> Call[Inquiry]:
    """Ask what a bill costs (protocol section 5.4). The caller must compare the bill with the request."""
    return Call(WireRequest("POST", endpoints.INQUIRY_PATH, body=encode_inquiry(request)), parse_inquiry)


def order_request(body: bytes) -> WireRequest:
    """Build a checkout of exactly these bytes (protocol section 5.5)."""
    return WireRequest("POST", endpoints.ORDER_PATH, body=body)


def status_request(request_id: str) -> WireRequest:
    """Build the request for an order's status (protocol section 5.6).

    :raises InvalidRequestIdError: when the id cannot be a path segment.
    """
    return WireRequest("GET", endpoints.order_path(request_id))


def headers_of(
    request: WireRequest, *, now: datetime, token: str, signature: str | None = None
) -> dict[str, str]:
    """The headers of ``request`` (protocol section 3): all that the documents require, ``Date`` in UTC."""
    headers = {
        "Accept": "application/json",
        "Date": http_date(now),
        "Authorization": f"Bearer {token}",
    }
    if request.method == "POST":
        headers["Content-Type"] = "application/json"
    if signature is not None:
        headers["Signature"] = signature
    return headers


def read_reply(call: Call[T], reply: WireResponse | TransportFault, began_at: datetime) -> Reply[T]:
    """Read the answer to a call.

    :raises SATError: one of the types of :mod:`sat_hook.protocol.errors`, and nothing else, for any reply.
    """
    if isinstance(reply, TransportFault) or reply.status != 200:
        raise error_of_reply(reply, call.request_id)
    try:
        return Reply(call.read(reply.body), reply, began_at)
    except UnreadableReplyError as error:
        error.response = reply
        error.request_id = call.request_id
        raise


def has_sandbox_flag(environment: endpoints.Environment) -> bool:
    """True if the ping of ``environment`` must carry a fixed sandbox flag."""
    return environment in endpoints.SANDBOX_FLAG


def environment_fault(
    environment: endpoints.Environment, ping_reply: WireResponse | TransportFault
) -> TransportFault | None:
    """Why no order may be sent: the ping got no answer, or the wrong environment answered.

    A ping without the flag proves nothing and lets orders pass.
    """
    if isinstance(ping_reply, TransportFault):
        return TransportFault(FaultKind.PING_FAILED, False, f"before the first order: {ping_reply.detail}")
    try:
        if ping_reply.status != 200:
            raise error_of_reply(ping_reply)
        ping = parse_ping(ping_reply.body)
    except SATError as error:
        return TransportFault(FaultKind.PING_FAILED, False, f"before the first order: {error}")
    expected = endpoints.SANDBOX_FLAG.get(environment)
    if expected is None or ping.sandbox is None or ping.sandbox is expected:
        return None
    return TransportFault(
        FaultKind.WRONG_ENVIRONMENT,
        False,
        f"the environment is {environment.value}, but the server's ping says sandbox={ping.sandbox}",
    )


def token_fault(error: TokenUnavailableError) -> TransportFault:
    """The fault of a request for which there was no token."""
    refused = isinstance(error, CredentialsRefusedError)
    kind = FaultKind.CREDENTIALS_REFUSED if refused else FaultKind.TOKEN_UNAVAILABLE
    return TransportFault(kind, sent=False, detail=str(error))


def error_of_reply(reply: WireResponse | TransportFault, request_id: str | None = None) -> SATError:
    """The error of a call that was not answered with HTTP 200."""
    if isinstance(reply, TransportFault):
        fallback = ReplyLostError if reply.sent else NeverSentError
        kind = _ERROR_BY_FAULT.get(reply.kind, fallback)
        if kind.sent != reply.sent:
            kind = fallback
        return kind(f"{reply.kind.value}: {reply.detail}", request_id=request_id)
    codes = codes_of(reply) if reply.status >= 400 else ()
    if codes:
        refusal = next((ERROR_BY_CODE[code] for code in codes if code in ERROR_BY_CODE), RefusedError)
        error: SATError = refusal(
            f"SAT answered HTTP {reply.status} with {', '.join(map(plain_code, codes))}",
            request_id=request_id,
            response=reply,
            codes=codes,
        )
    else:
        error = UnexpectedReplyError(
            f"HTTP {reply.status} without SAT's errors: not an answer of SAT itself",
            request_id=request_id,
            response=reply,
        )
    if reply.status in _RETRYABLE_STATUSES:
        error.retryable = True
    return error


def read_checkout(
    outcome: CheckoutOutcome,
    reply: WireResponse | TransportFault,
    request_id: str,
    began_at: datetime,
) -> Reply[OrderDetail]:
    """Read the reply of an accepted checkout. Its status is unsigned and does not prove how the order ends.

    :raises RefusedError: with ``definite`` set: SAT certainly did not take the order.
    :raises NeverSentError: nothing left this machine.
    :raises OutcomeUnknownError: everything else.
    """
    if outcome.verdict is CheckoutVerdict.ACCEPTED and isinstance(reply, WireResponse):
        return Reply(parse_order(reply.body), reply, began_at)
    if outcome.verdict is CheckoutVerdict.NOT_SENT:
        raise error_of_reply(reply, request_id)
    if outcome.verdict is CheckoutVerdict.REJECTED:
        error = error_of_reply(reply, request_id)
        error.definite, error.retryable = True, False
        raise error
    raise OutcomeUnknownError(
        f"the order may have been taken ({outcome.reason}): ask for its status",
        reason=outcome.reason,
        request_id=request_id,
        response=reply if isinstance(reply, WireResponse) else None,
        codes=codes_of(reply) if isinstance(reply, WireResponse) else (),
    )


def read_status(
    outcome: StatusOutcome,
    reply: WireResponse | TransportFault,
    request_id: str,
    began_at: datetime,
) -> Reply[OrderDetail]:
    """Read the signed status.

    :raises OrderNotFoundError: P02, which does not prove that the order failed.
    :raises UnverifiedReplyError: SAT's signature is missing or fits none of the trusted keys.
    :raises ReplyMismatchError: the answer is about another order.
    :raises SATError: any other failure.
    """
    if outcome.detail is not None and isinstance(reply, WireResponse):
        return Reply(outcome.detail, reply, began_at)
    if isinstance(reply, TransportFault) or reply.status != 200:
        raise error_of_reply(reply, request_id)
    error, message = _STATUS_ERRORS.get(outcome.reason, _UNREADABLE_STATUS)
    raise error(message, request_id=request_id, response=reply)


_UNREADABLE_STATUS: tuple[type[SATError], str] = (
    UnreadableReplyError,
    "the signed status cannot be understood",
)
_STATUS_ERRORS: dict[str, tuple[type[SATError], str]] = {
    UnknownReason.SIGNATURE_MISSING: (UnverifiedReplyError, "the status is not signed"),
    UnknownReason.SIGNATURE_INVALID: (UnverifiedReplyError, "no trusted key made the status' signature"),
    UnknownReason.PUBLIC_KEY_MISSING: (UnverifiedReplyError, "there is no SAT public key to verify with"),
    UnknownReason.ID_MISMATCH: (ReplyMismatchError, "the status is about another order"),
}
