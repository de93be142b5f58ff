"""Knows whether a request has left, and keeps one that may not leave any more from leaving.

Both transports call :meth:`SendGuard.before_writing` at the last moment there is: a connection is at hand and
the next thing is to write the request to it. So "never sent" is something that was seen, not concluded from
the kind of an error.
"""

from __future__ import annotations

from contextvars import ContextVar

from sat_hook.domain.ports import Clock, SendWindow


class SendWindowClosed(Exception):
    """The window passed before the request was written."""


class SendGuard:
    """Watches one transmission.

    :param window: until when it may start; ``None`` for questions, which may be asked at any time.
    """

    __slots__ = ("_clock", "_window", "written")

    def __init__(self, clock: Clock, window: SendWindow | None = None) -> None:
        self._clock = clock
        self._window = window
        self.written = False

    def before_writing(self) -> None:
        """:raises SendWindowClosed: when the window has passed; then nothing is written."""
        if self.written:
            return
        if self._window is not None and not self._window.is_open(self._clock):
            raise SendWindowClosed
        # From here on a byte may be on its way, whatever happens next.
        self.written = True


current_guard: ContextVar[SendGuard | None] = ContextVar("sat_send_guard", default=None)
"""The guard of the request that this thread or task is about to send."""
