"""The server's persistent state: an append-only file of JSON lines.

Each line is written in one piece and passed to the operating system before the reply is sent, so a killed
server keeps everything it has answered. A truncated last line is dropped at the next start.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class JournalError(Exception):
    """The journal cannot be read: a line that is not the last one is not JSON."""


class Journal(Protocol):
    """Stores records."""

    def append(self, record: dict[str, Any]) -> None:
        """Store one record."""

    def close(self) -> None:
        """Close the journal."""


class NoJournal:
    """Stores nothing: the default."""

    def append(self, record: dict[str, Any]) -> None:
        """Drop the record."""

    def close(self) -> None:
        """Nothing to do."""


class FileJournal:
    """Appends to a file, which it locks exclusively: one server per file.

    :raises JournalError: when another server has the file, or it is damaged in the middle.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise JournalError(f"{path} is in use by another server") from error

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of earlier runs, in order; a truncated last line is removed."""
        content = self._path.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete != len(content):
            os.ftruncate(self._descriptor, complete)
        for number, line in enumerate(content[:complete].splitlines(), start=1):
            try:
                record = json.loads(line)
            except ValueError as error:
                raise JournalError(f"{self._path}, line {number}: not JSON") from error
            yield record

    def append(self, record: dict[str, Any]) -> None:
        os.write(self._descriptor, json.dumps(record, separators=(",", ":")).encode("utf-8") + b"\n")

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
