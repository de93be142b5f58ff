"""Errors that stop a use case. Adapters translate the types; the texts are for people."""

from __future__ import annotations

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.pipeline.errors import StoppedError, SubmissionRefusedError


class WrongAccountError(StoppedError):
    """The connection belongs to another account than the order or batch; nothing was done."""


class MissingKeyError(StoppedError):
    """The connection lacks a key that is needed to send orders or to end them."""


class BatchRefusedError(StoppedError):
    """The deposit does not suffice and the policy is to refuse: the batch has ended."""


class BreakNotFoundError(LookupError):
    """There is no such break, or it has no such file."""


class UploadNotFoundError(LookupError):
    """The person has no upload of this id."""


class FileRefusedError(SubmissionRefusedError):
    """An uploaded file cannot be used; the text says file, found and expected."""


class OwnBatchError(OverrideRefusedError):
    """The batch's maker decided what needs another person; nothing was changed."""


class DraftChangedError(StoppedError):
    """The draft was changed in the meantime, or submitted; nothing was changed now."""


class DraftNotFoundError(LookupError):
    """The person has no draft of this id."""


class DraftRefusedError(SubmissionRefusedError):
    """An upload, or a change of a draft, is refused.

    :ivar code: a short name for the problem.
    :ivar facts: where it is, what was found and expected, by name: for pages in any language.
    """

    def __init__(self, code: str, message: str, **facts: int | str) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts
