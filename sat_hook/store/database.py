"""Connections to the application database: a small pool, transactions, and errors that are ours.

A pool is made once per process and component. Threads take a connection each; one that failed, or that can
only read, is thrown away. Settings are made in each transaction, so that they hold behind a pooler, too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn, parse_dsn

from sat_hook.store.event_store import StoreBusyError, StoreRefusedError, StoreUnavailableError

CONNECT_TIMEOUT_SECONDS = 10
STATEMENT_TIMEOUT_MILLISECONDS = 60_000
LOCK_TIMEOUT_MILLISECONDS = 30_000
IDLE_IN_TRANSACTION_MILLISECONDS = 60_000
IDLE_IN_SNAPSHOT_MILLISECONDS = 1_800_000
# Drop connections whose TCP data stays unacknowledged this long: the server's machine may be gone without a
# word, and a client would wait for it for a quarter of an hour. A slow statement is acknowledged.
SILENCE = {
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 4,
}
IDLE_CONNECTIONS_KEPT = 4
# Server settings of a connection that listens: it is idle for hours, whatever an administrator has set.
LISTENING = {"idle_session_timeout": "0", "tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10"}


class Database:
    """The application database, by DSN. Safe to share between threads.

    :param dsn: libpq's form or a URL. Shown in no error and no repr.
    :param component: becomes ``application_name``, so that operators see who is who.
    :param listen_dsn: where to listen for notifications, when ``dsn`` leads to a pooler that shares sessions.
    """

    def __init__(self, dsn: str, component: str = "sat", *, listen_dsn: str | None = None) -> None:
        self._dsn = _completed(dsn, component)
        self._listen_dsn = None if listen_dsn is None else _completed(listen_dsn, component)
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
        :raises StoreUnavailableError: when the database cannot be reached, cannot write, or gives up. A
            commit whose answer was lost may have happened; the version fence of the next append finds out.
        :raises StoreRefusedError: when it does not take a value, such as a NUL; rolled back.
        """
        connection, can_write = self._begin(snapshot, durable)
        reusable = False
        try:
            yield connection
            connection.commit()
            reusable = can_write
        except psycopg2.DataError as error:
            reusable = can_write and _rolled_back(connection)
            raise StoreRefusedError(
                f"the application database refused a value ({error.pgcode or 'no code'})"
            ) from None
        except psycopg2.Error as error:
            if _is_unavailability(error):
                raise _unavailable("gave up", error) from error
            reusable = can_write and _rolled_back(connection)
            raise
        except BaseException:
            reusable = can_write and _rolled_back(connection)
            raise
        finally:
            self._give_back(connection, reusable)

    def listen(self, channel: str) -> Connection | None:
        """A connection of its own in autocommit mode that listens on ``channel``; the caller closes it.

        None when the way leads through a pooler and no other one was named: a pooler may share the session
        that listens with others.

        :raises StoreUnavailableError: when the database cannot be reached or gives up.
        """
        connection = self._connect(self._listen_dsn or self._dsn)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                if cursor.fetchone() != (connection.info.backend_pid,) and self._listen_dsn is None:
                    connection.close()
                    return None
                cursor.execute(_settings_query(LISTENING, is_local=False))
            listen_on(connection, channel)
        except psycopg2.Error as error:
            connection.close()
            raise _unavailable("gave up", error) from error
        return connection

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _begin(self, snapshot: bool, durable: bool) -> tuple[Connection, bool]:
        """A connection inside a transaction with our settings, and whether it can write.

        A pooled one may have been cut, or its server may have become a standby: then another one is taken.
        """
        while True:
            with self._guard:
                pooled = self._idle.pop() if self._idle else None
            connection = pooled or self._connect(self._dsn)
            try:
                is_read_only = _opened(connection, snapshot, durable)
            except psycopg2.Error as error:
                connection.close()
                if pooled is None:
                    # A pooler in statement pooling ends the connection here, mostly without a word.
                    raise _unavailable("begins no transaction (statement pooling?)", error) from error
                continue
            if is_read_only and pooled is not None:
                connection.close()
                continue
            return connection, not is_read_only

    def _connect(self, dsn: str) -> Connection:
        try:
            return psycopg2.connect(dsn)
        except psycopg2.OperationalError as error:
            raise _unavailable("cannot be reached", error) from error

    def _give_back(self, connection: Connection, reusable: bool) -> None:
        if reusable and not connection.closed:
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


def listen_on(connection: Connection, channel: str) -> None:
    """Listen on one more channel.

    :raises psycopg2.Error: the connection is gone.
    """
    with connection.cursor() as cursor:
        # A channel is an identifier and cannot be a bound parameter.
        cursor.execute(f'LISTEN "{channel}"')


def _completed(dsn: str, component: str) -> str:
    said = parse_dsn(dsn)
    return make_dsn(
        dsn,
        **{name: value for name, value in SILENCE.items() if name not in said},
        application_name=component,
        client_encoding="UTF8",
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
    )


def _opened(connection: Connection, snapshot: bool, durable: bool) -> bool:
    """Begin a transaction with our settings; returns whether the server lets it read only.

    Poolers refuse or forget what is set when a session starts, and administrators set defaults of their own.
    """
    isolation = "REPEATABLE READ" if snapshot else "READ COMMITTED"
    connection.set_session(isolation_level=isolation, readonly=True if snapshot else "default")
    idle = IDLE_IN_SNAPSHOT_MILLISECONDS if snapshot else IDLE_IN_TRANSACTION_MILLISECONDS
    settings = {
        "statement_timeout": str(STATEMENT_TIMEOUT_MILLISECONDS),
        "lock_timeout": str(LOCK_TIMEOUT_MILLISECONDS),
        "idle_in_transaction_session_timeout": str(idle),
        "timezone": "UTC",
        # A server, or a role, may be set up to commit before the disk does: money is not that fast.
        "synchronous_commit": "on" if durable else "off",
    }
    if connection.info.server_version >= 170_000:
        settings["transaction_timeout"] = "0"
    with connection.cursor() as cursor:
        cursor.execute(_settings_query(settings, is_local=True))
        row = cursor.fetchone()
    assert row is not None
    return bool(row[0]) and not snapshot


def _settings_query(settings: dict[str, str], *, is_local: bool) -> str:
    """One round trip for all of them; the first column is whether the transaction can read only."""
    made = ", ".join(
        f"set_config('{name}', '{value}', {str(is_local).lower()})" for name, value in settings.items()
    )
    return f"SELECT current_setting('transaction_read_only')::boolean, {made}"


def _is_unavailability(error: psycopg2.Error) -> bool:
    """Whether the server or the way to it is at fault, and not the statement.

    What PostgreSQL says of a server that reads only, or of a session that it ended, is an InternalError.
    """
    if isinstance(error, errors.InFailedSqlTransaction):
        return False
    kinds = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError)
    # libpq's own trouble, such as a broken TLS session, has no code and no kind.
    return isinstance(error, kinds) or type(error) is psycopg2.DatabaseError


def _unavailable(what: str, error: psycopg2.Error) -> StoreUnavailableError:
    first_line = str(error).strip().partition("\n")[0]
    hint = " (is it a standby by now?)" if isinstance(error, errors.ReadOnlySqlTransaction) else ""
    kind = StoreBusyError if isinstance(error, errors.LockNotAvailable) else StoreUnavailableError
    return kind(f"the application database {what}: {first_line}{hint}")


def _rolled_back(connection: Connection) -> bool:
    """False when the connection is gone, and with it the transaction."""
    with suppress(psycopg2.Error):
        connection.rollback()
        return True
    return False
