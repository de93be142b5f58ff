"""Where the local stack keeps things: everything lies in ``.stack/`` of the checkout.

The folder itself can be entered by the server's user when PostgreSQL may not run as root; what holds secrets
inside it is readable by its owner alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one stack.

    :param checkout: where ``dags/`` and ``plugins/`` are.
    :param state: everything the stack writes.
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
        """Data and log of the embedded server; belongs to the server's user."""
        return self.state / "postgres"

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME: task logs, passwords of the login page."""
        return self.state / "airflow"

    @property
    def airflow_passwords(self) -> Path:
        """What SimpleAuthManager reads."""
        return self.airflow_home / "passwords.json"

    @property
    def keys(self) -> Path:
        """Both key pairs of the SAT server, and the audit key's."""
        return self.state / "keys"

    @property
    def audit_private_key(self) -> Path:
        """The audit key, which signs checkpoints."""
        return self.keys / "audit_private.pem"

    @property
    def audit_public_key(self) -> Path:
        """What auditors are given."""
        return self.keys / "audit_public.pem"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are published."""
        return self.state / "checkpoints"

    @property
    def sandbox_journal(self) -> Path:
        """What the SAT server charged, kept over a restart as a real one would."""
        return self.state / "sandbox.journal"

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
        """Submitted files as workers read them (``batches/``), and result files (``results/``)."""
        return self.state / "spool"

    @property
    def settlements(self) -> Path:
        """Where SAT's settlement files are put, a folder for each account."""
        return self.state / "settlements"

    @property
    def demo(self) -> Path:
        """The files that the last demonstration submitted, and what the command ``sat`` said."""
        return self.state / "demo"

    @property
    def credentials(self) -> Path:
        """Every generated password and key of the stack."""
        return self.state / "secrets.json"

    @property
    def ports(self) -> Path:
        """The ports taken last time."""
        return self.state / "ports.json"

    @property
    def receiver_settings(self) -> Path:
        """What SAT_RECEIVER_CONFIG names."""
        return self.state / "receiver.json"

    @property
    def rights(self) -> Path:
        """What SAT_RIGHTS_FILE names."""
        return self.state / "rights.json"

    @property
    def command_line_settings(self) -> Path:
        """What the command ``sat`` reads."""
        return self.state / "sat.env"

    @property
    def airflow_settings(self) -> Path:
        """The environment of the Airflow processes, for whoever wants to run ``airflow`` by hand."""
        return self.state / "airflow.env"

    @property
    def prepared(self) -> Path:
        """What the last set-up was made for."""
        return self.state / "prepared.json"

    def make_folders(self) -> None:
        """Make what is missing.

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
    """Replace a file at once, readable by its owner alone from its first byte."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.replace(path)
