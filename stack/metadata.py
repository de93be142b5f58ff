"""Migrates Airflow's metadata database and stores the stack's connections in it.

Run as a separate process (``python -m stack.metadata``) with the stack's environment and the connections as
JSON on standard input. Loading Airflow takes seconds, so it happens once for both steps, and only when
needed.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.models.connection import Connection
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select

from stack.connections import merged

ATTRIBUTES = ("conn_type", "description", "host", "login", "password", "schema", "port", "extra")


def main() -> None:
    """Migrate, then update the connections from standard input; people's edits stay."""
    given = json.load(sys.stdin)
    initdb()
    store_connections(given["wanted"], given["stored"])


def store_connections(wanted: dict[str, dict[str, Any]], stored: dict[str, dict[str, Any]]) -> None:
    """Insert or replace connections. The model encrypts passwords and extras with the stack's fernet key.

    :param stored: what was stored last time.
    """
    with create_session() as session:
        for conn_id, attributes in wanted.items():
            kept = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
            if kept is not None:
                current = {name: getattr(kept, name) for name in ATTRIBUTES}
                attributes = merged(stored.get(conn_id, {}), current, attributes)
                session.delete(kept)
                session.flush()
            session.add(Connection(conn_id=conn_id, **attributes))


if __name__ == "__main__":
    main()
