"""HTTP connections of the receiver alone: what uvicorn leaves open to senders without end or number.

The head of a request has a size and a time, a connection that says nothing is closed, and so is one beyond
the number that the receiver holds, or that one stranger may hold. What is no HTTP is answered like any other
callback that makes no sense.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from sat_hook.receiver.client_addresses import site_of
from sat_hook.receiver.responses import Answer, Refusal

HEAD_BYTES = 16 * 1024
"""Largest request line with headers, as far as it did not come in one piece."""
HEAD_SECONDS = 10.0
"""Longest time for the head of a request, from the connection or from its first byte."""
REQUEST_SECONDS = 300.0
"""Longest time for a request with its answer, whoever of both sides is slow."""
KEEP_ALIVE_SECONDS = 30
"""Longest time that a connection may idle between two requests."""

_errors = logging.getLogger(f"{__name__}.errors")
_errors.setLevel(logging.ERROR)


@dataclass(slots=True)
class Doorkeeper:
    """How many connections there may be, and whose.

    :param limit: of all together; strangers leave a quarter of them to those who are known.
    :param limit_per_source: of one sender, unless it is known.
    :param is_known: whether an address is a trusted proxy, or on the allow-list.
    :param tell: is told of what was refused here, and of whom.
    """

    limit: int
    limit_per_source: int
    is_known: Callable[[str], bool]
    tell: Callable[[Refusal, str], None]
    _held: Counter[str] = field(default_factory=Counter)
    _all: int = 0

    def admits(self, source: str) -> bool:
        """Count a connection of ``source`` in; False when it is one too many."""
        site = site_of(source)
        if self._all >= self.limit - self.limit // 4 and (
            self._all >= self.limit or not self.is_known(source)
        ):
            return False
        if self._held[site] >= self.limit_per_source and not self.is_known(source):
            return False
        self._held[site] += 1
        self._all += 1
        return True

    def leaves(self, source: str) -> None:
        """A connection that was let in is gone."""
        site = site_of(source)
        self._all -= 1
        self._held[site] -= 1
        if not self._held[site]:
            del self._held[site]


class ReceiverProtocol(H11Protocol):
    """One connection. ``doorkeeper`` is the server's."""

    def __init__(self, *arguments: Any, doorkeeper: Doorkeeper, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # uvicorn would have a line for each piece of nonsense; ours is one a minute.
        self.logger = _errors
        self._doorkeeper = doorkeeper
        self._source: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        source = self.client[0] if self.client else ""
        if not self._doorkeeper.admits(source):
            # Not one byte is read: to say so is all that this connection costs.
            self._refuse(Refusal.TOO_MANY_CONNECTIONS)
            return
        self._source = source
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._source is not None:
            self._doorkeeper.leaves(self._source)
            self._source = None
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        # From here on uvicorn's own timer waits for the next request, until its first byte is there.
        self._stop_timer()
        super().on_response_complete()
        if self._is_busy:
            self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        """What came is no HTTP."""
        self._refuse(Refusal.NO_HTTP)

    def _refuse(self, refusal: Refusal) -> None:
        self._doorkeeper.tell(refusal, self.client[0] if self.client else "an unknown source")
        self.transport.write(_raw(refusal.answer))
        self.transport.close()

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        """A head has its time, from the connection or its first byte; so has a request with its answer."""
        if self.transport.is_closing():
            return
        timed = self.cycle if self._is_busy else None
        if self._timer is not None and self._timed is timed:
            return
        self._stop_timer()
        self._timed = timed
        seconds = HEAD_SECONDS if timed is None else REQUEST_SECONDS
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _raw(answer: Answer) -> bytes:
    """The answer on a connection that has come to its end."""
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(answer.body)),
        "Connection": "close",
        **answer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} \r\n{lines}\r\n".encode("ascii") + answer.body
