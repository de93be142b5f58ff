"""Bodies share a bounded memory, and what strangers hold is not taken from those who are expected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from starlette.requests import Request

from sat_hook.receiver.body_reader import Bodies
from sat_hook.receiver.responses import Refusal, Refused
from sat_hook.receiver.settings import Limits

LIMITS = Limits(body_bytes=4096, unverified_bytes=4096)


class Sending:
    """A request whose body comes in two pieces, the second when it is told to."""

    def __init__(self, first: int, then: int = 0) -> None:
        self.headers: dict[str, str] = {}
        self._pieces = (b"x" * first, b"x" * then)
        self.more = asyncio.Event()

    async def stream(self) -> AsyncIterator[bytes]:
        """As starlette gives it."""
        yield self._pieces[0]
        await self.more.wait()
        yield self._pieces[1]

    def read_by(self, bodies: Bodies, *, is_listed: bool = False) -> asyncio.Task[bytes]:
        """Being read."""
        request = cast(Request, cast(Any, self))
        return asyncio.create_task(bodies.read(request, LIMITS, is_listed=is_listed))


async def test_strangers_share_and_the_expected_have_their_own() -> None:
    """One stranger fills the strangers' part; what it held is free again once it is done."""
    bodies = Bodies()
    holds, expected, other = Sending(4000), Sending(4000), Sending(200)
    reading = [holds.read_by(bodies), expected.read_by(bodies, is_listed=True)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Refused) as refused:
        await other.read_by(bodies)
    assert refused.value.refusal is Refusal.MEMORY_FULL
    holds.more.set()
    expected.more.set()
    assert [len(body) for body in await asyncio.gather(*reading)] == [4000, 4000]
    again = Sending(4000)
    again.more.set()
    assert len(await again.read_by(bodies)) == 4000


async def test_what_was_refused_holds_nothing() -> None:
    """Too large for one, while others go on."""
    bodies = Bodies()
    for _ in range(5):
        large = Sending(4000, 97)
        large.more.set()
        with pytest.raises(Refused):
            await large.read_by(bodies)
    small = Sending(4096)
    small.more.set()
    assert len(await small.read_by(bodies)) == 4096
