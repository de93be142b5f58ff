"""One pool for all who reach the application database in the same way within a process.

A triggerer runs hundreds of waits at once. A pool for each would take up all connections of the server.
"""

from __future__ import annotations

import threading

from sat_hook.store.database import Database

_Way = tuple[str, str, str | None]

_shared: dict[_Way, Database] = {}
_borrowers: dict[_Way, int] = {}
_guard = threading.Lock()


def borrow(dsn: str, component: str, listen_dsn: str | None) -> Database:
    """The process's database by this way; :func:`give_back` with the same arguments when done with it."""
    way = (dsn, component, listen_dsn)
    with _guard:
        _borrowers[way] = _borrowers.get(way, 0) + 1
        if way not in _shared:
            _shared[way] = Database(dsn, component, listen_dsn=listen_dsn)
        return _shared[way]


def give_back(dsn: str, component: str, listen_dsn: str | None) -> None:
    """One borrower less; after the last one the pool is closed. Blocks."""
    way = (dsn, component, listen_dsn)
    with _guard:
        _borrowers[way] -= 1
        if _borrowers[way]:
            return
        del _borrowers[way]
        database = _shared.pop(way)
    database.close()
