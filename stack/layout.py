"""The files of the local stack, all in ``.stack/`` of the checkout.

The server's user can enter the folder when PostgreSQL cannot run as root. Files with secrets are readable
only by their owner.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one stack.

    :param checkout: the folder with ``dags/`` and ``plugins/``.
    :param state: the folder for everything that the stack writes.
    """

    checkout: Path
    state: Path

    @classmethod
    def here(cls) -> Layout:
        """The checkout that this package was installed from."""
        checkout = Path(__file__).resolve().parent.parent
        return cls(checkout, checkout / ".stack")

    @property
    def postgres(self) -> Path:
        """Data and log of the embedded server; owned by the server's user."""
        return self.state / "postgres"

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME: task logs, passwords of the login page."""
        return self.state / "airflow"

    @property
    def airflow_config(self) -> Path:
        """The folder from which Airflow's processes import their local settings."""
        return self.airflow_home / "config"

    @property
    def airflow_passwords(self) -> Path:
        """The password file of SimpleAuthManager."""
        return self.airflow_home / "passwords.json"

    @property
    def keys(self) -> Path:
        """Both key pairs of the SAT server, and the audit key pair."""
        return self.state / "keys"

    @property
    def audit_private_key(self) -> Path:
        """The audit key, which signs checkpoints."""
        return self.keys / "audit_private.pem"

    @property
    def audit_public_key(self) -> Path:
        """The public audit key, for auditors."""
        return self.keys / "audit_public.pem"

    @property
    def checkpoints(self) -> Path:
        """The published checkpoints."""
        return self.state / "checkpoints"

    @property
    def sandbox_journal(self) -> Path:
        """The SAT server's journal, which keeps its charges across a restart."""
        return self.state / "sandbox.journal"

    @property
    def sandbox_credentials(self) -> Path:
        """The SAT server's client ids and their secrets."""
        return self.state / "sandbox-credentials.json"

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.state / "logs"

    @property
    def processes(self) -> Path:
        """One record for each process that was started."""
        return self.state / "processes"

    @property
    def spool(self) -> Path:
        """Submitted files for the workers (``batches/``), and result files (``results/``)."""
        return self.state / "spool"

    @property
    def settlements(self) -> Path:
        """SAT's settlement files, a folder for each account."""
        return self.state / "settlements"

    @property
    def demo(self) -> Path:
        """The files that the last demonstration submitted, and the output of the command ``sat``."""
        return self.state / "demo"

    @property
    def credentials(self) -> Path:
        """All generated passwords and keys of the stack."""
        return self.state / "secrets.json"

    @property
    def ports(self) -> Path:
        """The ports of the last start."""
        return self.state / "ports.json"

    @property
    def receiver_settings(self) -> Path:
        """The file for SAT_RECEIVER_CONFIG."""
        return self.state / "receiver.json"

    @property
    def rights(self) -> Path:
        """The file for SAT_RIGHTS_FILE."""
        return self.state / "rights.json"

    @property
    def command_line_settings(self) -> Path:
        """The settings of the command ``sat``."""
        return self.state / "sat.env"

    @property
    def airflow_settings(self) -> Path:
        """The environment of the Airflow processes, for running ``airflow`` by hand."""
        return self.state / "airflow.env"

    @property
    def prepared(self) -> Path:
        """The inputs of the last set-up."""
        return self.state / "prepared.json"

    def make_folders(self) -> None:
        """Create the missing folders.

        :raises PermissionError: the folder belongs to another user.
        """
        if self.state.exists() and not os.access(self.state, os.W_OK):
            raise PermissionError(
                f"{self.state} belongs to another user: run as that user, or remove it as that user"
            )
        self.state.mkdir(exist_ok=True)
        self.state.chmod(0o755)
        private = (
            self.airflow_home,
            self.airflow_config,
            self.keys,
            self.logs,
            self.processes,
            self.spool,
            self.checkpoints,
            self.settlements,
            self.demo,
        )
        for folder in private:
            folder.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically, readable only by its owner from the first byte."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.replace(path)
