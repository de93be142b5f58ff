"""One shared pool per process for all users of the same application database and settings.

A triggerer runs hundreds of waits at once; a pool for each would use up the server's connections.
"""

from __future__ import annotations

import threading

from sat_hook.store.database import Database

_Way = tuple[str, str, str | None]

_shared: dict[_Way, Database] = {}
_borrowers: dict[_Way, int] = {}
_guard = threading.Lock()


def borrow(dsn: str, component: str, listen_dsn: str | None) -> Database:
    """Borrow the process's database for these arguments; :func:`give_back` with the same ones when done."""
    way = (dsn, component, listen_dsn)
    with _guard:
        _borrowers[way] = _borrowers.get(way, 0) + 1
        if way not in _shared:
            _shared[way] = Database(dsn, component, listen_dsn=listen_dsn)
        return _shared[way]


def give_back(dsn: str, component: str, listen_dsn: str | None) -> None:
    """Return a borrowed database; the pool closes after the last borrower. Blocks."""
    way = (dsn, component, listen_dsn)
    with _guard:
        _borrowers[way] -= 1
        if _borrowers[way]:
            return
        del _borrowers[way]
        database = _shared.pop(way)
    database.close()
