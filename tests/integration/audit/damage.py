"""A log with orders, a batch and evidence, and a superuser who damages it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field

import psycopg2

from sat_hook.audit.findings import Finding, FindingKind
from sat_hook.domain import order_events as happened
from sat_hook.domain.identity import digest_of
from sat_hook.store.database import Database
from sat_hook.store.event_store import StatusEvidence
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.orders import BATCH, BY_TEST, T0, change_of, received, stream_of, submitted

ORDERS = 5
SIGNED = '{"data":{}}'
PROOF = StatusEvidence(digest_of(SIGNED.encode()), stream_of(1).key, SIGNED, "sig", "key", T0)
VALIDATED = happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000)
SUCCEEDED = happened.OrderSucceeded(
    evidence_digest=PROOF.digest,
    observed_at=T0,
    sales_price_rupiah=52_000,
    admin_fee_rupiah=None,
    partner_fee_rupiah=None,
    fulfilled_at=T0,
)
BATCH_STREAM = f"batch/{BATCH}"


def fill(database: ApplicationDatabase, first: int = 1) -> None:
    """Five orders of three events, a batch of one, one signed text."""
    store = PostgresEventStore(Database(database.writer_dsn))
    with closing(store.database):
        orders = [
            change_of(None, n, received(n), VALIDATED, SUCCEEDED, evidence=(PROOF,))
            for n in range(first, first + ORDERS)
        ]
        assert store.append([submitted(), *orders], BY_TEST, T0) == frozenset()


def order_stream(number: int) -> str:
    """The name of an order's stream."""
    return str(stream_of(number))


def damage(database: ApplicationDatabase, *statements: str) -> None:
    """What a superuser can do who goes around triggers and privileges."""
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no trigger fires
        for statement in statements:
            cursor.execute(statement)
            assert cursor.rowcount != 0, "the damage was not done"
        connection.commit()


@dataclass
class Found:
    """Collects findings."""

    findings: list[Finding] = field(default_factory=list)

    def __call__(self, finding: Finding) -> None:
        self.findings.append(finding)

    @property
    def places(self) -> list[tuple[FindingKind, str, int | None]]:
        """Kind, place and version of each."""
        return [(finding.kind, finding.place, finding.version) for finding in self.findings]
