"""Limits on HTTP connections of the stand-alone receiver that uvicorn does not have.

A request head has a maximum size and time. A silent connection is closed. So is a connection above the
receiver's total, or above the number per unknown source. Input that is not HTTP is answered like any other
malformed callback.
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
"""Largest request line with headers, when it does not arrive in one piece."""
HEAD_SECONDS = 10.0
"""Longest time for the head of a request, from the connection or from its first byte."""
REQUEST_SECONDS = 300.0
"""Longest time for a request and its answer, whichever side is slow."""
KEEP_ALIVE_SECONDS = 30
"""Longest time that a connection may idle between two requests."""

_errors = logging.getLogger(f"{__name__}.errors")
_errors.setLevel(logging.ERROR)


@dataclass(slots=True)
class Doorkeeper:
    """Limits the number of connections, in total and per source.

    :param limit: total connections; a quarter of them is reserved for known sources.
    :param limit_per_source: connections of one source, unless it is known.
    :param is_known: whether an address is a trusted proxy or on the allow-list.
    :param tell: called with each refusal and its source.
    """

    limit: int
    limit_per_source: int
    is_known: Callable[[str], bool]
    tell: Callable[[Refusal, str], None]
    _held: Counter[str] = field(default_factory=Counter)
    _all: int = 0

    def admits(self, source: str) -> bool:
        """Count a new connection of ``source``; False when it exceeds a limit."""
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
        """Count an admitted connection as closed."""
        site = site_of(source)
        self._all -= 1
        self._held[site] -= 1
        if not self._held[site]:
            del self._held[site]


class ReceiverProtocol(H11Protocol):
    """One connection. ``doorkeeper`` is the server's."""

    def __init__(self, *arguments: Any, doorkeeper: Doorkeeper, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # uvicorn would log a line for each malformed input; ours logs one a minute.
        self.logger = _errors
        self._doorkeeper = doorkeeper
        self._source: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        source = self.client[0] if self.client else ""
        if not self._doorkeeper.admits(source):
            # No byte is read; sending the refusal is the only cost.
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
        # From here on uvicorn's own timer runs until the first byte of the next request.
        self._stop_timer()
        super().on_response_complete()
        if self._is_busy:
            self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        """Answer input that is not HTTP."""
        self._refuse(Refusal.NO_HTTP)

    def _refuse(self, refusal: Refusal) -> None:
        self._doorkeeper.tell(refusal, self.client[0] if self.client else "an unknown source")
        self.transport.write(_raw(refusal.answer))
        self.transport.close()

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        """Time a request head, from the connection or its first byte, and a whole request."""
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
    """The raw answer on a connection that is about to be closed."""
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(answer.body)),
        "Connection": "close",
        **answer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} \r\n{lines}\r\n".encode("ascii") + answer.body
