"""Replays the log with this release's code: the state as of a position, and the reports that were given out.

Run it before an upgrade. It finds on the real log what the new release reads differently from the running
one. It writes nothing, and the schema may still be that of the running release. Every kind of report has an
event with the position as of which it was made, and its digest; reports are compared byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from psycopg2.extensions import connection as Connection
from pydantic import ValidationError

from sat_hook.audit.findings import Counted, Finding, FindingKind, Report
from sat_hook.audit.rebuild import STREAMS_PER_GROUP, compare_group, each_folded, projection_shape
from sat_hook.domain.errors import UnknownEventError
from sat_hook.domain.event_record import RecordedEvent, StreamKind
from sat_hook.domain.grouping import grouped
from sat_hook.store.as_of import settled_position
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.log import events_between
from sat_hook.store.postgres import PostgresEventStore, recorded_at
from sat_hook.store.projections import DerivedTables, Folded


class Verdict(StrEnum):
    """The result of recreating a report."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NOT_COMPARABLE = "not comparable"
    ARCHIVED = "archived (bring their orders back with: sat retention restore)"
    SUMS_ONLY = "equal in number and sum, their submitted files being removed by retention or archived"


class ReportMaker(Protocol):
    """Recreates one kind of report."""

    name: str
    """The plural name of the kind."""

    event_type: str
    """The event type of a report that was given out."""

    def check(self, recorded: RecordedEvent, report: Report) -> Verdict:
        """Recreate the report of this event and report every difference with its place."""


StateLine = Callable[[str], None]
"""Takes one stream's state as a line of JSON."""


@dataclass(slots=True)
class StateReplayed:
    """The fold of all streams of a kind.

    ``digest`` is the SHA-256 of their states, one JSON line per stream: releases that agree have the same
    digest.
    """

    streams: int = 0
    _hash: Any = field(default_factory=hashlib.sha256, repr=False)

    def add(self, line: str) -> None:
        self.streams += 1
        self._hash.update(f"{line}\n".encode())

    @property
    def digest(self) -> str:
        """The digest of all added streams."""
        return str(self._hash.hexdigest())


@dataclass(slots=True)
class Replay:
    """What was replayed and what differed.

    :param until: the position up to which everything was replayed, recorded at ``moment`` (None: nothing).
    :param compared: streams whose stored row was compared; ``moved_on`` have later events, so their row is
        newer.
    :param same_shape: False when another release filled the derived tables; members that only one of the two
        releases knows were then not compared.
    :param reports: the number of reports by kind and verdict.
    """

    until: int
    moment: datetime | None
    since: int
    same_shape: bool
    states: dict[StreamKind, StateReplayed]
    compared: int
    moved_on: int
    reports: dict[str, Counter[Verdict]]
    counts: Counter[FindingKind]

    @property
    def is_clean(self) -> bool:
        """True when nothing differs."""
        return not self.counts


def replay(
    database: Database,
    makers: Sequence[ReportMaker],
    report: Report,
    *,
    until: int | None = None,
    since: int = 0,
    state_line: StateLine | None = None,
) -> Replay:
    """Fold the whole log up to a position, compare it with the stored rows, and recreate reports.

    Read-only and in constant memory; appends are not blocked.

    :param database: any role that may read events and derived tables.
    :param until: a settled position; default: the last one.
    :param since: recreate the reports that were given out after this position.
    :param state_line: called with every stream's state.
    :raises UnsettledPositionError: the log does not reach to ``until``.
    :raises StoreUnavailableError: the database gave up.
    """
    until = settled_position(PostgresEventStore(database), until)
    counted = Counted(report)
    with database.transaction(snapshot=True) as connection:
        tables = DerivedTables(connection)
        tables.keep_folded_in_place()
        replayed = Replay(
            until=until,
            moment=recorded_at(OneTransaction(connection), until),
            since=since,
            same_shape=tables.shape() in (None, projection_shape()),
            states={kind: StateReplayed() for kind in StreamKind},
            compared=0,
            moved_on=0,
            reports={},
            counts=counted.counts,
        )
        _replay_state(connection, replayed, counted, state_line)
        events = _reports_given_out(connection, replayed, makers)
    for maker in makers:
        verdicts: Counter[Verdict] = Counter()
        for recorded in events.get(maker.event_type, ()):
            verdicts[_check(maker, recorded, counted)] += 1
        replayed.reports[maker.name] = verdicts
    return replayed


def _replay_state(
    connection: Connection, replayed: Replay, report: Report, state_line: StateLine | None
) -> None:
    for group in grouped(each_folded(connection, report, replayed.until), STREAMS_PER_GROUP):
        for folded in group:
            line = _state_of(folded)
            replayed.states[folded.stream.kind].add(line)
            if state_line is not None:
                state_line(line)
        # Streams with later events have newer rows; all other rows must match the replayed state.
        resting = [folded for folded in group if folded.head is None or folded.head <= folded.version]
        replayed.compared += len(resting)
        replayed.moved_on += len(group) - len(resting)
        compare_group(DerivedTables(connection), resting, report, same_shape=replayed.same_shape)


def _state_of(folded: Folded) -> str:
    document = {"stream": str(folded.stream), **folded.after.model_dump(mode="json")}
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _reports_given_out(
    connection: Connection, replayed: Replay, makers: Sequence[ReportMaker]
) -> dict[str, list[RecordedEvent]]:
    types = [maker.event_type for maker in makers]
    events: dict[str, list[RecordedEvent]] = {}
    for recorded in events_between(connection, replayed.since, replayed.until, types=types):
        events.setdefault(recorded.type_name, []).append(recorded)
    return events


def _check(maker: ReportMaker, recorded: RecordedEvent, report: Report) -> Verdict:
    try:
        return maker.check(recorded, report)
    except (UnknownEventError, ValidationError, ValueError) as error:
        # Validation errors quote values, so only our own messages are passed on.
        found = type(error).__name__ if isinstance(error, ValidationError) else str(error)
        expected = "events that this release reads"
        report(Finding.at(FindingKind.REPORT_UNAVAILABLE, recorded, found, expected))
        return Verdict.DIFFERS
