"""What can go wrong when a command is decided."""

from __future__ import annotations

from sat_hook.domain.errors import StepError


class ContentionError(StepError):
    """A stream kept changing while a command for it was decided; something else is working on it."""


class BatchNotFoundError(StepError):
    """No batch has this id."""

    is_worth_a_retry = False


class OverrideRefusedError(StepError):
    """What a person asked for is not possible as things stand; the text says why."""

    is_worth_a_retry = False


class ReasonRefusedError(OverrideRefusedError):
    """The reason says nothing, too much, or cannot be printed."""
