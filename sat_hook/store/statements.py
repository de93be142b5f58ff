"""Finds ``sql/``: beside the packages in a checkout, inside the package in an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import aiosql


def sql_directory() -> Path:
    """The folder with ``migrations/``, ``queries/`` and ``privileges.sql``.

    :raises FileNotFoundError: when the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package.parent / "sql", package / "sql"):
        if (candidate / "queries").is_dir():
            return candidate
    raise FileNotFoundError(f"no sql/queries beside or inside {package}: the installation is incomplete")


@cache
def queries(room: str) -> Any:
    """The named statements of ``sql/queries/<room>.sql``, for psycopg2."""
    return aiosql.from_path(sql_directory() / "queries" / f"{room}.sql", "psycopg2")
