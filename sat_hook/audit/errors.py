"""Errors of audits: checkpoints, publication, rebuilds and exports."""

from __future__ import annotations

from sat_hook.domain.checkpoint import CheckpointText
from sat_hook.domain.errors import NoRetryError


class BrokenLogError(NoRetryError):
    """Base: a retry cannot merge two logs or repair one. A person must act."""


class LogDamagedError(BrokenLogError):
    """A verification found problems; the text counts them."""


class CheckpointForkedError(BrokenLogError):
    """The published checkpoints differ from the database: one of them was altered, or restored from a backup.

    :param number: a checkpoint that differs; the verification finds the first.
    """

    def __init__(self, number: int) -> None:
        super().__init__(
            f"checkpoint {number} was published with other contents than the database has: found two logs, "
            "expected one (run: sat log verify; after a restore, publish to a new place)"
        )
        self.number = number


class CheckpointAheadError(BrokenLogError):
    """The last signed checkpoint covers more than the log holds: the end of the log is missing."""

    def __init__(self, text: CheckpointText, newest: int) -> None:
        super().__init__(
            f"checkpoint {text.number}: found a log that ends at position {newest}; expected one up to "
            f"{text.last_position}, which was signed (run: sat log verify)"
        )


class UnknownAuditKeyError(BrokenLogError):
    """No stored checkpoint has a trusted signature, although some were published."""

    def __init__(self) -> None:
        super().__init__(
            "no checkpoint was signed with a key that is trusted here: after a change of the audit key, name "
            "the older public key (public_key_paths of sat_audit, SAT_AUDIT_OLDER_KEY_PATHS)"
        )


class ExportNotFoundError(NoRetryError):
    """There is no export with this id."""


class ExportRefusedError(NoRetryError):
    """The request cannot be exported; the text says why."""


class AuditSignatureError(Exception):
    """The signature is invalid: made by an unknown key, or over other bytes."""


class PublicationError(RuntimeError):
    """The place of publication cannot be read or written. The text names it."""


class RebuildRefusedError(RuntimeError):
    """The log cannot be folded, so nothing was rebuilt or changed. Verify the log first."""


class ArchiveUnreadableError(NoRetryError):
    """An archive file is gone, cannot be read or was changed; the text says which."""


class ArchiveRefusedError(NoRetryError):
    """A partition cannot be archived or brought back; nothing was changed. The text says why."""
