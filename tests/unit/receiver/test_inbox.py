"""The inbox: bounded, in one order for everybody, and closed when it is closed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sat_hook.receiver.errors import InboxFullError, InboxUnavailableError
from sat_hook.receiver.inbox import Inbox
from sat_hook.store.callbacks import Callback
from sat_hook.store.errors import StoreUnavailableError


class Table:
    """Stands where the database and its statements stand; new is what ends in an even digit."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()
        self.is_closed = False
        self.cuts = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Waits until it may go on."""
        self.entered.set()
        assert self.free.wait(60)
        if self.cuts:
            self.cuts -= 1
            raise StoreUnavailableError("the connection was cut")
        yield

    def receive_callbacks(self, _: object, **columns: list[Any]) -> Iterator[tuple[bool, int]]:
        """One row per callback, in the order given."""
        self.groups.append([f"{a}/{d}" for a, d in zip(columns["accounts"], columns["digests"], strict=True)])
        yield from ((int(digest[-1]) % 2 == 0, 1) for digest in columns["digests"])

    def close(self) -> None:
        """Noted."""
        self.is_closed = True


def callback(number: int, account: str = "demo") -> Callback:
    """A callback whose digest ends in ``number``."""
    return Callback(account, f"S{number}", f"d{number}", b"{}", "s", "k", "application/json", "")


def wait_until_closed(inbox: Inbox) -> None:
    """Blocks until it takes nothing more; what it has may still wait for its commit."""
    while not inbox._is_closed:
        time.sleep(0.01)


@pytest.fixture
def table() -> Table:
    """One that takes everything."""
    return Table()


@pytest.fixture
def inbox(table: Table) -> Iterator[Inbox]:
    """Room for five, groups of three."""
    made = Inbox(table, waiting_limit=5, group_limit=3)  # type: ignore[arg-type]
    made._table._sql = table
    yield made
    table.free.set()
    made.close()


async def test_groups_are_bounded_sorted_and_answered_in_place(table: Table, inbox: Inbox) -> None:
    """Two receivers with the same callbacks wait for each other in one direction; each learns its own."""
    table.free.clear()
    first = asyncio.create_task(inbox.store(callback(9), 10))
    assert await asyncio.to_thread(table.entered.wait, 60)
    numbers = (5, 2, 4, 3, 1)
    rest = [asyncio.create_task(inbox.store(callback(n, "b" if n > 3 else "a"), 10)) for n in numbers]
    await asyncio.sleep(0.05)
    table.free.set()
    assert await first is False
    assert await asyncio.gather(*rest) == [number % 2 == 0 for number in numbers]
    assert table.groups == [["demo/d9"], ["a/d2", "b/d4", "b/d5"], ["a/d1", "a/d3"]]


async def test_one_too_many_is_told_at_once(table: Table, inbox: Inbox) -> None:
    """While the others wait for their commit, and they get it."""
    table.free.clear()
    waiting = [asyncio.create_task(inbox.store(callback(0), 10))]
    assert await asyncio.to_thread(table.entered.wait, 60)
    waiting += [asyncio.create_task(inbox.store(callback(number), 10)) for number in range(1, 6)]
    await asyncio.sleep(0.05)
    with pytest.raises(InboxFullError):
        await asyncio.wait_for(inbox.store(callback(6), 10), 30)
    table.free.set()
    assert len(await asyncio.gather(*waiting)) == 6


async def test_closing_commits_what_waits_and_takes_nothing_more(table: Table, inbox: Inbox) -> None:
    """Who came before is told; who comes after is told to try again."""
    table.free.clear()
    waiting = [asyncio.create_task(inbox.store(callback(number), 10)) for number in range(4)]
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(asyncio.to_thread(inbox.close))
    await asyncio.to_thread(wait_until_closed, inbox)
    assert not closing.done(), "closing waits for the commit"
    with pytest.raises(InboxUnavailableError):
        await inbox.store(callback(9), 10)
    table.free.set()
    await closing
    assert table.is_closed
    assert await asyncio.gather(*waiting) == [True, False, True, False]
    assert sum(map(len, table.groups)) == 4


async def test_who_waits_too_long_is_told_so(table: Table, inbox: Inbox) -> None:
    """It may still be committed: the sender tries again, and is then counted."""
    table.free.clear()
    with pytest.raises(InboxUnavailableError):
        await inbox.store(callback(1), 0.05)


async def test_a_connection_that_is_cut_once_costs_nobody_anything(table: Table, inbox: Inbox) -> None:
    """Twice in a row it is the database's trouble, and everybody of the group is told."""
    table.cuts = 1
    assert await inbox.store(callback(2), 10) is True
    table.cuts = 2
    with pytest.raises(InboxUnavailableError):
        await inbox.store(callback(4), 10)


def test_a_callback_shows_no_body() -> None:
    """It may hold a voucher."""
    shown = repr(Callback("demo", "S1", "d", b"5196", "signature", "k", "application/json", ""))
    assert "5196" not in shown
    assert "signature" not in shown
