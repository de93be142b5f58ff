"""HTTP through requests, with additions: a deadline for the whole exchange, a limit on the answer's size, and
a check just before the request is written.
"""

from __future__ import annotations

import errno
import http.client
import io
import logging
import socket
import time
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HeaderParsingError
from urllib3.util.response import assert_header_parsing

from sat_hook.clients.errors import SendWindowClosed, transport_error_text
from sat_hook.clients.proxies_and_tls import ca_bundle, proxy_of
from sat_hook.clients.send_window import SendGuard, current_guard
from sat_hook.clients.settings import AccountSettings
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireRequest, WireResponse

logger = logging.getLogger(__name__)

USER_AGENT = "sat-bulk-orders"
_CHUNK_BYTES = 65_536

_deadline: ContextVar[float] = ContextVar("sat_deadline", default=float("inf"))
"""time.monotonic() at which this thread's exchange must be over."""


class _DeadlineReader(io.RawIOBase):
    """Limits every read to the time left, so that a slow server cannot exceed the deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._socket = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _deadline.get() - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the whole exchange is over")
        idle = self._socket.gettimeout()
        if idle is None or left < idle:
            self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_DeadlineReader(raw, sock))

    def begin(self) -> None:
        """Refuse headers that cannot be parsed; urllib3 would log them with their values and continue."""
        super().begin()
        try:
            assert_header_parsing(self.msg)
        except HeaderParsingError:
            raise http.client.HTTPException("the headers of the answer cannot be parsed") from None


class _GuardedConnection(HTTPConnection):
    """Calls the guard once the connection is open, before the first byte of the request."""

    response_class = _DeadlineResponse
    _is_connecting = False

    def connect(self) -> None:
        self._is_connecting = True
        try:
            super().connect()
        finally:
            self._is_connecting = False

    def send(self, data: Any) -> None:
        # A proxy's CONNECT is part of connecting: SAT has not seen a byte of the request yet.
        if not self._is_connecting:
            if self.sock is None:
                self.connect()
            guard = current_guard.get()
            if guard is not None:
                if time.monotonic() >= _deadline.get() and not guard.written:
                    raise urllib3.exceptions.ConnectTimeoutError("connecting took all the time there was")
                guard.before_writing()
        super().send(data)


class _GuardedTlsConnection(_GuardedConnection, HTTPSConnection):
    """The same over TLS."""


class _GuardedPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _GuardedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTlsConnection


_POOL_CLASSES = {"http": _GuardedPool, "https": _GuardedTlsPool}


class _GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOL_CLASSES

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOL_CLASSES
        return manager


class BlockingTransport:
    """Turns a request into a response or a fault; network errors never raise. Thread-safe.

    It does not use requests' session, which follows redirects, keeps cookies, reads ``.netrc`` and reads the
    body of a redirect without a limit.
    """

    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings
        self._adapter = _GuardedAdapter(
            pool_connections=4, pool_maxsize=settings.max_in_flight, max_retries=0, pool_block=False
        )
        self._bundle = ca_bundle()
        self._proxies = {url: _proxies(url) for url in (settings.base_url, settings.token_url)}
        self.is_closed = False

    def exchange(
        self, base_url: str, request: WireRequest, guard: SendGuard
    ) -> WireResponse | TransportFault:
        """Send ``request`` to ``base_url`` and read the whole answer."""
        if self.is_closed:
            return TransportFault(FaultKind.CLIENT_CLOSED, sent=False, detail="the client is closed")
        guard_token = current_guard.set(guard)
        deadline_token = _deadline.set(time.monotonic() + self._settings.total_timeout_seconds)
        try:
            return self._exchange(base_url, request)
        except SendWindowClosed:
            return TransportFault(
                FaultKind.SEND_WINDOW_PASSED,
                sent=False,
                detail="the window of the intent passed before the request was written",
            )
        except Exception as error:
            return _fault_of(error, guard)
        finally:
            _deadline.reset(deadline_token)
            current_guard.reset(guard_token)

    def close(self) -> None:
        """Close every connection."""
        self.is_closed = True
        self._adapter.close()

    def _exchange(self, base_url: str, request: WireRequest) -> WireResponse | TransportFault:
        settings = self._settings
        prepared = requests.Request(
            request.method,
            base_url + request.path,
            params=request.query or None,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **request.headers},
            data=request.body or None,
        ).prepare()
        response = self._adapter.send(
            prepared,
            stream=True,
            timeout=(
                min(settings.connect_timeout_seconds, settings.total_timeout_seconds),
                min(settings.read_timeout_seconds, settings.total_timeout_seconds),
            ),
            verify=self._bundle,
            proxies=self._proxies.get(base_url),
        )
        try:
            return self._read(response)
        except BaseException:
            response.close()
            raise

    def _read(self, response: requests.Response) -> WireResponse | TransportFault:
        limit = self._settings.max_response_bytes
        chunks: list[bytes] = []
        size = 0
        for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=True):
            size += len(chunk)
            if size > limit:
                response.close()
                return TransportFault(
                    FaultKind.RESPONSE_TOO_LARGE, sent=True, detail=f"the answer has more than {limit} bytes"
                )
            chunks.append(chunk)
        response.raw.release_conn()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return WireResponse(response.status_code, headers, b"".join(chunks))


def _proxies(url: str) -> dict[str, str] | None:
    proxy = proxy_of(url)
    return None if proxy is None else {urlsplit(url).scheme: proxy}


def _fault_of(error: Exception, guard: SendGuard) -> TransportFault:
    kind = _kind_after_writing(error) if guard.written else _kind_before_writing(error)
    if kind is FaultKind.UNEXPECTED:
        logger.warning("An exchange ended in an unexpected %s", type(error).__name__)
    # Only the error's type is used: what libraries write into their messages is not guaranteed.
    return TransportFault(kind, sent=guard.written, detail=transport_error_text(kind, _root(error)))


def _kind_before_writing(error: Exception) -> FaultKind:
    root = _root(error)
    causes = _chain(error)
    if any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in causes):
        return FaultKind.PROXY
    if isinstance(root, socket.gaierror):
        return FaultKind.DNS
    if any(
        isinstance(cause, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)) for cause in causes
    ):
        return FaultKind.TLS
    if any(
        isinstance(cause, (TimeoutError, urllib3.exceptions.TimeoutError, requests.exceptions.Timeout))
        for cause in causes
        if not isinstance(cause, urllib3.exceptions.NewConnectionError)
    ):
        return FaultKind.CONNECT_TIMEOUT
    if isinstance(root, OSError):
        refused = isinstance(root, ConnectionRefusedError) or root.errno == errno.ECONNREFUSED
        return FaultKind.CONNECTION_REFUSED if refused else FaultKind.CONNECT_FAILED
    if any(isinstance(cause, requests.exceptions.ConnectionError) for cause in causes):
        return FaultKind.CONNECT_FAILED
    return FaultKind.UNEXPECTED


def _kind_after_writing(error: Exception) -> FaultKind:
    causes = _chain(error)
    if any(isinstance(cause, (TimeoutError, urllib3.exceptions.TimeoutError)) for cause in causes):
        return FaultKind.TIMEOUT
    if any(
        isinstance(cause, (ConnectionError, http.client.IncompleteRead, urllib3.exceptions.IncompleteRead))
        for cause in causes
    ):
        return FaultKind.CONNECTION_RESET
    if any(
        isinstance(
            cause,
            (
                http.client.HTTPException,
                urllib3.exceptions.DecodeError,
                urllib3.exceptions.InvalidChunkLength,
                ValueError,
            ),
        )
        for cause in causes
    ):
        return FaultKind.MALFORMED_RESPONSE
    if any(isinstance(cause, (OSError, urllib3.exceptions.HTTPError)) for cause in causes):
        return FaultKind.CONNECTION_RESET
    return FaultKind.UNEXPECTED


def _chain(error: BaseException) -> list[BaseException]:
    """The error and all its causes, in every way that requests and urllib3 wrap errors."""
    found: list[BaseException] = []
    pending: list[object] = [error]
    while pending and len(found) < 32:
        current = pending.pop(0)
        if not isinstance(current, BaseException) or any(current is known for known in found):
            continue
        found.append(current)
        pending += [current.__cause__, getattr(current, "reason", None), *current.args]
        if current.__cause__ is None:
            pending.append(current.__context__)
    return found


def _root(error: Exception) -> BaseException:
    return next((cause for cause in reversed(_chain(error)) if isinstance(cause, OSError)), error)
