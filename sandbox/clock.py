"""The sandbox's clock: one wall clock, passed in, so that a test can control it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of time. The product's clock port has the same method, so it fits."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that only moves when advanced."""

    def __init__(self, start: datetime = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._now += timedelta(seconds=seconds)


def rfc3339(posix_seconds: float) -> str:
    """UTC with whole seconds and ``Z``, because the Go SDK refuses an order with an offset (protocol 5.6)."""
    return datetime.fromtimestamp(posix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
