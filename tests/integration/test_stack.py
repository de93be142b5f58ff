"""The local stack, really running: what people and the other integration tests rely on."""

from __future__ import annotations

import socket
import time

import psutil
import pytest
import requests

from stack.lifecycle import Stack
from tests.sql import execute


@pytest.fixture
def airflow_token(running_stack: Stack) -> str:
    """A token of the user ``admin``, the only one who may look at connections."""
    reply = requests.post(
        f"{running_stack.settings().airflow_url}/auth/token",
        json={"username": "admin", "password": running_stack.credentials.user_passwords["admin"]},
        timeout=90,
    )
    assert reply.status_code == requests.codes.created
    return str(reply.json()["access_token"])


def test_every_part_is_ready(running_stack: Stack) -> None:
    """What `make up` waited for, and `make status` shows."""
    parts = {"postgres", "api-server", "scheduler", "dag-processor", "triggerer", "sandbox"}
    give_up = time.monotonic() + 120
    # A busy machine may keep a heart from beating for a moment.
    while (ready := {state.name for state in running_stack.status() if state.is_ready}) != parts:
        assert time.monotonic() < give_up, f"ready are only {sorted(ready)}"
        time.sleep(0.5)


def test_a_second_start_changes_nothing(running_stack: Stack) -> None:
    """`make up` twice is `make up` once."""
    before = [state.pid for state in running_stack.status()]
    running_stack.up()
    assert [state.pid for state in running_stack.status()] == before


def test_a_part_that_died_is_started_again(running_stack: Stack) -> None:
    """The others go on meanwhile, and it is told the same as before."""
    before = {state.name: state.pid for state in running_stack.status()}
    triggerer = psutil.Process(before["triggerer"])
    told = airflow_settings_of(triggerer)
    triggerer.kill()
    running_stack.up()
    after = {state.name: state.pid for state in running_stack.status()}
    assert {name for name in before if before[name] != after[name]} == {"triggerer"}
    assert airflow_settings_of(psutil.Process(after["triggerer"])) == told


def test_everything_listens_on_loopback_only(running_stack: Stack) -> None:
    """No part of the stack is for the network."""
    listening = {
        address
        for state in running_stack.status()
        if state.name != "postgres"  # which may belong to another user, and has a test of its own
        for process in [psutil.Process(state.pid), *psutil.Process(state.pid).children(recursive=True)]
        for address in listened_on(process)
    }
    assert listening == {"127.0.0.1"}


def airflow_settings_of(process: psutil.Process) -> dict[str, str]:
    """What a process was told about Airflow when it started."""
    told = {name: value for name, value in process.environ().items() if name.startswith("AIRFLOW__")}
    assert told
    return told


def listened_on(process: psutil.Process) -> list[str]:
    """Where a process listens; nowhere, if it has ended meanwhile, as tasks and parsers of DAGs do."""
    try:
        return [
            connection.laddr.ip
            for connection in process.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN and connection.type == socket.SOCK_STREAM
        ]
    except psutil.NoSuchProcess:
        return []


def test_connections_are_stored_and_their_secrets_encrypted(running_stack: Stack, airflow_token: str) -> None:
    """People see them in Airflow's UI, without the passwords; the database does not hold them in clear."""
    settings = running_stack.settings()
    reply = requests.get(
        f"{settings.airflow_url}/api/v2/connections",
        headers={"Authorization": f"Bearer {airflow_token}"},
        timeout=90,
    )
    shown = {entry["connection_id"]: entry for entry in reply.json()["connections"]}
    assert shown.keys() >= {"sat_default", "sat_db"}
    assert shown["sat_db"]["login"] == "sat_writer"
    password = running_stack.credentials.role_passwords["sat_writer"]
    assert password not in reply.text
    ((stored, is_encrypted),) = execute(
        running_stack.postgres.dsn("airflow"),
        "SELECT password, is_encrypted FROM connection WHERE conn_id = 'sat_db'",
    )
    assert is_encrypted
    assert password not in stored


def test_a_wrong_password_gets_no_token(running_stack: Stack) -> None:
    """No user is admin by default."""
    reply = requests.post(
        f"{running_stack.settings().airflow_url}/auth/token",
        json={"username": "admin", "password": "admin"},
        timeout=90,
    )
    assert reply.status_code == requests.codes.unauthorized


def test_logs_hold_no_secret(running_stack: Stack) -> None:
    """Neither passwords nor keys reach what the processes print."""
    credentials = running_stack.credentials
    secrets = {
        *credentials.role_passwords.values(),
        *credentials.user_passwords.values(),
        credentials.superuser_password,
        credentials.jwt_secret,
        credentials.fernet_key,
        credentials.sat_client_secret,
    }
    for log in running_stack.layout.logs.iterdir():
        text = log.read_text("utf-8", errors="replace")
        assert not [secret for secret in secrets if secret in text], log.name
