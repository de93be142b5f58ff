"""Verifies the log against its checkpoints, and the checkpoints against each other and the published copies.

Damage that keeps every digest correct (an event removed with its whole stream, inserted, moved, or rewritten
with a new digest) is found here, and located to the positions of one checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from psycopg2.extensions import connection as Connection

from sat_hook.audit.archived_log import ArchivedLog
from sat_hook.audit.checkpoints import chosen, is_link, is_signed, last_checkpoint, last_published, name_of
from sat_hook.audit.errors import AuditSignatureError
from sat_hook.audit.findings import Finding, FindingKind, Report
from sat_hook.audit.keys import AuditVerifier
from sat_hook.audit.merkle import MerkleTree, leaf_of
from sat_hook.audit.publication import PublishedReader
from sat_hook.audit.signed_statuses import SATKeys
from sat_hook.domain.checkpoint import NOTHING_BEFORE, Checkpoint, CheckpointText
from sat_hook.domain.errors import UnreadableCheckpointError
from sat_hook.store.checkpoints import CheckpointTable, Leaf
from sat_hook.store.database import Database, OneTransaction

BACKDATED = timedelta(hours=1)
"""An event recorded so long before one at a lower position was added later, or a clock was set back."""
MAXIMUM_BACKDATED = 20
"""Most stretches of such events that a verification names."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a verifier trusts besides the database.

    :param keys: the public audit keys; None: signatures are not checked.
    :param published: where checkpoints were published; None: not checked.
    :param every_copy: read every published copy, not only the newest, which proves the others.
    :param sat_keys: SAT's public keys; None: the signatures of its statuses are not checked.
    """

    keys: AuditVerifier | None = None
    published: PublishedReader | None = None
    every_copy: bool = False
    sat_keys: SATKeys | None = None


@dataclass(frozen=True, slots=True)
class ChainVerified:
    """What was verified.

    :param first_checkpoint: where it began; 1 when everything was verified.
    :param checkpoints: how many there are.
    :param covered_position: the last position that they cover.
    :param uncovered_events: newer events without a checkpoint; the first of them was recorded at
        ``uncovered_since``.
    :param signatures_checked: whether a key was available.
    :param backdated: the first event of each stretch whose times of recording are much older than those at
        lower positions.
    """

    first_checkpoint: int
    checkpoints: int
    covered_position: int
    uncovered_events: int
    uncovered_since: datetime | None
    signatures_checked: bool
    backdated: tuple[Leaf, ...] = ()


def is_published(
    database: Database, number: int, published: PublishedReader, report: Report | None = None
) -> bool:
    """Whether the published copy of a checkpoint is what the database has; a difference is reported."""
    ours, copy = CheckpointTable(database).at(number), published.read(name_of(number))
    if copy in [kept.to_bytes() for kept in ours]:
        return True
    if report is not None and copy is None:
        report(_finding(FindingKind.PUBLISHED_MISSING, number, None, "no published copy", "one"))
    elif report is not None and copy is not None:
        found, position = _described(copy)
        expected = "what the database has" if ours else "it in the database, too"
        report(_finding(FindingKind.PUBLISHED_DIFFERS, number, position, found, expected))
    return False


def _described(copy: bytes) -> tuple[str, int | None]:
    """The range that a published checkpoint covers, and where it begins."""
    try:
        text = Checkpoint.from_bytes(copy).text
    except UnreadableCheckpointError:
        return "a published copy that cannot be read", None
    where = f"positions {text.first_position} to {text.last_position}"
    return f"a published one over {text.events} events at {where}, root {text.root}", text.first_position


def _finding(kind: FindingKind, number: int, position: int | None, found: str, expected: str) -> Finding:
    return Finding(kind, f"checkpoint {number}", None, position, found, expected)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a verification begins: at a checkpoint and its first position.

    ``position`` is None when the checkpoint before it cannot be read; then every event is verified.
    """

    number: int
    position: int | None
    before: Checkpoint | None


BEGINNING = Start(1, None, None)
"""Verifies everything, including events inserted below the first position."""


def start_after(connection: Connection, number: int, keys: AuditVerifier | None = None) -> Start:
    """Where to begin, to verify everything after a checkpoint; at the beginning, for number 0.

    Rows that are not links of the chain do not change the beginning, whatever number they have.

    :param keys: trusted public keys; None: signatures are not checked.
    """
    table = CheckpointTable(OneTransaction(connection))
    last = last_checkpoint(table, keys) if number else None
    if last is None:
        return BEGINNING
    number = min(number, last.text.number) + 1
    after, kept = table.at(number), table.at(number - 1)
    linked = (before for before in kept for link in after if is_link(link, before, keys))
    # Without a link after it, take a signed one, or else any; it is verified like the others.
    signed = (before for before in kept if keys is None or is_signed(before, keys))
    before = next(chain(linked, signed, kept), None)
    try:
        return Start(number, before.text.last_position + 1 if before else None, before)
    except UnreadableCheckpointError:
        return Start(number, None, before)


def verify_chain(
    connection: Connection,
    report: Report,
    trust: Trust,
    start: Start = BEGINNING,
    last: int | None = None,
    log: ArchivedLog | None = None,
) -> ChainVerified:
    """Verify every checkpoint in the snapshot of the connection's transaction, and report findings.

    :param start: where to begin; for the checkpoint before it, only text and signature are verified.
    :param last: the number of the last checkpoint to verify; later events are then not counted. None: all.
    :param log: the log with its archive files; default: the database alone.
    """
    return _Chain(log or ArchivedLog(connection), report, trust, start, last).verify()


def verify_published(database: Database, checkpoints: int, report: Report, trust: Trust) -> int | None:
    """Compare the published checkpoints with the database, and report findings.

    Each checkpoint is chained to all before it, so the newest published copy proves them. The others are read
    only when it does not match, or on demand.

    :param checkpoints: how many of them were verified.
    :returns: the newest published number; None when there is no place of publication.
    :raises PublicationError: the place of publication cannot be read.
    :raises StoreUnavailableError: the database gave up.
    """
    published = trust.published
    if published is None:
        return None
    newest = beyond = checkpoints
    while (copy := published.read(name_of(beyond + 1))) is not None:
        beyond += 1
        # Read now, outside the verification's snapshot: it may have been made since.
        if not CheckpointTable(database).at(beyond):
            found, position = _described(copy)
            report(_finding(FindingKind.PUBLISHED_BEYOND, beyond, position, found, "it in the database, too"))
    newest = last_published(published, checkpoints)
    if newest == 0 and beyond == checkpoints and checkpoints:
        report(_finding(FindingKind.PUBLISHED_MISSING, 1, None, "no published copy of any checkpoint", "one"))
    if newest and (trust.every_copy or not is_published(database, newest, published)):
        for number in range(1, newest + 1):
            is_published(database, number, published, report)
    return max(newest, beyond) if beyond > checkpoints else newest


class _Chain:
    def __init__(
        self, log: ArchivedLog, report: Report, trust: Trust, start: Start, last: int | None
    ) -> None:
        self._log = log
        self._table = CheckpointTable(OneTransaction(log.connection))
        self._report = report
        self._trust = trust
        self._start = start
        self._last = last
        self._backdated: list[Leaf] = []

    def verify(self) -> ChainVerified:
        count, covered, before, next_position = self._begin()
        leaves = _Ahead(self._in_time(self._log.leaves(self._start.position)))
        last = self._start.before
        for number, candidates in self._table.after(self._start.number - 1):
            if self._last is not None and number > self._last:
                break
            checkpoint = self._chosen(number, count + 1, candidates, last)
            if checkpoint is None:
                continue
            count, last = count + 1, checkpoint
            if number != count:
                self._missing(count, number)
                count, before = number, ""
                next_position = None
            self._verify_seal(number, checkpoint, before)
            before = checkpoint.digest
            try:
                text = checkpoint.text
            except UnreadableCheckpointError as error:
                self._find(
                    FindingKind.CHECKPOINT_UNREADABLE,
                    number,
                    None,
                    str(error),
                    "a checkpoint of this release",
                )
                next_position = None
                continue
            if next_position is not None and text.first_position != next_position:
                self._find(
                    FindingKind.CHECKPOINT_CHAIN,
                    number,
                    text.first_position,
                    f"a range that begins at position {text.first_position}",
                    f"one that begins at {next_position}",
                )
            uncovered = leaves.skip_to(text.first_position)
            if uncovered and next_position is not None:
                self._find(
                    FindingKind.CHECKPOINT_EVENTS,
                    number,
                    text.first_position,
                    f"{uncovered} events below position {text.first_position} that no checkpoint covers",
                    "none",
                )
            self._verify_range(number, text, leaves)
            next_position, covered = text.last_position + 1, text.last_position
        since, rest = None, 0
        if self._last is None:
            since, rest = leaves.next_recorded_at, leaves.count_rest()
        has_keys = self._trust.keys is not None
        backdated = tuple(self._backdated)
        return ChainVerified(self._start.number, count, covered, rest, since, has_keys, backdated)

    def _in_time(self, leaves: Iterator[Leaf]) -> Iterator[Leaf]:
        """The leaves; where a stretch of them was recorded long before a lower position, it is noted."""
        latest, was_behind = self._recorded_before(), False
        for leaf in leaves:
            is_behind = latest is not None and latest - leaf.recorded_at > BACKDATED
            if is_behind and not was_behind and len(self._backdated) < MAXIMUM_BACKDATED:
                self._backdated.append(leaf)
            was_behind = is_behind
            latest = leaf.recorded_at if latest is None else max(latest, leaf.recorded_at)
            yield leaf

    def _recorded_before(self) -> datetime | None:
        """The last time of recording before the start."""
        try:
            return self._start.before.text.recorded_to if self._start.before is not None else None
        except UnreadableCheckpointError:
            return None

    def _begin(self) -> tuple[int, int, str, int | None]:
        """Number, last position and digest of the checkpoint before the start, and the position after it."""
        start = self._start
        if start.number == 1:
            return 0, 0, NOTHING_BEFORE, 1
        if start.before is None:
            return start.number - 2, 0, "", None  # its absence is then reported with the first
        self._verify_seal(start.number - 1, start.before, "")
        return start.number - 1, (start.position or 1) - 1, start.before.digest, start.position

    def _verify_seal(self, number: int, checkpoint: Checkpoint, before: str) -> None:
        content = checkpoint.document.encode("utf-8")
        computed = hashlib.sha256(content).hexdigest()
        if computed != checkpoint.digest:
            self._find(
                FindingKind.CHECKPOINT_DIGEST,
                number,
                None,
                f"a text with digest {computed}",
                checkpoint.digest,
            )
        if self._trust.keys is not None:
            try:
                self._trust.keys.verify(content, checkpoint.signature, checkpoint.key_id)
            except AuditSignatureError as error:
                self._find(FindingKind.CHECKPOINT_SIGNATURE, number, None, str(error), "a trusted signature")
        try:
            previous = checkpoint.text.previous
        except UnreadableCheckpointError:
            return
        if before and previous != before:
            self._find(
                FindingKind.CHECKPOINT_CHAIN,
                number,
                None,
                f"a link to a checkpoint with digest {previous}",
                f"to {before}, the digest of checkpoint {number - 1}",
            )

    def _verify_range(self, number: int, text: CheckpointText, leaves: _Ahead) -> None:
        tree = MerkleTree()
        for leaf in leaves.up_to(text.last_position):
            tree.add(leaf_of(*leaf))
        if (tree.leaves, tree.root) == (text.events, text.root):
            return
        if self._log.is_unreadable(text.first_position, text.last_position):
            return  # the file is reported
        where = f"positions {text.first_position} to {text.last_position}"
        if tree.leaves != text.events:
            found, expected = f"{tree.leaves} events at {where}", f"the {text.events} that were signed"
        else:
            found, expected = f"other events at {where}", "those that were signed"
        self._find(FindingKind.CHECKPOINT_EVENTS, number, text.first_position, found, expected)

    def _missing(self, expected: int, found: int) -> None:
        self._find(
            FindingKind.CHECKPOINT_CHAIN,
            expected,
            None,
            f"checkpoint {found}",
            f"checkpoint {expected} first",
        )

    def _chosen(
        self, number: int, expected: int, candidates: list[Checkpoint], last: Checkpoint | None
    ) -> Checkpoint | None:
        """The row with this number that belongs to the chain; other rows are reported and left out.

        If no row belongs to it, another row is used, so that later checkpoints can be verified.
        """
        keys = self._trust.keys
        link = chosen(candidates, last, keys)
        if link is None and keys is not None:
            link = next((kept for kept in candidates if is_signed(kept, keys)), None)
        if link is None and (number == expected or keys is None):
            link = chosen(candidates, last, None) or candidates[0]
        for stray in candidates:
            if stray is not link:
                self._find(
                    FindingKind.CHECKPOINT_STRAY,
                    number,
                    None,
                    f"a row with digest {stray.digest} that is no link of the chain",
                    "signed checkpoints only",
                )
        return link

    def _find(self, kind: FindingKind, number: int, position: int | None, found: str, expected: str) -> None:
        self._report(_finding(kind, number, position, found, expected))


class _Ahead:
    """An iterator over leaves with a look-ahead of one."""

    def __init__(self, leaves: Iterator[Leaf]) -> None:
        self._leaves = leaves
        self._next = next(leaves, None)

    def up_to(self, position: int) -> Iterator[Leaf]:
        while self._next is not None and self._next.position <= position:
            leaf, self._next = self._next, next(self._leaves, None)
            yield leaf

    def skip_to(self, position: int) -> int:
        """Skip the leaves below a position; returns how many were skipped."""
        return sum(1 for _ in self.up_to(position - 1))

    @property
    def next_recorded_at(self) -> datetime | None:
        """When the next leaf was recorded."""
        return self._next.recorded_at if self._next is not None else None

    def count_rest(self) -> int:
        """Count the remaining leaves."""
        return sum(1 for _ in self.up_to(2**63 - 1))
