"""A log under checkpoints, and what an attacker with every right in the database can do to it."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from sat_hook.audit.checkpoint_verification import Trust
from sat_hook.audit.checkpoints import make_checkpoints, publish_checkpoints
from sat_hook.audit.keys import AuditSigner, AuditVerifier, new_audit_key
from sat_hook.audit.log_verification import Verification, verify_log
from sat_hook.audit.publication import PublishedFolder
from sat_hook.domain.checkpoint import Checkpoint
from sat_hook.domain.event_record import event_digest
from sat_hook.store.database import Database
from sat_hook.store.log import recorded_from_row
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import Found
from tests.orders import BY_TEST, T0, ManualClock, change_of, received

EVENT_COLUMNS = (
    "position, stream, version, type, schema_version, data, actor, cause, occurred_at, recorded_at, digest"
)


@dataclass
class Notary:
    """Makes checkpoints of one database and publishes them to one folder."""

    database: ApplicationDatabase
    folder: Path
    signer: AuditSigner = field(default_factory=lambda: AuditSigner(new_audit_key()[0]))
    clock: ManualClock = field(default_factory=ManualClock)
    older: list[AuditSigner] = field(default_factory=list)

    @property
    def publication(self) -> PublishedFolder:
        """Where checkpoints are published."""
        return PublishedFolder(self.folder)

    @property
    def keys(self) -> AuditVerifier:
        """What the connection of the audit key trusts: its own key, and older ones."""
        return AuditVerifier([signer.public_key_pem() for signer in (self.signer, *self.older)])

    @property
    def trust(self) -> Trust:
        """What an auditor has."""
        return Trust(AuditVerifier([self.signer.public_key_pem()]), self.publication)

    def append(self, first: int, orders: int) -> None:
        """So many orders of one event each."""
        store = PostgresEventStore(Database(self.database.writer_dsn))
        with closing(store.database):
            numbers = range(first, first + orders)
            changes = [change_of(None, number, received(number)) for number in numbers]
            assert store.append(changes, BY_TEST, T0) == frozenset()

    def make(self, *, publish: bool = True) -> list[Checkpoint]:
        """What the DAG does each minute."""
        with closing(Database(self.database.writer_dsn)) as opened:
            published = self.publication if publish else None
            made = make_checkpoints(opened, self.signer, self.clock, self.keys, published)
            if publish:
                publish_checkpoints(opened, self.publication, self.keys)
        return made

    def verify(self, trust: Trust | None = None) -> tuple[Verification, Found]:
        """What `sat log verify` does."""
        found = Found()
        with closing(Database(self.database.reader_dsn)) as opened:
            return verify_log(opened, found, trust or self.trust), found


def rewrite_event(database: ApplicationDatabase, position: int, old: str, new: str) -> None:
    """Change an event's text and give it the digest that fits: every digest is right afterwards."""
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(f"SELECT {EVENT_COLUMNS} FROM sat.events WHERE position = %s", (position,))
        recorded = recorded_from_row(cursor.fetchone())
        data = recorded.data.replace(old, new)
        assert data != recorded.data, "the damage was not done"
        digest = event_digest(
            recorded.stream,
            recorded.version,
            recorded.type_name,
            recorded.schema_version,
            data,
            recorded.provenance,
            recorded.occurred_at,
        )
        cursor.execute(
            "UPDATE sat.events SET data = %s, digest = %s WHERE position = %s", (data, digest, position)
        )
        connection.commit()


def forge_checkpoints(
    database: ApplicationDatabase, signer: AuditSigner, change: dict[int, dict[str, Any]]
) -> None:
    """Write checkpoints again from the first one in ``change`` on: links fit, ``signer`` signs."""
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SELECT document, digest FROM sat.checkpoints ORDER BY number")
        previous: str | None = None
        for document, old_digest in cursor.fetchall():
            members = json.loads(document)
            number = members["number"]
            if previous is None and number not in change:
                continue
            members.update(change.get(number, {}))
            if previous is not None:
                members["previous"] = previous
            text = json.dumps(members, sort_keys=True, separators=(",", ":"))
            previous = hashlib.sha256(text.encode()).hexdigest()
            cursor.execute(
                "UPDATE sat.checkpoints SET document = %s, digest = %s, key_id = %s, signature = %s"
                " WHERE digest = %s",
                (text, previous, signer.key_id, signer.sign(text.encode()), old_digest),
            )
        connection.commit()
