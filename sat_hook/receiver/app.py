"""The receiver as an ASGI app: ``POST {prefix}/callbacks/{account}`` (protocol section 9).

A callback is evidence, not truth. It is verified over its raw bytes, stored unchanged, and answered 200 only
after the commit. No order changes here: waiting pollers are notified and query the status at SAT (law 6).

Creating the app opens nothing. Settings and database are opened at startup if the server runs lifespans, and
otherwise (mounted in another app) with the first request.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sat_hook.protocol.endpoints import MAXIMUM_REQUEST_ID_CHARACTERS
from sat_hook.protocol.errors import SignatureError, UnreadableReplyError
from sat_hook.protocol.messages import parse_order
from sat_hook.protocol.signing import SIGNATURE_HEADER, Verifier
from sat_hook.receiver.body_reader import Bodies
from sat_hook.receiver.client_addresses import Address, BadSignatures, Sources
from sat_hook.receiver.errors import InboxError, ReceiverSettingsError
from sat_hook.receiver.figures import CommitFigures, families_of
from sat_hook.receiver.health import Health
from sat_hook.receiver.inbox import Inbox
from sat_hook.receiver.live_settings import CurrentSettings, SettingsSource
from sat_hook.receiver.refusal_counts import Counts, RefusalCounts
from sat_hook.receiver.responses import Answer, Refusal, Refused, Tally
from sat_hook.receiver.settings import ReceiverSettings
from sat_hook.store.callbacks import Callback
from sat_hook.store.database import Database
from sat_hook.telemetry.scrape import ScrapePage, Tokens

logger = logging.getLogger(__name__)

CONTENT_TYPES = frozenset({"application/vnd.api+json", "application/json"})
SETTINGS_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Opened:
    settings: ReceiverSettings
    sources: Sources
    bad_signatures: BadSignatures
    inbox: Inbox


class Receiver:
    """The state behind the app, opened once and closed once.

    :param settings: reads the settings.
    :param monotonic: seconds of a monotonic clock.
    :param rereads: whether to reread the settings at the interval that they set.
    """

    def __init__(
        self, settings: SettingsSource, monotonic: Callable[[], float], *, rereads: bool = False
    ) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._rereads = rereads
        self._opened: _Opened | None = None
        self._failed_at: float | None = None
        self._current: CurrentSettings | None = None
        self._bodies = Bodies()
        self.tally = Tally(monotonic)
        self._refusals = RefusalCounts(self._count_refused)
        self.commits = CommitFigures()

    def open(self) -> _Opened:
        """Read the settings, unless already read. Does not connect yet.

        :raises ReceiverSettingsError: as the settings' source does.
        """
        if self._opened is None:
            settings = self._settings()
            limits = settings.limits
            self._opened = _Opened(
                settings,
                Sources(settings.allowed_sources, settings.trusted_proxies),
                BadSignatures(limits.bad_signatures_per_minute, limits.remembered_sources, self._monotonic),
                _inbox_of(settings, self.commits),
            )
            if self._rereads:
                self._current = CurrentSettings(self._settings, self._adopt, self._monotonic)
        return self._opened

    def close(self) -> None:
        """Commit waiting callbacks and close the database. Blocks."""
        self._refusals.flush()
        opened, self._opened = self._opened, None
        current, self._current = self._current, None
        if current is not None:
            current.close()
        if opened is not None:
            opened.inbox.close()

    def is_known(self, peer: str) -> bool:
        """Whether this address is a trusted proxy or on the allow-list."""
        return self._opened is not None and self._opened.sources.is_known(peer)

    async def current(self) -> _Opened:
        """The current state of the receiver.

        :raises Refused: when there are no settings.
        """
        opened = self._open_or_refuse()
        if self._current is not None:
            await self._current.refresh(opened.settings.limits.reread_seconds)
        return self._opened or opened

    @property
    def has_stale_settings(self) -> bool:
        """True while rereading the settings fails."""
        return self._current is not None and self._current.is_stale

    async def callback(self, request: Request) -> Response:
        """Handle one callback: one of the first seven :class:`~sat_hook.receiver.responses.Answer`."""
        account = str(request.path_params["account"])
        source: Address | None = None
        try:
            opened = await self.current()
            source = opened.sources.source_of(
                request.client.host if request.client else None, request.headers.getlist("x-forwarded-for")
            )
            self._require_welcome(opened, source)
            content_type = _content_type(request)
            is_listed = opened.sources.is_listed(source)
            body = await self._bodies.read(request, opened.settings.limits, is_listed=is_listed)
            verifier = opened.settings.verifiers.get(account)
            callback = self._verified(opened, verifier, account, source, content_type, body, request)
            is_new = await opened.inbox.store(callback, opened.settings.limits.answer_seconds)
        except Refused as refused:
            return self._refuse(refused.refusal, account, source, refused.why)
        except InboxError as error:
            return self._refuse(Refusal.NOT_STORED, account, source, str(error))
        except Exception as error:
            # The sender gets an answer that makes it retry. The error's text may hold the body, so only
            # its type is logged.
            logger.error("a callback met an unexpected %s", type(error).__name__)  # noqa: TRY400
            return self._refuse(Refusal.UNEXPECTED, account, source, type(error).__name__)
        self.tally.keep(account, is_new=is_new)
        return Answer.OK.response()

    def _refuse(self, refusal: Refusal, account: str, source: Address | None, why: str = "") -> Response:
        self.tally.refuse(refusal, account, str(source or "an unknown source"), why)
        if self._opened is not None:
            self._refusals.add(account, refusal, self._opened.settings.verifiers)
        return refusal.answer.response(closes=refusal in _LEAVES_THE_BODY)

    def _count_refused(self, counts: Counts) -> None:
        if self._opened is not None:
            self._opened.inbox.count_refused(counts)

    def _open_or_refuse(self) -> _Opened:
        if self._opened is not None:
            return self._opened
        now = self._monotonic()
        if self._failed_at is not None and now - self._failed_at < SETTINGS_RETRY_SECONDS:
            raise Refused(Refusal.NO_SETTINGS)
        try:
            opened = self.open()
        except ReceiverSettingsError as error:
            self._failed_at = now
            logger.error("the receiver cannot start: %s", error)  # noqa: TRY400 - the text says it all
            raise Refused(Refusal.NO_SETTINGS) from None
        self._failed_at = None
        return opened

    def _adopt(self, settings: ReceiverSettings) -> None:
        """Adopt reread settings; unchanged parts stay open."""
        before = self._opened
        if before is None:
            return
        limits, old = settings.limits, before.settings.limits
        inbox, bad_signatures = before.inbox, before.bad_signatures
        if (settings.dsn, limits.waiting_callbacks, limits.group_size) != (
            before.settings.dsn,
            old.waiting_callbacks,
            old.group_size,
        ):
            inbox = _inbox_of(settings, self.commits)
        if (limits.bad_signatures_per_minute, limits.remembered_sources) != (
            old.bad_signatures_per_minute,
            old.remembered_sources,
        ):
            bad_signatures = BadSignatures(
                limits.bad_signatures_per_minute, limits.remembered_sources, self._monotonic
            )
        self._opened = _Opened(
            settings, Sources(settings.allowed_sources, settings.trusted_proxies), bad_signatures, inbox
        )
        _tell_of_keys(before.settings, settings)
        if inbox is not before.inbox:
            # Its waiting callbacks are committed; it accepts no new ones.
            asyncio.get_running_loop().run_in_executor(None, before.inbox.close)

    def _require_welcome(self, opened: _Opened, source: Address | None) -> None:
        if not opened.sources.is_allowed(source):
            raise Refused(Refusal.SOURCE_NOT_ALLOWED)
        # A source on the allow-list is never throttled: another sender behind its address must not silence
        # SAT.
        if not opened.sources.is_listed(source) and opened.bad_signatures.is_exhausted(source):
            raise Refused(Refusal.TOO_MANY_BAD_SIGNATURES)

    def _verified(
        self,
        opened: _Opened,
        verifier: Verifier | None,
        account: str,
        source: Address | None,
        content_type: str,
        body: bytes,
        request: Request,
    ) -> Callback:
        """Verify the signature over the raw bytes before the body is parsed."""
        signature = request.headers.get(SIGNATURE_HEADER)
        if verifier is None:
            raise self._badly_signed(opened, source, Refusal.UNKNOWN_ACCOUNT, "")
        try:
            fingerprint = verifier.verify(body, signature)
        except SignatureError as error:
            raise self._badly_signed(opened, source, Refusal.BAD_SIGNATURE, str(error)) from None
        try:
            request_id = parse_order(body).request_id
        except UnreadableReplyError as error:
            raise Refused(Refusal.NO_ORDER, str(error)) from None
        if len(request_id) > MAXIMUM_REQUEST_ID_CHARACTERS:
            raise Refused(Refusal.NO_ORDER, f"the id has {len(request_id)} characters")
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

    def _badly_signed(self, opened: _Opened, source: Address | None, refusal: Refusal, why: str) -> Refused:
        exhausted = opened.bad_signatures.is_exhausted(source)
        opened.bad_signatures.count(source)
        return Refused(Refusal.TOO_MANY_BAD_SIGNATURES if exhausted else refusal, why)


# The rest of such a request is not read, so its connection cannot be reused.
_LEAVES_THE_BODY = frozenset(
    {
        Refusal.BODY_TOO_LARGE,
        Refusal.BODY_TOO_SLOW,
        Refusal.MEMORY_FULL,
        Refusal.SOURCE_NOT_ALLOWED,
        Refusal.TOO_MANY_BAD_SIGNATURES,
    }
)


class _Anything(Convertor[str]):
    """Matches everything after the slash, including newlines, as an account name."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _Anything())


def create_app(
    settings: SettingsSource,
    *,
    prefix: str = "",
    with_health: bool = False,
    scrape_tokens: Tokens | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Make the receiver's app; ``app.state.receiver`` is its :class:`Receiver`.

    :param settings: called from a thread at startup or with the first request, and then at the settings'
        own interval.
    :param prefix: the path before ``/callbacks/{account}``; begins with a slash or is empty.
    :param with_health: adds ``GET {prefix}/health`` (200 or 503) for load balancers and containers.
    :param scrape_tokens: adds ``GET {prefix}/metrics`` for scrapers with one of these tokens.
    :param monotonic: seconds of a clock that never jumps.
    """
    receiver = Receiver(settings, monotonic, rereads=True)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        receiver.open()
        yield
        await asyncio.to_thread(receiver.close)

    async def refuse(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 0
        refusal = Refusal.NO_POST if status == 405 else Refusal.NO_CALLBACK_PATH
        receiver.tally.refuse(refusal, "", "an unknown source")
        return refusal.answer.response()

    routes = [Route(f"{prefix}/callbacks/{{account:anything}}", receiver.callback, methods=["POST"])]
    if with_health:
        routes.append(Route(f"{prefix}/health", Health(receiver, monotonic).answer, methods=["GET"]))
    if scrape_tokens is not None:
        page = ScrapePage(lambda: families_of(receiver), scrape_tokens, monotonic)
        routes.append(Route(f"{prefix}/metrics", page))
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: refuse})
    # We never redirect: a sender might follow a redirect with a GET.
    app.router.redirect_slashes = False
    app.state.receiver = receiver
    return app


def _inbox_of(settings: ReceiverSettings, commits: CommitFigures) -> Inbox:
    return Inbox(
        Database(settings.dsn, "sat-receiver"),
        waiting_limit=settings.limits.waiting_callbacks,
        group_limit=settings.limits.group_size,
        commits=commits,
    )


def _content_type(request: Request) -> str:
    """The media type without parameters. Refuses unsupported types and encoded bodies."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if media_type not in CONTENT_TYPES or encoding not in ("", "identity"):
        raise Refused(Refusal.MEDIA_TYPE)
    return media_type


def _tell_of_keys(before: ReceiverSettings, after: ReceiverSettings) -> None:
    for account in sorted(before.verifiers.keys() | after.verifiers.keys()):
        old, new = before.verifiers.get(account), after.verifiers.get(account)
        if (old and old.fingerprints) != (new and new.fingerprints):
            keys = ", ".join(new.fingerprints) if new else "none, the account was removed"
            logger.info("keys of account %s from now on: %s", account, keys)
