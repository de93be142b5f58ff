"""Responses that a browser saves as a file."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from sat_hook.application.day_reports import FileKind
from sat_hook.presentation.text_tables import XLSX_MEDIA_TYPE, TableFormat
from sat_hook.store.spool import SpoolReader

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
