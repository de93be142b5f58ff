"""Errors of the receiver itself. A refused callback is an answer, not an error."""

from __future__ import annotations


class InboxError(RuntimeError):
    """The callback was not stored, or its outcome is unknown: the sender must retry."""


class InboxFullError(InboxError):
    """More callbacks wait for a commit than the limit allows."""


class InboxUnavailableError(InboxError):
    """The database did not store the callback in time."""


class ReceiverSettingsError(ValueError):
    """The receiver cannot start from this configuration; the text names file, field, found and expected."""
