"""Moves old partitions of the log to archive files, and brings them back (ADR 24).

The file is written, stored, read back and verified against the signed checkpoints first. Then one
transaction takes the events out of the database and records where they are. So after a stop at any line there
is the partition, or both, and never neither.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from psycopg2.extensions import connection as Connection

from sat_hook.audit.archive_files import ArchiveFile, opened_archive, write_archive
from sat_hook.audit.archived_log import opened_log
from sat_hook.audit.checkpoint_verification import Trust, is_published, start_after, verify_chain
from sat_hook.audit.errors import ArchiveRefusedError
from sat_hook.audit.findings import Counted, Finding
from sat_hook.audit.keys import AuditVerifier
from sat_hook.audit.publication import PublishedReader
from sat_hook.commands.aggregates import VERIFICATIONS
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Event, Provenance
from sat_hook.domain.identity import log_id
from sat_hook.domain.log_archives import EventsArchived, EventsRestored
from sat_hook.domain.ports import Clock
from sat_hook.store.checkpoints import CheckpointTable
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.log_archives import LogArchives, PartitionExchange, rows_of_range
from sat_hook.store.log_partitions import DEFAULT_PARTITION, LogPartitions, Partition
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import NamedSpool

PROVENANCE = Provenance("service:retention", "sat retention")


@dataclass(frozen=True, slots=True)
class OldPartition:
    """A partition whose term is over, and why it must stay; None when nothing keeps it."""

    partition: Partition
    reason: str | None


@dataclass(frozen=True, slots=True)
class LogArchive:
    """Archives partitions of one log.

    :param database: as the schema's owner, except for a plan.
    :param spool: where archive files are stored.
    :param keys: the public audit keys; without them nothing is archived or brought back.
    :param published: where checkpoints are published; without it nothing is archived.
    """

    database: Database
    spool: NamedSpool
    keys: AuditVerifier | None
    published: PublishedReader | None
    clock: Clock

    def plan(self, days: int, now: datetime, *, require_signed_days: bool = True) -> list[OldPartition]:
        """The partitions whose last event is older than the term and that are not archived."""
        before = now - timedelta(days=days)
        archived = {archive.partition for archive in LogArchives(self.database).in_effect()}
        return [
            OldPartition(partition, self._keeps(partition, require_signed_days))
            for partition in LogPartitions(self.database).all()
            if partition.name not in archived
            and partition.last_recorded_at is not None
            and partition.last_recorded_at < before
        ]

    def archive(self, name: str) -> EventsArchived:
        """Write a partition to a file, verify it, and take the events of ended orders out of the database.

        :raises ArchiveRefusedError: the partition must stay, or does not verify; nothing was changed.
        :raises ArchiveUnreadableError: the stored file is not what was written; nothing was changed.
        :raises StoreBusyError: behind a long reader of the log; nothing was changed.
        """
        partition = self._partition(name)
        if reason := self._keeps(partition, require_signed_days=False):
            raise ArchiveRefusedError(f"{name}: {reason}")
        with tempfile.TemporaryDirectory(prefix="sat-archive-") as folder:
            written = self._written(partition, Path(folder) / "events.parquet")
        with opened_archive(self.spool, written) as file:
            self._verify(file)
        with self.database.transaction() as connection:
            exchange = PartitionExchange(connection, name)
            kept, moved = exchange.keep()
            if kept + moved != written.events:
                raise ArchiveRefusedError(
                    f"{name}: found {kept + moved:,} events; expected the {written.events:,} of the file"
                )
            if not moved:
                raise ArchiveRefusedError(f"{name}: found no ended order whose events can be moved")
            exchange.swap()
            archived = written.model_copy(update={"moved_events": moved})
            self._record(connection, archived)
        return archived

    def restore(self, name: str) -> EventsRestored:
        """Put the events of an archived partition back, and verify them against the checkpoints.

        :raises ArchiveRefusedError: it is not archived, or does not verify; nothing was changed.
        :raises ArchiveUnreadableError: the file is gone or was changed; nothing was changed.
        :raises StoreBusyError: behind a long reader of the log; nothing was changed.
        """
        archives = LogArchives(self.database).in_effect()
        archive = next((one for one in archives if one.partition == name), None)
        if archive is None:
            names = ", ".join(one.partition for one in archives) or "none is archived"
            raise ArchiveRefusedError(
                f"{name}: found no archive of this partition; expected one that is archived ({names})"
            )
        restored = EventsRestored(partition=name, digest=archive.digest)
        with opened_archive(self.spool, archive) as file:
            self._verify(file)
            with self.database.transaction() as connection:
                exchange = PartitionExchange(connection, name)
                filled = exchange.fill(file.rows())
                if filled != archive.events:
                    raise ArchiveRefusedError(
                        f"{archive.uri}: found {filled:,} events; expected {archive.events:,}"
                    )
                exchange.swap()
                self._record(connection, restored)
        return restored

    def _partition(self, name: str) -> Partition:
        partitions = LogPartitions(self.database).all()
        found = next((one for one in partitions if one.name == name), None)
        if found is None:
            names = ", ".join(one.name for one in partitions)
            raise ArchiveRefusedError(f"{name}: found no such partition; expected one of {names}")
        if any(one.partition == name for one in LogArchives(self.database).in_effect()):
            raise ArchiveRefusedError(f"{name}: found it archived already")
        return found

    def _keeps(self, partition: Partition, require_signed_days: bool) -> str | None:
        if partition.is_current:
            return "new events go there"
        if partition.name == DEFAULT_PARTITION:
            return "its events found no partition of their own"
        if partition.first_position is None or partition.last_position is None:
            return "it has no events"
        if not partition.is_guarded:
            return "a trigger or its unique index is missing"
        if self.keys is None:
            return "no public audit key is given, so it cannot be verified"
        if self.published is None:
            return "no place of published checkpoints is given, so nothing outside the database proves it"
        table = CheckpointTable(self.database)
        covering = table.covering(partition.last_position)
        if covering is None:
            return "no checkpoint covers its last event"
        if not is_published(self.database, covering.text.number, self.published):
            return f"checkpoint {covering.text.number:,} over its last event is not published"
        if require_signed_days:
            first, last = partition.first_position, partition.last_position
            if day := LogArchives(self.database).first_unsigned_day(first, last):
                return f"{day} is not signed off"
        return None

    def _written(self, partition: Partition, path: Path) -> EventsArchived:
        """Write the file and store it under its digest."""
        first, last = partition.first_position, partition.last_position
        assert first is not None
        assert last is not None
        assert partition.last_recorded_at is not None
        with self.database.transaction(snapshot=True) as connection:
            events = write_archive(path, rows_of_range(connection, first, last))
            covering = CheckpointTable(OneTransaction(connection)).covering(last)
        assert covering is not None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return EventsArchived(
            partition=partition.name,
            first_position=first,
            last_position=last,
            events=events,
            moved_events=0,
            recorded_to=partition.last_recorded_at,
            uri=self.spool.write_file(f"archive/{digest}.parquet", path),
            digest=digest,
            size_bytes=path.stat().st_size,
            checkpoint=covering.text.number,
        )

    def _verify(self, file: ArchiveFile) -> None:
        """Recompute every event's digest, and the log's chain over the file.

        :raises ArchiveRefusedError: something differs.
        """
        archive, events = file.archive, 0
        for group in file.events():
            for recorded in group:
                events += 1
                if recorded.computed_digest() != recorded.digest:
                    raise ArchiveRefusedError(
                        f"{archive.partition}: position {recorded.position}: found contents with digest "
                        f"{recorded.computed_digest()}; expected {recorded.digest}"
                    )
        if events != archive.events:
            raise ArchiveRefusedError(f"{archive.uri}: found {events:,} events; expected {archive.events:,}")
        with self.database.transaction(snapshot=True) as connection:
            self._verify_chain(connection, file)

    def _verify_chain(self, connection: Connection, file: ArchiveFile) -> None:
        archive, findings = file.archive, list[Finding]()
        covering = CheckpointTable(OneTransaction(connection)).covering(archive.first_position)
        if covering is None:
            raise ArchiveRefusedError(f"{archive.partition}: no checkpoint covers its first event")
        start = start_after(connection, covering.text.number - 1, self.keys)
        report = Counted(findings.append)
        with opened_log(
            connection,
            self.spool,
            report,
            first_position=start.position,
            chosen=lambda one: one.partition != archive.partition,
            also=[file],
        ) as log:
            verify_chain(connection, report, Trust(self.keys), start, archive.checkpoint, log)
        if findings:
            raise ArchiveRefusedError(f"{archive.partition} does not verify: {findings[0]}")

    def _record(self, connection: Connection, event: Event) -> None:
        store = PostgresEventStore(OneTransaction(connection))
        CommandHandler(store, self.clock).apply_to(VERIFICATIONS, log_id(), Record(event), PROVENANCE)
