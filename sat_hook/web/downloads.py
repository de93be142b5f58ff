"""Answers that a person saves as a file."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from sat_hook.store.spool import SpoolReader

if TYPE_CHECKING:
    from sat_hook.reconciliation.kept_reports import KeptReport

_IN_MEMORY_BYTES = 8 * 1024 * 1024
_BYTES_PER_PART = 256 * 1024


def as_download(name: str) -> dict[str, str]:
    """Headers of an answer that is saved under a name. No cache on its way keeps it."""
    return {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
    }


def parts_of(file: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a file, part by part; the file is closed at the end."""
    with file:
        while part := file.read(_BYTES_PER_PART):
            yield part


def archive_of(spool: SpoolReader, report: KeptReport) -> Iterator[bytes]:
    """The files of a report in a ZIP, part by part.

    :raises SpoolError: when one cannot be read.
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
