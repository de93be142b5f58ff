"""The asynchronous client (aiohttp), for bulk execution and triggers. One event loop, many tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from sat_hook.clients.about_request import bill_call, outcome_for, require_about
from sat_hook.clients.async_transport import AsyncTransport
from sat_hook.clients.limiter import AsyncLimiter, AsyncProcessLimiter
from sat_hook.clients.send_window import SendGuard
from sat_hook.clients.settings import AccountSettings
from sat_hook.clients.tokens import AsyncTokenCache
from sat_hook.domain.ports import Clock, SendWindow
from sat_hook.protocol.calls import (
    Call,
    Reply,
    account_call,
    environment_fault,
    has_sandbox_flag,
    headers_of,
    order_request,
    ping_call,
    products_call,
    read_checkout,
    read_reply,
    read_status,
    status_request,
    token_fault,
)
from sat_hook.protocol.endpoints import call_of
from sat_hook.protocol.errors import TokenUnavailableError
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireRequest, WireResponse, outcome_of
from sat_hook.protocol.messages import (
    Account,
    Inquiry,
    InquiryRequest,
    OrderDetail,
    OrderRequest,
    Ping,
    Product,
    encode_order,
)
from sat_hook.protocol.outcomes import CheckoutOutcome, StatusOutcome, classify_checkout, classify_status
from sat_hook.protocol.tokens import TokenGrant, read_token, token_request
from sat_hook.telemetry.probes import Probe, drawn_order, timed

logger = logging.getLogger(__name__)

T = TypeVar("T")

SIGNING_THREADS = 2


class AsyncSATClient:
    """One account's client. It does not use the network before the first call.

    :param settings: the account, its keys and its limits.
    :param clock: the source of time.
    :param limiter: admits requests; by default it applies the limits of ``settings`` to this process.
    """

    def __init__(
        self, settings: AccountSettings, clock: Clock, *, limiter: AsyncLimiter | None = None
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._limiter: AsyncLimiter = limiter or AsyncProcessLimiter(
            clock,
            requests_per_second=settings.requests_per_second,
            max_in_flight=settings.max_in_flight,
        )
        self._transport = AsyncTransport(settings)
        self._tokens = AsyncTokenCache(self._fetch_token, clock)
        # An RSA signature takes most of a millisecond; OpenSSL releases the GIL meanwhile.
        self._signing = ThreadPoolExecutor(SIGNING_THREADS, thread_name_prefix="sat-signing")
        self._environment_lock = asyncio.Lock()
        self._environment_is_known = not has_sandbox_flag(settings.environment)

    async def __aenter__(self) -> AsyncSATClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; later calls are never sent."""
        await self._tokens.close()
        await self._transport.close()
        await self._limiter.close()
        self._signing.shutdown(wait=False)

    # Read-only calls: return an answer or raise a typed error.

    async def ask(self, call: Call[T]) -> Reply[T]:
        """Make any call of :mod:`sat_hook.protocol.calls` and return the answer with the raw response.

        :raises SATError: one of its types, and nothing else, for any network failure.
        """
        began_at = self._clock.now()
        return read_reply(call, await self._send(call.request), began_at)

    async def ping(self) -> Ping:
        """Check that SAT is reachable (protocol section 5.1).

        :raises SATError: typed.
        """
        return (await self.ask(ping_call())).value

    async def account(self) -> Account:
        """Read the account and its deposit in rupiah (protocol section 5.2).

        :raises SATError: typed.
        """
        return (await self.ask(account_call())).value

    async def list_products(self, codes: Sequence[str] | None = None) -> list[Product]:
        """Read the catalogue, or the products with these codes (protocol section 5.3).

        :raises ProductNotFoundError: SAT knows none, or not all, of ``codes``.
        :raises SATError: typed.
        """
        return (await self.ask(products_call(codes))).value

    async def inquiry(self, request: InquiryRequest) -> Inquiry:
        """Ask what a bill costs (protocol section 5.4).

        :raises SATError: typed.
        """
        return (await self.ask(bill_call(request))).value

    # Orders for the pipeline: outcomes; network errors never raise.

    async def place_order(
        self, body: bytes, request_id: str, window: SendWindow | None = None
    ) -> CheckoutOutcome:
        """Sign and send exactly ``body``, once, and return what is proven (section 5.5).

        :param window: until when the request may be written; checked once the connection is open.

        If the caller is cancelled here, it does not learn the outcome: the order is UNKNOWN.
        """
        return classify_checkout(await self._transmit(body, window), request_id)

    async def ask_status(self, request_id: str) -> StatusOutcome:
        """Query an order's status, which counts only if SAT signed it (protocol sections 5.6 and 7).

        :raises InvalidRequestIdError: when the id cannot be part of a path; nothing is sent.
        """
        with drawn_order("sat.status", request_id, self.settings.account):
            reply = await self._send(status_request(request_id))
        return classify_status(reply, request_id, self.settings.verifier)

    # Orders for direct callers: the same calls, with an answer or a typed error.

    async def checkout(self, request: OrderRequest) -> OrderDetail:
        """Place an order, once. See :meth:`checkout_reply`."""
        return (await self.checkout_reply(request)).value

    async def checkout_reply(self, request: OrderRequest) -> Reply[OrderDetail]:
        """Place an order, once, and return the answer with the raw response.

        :raises RefusedError: SAT certainly did not take the order (``definite``).
        :raises NeverSentError: nothing was sent.
        :raises OutcomeUnknownError: it may have been charged: :meth:`check_status` tells.
        """
        began_at = self._clock.now()
        reply = await self._transmit(encode_order(request), None)
        outcome = outcome_for(request, reply)
        return read_checkout(outcome, reply, request.request_id, began_at)

    async def check_status(self, request_id: str, sent: OrderRequest | None = None) -> OrderDetail:
        """Read the signed status of an order. See :meth:`check_status_reply`."""
        return (await self.check_status_reply(request_id, sent)).value

    async def check_status_reply(
        self, request_id: str, sent: OrderRequest | None = None
    ) -> Reply[OrderDetail]:
        """Read the signed status of an order and return it with the raw response.

        :param sent: what was ordered under this id; a status about anything else then ends nothing.
        :raises ReplyMismatchError: the status is about another order, product or client number.
        :raises OrderNotFoundError: P02, which does not prove that the order failed.
        :raises UnverifiedReplyError: not signed by a trusted key, or there is no key to verify with.
        :raises SATError: typed.
        """
        began_at = self._clock.now()
        reply = await self._send(status_request(request_id))
        outcome = classify_status(reply, request_id, self.settings.verifier)
        return require_about(sent, read_status(outcome, reply, request_id, began_at))

    # Transport.

    async def _transmit(self, body: bytes, window: SendWindow | None) -> WireResponse | TransportFault:
        signer = self.settings.signer
        if signer is None:
            return TransportFault(FaultKind.KEY_MISSING, sent=False, detail="there is no private key")
        fault = await self._environment_fault()
        if fault is not None:
            return fault
        if self._transport.is_closed:
            return TransportFault(FaultKind.CLIENT_CLOSED, sent=False, detail="the client is closed")
        signature = await asyncio.get_running_loop().run_in_executor(self._signing, signer.sign, body)
        return await self._send(order_request(body), signature=signature, window=window)

    async def _send(
        self, request: WireRequest, *, signature: str | None = None, window: SendWindow | None = None
    ) -> WireResponse | TransportFault:
        try:
            with timed(Probe.ADMISSION, self.settings.account):
                await self._limiter.acquire()
        except Exception as error:  # a limiter may be a remote service
            logger.warning("The limiter failed with %s", type(error).__name__)
            return TransportFault(FaultKind.LIMITER, sent=False, detail="no admission by the limiter")
        try:
            return await self._send_admitted(request, signature, window)
        finally:
            self._limiter.release()

    async def _send_admitted(
        self, request: WireRequest, signature: str | None, window: SendWindow | None
    ) -> WireResponse | TransportFault:
        try:
            token = await self._tokens.token()
        except TokenUnavailableError as error:
            return token_fault(error)
        reply = await self._send_with(request, token, signature, window)
        if isinstance(reply, WireResponse) and reply.status == 401:
            self._tokens.refuse(token)
            # Only read-only calls are retried. A checkout answered 401 by a proxy may have been accepted.
            other = await self._tokens.other_than(token) if request.method == "GET" else None
            if other is not None:
                return await self._send_with(request, other, signature, window)
        return reply

    async def _send_with(
        self, request: WireRequest, token: str, signature: str | None, window: SendWindow | None
    ) -> WireResponse | TransportFault:
        headers = headers_of(request, now=self._clock.now(), token=token, signature=signature)
        complete = WireRequest(request.method, request.path, request.query, headers, request.body)
        with timed(Probe.REQUEST, self.settings.account, call=call_of(request.method, request.path)) as work:
            reply = await self._transport.exchange(
                self.settings.base_url, complete, SendGuard(self._clock, window)
            )
            if work is not None:
                work.outcome = outcome_of(reply)
        return reply

    async def _fetch_token(self) -> TokenGrant:
        request = token_request(self.settings.client_id, self.settings.client_secret)
        return read_token(
            await self._transport.exchange(self.settings.token_url, request, SendGuard(self._clock))
        )

    async def _environment_fault(self) -> TransportFault | None:
        """Check once, before the first order, that this is the environment of the settings."""
        if self._environment_is_known:
            return None
        async with self._environment_lock:
            if self._environment_is_known:
                return None
            fault = environment_fault(self.settings.environment, await self._send(ping_call().request))
            self._environment_is_known = fault is None
            return fault
