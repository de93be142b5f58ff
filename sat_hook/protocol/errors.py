"""The errors that calls to SAT raise.

::

    SATError
    ├── NeverSentError              provably not one byte of the request left this machine
    │   ├── SendWindowPassedError   the recorded intent may no longer be sent
    │   ├── TokenUnavailableError   no access token is left and no new one was granted
    │   │   └── CredentialsRefusedError   the token server refused client id or secret
    │   ├── KeyMissingError         this connection has no key for what was asked
    │   └── WrongEnvironmentError   production credentials at a sandbox, or the reverse
    ├── ReplyLostError              the request may have arrived; its answer did not
    │   └── ReplyTimeoutError
    ├── RefusedError                SAT answered with error entries (protocol section 8)
    │   ├── ProductNotFoundError    P04
    │   ├── OrderNotFoundError      P02: does not prove that the order failed
    │   ├── DuplicateRequestIdError P03
    │   └── SystemTroubleError      S00
    ├── OutcomeUnknownError         a checkout that may or may not have been charged
    ├── UnexpectedReplyError        an answer that SAT does not give: redirect, proxy page, 401, 403, 429, 5xx
    ├── UnreadableReplyError        an answer of the right status that cannot be understood
    │   └── ReplyMismatchError      an answer about another order, product or customer
    └── UnverifiedReplyError        an answer that must be signed by SAT and is not

Callers need not parse messages. Every error says whether the request was ``sent``, whether the answer is
``definite`` (the operation certainly did not happen) and whether the same call is ``retryable``.

Errors of keys, signatures and request ids are not of this tree: they are raised on received callbacks, too.
"""

from __future__ import annotations

import re

from sat_hook.protocol.exchange import WireResponse

_CODE = re.compile(r"[A-Za-z]{0,10}[-_]?[0-9]{0,5}")


def plain_code(code: str) -> str:
    """An error code that is safe to log: a few letters and digits. Any other text is left out."""
    if not code:
        return "no code"
    return code if _CODE.fullmatch(code) else "an unusual code"


class SATError(Exception):
    """A call to SAT failed. Base of all errors of this module.

    :param message: what was found and what was expected; never a secret.
    :param request_id: the order's request id, when the call was about an order.
    :param response: the raw answer, when there was one.
    :param codes: SAT's error codes, in the order of the answer, never joined.
    """

    sent: bool = True
    """False only if provably not one byte of the request was written."""
    definite: bool = False
    """True if the operation certainly did not happen."""
    retryable: bool = False
    """True if repeating the same call is safe and may help."""

    def __init__(
        self,
        message: str,
        *,
        request_id: str | None = None,
        response: WireResponse | None = None,
        codes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.response = response
        self.codes = codes

    @property
    def http_status(self) -> int | None:
        """The HTTP status of the answer, if there was one."""
        return None if self.response is None else self.response.status


class NeverSentError(SATError):
    """Not one byte of the request left this machine: nothing can have happened."""

    sent = False
    definite = True
    retryable = True


class SendWindowPassedError(NeverSentError):
    """The window of the recorded intent had passed when the request was about to be written."""

    retryable = False


class TokenUnavailableError(NeverSentError):
    """No access token: the token server cannot be reached, or its answer cannot be used."""


class CredentialsRefusedError(TokenUnavailableError):
    """The token server refused the client id or its secret; a retry does not help."""

    retryable = False


class KeyMissingError(NeverSentError):
    """The connection has no private key to sign with, or no SAT public key to verify with."""

    retryable = False


class WrongEnvironmentError(NeverSentError):
    """The server's ping says sandbox where production is configured, or the reverse."""

    retryable = False


class ReplyLostError(SATError):
    """The request may have arrived, the answer was lost: for a checkout, ask for the status."""

    retryable = True


class ReplyTimeoutError(ReplyLostError):
    """No complete answer within the time allowed."""


class RefusedError(SATError):
    """SAT answered with error entries (HTTP 400 or 500); ``codes`` lists them."""


class ProductNotFoundError(RefusedError):
    """P04: SAT does not know the product; final for this request."""

    definite = True


class OrderNotFoundError(RefusedError):
    """P02: SAT does not know the request id *now*; a request in flight may still arrive."""

    retryable = True


class DuplicateRequestIdError(RefusedError):
    """P03: an order with this id already exists; ask for its status, never create another id."""


class OutcomeUnknownError(SATError):
    """A checkout that may or may not have been charged. Ask for the status; never call it failed.

    :param reason: why the outcome is unknown, a value of :class:`sat_hook.protocol.outcomes.UnknownReason`.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        request_id: str | None = None,
        response: WireResponse | None = None,
        codes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, request_id=request_id, response=response, codes=codes)
        self.reason = reason


class UnexpectedReplyError(SATError):
    """An answer that SAT itself does not give: redirects, proxy pages, 401, 403, 408, 429, bare 5xx."""


class UnreadableReplyError(SATError):
    """An answer that cannot be understood: no JSON, no ``data``, a member of the wrong kind."""


class ReplyMismatchError(UnreadableReplyError):
    """An answer about another order, product or customer than was asked for."""


class UnverifiedReplyError(SATError):
    """The answer must carry SAT's signature over its exact bytes; none by a trusted key was found."""

    retryable = True


class SystemTroubleError(RefusedError):
    """S00: SAT has an internal error; the same *read-only* call may succeed later."""

    retryable = True


class InvalidRequestIdError(ValueError):
    """A request id that cannot be a path segment: empty, too long, ``.`` or ``..``."""


class MalformedKeyError(ValueError):
    """The key cannot be used: not PEM, not RSA, too short, or encrypted."""


class SignatureError(Exception):
    """The signature could not be verified."""


class SignatureMissingError(SignatureError):
    """A required signature is missing."""


class SignatureInvalidError(SignatureError):
    """No trusted key made this signature over these bytes."""


ERROR_BY_CODE: dict[str, type[RefusedError]] = {
    "P02": OrderNotFoundError,
    "P03": DuplicateRequestIdError,
    "P04": ProductNotFoundError,
    "S00": SystemTroubleError,
}
"""SAT's codes that map to a specific error type (protocol section 8)."""
