"""The same simulation on the real store: one database, and a new account for every seed.

The DSNs come from environment variables, because they hold passwords.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from functools import cache

from sat_hook.store.callbacks import Callback, CallbackTable
from sat_hook.store.database import Database
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.store.poll_schedule import PostgresPollSchedule
from sat_hook.store.postgres import PostgresEventStore
from tests.simulation.simulation import Backend, MakeBackend
from tests.simulation.virtual_time import VirtualClock

WRITER_VARIABLE = "SAT_SIMULATION_WRITER_DSN"
RECEIVER_VARIABLE = "SAT_SIMULATION_RECEIVER_DSN"
FINGERPRINT = "simulated"


@cache
def backend_of_environment() -> MakeBackend | None:
    """Return the database that the environment names, opened once per process; None when it names none."""
    writer, receiver = os.environ.get(WRITER_VARIABLE), os.environ.get(RECEIVER_VARIABLE)
    if not writer or not receiver:
        return None
    return PostgresBackend(writer, receiver).make()


class StoreInVirtualTime(PostgresEventStore):
    """The real store on a machine that keeps the simulation's time; ``recorded_at`` is PostgreSQL's own."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        super().__init__(database)
        self._clock = clock

    def database_time(self) -> datetime:
        """Return the time of a correct clock in the simulation."""
        return self._clock.now()


class PostgresBackend:
    """Stores on one application database; connections are kept between seeds."""

    def __init__(self, writer_dsn: str, receiver_dsn: str) -> None:
        self._writer = Database(writer_dsn, "simulation")
        self._receiver = Database(receiver_dsn, "simulation receiver")
        self._inbox = CallbackTable(self._receiver)

    def make(self) -> MakeBackend:
        """Return a backend for :func:`tests.simulation.simulation.run_seed`."""

        def backend(clock: VirtualClock) -> Backend:
            return Backend(
                StoreInVirtualTime(self._writer, clock),
                PostgresPollSchedule(self._writer),
                PostgresFunds(self._writer),
                PostgresGuardLedger(self._writer),
                self._receive,
            )

        return backend

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        self._receiver.close()

    def _receive(self, account: str, request_id: str, digest: str, body: bytes, signature: str) -> bool:
        assert digest == hashlib.sha256(body).hexdigest()
        content_type = "application/vnd.api+json"
        callback = Callback(account, request_id, digest, body, signature, FINGERPRINT, content_type, "")
        [is_new] = self._inbox.receive([callback])
        return is_new
