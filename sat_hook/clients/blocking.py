"""The blocking client (requests), for scripts, hooks and tasks that make few calls. Thread-safe."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

from sat_hook.clients.about_request import bill_call, outcome_for, require_about
from sat_hook.clients.blocking_transport import BlockingTransport
from sat_hook.clients.limiter import BlockingLimiter, ProcessLimiter
from sat_hook.clients.send_window import SendGuard
from sat_hook.clients.settings import AccountSettings
from sat_hook.clients.tokens import BlockingTokenCache
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
from sat_hook.telemetry.probes import Probe, timed

logger = logging.getLogger(__name__)

T = TypeVar("T")


class BlockingSATClient:
    """One account's client. It does not use the network before the first call.

    :param settings: the account, its keys and its limits.
    :param clock: the source of time.
    :param limiter: admits requests; by default it applies the limits of ``settings`` to this process.
    """

    def __init__(
        self, settings: AccountSettings, clock: Clock, *, limiter: BlockingLimiter | None = None
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._limiter: BlockingLimiter = limiter or ProcessLimiter(
            clock,
            requests_per_second=settings.requests_per_second,
            max_in_flight=settings.max_in_flight,
        )
        self._transport = BlockingTransport(settings)
        self._tokens = BlockingTokenCache(self._fetch_token, clock)
        self._environment_lock = threading.Lock()
        self._environment_is_known = not has_sandbox_flag(settings.environment)

    def __enter__(self) -> BlockingSATClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; later calls are never sent."""
        self._transport.close()
        self._limiter.close()

    # Read-only calls: return an answer or raise a typed error.

    def ask(self, call: Call[T]) -> Reply[T]:
        """Make any call of :mod:`sat_hook.protocol.calls` and return the answer with the raw response.

        :raises SATError: one of its types, and nothing else, for any network failure.
        """
        began_at = self._clock.now()
        return read_reply(call, self._send(call.request), began_at)

    def ping(self) -> Ping:
        """Check that SAT is reachable (protocol section 5.1).

        :raises SATError: typed.
        """
        return self.ask(ping_call()).value

    def account(self) -> Account:
        """Read the account and its deposit in rupiah (protocol section 5.2).

        :raises SATError: typed.
        """
        return self.ask(account_call()).value

    def list_products(self, codes: Sequence[str] | None = None) -> list[Product]:
        """Read the catalogue, or the products with these codes (protocol section 5.3).

        :raises ProductNotFoundError: SAT knows none, or not all, of ``codes``.
        :raises SATError: typed.
        """
        return self.ask(products_call(codes)).value

    def inquiry(self, request: InquiryRequest) -> Inquiry:
        """Ask what a bill costs (protocol section 5.4).

        :raises SATError: typed.
        """
        return self.ask(bill_call(request)).value

    # Orders for the pipeline: outcomes; network errors never raise.

    def place_order(self, body: bytes, request_id: str, window: SendWindow | None = None) -> CheckoutOutcome:
        """Sign and send exactly ``body``, once, and return what is proven (section 5.5).

        :param window: until when the request may be written; checked once the connection is open.
        """
        return classify_checkout(self._transmit(body, window), request_id)

    def ask_status(self, request_id: str) -> StatusOutcome:
        """Query an order's status, which counts only if SAT signed it (protocol sections 5.6 and 7).

        :raises InvalidRequestIdError: when the id cannot be part of a path; nothing is sent.
        """
        return classify_status(self._send(status_request(request_id)), request_id, self.settings.verifier)

    # Orders for direct callers: the same calls, with an answer or a typed error.

    def checkout(self, request: OrderRequest) -> OrderDetail:
        """Place an order, once. See :meth:`checkout_reply`."""
        return self.checkout_reply(request).value

    def checkout_reply(self, request: OrderRequest) -> Reply[OrderDetail]:
        """Place an order, once, and return the answer with the raw response.

        :raises RefusedError: SAT certainly did not take the order (``definite``).
        :raises NeverSentError: nothing was sent.
        :raises OutcomeUnknownError: it may have been charged: :meth:`check_status` tells.
        """
        began_at = self._clock.now()
        reply = self._transmit(encode_order(request), None)
        outcome = outcome_for(request, reply)
        return read_checkout(outcome, reply, request.request_id, began_at)

    def check_status(self, request_id: str, sent: OrderRequest | None = None) -> OrderDetail:
        """Read the signed status of an order. See :meth:`check_status_reply`."""
        return self.check_status_reply(request_id, sent).value

    def check_status_reply(self, request_id: str, sent: OrderRequest | None = None) -> Reply[OrderDetail]:
        """Read the signed status of an order and return it with the raw response.

        :param sent: what was ordered under this id; a status about anything else then ends nothing.
        :raises ReplyMismatchError: the status is about another order, product or client number.
        :raises OrderNotFoundError: P02, which does not prove that the order failed.
        :raises UnverifiedReplyError: not signed by a trusted key, or there is no key to verify with.
        :raises SATError: typed.
        """
        began_at = self._clock.now()
        reply = self._send(status_request(request_id))
        outcome = classify_status(reply, request_id, self.settings.verifier)
        return require_about(sent, read_status(outcome, reply, request_id, began_at))

    # Transport.

    def _transmit(self, body: bytes, window: SendWindow | None) -> WireResponse | TransportFault:
        signer = self.settings.signer
        if signer is None:
            return TransportFault(FaultKind.KEY_MISSING, sent=False, detail="there is no private key")
        fault = self._environment_fault()
        if fault is not None:
            return fault
        return self._send(order_request(body), signature=signer.sign(body), window=window)

    def _send(
        self, request: WireRequest, *, signature: str | None = None, window: SendWindow | None = None
    ) -> WireResponse | TransportFault:
        try:
            with timed(Probe.ADMISSION, self.settings.account):
                self._limiter.acquire()
        except Exception as error:  # a limiter may be a remote service
            logger.warning("The limiter failed with %s", type(error).__name__)
            return TransportFault(FaultKind.LIMITER, sent=False, detail="no admission by the limiter")
        try:
            return self._send_admitted(request, signature, window)
        finally:
            self._limiter.release()

    def _send_admitted(
        self, request: WireRequest, signature: str | None, window: SendWindow | None
    ) -> WireResponse | TransportFault:
        try:
            token = self._tokens.token()
        except TokenUnavailableError as error:
            return token_fault(error)
        reply = self._send_with(request, token, signature, window)
        if isinstance(reply, WireResponse) and reply.status == 401:
            self._tokens.refuse(token)
            # Only read-only calls are retried. A checkout answered 401 by a proxy may have been accepted.
            other = self._tokens.other_than(token) if request.method == "GET" else None
            if other is not None:
                return self._send_with(request, other, signature, window)
        return reply

    def _send_with(
        self, request: WireRequest, token: str, signature: str | None, window: SendWindow | None
    ) -> WireResponse | TransportFault:
        headers = headers_of(request, now=self._clock.now(), token=token, signature=signature)
        complete = WireRequest(request.method, request.path, request.query, headers, request.body)
        with timed(Probe.REQUEST, self.settings.account, call=call_of(request.method, request.path)) as work:
            reply = self._transport.exchange(self.settings.base_url, complete, SendGuard(self._clock, window))
            if work is not None:
                work.outcome = outcome_of(reply)
        return reply

    def _fetch_token(self) -> TokenGrant:
        request = token_request(self.settings.client_id, self.settings.client_secret)
        return read_token(self._transport.exchange(self.settings.token_url, request, SendGuard(self._clock)))

    def _environment_fault(self) -> TransportFault | None:
        """Check once, before the first order, that this is the environment of the settings."""
        if self._environment_is_known:
            return None
        with self._environment_lock:
            if self._environment_is_known:
                return None
            fault = environment_fault(self.settings.environment, self._send(ping_call().request))
            self._environment_is_known = fault is None
            return fault
