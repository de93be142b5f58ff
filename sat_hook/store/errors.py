"""Errors of the store. Callers tell them apart by type."""

from __future__ import annotations

from pathlib import Path

from sat_hook.domain.errors import NoRetryError, StepError


class UnsettledPositionError(LookupError):
    """The log has not settled the requested position."""


class StoreUnavailableError(RuntimeError):
    """The database did not answer or failed; the outcome of the last write is unknown."""


class StoreBusyError(StoreUnavailableError):
    """Another transaction held a lock longer than the limit; nothing was written."""


class StoreRefusedError(RuntimeError):
    """The database refuses these values, and a retry does not help. Nothing was written.

    The text has only PostgreSQL's code (SQLSTATE), because its message would quote the values.
    """


class KeyInvalidError(ValueError):
    """The key is not one that can be kept."""


class KeyReusedError(ValueError):
    """The key belongs to another request of the same person."""

    def __init__(self) -> None:
        super().__init__(
            "Idempotency-Key: found another request under this key; expected a new key for each request"
        )


class KeyInUseError(RuntimeError):
    """The first request with this key has not ended."""

    def __init__(self) -> None:
        super().__init__("Idempotency-Key: the first request with this key is still under way; try again")


class AnswerNotKeptError(RuntimeError):
    """The request was done, and its answer is not kept."""

    def __init__(self) -> None:
        super().__init__(
            "Idempotency-Key: this request was done, and its answer (a file, or a long one) is not kept; "
            "send it with a new key to do it again"
        )


class MigrationError(RuntimeError):
    """The database could not be migrated to this release's schema."""


class SpoolError(StepError):
    """The spooled bytes are missing, or differ from the submitted bytes."""


class SpoolFileGoneError(SpoolError):
    """The spool is available, but the file is gone: removed by retention, archived, or lost."""


class UntrustedFileError(OSError):
    """The file has another owner, or others may write to it. The text names the file, found and expected."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(f"{path}: found {found}; expected {expected}")
        self.path = path
        self.found = found
        self.expected = expected


class LogArchivedError(NoRetryError):
    """Events that are needed are in an archive file only.

    :param partition: what brings them back.
    """

    def __init__(self, where: str, partition: str, uri: str) -> None:
        super().__init__(
            f"{where}: found events that are archived in {uri}; expected them in the database (bring them "
            f"back with: sat retention restore {partition})"
        )
        self.partition = partition
