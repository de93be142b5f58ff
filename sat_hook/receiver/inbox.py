"""The inbox: verified callbacks, committed in groups by one thread over one connection.

Requests that wait at the same time share a transaction, so one disk flush and one notification per account.
Each request gets its outcome only after the commit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from sat_hook.receiver.errors import InboxFullError, InboxUnavailableError
from sat_hook.receiver.figures import CommitFigures
from sat_hook.store.callbacks import Callback, CallbackTable
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError

logger = logging.getLogger(__name__)

# An idle connection fails once after a restart of PostgreSQL; the second try opens a new one.
TRIES_OF_A_GROUP = 2


@dataclass(frozen=True, slots=True)
class _Waiting:
    callback: Callback
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[bool]


Outcome = bool | InboxUnavailableError


class Inbox:
    """Stores callbacks durably. The thread starts with the first callback.

    :param database: with the role ``sat_receiver``.
    :param waiting_limit: callbacks that may wait for a commit.
    :param group_limit: most callbacks in one transaction.
    :param commits: counts the transactions.
    """

    def __init__(
        self,
        database: Database,
        *,
        waiting_limit: int,
        group_limit: int,
        commits: CommitFigures | None = None,
    ) -> None:
        self._table = CallbackTable(database)
        self._waiting_limit = waiting_limit
        self._group_limit = group_limit
        self._commits = commits or CommitFigures()
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()
        self._is_closed = False

    async def store(self, callback: Callback, timeout_seconds: float) -> bool:
        """Store ``callback``; returns after its commit.

        :returns: True when these bytes arrived for the first time.
        :raises InboxFullError: immediately, when too many callbacks wait.
        :raises InboxUnavailableError: when it was not committed in time. It may still be committed; the
            same bytes again count as a repetition.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(callback, loop, loop.create_future())
        with self._guard:
            if self._is_closed:
                raise InboxUnavailableError("the inbox is closed")
            if self._queue.qsize() >= self._waiting_limit:
                raise InboxFullError(f"{self._waiting_limit} callbacks wait already")
            self._queue.put(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="sat-inbox", daemon=True)
                self._thread.start()
        try:
            return await asyncio.wait_for(waiting.answer, timeout_seconds)
        except TimeoutError:
            raise InboxUnavailableError(f"no commit within {timeout_seconds} s") from None

    def count_refused(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Add to the counts of refused callbacks, by account and reason. Blocks."""
        self._table.count_refused(counts)

    def is_reachable(self) -> bool:
        """Whether the database answers now. Blocks."""
        return self._table.is_reachable()

    def close(self, timeout_seconds: float = 15.0) -> None:
        """Commit waiting callbacks, then end the thread and its connection. Blocks."""
        with self._guard:
            self._is_closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout_seconds)
        self._table.close()

    def _write(self) -> None:
        """The only writer: takes the waiting callbacks, commits them, and reports the outcomes."""
        ends = False
        while not ends:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            while len(group) < self._group_limit:
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
                if more is None:
                    ends = True
                    break
                group.append(more)
            began_at = time.monotonic()
            outcomes = self._outcomes([waiting.callback for waiting in group])
            self._commits.count(len(group), time.monotonic() - began_at)
            _tell(group, outcomes)

    def _outcomes(self, group: Sequence[Callback]) -> list[Outcome]:
        """The outcome of each callback. Never raises, because the senders must get an answer."""
        try:
            return list(self._commit_with_retry(group))
        except StoreUnavailableError as error:
            logger.error("callbacks not stored: %s", error)  # noqa: TRY400 - the text says it all
        except Exception as error:
            # PostgreSQL's message may quote the body.
            logger.error("callbacks not stored: %s", type(error).__name__)  # noqa: TRY400
            if len(group) > 1:
                # One refused callback must not prevent the commit of the others.
                return [outcome for callback in group for outcome in self._outcomes([callback])]
        return [InboxUnavailableError("the database did not take the callback") for _ in group]

    def _commit_with_retry(self, group: Sequence[Callback]) -> list[bool]:
        for _ in range(TRIES_OF_A_GROUP - 1):
            try:
                return self._table.receive(group)
            except StoreUnavailableError:
                continue
        return self._table.receive(group)


def _tell(group: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    """Deliver the outcomes to the waiting event loops, with one call per loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[bool], Outcome]]] = {}
    for waiting, outcome in zip(group, outcomes, strict=True):
        by_loop.setdefault(waiting.loop, []).append((waiting.answer, outcome))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:
            # The loop is closed: the server has stopped, and no request waits any more.
            logger.info("%d callbacks were handled after the server had gone", len(answers))


def _settle(answers: Sequence[tuple[asyncio.Future[bool], Outcome]]) -> None:
    for future, outcome in answers:
        if future.done():
            continue
        if isinstance(outcome, InboxUnavailableError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
