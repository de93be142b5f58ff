"""What the parts of the cluster know about each other: ports, Airflow's settings, files of other programs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.airflow_settings import APPLICATION_DATABASE, SAT_ACCOUNT, AirflowSettings
from stack.credentials import AIRFLOW_ROLE
from stack.databases import ApplicationDatabase
from stack.layout import write_private
from stack.ports import Ports

SECOND_ACCOUNT = "second"
CONNECTIONS = {SAT_ACCOUNT: "sat_default", SECOND_ACCOUNT: "sat_second"}
"""The connection of each account."""
BUCKET = "sat"
PROGRAMS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
"""Where programs are looked for: Debian puts servers into /usr/sbin."""
#: Each has its own AIRFLOW_HOME and host name, as on a machine of its own.
AIRFLOW_PARTS = (
    "api-server",
    "dag-processor",
    "scheduler-1",
    "scheduler-2",
    "triggerer-1",
    "triggerer-2",
    "worker-1",
    "worker-2",
)


@dataclass(frozen=True, slots=True)
class ClusterPorts(Ports):
    """The loopback ports of the parts."""

    second_sandbox: int
    redis: int
    pooler: int
    storage: int
    proxy: int
    receiver_1: int
    receiver_2: int


@dataclass(frozen=True)
class ClusterSettings(AirflowSettings):
    """The settings of the stack where they differ on several machines."""

    ports: ClusterPorts

    def sandboxes(self) -> dict[str, str]:
        """The SAT server of each account."""
        return {
            SAT_ACCOUNT: self.sandbox_url,
            SECOND_ACCOUNT: f"http://127.0.0.1:{self.ports.second_sandbox}",
        }

    def callback_url_of(self, account: str) -> str:
        """The address to which an account's SAT server delivers callbacks: the proxy before the receivers."""
        return f"http://127.0.0.1:{self.ports.proxy}/sat/callbacks/{account}"

    def home(self, part: str) -> Path:
        """AIRFLOW_HOME of one part."""
        return self.layout.state / "homes" / part

    @property
    def folder(self) -> Path:
        """The settings and data of Redis, PgBouncer and HAProxy."""
        return self.layout.state / "cluster"

    @property
    def pooled(self) -> ApplicationDatabase:
        """The application's database by way of PgBouncer."""
        server = f"postgresql://127.0.0.1:{self.ports.pooler}/postgres?sslmode=disable"
        return ApplicationDatabase.named(APPLICATION_DATABASE, server, self.credentials.role_passwords)

    def environment(self) -> dict[str, str]:
        # fmt: off
        return {
            **super().environment(),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL":
                f"redis://:{self.credentials.api_secret_key}@127.0.0.1:{self.ports.redis}/0",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "3",
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
            # A task whose message was lost with its broker is sent again after a minute.
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "3600",
            # No part reads another one's files.
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/logs",
            "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "aws_default",
            "SAT_ACCOUNTS": ",".join(CONNECTIONS.values()),
            **self._storage(),
        }
        # fmt: on

    def environment_of(self, part: str) -> dict[str, str]:
        """The variables of one part besides those of all. Airflow reaches its database by PgBouncer."""
        passwords = self.credentials.role_passwords
        # fmt: off
        if part == "pgbouncer":
            return {
                "POSTGRES_ADDRESS": f"host=127.0.0.1 port={self.ports.postgres}",
                "PGBOUNCER_BIND": "127.0.0.1",
                "PGBOUNCER_PORT": str(self.ports.pooler),
                "PGBOUNCER_FOLDER": str(self.folder / "pgbouncer"),
                "AIRFLOW_DB_PASSWORD": passwords[AIRFLOW_ROLE],
                "SAT_WRITER_PASSWORD": passwords["sat_writer"],
                "SAT_RECEIVER_PASSWORD": passwords["sat_receiver"],
                "PATH": PROGRAMS,
            }
        if part == "proxy":
            return {
                "PROXY_BIND": f"127.0.0.1:{self.ports.proxy}",
                "RECEIVER_1": f"127.0.0.1:{self.ports.receiver_1}",
                "RECEIVER_2": f"127.0.0.1:{self.ports.receiver_2}",
            }
        # fmt: on
        if part not in AIRFLOW_PARTS:
            return {}
        pooled = self.metadata_uri(self.ports.pooler)
        return {
            "AIRFLOW_HOME": str(self.home(part)),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": pooled,
            # asyncpg prepares every statement, so it goes past PgBouncer. Only the API server uses it.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": self.metadata_dsn(self.ports.postgres).replace(
                "postgresql:", "postgresql+asyncpg:", 1
            ),
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{pooled}",
        }

    def command_line_environment(self) -> dict[str, str]:
        return {**super().command_line_environment(), **self._storage()}

    def _storage(self) -> dict[str, str]:
        place = f"s3://{BUCKET}"
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports.storage}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SAT_SPOOL_URI": f"{place}/spool",
            "SAT_RESULTS_URI": f"{place}/results",
            "SAT_CHECKPOINTS_URI": f"{place}/checkpoints",
            "SAT_SETTLEMENTS_URI": f"{place}/settlements",
        }

    def connections(self) -> dict[str, dict[str, Any]]:
        connections = super().connections()
        first = connections["sat_default"]
        url = self.sandboxes()[SECOND_ACCOUNT]
        other = {"account": SECOND_ACCOUNT, "base_url": f"{url}/api", "token_url": f"{url}/token"}
        extra = json.dumps({**json.loads(first["extra"]), **other})
        listening = {"listen_host": "127.0.0.1", "listen_port": str(self.ports.postgres)}
        pooled = {"port": self.ports.pooler, "extra": json.dumps(listening)}
        return {
            **connections,
            CONNECTIONS[SECOND_ACCOUNT]: {**first, "extra": extra},
            "sat_db": {**connections["sat_db"], **pooled},
        }

    def receiver(self) -> dict[str, Any]:
        receiver = super().receiver()
        key = receiver["accounts"][SAT_ACCOUNT]
        return {"dsn": self.pooled.receiver_dsn, "accounts": dict.fromkeys(CONNECTIONS, key)}

    def write_files(self) -> None:
        super().write_files()
        self.folder.mkdir(exist_ok=True)
        # PgBouncer, which refuses to run as root, reads its files as another user.
        self.folder.chmod(0o755)
        (self.folder / "redis").mkdir(exist_ok=True, mode=0o700)
        for part in AIRFLOW_PARTS:
            config = self.home(part) / "config"
            config.mkdir(parents=True, exist_ok=True)
            self.write_local_settings(config)
        write_private(self.folder / "redis.conf", self._redis())

    def _redis(self) -> str:
        # Every message is on disk before its task counts as queued.
        return (
            f"bind 127.0.0.1\nport {self.ports.redis}\nrequirepass {self.credentials.api_secret_key}\n"
            f'dir {self.folder / "redis"}\nappendonly yes\nappendfsync always\nsave ""\ndaemonize no\n'
        )
