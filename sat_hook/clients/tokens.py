"""The access token of one client: renewed early, by one caller at a time, and kept if renewal fails.

Both caches have the same interface: ``token()`` returns a usable token, ``refuse(token)`` reports a 401, and
``other_than(token)`` returns its replacement, if there is one. :class:`~sat_hook.protocol.tokens.TokenState`
decides for both; only the waiting differs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

from sat_hook.domain.ports import Clock
from sat_hook.protocol.errors import TokenUnavailableError
from sat_hook.protocol.tokens import TokenGrant, TokenState

logger = logging.getLogger(__name__)


class BlockingTokenCache:
    """For threads.

    :param fetch: asks the token server once; raises TokenUnavailableError.
    """

    def __init__(self, fetch: Callable[[], TokenGrant], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._state = TokenState()
        self._lock = threading.Lock()
        self._flight = threading.Lock()
        self._flights_ended = 0
        self._failure: TokenUnavailableError | None = None

    def token(self) -> str:
        """A usable token. Only one thread renews; the others use the old token until it expires.

        :raises TokenUnavailableError: there is no usable token and none was granted.
        """
        usable, due, flights = self._look()
        if usable is None:
            return self._after_flight(flights)
        if due and self._flight.acquire(blocking=False):
            try:
                self._renew()
            finally:
                self._flight.release()
        return self._look()[0] or usable

    def refuse(self, token: str) -> None:
        """SAT answered 401 to ``token``."""
        with self._lock:
            self._state.refuse(token)

    def other_than(self, token: str) -> str | None:
        """The token that replaced ``token``, fetched if needed; ``None`` if ``token`` is still current."""
        usable, due, flights = self._look()
        if usable == token and due:
            try:
                usable = self._after_flight(flights)
            except TokenUnavailableError:
                return None
        return usable if usable != token else None

    def _after_flight(self, flights_seen: int) -> str:
        with self._flight:
            # All waiters get the result of the renewal they waited for, a token or a failure.
            if self._look()[2] == flights_seen:
                self._renew()
        usable = self._look()[0]
        if usable is None:
            failure = self._failure
            raise failure if failure is not None else TokenUnavailableError("the token expired at once")
        return usable

    def _renew(self) -> None:
        asked_at = self._clock.boottime_seconds()
        try:
            grant = self._fetch()
        except TokenUnavailableError as error:
            with self._lock:
                self._state.fail(asked_at)
                self._failure = error
                self._flights_ended += 1
            logger.warning("No new access token: %s", error)
        else:
            with self._lock:
                self._state.take(grant, asked_at)
                self._failure = None
                self._flights_ended += 1

    def _look(self) -> tuple[str | None, bool, int]:
        with self._lock:
            now = self._clock.boottime_seconds()
            return self._state.usable(now), self._state.is_due(now), self._flights_ended


class AsyncTokenCache:
    """For tasks of one event loop.

    :param fetch: asks the token server once; raises TokenUnavailableError.
    """

    def __init__(self, fetch: Callable[[], Awaitable[TokenGrant]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._state = TokenState()
        self._flight: asyncio.Task[None] | None = None
        self._failure: TokenUnavailableError | None = None

    async def token(self) -> str:
        """A usable token. Early renewal runs in the background; no caller waits for it.

        :raises TokenUnavailableError: there is no usable token and none was granted.
        """
        now = self._clock.boottime_seconds()
        usable = self._state.usable(now)
        if usable is not None:
            if self._state.is_due(now):
                self._renewal()
            return usable
        # wait() instead of await: a cancelled caller must not cancel the shared renewal, and a renewal
        # cancelled by close() must not look like the caller's own cancellation.
        await asyncio.wait({self._renewal()})
        usable = self._state.usable(self._clock.boottime_seconds())
        if usable is None:
            raise self._failure or TokenUnavailableError("the token expired at once")
        return usable

    def refuse(self, token: str) -> None:
        """SAT answered 401 to ``token``."""
        self._state.refuse(token)

    async def other_than(self, token: str) -> str | None:
        """The token that replaced ``token``, fetched if needed; ``None`` if ``token`` is still current."""
        now = self._clock.boottime_seconds()
        usable = self._state.usable(now)
        if usable == token and (self._flight is not None or self._state.is_due(now)):
            await asyncio.wait({self._renewal()})
            usable = self._state.usable(self._clock.boottime_seconds())
        return usable if usable != token else None

    async def close(self) -> None:
        """Cancel a running renewal."""
        flight = self._flight
        if flight is not None:
            flight.cancel()
            await asyncio.gather(flight, return_exceptions=True)

    def _renewal(self) -> asyncio.Task[None]:
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_task(self._renew())
        return self._flight

    async def _renew(self) -> None:
        asked_at = self._clock.boottime_seconds()
        try:
            grant = await self._fetch()
        except TokenUnavailableError as error:
            self._state.fail(asked_at)
            self._failure = error
            logger.warning("No new access token: %s", error)
        else:
            self._state.take(grant, asked_at)
            self._failure = None
        finally:
            self._flight = None
