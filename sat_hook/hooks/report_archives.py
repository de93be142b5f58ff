"""A kept report as one ZIP, made as it is read."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

from sat_hook.pipeline.spool import SpoolReader
from sat_hook.reconciliation.kept_reports import KeptReport

_IN_MEMORY_BYTES = 8 * 1024 * 1024
_BYTES_PER_PART = 256 * 1024


def archive_of(spool: SpoolReader, report: KeptReport) -> Iterator[bytes]:
    """The files of a report in a ZIP, part by part.

    :raises SpoolError: when one cannot be read.
    """
    with ExitStack() as on_trouble:
        archive = on_trouble.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for name, uri in sorted(report.files.items()):
                with spool.open(uri) as source, made.open(name, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        archive.seek(0)
        on_trouble.pop_all()
        return _parts(archive)


def _parts(archive: IO[bytes]) -> Iterator[bytes]:
    with archive:
        while part := archive.read(_BYTES_PER_PART):
            yield part
