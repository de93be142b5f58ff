"""The spool stores submitted bytes and result files. After a submission only the spooled bytes count.

This module has the port and its plain-folder form; ``sat_hook/hooks`` adapts Airflow's ObjectStoragePath
(file, s3, gs, …).
"""

from __future__ import annotations

import io
import shutil
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from urllib.parse import unquote, urlsplit

from sat_hook.store.errors import SpoolError, SpoolFileGoneError
from sat_hook.store.private_files import private_file


class SpoolReader(Protocol):
    """Reads blobs by URI."""

    def open(self, uri: str) -> BinaryIO:
        """The bytes at ``uri``.

        :raises SpoolFileGoneError: when the spool is available but has no such file.
        :raises SpoolError: when they cannot be read.
        """


class Spool(SpoolReader, Protocol):
    """Stores named blobs, each written completely."""

    def write(self, name: str, content: bytes) -> str:
        """Store ``content`` under ``name`` (a relative path), replacing an existing blob.

        :returns: the URI at which every worker can read it.
        :raises SpoolError: when it cannot be stored.
        """


class NamedSpool(Spool, Protocol):
    """A spool that can resolve names."""

    def write_file(self, name: str, path: Path) -> str:
        """Like :meth:`write`, with the contents of a file, which are not read into memory."""

    def remove(self, name: str) -> None:
        """Remove ``name`` if it exists: only files that can be made again, or that retention lets go.

        :raises SpoolError: when it cannot be removed.
        """

    def uri_of(self, name: str) -> str:
        """The URI of ``name``, whether or not it exists."""

    def name_of(self, uri: str) -> str:
        """The name that has this URI.

        :raises SpoolError: when it is the URI of another spool.
        """


class LocalSpool:
    """A spool in one folder that all processes of the deployment share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def write(self, name: str, content: bytes) -> str:
        return self._write(name, io.BytesIO(content))

    def write_file(self, name: str, path: Path) -> str:
        with path.open("rb") as file:
            return self._write(name, file)

    def _write(self, name: str, content: BinaryIO) -> str:
        target = self._folder / name
        if not target.resolve().is_relative_to(self._folder):
            raise SpoolError(f"the name {name!r} leads out of the spool")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with private_file(target) as file:
                shutil.copyfileobj(content, file)
        except OSError as error:
            raise SpoolError(f"{name!r} cannot be written to the spool: {error.strerror}") from error
        return target.as_uri()

    def uri_of(self, name: str) -> str:
        return (self._folder / name).as_uri()

    def name_of(self, uri: str) -> str:
        return str(self._path_of(uri).relative_to(self._folder))

    def remove(self, name: str) -> None:
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{name!r} cannot be removed from the spool: {error.strerror}") from error

    def open(self, uri: str) -> BinaryIO:
        path = self._path_of(uri)
        try:
            return path.open("rb")
        except FileNotFoundError as error:
            # An unmounted disk does not mean that the file is lost.
            gone = SpoolFileGoneError if self._folder.is_dir() else SpoolError
            raise gone(f"{uri} is not in the spool any more") from error
        except OSError as error:
            raise SpoolError(f"{uri} cannot be read: {error.strerror}") from error

    def _path_of(self, uri: str) -> Path:
        path = Path(unquote(urlsplit(uri).path)).resolve()
        if not path.is_relative_to(self._folder):
            raise SpoolError(f"{uri} is not in the spool")
        return path


class AnySpool:
    """Reads any URI in the log, for audits, which have no spool folder.

    Object stores are read with the credentials that their fsspec driver finds; the Airflow connection before
    the ``@`` is not used. It never writes.
    """

    def write(self, name: str, content: bytes) -> str:
        raise SpoolError(f"{name} ({len(content)} bytes) is not written: an audit only reads")

    def open(self, uri: str) -> BinaryIO:
        parts = urlsplit(uri)
        if parts.scheme in ("", "file"):
            path = Path(unquote(parts.path))
            # The spool's folder is a few levels up: batches/ID/DIGEST.csv.
            return LocalSpool(path.parents[min(2, len(path.parents) - 1)]).open(path.as_uri())
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        try:
            # fsspec comes with Airflow and has no types; local files do not need it.
            fsspec = import_module("fsspec")
            return cast("BinaryIO", fsspec.open(plain, "rb").open())
        except FileNotFoundError as error:
            raise SpoolFileGoneError(f"{uri} is not in the spool any more") from error
        except Exception as error:
            # An object store has errors of its own.
            raise SpoolError(f"{uri} cannot be read: {type(error).__name__}") from error
