"""Verifies the log: digests, versions, heads, event types, referenced evidence, and checkpoints.

If the end of a stream is deleted together with its head and its projection, or an event is rewritten with a
new digest, only a checkpoint reveals it. Rewriting the checkpoints as well needs the audit key, and then only
the published copies reveal it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import NamedTuple

from pydantic import ValidationError

from sat_hook.audit.archived_log import ArchivedLog, opened_log, opened_part
from sat_hook.audit.checkpoint_verification import (
    BEGINNING,
    ChainVerified,
    Start,
    Trust,
    start_after,
    verify_chain,
    verify_published,
)
from sat_hook.audit.findings import Counted, Finding, FindingKind, Report, report_unplaced
from sat_hook.audit.price_evidence import verify_prices
from sat_hook.audit.rebuild import report_usage
from sat_hook.audit.signed_statuses import StatusChecks
from sat_hook.commands.aggregates import VERIFICATIONS
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.account import PriceListChanged
from sat_hook.domain.business_day import business_day
from sat_hook.domain.decision import Record
from sat_hook.domain.errors import UnknownEventError, UnreadableCheckpointError
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId, StreamKind
from sat_hook.domain.identity import log_id
from sat_hook.domain.order_events import SignedStatus, StatusMismatched
from sat_hook.domain.verifications import LogVerified
from sat_hook.store.database import Database
from sat_hook.store.evidence import Evidence
from sat_hook.store.log import Placed, newest_versions
from sat_hook.store.log_archives import archives_in
from sat_hook.store.log_pages import LAST_POSITION, LogPages, LogSlice
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.projections import DerivedTables
from sat_hook.store.spool import AnySpool, SpoolReader

EVIDENCE_PER_LOOKUP = 1000
STREAMS_PER_LOOKUP = 1000
VERIFICATIONS_PER_READ = 50


@dataclass(frozen=True, slots=True)
class Verification:
    """What was verified and what was found.

    :param closed_position: the settled position when the verification began; later events were verified as
        far as they were visible.
    :param evidence_read: whether the role was allowed to recompute the digests of signed texts.
    :param published_number: the newest published checkpoint; None without a place of publication.
    :param statuses_checked: how many events were compared with their signed texts; None without SAT's keys,
        or when the role may not read the texts.
    :param statuses_unchecked: by account, how many signed statuses and callbacks were not checked because
        some keys of that account are unknown.
    """

    closed_position: int
    events: int
    streams: int
    evidence_read: bool
    counts: Counter[FindingKind]
    chain: ChainVerified
    published_number: int | None
    statuses_checked: int | None = None
    statuses_unchecked: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """True when nothing was found."""
        return not self.counts


def verify_log(
    database: Database,
    report: Report,
    trust: Trust | None = None,
    *,
    after_checkpoint: int = 0,
    archives: SpoolReader | None = None,
) -> Verification:
    """Verify the log in one snapshot and call ``report`` with every problem as it is found.

    :param after_checkpoint: verify only what is newer than this checkpoint, and the signed texts it refers
        to; skips heads without events, callbacks and prices. Default: everything.
    :param database: any role that may read events; if it may read evidence, its bytes are checked too.
    :param trust: public keys and the place of publication, for what the database alone cannot prove.
    :param archives: reads archive files; default: any URI that this process can reach.
    :raises PublicationError: the place of publication cannot be read.
    :raises StoreUnavailableError: the database gave up.
    """
    trust = trust or Trust()
    # Before the snapshot, so that the snapshot has every event up to it.
    closed = PostgresEventStore(database).horizon()
    with database.transaction(snapshot=True) as connection:
        start = start_after(connection, after_checkpoint, trust.keys)
        evidence = Evidence(connection)
        evidence_read = evidence.may_read_bytes()
        counted = Counted(report)
        checks = StatusChecks(evidence, trust.sat_keys, counted) if trust.sat_keys and evidence_read else None
        with opened_log(connection, archives or AnySpool(), counted, first_position=start.position) as log:
            verifier = _Verifier(log, counted, start.position, None, evidence_read, checks)
            verifier.verify_streams()
            report_usage(DerivedTables(connection).differing_usage(_day_before(start)), counted)
            if start is BEGINNING:
                verifier.verify_heads()
                verifier.verify_evidence()
                verify_prices(connection, verifier.price_lists, verifier.report)
                if checks is not None:
                    checks.look_at_callbacks()
            chain = verify_chain(connection, verifier.report, trust, start, log=log)
    published = verify_published(database, chain.checkpoints, verifier.report, trust)
    counts = verifier.report.counts
    return Verification(
        closed,
        verifier.events,
        verifier.streams,
        evidence_read,
        counts,
        chain,
        published,
        None if checks is None else checks.checked,
        {} if checks is None else checks.unchecked,
    )


@dataclass(frozen=True, slots=True)
class PartVerified:
    """What was verified of a range of checkpoints. ``checkpoints`` is the number of the last one.

    :param streams: streams that begin in it.
    """

    checkpoints: int
    covered_position: int
    events: int
    streams: int
    statuses_checked: int | None


def verify_part(
    database: Database, report: Report, trust: Trust, after_checkpoint: int, checkpoints: int
) -> PartVerified | None:
    """Verify the events under a few checkpoints, these checkpoints, and the signed texts of the events.

    A part that begins in an archive file, or reaches one, goes to the end of that file.

    :returns: None when there is no later checkpoint.
    :raises StoreUnavailableError: the database gave up.
    """
    with database.transaction(snapshot=True) as connection:
        start = start_after(connection, after_checkpoint, trust.keys)
        if start.number <= after_checkpoint:
            return None
        last = after_checkpoint + checkpoints
        with opened_part(connection, AnySpool(), report, start.position, last) as (log, last):
            chain = verify_chain(connection, report, trust, start, last, log)
            if chain.checkpoints <= after_checkpoint:
                return None
            evidence = Evidence(connection)
            evidence_read = evidence.may_read_bytes()
            counted = Counted(report)
            keys = trust.sat_keys
            checks = StatusChecks(evidence, keys, counted) if keys and evidence_read else None
            verifier = _Verifier(log, counted, start.position, chain.covered_position, evidence_read, checks)
            verifier.verify_streams()
    checked = None if checks is None else checks.checked
    return PartVerified(chain.checkpoints, chain.covered_position, verifier.events, verifier.streams, checked)


def _day_before(start: Start) -> date | None:
    """The business day of the last event before the start."""
    try:
        return business_day(start.before.text.recorded_to) if start.before is not None else None
    except UnreadableCheckpointError:
        return None


def record_verification(
    handler: CommandHandler,
    verified: Verification,
    trust: Trust,
    began_at: datetime,
    provenance: Provenance,
    *,
    is_everything: bool,
) -> None:
    """Record in the log what was verified and what was found.

    :raises StoreUnavailableError: the database gave up.
    """
    chain = verified.chain
    event = LogVerified(
        is_everything=is_everything,
        began_at=began_at,
        closed_position=verified.closed_position,
        events=verified.events,
        streams=verified.streams,
        first_checkpoint=chain.first_checkpoint,
        checkpoints=chain.checkpoints,
        covered_position=chain.covered_position,
        uncovered_events=chain.uncovered_events,
        published_checkpoint=verified.published_number,
        key_ids=() if trust.keys is None else trust.keys.key_ids,
        statuses_checked=verified.statuses_checked,
        findings={kind.value: count for kind, count in sorted(verified.counts.items())},
    )
    handler.apply_to(VERIFICATIONS, log_id(), Record(event), provenance)


class LastVerified(NamedTuple):
    """A verification that the log records: its last checkpoint, and when it began and ended."""

    checkpoints: int
    position: int
    began_at: datetime
    ended_at: datetime


def last_verified(
    database: Database, *, is_clean: bool = False, is_everything: bool = False
) -> LastVerified | None:
    """The last verification in the log; None when there is none.

    :param is_clean: the last that found nothing, and beside which no other verification found something.
    :param is_everything: the last of everything.
    """
    last: LastVerified | None = None
    for event, at in _verifications(database):
        if last is not None and at <= last.began_at:
            break
        if is_clean and event.findings:
            last = None
        elif last is None and (event.is_everything or not is_everything):
            last = LastVerified(event.checkpoints, event.covered_position, event.began_at, at)
            if not is_clean:
                break
    return last


def _verifications(database: Database) -> Iterator[tuple[LogVerified, datetime]]:
    """The verifications that the log records, and when each ended, the newest first."""
    pages, before = LogPages(database), LAST_POSITION
    while page := pages.newest(LogSlice(types=(LogVerified.__name__,)), VERIFICATIONS_PER_READ, before):
        for recorded in page:
            with suppress(UnknownEventError, ValidationError):  # the verification itself reports it
                event = recorded.event
                assert isinstance(event, LogVerified)
                yield event, recorded.occurred_at
        before = page[-1].position


@dataclass(slots=True)
class _Verifier:
    log: ArchivedLog
    report: Counted
    first_position: int | None
    last_position: int | None
    may_read_evidence: bool
    checks: StatusChecks | None
    events: int = 0
    streams: int = 0
    price_lists: dict[int, PriceListChanged] = field(default_factory=dict)
    _named: dict[str, RecordedEvent] = field(default_factory=dict)
    _last: list[Placed] = field(default_factory=list)

    def verify_streams(self) -> None:
        unplaced = partial(report_unplaced, self.report)
        for _, placed in self.log.streams(unplaced, self.report, self.first_position, self.last_position):
            last: Placed | None = None
            for item in placed:
                self.events += 1
                # Of a part of the log, the streams that begin in it: so each is counted once in all parts.
                self.streams += last is None and (self.last_position is None or item.recorded.version == 1)
                self._verify_place(item.recorded, last.recorded if last else None)
                self._verify_content(item.recorded)
                last = item
            assert last is not None
            self._last.append(last)
            if len(self._last) >= STREAMS_PER_LOOKUP:
                self._verify_heads()
            if self.checks is not None and self.checks.waiting >= EVIDENCE_PER_LOOKUP:
                self.checks.look_up()
        self._verify_heads()
        self._look_up_evidence()
        if self.checks is not None:
            self.checks.look_up()

    def verify_heads(self) -> None:
        for stream, version in DerivedTables(self.log.connection).heads_without_events():
            self._find(FindingKind.HEAD_WITHOUT_EVENTS, stream, f"head {version}, no event", "no head")

    def verify_evidence(self) -> None:
        if not self.may_read_evidence:
            return
        for table, digest, computed in Evidence(self.log.connection).changed():
            self._changed(table, digest, computed)

    def _verify_place(self, recorded: RecordedEvent, before: RecordedEvent | None) -> None:
        if before is None and self.first_position is not None:
            return  # the stream's earlier events are older than the verified range
        if before is None and self.log.unreadable and recorded.stream.kind is StreamKind.ORDER:
            return  # they may be in a file that cannot be read, which is reported
        expected = before.version + 1 if before else 1
        if recorded.version != expected:
            self._find(
                FindingKind.VERSION_GAP,
                recorded,
                f"version {recorded.version} after {before.version if before else 'the beginning'}",
                f"version {expected}",
            )
        if before is not None and recorded.position < before.position:
            self._find(
                FindingKind.VERSION_ORDER,
                recorded,
                f"position {recorded.position}",
                f"one after {before.position}, the position of version {before.version}",
            )

    def _verify_content(self, recorded: RecordedEvent) -> None:
        computed = recorded.computed_digest()
        if computed != recorded.digest:
            self._find(
                FindingKind.DIGEST_MISMATCH,
                recorded,
                f"contents with digest {computed}",
                f"digest {recorded.digest}",
            )
        try:
            event = recorded.event
        except UnknownEventError:
            self._find(
                FindingKind.UNKNOWN_EVENT,
                recorded,
                f"type {recorded.type_name!r} with schema version {recorded.schema_version}",
                "a type of this release",
            )
        except ValidationError as error:
            self._find(
                FindingKind.UNREADABLE_EVENT,
                recorded,
                f"{error.error_count()} wrong members",
                f"the members of {recorded.type_name}",
            )
        else:
            if isinstance(event, PriceListChanged):
                self.price_lists[event.snapshot_id] = event
            if self.checks is not None:
                self.checks.take(recorded, event)
            if isinstance(event, SignedStatus | StatusMismatched):
                self._named.setdefault(event.evidence_digest, recorded)
                if len(self._named) >= EVIDENCE_PER_LOOKUP:
                    self._look_up_evidence()

    def _verify_heads(self) -> None:
        """Verify the heads of streams, but of those that go on after the verified part."""
        goes_on: dict[StreamId, int] = {}
        if self.last_position is not None:
            streams = [item.recorded.stream for item in self._last]
            goes_on = newest_versions(self.log.connection, streams)
            # Later events of an archived stream are in its files, which are read to their end.
            archived = archives_in(self.log.connection).archived_among(streams)
            goes_on |= {
                item.recorded.stream: item.head or 0
                for item in self._last
                if item.recorded.stream in archived
            }
        for last in self._last:
            if goes_on.get(last.recorded.stream, 0) <= last.recorded.version:
                self._verify_head(last)
        self._last.clear()

    def _verify_head(self, last: Placed) -> None:
        recorded, head = last
        if head is None:
            self._find(FindingKind.HEAD_MISSING, str(recorded.stream), "no head", f"head {recorded.version}")
        elif head != recorded.version:
            self._find(
                FindingKind.HEAD_MISMATCH,
                str(recorded.stream),
                f"head {head}",
                f"head {recorded.version}, the last version in the log",
            )

    def _look_up_evidence(self) -> None:
        evidence, digests = Evidence(self.log.connection), list(self._named)
        for digest in evidence.missing_texts(digests):
            recorded, expected = self._named[digest], f"the one with digest {digest}"
            self._find(FindingKind.EVIDENCE_MISSING, recorded, "no signed text", expected)
        if self.first_position is not None and self.may_read_evidence:
            for digest, computed in evidence.changed_texts(digests):
                self._changed("status_evidence", digest, computed)
        self._named.clear()

    def _changed(self, table: str, digest: str, computed: str) -> None:
        found = f"text with digest {computed}"
        self._find(FindingKind.EVIDENCE_CHANGED, f"{table}/{digest}", found, digest)

    def _find(self, kind: FindingKind, where: RecordedEvent | str, found: str, expected: str) -> None:
        self.report(Finding.at(kind, where, found, expected))
