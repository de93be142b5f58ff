"""Ports, secrets and the settings that the parts of the stack are given."""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from sat_hook.audit.keys import AuditSigner, AuditVerifier, write_audit_key
from sat_hook.hooks.sat_connection import settings_of
from sat_hook.receiver.settings import load_settings
from stack import demo
from stack.airflow_settings import AirflowSettings
from stack.credentials import AIRFLOW_USERS, Credentials
from stack.databases import ApplicationDatabase
from stack.errors import StackError
from stack.layout import Layout
from stack.lifecycle import Stack
from stack.ports import Ports
from stack.postgres import free_port
from tests.keys import key_pairs


@pytest.fixture
def settings(tmp_path: Path) -> AirflowSettings:
    """The settings of a stack that was never started, with their files written."""
    layout = Layout(tmp_path, tmp_path / ".stack")
    layout.make_folders()
    key_pairs().write(layout.keys)
    credentials = Credentials.load_or_make(layout.credentials)
    application = ApplicationDatabase.named(
        "sat", "postgresql://127.0.0.1:5432/postgres", credentials.role_passwords
    )
    made = AirflowSettings(layout, credentials, Ports(postgres=5432, api=8080, sandbox=8090), application)
    made.write_files()
    return made


def test_settlement_files_have_a_place(settings: AirflowSettings) -> None:
    """A folder for the account, which the workers are told of."""
    uri = settings.environment()["SAT_SETTLEMENTS_URI"]
    assert uri == settings.layout.settlements.as_uri()
    assert (settings.layout.settlements / "demo").is_dir()


def test_a_second_demonstration_says_so_and_ends(tmp_path: Path) -> None:
    """Before it has started or stopped anything; afterwards the next one may run."""
    stack = Stack(Layout(tmp_path, tmp_path / ".stack"), lambda _: None)
    other = Stack(stack.layout, lambda _: pytest.fail("the stack was touched"))
    with stack.only("demo"), pytest.raises(StackError, match=f"another demo runs in .*process {os.getpid()}"):
        demo.run(other, Console(quiet=True))
    with other.only("demo"):
        assert (stack.layout.state / "demo.lock").read_text() == f"{os.getpid()}\n"


def test_ports_stay_the_same_from_one_start_to_the_next(tmp_path: Path) -> None:
    """Connections and bookmarks name them."""
    first = Ports.choose(tmp_path / "ports", postgres=5432, running=[])
    assert Ports.choose(tmp_path / "ports", postgres=5432, running=[]) == first
    assert Ports.kept(tmp_path / "ports") == first


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    """Another program, or another checkout's stack, may sit on it."""
    with socket.create_server(("127.0.0.1", free_port())) as occupier:
        occupied = occupier.getsockname()[1]
        kept = {"postgres": 1, "api": occupied, "sandbox": free_port()}
        (tmp_path / "ports").write_text(json.dumps(kept))
        chosen = Ports.choose(tmp_path / "ports", postgres=2, running=[])
        assert chosen.api != occupied
        assert (chosen.postgres, chosen.sandbox) == (2, kept["sandbox"])


def test_a_port_on_which_our_own_part_listens_stays(tmp_path: Path) -> None:
    """It is occupied, but by us."""
    with socket.create_server(("127.0.0.1", free_port())) as ours:
        port = ours.getsockname()[1]
        (tmp_path / "ports").write_text(json.dumps({"postgres": 1, "api": port, "sandbox": free_port()}))
        assert Ports.choose(tmp_path / "ports", postgres=1, running=["api"]).api == port


def test_secrets_are_made_once_and_never_shown(tmp_path: Path) -> None:
    """The databases remember them, so a second start must find the same."""
    made = Credentials.load_or_make(tmp_path / "secrets.json")
    assert Credentials.load_or_make(tmp_path / "secrets.json") == made
    assert made.superuser_password not in repr(made)
    assert len(made.jwt_secret) >= 64


def test_a_secret_that_a_later_release_needs_is_added(tmp_path: Path) -> None:
    """The others stay as they were."""
    path = tmp_path / "secrets.json"
    document = json.loads(path.read_text()) if Credentials.load_or_make(path) else {}
    del document["role_passwords"]["sat_reader"]
    path.write_text(json.dumps(document))
    again = Credentials.load_or_make(path)
    assert again.superuser_password == document["superuser_password"]
    assert again.role_passwords["sat_reader"]


def test_files_with_secrets_are_readable_by_their_owner_alone(settings: AirflowSettings) -> None:
    """Everything that holds a password or a private key, or may come to hold one."""
    layout = settings.layout
    files = (
        layout.credentials,
        layout.receiver_settings,
        layout.command_line_settings,
        layout.airflow_settings,
        layout.airflow_passwords,
    )
    folders = (layout.keys, layout.logs, layout.airflow_home, layout.spool, layout.demo)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_nothing_listens_beyond_loopback_and_nothing_is_reported(settings: AirflowSettings) -> None:
    """The stack is for one machine."""
    environment = settings.environment()
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8080/execution/"


def test_every_user_has_a_role_and_a_password(settings: AirflowSettings) -> None:
    """One who submits and one who approves are two."""
    users = settings.environment()["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    assert users == "admin:admin,ops:user,approver:user,viewer:viewer"
    assert json.loads(settings.layout.airflow_passwords.read_text()).keys() == AIRFLOW_USERS.keys()


def test_the_connection_is_what_the_hook_reads(settings: AirflowSettings) -> None:
    """Every extra field is known, and the keys are found."""

    class Connection:
        host = None
        extra_dejson = json.loads(settings.connections()["sat_default"]["extra"])

        def __init__(self, attributes: dict[str, str]) -> None:
            self.conn_type, self.login, self.password = (
                attributes[name] for name in ("conn_type", "login", "password")
            )

    account = settings_of(Connection(settings.connections()["sat_default"]), "sat_default")
    assert account.account == "demo"
    assert account.base_url == "http://127.0.0.1:8090/api"
    assert account.signer is not None
    assert account.verifier is not None


def test_the_audit_key_is_where_its_connection_says(settings: AirflowSettings) -> None:
    """And its public half where the command looks; both are made once."""
    key_id = write_audit_key(settings.layout.keys)
    extra = json.loads(settings.connections()["sat_audit"]["extra"])
    assert AuditSigner(Path(extra["private_key_path"]).read_bytes()).key_id == key_id
    named = settings.command_line_environment()["SAT_AUDIT_PUBLIC_KEYS"]
    assert key_id in repr(AuditVerifier([Path(named).read_bytes()]))


def test_every_part_of_airflow_loads_the_pipeline_at_its_start(settings: AirflowSettings) -> None:
    """Its forks find the operators in memory; pandas is left to the one task that needs it."""
    modules = {"sat_hook.operators.batch", "sat_hook.sensors.order"}
    look = f"import airflow, sys; print(*{ {*modules, 'pandas'} } & {{*sys.modules}})"
    environment = {"AIRFLOW_HOME": str(settings.layout.airflow_home)}
    done = subprocess.run(
        [sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert set(done.stdout.split()) == modules


def test_the_receiver_accepts_its_file(settings: AirflowSettings) -> None:
    """With the key of the SAT server that will sign."""
    assert load_settings(settings.layout.receiver_settings).verifiers.keys() == {"demo"}


def test_the_settings_of_the_command_line_can_be_read_by_a_shell(settings: AirflowSettings) -> None:
    """One NAME=value a line, quoted where needed."""
    lines = settings.layout.command_line_settings.read_text().splitlines()
    values = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    assert values["SAT_AIRFLOW_URL"] == "http://127.0.0.1:8080"
    assert values["SAT_AIRFLOW_USER"] == "ops"
    assert values["SAT_DB_DSN"].startswith("postgresql://sat_reader:")
