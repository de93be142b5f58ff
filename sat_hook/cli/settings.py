"""The commands' settings: from the environment first, then from one file of ``NAME=value``.

The file is named by ``--config`` or ``$SAT_CONFIG``. Without either, the current folder and its parents are
searched for ``.stack/sat.env``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sat_hook.cli.errors import CommandError
from sat_hook.store.errors import UntrustedFileError
from sat_hook.store.private_files import read_trusted

CONFIG_VARIABLE = "SAT_CONFIG"
USUAL_FILE = Path(".stack") / "sat.env"
MAXIMUM_FILE_BYTES = 64 * 1024

KEYS: Mapping[str, str] = {
    "SAT_DB_DSN": "the application database's DSN for the role sat_reader",
    "SAT_OWNER_DSN": "the application database's DSN for the schema's owner",
    "SAT_ADMIN_DSN": "the DSN of a superuser, or of a role with CREATEROLE",
    "SAT_AIRFLOW_URL": "the URL of Airflow's API server, for example http://127.0.0.1:8080",
    "SAT_AIRFLOW_USER": "an Airflow user",
    "SAT_AIRFLOW_PASSWORD": "that user's password",
    "SAT_AIRFLOW_TOKEN": "an Airflow API token",
    "SAT_AUDIT_PUBLIC_KEYS": "paths of public audit keys (PEM), separated by commas",
    "SAT_STATUS_PUBLIC_KEYS": "paths of SAT's public keys (PEM), separated by commas",
    "SAT_WITHDRAWN_KEYS": "keys of SAT's that are believed no more: FINGERPRINT=TIME, separated by commas",
    "SAT_CHECKPOINTS_URI": "where checkpoints are published: a folder, or a URI like s3://bucket/checkpoints",
    "SAT_SPOOL_URI": "the spool of submitted files, for example file:///var/lib/sat/spool",
    "SAT_RESULTS_URI": "the spool of result files, for example file:///var/lib/sat/results",
    "SAT_ARCHIVE_URI": "where archive files are stored, for example file:///var/lib/sat/archive",
    "SAT_RETENTION_FILE": "the path of the retention policy (TOML)",
    "SAT_WRITER_PASSWORD": "a password for the role sat_writer",
    "SAT_READER_PASSWORD": "a password for the role sat_reader",
    "SAT_RECEIVER_PASSWORD": "a password for the role sat_receiver",
}
"""Every key that is read, and what it should hold."""


@dataclass(frozen=True, slots=True, repr=False)
class CommandSettings:
    """The values found for :data:`KEYS`. Most are secrets, so the repr shows none."""

    values: Mapping[str, str]
    places: str
    is_local: bool = False
    """Whether the settings are those of a checkout's stack, which may have been stopped."""

    def __repr__(self) -> str:
        return f"CommandSettings({', '.join(sorted(self.values))})"

    def get(self, key: str) -> str | None:
        """Return the value, or None when it is missing or empty."""
        return self.values.get(key) or None

    def require(self, key: str) -> str:
        """Return the value.

        :raises CommandError: naming the key, where it was searched for and what it should hold.
        """
        value = self.get(key)
        if value is None:
            raise CommandError.at(f"setting {key} (looked in {self.places})", "nothing", KEYS[key])
        return value


def find_settings(config: Path | None, environment: Mapping[str, str], folder: Path) -> CommandSettings:
    """Return the settings for this invocation.

    :param config: the file of ``--config``.
    :param folder: where the search for the usual file begins.
    :raises CommandError: the file cannot be read, belongs to another user, or has a line that is not
        NAME=value.
    """
    named = config or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    path = named or _usual_file(folder)
    from_file = _read(path) if path is not None else {}
    from_environment = {key: environment[key] for key in KEYS if environment.get(key)}
    where = str(path) if path is not None else f"no {USUAL_FILE} here or above"
    is_local = path is not None and path.parts[-2:] == USUAL_FILE.parts
    return CommandSettings({**from_file, **from_environment}, f"the environment and {where}", is_local)


def hint_at_stopped_stack(settings: CommandSettings, sentence: str) -> str:
    """A sentence that says nothing answers, and what to do about it where that is certain."""
    return (
        f"{sentence} (the local stack seems to be stopped; start it with: make up)"
        if settings.is_local
        else sentence
    )


def _usual_file(folder: Path) -> Path | None:
    for parent in (folder, *folder.parents):
        candidate = parent / USUAL_FILE
        if candidate.is_file():
            return candidate
    return None


def _read(path: Path) -> dict[str, str]:
    try:
        text = read_trusted(path, MAXIMUM_FILE_BYTES).decode("utf-8")
    except UntrustedFileError as error:
        # A file of another user could send the passwords to that user's server.
        raise CommandError.at(f"{path}", error.found, error.expected) from None
    except OSError as error:
        raise CommandError.of_system(f"{path}", error, "a file of NAME=value lines") from None
    except UnicodeDecodeError:
        raise CommandError.at(f"{path}", "bytes that are no UTF-8", "a file of NAME=value lines") from None
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip().removeprefix("export ")
        if stripped and not stripped.startswith("#"):
            name, value = _assignment(path, number, stripped)
            values[name] = value
    return values


def _assignment(path: Path, number: int, line: str) -> tuple[str, str]:
    name, equals, quoted = line.partition("=")
    name = name.strip()
    try:
        words = shlex.split(quoted)
    except ValueError:
        words = ["", ""]
    if not equals or not name.isidentifier() or len(words) > 1:
        # The line is not shown: it may be part of a password.
        raise CommandError.at(
            f"{path} line {number}", "something else", "NAME=value, quoted if it has spaces or quotes"
        )
    return name, words[0] if words else ""
