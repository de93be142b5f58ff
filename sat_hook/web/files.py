"""Files in requests and responses: uploads, and downloads that a browser saves.

A person without the right uploads nothing.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from fastapi import HTTPException
from starlette.datastructures import FormData
from starlette.requests import Request

from sat_hook.application.day_reports import FileKind
from sat_hook.application.rights import Right
from sat_hook.presentation.text_tables import XLSX_MEDIA_TYPE, TableFormat
from sat_hook.store.spool import SpoolReader
from sat_hook.web.dependencies import CurrentPerson

if TYPE_CHECKING:
    from sat_hook.reconciliation.kept_reports import KeptReport


MEDIA_TYPES: Mapping[FileKind, str] = {
    FileKind.WORKBOOK: XLSX_MEDIA_TYPE,
    FileKind.PDF: "application/pdf",
    FileKind.BREAKS: "text/csv",
    FileKind.ORDERS: "text/csv",
}
"""Of the files of a day's report."""
TABLES = " ".join(file_format.media_type for file_format in TableFormat)
"""The media types of a table's file."""
_IN_MEMORY_BYTES = 8 * 1024 * 1024
_BYTES_PER_PART = 256 * 1024


def as_download(name: str) -> dict[str, str]:
    """Return the headers of a response that is saved under a name. Caches on the way do not keep it."""
    return {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
    }


def parts_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file in chunks. The file is closed at the end."""
    with file:
        while part := file.read(_BYTES_PER_PART):
            yield part


def written(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield parts in chunks once all of them are there: a slow client keeps no database connection."""
    with ExitStack() as on_error:
        file = on_error.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        file.writelines(parts)
        file.seek(0)
        on_error.pop_all()
        return parts_of(file)


def archive_of(spool: SpoolReader, report: KeptReport) -> Iterator[bytes]:
    """Yield a ZIP of a report's files in chunks.

    :raises SpoolError: a file cannot be read.
    """
    with ExitStack() as on_error:
        archive = on_error.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for name, uri in sorted(report.files.items()):
                with spool.open(uri) as source, made.open(name, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        archive.seek(0)
        on_error.pop_all()
        return parts_of(archive)


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
