"""The spool on Airflow's ObjectStoragePath: ``file://``, ``s3://``, ``gs://`` and others of fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from airflow.sdk import ObjectStoragePath

from sat_hook.application.settings import DeploymentSettings
from sat_hook.store.errors import SpoolError, SpoolFileGoneError
from sat_hook.store.spool import LocalSpool, NamedSpool


class ObjectStorageSpool:
    """A spool below one URI of an object store, for example S3. A file is there wholly or not at all."""

    def __init__(self, base_uri: str) -> None:
        self._base_uri = base_uri.rstrip("/")

    def write(self, name: str, content: bytes) -> str:
        uri = self._place_of(name)
        with _storing(uri):
            place = ObjectStoragePath(uri)
            # An opened file would be kept as far as it was written when an error ends its block.
            place.fs.pipe_file(place.path, content)
        return uri

    def write_file(self, name: str, path: Path) -> str:
        uri = self._place_of(name)
        with _storing(uri):
            place = ObjectStoragePath(uri)
            place.fs.put_file(str(path), place.path)
        return uri

    def remove(self, name: str) -> None:
        uri = self._place_of(name)
        with _storing(uri):
            ObjectStoragePath(uri).unlink(missing_ok=True)

    def _place_of(self, name: str) -> str:
        if ".." in name.split("/"):
            raise SpoolError(f"the name {name!r} leads out of the spool")
        return f"{self._base_uri}/{name}"

    def uri_of(self, name: str) -> str:
        return f"{self._base_uri}/{name}"

    def name_of(self, uri: str) -> str:
        if not uri.startswith(f"{self._base_uri}/") or ".." in uri.split("/"):
            raise SpoolError(f"{uri} is not in the spool {self._base_uri}")
        return uri.removeprefix(f"{self._base_uri}/")

    def open(self, uri: str) -> BinaryIO:
        self.name_of(uri)
        try:
            return cast("BinaryIO", ObjectStoragePath(uri).open("rb"))
        except FileNotFoundError as error:
            # A bucket that is not there does not mean that the file is lost.
            gone = SpoolFileGoneError if self._has_bucket() else SpoolError
            raise gone(f"{uri} is not in the spool any more") from error
        except Exception as error:
            raise SpoolError(f"{uri} cannot be read: {_in_words(error)}") from error

    def _has_bucket(self) -> bool:
        parts = urlsplit(self._base_uri)
        try:
            return bool(ObjectStoragePath(f"{parts.scheme}://{parts.netloc}").exists())
        except Exception:
            return False


@contextmanager
def _storing(uri: str) -> Iterator[None]:
    """Turn the errors of any store into a SpoolError; object stores have classes of their own."""
    try:
        yield
    except Exception as error:
        raise SpoolError(f"{uri} cannot be written: {_in_words(error)}") from error


def _in_words(error: Exception) -> str:
    """The text of the system's errors; only the name of others, which may quote a request with its key."""
    return str(error) if isinstance(error, OSError) else type(error).__name__


def spool_at(base_uri: str) -> NamedSpool:
    """The spool at a URI. A plain folder gets the kind that never shows half a file."""
    parts = urlsplit(base_uri)
    if parts.scheme in ("", "file"):
        return LocalSpool(Path(unquote(parts.path)))
    return ObjectStorageSpool(base_uri)


class _ConfiguredSpool:
    """The spool that an environment variable names. It may be missing, because most steps need no spool."""

    def __init__(self, variable: str, uri: str) -> None:
        self._variable = variable
        self._uri = uri

    def write(self, name: str, content: bytes) -> str:
        return self._spool().write(name, content)

    def write_file(self, name: str, path: Path) -> str:
        return self._spool().write_file(name, path)

    def remove(self, name: str) -> None:
        self._spool().remove(name)

    def uri_of(self, name: str) -> str:
        return self._spool().uri_of(name)

    def name_of(self, uri: str) -> str:
        return self._spool().name_of(uri)

    def open(self, uri: str) -> BinaryIO:
        return self._spool().open(uri)

    def _spool(self) -> NamedSpool:
        return spool_at(_configured(self._variable, self._uri))


def submissions_spool(deployment: DeploymentSettings) -> NamedSpool:
    """The spool of submitted files."""
    return _ConfiguredSpool("SAT_SPOOL_URI", deployment.spool_uri)


def results_spool(deployment: DeploymentSettings) -> NamedSpool:
    """The spool of result files."""
    return _ConfiguredSpool("SAT_RESULTS_URI", deployment.results_uri)


def archive_spool(deployment: DeploymentSettings) -> NamedSpool:
    """The spool of archive files."""
    return _ConfiguredSpool("SAT_ARCHIVE_URI", deployment.archive_uri)


def exports_folder(deployment: DeploymentSettings) -> Path | None:
    """The folder of evidence packs (``exports/`` below ``SAT_RESULTS_URI``), if that is a folder.

    Packs are written in their final folder, because they may be larger than the free space in /tmp.

    :raises SpoolError: it cannot be created.
    """
    parts = urlsplit(_exports_uri(deployment))
    if parts.scheme not in ("", "file"):
        return None
    folder = Path(unquote(parts.path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpoolError(f"{folder} cannot be made: {error.strerror}") from error
    return folder


def keep_export(deployment: DeploymentSettings, pack: Path) -> str:
    """Store a written evidence pack without reading it into memory; return its URI.

    :raises SpoolError: it cannot be stored.
    """
    folder = exports_folder(deployment)
    uri = f"{_exports_uri(deployment)}/{pack.name}"
    with _storing(uri):
        if folder is not None:
            # It may hold customers' data and vouchers. Airflow's processes share a user, or at least a group.
            pack.chmod(0o640)
            # A rename within one file system is atomic: readers never get half a pack.
            return pack.replace(folder / pack.name).resolve().as_uri()
        place = ObjectStoragePath(uri)
        place.fs.put_file(str(pack), place.path)
    return uri


def _exports_uri(deployment: DeploymentSettings) -> str:
    return f"{_configured('SAT_RESULTS_URI', deployment.results_uri).rstrip('/')}/exports"


def _configured(variable: str, uri: str) -> str:
    if not uri:
        raise SpoolError(
            f"environment variable {variable}: found nothing; expected a URI that every worker can reach, "
            "for example s3://bucket/sat or file:///var/lib/sat"
        )
    return uri
