"""The same simulation on the real store: one database, an account of its own for every seed."""

from __future__ import annotations

import hashlib

from sat_hook.store.database import Database
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.poll_schedule import PostgresPollSchedule
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.sql_files import queries
from stack.databases import ApplicationDatabase
from tests.simulation.simulation import Backend, MakeBackend
from tests.simulation.virtual_time import VirtualClock

FINGERPRINT = "simulated"


class PostgresBackend:
    """Stores on one application database; connections are kept between seeds."""

    def __init__(self, application: ApplicationDatabase) -> None:
        self._writer = Database(application.writer_dsn, "simulation")
        self._receiver = Database(application.receiver_dsn, "simulation receiver")
        self._inbox = queries("inbox")

    def make(self) -> MakeBackend:
        """What :func:`tests.simulation.simulation.run_seed` takes."""

        def backend(clock: VirtualClock) -> Backend:
            del clock  # recorded_at is PostgreSQL's own
            return Backend(
                PostgresEventStore(self._writer),
                PostgresPollSchedule(self._writer),
                PostgresFunds(self._writer),
                self._receive,
            )

        return backend

    def close(self) -> None:
        """Let go of the connections."""
        self._writer.close()
        self._receiver.close()

    def _receive(self, account: str, request_id: str, digest: str, body: bytes, signature: str) -> bool:
        assert digest == hashlib.sha256(body).hexdigest()
        with self._receiver.transaction() as connection:
            rows = list(
                self._inbox.receive_callbacks(
                    connection,
                    accounts=[account],
                    request_ids=[request_id],
                    digests=[digest],
                    bodies=[body],
                    signatures=[signature],
                    key_fingerprints=[FINGERPRINT],
                    content_types=["application/vnd.api+json"],
                    remote_addresses=[""],
                )
            )
        return bool(rows[0][0])
