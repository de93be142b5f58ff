"""Errors of the pipeline itself. The end of an order is never an exception (law 9)."""

from __future__ import annotations

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.domain.errors import NoRetryError, StepError


class PipelineError(StepError):
    """Base of the pipeline's errors: the step did not finish and can be run again."""


class StoppedError(PipelineError, NoRetryError):
    """Base of those that a retry does not help."""


class OrderNotFoundError(StoppedError):
    """No order has this request id."""


class OrderNotTakenError(StoppedError):
    """The input cannot become an order; the text says why. Nothing was sent."""


class RulesRefusedError(OverrideRefusedError):
    """The account's rules cannot be changed in this way; the text says why."""


class RunRefusedError(StoppedError):
    """The run is less strict than the rules of its account; it does nothing."""


class BatchStoppedError(StoppedError):
    """The batch cannot go on until a person acts; the text says what to do."""


class SATUnavailableError(PipelineError):
    """SAT gave no usable answer; no order was changed."""


class ApproverRefusedError(PipelineError):
    """The answer to a request for approval does not count because of the user who gave it."""


class LeftOutRefusedError(StoppedError):
    """An approver left out orders that were not asked for, all of them, or gave no reason."""


class ApprovalTermsChangedError(StoppedError):
    """The batch has changed since it was shown to its approver; another run asks again."""


class ApprovalRejectedError(StoppedError):
    """A person rejected these orders."""


class ChargedAboveQuoteError(StoppedError):
    """SAT charged more than was quoted: the chunk stopped before it happens again."""


class AccountPausedError(StoppedError):
    """A person paused the account; nothing more is sent until a person resumes it."""


class ClockApartError(PipelineError):
    """This machine's clock differs too much from the database's; this machine sends nothing."""


class NotReservedError(StoppedError):
    """No order of the batch has a reservation, so none is sent; reserve first."""


class ChunkIncompleteError(PipelineError):
    """Some orders of the chunk were not sent; they are still quoted, and another try can safely send them."""


class SubmissionRefusedError(ValueError):
    """The submitted file cannot become a batch. The text names the file, what was found and expected."""


class CodedRefusalError(ValueError):
    """Base of the refusals that pages tell in any language.

    :ivar code: a short name for the problem.
    :ivar facts: where it is, what was found and expected, by name.
    """

    def __init__(self, code: str, message: str, **facts: int | str) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts


class OrderFileError(CodedRefusalError):
    """The whole file cannot be read as orders."""
