"""Both clients behind one face, so that one suite holds for both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.settings import AccountSettings
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.errors import SATError
from sat_hook.protocol.signing import Signer, Verifier, generate_key_pair
from tests.at_once import at_once
from tests.orders import ManualClock
from tests.scripted_sat import ScriptedSAT, json_answer, scripted_sat

MakeSettings = Callable[..., AccountSettings]
"""Makes settings with some members replaced."""


@dataclass(frozen=True)
class Keys:
    """The partner's signer and SAT's, with the verifiers that fit."""

    partner_pem: bytes
    partner: Signer
    partner_verifier: Verifier
    sat: Signer
    sat_verifier: Verifier


@pytest.fixture(scope="session")
def keys() -> Keys:
    """Made once: RSA keys are slow to make."""
    partner_private, partner_public = generate_key_pair()
    sat_private, sat_public = generate_key_pair()
    return Keys(
        partner_private,
        Signer(partner_private),
        Verifier([partner_public]),
        Signer(sat_private),
        Verifier([sat_public]),
    )


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(datetime(2026, 11, 22, 17, 30, 5, tzinfo=UTC))


@pytest.fixture
def sat() -> Iterator[ScriptedSAT]:
    """A server that does what the test says."""
    with scripted_sat() as server:
        yield server


@pytest.fixture
def settings(sat: ScriptedSAT, keys: Keys) -> MakeSettings:
    """Settings for ``sat`` with timeouts that a slow machine does not reach; any can be replaced."""

    def make(**changes: Any) -> AccountSettings:
        values: dict[str, Any] = {
            "account": "main",
            "environment": Environment.CUSTOM,
            "base_url": sat.base_url,
            "token_url": sat.token_url,
            "client_id": "demo",
            "client_secret": "s3cret-of-demo",
            "signer": keys.partner,
            "verifier": keys.sat_verifier,
            "connect_timeout_seconds": 30.0,
            "read_timeout_seconds": 30.0,
            "total_timeout_seconds": 60.0,
        }
        return AccountSettings(**{**values, **changes})

    return make


class EitherClient:
    """The methods of a client, called from a plain test; the asynchronous one runs in a loop's thread."""

    def __init__(self, client: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.client = client
        self._loop = loop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            if inspect.isawaitable(result):
                assert self._loop is not None
                return asyncio.run_coroutine_threadsafe(_awaited(result), self._loop).result(100)
            return result

        return call

    def many(self, call: Callable[[EitherClient], Any], callers: int) -> list[Any]:
        """The same call by many callers at once."""
        return at_once(callers, lambda _: call(self))


async def _awaited(result: Any) -> Any:
    return await result


@dataclass
class ClientFactory:
    """Makes clients of one kind and closes them."""

    kind: str
    clock: Any
    loop: asyncio.AbstractEventLoop | None
    made: list[EitherClient] = field(default_factory=list)

    def __call__(self, settings: AccountSettings, *, clock: Any = None, limiter: Any = None) -> EitherClient:
        clock = clock or self.clock
        if self.kind == "blocking":
            client = EitherClient(BlockingSATClient(settings, clock, limiter=limiter), None)
        else:

            async def make() -> AsyncSATClient:
                return AsyncSATClient(settings, clock, limiter=limiter)

            assert self.loop is not None
            made = asyncio.run_coroutine_threadsafe(make(), self.loop).result(60)
            client = EitherClient(made, self.loop)
        self.made.append(client)
        return client


@pytest.fixture(scope="session")
def client_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of asynchronous clients, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()


@pytest.fixture(params=["blocking", "asynchronous"])
def make_client(
    request: pytest.FixtureRequest, clock: ManualClock, client_loop: asyncio.AbstractEventLoop
) -> Iterator[ClientFactory]:
    """Makes a client of each kind; every test that uses it runs for both."""
    factory = ClientFactory(request.param, clock, client_loop)
    yield factory
    for client in factory.made:
        client.close()


@pytest.fixture
def client(make_client: ClientFactory, settings: MakeSettings) -> EitherClient:
    """A client of each kind with the settings of most tests."""
    return make_client(settings())


@pytest.fixture
def newly_impatient(make_client: ClientFactory, settings: MakeSettings) -> EitherClient:
    """A client of each kind whose timeouts are soon reached; it has no token yet."""
    return make_client(settings(read_timeout_seconds=0.4, total_timeout_seconds=0.6))


@pytest.fixture
def impatient(newly_impatient: EitherClient, sat: ScriptedSAT) -> EitherClient:
    """The same client with a token, however long that takes on a busy machine."""
    sat.script["/ping"] = json_answer({"status": "ok"})
    for _ in range(100):
        with suppress(SATError):
            newly_impatient.ping()
            break
    sat.received.clear()
    return newly_impatient


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no CA bundle of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
