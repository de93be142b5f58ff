"""Errors that stop a use case. Adapters translate the types; the texts are for people."""

from __future__ import annotations

from sat_hook.pipeline.errors import StoppedError


class WrongAccountError(StoppedError):
    """The connection belongs to another account than the order or batch; nothing was done."""


class MissingKeyError(StoppedError):
    """The connection lacks a key that is needed to send orders or to end them."""


class BatchRefusedError(StoppedError):
    """The deposit does not suffice and the policy is to refuse: the batch has ended."""
