"""Airflow's connections and triggers, for tests that run its parts in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent
from psycopg2.extensions import parse_dsn

from sandbox.testing import SandboxServer
from stack.databases import ApplicationDatabase
from tests.pipeline import Line

SUCCESS = "success"
"""The end of a wait that ended its task itself."""
CONNECTIONS = {"sat_conn_id": "sat_test", "db_conn_id": "sat_test_db"}


def give_connections(
    monkeypatch: pytest.MonkeyPatch,
    line: Line,
    database: ApplicationDatabase,
    folder: Path,
    **of_account: Any,
) -> None:
    """``sat_test`` leads to the line's SAT server, ``sat_test_db`` to its database.

    :param of_account: further fields of the account's connection, for example its rules.
    """
    sat = _connection_to(line.server, "demo", folder, **of_account)
    monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST", json.dumps(sat))
    monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST_DB", database_connection(database.writer_dsn))


def database_connection(dsn: str) -> str:
    """A connection of type postgres, as JSON."""
    parts = parse_dsn(dsn)
    return json.dumps(
        {
            "conn_type": "postgres",
            "host": parts["host"],
            "port": int(parts["port"]),
            "schema": parts["dbname"],
            "login": parts["user"],
            "password": parts["password"],
        }
    )


async def fired(trigger: BaseTrigger) -> dict[str, Any]:
    """The payload of a trigger's only event, or the XComs of one that ends its task."""
    (event,) = [event async for event in trigger.run()]
    if isinstance(event, TaskSuccessEvent):
        return {"end": SUCCESS, **(event.xcoms or {})}
    payload: dict[str, Any] = event.payload
    return payload


def give_another_account(monkeypatch: pytest.MonkeyPatch, server: SandboxServer, folder: Path) -> str:
    """A connection of the account ``north`` at a SAT server of its own; returns the connection's id."""
    sat = _connection_to(server, "north", folder)
    monkeypatch.setenv("AIRFLOW_CONN_SAT_NORTH", json.dumps(sat))
    return "sat_north"


def _connection_to(server: SandboxServer, account: str, folder: Path, **of_account: Any) -> dict[str, Any]:
    private, public = folder / f"{account}_private.pem", folder / f"{account}_sat.pem"
    private.write_bytes(server.keys.client_private_pem)
    public.write_bytes(server.keys.sat_public_pem)
    return {
        "conn_type": "sat",
        "login": "demo",
        "password": "demo",
        "extra": {
            "account": account,
            "environment": "custom",
            "base_url": server.api_url,
            "token_url": server.token_url,
            "private_key_path": str(private),
            "sat_public_key_paths": str(public),
            **of_account,
        },
    }
