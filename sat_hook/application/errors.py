"""What stops a use case, as types; adapters translate them, and the texts are for people."""

from __future__ import annotations

from sat_hook.pipeline.errors import PipelineError


class ApplicationError(PipelineError):
    """Base: a person has to change something first, and no retry helps."""

    is_worth_a_retry = False


class WrongAccountError(ApplicationError):
    """The connection is that of another account than the order's or the batch's; nothing was done."""


class MissingKeyError(ApplicationError):
    """The connection lacks a key without which no order can be sent, or none can end."""


class BatchRefusedError(ApplicationError):
    """The deposit does not reach and the policy is to refuse: the batch has ended."""
