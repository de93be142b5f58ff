"""Checkpoints: signed, chained statements of the log's contents up to a settled position.

Each covers a range of positions with the root of a Merkle tree over position, time and digest of its events.
It contains the digest of the checkpoint before it and is signed with the audit key. One checkpoint published
outside the database proves every event up to its last position: any change, removal, insertion or move below
it breaks a root, a link or a signature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sat_hook.audit.errors import (
    AuditSignatureError,
    CheckpointAheadError,
    CheckpointForkedError,
    PublicationError,
    UnknownAuditKeyError,
)
from sat_hook.audit.keys import AuditSigner, AuditVerifier
from sat_hook.audit.merkle import MerkleTree, leaf_of
from sat_hook.audit.publication import Publication, PublishedReader
from sat_hook.domain.checkpoint import NOTHING_BEFORE, Checkpoint, CheckpointText
from sat_hook.domain.errors import UnreadableCheckpointError
from sat_hook.domain.event_record import utc_text
from sat_hook.domain.ports import Clock
from sat_hook.store.checkpoints import CheckpointTable
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore

MAXIMUM_EVENTS = 1_000
"""Most events of one checkpoint; damage that only checkpoints reveal is located to this many events."""
MAXIMUM_CHECKPOINTS = 10_000
"""Most checkpoints of one round; the next round continues."""


def make_checkpoints(
    database: Database,
    signer: AuditSigner,
    clock: Clock,
    keys: AuditVerifier | None = None,
    published: PublishedReader | None = None,
) -> list[Checkpoint]:
    """Cover all new settled events of the log, after the last checkpoint that verifies.

    Invalid rows of the table are skipped; :func:`stray_checkpoints` lists them. An empty list means nothing
    is new. Safe to run concurrently: each number is used once, and the slower run continues from there.

    :param database: as the role sat_writer.
    :param keys: trusted public keys, including older ones; default: the signer's key.
    :param published: where checkpoints were published, so that an untrusted chain is not restarted.
    :raises CheckpointAheadError: the last one that verifies covers more than the log has.
    :raises UnknownAuditKeyError: none verifies, although the published ones are stored.
    :raises CheckpointForkedError: none verifies, and something else was published.
    :raises PublicationError: the place of publication cannot be read.
    :raises StoreUnavailableError: the database gave up; what was committed stays.
    """
    keys = keys or AuditVerifier([signer.public_key_pem()])
    closed = PostgresEventStore(database).horizon()
    made: list[Checkpoint] = []
    while len(made) < MAXIMUM_CHECKPOINTS:
        with CheckpointTable(database).locked() as table:
            before = last_checkpoint(table, keys)
            if before is None and published is not None and published.read(name_of(1)) is not None:
                require_published(database, published)
                raise UnknownAuditKeyError
            checkpoint = _next(table, before, closed, signer, clock)
            if checkpoint is None:
                break
            table.keep(checkpoint)
        made.append(checkpoint)
    return made


def publish_checkpoints(
    database: Database, publication: Publication, keys: AuditVerifier | None = None
) -> int:
    """Publish the unpublished checkpoints, oldest first; returns how many.

    Only signed checkpoints that follow the last published one are published.

    :param keys: trusted public keys; None: signatures are not checked.
    :raises CheckpointForkedError: something else was published under one of our numbers.
    :raises PublicationError: the place cannot be read or written; the next round continues.
    :raises StoreUnavailableError: the database gave up.
    """
    before = require_published(database, publication)
    copy = publication.read(name_of(before)) if before else None
    last = Checkpoint.from_bytes(copy) if copy is not None else None
    published = 0
    for number, candidates in CheckpointTable(database).after(before):
        checkpoint = chosen(candidates, last, keys)
        if checkpoint is None:
            break
        last = checkpoint
        if _same(publication, number, [checkpoint]):
            continue
        try:
            publication.write(name_of(number), checkpoint.to_bytes())
        except PublicationError:
            if not _same(publication, number, [checkpoint]):
                raise
        published += 1
    return published


def has_its_root(table: CheckpointTable, text: CheckpointText) -> bool:
    """Whether the log has exactly the events now that a checkpoint was made over."""
    tree = MerkleTree()
    # A forged row may claim any number of events.
    most = min(text.events, MAXIMUM_EVENTS) + 1
    for leaf in table.leaves(text.first_position, text.last_position, limit=most, any_time=True):
        tree.add(leaf_of(*leaf))
    return (tree.leaves, tree.root) == (text.events, text.root)


def stray_checkpoints(database: Database, keys: AuditVerifier, since: datetime) -> list[Checkpoint]:
    """Rows added to the table since then that are not links of the chain: no trusted key signed them."""
    rows = CheckpointTable(database).since(since)
    return [kept for kept, before in rows if not is_link(kept, before, keys)]


def require_published(database: Database, published: PublishedReader) -> int:
    """Check that the newest published copy matches the database; returns its number, or 0.

    :raises CheckpointForkedError: it does not match, or the database does not reach as far.
    :raises PublicationError: the place cannot be read.
    :raises StoreUnavailableError: the database gave up.
    """
    table = CheckpointTable(database)
    number = table.newest_number()
    if published.read(name_of(number + 1)) is not None:
        # Either another publisher was faster, or the database has lost data.
        _same(published, number + 1, table.at(number + 1))
    before = last_published(published, number)
    if before:
        _same(published, before, table.at(before))
    return before


def last_published(publication: PublishedReader, last_number: int) -> int:
    """The newest published number up to ``last_number``, 0 when none is.

    Copies are published in order, so a binary search finds it.
    """
    if last_number == 0 or publication.read(name_of(last_number)) is not None:
        return last_number
    there, missing = 0, last_number
    while missing - there > 1:
        middle = (there + missing) // 2
        if publication.read(name_of(middle)) is not None:
            there = middle
        else:
            missing = middle
    return there


def name_of(number: int) -> str:
    """The name under which a checkpoint is published: a thousand per folder."""
    return f"{number // 1000:07d}/{number:010d}.json"


def last_checkpoint(table: CheckpointTable, keys: AuditVerifier | None = None) -> Checkpoint | None:
    """The newest link of the chain; None before the first.

    :param keys: trusted public keys; None: signatures are not checked.
    """
    return next((kept for kept, before in table.newest() if is_link(kept, before, keys)), None)


def is_link(kept: Checkpoint, before: Checkpoint | None, keys: AuditVerifier | None) -> bool:
    """Whether a checkpoint is signed with a trusted key and follows ``before`` without a gap."""
    if keys is not None and not is_signed(kept, keys):
        return False
    try:
        text, end = kept.text, before.text if before is not None else None
    except UnreadableCheckpointError:
        return False
    expected = (1, 1, NOTHING_BEFORE)
    if before is not None and end is not None:
        expected = (end.number + 1, end.last_position + 1, before.digest)
    return (text.number, text.first_position, text.previous) == expected


def is_signed(kept: Checkpoint, keys: AuditVerifier) -> bool:
    """Whether a trusted key signed the text."""
    try:
        keys.verify(kept.document.encode("utf-8"), kept.signature, kept.key_id)
    except AuditSignatureError:
        return False
    return True


def chosen(
    candidates: Sequence[Checkpoint], before: Checkpoint | None, keys: AuditVerifier | None
) -> Checkpoint | None:
    """The row of one number that follows ``before`` in the chain; None when there is none."""
    return next((kept for kept in candidates if is_link(kept, before, keys)), None)


def _next(
    table: CheckpointTable, before: Checkpoint | None, closed: int, signer: AuditSigner, clock: Clock
) -> Checkpoint | None:
    number, after = (before.text.number, before.text.last_position) if before else (0, 0)
    # The horizon alone does not show that events are missing: it goes back when an append locks late, and
    # another process may have gone further.
    if before is not None and after > closed and after > (newest := table.newest_position()):
        raise CheckpointAheadError(before.text, newest)
    leaves = list(table.leaves(after + 1, closed, limit=MAXIMUM_EVENTS))
    if not leaves:
        return None
    tree = MerkleTree()
    for leaf in leaves:
        tree.add(leaf_of(*leaf))
    return _signed(
        CheckpointText(
            number=number + 1,
            first_position=after + 1,
            last_position=leaves[-1].position,
            events=len(leaves),
            root=tree.root,
            previous=before.digest if before else NOTHING_BEFORE,
            recorded_from=min(leaf.recorded_at for leaf in leaves),
            recorded_to=max(leaf.recorded_at for leaf in leaves),
            made_at=clock.now(),
        ),
        signer,
    )


def _signed(text: CheckpointText, signer: AuditSigner) -> Checkpoint:
    members: dict[str, Any] = {
        name: utc_text(value) if isinstance(value, datetime) else value for name, value in text
    }
    document = json.dumps(members, sort_keys=True, separators=(",", ":"))
    content = document.encode("utf-8")
    return Checkpoint(document, hashlib.sha256(content).hexdigest(), signer.key_id, signer.sign(content))


def _same(publication: PublishedReader, number: int, ours: Sequence[Checkpoint]) -> bool:
    """Whether one of our checkpoints is published; raises CheckpointForkedError when another text is."""
    copy = publication.read(name_of(number))
    if copy is None:
        return False
    if copy not in [kept.to_bytes() for kept in ours]:
        raise CheckpointForkedError(number)
    return True
