"""Checkpoints: signed, chained statements of what the log holds up to a closed position (design of the log).

Each covers a range of positions with the root of a Merkle tree over position, time and digest of its events,
names the digest of the checkpoint before it, and is signed with the audit key. Published outside the
database, one checkpoint proves every event up to its last position: nothing below can be changed, removed,
inserted or moved without a root, a link or a signature that does not fit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg2.extensions import connection as Connection
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sat_hook.audit.keys import AuditSigner
from sat_hook.audit.merkle import MerkleTree, leaf_of
from sat_hook.audit.publication import Publication, PublicationError, PublishedReader
from sat_hook.domain.ports import Clock
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.sql_files import queries

MAXIMUM_EVENTS = 1_000
"""Of one checkpoint: how closely a damage that only checkpoints show can be located."""
MAXIMUM_CHECKPOINTS = 10_000
"""Of one round; the next goes on."""
FORMAT = "sat-checkpoint-1"
NOTHING_BEFORE = "0" * 64


class CheckpointForkedError(RuntimeError):
    """What was published is not what the database holds: one was altered, or restored from a backup.

    :param number: a checkpoint that differs; the verification finds the first.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            f"checkpoint {number} was published with other contents than the database has: found two logs, "
            "expected one (run: sat log verify; after a restore, publish to a new place)"
        )
        self.number = number


class CheckpointInTheWayError(RuntimeError):
    """A kept checkpoint speaks of positions or has the digest of the next one: it was not made here.

    :param number: the one that could not be kept.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            f"checkpoint {number}: found another one over its positions; expected none (run: sat log verify)"
        )
        self.number = number


class UnreadableCheckpointError(ValueError):
    """A text that is no checkpoint of this release."""


class CheckpointText(BaseModel):
    """What is signed. Positions are inclusive; ``previous`` is the digest of the checkpoint before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field(default=FORMAT, pattern=f"^{FORMAT}$")
    number: int = Field(gt=0)
    first_position: int = Field(gt=0)
    last_position: int = Field(gt=0)
    events: int = Field(gt=0)
    root: str
    previous: str
    recorded_from: AwareDatetime
    recorded_to: AwareDatetime
    made_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it is kept: the exact text, its SHA-256, and who signed it."""

    document: str
    digest: str
    key_id: str
    signature: str

    @property
    def text(self) -> CheckpointText:
        """What it says.

        :raises UnreadableCheckpointError: it is none of this release's.
        """
        try:
            return CheckpointText.model_validate_json(self.document)
        except ValidationError as error:
            raise UnreadableCheckpointError(f"{error.error_count()} wrong members") from None

    def to_bytes(self) -> bytes:
        """The form in which it is published: JSON, one line."""
        members = {
            "document": self.document,
            "digest": self.digest,
            "key_id": self.key_id,
            "signature": self.signature,
        }
        return (json.dumps(members, separators=(",", ":")) + "\n").encode("utf-8")

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """What was published; raises UnreadableCheckpointError."""
        try:
            members = json.loads(content)
            return cls(
                *(str(members[name]) for name in ("document", "digest", "key_id", "signature")),
            )
        except (ValueError, KeyError, TypeError):
            raise UnreadableCheckpointError("the published copy is no JSON of a checkpoint") from None


def make_checkpoints(database: Database, signer: AuditSigner, clock: Clock) -> list[Checkpoint]:
    """Cover whatever is new and settled in the log; an empty list when nothing is.

    Safe to run twice at once: a number is given once, and who was slower goes on from there.

    :param database: as the role sat_writer.
    :raises CheckpointInTheWayError: one that is kept leaves no room for the next; somebody altered it.
    :raises UnreadableCheckpointError: the last one that is kept is none.
    :raises StoreUnavailableError: the database gave up; what was committed stays.
    """
    closed = PostgresEventStore(database).close_position()
    made: list[Checkpoint] = []
    while len(made) < MAXIMUM_CHECKPOINTS:
        with database.transaction() as connection:
            checkpoint = _next(connection, closed, signer, clock)
            if checkpoint is None:
                break
            kept = queries("checkpoints").keep_checkpoint(
                connection,
                document=checkpoint.document,
                digest=checkpoint.digest,
                key_id=checkpoint.key_id,
                signature=checkpoint.signature,
            )
        if kept:
            made.append(checkpoint)
        elif checkpoint_at(database, number := checkpoint.text.number) is None:
            raise CheckpointInTheWayError(number)
    return made


def publish_checkpoints(database: Database, publication: Publication) -> int:
    """Publish what is not published yet, oldest first; returns how many that were.

    :raises CheckpointForkedError: something else was published under a number of ours.
    :raises PublicationError: the place cannot be read or written; the next round goes on.
    :raises StoreUnavailableError: the database gave up.
    """
    before = require_published(database, publication)
    published = 0
    for number, checkpoint in each_checkpoint(database, before):
        if _same(publication, number, checkpoint):
            continue
        try:
            publication.write(name_of(number), checkpoint.to_bytes())
        except PublicationError:
            if not _same(publication, number, checkpoint):
                raise
        published += 1
    return published


def require_published(database: Database, published: PublishedReader) -> int:
    """See to it that the newest published copy is what the database holds; returns its number, or 0.

    :raises CheckpointForkedError: it is not, or the database does not reach as far.
    :raises PublicationError: the place cannot be read.
    :raises StoreUnavailableError: the database gave up.
    """
    last = last_checkpoint(database)
    number = last.text.number if last else 0
    if published.read(name_of(number + 1)) is not None:
        # Either a publisher was faster than this look, or the database has lost what it once had.
        _same(published, number + 1, checkpoint_at(database, number + 1))
    before = last_published(published, number)
    if before:
        _same(published, before, checkpoint_at(database, before))
    return before


def last_published(publication: PublishedReader, last_number: int) -> int:
    """The newest published number up to ``last_number``, 0 when none is. Copies are published in order, so it
    is found by halving."""
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
    """Under which name a checkpoint is published: a thousand to a folder."""
    return f"{number // 1000:07d}/{number:010d}.json"


def last_checkpoint(database: Database) -> Checkpoint | None:
    """The newest checkpoint, or None before the first."""
    with database.transaction() as connection:
        rows = list(queries("checkpoints").last_checkpoint(connection))
    return Checkpoint(*rows[0]) if rows else None


def checkpoint_at(database: Database, number: int) -> Checkpoint | None:
    """The checkpoint of a number."""
    with database.transaction() as connection:
        rows = list(queries("checkpoints").checkpoint(connection, number=number))
    return Checkpoint(*rows[0]) if rows else None


def each_checkpoint(database: Database, after: int = 0, page: int = 500) -> Iterator[tuple[int, Checkpoint]]:
    """Numbers and checkpoints after a number, page by page."""
    while True:
        with database.transaction() as connection:
            rows = list(queries("checkpoints").checkpoints_after(connection, number=after, limit=page))
        if not rows:
            return
        yield from ((row[0], Checkpoint(*row[1:])) for row in rows)
        after = rows[-1][0]


def _next(connection: Connection, closed: int, signer: AuditSigner, clock: Clock) -> Checkpoint | None:
    room = queries("checkpoints")
    rows = list(room.last_checkpoint(connection))
    before = Checkpoint(*rows[0]) if rows else None
    number, after = (before.text.number, before.text.last_position) if before else (0, 0)
    leaves = list(room.leaves_after(connection, position=after, up_to_position=closed, limit=MAXIMUM_EVENTS))
    if not leaves:
        return None
    tree = MerkleTree()
    for position, recorded_at, digest in leaves:
        tree.add(leaf_of(position, recorded_at, digest))
    return _signed(
        CheckpointText(
            number=number + 1,
            first_position=after + 1,
            last_position=leaves[-1][0],
            events=len(leaves),
            root=tree.root,
            previous=before.digest if before else NOTHING_BEFORE,
            recorded_from=min(leaf[1] for leaf in leaves),
            recorded_to=max(leaf[1] for leaf in leaves),
            made_at=clock.now(),
        ),
        signer,
    )


def _signed(text: CheckpointText, signer: AuditSigner) -> Checkpoint:
    members: dict[str, Any] = {
        name: _utc(value) if isinstance(value, datetime) else value for name, value in text
    }
    document = json.dumps(members, sort_keys=True, separators=(",", ":"))
    content = document.encode("utf-8")
    return Checkpoint(document, hashlib.sha256(content).hexdigest(), signer.key_id, signer.sign(content))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _same(publication: PublishedReader, number: int, ours: Checkpoint | None) -> bool:
    """Whether ours is published; raises CheckpointForkedError when something else is."""
    copy = publication.read(name_of(number))
    if copy is None:
        return False
    if ours is None or copy != ours.to_bytes():
        raise CheckpointForkedError(number)
    return True
