"""A database that says how each statement is carried out, for tests of what a page reads."""

from __future__ import annotations

from typing import Any

import psycopg2.extensions
from psycopg2.extensions import connection as Connection

from sat_hook.store.database import Database


class ExplainedDatabase(Database):
    """Keeps the plan of each statement, and how many rows it gave."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.plans: list[str] = []
        self.rows: list[int] = []

    def _connect(self, dsn: str) -> Connection:
        connection = super()._connect(dsn)
        plans, rows = self.plans, self.rows

        class ExplainingCursor(psycopg2.extensions.cursor):
            def execute(self, query: Any, arguments: Any = None) -> None:
                text = self.mogrify(query, arguments).decode()
                if "sat." in text:
                    super().execute(f"EXPLAIN {text}")
                    plans.append("\n".join([text, *(row[0] for row in self.fetchall())]))
                super().execute(query, arguments)
                if "sat." in text:
                    rows.append(self.rowcount)

        connection.cursor_factory = ExplainingCursor
        return connection
