"""The local stack's configuration of Airflow and of the parts that run inside it.

All settings are environment variables, so nothing depends on a generated ``airflow.cfg``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.tokens import DEMO_CREDENTIALS
from stack.credentials import AIRFLOW_RIGHTS, AIRFLOW_ROLE, AIRFLOW_USERS, Credentials
from stack.databases import ApplicationDatabase
from stack.layout import Layout, write_private
from stack.ports import Ports

SAT_ACCOUNT = "demo"
SAT_CLIENT_ID = "bulk-orders"
METADATA_DATABASE = "airflow"
APPLICATION_DATABASE = "sat"
LOCAL_SETTINGS = Path(__file__).parent.parent / "docker" / "airflow_local_settings.py"


@dataclass(frozen=True, slots=True)
class AirflowSettings:
    """What the running parts know about each other."""

    layout: Layout
    credentials: Credentials
    ports: Ports
    application: ApplicationDatabase

    @property
    def airflow_url(self) -> str:
        """Airflow's address for people and the command ``sat``."""
        return f"http://127.0.0.1:{self.ports.api}"

    @property
    def sandbox_url(self) -> str:
        """Root of the local SAT server."""
        return f"http://127.0.0.1:{self.ports.sandbox}"

    @property
    def callback_url(self) -> str:
        """The address to which the SAT server delivers callbacks."""
        return f"{self.airflow_url}/sat/callbacks/{SAT_ACCOUNT}"

    def metadata_dsn(self, port: int) -> str:
        """Airflow's database by way of the server, or a pooler, at a port."""
        password = self.credentials.role_passwords[AIRFLOW_ROLE]
        return f"postgresql://{AIRFLOW_ROLE}:{password}@127.0.0.1:{port}/{METADATA_DATABASE}"

    def metadata_uri(self, port: int) -> str:
        """The same for Airflow. Without a driver's name it would take psycopg 3, whose prepared statements no
        pooler with transaction pooling knows.
        """
        return self.metadata_dsn(port).replace("postgresql:", "postgresql+psycopg2:", 1)

    def environment(self) -> dict[str, str]:
        """The variables that the Airflow processes need besides the caller's environment."""
        sections: dict[str, dict[str, str]] = {
            "CORE": {
                "DAGS_FOLDER": str(self.layout.checkout / "dags"),
                "PLUGINS_FOLDER": str(self.layout.checkout / "plugins"),
                "LOAD_EXAMPLES": "False",
                "EXECUTOR": "LocalExecutor",
                "PARALLELISM": "8",
                "DAGS_ARE_PAUSED_AT_CREATION": "False",
                "FERNET_KEY": self.credentials.fernet_key,
                "EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
                "SIMPLE_AUTH_MANAGER_USERS": ",".join(":".join(user) for user in AIRFLOW_USERS.items()),
                "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.layout.airflow_passwords),
                "TEST_CONNECTION": "Enabled",
                # The default asks the name service, which may take seconds if there is none.
                "HOSTNAME_CALLABLE": "socket.gethostname",
            },
            "DATABASE": {"SQL_ALCHEMY_CONN": self.metadata_uri(self.ports.postgres)},
            "API": {
                "HOST": "127.0.0.1",
                "PORT": str(self.ports.api),
                "BASE_URL": self.airflow_url,
                "WORKERS": "1",
                "SECRET_KEY": self.credentials.api_secret_key,
            },
            "API_AUTH": {"JWT_SECRET": self.credentials.jwt_secret},
            "SCHEDULER": {
                # With the default of one second, a chain of short tasks would spend most of its time waiting.
                "SCHEDULER_IDLE_SLEEP_TIME": "0.1",
                # Tasks of a stopped or killed stack are resumed within one minute instead of five.
                "TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
                "ORPHANED_TASKS_CHECK_INTERVAL": "30",
            },
            # The process that runs a task may miss its end, and then stays busy for this long.
            "WORKERS": {"MIN_HEARTBEAT_INTERVAL": "1"},
            "TRIGGERER": {"TRIGGERER_HEALTH_CHECK_THRESHOLD": "15"},
            "DAG_PROCESSOR": {
                "REFRESH_INTERVAL": "5",
                "BUNDLE_REFRESH_CHECK_INTERVAL": "1",
                # A file that has changed is read at once, whatever this says.
                "MIN_FILE_PROCESS_INTERVAL": "60",
            },
            "LOGGING": {"COLORED_CONSOLE_LOG": "False"},
            "USAGE_DATA_COLLECTION": {"ENABLED": "False"},
        }
        return {
            "AIRFLOW_HOME": str(self.layout.airflow_home),
            "SCARF_ANALYTICS": "false",
            **{
                f"AIRFLOW__{section}__{option}": value
                for section, options in sections.items()
                for option, value in options.items()
            },
            "SAT_RECEIVER_CONFIG": str(self.layout.receiver_settings),
            "SAT_RIGHTS_FILE": str(self.layout.rights),
            "SAT_SPOOL_URI": self.layout.spool.as_uri(),
            "SAT_RESULTS_URI": self.layout.spool.as_uri(),
            "SAT_CHECKPOINTS_URI": self.layout.checkpoints.as_uri(),
            "SAT_SETTLEMENTS_URI": self.layout.settlements.as_uri(),
        }

    def command_line_environment(self) -> dict[str, str]:
        """The variables that the command ``sat`` needs besides the caller's environment."""
        return {
            "SAT_DB_DSN": self.application.reader_dsn,
            "SAT_OWNER_DSN": self.application.owner_dsn,
            "SAT_AIRFLOW_URL": self.airflow_url,
            "SAT_AIRFLOW_USER": "ops",
            "SAT_AIRFLOW_PASSWORD": self.credentials.user_passwords["ops"],
            "SAT_SPOOL_URI": self.layout.spool.as_uri(),
            "SAT_RESULTS_URI": self.layout.spool.as_uri(),
            "SAT_CHECKPOINTS_URI": self.layout.checkpoints.as_uri(),
            "SAT_AUDIT_PUBLIC_KEYS": str(self.layout.audit_public_key),
            "SAT_STATUS_PUBLIC_KEYS": str(self.layout.keys / "sat_public.pem"),
        }

    def connections(self) -> dict[str, dict[str, Any]]:
        """Airflow connections by id, with the attributes of Airflow's own model."""
        keys = self.layout.keys
        return {
            "sat_default": {
                "conn_type": "sat",
                "description": "The local SAT server",
                "login": SAT_CLIENT_ID,
                "password": self.credentials.sat_client_secret,
                "extra": json.dumps(
                    {
                        "account": SAT_ACCOUNT,
                        "environment": "custom",
                        "base_url": f"{self.sandbox_url}/api",
                        "token_url": f"{self.sandbox_url}/token",
                        "private_key_path": str(keys / "client_private.pem"),
                        "sat_public_key_paths": str(keys / "sat_public.pem"),
                        "padding": "pss",
                    }
                ),
            },
            "sat_audit": {
                "conn_type": "generic",
                "description": "The audit key, which signs checkpoints and evidence packs",
                "extra": json.dumps({"private_key_path": str(self.layout.audit_private_key)}),
            },
            "sat_db": {
                "conn_type": "postgres",
                "description": "The application's database, as the pipeline's role",
                "host": "127.0.0.1",
                "port": self.ports.postgres,
                "schema": APPLICATION_DATABASE,
                "login": "sat_writer",
                "password": self.credentials.role_passwords["sat_writer"],
                "extra": "",
            },
        }

    def receiver(self) -> dict[str, Any]:
        """The receiver's settings."""
        key = {"public_key_paths": [str(self.layout.keys / "sat_public.pem")], "padding": "pss"}
        return {"dsn": self.application.receiver_dsn, "accounts": {SAT_ACCOUNT: key}}

    def write_files(self) -> None:
        """Write the parts' files, each with a secret, and create the account's settlement folder."""
        (self.layout.settlements / SAT_ACCOUNT).mkdir(mode=0o700, exist_ok=True)
        write_private(self.layout.receiver_settings, json.dumps(self.receiver(), indent=2) + "\n")
        # Airflow masks no secret as short as the sandbox's own, and each task's log would say so.
        clients = {**DEMO_CREDENTIALS, SAT_CLIENT_ID: self.credentials.sat_client_secret}
        write_private(self.layout.sandbox_credentials, json.dumps(clients) + "\n")
        write_private(self.layout.rights, json.dumps(AIRFLOW_RIGHTS, indent=2) + "\n")
        write_private(self.layout.airflow_passwords, json.dumps(self.credentials.user_passwords) + "\n")
        write_private(
            self.layout.command_line_settings, _as_environment_file(self.command_line_environment())
        )
        write_private(self.layout.airflow_settings, _as_environment_file(self.environment()))
        self.write_local_settings(self.layout.airflow_config)

    def write_local_settings(self, folder: Path) -> None:
        """Copy the Python file that Airflow imports as each of its parts starts."""
        write_private(folder / LOCAL_SETTINGS.name, LOCAL_SETTINGS.read_text("utf-8"))


def _as_environment_file(values: dict[str, str]) -> str:
    """Lines that a shell (``set -a; . FILE``) and dotenv readers can read."""
    quoted = {name: "'" + value.replace("'", "'\\''") + "'" for name, value in values.items()}
    return "".join(f"{name}={value}\n" for name, value in quoted.items())
