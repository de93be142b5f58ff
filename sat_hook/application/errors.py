"""Errors that stop a use case. Adapters translate the types; the texts are for people."""

from __future__ import annotations

from sat_hook.pipeline.errors import PipelineError


class ApplicationError(PipelineError):
    """Base: a person must change something first; a retry does not help."""

    is_worth_a_retry = False


class WrongAccountError(ApplicationError):
    """The connection belongs to another account than the order or batch; nothing was done."""


class MissingKeyError(ApplicationError):
    """The connection lacks a key that is needed to send orders or to end them."""


class BatchRefusedError(ApplicationError):
    """The deposit does not suffice and the policy is to refuse: the batch has ended."""
