"""What the retention policy lets go now, what must stay and why; and the removal itself.

A plan changes nothing. A removal can be stopped at any line and run again: a file goes before it is recorded
as removed, and a file that is gone already is only recorded.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sat_hook.application.log_archive import LogArchive
from sat_hook.application.retention_policy import Kind, RetentionPolicy
from sat_hook.domain.errors import NoRetryError
from sat_hook.store.errors import SpoolError, SpoolFileGoneError, StoreBusyError
from sat_hook.store.retention import OldBatch, OldFile, OldRows, RetentionTables
from sat_hook.store.spool import NamedSpool

MAXIMUM_REASONS = 10
"""Most reasons that a summary names for each kind."""
_ALWAYS_KEPT = (Kind.EVIDENCE, Kind.CALLBACKS)


@dataclass(slots=True)
class PlannedKind:
    """What goes of a kind of data, and what must stay although its term is over.

    :param days: its term; None for ever.
    :param items: how many files or rows go, with ``size_bytes``.
    :param stays: how many must stay, by reason.
    """

    kind: Kind
    days: int | None
    items: int = 0
    size_bytes: int = 0
    stays: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """Plans and carries out the policy.

    :param submissions: the spool of submitted files.
    :param results: the spool of result files and evidence packs.
    :param archive: archives the log; needed where the policy gives events a term.
    """

    policy: RetentionPolicy
    tables: RetentionTables
    submissions: NamedSpool
    results: NamedSpool
    now: datetime
    archive: LogArchive | None = None

    def plan(self) -> list[PlannedKind]:
        """What would go. Reads only.

        :raises StoreUnavailableError: the database gave up.
        """
        return [self._each(kind, is_run=False) for kind in Kind]

    def run(self) -> list[PlannedKind]:
        """Remove what the policy lets go; return what went.

        :raises StoreUnavailableError: the database gave up; the next run continues.
        """
        return [self._each(kind, is_run=True) for kind in Kind]

    def _each(self, kind: Kind, *, is_run: bool) -> PlannedKind:
        planned = PlannedKind(kind, self.policy.days_of(kind))
        if planned.days is None or kind in _ALWAYS_KEPT:
            return planned
        before = self.now - timedelta(days=planned.days)
        match kind:
            case Kind.EVENTS:
                self._partitions(planned, planned.days, is_run=is_run)
            case Kind.SPOOL:
                files = self._of_batches(planned, before, _submitted)
                self._files(planned, self.submissions, files, is_run=is_run)
            case Kind.RESULTS:
                files = self._of_batches(planned, before, _results)
                self._files(planned, self.results, files, is_run=is_run)
            case Kind.EXPORTS:
                self._files(planned, self.results, self.tables.exports(before), is_run=is_run)
            case Kind.ALERTS:
                _rows(planned, self.tables.alerts(before), "not delivered yet")
                if is_run:
                    planned.items = self.tables.remove_alerts(before)
            case Kind.INTAKE:
                _rows(planned, self.tables.intake(before), "no batch has taken the row")
                if is_run:
                    planned.items = self.tables.remove_intake(before)
        return planned

    def _partitions(self, planned: PlannedKind, days: int, *, is_run: bool) -> None:
        """Archive partitions of the log, the oldest first."""
        if self.archive is None:
            planned.stays["nothing is configured that archives the log"] += 1
            return
        signed = self.policy.require_signed_days
        for old in self.archive.plan(days, self.now, require_signed_days=signed):
            reason, name = old.reason, old.partition.name
            try:
                if reason is None and is_run:
                    self.archive.archive(name)
            except (NoRetryError, SpoolError, StoreBusyError) as error:
                reason = str(error)
            if reason is None:
                planned.items += 1
                planned.size_bytes += old.partition.size_bytes
            else:
                planned.stays[reason if name in reason else f"{name}: {reason}"] += 1

    def _of_batches(
        self, planned: PlannedKind, before: datetime, file_of: Callable[[OldBatch], OldFile | None]
    ) -> list[OldFile]:
        """The files of batches that nothing keeps; the reasons of the others are counted."""
        batches = self.tables.batches(before, require_signed_days=self.policy.require_signed_days)
        there = [(batch, file) for batch in batches if (file := file_of(batch)) is not None]
        removed = self.tables.removed_among(file.uri for _, file in there)
        going = []
        for batch, file in there:
            if file.uri in removed:
                continue
            reason = _keeps(batch)
            if reason is None:
                going.append(file)
            else:
                planned.stays[reason] += 1
        return going

    def _files(
        self, planned: PlannedKind, spool: NamedSpool, files: Iterable[OldFile], *, is_run: bool
    ) -> None:
        chosen = list({file.uri: file for file in files}.values())
        removed = self.tables.removed_among(file.uri for file in chosen)
        for file in chosen:
            if file.uri in removed:
                continue
            try:
                size = _size_of(spool, file.uri)
                if is_run:
                    spool.remove(spool.name_of(file.uri))
                    self.tables.record_removed(file.uri, planned.kind.value, size)
            except SpoolError as error:
                planned.stays[str(error)] += 1
                continue
            planned.items += 1
            planned.size_bytes += size


def _submitted(batch: OldBatch) -> OldFile | None:
    return OldFile(batch.spool_uri, batch.size_bytes)


def _results(batch: OldBatch) -> OldFile | None:
    return OldFile(batch.results_uri, 0) if batch.results_uri is not None else None


def _keeps(batch: OldBatch) -> str | None:
    """Why the files of a batch must stay; None when nothing keeps them."""
    if not batch.is_ended:
        return "the batch has not ended"
    if batch.unended_orders:
        return "an order of the batch has no end"
    if batch.is_changed_since:
        return "an order of the batch changed within the term"
    if batch.unsigned_day is not None:
        return f"day {batch.unsigned_day} of {batch.account} is not signed off"
    return None


def _rows(planned: PlannedKind, old: OldRows, reason: str) -> None:
    planned.items, planned.size_bytes = old.rows, old.size_bytes
    if old.staying:
        planned.stays[reason] = old.staying


def _size_of(spool: NamedSpool, uri: str) -> int:
    """The bytes of a file; 0 when it is gone already.

    :raises SpoolError: the spool cannot be read, or the file is in another spool.
    """
    try:
        with spool.open(uri) as file:
            return file.seek(0, os.SEEK_END)
    except SpoolFileGoneError:
        return 0


def summary_of(planned: Iterable[PlannedKind]) -> Iterator[str]:
    """What goes and what stays, in lines for people."""
    for one in planned:
        if one.days is None:
            yield f"{one.kind}: kept for ever"
            continue
        yield f"{one.kind}: {one.items:,} go after {one.days:,} days, {one.size_bytes / 1e6:,.1f} MB"
        for reason, count in one.stays.most_common(MAXIMUM_REASONS):
            yield f"{one.kind}: {count:,} stay: {reason}"
        if len(one.stays) > MAXIMUM_REASONS:
            yield f"{one.kind}: others stay for {len(one.stays) - MAXIMUM_REASONS:,} more reasons"
