"""What can go wrong with the pipeline itself. The end of an order is never an exception (law 9)."""

from __future__ import annotations

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.domain.errors import StepError


class PipelineError(StepError):
    """Base of the pipeline's own trouble: the step did not finish and can be run again."""

    is_worth_a_retry = True


class OrderNotFoundError(PipelineError):
    """No order has this request id."""

    is_worth_a_retry = False


class OrderNotTakenError(PipelineError):
    """What was ordered cannot become an order; the text says why. Nothing was sent."""

    is_worth_a_retry = False


class RulesRefusedError(OverrideRefusedError):
    """The account's rules cannot be changed so; the text says why."""


class RunRefusedError(PipelineError):
    """The run is looser than the rules of its account; it does nothing."""

    is_worth_a_retry = False


class BatchStoppedError(PipelineError):
    """The batch cannot go on until a person has done something; the text says what."""

    is_worth_a_retry = False


class SATUnavailableError(PipelineError):
    """SAT did not answer as it should; nothing was concluded about any order."""


class ApproverRefusedError(PipelineError):
    """The answer to a request for approval does not count, because of who gave it."""


class ApprovalTermsChangedError(PipelineError):
    """The batch is not what was shown to its approver any more; another run asks anew."""

    is_worth_a_retry = False


class ApprovalRejectedError(PipelineError):
    """A person does not want these orders to be paid."""

    is_worth_a_retry = False


class ChargedAboveQuoteError(PipelineError):
    """SAT charged more than was quoted: the chunk stopped before it happens again."""

    is_worth_a_retry = False


class AccountPausedError(PipelineError):
    """A person paused the account; nothing more is sent until a person resumes it."""

    is_worth_a_retry = False


class ClockApartError(PipelineError):
    """This machine's clock differs too much from the database's for anything to be sent from here."""


class NotReservedError(PipelineError):
    """No funds stand behind any order of the batch, so nothing of it is sent; reserve first."""

    is_worth_a_retry = False


class ChunkIncompleteError(PipelineError):
    """Some orders of the chunk were not sent; they are still quoted and safe to send by another try."""


class SubmissionRefusedError(ValueError):
    """The submitted file cannot become a batch. The text names the file, what was found and expected."""
