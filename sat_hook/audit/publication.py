"""The place of publication of checkpoints: outside the database, and never overwritten.

This module has the port and its plain-folder form; ``sat_hook/hooks`` and the command ``sat`` adapt object
stores. In production the place needs a write-once rule (object lock, versions), so that a writer of the
database cannot also rewrite what was published.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any, Protocol

from sat_hook.audit.errors import PublicationError


class PublishedReader(Protocol):
    """Reads published files."""

    def read(self, name: str) -> bytes | None:
        """The bytes under ``name``, or None when there are none.

        :raises PublicationError: the place cannot be read.
        """


class Publication(PublishedReader, Protocol):
    """Reads and publishes files."""

    def write(self, name: str, content: bytes) -> None:
        """Publish ``content`` under an unused name.

        :raises PublicationError: it cannot be written.
        """


class StoragePath(Protocol):
    """The used part of an object store path; Airflow's ObjectStoragePath and UPath both fit."""

    def __truediv__(self, name: str) -> StoragePath:
        """The path below."""

    @property
    def fs(self) -> Any:
        """The store's fsspec driver."""

    @property
    def path(self) -> str:
        """The path for the driver."""

    def read_bytes(self) -> bytes:
        """The content; raises FileNotFoundError."""


class PublishedFolder:
    """A folder, for example a mounted share. It must support hard links, which never replace a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PublicationError(f"{self._folder}: cannot be read: {error.strerror}") from error

    def write(self, name: str, content: bytes) -> None:
        target = self._folder / name
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                # Unlike a rename, a link never replaces an existing file.
                os.link(draft, target)
            finally:
                draft.unlink()
        except FileExistsError:
            raise PublicationError(
                f"{self._folder}: {name} is there already, and is never replaced"
            ) from None
        except OSError as error:
            raise PublicationError(f"{self._folder}: cannot be written: {error.strerror}") from error


class PublishedObjects:
    """A prefix of an object store. An object is written completely or not at all, and never replaced.

    S3 and most other stores refuse to replace an object by a condition of the request. Where a driver only
    looks before it writes, the store's write-once rule covers the rest.
    """

    def __init__(self, base: StoragePath) -> None:
        self._base = base

    def read(self, name: str) -> bytes | None:
        try:
            return self._place(name).read_bytes()
        except FileNotFoundError:
            return None
        except Exception as error:
            # An object store has errors of its own.
            raise PublicationError(f"{self._base}: cannot be read: {type(error).__name__}") from error

    def write(self, name: str, content: bytes) -> None:
        place = self._place(name)
        try:
            place.fs.pipe_file(place.path, content, mode="create")
        except FileExistsError:
            raise PublicationError(f"{self._base}: {name} is there already, and is never replaced") from None
        except Exception as error:
            raise PublicationError(f"{self._base}: cannot be written: {type(error).__name__}") from error

    def _place(self, name: str) -> StoragePath:
        path = self._base
        for part in name.split("/"):
            path = path / part
        return path
