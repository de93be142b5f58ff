"""The spool: where submitted bytes and result files live. After a submission only the spooled bytes count.

This is the port and its plain-folder form; Airflow's ObjectStoragePath (file, s3, gs, …) is adapted in
``sat_hook/hooks``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from urllib.parse import unquote, urlsplit

from sat_hook.domain.errors import StepError
from sat_hook.store.private_files import private_file


class SpoolError(StepError):
    """The spooled bytes are not there, or are not the bytes that were submitted."""


class SpoolFileGoneError(SpoolError):
    """The spool is there, and the file is not any more: removed by retention, archived, or lost."""


class SpoolReader(Protocol):
    """Blobs by their URI."""

    def open(self, uri: str) -> BinaryIO:
        """The bytes at ``uri``.

        :raises SpoolFileGoneError: when the spool is there and has no such file.
        :raises SpoolError: when they cannot be read.
        """


class Spool(SpoolReader, Protocol):
    """Named blobs, written whole."""

    def write(self, name: str, content: bytes) -> str:
        """Keep ``content`` under ``name`` (a relative path), replacing what was there.

        :returns: the URI by which every worker can read it.
        :raises SpoolError: when it cannot be kept.
        """


class NamedSpool(Spool, Protocol):
    """A spool that can be asked for what it keeps by its name."""

    def uri_of(self, name: str) -> str:
        """The URI of what is or would be kept under ``name``."""


class LocalSpool:
    """A spool in one folder that every process of the deployment sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def write(self, name: str, content: bytes) -> str:
        target = self._folder / name
        if not target.resolve().is_relative_to(self._folder):
            raise SpoolError(f"the name {name!r} leads out of the spool")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with private_file(target) as file:
                file.write(content)
        except OSError as error:
            raise SpoolError(f"{name!r} cannot be written to the spool: {error.strerror}") from error
        return target.as_uri()

    def uri_of(self, name: str) -> str:
        return (self._folder / name).as_uri()

    def open(self, uri: str) -> BinaryIO:
        path = Path(unquote(urlsplit(uri).path)).resolve()
        if not path.is_relative_to(self._folder):
            raise SpoolError(f"{uri} is not in the spool")
        try:
            return path.open("rb")
        except FileNotFoundError as error:
            # A disk that is not mounted has lost nothing.
            gone = SpoolFileGoneError if self._folder.is_dir() else SpoolError
            raise gone(f"{uri} is not in the spool any more") from error
        except OSError as error:
            raise SpoolError(f"{uri} cannot be read: {error.strerror}") from error


class AnySpool:
    """Reads whatever a URI of the log names: for audits, which have no folder of their own.

    Object stores are read with the credentials that their fsspec driver finds by itself; the Airflow
    connection in front of the ``@`` is not looked up. Nothing is ever written.
    """

    def write(self, name: str, content: bytes) -> str:
        raise SpoolError(f"{name} ({len(content)} bytes) is not written: an audit only reads")

    def open(self, uri: str) -> BinaryIO:
        parts = urlsplit(uri)
        if parts.scheme in ("", "file"):
            path = Path(unquote(parts.path))
            # The spool itself is a few folders above: batches/ID/DIGEST.csv.
            return LocalSpool(path.parents[min(2, len(path.parents) - 1)]).open(path.as_uri())
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        try:
            # Comes with Airflow, without types; who has files only needs neither.
            fsspec = import_module("fsspec")
            return cast("BinaryIO", fsspec.open(plain, "rb").open())
        except FileNotFoundError as error:
            raise SpoolFileGoneError(f"{uri} is not in the spool any more") from error
        except (OSError, ImportError, ValueError) as error:
            raise SpoolError(f"{uri} cannot be read: {type(error).__name__}") from error
