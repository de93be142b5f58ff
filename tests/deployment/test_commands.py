"""What compose starts exists and takes the options that it is given; what it connects to is understood."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from sandbox.__main__ import _parser as sandbox_parser
from sat_hook.cli.commands import app
from sat_hook.hooks.sat_connection import settings_of
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.signing import generate_key_pair
from sat_hook.receiver.settings import load_settings
from tests.deployment.composition import CHECKOUT

Services = dict[str, dict[str, Any]]

_PARSE = """
import json, sys
from airflow.cli import cli_parser
parser = cli_parser.get_parser()
for arguments in json.load(sys.stdin):
    parser.parse_args(arguments)
"""


SUPERVISED = ["python", "/opt/sat/docker/supervise.py"]


def commands_of(services: Services, executable: str) -> dict[str, list[str]]:
    """The arguments that each service gives to ``executable``, shell lines and supervision taken apart."""
    found = {}
    for name, service in services.items():
        command = [*service.get("entrypoint", []), *service.get("command", [])]
        if command[:2] == SUPERVISED:
            command = command[4:]
        lines = command[2].split("&&") if command[:2] == ["sh", "-c"] else []
        for number, words in enumerate([command, *(line.split() for line in lines)]):
            if words and words[0] == executable:
                found[f"{name} {number}"] = words[1:]
    return found


def test_every_executable_is_installed(services: Services) -> None:
    """Each command's first word is in this environment, as it is in the image; the proxy has its own."""
    known = {"sh", "python", "airflow", "sat", "sat-sandbox", "haproxy"}
    own = {name: service["command"][0] for name, service in services.items() if service.get("command")}
    own |= {name: service["entrypoint"][0] for name, service in services.items() if "entrypoint" in service}
    assert set(own.values()) <= known
    folder = str(Path(sys.executable).parent)
    assert [
        name for name in ("airflow", "sat", "sat-sandbox") if shutil.which(name, path=folder) is None
    ] == []


def test_sat_takes_its_arguments(services: Services) -> None:
    """Commands and options of `sat` are parsed by `sat` itself, without running them."""
    found = commands_of(services, "sat")
    assert {arguments[0] for arguments in found.values()} == {"db", "receiver", "--help"}
    for arguments in found.values():
        if arguments == ["--help"]:
            continue
        command: Any = typer.main.get_command(app)
        words = list(arguments)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        with pytest.raises(Exception, match="--no-such-option"):
            command.make_context(None, [*words, "--no-such-option"])
        command.make_context(None, words)


def test_the_sandbox_takes_its_arguments(services: Services) -> None:
    """Likewise, and it posts callbacks to where the receiver listens for the account."""
    (arguments,) = commands_of(services, "sat-sandbox").values()
    options = sandbox_parser().parse_args(arguments)
    assert options.callback_url == "http://receiver:8791/sat/callbacks/main"


def test_airflow_takes_its_arguments(services: Services) -> None:
    """All of them in one process, because loading Airflow's command line takes seconds."""
    commands = [*commands_of(services, "airflow").values()]
    # The provider of this one comes with the extra; `make scale` starts it.
    worker = ["celery", "worker", "--skip-serve-logs"]
    found = [command for command in commands if command != worker]
    assert (len(found), commands.count(worker)) == (6, 2)
    script = (CHECKOUT / "docker" / "api-server.sh").read_text("utf-8")
    found.append(script.strip().splitlines()[-1].removeprefix("exec airflow ").split())
    subprocess.run(
        [sys.executable, "-c", _PARSE], input=json.dumps(found), text=True, check=True, timeout=300
    )


@pytest.mark.parametrize("name", ["scheduler", "dag-processor", "triggerer"])
def test_parts_without_a_port_are_supervised(services: Services, name: str) -> None:
    """By what their health check asks, too; the part's name in Airflow's answer is the same in both."""
    assert services[name]["command"][:2] == SUPERVISED
    assert services[name]["command"][2:4] == services[name]["healthcheck"]["test"][-2:]


@pytest.mark.parametrize("script", ["api-server.sh", "prepare-databases.sh", "pgbouncer.sh"])
def test_scripts_are_shell(script: str) -> None:
    """They parse, and they stop at the first error."""
    path = CHECKOUT / "docker" / script
    subprocess.run(["sh", "-n", str(path)], check=True)
    assert "\nset -eu\n" in path.read_text("utf-8")


def test_the_connection_that_pays_is_understood(services: Services, tmp_path: Path) -> None:
    """The JSON in the environment becomes settings, with keys from where they are mounted."""
    connection = json.loads(services["scheduler"]["environment"]["AIRFLOW_CONN_SAT_DEFAULT"])
    private, _ = generate_key_pair()
    _, public = generate_key_pair()
    (tmp_path / "client_private.pem").write_bytes(private)
    (tmp_path / "sat_public.pem").write_bytes(public)
    extra = connection["extra"]
    assert extra["private_key_path"] == "/run/sat/client_private.pem"
    assert extra["sat_public_key_paths"] == "/run/sat/public/sat_public.pem"
    extra |= {
        "private_key_path": str(tmp_path / "client_private.pem"),
        "sat_public_key_paths": str(tmp_path / "sat_public.pem"),
    }
    settings = settings_of(
        SimpleNamespace(
            conn_type=connection["conn_type"],
            host=None,
            login=connection["login"],
            password=connection["password"],
            extra_dejson=extra,
        ),
        "sat_default",
    )
    assert (settings.account, settings.environment) == ("main", Environment.CUSTOM)
    assert settings.base_url == "http://sandbox:8089/api"
    assert settings.signer is not None
    assert settings.verifier is not None


def test_the_database_connection_is_the_writer(services: Services, environment: dict[str, str]) -> None:
    """`sat_db` names the application's database and the role that tasks use."""
    connection = json.loads(services["triggerer"]["environment"]["AIRFLOW_CONN_SAT_DB"])
    assert connection == {
        "conn_type": "postgres",
        "host": "postgres",
        "port": 5432,
        "schema": "sat",
        "login": "sat_writer",
        "password": environment["SAT_WRITER_PASSWORD"],
        # LISTEN works in a session of its own only, whatever pooler stands before the server.
        "extra": {"listen_host": "postgres", "listen_port": "5432"},
    }


def test_the_receivers_example_is_a_configuration(services: Services, tmp_path: Path) -> None:
    """docker/receiver.example.json works where compose mounts it, beside the folder of public keys."""
    _, public = generate_key_pair()
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "sat_public.pem").write_bytes(public)
    example = (CHECKOUT / "docker" / "receiver.example.json").read_text("utf-8")
    (tmp_path / "receiver.json").write_text(example, "utf-8")
    receiver = services["receiver"]["environment"]
    settings = load_settings(tmp_path / "receiver.json", receiver["SAT_RECEIVER_DSN"])
    assert settings.verifiers.keys() == {"main"}
    assert receiver["SAT_RECEIVER_CONFIG"] == "/run/sat/receiver.json"
