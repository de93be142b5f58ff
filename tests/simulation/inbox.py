"""The receiver's inbox as the pipeline reads it, for the seeds whose account trusts signed callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sat_hook.store.callbacks import KeptCallback

TRUSTING_EVERY = 4
"""One seed in this many has an account that trusts callbacks."""


class SimulatedInbox:
    """The stored callbacks, in memory."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._kept: dict[str, list[KeptCallback]] = {}

    def keep(self, request_id: str, body: bytes, signature: str) -> None:
        """Keep a callback that came for the first time."""
        callback = KeptCallback(request_id, body, signature, self._now())
        self._kept.setdefault(request_id, []).append(callback)

    def callbacks_of(self, account: str, request_ids: Sequence[str], limit: int) -> list[KeptCallback]:
        """Return all callbacks: a simulation has one account."""
        return [callback for key in request_ids for callback in self._kept.get(key, [])[-limit:]]
