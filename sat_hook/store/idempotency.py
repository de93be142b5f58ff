"""Remembers requests by the key that their sender gave them, so that a repeated one is not done again.

Operational state, kept for a day: who sent which request, and the answer if it is small and no file.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sat_hook.store.errors import AnswerNotKeptError, KeyInUseError, KeyReusedError
from sat_hook.store.statements import Statements

KEPT_SECONDS = 86_400
ABANDONED_SECONDS = 600
"""A request that has not ended after this long was begun by a process that is gone."""

MAXIMUM_KEY_CHARACTERS = 255
MAXIMUM_ANSWER_BYTES = 65_536
"""Longer answers are not kept."""

FORGOTTEN_AT_ONCE = 1_000


class KeptAnswer(NamedTuple):
    """What a request was answered."""

    status: int
    media_type: str
    response: str


class RequestKey(NamedTuple):
    """A person's key for a request, and the digest of that request."""

    person: str
    key: str
    request_digest: str


class RememberedRequests(Statements, room="idempotency"):
    """The table ``sat.idempotency_keys``."""

    def begin(self, request: RequestKey) -> datetime | KeptAnswer:
        """Begin a request, or return what it was answered before.

        :returns: the claim, for :meth:`end` or :meth:`release`.
        :raises KeyReusedError: the key belongs to another request.
        :raises KeyInUseError: the request is under way.
        :raises AnswerNotKeptError: it was done, and its answer is not kept.
        """
        with self._database.transaction() as connection:
            self._sql.forget_old_keys(connection, kept_seconds=KEPT_SECONDS, limit=FORGOTTEN_AT_ONCE)
            claimed = list(
                self._sql.claim_key(connection, **request._asdict(), abandoned_seconds=ABANDONED_SECONDS)
            )
            if claimed:
                claimed_at: datetime = claimed[0][0]
                return claimed_at
            known = list(self._sql.known_request(connection, person=request.person, key=request.key))
        if not known:
            raise KeyInUseError  # released by another process a moment ago
        digest, status, media_type, response = known[0]
        if digest != request.request_digest:
            raise KeyReusedError
        if status is None:
            raise KeyInUseError
        if response is None:
            raise AnswerNotKeptError
        return KeptAnswer(status, media_type, response)

    def end(self, request: RequestKey, claim: datetime, status: int, answer: KeptAnswer | None) -> None:
        """Keep the answer of a request; None for one that is not kept."""
        self._run(
            self._sql.keep_answer,
            person=request.person,
            key=request.key,
            claimed_at=claim,
            status=status,
            media_type=None if answer is None else answer.media_type,
            response=None if answer is None else answer.response,
        )

    def release(self, request: RequestKey, claim: datetime) -> None:
        """Forget a request that came to nothing."""
        self._run(self._sql.release_key, person=request.person, key=request.key, claimed_at=claim)
