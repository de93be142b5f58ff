"""Errors of deciding a command."""

from __future__ import annotations

from sat_hook.domain.errors import NoRetryError, StepError


class ContentionError(StepError):
    """A stream kept changing while a command for it was decided; another process is working on it."""


class BatchNotFoundError(NoRetryError):
    """No batch has this id."""


class OverrideRefusedError(NoRetryError):
    """A person's request is not possible in the current state; the text says why."""


class ReasonRefusedError(OverrideRefusedError):
    """The reason is empty, too long, or not printable."""
