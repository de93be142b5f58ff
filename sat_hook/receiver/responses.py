"""All answers of the receiver. They are constants, so no detail of an error is sent out."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from enum import Enum, StrEnum

from starlette.responses import Response

logger = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 60.0
RETRY_AFTER_SECONDS = 60


class Answer(Enum):
    """An HTTP status and a one-word body.

    A callback gets one of the first seven. The last two are for requests that are not callbacks.
    """

    OK = (200, "OK")
    INVALID_SIGNATURE = (400, "INVALID_SIGNATURE")
    INVALID_PAYLOAD = (400, "INVALID_PAYLOAD")
    BODY_TOO_LARGE = (413, "BODY_TOO_LARGE")
    UNSUPPORTED_MEDIA_TYPE = (415, "UNSUPPORTED_MEDIA_TYPE")
    TOO_MANY_BAD_SIGNATURES = (429, "TOO_MANY_BAD_SIGNATURES")
    UNAVAILABLE = (503, "UNAVAILABLE")
    NOT_FOUND = (404, "NOT_FOUND")
    METHOD_NOT_ALLOWED = (405, "METHOD_NOT_ALLOWED")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def body(self) -> bytes:
        """The body, as JSON."""
        return json.dumps({"message": self.value[1]}, separators=(",", ":")).encode("ascii")

    @property
    def headers(self) -> dict[str, str]:
        """Headers besides length and type."""
        return _HEADERS.get(self, {})

    def response(self, *, closes: bool = False) -> Response:
        """The response to send. ``closes`` ends the connection: the rest of the request is not read."""
        headers = {**self.headers, "Connection": "close"} if closes else self.headers
        return Response(self.body, self.status, headers=headers, media_type="application/json")


_HEADERS = {
    Answer.METHOD_NOT_ALLOWED: {"Allow": "POST"},
    Answer.TOO_MANY_BAD_SIGNATURES: {"Retry-After": str(RETRY_AFTER_SECONDS)},
    Answer.UNAVAILABLE: {"Retry-After": "5"},
}


class Refusal(StrEnum):
    """Why a request was refused, for our log and counts. The sender gets only the answer."""

    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_ACCOUNT = "unknown_account"
    SOURCE_NOT_ALLOWED = "source_not_allowed"
    NO_ORDER = "no_order"
    BODY_TOO_LARGE = "body_too_large"
    MEDIA_TYPE = "media_type"
    TOO_MANY_BAD_SIGNATURES = "too_many_bad_signatures"
    BODY_TOO_SLOW = "body_too_slow"
    SENDER_LEFT = "sender_left"
    MEMORY_FULL = "memory_full"
    NOT_STORED = "not_stored"
    NO_SETTINGS = "no_settings"
    UNEXPECTED = "unexpected"
    NO_HTTP = "no_http"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    NO_CALLBACK_PATH = "no_callback_path"
    NO_POST = "no_post"

    @property
    def answer(self) -> Answer:
        return _ANSWERS[self]


_ANSWERS = {
    Refusal.BAD_SIGNATURE: Answer.INVALID_SIGNATURE,
    # An unknown account has no key, so it is answered like a bad signature; this hides which accounts exist.
    Refusal.UNKNOWN_ACCOUNT: Answer.INVALID_SIGNATURE,
    Refusal.SOURCE_NOT_ALLOWED: Answer.INVALID_SIGNATURE,
    Refusal.NO_ORDER: Answer.INVALID_PAYLOAD,
    Refusal.BODY_TOO_LARGE: Answer.BODY_TOO_LARGE,
    Refusal.MEDIA_TYPE: Answer.UNSUPPORTED_MEDIA_TYPE,
    Refusal.TOO_MANY_BAD_SIGNATURES: Answer.TOO_MANY_BAD_SIGNATURES,
    # Probably a network problem: the sender should retry.
    Refusal.BODY_TOO_SLOW: Answer.UNAVAILABLE,
    Refusal.SENDER_LEFT: Answer.UNAVAILABLE,
    Refusal.MEMORY_FULL: Answer.UNAVAILABLE,
    Refusal.NOT_STORED: Answer.UNAVAILABLE,
    Refusal.NO_SETTINGS: Answer.UNAVAILABLE,
    Refusal.UNEXPECTED: Answer.UNAVAILABLE,
    Refusal.NO_HTTP: Answer.INVALID_PAYLOAD,
    Refusal.TOO_MANY_CONNECTIONS: Answer.UNAVAILABLE,
    Refusal.NO_CALLBACK_PATH: Answer.NOT_FOUND,
    Refusal.NO_POST: Answer.METHOD_NOT_ALLOWED,
}


class Refused(Exception):
    """The request is refused; ``why`` is logged and must not quote the body."""

    def __init__(self, refusal: Refusal, why: str = "") -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.why = why


class Tally:
    """Counts stored callbacks, repetitions, and refusals by kind.

    Refusals are logged once per minute and kind, with a count, so that a flood of forgeries does not flood
    the log.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.stored: Counter[str] = Counter()
        self.repeats: Counter[str] = Counter()
        self.refusals: Counter[Refusal] = Counter()
        self._unlogged: Counter[Refusal] = Counter()
        self._logged_at: dict[Refusal, float] = {}

    @property
    def kept(self) -> int:
        """Callbacks that were stored for the first time."""
        return self.stored.total()

    @property
    def repeated(self) -> int:
        """Callbacks that were stored before."""
        return self.repeats.total()

    def keep(self, account: str, *, is_new: bool) -> None:
        """Count a verified callback of an account that was committed, now or earlier."""
        (self.stored if is_new else self.repeats)[account] += 1

    def refuse(self, refusal: Refusal, account: str, source: str, why: str = "") -> None:
        """Count a refusal. ``account`` comes from the path and is untrusted."""
        self.refusals[refusal] += 1
        self._unlogged[refusal] += 1
        now = self._monotonic()
        if now - self._logged_at.get(refusal, -LOG_EVERY_SECONDS) >= LOG_EVERY_SECONDS:
            logger.warning(
                "refused %d request(s) with %d (%s); the last for account %a from %s%s",
                self._unlogged.pop(refusal),
                refusal.answer.status,
                refusal.value,
                account[:64],
                source,
                f": {why}" if why else "",
            )
            self._logged_at[refusal] = now
