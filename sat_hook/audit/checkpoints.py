"""Checkpoints: signed, chained statements of what the log holds up to a closed position (design of the log).

Each covers a range of positions with the root of a Merkle tree over position, time and digest of its events,
names the digest of the checkpoint before it, and is signed with the audit key. Published outside the
database, one checkpoint proves every event up to its last position: nothing below can be changed, removed,
inserted or moved without a root, a link or a signature that does not fit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from psycopg2.extensions import connection as Connection
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sat_hook.audit.keys import AuditSignatureError, AuditSigner, AuditVerifier
from sat_hook.audit.merkle import MerkleTree, leaf_of
from sat_hook.audit.publication import Publication, PublicationError, PublishedReader
from sat_hook.domain.ports import Clock
from sat_hook.store.database import Database, OneTransaction
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries

MAXIMUM_EVENTS = 1_000
"""Of one checkpoint: how closely a damage that only checkpoints show can be located."""
MAXIMUM_CHECKPOINTS = 10_000
"""Of one round; the next goes on."""
FORMAT = "sat-checkpoint-1"
NOTHING_BEFORE = "0" * 64
PAGE = 500


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


class CheckpointAheadError(RuntimeError):
    """The last signed checkpoint covers more than the log has: its end is missing."""

    def __init__(self, text: CheckpointText, closed: int) -> None:
        super().__init__(
            f"checkpoint {text.number}: found a log that ends at position {closed}; expected one up to "
            f"{text.last_position}, which was signed (run: sat log verify)"
        )


class UnknownAuditKeyError(RuntimeError):
    """No kept checkpoint has a trusted signature, though some were published."""

    def __init__(self) -> None:
        super().__init__(
            "no checkpoint was signed with a key that is trusted here: after a change of the audit key, name "
            "the older public key (public_key_paths of sat_audit, SAT_AUDIT_OLDER_KEY_PATHS)"
        )


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


def make_checkpoints(
    database: Database,
    signer: AuditSigner,
    clock: Clock,
    keys: AuditVerifier | None = None,
    published: PublishedReader | None = None,
) -> list[Checkpoint]:
    """Cover whatever is new and settled in the log, after the last checkpoint that verifies.

    Other rows of the table stop nothing; :func:`stray_checkpoints` names them. An empty list: nothing is new.
    Safe to run twice at once: a number is given once, and who was slower goes on from there.

    :param database: as the role sat_writer.
    :param keys: trusted public keys, older ones too; default: the signer's own.
    :param published: where checkpoints were published, so that an untrusted beginning is not begun anew.
    :raises CheckpointAheadError: the last one that verifies covers more than the log has.
    :raises UnknownAuditKeyError: none verifies, though what was published is kept.
    :raises CheckpointForkedError: none verifies, and something else was published.
    :raises PublicationError: the place of publication cannot be read.
    :raises StoreUnavailableError: the database gave up; what was committed stays.
    """
    keys = keys or AuditVerifier([signer.public_key_pem()])
    closed = PostgresEventStore(database).close_position()
    made: list[Checkpoint] = []
    while len(made) < MAXIMUM_CHECKPOINTS:
        with database.transaction() as connection:
            queries("checkpoints").lock_checkpoints(connection)
            before = last_checkpoint(OneTransaction(connection), keys)
            if before is None and published is not None and published.read(name_of(1)) is not None:
                require_published(database, published)
                raise UnknownAuditKeyError
            checkpoint = _next(connection, before, closed, signer, clock)
            if checkpoint is None:
                break
            queries("checkpoints").keep_checkpoint(
                connection,
                document=checkpoint.document,
                digest=checkpoint.digest,
                key_id=checkpoint.key_id,
                signature=checkpoint.signature,
            )
        made.append(checkpoint)
    return made


def publish_checkpoints(
    database: Database, publication: Publication, keys: AuditVerifier | None = None
) -> int:
    """Publish what is not published yet, oldest first; returns how many that were.

    Each one follows the one that was published before it, and is signed; no other row is ever published.

    :param keys: trusted public keys; None: signatures are not looked at.
    :raises CheckpointForkedError: something else was published under a number of ours.
    :raises PublicationError: the place cannot be read or written; the next round goes on.
    :raises StoreUnavailableError: the database gave up.
    """
    before = require_published(database, publication)
    copy = publication.read(name_of(before)) if before else None
    last = Checkpoint.from_bytes(copy) if copy is not None else None
    published = 0
    for number, candidates in each_number(database, before):
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


def stray_checkpoints(database: Database, keys: AuditVerifier, since: datetime) -> list[Checkpoint]:
    """What was added to the table since then and is no link of the chain: nobody who may signed it."""
    with database.transaction() as connection:
        rows = list(queries("checkpoints").checkpoints_since(connection, since=since))
    return [kept for kept, before in map(_with_previous, rows) if not is_link(kept, before, keys)]


def require_published(database: Database, published: PublishedReader) -> int:
    """See to it that the newest published copy is what the database holds; returns its number, or 0.

    :raises CheckpointForkedError: it is not, or the database does not reach as far.
    :raises PublicationError: the place cannot be read.
    :raises StoreUnavailableError: the database gave up.
    """
    with database.transaction() as connection:
        number = int(queries("checkpoints").newest_number(connection))
    if published.read(name_of(number + 1)) is not None:
        # Either a publisher was faster than this look, or the database has lost what it once had.
        _same(published, number + 1, checkpoints_at(database, number + 1))
    before = last_published(published, number)
    if before:
        _same(published, before, checkpoints_at(database, before))
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


def last_checkpoint(database: Database, keys: AuditVerifier | None = None) -> Checkpoint | None:
    """The newest link of the chain; None before the first.

    :param keys: trusted public keys; None: signatures are not looked at.
    """
    after = {"number": 2**63 - 1, "digest": ""}
    with database.transaction() as connection:
        while rows := list(queries("checkpoints").newest_checkpoints(connection, **after, limit=PAGE)):
            for row in rows:
                kept, before = _with_previous(row)
                if is_link(kept, before, keys):
                    return kept
            after = {"number": rows[-1][0], "digest": rows[-1][2]}
    return None


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
    """Whether a trusted key signed its text."""
    try:
        keys.verify(kept.document.encode("utf-8"), kept.signature, kept.key_id)
    except AuditSignatureError:
        return False
    return True


def chosen(
    candidates: Sequence[Checkpoint], before: Checkpoint | None, keys: AuditVerifier | None
) -> Checkpoint | None:
    """Of those with one number, the link of the chain after ``before``; None when there is none."""
    return next((kept for kept in candidates if is_link(kept, before, keys)), None)


def checkpoints_at(database: Database, number: int) -> list[Checkpoint]:
    """What stands under a number: one checkpoint, unless somebody added another row."""
    with database.transaction() as connection:
        return checkpoints_in(connection, number)


def checkpoints_in(connection: Connection, number: int) -> list[Checkpoint]:
    """The same, in a transaction that is open."""
    return [Checkpoint(*row) for row in queries("checkpoints").checkpoint(connection, number=number)]


def each_number(database: Database, after: int = 0) -> Iterator[tuple[int, list[Checkpoint]]]:
    """Numbers after a number with what stands under each, page by page."""
    while True:
        with database.transaction() as connection:
            rows = list(queries("checkpoints").checkpoints_after(connection, number=after, limit=PAGE))
        if not rows:
            return
        yield from by_number(rows)
        after = rows[-1][0]


def by_number(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[int, list[Checkpoint]]]:
    """Rows of a page (number, and the columns of a checkpoint), by number."""
    for number, of_number in groupby(rows, key=lambda row: int(row[0])):
        yield number, [Checkpoint(*row[1:]) for row in of_number]


def _with_previous(row: Sequence[Any]) -> tuple[Checkpoint, Checkpoint | None]:
    return Checkpoint(*row[1:5]), Checkpoint(*row[5:9]) if row[5] is not None else None


def _next(
    connection: Connection, before: Checkpoint | None, closed: int, signer: AuditSigner, clock: Clock
) -> Checkpoint | None:
    room = queries("checkpoints")
    number, after = (before.text.number, before.text.last_position) if before else (0, 0)
    if before is not None and after > closed:
        raise CheckpointAheadError(before.text, closed)
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


def _same(publication: PublishedReader, number: int, ours: Sequence[Checkpoint]) -> bool:
    """Whether one of ours is published; raises CheckpointForkedError when something else is."""
    copy = publication.read(name_of(number))
    if copy is None:
        return False
    if copy not in [kept.to_bytes() for kept in ours]:
        raise CheckpointForkedError(number)
    return True
