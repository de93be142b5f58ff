"""Airflow's own API server with the plugins of this checkout, in a process of its own.

Run as ``python -m tests.dags.api_server`` with the environment of :func:`environment`; prints its port when
it serves. Loading Airflow takes seconds, so one server serves the tests of a module.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES = {"ops": "user", "carl": "user", "viewer": "viewer", "keeper": "op", "teller": "op"}
PASSWORDS = {user: f"{user}-secret" for user in ROLES}


def environment(folder: Path, connections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What the server needs: a metadata database in ``folder``, users, connections, one DAG."""
    (folder / "dags").mkdir()
    shutil.copy(CHECKOUT / "dags" / "bulk_disbursement.py", folder / "dags")
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS), "utf-8")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "SAT_"))},
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(map(":".join, ROLES.items())),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__API_AUTH__JWT_SECRET": "t" * 64,
        "AIRFLOW__API__SECRET_KEY": "t" * 32,
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "TEST_CONNECTIONS": json.dumps(connections),
    }


def postgres_connection(dsn: str) -> dict[str, Any]:
    """An Airflow connection to the database at ``dsn`` (a URL)."""
    parts = urlsplit(dsn)
    return {
        "conn_type": "postgres",
        "host": parts.hostname,
        "port": parts.port,
        "login": parts.username,
        "password": parts.password,
        "schema": parts.path.removeprefix("/"),
    }


@contextmanager
def api_server(folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """The base URL of a running server; its log is ``server.log`` in ``folder``."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.dags.api_server"],
            cwd=CHECKOUT,
            env=dict(variables),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if line.startswith("port "):
                        break
                else:
                    tail = (folder / "server.log").read_text("utf-8")[-3000:]
                    raise AssertionError(f"the API server did not start:\n{tail}")
                yield f"http://127.0.0.1:{line.split()[1]}"
            finally:
                process.terminate()


def _serve() -> None:
    import uvicorn
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.models.connection import Connection
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    with create_session() as session:
        for conn_id, attributes in json.loads(os.environ["TEST_CONNECTIONS"]).items():
            session.add(Connection(conn_id=conn_id, **attributes))
    DagBundlesManager().sync_bundles_to_db()
    for bundle in DagBundlesManager().get_all_dag_bundles():
        bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle_version=None)
    from airflow.api_fastapi.main import app

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print("port", self.servers[0].sockets[0].getsockname()[1], flush=True)

    Announcing(uvicorn.Config(app, port=0, log_level="warning")).run()


if __name__ == "__main__":
    _serve()
