"""The receiver as an ASGI app: ``POST {prefix}/callbacks/{account}`` (protocol section 9).

A callback is evidence and not truth: it is verified over its raw bytes, stored as it came, and answered 200
only after the commit. No order changes here; whoever waits is woken and asks SAT for the status (law 6).

Nothing is opened when the app is made. Settings and database are opened at startup where the server runs
lifespans, and otherwise (mounted in another app) with the first request.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sat_hook.protocol.endpoints import MAXIMUM_REQUEST_ID_CHARACTERS
from sat_hook.protocol.errors import UnreadableReplyError
from sat_hook.protocol.messages import parse_order
from sat_hook.protocol.signing import SIGNATURE_HEADER, SignatureError, Verifier
from sat_hook.receiver.answers import Answer, Tally
from sat_hook.receiver.inbox import Callback, Inbox, InboxError
from sat_hook.receiver.senders import Address, BadSignatures, Sources
from sat_hook.receiver.settings import ReceiverSettings, ReceiverSettingsError
from sat_hook.store.database import Database

logger = logging.getLogger(__name__)

CONTENT_TYPES = frozenset({"application/vnd.api+json", "application/json"})
SETTINGS_RETRY_SECONDS = 5.0

SettingsSource = Callable[[], ReceiverSettings]


class Refused(Exception):
    """The request ends with ``answer``; ``why`` is for our log."""

    def __init__(self, answer: Answer, why: str = "") -> None:
        super().__init__(answer.name)
        self.answer = answer
        self.why = why


@dataclass(frozen=True, slots=True)
class _Opened:
    settings: ReceiverSettings
    sources: Sources
    bad_signatures: BadSignatures
    inbox: Inbox


class Receiver:
    """What stands behind the app: opened once, closed once."""

    def __init__(self, settings: SettingsSource, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._opened: _Opened | None = None
        self._failed_at: float | None = None
        self.tally = Tally(monotonic)

    def open(self) -> _Opened:
        """Read the settings, if that has not been done; connects to nothing yet.

        :raises ReceiverSettingsError: as the settings' source does.
        """
        if self._opened is None:
            settings = self._settings()
            limits = settings.limits
            self._opened = _Opened(
                settings,
                Sources(settings.allowed_sources, settings.trusted_proxies),
                BadSignatures(limits.bad_signatures_per_minute, limits.remembered_sources, self._monotonic),
                Inbox(
                    Database(settings.dsn, "sat-receiver"),
                    waiting_limit=limits.waiting_callbacks,
                    group_limit=limits.group_size,
                ),
            )
        return self._opened

    def close(self) -> None:
        """Commit what waits and let go of the database. Blocks."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.inbox.close()

    async def callback(self, request: Request) -> Response:
        """One callback. Always answers one of :class:`~sat_hook.receiver.answers.Answer`."""
        account = str(request.path_params["account"])
        source: Address | None = None
        try:
            opened = self._open_or_refuse()
            verifier = _verifier_of(opened.settings, account)
            source = opened.sources.source_of(
                request.client.host if request.client else None, request.headers.getlist("x-forwarded-for")
            )
            self._require_welcome(opened, source)
            content_type = _content_type(request)
            body = await _body(
                request, opened.settings.limits.body_bytes, opened.settings.limits.body_seconds
            )
            callback = self._verified(opened, verifier, account, source, content_type, body, request)
            if not await opened.inbox.store(callback, opened.settings.limits.answer_seconds):
                self.tally.repeated += 1
            answer, why = Answer.OK, ""
        except Refused as refused:
            answer, why = refused.answer, refused.why
        except InboxError as error:
            answer, why = Answer.UNAVAILABLE, str(error)
        except Exception as error:
            # The sender gets the answer that makes it try again; the error's text may hold the body, so
            # that the log names its type alone.
            logger.error("a callback met an unexpected %s", type(error).__name__)  # noqa: TRY400
            answer, why = Answer.UNAVAILABLE, type(error).__name__
        self.tally.count(answer, account, str(source or "an unknown source"), why)
        return answer.response()

    async def health(self, _: Request) -> Response:
        """Whether callbacks could be stored now, and how often each answer was given."""
        reachable = False
        with suppress(Refused):
            reachable = await asyncio.to_thread(self._open_or_refuse().inbox.is_reachable)
        counts = {answer.name.lower(): count for answer, count in sorted(self.tally.answers.items(), key=str)}
        return JSONResponse(
            {
                "status": "ok" if reachable else "unavailable",
                "answers": counts,
                "repeated": self.tally.repeated,
            },
            200 if reachable else 503,
        )

    def _open_or_refuse(self) -> _Opened:
        if self._opened is not None:
            return self._opened
        now = self._monotonic()
        if self._failed_at is not None and now - self._failed_at < SETTINGS_RETRY_SECONDS:
            raise Refused(Answer.UNAVAILABLE, "the receiver's settings could not be read")
        try:
            opened = self.open()
        except ReceiverSettingsError as error:
            self._failed_at = now
            logger.error("the receiver cannot start: %s", error)  # noqa: TRY400 - the text says it all
            raise Refused(Answer.UNAVAILABLE, "the receiver's settings could not be read") from None
        self._failed_at = None
        return opened

    def _require_welcome(self, opened: _Opened, source: Address | None) -> None:
        if not opened.sources.is_allowed(source):
            raise Refused(Answer.SOURCE_NOT_ALLOWED)
        # A source on the allow-list is always heard out: whoever shares its address must not silence SAT.
        if not opened.sources.is_listed(source) and opened.bad_signatures.is_exhausted(source):
            raise Refused(Answer.TOO_MANY_BAD_SIGNATURES)

    def _verified(
        self,
        opened: _Opened,
        verifier: Verifier,
        account: str,
        source: Address | None,
        content_type: str,
        body: bytes,
        request: Request,
    ) -> Callback:
        """Signature first, over the raw bytes; only then is the body looked into."""
        signature = request.headers.get(SIGNATURE_HEADER)
        try:
            fingerprint = verifier.verify(body, signature)
        except SignatureError as error:
            exhausted = opened.bad_signatures.is_exhausted(source)
            opened.bad_signatures.count(source)
            answer = Answer.TOO_MANY_BAD_SIGNATURES if exhausted else Answer.INVALID_SIGNATURE
            raise Refused(answer, str(error)) from None
        try:
            request_id = parse_order(body).request_id
        except UnreadableReplyError as error:
            raise Refused(Answer.INVALID_PAYLOAD, str(error)) from None
        if len(request_id) > MAXIMUM_REQUEST_ID_CHARACTERS:
            raise Refused(Answer.INVALID_PAYLOAD, f"the id has {len(request_id)} characters")
        return Callback(
            account=account,
            request_id=request_id,
            digest=hashlib.sha256(body).hexdigest(),
            body=body,
            signature=(signature or "").strip(),
            key_fingerprint=fingerprint,
            content_type=content_type,
            remote_address=str(source or ""),
        )


def create_app(
    settings: SettingsSource,
    *,
    prefix: str = "",
    with_health: bool = False,
    monotonic: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The receiver's app; ``app.state.receiver`` is the :class:`Receiver` behind it.

    :param settings: called once, at startup or with the first request.
    :param prefix: stands before ``/callbacks/{account}``; begins with a slash or is empty.
    :param with_health: adds ``GET {prefix}/health`` (200 or 503) for load balancers and containers.
    :param monotonic: seconds of a clock that never jumps.
    """
    receiver = Receiver(settings, monotonic)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        receiver.open()
        yield
        await asyncio.to_thread(receiver.close)

    async def refuse(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 0
        answer = Answer.METHOD_NOT_ALLOWED if status == 405 else Answer.NOT_FOUND
        receiver.tally.count(answer, "", "an unknown source")
        return answer.response()

    routes = [Route(f"{prefix}/callbacks/{{account}}", receiver.callback, methods=["POST"])]
    if with_health:
        routes.append(Route(f"{prefix}/health", receiver.health, methods=["GET"]))
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: refuse})
    # A redirect is no answer of ours, and a sender might follow it with a GET.
    app.router.redirect_slashes = False
    app.state.receiver = receiver
    return app


def _verifier_of(settings: ReceiverSettings, account: str) -> Verifier:
    verifier = settings.verifiers.get(account)
    if verifier is None:
        raise Refused(Answer.NOT_FOUND)
    return verifier


def _content_type(request: Request) -> str:
    """The media type without parameters; refused when it is none of ours, or when the body is encoded."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if media_type not in CONTENT_TYPES or encoding not in ("", "identity"):
        raise Refused(Answer.UNSUPPORTED_MEDIA_TYPE)
    return media_type


async def _body(request: Request, limit_bytes: int, limit_seconds: float) -> bytes:
    """The raw body, never more of it than the limit in memory."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit_bytes):
        raise Refused(Answer.BODY_TOO_LARGE)
    content = bytearray()
    try:
        async with asyncio.timeout(limit_seconds):
            async for chunk in request.stream():
                content += chunk
                if len(content) > limit_bytes:
                    raise Refused(Answer.BODY_TOO_LARGE)
    except TimeoutError:
        raise Refused(Answer.BODY_TIMEOUT) from None
    except ClientDisconnect:
        # Nobody hears this answer any more.
        raise Refused(Answer.BODY_TIMEOUT, "the sender went away") from None
    return bytes(content)
