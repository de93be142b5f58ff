"""Knows whether a request was sent, and stops one whose send window has passed.

Both transports call :meth:`SendGuard.before_writing` at the last possible moment: the connection is open and
the request is written next. So "never sent" is observed, not inferred from an error type.
"""

from __future__ import annotations

from contextvars import ContextVar

from sat_hook.clients.errors import SendWindowClosed
from sat_hook.domain.ports import Clock, SendWindow


class SendGuard:
    """Watches one transmission.

    :param window: until when it may start; ``None`` for read-only calls, which may start at any time.
    """

    __slots__ = ("_clock", "_window", "written")

    def __init__(self, clock: Clock, window: SendWindow | None = None) -> None:
        self._clock = clock
        self._window = window
        self.written = False

    def before_writing(self) -> None:
        """:raises SendWindowClosed: when the window has passed; nothing is written then."""
        if self.written:
            return
        if self._window is not None and not self._window.is_open(self._clock):
            raise SendWindowClosed
        # From here on a byte may have been sent, whatever happens next.
        self.written = True


current_guard: ContextVar[SendGuard | None] = ContextVar("sat_send_guard", default=None)
"""The guard of the request that this thread or task is about to send."""
