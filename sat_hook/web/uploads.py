"""Uploads: the body of a request, or a form with a file. A person without the right uploads nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import HTTPException
from starlette.datastructures import FormData
from starlette.requests import Request

from sat_hook.application.rights import Right
from sat_hook.web.dependencies import CurrentPerson

UPLOAD_SECONDS = 120
MAXIMUM_FIELDS = 2_000


async def body_of(request: Request) -> bytes:
    """The body of a request. The request guard limits its size.

    :raises HTTPException: 408 when it does not arrive in time.
    """
    async with _in_time():
        return await request.body()


def uploaded_by(*rights: Right) -> Callable[..., Awaitable[bytes]]:
    """A dependency: the body of a request by a person with one of these rights."""

    async def body(request: Request, person: CurrentPerson) -> bytes:
        person.require(*rights)
        return await body_of(request)

    return body


def form_by(*rights: Right) -> Callable[..., AsyncIterator[FormData]]:
    """A dependency: a form with at most one file, by a person with one of these rights."""

    async def form(request: Request, person: CurrentPerson) -> AsyncIterator[FormData]:
        person.require(*rights)
        async with _in_time():
            found = await request.form(max_files=1, max_fields=MAXIMUM_FIELDS)
        try:
            yield found
        finally:
            await found.close()

    return form


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            yield
    except TimeoutError:
        raise HTTPException(408, f"the file did not arrive within {UPLOAD_SECONDS} seconds") from None
