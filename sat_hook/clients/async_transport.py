"""HTTP through aiohttp, with a limit on the answer's size and a check just before the request is written."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from weakref import WeakSet

import aiohttp
from aiohttp.client_exceptions import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ServerDisconnectedError,
)
from aiohttp.payload import BytesPayload
from urllib3.util.wait import wait_for_read
from yarl import URL

from sat_hook.clients.errors import SendWindowClosed, transport_error_text
from sat_hook.clients.proxies_and_tls import ca_bundle, proxy_of, tls_context
from sat_hook.clients.send_window import SendGuard, current_guard
from sat_hook.clients.settings import AccountSettings
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireRequest, WireResponse

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

logger = logging.getLogger(__name__)

USER_AGENT = "sat-bulk-orders"
_OWN_HEADERS = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}


class _GuardedRequest(aiohttp.ClientRequest):
    """Calls the guard once the connection is open, just before the request is written."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        guard = current_guard.get()
        if guard is not None:
            guard.before_writing()
        return await super().send(conn)


class _Connector(aiohttp.TCPConnector):
    """Refuses a pooled connection that has unread bytes before the request is written.

    aiohttp would take them for the answer to the next request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        """A connection without unread input: from the pool if there is one, else a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None
            if protocol not in self._used or not _has_input(protocol):
                self._used.add(protocol)
                return connection
            connection.close()

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        # Without the last answer's parser, new input stays visible, even half a status line.
        protocol._parser = None
        super()._release(key, protocol, should_close=should_close)


def _has_input(protocol: ResponseHandler) -> bool:
    """Whether unrequested input was received or waits in the kernel."""
    transport = protocol.transport
    if protocol.should_close or transport is None or transport.is_closing():
        return True
    return wait_for_read(transport.get_extra_info("socket"), timeout=0)


class AsyncTransport:
    """Turns a request into a response or a fault; network errors never raise.

    Bound to the event loop of its first use. Redirects, cookies, ``.netrc`` and aiohttp's silent retry are
    off. Proxies are looked up once, because aiohttp would look them up in a thread for every request.
    """

    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings
        self._bundle = ca_bundle()
        self._proxies = {url: proxy_of(url) for url in (settings.base_url, settings.token_url)}
        self._session: aiohttp.ClientSession | None = None
        self.is_closed = False

    async def exchange(
        self, base_url: str, request: WireRequest, guard: SendGuard
    ) -> WireResponse | TransportFault:
        """Send ``request`` to ``base_url`` and read the whole answer."""
        if self.is_closed:
            return TransportFault(FaultKind.CLIENT_CLOSED, sent=False, detail="the client is closed")
        guard_token = current_guard.set(guard)
        try:
            return await self._exchange(base_url, request)
        except SendWindowClosed:
            return TransportFault(
                FaultKind.SEND_WINDOW_PASSED,
                sent=False,
                detail="the window of the intent passed before the request was written",
            )
        except Exception as error:
            return _fault_of(error, guard)
        finally:
            current_guard.reset(guard_token)

    async def close(self) -> None:
        """Close every connection."""
        self.is_closed = True
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, base_url: str, request: WireRequest) -> WireResponse | TransportFault:
        session = self._session or self._open()
        address = base_url + request.path
        if request.query:
            address = f"{address}?{urlencode(request.query)}"
        async with session.request(
            request.method,
            _url(address) if request.method == "POST" else URL(address, encoded=True),
            # Passing a payload skips aiohttp's lookup in its registry of payload types.
            data=BytesPayload(request.body) if request.body else None,
            headers={**_OWN_HEADERS, **request.headers},
            allow_redirects=False,
            proxy=self._proxies.get(base_url),
        ) as response:
            return await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> WireResponse | TransportFault:
        limit = self._settings.max_response_bytes
        chunks: list[bytes] = []
        size = 0
        while chunk := await response.content.readany():
            size += len(chunk)
            if size > limit:
                response.close()
                return TransportFault(
                    FaultKind.RESPONSE_TOO_LARGE, sent=True, detail=f"the answer has more than {limit} bytes"
                )
            chunks.append(chunk)
        headers: dict[str, str] = {}
        for name, value in response.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return WireResponse(response.status, headers, b"".join(chunks))

    def _open(self) -> aiohttp.ClientSession:
        settings = self._settings
        needs_tls = any(
            url.startswith("https:")
            for url in (settings.base_url, settings.token_url, *filter(None, self._proxies.values()))
        )
        context: ssl.SSLContext | bool = tls_context(self._bundle) if needs_tls else True
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                limit=settings.max_in_flight + 1, ssl=context, ttl_dns_cache=30, keepalive_timeout=15.0
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_GuardedRequest,
            timeout=aiohttp.ClientTimeout(
                total=settings.total_timeout_seconds,
                sock_connect=settings.connect_timeout_seconds,
                sock_read=settings.read_timeout_seconds,
                ceil_threshold=float("inf"),
            ),
            auto_decompress=True,
            raise_for_status=False,
            trust_env=False,
        )
        # The caller decides about retries, because only it knows whether the request is safe to repeat.
        self._session._retry_connection = False
        return self._session


@lru_cache(maxsize=64)
def _url(address: str) -> URL:
    """Build the URL. Cached, because all orders go to the same few addresses."""
    return URL(address, encoded=True)


def _fault_of(error: Exception, guard: SendGuard) -> TransportFault:
    kind = _kind_after_writing(error) if guard.written else _kind_before_writing(error)
    if kind is FaultKind.UNEXPECTED:
        logger.warning("An exchange ended in an unexpected %s", type(error).__name__)
    return TransportFault(kind, sent=guard.written, detail=transport_error_text(kind, error))


_BEFORE_WRITING: tuple[tuple[type[Exception], FaultKind], ...] = (
    (ClientProxyConnectionError, FaultKind.PROXY),
    (ClientHttpProxyError, FaultKind.PROXY),
    (ClientConnectorDNSError, FaultKind.DNS),
    (ClientConnectorCertificateError, FaultKind.TLS),
    (ClientConnectorSSLError, FaultKind.TLS),
    (ssl.SSLError, FaultKind.TLS),
    (asyncio.TimeoutError, FaultKind.CONNECT_TIMEOUT),
    (aiohttp.ClientConnectionError, FaultKind.CONNECT_FAILED),
    (OSError, FaultKind.CONNECT_FAILED),
)

_AFTER_WRITING: tuple[tuple[type[Exception], FaultKind], ...] = (
    (asyncio.TimeoutError, FaultKind.TIMEOUT),
    (ServerDisconnectedError, FaultKind.CONNECTION_RESET),
    (ClientPayloadError, FaultKind.CONNECTION_RESET),
    (ClientResponseError, FaultKind.MALFORMED_RESPONSE),
    (ValueError, FaultKind.MALFORMED_RESPONSE),
    (aiohttp.ClientError, FaultKind.CONNECTION_RESET),
    (OSError, FaultKind.CONNECTION_RESET),
)


def _kind_before_writing(error: Exception) -> FaultKind:
    if isinstance(error, ClientConnectorError) and _is_refused(error.os_error):
        return (
            FaultKind.PROXY if isinstance(error, ClientProxyConnectionError) else FaultKind.CONNECTION_REFUSED
        )
    return _first_match(_BEFORE_WRITING, error)


def _kind_after_writing(error: Exception) -> FaultKind:
    if isinstance(error, ClientPayloadError) and "Can not decode" in str(error):
        return FaultKind.MALFORMED_RESPONSE
    return _first_match(_AFTER_WRITING, error)


def _first_match(table: tuple[tuple[type[Exception], FaultKind], ...], error: Exception) -> FaultKind:
    return next((kind for type_, kind in table if isinstance(error, type_)), FaultKind.UNEXPECTED)


def _is_refused(error: Any) -> bool:
    return isinstance(error, ConnectionRefusedError) or getattr(error, "errno", None) == errno.ECONNREFUSED
