"""Exit codes of commands, and their errors: one line with where, what was found and what was expected."""

from __future__ import annotations

import sys
from enum import IntEnum
from importlib.util import find_spec
from typing import Self

FULL_PACKAGE = "the full package, sat-bulk-orders: the command works on the database, or on files, by itself"
ONLY_IN_THE_FULL_PACKAGE = "sat_hook.plugin"


class ExitCode(IntEnum):
    """How a command ends that is not done; docs/deploy.md has the table."""

    FOUND_TROUBLE = 1
    CANNOT_RUN = 2
    STILL_RUNNING = 3
    INTERRUPTED = 130


class CommandError(Exception):
    """The command cannot be done. The text is for the user and holds no secret."""

    @classmethod
    def at(cls, where: str, found: str, expected: str) -> Self:
        """Make an error in the usual form."""
        return cls(f"{where}: found {found}; expected {expected}")

    @classmethod
    def of_system(cls, where: str, error: OSError, expected: str) -> Self:
        """Return the operating system's message about a file or an address."""
        is_directory = isinstance(error, IsADirectoryError)
        found = "a directory" if is_directory else (error.strerror or type(error).__name__).lower()
        return cls.at(where, found, expected)


class UnavailableError(CommandError):
    """Airflow, or a database behind it, is away. It may be back soon."""


# Errors whose text was written for users. They are listed by module, so that no import is needed to
# recognise them: an error whose module was not imported cannot have been raised.
_SPEAKING = {
    "sat_hook.store.errors": (
        "StoreUnavailableError",
        "StoreRefusedError",
        "UnsettledPositionError",
        "MigrationError",
    ),
    "sat_hook.receiver.errors": ("ReceiverSettingsError",),
    "sat_hook.domain.errors": ("StepError",),
    "sat_hook.pipeline.errors": ("SubmissionRefusedError",),
    "sat_hook.audit.errors": ("RebuildRefusedError", "PublicationError"),
}


def sentence_for(error: Exception) -> str | None:
    """Return one line for ``error``, or None for a defect of ours, which gets its traceback."""
    if isinstance(error, CommandError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and find_spec(ONLY_IN_THE_FULL_PACKAGE) is None:
        return f"this command: found an installation of sat-command; expected {FULL_PACKAGE}"
    for module_name, names in _SPEAKING.items():
        module = sys.modules.get(module_name)
        if module is not None and isinstance(error, tuple(getattr(module, name) for name in names)):
            return " ".join(str(error).split())
    return _sentence_of_postgres(error)


def _sentence_of_postgres(error: Exception) -> str | None:
    module = sys.modules.get("psycopg2")
    if module is None or not isinstance(error, module.Error):
        return None
    from psycopg2 import errors

    first_line = str(error).strip().partition("\n")[0]
    if isinstance(error, errors.InsufficientPrivilege):
        return f"the database: {first_line}; expected a role that may do this (see sql/privileges.sql)"
    if isinstance(error, (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedFunction)):
        return f"the database: {first_line}; expected this release's schema (run: sat db migrate)"
    return f"the database: {first_line}"
