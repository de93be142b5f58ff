"""The cluster's parts share nothing but what several machines share."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from stack.airflow_settings import AirflowSettings
from stack.cluster.lifecycle import PORTS, Cluster
from stack.cluster.settings import AIRFLOW_PARTS, CONNECTIONS, ClusterPorts, ClusterSettings
from stack.credentials import Credentials
from stack.databases import ApplicationDatabase
from stack.layout import Layout
from stack.processes import stop_all


@pytest.fixture
def settings(tmp_path: Path) -> ClusterSettings:
    """Settings with a different port for everything."""
    layout = Layout(Layout.here().checkout, tmp_path / "state")
    layout.make_folders()
    credentials = Credentials.load_or_make(layout.credentials)
    ports = ClusterPorts(**{field.name: 2000 + number for number, field in enumerate(fields(ClusterPorts))})
    server = f"postgresql://127.0.0.1:{ports.postgres}/postgres"
    application = ApplicationDatabase.named("sat", server, credentials.role_passwords)
    return ClusterSettings(layout, credentials, ports, application)


def test_no_part_sees_another_ones_files(settings: ClusterSettings) -> None:
    """Each has a home of its own, and every shared place is in the object store."""
    settings.write_files()
    homes = {settings.environment_of(part)["AIRFLOW_HOME"] for part in AIRFLOW_PARTS}
    assert len(homes) == len(AIRFLOW_PARTS)
    assert all((Path(home) / "config" / "airflow_local_settings.py").is_file() for home in homes)
    environment = settings.environment()
    places = {name: uri for name, uri in environment.items() if name.endswith("_URI")}
    places["logs"] = environment["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"]
    assert {uri for uri in places.values() if not uri.startswith("s3://")} == set()


def test_databases_are_reached_by_the_pooler(settings: ClusterSettings) -> None:
    """But LISTEN and asyncpg, which need a session, and the migrations, which start before it."""
    pooler, server = str(settings.ports.pooler), str(settings.ports.postgres)
    database = settings.connections()["sat_db"]
    assert str(database["port"]) == pooler
    assert json.loads(database["extra"]) == {"listen_host": "127.0.0.1", "listen_port": server}
    assert f":{pooler}/" in settings.receiver()["dsn"]
    part = settings.environment_of("worker-1")
    assert (
        f"psycopg2://airflow:{settings.credentials.role_passwords['airflow']}@127.0.0.1:{pooler}/"
        in (part["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    )
    assert f":{server}/" in part["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"]
    assert f":{server}/" in settings.environment()["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def test_each_account_has_its_own_sat_and_its_own_callbacks(settings: ClusterSettings) -> None:
    """What one of them is charged never stands in the other one's ledger."""
    connections = settings.connections()
    extras = {account: json.loads(connections[name]["extra"]) for account, name in CONNECTIONS.items()}
    assert {account: extra["account"] for account, extra in extras.items()} == {name: name for name in extras}
    assert {extra["base_url"] for extra in extras.values()} == {
        f"{url}/api" for url in settings.sandboxes().values()
    }
    assert settings.receiver()["accounts"].keys() == CONNECTIONS.keys()
    assert {settings.callback_url_of(account) for account in CONNECTIONS} == {
        f"http://127.0.0.1:{settings.ports.proxy}/sat/callbacks/{account}" for account in CONNECTIONS
    }


def test_every_port_has_a_service_that_keeps_it() -> None:
    """Otherwise a second start would move the port of a part that runs."""
    assert set(PORTS.values()) == {field.name for field in fields(ClusterPorts)} - {"postgres"}
    assert set(PORTS) <= set(Cluster.service_names)


class Sleeping(Cluster):
    """A cluster whose parts only sleep."""

    def _command_of(self, service_name: str, settings: AirflowSettings) -> list[str]:
        return ["/bin/sleep", "60"]

    def _wait_for_foundations(self, settings: AirflowSettings) -> None:
        """They listen on nothing."""


def test_what_has_ended_is_started_again(settings: ClusterSettings) -> None:
    """And nothing else: the others keep running while what they need comes back."""
    settings.layout.ports.write_text(json.dumps(asdict(settings.ports)), "utf-8")
    cluster = Sleeping(settings.layout, lambda _: None)
    services = [cluster.service(name) for name in Cluster.service_names]
    try:
        assert set(cluster.restart_ended()) == set(Cluster.service_names)
        before = {service.name: service.process() for service in services}
        victim = before["pgbouncer"]
        assert victim is not None
        victim.kill()
        victim.wait(10)
        assert cluster.restart_ended() == ["pgbouncer"]
        after = {service.name: service.process() for service in services}
        assert [name for name in before if before[name] != after[name]] == ["pgbouncer"]
    finally:
        stop_all(services, insist_seconds=0, patience_seconds=0)
