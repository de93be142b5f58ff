"""The hook of the connection type ``sat``."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypedDict

from airflow.sdk import BaseHook, Connection

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.clients.settings import AccountSettings
from sat_hook.clients.shared_limiter import AsyncSharedLimiter, SharedLimiter
from sat_hook.domain.guards import AccountRules
from sat_hook.hooks.errors import SATConnectionError
from sat_hook.hooks.sat_connection import CONNECTION_TYPE, rules_of, settings_of
from sat_hook.protocol.calls import Call, Reply, T
from sat_hook.protocol.endpoints import SANDBOX_FLAG
from sat_hook.protocol.errors import (
    CredentialsRefusedError,
    NeverSentError,
    RefusedError,
    ReplyTimeoutError,
    SATError,
    TokenUnavailableError,
    UnexpectedReplyError,
    UnreadableReplyError,
    WrongEnvironmentError,
)
from sat_hook.protocol.messages import (
    Account,
    Inquiry,
    InquiryRequest,
    OrderDetail,
    OrderRequest,
    Ping,
    Product,
)
from sat_hook.protocol.outcomes import StatusOutcome
from sat_hook.protocol.signing import Verifier
from sat_hook.store.database import Database
from sat_hook.store.rate_limit import PostgresRequestRegister

_PROBE = b'{"probe":"sat-bulk-orders"}'

_ADVICE: tuple[tuple[type[SATError], str], ...] = (
    (CredentialsRefusedError, "check client id and secret, and that they are of this environment"),
    (TokenUnavailableError, "check the token URL, the network and its proxy"),
    (WrongEnvironmentError, "check the environment and the base URL"),
    (NeverSentError, "check the base URL, the network, its proxy and the CA bundle"),
    (ReplyTimeoutError, "the server is slow or a firewall swallows the request"),
    (UnexpectedReplyError, "is this machine's address registered with SAT?"),
    (UnreadableReplyError, "is the base URL that of a SAT server (it ends in /api)?"),
    (RefusedError, "SAT itself refuses the account"),
)
_ADVICE_FOR_A_WRONG_PATH = "is the base URL that of a SAT server (it ends in /api)?"


def _advice(error: SATError) -> str | None:
    if error.http_status == 404 and not isinstance(error, TokenUnavailableError):
        return _ADVICE_FOR_A_WRONG_PATH
    return next((text for kind, text in _ADVICE if isinstance(error, kind)), None)


class _Limits(TypedDict):
    requests_per_second: float | None
    max_in_flight: int


def _limits(settings: AccountSettings) -> _Limits:
    return {
        "requests_per_second": settings.requests_per_second,
        "max_in_flight": settings.max_in_flight,
    }


class SATHook(BaseHook):
    """Calls SAT with one Airflow connection of type ``sat``.

    :param sat_conn_id: the connection: login is the client id, password its secret, the rest is in the
        extra fields (environment, URLs, keys, timeouts, limits).
    :param database: the application database. With it, all processes of the account share the
        connection's limits; without it, each process has its own.

    The hook reads and connects on first use. Hooks of different connections share nothing.
    """

    conn_name_attr = "sat_conn_id"
    default_conn_name = "sat_default"
    conn_type = CONNECTION_TYPE
    hook_name = "Tokopedia SAT"

    def __init__(
        self, sat_conn_id: str = default_conn_name, database: Database | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sat_conn_id = sat_conn_id
        self._database = database
        self._connection: Connection | None = None
        self._settings: AccountSettings | None = None
        self._client: BlockingSATClient | None = None

    def settings(self) -> AccountSettings:
        """The connection as settings.

        :raises SATConnectionError: naming the field, what was found and what was expected.
        """
        if self._settings is None:
            self._settings = settings_of(self._read(), self.sat_conn_id)
        return self._settings

    def rules(self) -> AccountRules:
        """The connection's rules for sending from its account.

        :raises SATConnectionError: naming the field, what was found and what was expected.
        """
        return rules_of(self._read(), self.sat_conn_id)

    def asked_rules(self) -> AccountRules:
        """The same, with whether the connection trusts callbacks: all that it asks of the account's rules."""
        return replace(self.rules(), trust_callbacks=self.settings().trust_callbacks)

    async def asettings(self) -> AccountSettings:
        """The settings, for an event loop (triggers), which :meth:`settings` would block."""
        if self._connection is None:
            self._connection = await self.aget_connection(self.sat_conn_id)
        return self.settings()

    def _read(self) -> Connection:
        if self._connection is None:
            self._connection = self.get_connection(self.sat_conn_id)
        return self._connection

    def get_conn(self) -> BlockingSATClient:
        """The blocking client of this hook, made once."""
        if self._client is None:
            clock, settings = SystemClock(), self.settings()
            register = self._register(settings)
            limiter = None if register is None else SharedLimiter(register, clock, **_limits(settings))
            self._client = BlockingSATClient(settings, clock, limiter=limiter)
        return self._client

    def async_client(self) -> AsyncSATClient:
        """A new asynchronous client; the caller closes it (``async with``). In a trigger, await
        :meth:`asettings` first."""
        clock, settings = SystemClock(), self.settings()
        register = self._register(settings)
        limiter = None if register is None else AsyncSharedLimiter(register, clock, **_limits(settings))
        return AsyncSATClient(settings, clock, limiter=limiter)

    def _register(self, settings: AccountSettings) -> PostgresRequestRegister | None:
        if self._database is None or not settings.limits_are_shared:
            return None
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        return PostgresRequestRegister(
            self._database, account=settings.account, holder=holder, **_limits(settings)
        )

    def close(self) -> None:
        """Close the blocking client, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def ask(self, call: Call[T]) -> Reply[T]:
        """Make any call and return its result with the raw response, e.g. ``hook.ask(account_call())``."""
        return self.get_conn().ask(call)

    def ping(self) -> Ping:
        """Check that SAT answers.

        :raises SATError: typed.
        """
        return self.get_conn().ping()

    def account(self) -> Account:
        """The account and its deposit in rupiah.

        :raises SATError: typed.
        """
        return self.get_conn().account()

    def list_product(self, codes: Sequence[str] | None = None) -> list[Product]:
        """The catalogue, or the products with these codes.

        :raises SATError: typed.
        """
        return self.get_conn().list_products(codes)

    def inquiry(self, request: InquiryRequest) -> Inquiry:
        """Ask for the amount of a bill.

        :raises SATError: typed.
        """
        return self.get_conn().inquiry(request)

    def checkout(self, request: OrderRequest) -> OrderDetail:
        """Place an order, once. After an OutcomeUnknownError only :meth:`check_status` may follow.

        :raises SATError: typed; ``sent`` and ``definite`` tell what is certain.
        """
        return self.get_conn().checkout(request)

    def check_status(self, request_id: str, sent: OrderRequest | None = None) -> OrderDetail:
        """The status of an order, signed by SAT.

        :param sent: what was ordered under this id; a status about anything else is a ReplyMismatchError.
        :raises SATError: typed.
        """
        return self.get_conn().check_status(request_id, sent)

    def ask_status(self, request_id: str) -> StatusOutcome:
        """What SAT's answer proves about an order. Does not raise for network errors."""
        return self.get_conn().ask_status(request_id)

    def test_connection(self) -> tuple[bool, str]:
        """Test token, ping, environment, account and keys; return a message for people.

        The message does not name the connection, because Airflow tests a copy of it under a random name.
        """
        try:
            settings = self.settings()
            with BlockingSATClient(settings, SystemClock()) as client:
                return True, self._tested(settings, client)
        except SATConnectionError as error:
            return False, f"field {error.field}: found {error.found}, expected {error.expected}"
        except SATError as error:
            advice = _advice(error)
            return False, str(error) if advice is None else f"{error}; {advice}"

    def _tested(self, settings: AccountSettings, client: BlockingSATClient) -> str:
        ping = client.ping()
        expected = SANDBOX_FLAG.get(settings.environment)
        if expected is not None and ping.sandbox is not None and ping.sandbox is not expected:
            found = "a sandbox" if ping.sandbox else "the production server"
            raise SATConnectionError(
                self.sat_conn_id,
                "environment",
                f"{settings.environment.value}, but the ping says that {settings.base_url} is {found}",
                "both to agree",
            )
        account = client.account()
        sentences = [
            f"SAT answers (sandbox: {'not said' if ping.sandbox is None else str(ping.sandbox).lower()})",
            f"account {account.id} has a deposit of {account.saldo_rupiah} rupiah",
            *self._tested_keys(settings),
        ]
        return "; ".join(sentences)

    def _tested_keys(self, settings: AccountSettings) -> list[str]:
        if settings.signer is None:
            signing = "no private key, so nothing can be ordered"
        else:
            own = Verifier([settings.signer.public_key_pem()], settings.signer.padding)
            fingerprint = own.verify(_PROBE, settings.signer.sign(_PROBE))
            if settings.verifier is not None and fingerprint in settings.verifier.fingerprints:
                raise SATConnectionError(
                    self.sat_conn_id,
                    "sat_public_keys",
                    f"the public half of your own private key ({fingerprint})",
                    "SAT's own public key",
                )
            signing = f"a probe was signed and verified with key {fingerprint} ({own.padding.value})"
        if settings.verifier is None:
            return [signing, "no SAT public key, so no order's end can be verified"]
        return [signing, f"statuses are verified with {', '.join(settings.verifier.fingerprints)}"]
