"""Archive files: the events of a partition of the log as Parquet, in the order of their positions.

pandas, DuckDB and everything else that reads Parquet can read them. The columns are those of ``sat.events``.
Times are in UTC, to the microsecond.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from sat_hook.audit.errors import ArchiveUnreadableError
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.log_archives import EventsArchived
from sat_hook.store.checkpoints import Leaf
from sat_hook.store.errors import SpoolError
from sat_hook.store.log import recorded_from_row
from sat_hook.store.spool import SpoolReader

ROWS_PER_GROUP = 50_000
ROWS_PER_READ = 10_000
COLUMNS = (
    "position", "stream", "version", "type", "schema_version", "data", "actor", "cause", "occurred_at",
    "recorded_at", "digest",
)  # fmt: skip
_COPIED_AT_ONCE = 1024 * 1024


def write_archive(path: Path, rows: Iterable[Sequence[Any]]) -> int:
    """Write events to ``path``; return how many. Memory holds one group of rows.

    :param rows: :data:`COLUMNS`, by position.
    :raises ArchiveUnreadableError: the library for Parquet is not installed.
    """
    arrow, parquet = _library()
    schema, written, remaining = _schema(arrow), 0, iter(rows)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(remaining, ROWS_PER_GROUP)):
            columns = [
                arrow.array(column, type=field.type)
                for column, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
            written += len(group)
    return written


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A copy of an archive file with the digest that the log names."""

    archive: EventsArchived
    path: Path

    def rows(self, from_position: int | None = None) -> Iterator[list[tuple[Any, ...]]]:
        """Its rows, some at a time: :data:`COLUMNS`, by position."""
        return self._read(COLUMNS, from_position)

    def events(self, from_position: int | None = None) -> Iterator[list[RecordedEvent]]:
        """Its events, some at a time, by position."""
        for rows in self.rows(from_position):
            yield [recorded_from_row(row) for row in rows]

    def leaves(self, from_position: int | None = None) -> Iterator[Leaf]:
        """What checkpoints cover of its events."""
        for rows in self._read(Leaf._fields, from_position):
            yield from (Leaf(*row) for row in rows)

    def _read(self, columns: Sequence[str], from_position: int | None) -> Iterator[list[tuple[Any, ...]]]:
        _, parquet = _library()
        try:
            with parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(ROWS_PER_READ, columns=list(columns)):
                    lists = [column.to_pylist() for column in batch.columns]
                    rows = list(zip(*lists, strict=True))
                    yield [row for row in rows if from_position is None or row[0] >= from_position]
        except (OSError, ValueError) as error:
            raise ArchiveUnreadableError(
                f"{self.archive.uri}: found {type(error).__name__}; expected an archive file in Parquet"
            ) from None


@contextmanager
def opened_archive(spool: SpoolReader, archive: EventsArchived) -> Iterator[ArchiveFile]:
    """Copy an archive file to a temporary one and check its digest.

    :raises ArchiveUnreadableError: it is gone, cannot be read, or has other bytes than the log says.
    """
    with tempfile.NamedTemporaryFile(prefix="sat-archive-", suffix=".parquet") as copy:
        digest = hashlib.sha256()
        try:
            with spool.open(archive.uri) as file:
                while part := file.read(_COPIED_AT_ONCE):
                    digest.update(part)
                    copy.write(part)
        except SpoolError as error:
            raise ArchiveUnreadableError(f"{archive.partition}: {error}") from error
        copy.flush()
        if digest.hexdigest() != archive.digest:
            raise ArchiveUnreadableError(
                f"{archive.uri}: found a file with digest {digest.hexdigest()}; expected {archive.digest}"
            )
        yield ArchiveFile(archive, Path(copy.name))


def _schema(arrow: Any) -> Any:
    # Types and actors repeat; as dictionaries they take next to no space, and readers see plain text.
    times = arrow.timestamp("us", tz="UTC")
    kinds = {
        "position": arrow.int64(),
        "version": arrow.int32(),
        "schema_version": arrow.int32(),
        "occurred_at": times,
        "recorded_at": times,
    }
    return arrow.schema([arrow.field(name, kinds.get(name, arrow.string()), False) for name in COLUMNS])


def _library() -> tuple[Any, Any]:
    """pyarrow, which only installations with archives need."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise ArchiveUnreadableError(
            "the extra archive of this package: found no pyarrow; expected it where archives are written or "
            "read (pip install 'sat-bulk-orders[archive]')"
        ) from None
