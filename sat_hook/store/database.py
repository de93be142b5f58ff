"""Connections to the application database: a small pool, transactions, and our own error types.

There is one pool per process and component. Each thread takes its own connection; a failed or read-only
connection is discarded. Settings are applied in each transaction, so they also work behind a pooler.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn, parse_dsn

from sat_hook.store.errors import StoreBusyError, StoreRefusedError, StoreUnavailableError

CONNECT_TIMEOUT_SECONDS = 10
STATEMENT_TIMEOUT_MILLISECONDS = 60_000
LOCK_TIMEOUT_MILLISECONDS = 30_000
IDLE_IN_TRANSACTION_MILLISECONDS = 60_000
IDLE_IN_SNAPSHOT_MILLISECONDS = 1_800_000
# Drop connections whose TCP data stays unacknowledged this long. If the server's machine disappears, a client
# would otherwise wait for a quarter of an hour. A slow statement is still acknowledged.
SILENCE = {
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 4,
}
IDLE_CONNECTIONS_KEPT = 4
# A triggerer runs thousands of waits; this many connections serve them all.
SHARED_CONNECTIONS = 8
SHARED_CONNECTION_SECONDS = 60.0
# Server settings of a listening connection: it must stay open when idle for hours, whatever the defaults are.
LISTENING = {"idle_session_timeout": "0", "tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10"}


class _Cursor(psycopg2.extensions.cursor):
    """Refuses a NUL in a text as the server refuses other values; psycopg2 raises a ValueError for it."""

    def execute(self, query: Any, vars: Any = None) -> None:
        try:
            super().execute(query, vars)
        except ValueError as error:
            if not _has_nul(vars):
                raise
            raise psycopg2.DataError("a text holds a NUL") from error


def _has_nul(given: Any) -> bool:
    if isinstance(given, str):
        return "\0" in given
    values = given.values() if isinstance(given, Mapping) else given
    return isinstance(values, Iterable) and not isinstance(values, bytes) and any(map(_has_nul, values))


class Database:
    """The application database, by DSN. Safe to share between threads.

    :param dsn: libpq's form or a URL. Never shown in an error or a repr.
    :param component: becomes ``application_name``, so that operators can identify connections.
    :param listen_dsn: where to listen for notifications, if ``dsn`` leads to a pooler that shares sessions.
    :param connections: open at once for transactions, at most; a thread that needs another one waits. By
        default each thread has its own.
    """

    def __init__(
        self,
        dsn: str,
        component: str = "sat",
        *,
        listen_dsn: str | None = None,
        connections: int | None = None,
    ) -> None:
        self._dsn = _completed(dsn, component)
        self._listen_dsn = None if listen_dsn is None else _completed(listen_dsn, component)
        self._idle: list[Connection] = []
        self._guard = threading.Lock()
        self._free = None if connections is None else threading.BoundedSemaphore(connections)

    def __repr__(self) -> str:
        parts = parse_dsn(self._dsn)
        return f"Database({parts.get('user')}@{parts.get('host')}:{parts.get('port')}/{parts.get('dbname')})"

    @contextmanager
    def transaction(self, *, snapshot: bool = False, durable: bool = True) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back on any exception.

        :param durable: False does not wait for the disk, so a server crash may lose the latest commits. For
            operational tables only.
        :param snapshot: read everything from one REPEATABLE READ, read-only snapshot, without a limit on the
            time of a statement: it serves those who read a whole day or the whole log.
        :raises StoreUnavailableError: when the database cannot be reached, cannot write, or gives up. A
            commit whose answer was lost may have happened; the version check of the next append detects that.
        :raises StoreRefusedError: when it refuses a value, for example a NUL; rolled back.
        """
        with self._turn():
            yield from self._transaction(snapshot, durable)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._free is None:
            yield
            return
        if not self._free.acquire(timeout=SHARED_CONNECTION_SECONDS):
            raise StoreUnavailableError("every connection of this process is in use")
        try:
            yield
        finally:
            self._free.release()

    def _transaction(self, snapshot: bool, durable: bool) -> Iterator[Connection]:
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
        """Open a separate autocommit connection that listens on ``channel``; the caller closes it.

        None when ``dsn`` leads to a pooler and ``listen_dsn`` is not set, because a pooler may share the
        listening session.

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
        """Close the idle connections; connections in use are closed when they are returned."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _begin(self, snapshot: bool, durable: bool) -> tuple[Connection, bool]:
        """A connection inside a transaction with our settings, and whether it can write.

        If a pooled connection was cut, or its server became a standby, another one is taken.
        """
        while True:
            with self._guard:
                pooled = self._idle.pop() if self._idle else None
            connection = pooled or self._connect(self._dsn)
            try:
                is_read_only = _opened(connection, snapshot, durable)
                if pooled is None:
                    _require_settings(connection, _settings(connection, snapshot, durable))
            except StoreUnavailableError:
                connection.close()
                raise
            except psycopg2.Error as error:
                connection.close()
                if pooled is None:
                    # A pooler in statement pooling mode closes the connection here, usually without an error.
                    raise _unavailable("begins no transaction (statement pooling?)", error) from error
                continue
            if is_read_only and pooled is not None:
                connection.close()
                continue
            return connection, not is_read_only

    def _connect(self, dsn: str) -> Connection:
        try:
            return psycopg2.connect(dsn, cursor_factory=_Cursor)
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
    """An open transaction, for a store that works inside it."""

    def __init__(self, connection: Connection) -> None:
        # Skips the base's initialisation: no DSN, no pool.
        self._connection = connection

    def __repr__(self) -> str:
        return "Database(one transaction)"

    @contextmanager
    def transaction(self, *, snapshot: bool = False, durable: bool = True) -> Iterator[Connection]:
        """The open transaction. Its owner ends it and decides its durability.

        :raises ValueError: when a snapshot is requested; the transaction has already begun.
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
        # A channel is an identifier, so it cannot be a bound parameter.
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
    """Begin a transaction with our settings; returns whether the server makes it read-only.

    Poolers refuse or lose settings made at session start, and administrators may change defaults.
    """
    isolation = "REPEATABLE READ" if snapshot else "READ COMMITTED"
    connection.set_session(isolation_level=isolation, readonly=True if snapshot else "default")
    with connection.cursor() as cursor:
        cursor.execute(_settings_query(_settings(connection, snapshot, durable), is_local=True))
        row = cursor.fetchone()
    assert row is not None
    return bool(row[0]) and not snapshot


def _settings(connection: Connection, snapshot: bool, durable: bool) -> dict[str, str]:
    idle = IDLE_IN_SNAPSHOT_MILLISECONDS if snapshot else IDLE_IN_TRANSACTION_MILLISECONDS
    settings = {
        "statement_timeout": "0" if snapshot else str(STATEMENT_TIMEOUT_MILLISECONDS),
        "lock_timeout": str(LOCK_TIMEOUT_MILLISECONDS),
        "idle_in_transaction_session_timeout": str(idle),
        "timezone": "UTC",
        # A server or role may be configured to commit before data is on disk. For money we always wait.
        "synchronous_commit": "on" if durable else "off",
    }
    if connection.info.server_version >= 170_000:
        settings["transaction_timeout"] = "0"
    return settings


def _require_settings(connection: Connection, settings: dict[str, str]) -> None:
    """Check, in a later statement of the transaction, that no pooler lost a setting.

    :raises StoreUnavailableError: naming the setting, what was found and what was expected.
    """
    with connection.cursor() as cursor:
        # Units are PostgreSQL's own; setting it again compares without knowing them.
        made = ", ".join(
            f"current_setting('{name}'), set_config('{name}', '{value}', true)"
            for name, value in settings.items()
        )
        cursor.execute(f"SELECT {made}")
        row = cursor.fetchone()
    assert row is not None
    for name, found, expected in zip(settings, row[::2], row[1::2], strict=True):
        if found != expected:
            raise StoreUnavailableError(
                f"a pooler before the application database loses settings: {name} is {found!r}, expected "
                f"{expected!r}; use transaction or session pooling"
            )


def _settings_query(settings: dict[str, str], *, is_local: bool) -> str:
    """One round trip for all settings; the first column is whether the transaction is read-only."""
    made = ", ".join(
        f"set_config('{name}', '{value}', {str(is_local).lower()})" for name, value in settings.items()
    )
    return f"SELECT current_setting('transaction_read_only')::boolean, {made}"


def _is_unavailability(error: psycopg2.Error) -> bool:
    """Whether the server or the connection is at fault, and not the statement.

    A read-only server and a session ended by the server raise InternalError.
    """
    if isinstance(error, errors.InFailedSqlTransaction):
        return False
    kinds = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError)
    # libpq's own errors, for example a broken TLS session, have no code and no subclass.
    return isinstance(error, kinds) or type(error) is psycopg2.DatabaseError


def _unavailable(what: str, error: psycopg2.Error) -> StoreUnavailableError:
    first_line = str(error).strip().partition("\n")[0]
    hint = " (is it a standby by now?)" if isinstance(error, errors.ReadOnlySqlTransaction) else ""
    kind = StoreBusyError if isinstance(error, errors.LockNotAvailable) else StoreUnavailableError
    return kind(f"the application database {what}: {first_line}{hint}")


def _rolled_back(connection: Connection) -> bool:
    """Roll back; False when the connection is gone, and the transaction with it."""
    with suppress(psycopg2.Error):
        connection.rollback()
        return True
    return False


# A triggerer runs hundreds of waits at once; a pool for each would use up the server's connections.
_Way = tuple[str, str, str | None]

_shared: dict[_Way, Database] = {}
_borrowers: dict[_Way, int] = {}
_shared_guard = threading.Lock()


def borrow(dsn: str, component: str, listen_dsn: str | None) -> Database:
    """Borrow the process's database for these arguments; :func:`give_back` with the same ones when done."""
    way = (dsn, component, listen_dsn)
    with _shared_guard:
        _borrowers[way] = _borrowers.get(way, 0) + 1
        if way not in _shared:
            _shared[way] = Database(dsn, component, listen_dsn=listen_dsn, connections=SHARED_CONNECTIONS)
        return _shared[way]


def give_back(dsn: str, component: str, listen_dsn: str | None) -> None:
    """Return a borrowed database; the pool closes after the last borrower. Blocks."""
    way = (dsn, component, listen_dsn)
    with _shared_guard:
        _borrowers[way] -= 1
        if _borrowers[way]:
            return
        del _borrowers[way]
        database = _shared.pop(way)
    database.close()
