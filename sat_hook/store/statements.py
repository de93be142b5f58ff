"""The named SQL statements of ``sql/queries``, loaded once."""

from __future__ import annotations

from functools import cache
from typing import Any

import aiosql

from sat_hook.shipped import shipped


@cache
def queries(room: str) -> Any:
    """The named statements of ``sql/queries/<room>.sql``, for psycopg2."""
    return aiosql.from_path(shipped("sql") / "queries" / f"{room}.sql", "psycopg2")
