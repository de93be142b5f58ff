"""Errors that stop a use case. Adapters translate the types; the texts are for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.domain.errors import NoRetryError, StepError
from sat_hook.pipeline.errors import CodedRefusalError, StoppedError, SubmissionRefusedError
from sat_hook.reconciliation.errors import BooksRefusedError

if TYPE_CHECKING:
    from sat_hook.application.rights import Right


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


class DraftRefusedError(CodedRefusalError, SubmissionRefusedError):
    """An upload, or a change of a draft, is refused."""


class EventNotFoundError(LookupError):
    """The log has no event at this position."""


class WebhookNotFoundError(LookupError):
    """There is no webhook of this name; the text names those that there are."""


class RunNotFoundError(LookupError):
    """Airflow has no such run."""


class StartRefusedError(StepError):
    """The run cannot be started or cancelled; the text says why."""


class BreaksChangedError(NoRetryError):
    """The chosen breaks are not those that the preview showed; nothing was decided."""


class SelectionChangedError(NoRetryError):
    """The chosen orders are not those that the preview showed; nothing was decided."""


class DecisionNotFoundError(LookupError):
    """There is no decision of this id, or it was deleted some weeks after its end."""


class DayNotClosedError(LookupError):
    """The day is not closed; the text names it."""


class CursorError(ValueError):
    """A cursor that is not of this list; the text says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "cursor: found one of another list, filter or sort; expected the one that came with the page "
            "before, or none to begin again"
        )


class AccountUnclearError(ValueError):
    """It is not clear which account is meant; the text names the ones that are possible."""


class ListingRefusedError(ValueError):
    """A list cannot be made so. The text says what was found and expected."""


class NothingToPayAgainError(NoRetryError):
    """No order of the batch failed."""


class RightMissingError(PermissionError):
    """A person lacks the right for a use case. The text names the right and where it is given.

    :ivar rights: the rights of which one would suffice.
    """

    def __init__(self, name: str, *rights: Right) -> None:
        super().__init__(
            f"user {name!r} lacks the right {' or '.join(rights)}, which the file named by SAT_RIGHTS_FILE "
            "gives"
        )
        self.rights = rights


class ProductNotListedError(LookupError):
    """A product that no price list of the account ever had; the text names similar ones."""


class RightsFileError(RuntimeError):
    """The rights file cannot be used; the text says why. Until it is fixed, no user has any right."""


class RunsError(RuntimeError):
    """Airflow refused a request about a run, or did not answer; the text holds Airflow's reason.

    :ivar status: the HTTP status.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class BadLimitError(ValueError):
    """An environment variable has a value of the wrong kind, or names an unknown limit."""


class RivalFilesError(BooksRefusedError):
    """Another file of the day has the same orders; the person must say that this one replaces it."""


class RecheckRefusedError(StepError):
    """SAT is not asked about this order; the text says why."""


class RetentionPolicyError(NoRetryError):
    """The retention policy cannot be used; the text says file, key, found and expected."""
