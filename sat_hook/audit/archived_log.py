"""The log as one whole: what is in the database, and what is in archive files only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain

from psycopg2.extensions import connection as Connection

from sat_hook.audit.archive_files import ArchiveFile, opened_archive
from sat_hook.audit.errors import ArchiveUnreadableError
from sat_hook.audit.findings import Finding, FindingKind, Report
from sat_hook.domain.event_record import RecordedEvent, StreamId
from sat_hook.domain.log_archives import EventsArchived
from sat_hook.store.checkpoints import CheckpointTable, Leaf
from sat_hook.store.database import OneTransaction
from sat_hook.store.log import Placed, Unplaced, each_stream
from sat_hook.store.log_archives import archives_in
from sat_hook.store.spool import SpoolReader


@dataclass(frozen=True, slots=True)
class ArchivedLog:
    """The log in the snapshot of a connection, with archive files.

    :param files: copies of the archives that could be read, by position.
    :param unreadable: the others.
    """

    connection: Connection
    files: Sequence[ArchiveFile] = ()
    unreadable: Sequence[EventsArchived] = ()

    def streams(
        self,
        unplaced: Unplaced,
        report: Report,
        first_position: int | None,
        last_position: int | None = None,
    ) -> Iterator[tuple[StreamId, Iterable[Placed]]]:
        """Every stream with its events by version, as :func:`~sat_hook.store.log.each_stream`.

        Events of a file that are in the database, too, are those of the database; a difference is reported.
        Memory holds the archived orders that have not ended where a file is being read.
        """
        begun: dict[StreamId, list[RecordedEvent]] = {}
        for file in self.files:
            for moved in self._moved(file, report, first_position, last_position):
                for recorded in moved:
                    begun.setdefault(recorded.stream, []).append(recorded)
                yield from self._whole(begun)
        stored = each_stream(
            self.connection, unplaced, first_position=first_position, last_position=last_position
        )
        for stream, placed in stored:
            before = begun.pop(stream, None)
            if before is None:
                yield stream, placed
            else:
                later = list(placed)
                yield stream, chain((Placed(recorded, later[0].head) for recorded in before), later)
        heads = self._heads(begun)
        for stream, events in begun.items():
            yield stream, [Placed(recorded, heads.get(str(stream))) for recorded in events]

    def leaves(self, first_position: int | None) -> Iterator[Leaf]:
        """What checkpoints cover of each event, by position."""
        table = CheckpointTable(OneTransaction(self.connection))
        position = first_position
        files: dict[str, ArchiveFile] = {file.archive.partition: file for file in self.files}
        archives = [*(file.archive for file in self.files), *self.unreadable]
        for archive in sorted(archives, key=lambda one: one.first_position):
            if position is None or position < archive.first_position:
                yield from table.leaves(position, archive.first_position - 1, any_time=True)
            if archive.partition in files:
                yield from files[archive.partition].leaves(first_position)
            position = archive.last_position + 1
        yield from table.leaves(position, any_time=True)

    def is_unreadable(self, first_position: int, last_position: int) -> bool:
        """Whether an archive that could not be read overlaps a range of positions."""
        return any(
            archive.first_position <= last_position and archive.last_position >= first_position
            for archive in self.unreadable
        )

    def _moved(
        self, file: ArchiveFile, report: Report, first_position: int | None, last_position: int | None
    ) -> Iterator[list[RecordedEvent]]:
        """The events of a file that the database does not have, some at a time."""
        archive = file.archive
        first = max(archive.first_position, first_position or 0)
        stored = CheckpointTable(OneTransaction(self.connection))
        last = archive.last_position if last_position is None else min(archive.last_position, last_position)
        kept = iter(stored.leaves(first, last, any_time=True))
        here = next(kept, None)
        for events in file.events(first_position):
            moved = []
            for recorded in events:
                if recorded.position > last:
                    break
                while here is not None and here.position < recorded.position:
                    report(_not_archived(archive, here))
                    here = next(kept, None)
                if here is None or here.position > recorded.position:
                    moved.append(recorded)
                    continue
                if here != Leaf(recorded.position, recorded.recorded_at, recorded.digest):
                    found = f"another event than {archive.uri} has"
                    report(Finding.at(FindingKind.ARCHIVE_DIFFERS, recorded, found, "the same"))
                here = next(kept, None)
            yield moved
        while here is not None:
            report(_not_archived(archive, here))
            here = next(kept, None)

    def _whole(
        self, begun: dict[StreamId, list[RecordedEvent]]
    ) -> Iterator[tuple[StreamId, Iterable[Placed]]]:
        """Take the streams out that have their last event, by the head that the store keeps."""
        heads = self._heads(begun)
        whole = [stream for stream, events in begun.items() if heads.get(str(stream)) == events[-1].version]
        for stream in whole:
            yield stream, [Placed(recorded, heads[str(stream)]) for recorded in begun.pop(stream)]

    def _heads(self, streams: Iterable[StreamId]) -> dict[str, int]:
        names = [str(stream) for stream in streams]
        return archives_in(self.connection).heads_of(names) if names else {}


@contextmanager
def opened_log(
    connection: Connection,
    spool: SpoolReader,
    report: Report,
    *,
    first_position: int | None = None,
    chosen: Callable[[EventsArchived], bool] = lambda _: True,
    also: Sequence[ArchiveFile] = (),
) -> Iterator[ArchivedLog]:
    """The log from a position on; an archive that cannot be read is reported.

    :param chosen: which archives are needed.
    :param also: open files that the log does not name yet.
    """
    files, unreadable = list(also), []
    with ExitStack() as copies:
        for archive in archives_in(connection).in_effect():
            if (first_position or 0) > archive.last_position or not chosen(archive):
                continue
            try:
                files.append(copies.enter_context(opened_archive(spool, archive)))
            except ArchiveUnreadableError as error:
                unreadable.append(archive)
                place = f"archive of {archive.partition}"
                found = Finding(
                    FindingKind.ARCHIVE_UNREADABLE, place, None, archive.first_position, str(error), "it"
                )
                report(found)
        files.sort(key=lambda file: file.archive.first_position)
        yield ArchivedLog(connection, files, unreadable)


@contextmanager
def opened_part(
    connection: Connection, spool: SpoolReader, report: Report, first_position: int | None, last: int
) -> Iterator[tuple[ArchivedLog, int]]:
    """The log up to a checkpoint, and its number. A part reads archive files to their end."""
    table = CheckpointTable(OneTransaction(connection))
    overlapping = set()
    for archive in archives_in(connection).in_effect():
        covering = table.covering(archive.first_position)
        is_begun = covering is None or covering.text.number <= last
        if is_begun and archive.last_position >= (first_position or 0):
            overlapping.add(archive.partition)
            last = max(last, archive.checkpoint)
    with opened_log(
        connection,
        spool,
        report,
        first_position=first_position,
        chosen=lambda archive: archive.partition in overlapping,
    ) as log:
        yield log, last


def _not_archived(archive: EventsArchived, leaf: Leaf) -> Finding:
    place, expected = f"archive of {archive.partition}", f"no event that {archive.uri} does not have"
    return Finding(
        FindingKind.ARCHIVE_DIFFERS, place, None, leaf.position, "an event in the database", expected
    )
