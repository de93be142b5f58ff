"""Everything that the receiver ever says. The answers are constants: nothing of an error leaves the house."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from enum import Enum

from starlette.responses import Response

logger = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 60.0
RETRY_AFTER_SECONDS = 60


class Answer(Enum):
    """An HTTP status and the one word beside it."""

    OK = (200, "OK")
    INVALID_SIGNATURE = (400, "INVALID_SIGNATURE")
    INVALID_PAYLOAD = (400, "INVALID_PAYLOAD")
    SOURCE_NOT_ALLOWED = (403, "SOURCE_NOT_ALLOWED")
    NOT_FOUND = (404, "NOT_FOUND")
    METHOD_NOT_ALLOWED = (405, "METHOD_NOT_ALLOWED")
    BODY_TIMEOUT = (408, "BODY_TIMEOUT")
    BODY_TOO_LARGE = (413, "BODY_TOO_LARGE")
    UNSUPPORTED_MEDIA_TYPE = (415, "UNSUPPORTED_MEDIA_TYPE")
    TOO_MANY_BAD_SIGNATURES = (429, "TOO_MANY_BAD_SIGNATURES")
    UNAVAILABLE = (503, "UNAVAILABLE")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    def response(self) -> Response:
        """The answer as it goes out."""
        body = json.dumps({"message": self.value[1]}, separators=(",", ":")).encode("ascii")
        return Response(body, self.status, headers=_HEADERS.get(self), media_type="application/json")


_HEADERS = {
    Answer.METHOD_NOT_ALLOWED: {"Allow": "POST"},
    Answer.TOO_MANY_BAD_SIGNATURES: {"Retry-After": str(RETRY_AFTER_SECONDS)},
    Answer.UNAVAILABLE: {"Retry-After": "5"},
    # The rest of the body is not read, so the connection cannot be used again.
    Answer.BODY_TOO_LARGE: {"Connection": "close"},
    Answer.BODY_TIMEOUT: {"Connection": "close"},
}


class Tally:
    """How often each answer was given, and how many callbacks had come before.

    Refusals are logged once a minute and kind, with their number: a flood of forgeries floods no log.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.answers: Counter[Answer] = Counter()
        self.repeated = 0
        self._unlogged: Counter[Answer] = Counter()
        self._logged_at: dict[Answer, float] = {}

    def count(self, answer: Answer, account: str, source: str, why: str = "") -> None:
        """One more ``answer``. ``why`` is for our log alone, and must hold nothing of the body."""
        self.answers[answer] += 1
        if answer is Answer.OK:
            return
        self._unlogged[answer] += 1
        now = self._monotonic()
        if now - self._logged_at.get(answer, -LOG_EVERY_SECONDS) >= LOG_EVERY_SECONDS:
            logger.warning(
                "refused %d callback(s) with %s; the last for account %r from %s%s",
                self._unlogged.pop(answer),
                answer.name,
                account,
                source,
                f": {why}" if why else "",
            )
            self._logged_at[answer] = now
