"""Connections to the application database: a small pool, transactions, and errors that are ours.

A pool is made once per process and component. Threads take a connection each; a connection that failed is
thrown away, never put back.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn, parse_dsn

from sat_hook.store.event_store import StoreRefusedError, StoreUnavailableError

CONNECT_TIMEOUT_SECONDS = 10
STATEMENT_TIMEOUT_MILLISECONDS = 60_000
LOCK_TIMEOUT_MILLISECONDS = 30_000
# A server that acknowledges nothing for so long is given up. Its machine may be gone without a word, and
# whoever waits for it would wait for a quarter of an hour. A statement that takes its time is acknowledged.
SILENCE = {
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 4,
}
IDLE_CONNECTIONS_KEPT = 4


class Database:
    """The application database, by DSN. Safe to share between threads.

    :param dsn: libpq's form or a URL. Shown in no error and no repr.
    :param component: becomes ``application_name``, so that operators see who is who.
    """

    def __init__(self, dsn: str, component: str = "sat") -> None:
        said = parse_dsn(dsn)
        self._dsn = make_dsn(
            dsn,
            **{name: value for name, value in SILENCE.items() if name not in said},
            application_name=component,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            options=(
                f"-c statement_timeout={STATEMENT_TIMEOUT_MILLISECONDS}"
                f" -c lock_timeout={LOCK_TIMEOUT_MILLISECONDS} -c timezone=UTC"
                # A server, or a role, may be set up to commit before the disk does: money is not that fast.
                " -c synchronous_commit=on"
            ),
        )
        self._idle: list[Connection] = []
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        parts = parse_dsn(self._dsn)
        return f"Database({parts.get('user')}@{parts.get('host')}:{parts.get('port')}/{parts.get('dbname')})"

    @contextmanager
    def transaction(self, *, snapshot: bool = False, durable: bool = True) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back on any exception.

        :param durable: False does not wait for the disk: a crash of the server may take the last moment's
            work back. For operational tables alone.
        :param snapshot: read everything from one REPEATABLE READ, read-only snapshot.
        :raises StoreUnavailableError: when the database cannot be reached or gives up. A commit whose answer
            was lost may have happened; the version fence of the next append finds out.
        :raises StoreRefusedError: when it does not take a value, such as a NUL; rolled back.
        """
        connection = self._take()
        healthy = False
        try:
            if snapshot:
                connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            try:
                if not durable:
                    with connection.cursor() as cursor:
                        cursor.execute("SET LOCAL synchronous_commit = off")
                yield connection
                connection.commit()
                healthy = True
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                raise StoreUnavailableError(
                    f"the application database gave up: {_first_line(error)}"
                ) from error
            except psycopg2.DataError as error:
                connection.rollback()
                healthy = True
                raise StoreRefusedError(
                    f"the application database refused a value ({error.pgcode or 'no code'})"
                ) from None
            except BaseException:
                connection.rollback()
                healthy = True
                raise
        finally:
            self._give_back(connection, healthy and not snapshot)

    def listen(self, channel: str) -> Connection:
        """A connection of its own in autocommit mode that listens on ``channel``; the caller closes it."""
        connection = self._connect()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                # A channel is an identifier and cannot be a bound parameter.
                cursor.execute(f'LISTEN "{channel}"')
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            connection.close()
            raise StoreUnavailableError(f"the application database gave up: {_first_line(error)}") from error
        return connection

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Connection:
        with self._guard:
            while self._idle:
                connection = self._idle.pop()
                if _is_fresh(connection):
                    return connection
                connection.close()
        return self._connect()

    def _connect(self) -> Connection:
        try:
            return psycopg2.connect(self._dsn)
        except psycopg2.OperationalError as error:
            raise StoreUnavailableError(
                f"the application database cannot be reached: {_first_line(error)}"
            ) from error

    def _give_back(self, connection: Connection, healthy: bool) -> None:
        if healthy and not connection.closed:
            with self._guard:
                if len(self._idle) < IDLE_CONNECTIONS_KEPT:
                    self._idle.append(connection)
                    return
        connection.close()


class OneTransaction(Database):
    """A transaction that is open already, for a store that is to work inside it."""

    def __init__(self, connection: Connection) -> None:
        # Nothing of the base is wanted: no DSN, no pool.
        self._connection = connection

    def __repr__(self) -> str:
        return "Database(one transaction)"

    @contextmanager
    def transaction(self, *, snapshot: bool = False, durable: bool = True) -> Iterator[Connection]:
        """The transaction itself, which somebody else ends: how durable it is, is theirs to say.

        :raises ValueError: when a snapshot is asked of what has begun already.
        """
        del durable
        if snapshot:
            raise ValueError("a transaction that has begun cannot become a snapshot")
        yield self._connection


def _is_fresh(connection: Connection) -> bool:
    """False when the server ended the connection while it was idle: its farewell is then waiting to be read.

    An idle connection that does not listen has nothing to read, so this costs no round trip.
    """
    if connection.closed:
        return False
    waiting = select.poll()  # not select.select: it fails beyond 1,024 open files
    waiting.register(connection.fileno(), select.POLLIN)
    return not waiting.poll(0)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
