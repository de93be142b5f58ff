"""Uploads: what is too large or too slow is refused before it is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from sat_hook.pipeline.limits import FILE_LIMITS
from sat_hook.web import files
from sat_hook.web.app import create_app
from tests.web_host import FakeHost, FakeUser


async def uploaded(body: AsyncIterator[bytes] | bytes) -> httpx.Response:
    """The answer to a file."""
    transport = httpx.ASGITransport(create_app(FakeHost(FakeUser("ops"))))
    headers = {"authorization": "Bearer ops", "content-type": "text/csv"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        return await client.post("/v1/batches?account=sat_default", content=body)


async def test_a_file_that_says_no_length_is_limited_too() -> None:
    """The byte that is too many ends it."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(FILE_LIMITS.file_bytes // 2**20 + 1):
            yield b"x" * 2**20

    reply = await uploaded(body())
    assert (reply.status_code, f"{FILE_LIMITS.file_bytes:,}" in reply.text) == (413, True)


async def test_a_file_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """408, so that the API server keeps no connection for it."""
    monkeypatch.setattr(files, "UPLOAD_SECONDS", 0.05)

    async def body() -> AsyncIterator[bytes]:
        yield b"order_id,"
        await asyncio.sleep(30)

    reply = await uploaded(body())
    assert (reply.status_code, "did not arrive" in reply.text) == (408, True)
