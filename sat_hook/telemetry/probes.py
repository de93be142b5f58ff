"""Probes in the path of an order: they time a piece of work, and draw it as a span of its order.

They cost next to nothing until :func:`watch_with` is called with a watcher, and whatever a watcher does, the
work goes on. A watcher is told names, an account's name and ids that are in the log, never more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, Protocol
from zlib import crc32

logger = logging.getLogger(__name__)

ORDERS_PER_SAMPLE = 50
"""One of so many orders is drawn as a span, with its calls. The id chooses, so every process agrees."""


class Probe(StrEnum):
    """What is timed."""

    REQUEST = "sat.request"
    """One HTTP exchange with SAT; tags ``call`` and ``outcome``."""
    ADMISSION = "sat.admission"
    """The wait for the limits of the account, before a request."""
    GROUP_COMMIT = "sat.group_commit"
    """One transaction with the commands of many orders."""
    COMMANDS = "sat.group_commit.commands"
    """Counts the commands of group commits."""


class Watcher(Protocol):
    """Takes what probes see. It may raise; that is logged once."""

    def timing(self, probe: Probe, seconds: float, tags: dict[str, str]) -> None:
        """A piece of work took so long."""

    def count(self, probe: Probe, number: int, tags: dict[str, str]) -> None:
        """Count something."""

    def span(self, name: str, attributes: dict[str, str]) -> AbstractContextManager[Any] | None:
        """Open a span below the current one; None when spans are not wanted."""


_watcher: Watcher | None = None
_has_failed = False
# False below an order that is not in the sample.
_is_drawn: ContextVar[bool] = ContextVar("sat_is_drawn", default=True)
_NOTHING = nullcontext()


def watch_with(watcher: Watcher | None) -> None:
    """Tell this watcher from now on; None tells no one."""
    global _watcher, _has_failed
    _watcher, _has_failed = watcher, False


class Timed:
    """A piece of work under way; ``outcome`` may be set before it ends."""

    outcome = ""


def timed(probe: Probe, account: str, **tags: str) -> AbstractContextManager[Timed | None]:
    """Time the block, and draw it where its order is drawn.

    :param tags: a few fixed words, for example the kind of call.
    """
    watcher = _watcher
    return _NOTHING if watcher is None else _timed(watcher, probe, {"account": account, **tags})


def counted(probe: Probe, number: int, account: str) -> None:
    """Count ``number`` of an account."""
    if (watcher := _watcher) is not None:
        _safely(watcher.count, probe, number, {"account": account})


def drawn_order(name: str, request_id: str, account: str, **ids: str) -> AbstractContextManager[None]:
    """Draw the block as a span of an order if the order is in the sample, and its calls below it.

    :param ids: further ids that are in the log.
    """
    watcher = _watcher
    if watcher is None:
        return _NOTHING
    attributes = {"sat.account": account, "sat.request_id": request_id}
    attributes |= {f"sat.{key}": value for key, value in ids.items()}
    return _drawn_order(watcher, name, request_id, attributes)


@contextmanager
def _timed(watcher: Watcher, probe: Probe, tags: dict[str, str]) -> Iterator[Timed]:
    work = Timed()
    began_at = time.perf_counter()
    attributes = {f"sat.{key}": value for key, value in tags.items()}
    try:
        with _span(watcher, probe.value, attributes) if _is_drawn.get() else _NOTHING as span:
            yield work
            if span is not None and work.outcome:
                _safely(lambda: span.set_attribute("sat.outcome", work.outcome))
    finally:
        if work.outcome:
            tags["outcome"] = work.outcome
        _safely(watcher.timing, probe, time.perf_counter() - began_at, tags)


@contextmanager
def _drawn_order(watcher: Watcher, name: str, request_id: str, attributes: dict[str, str]) -> Iterator[None]:
    is_sampled = crc32(request_id.encode("utf-8", "replace")) % ORDERS_PER_SAMPLE == 0
    token = _is_drawn.set(is_sampled)
    try:
        with _span(watcher, name, attributes) if is_sampled else _NOTHING:
            yield
    finally:
        _is_drawn.reset(token)


@contextmanager
def _span(watcher: Watcher, name: str, attributes: dict[str, str]) -> Iterator[Any]:
    """A span whose own trouble stays here. The block's errors pass; a span is told only that it ended."""
    opening = _safely(watcher.span, name, attributes)
    span = None if opening is None else _safely(lambda: opening.__enter__())
    try:
        yield span
    finally:
        if span is not None:
            _safely(lambda: opening.__exit__(None, None, None))


def _safely(work: Any, *arguments: Any) -> Any:
    """What ``work`` returns; None when it raises."""
    global _has_failed
    try:
        return work(*arguments)
    except Exception as error:
        if not _has_failed:
            _has_failed = True
            logger.warning("Telemetry failed with %s; the work goes on without it", type(error).__name__)
        return None
