"""People's words for errors: by its type or its code, with its facts. The English message is for support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sat_hook.application.errors import (
    AccountUnclearError,
    CursorError,
    DecisionNotFoundError,
    DraftChangedError,
    DraftNotFoundError,
    ListingRefusedError,
    MissingKeyError,
    NothingToPayAgainError,
    RecheckRefusedError,
    RightsFileError,
    RunsError,
    SelectionChangedError,
    StartRefusedError,
    WrongAccountError,
)
from sat_hook.audit.errors import ExportRefusedError
from sat_hook.commands.errors import (
    BatchNotFoundError,
    ContentionError,
    OverrideRefusedError,
    ReasonRefusedError,
)
from sat_hook.domain.errors import NotificationRefusedError, StepError, WebhookRefusedError
from sat_hook.pipeline.errors import (
    AccountPausedError,
    BatchStoppedError,
    OrderNotFoundError,
    RulesRefusedError,
    SubmissionRefusedError,
)
from sat_hook.protocol.errors import SATError
from sat_hook.store.errors import (
    LogArchivedError,
    StoreRefusedError,
    StoreUnavailableError,
    UnsettledPositionError,
)
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _

REFUSALS: Mapping[str, str] = {
    "empty": _("There are no rows in it."),
    "bad_mapping": _("A column has a meaning that does not exist."),
    "too_many_mappings": _("There are too many saved mappings for this account. Delete one."),
    "bad_title": _("A column has a title that cannot be used."),
    "column_twice": _("Two columns have the same meaning. Call one of them a note."),
    "missing_column": _(
        "A column is missing: the order id, the product and the customer's number are needed."
    ),
    "unknown_column": _("Say for each column what it is."),
    "no_such_sheet": _("The workbook has no sheet of this name."),
    "not_csv": _("The file cannot be read as a table."),
    "too_large": _("It is too large. Split it in two."),
    "too_long": _("The text is too long for a cell."),
    "too_many_columns": _("There are too many columns."),
    "too_many_rows": _("There are too many rows. Split the file in two."),
    "too_many_changes": _(
        "There are too many changes. Mend the other rows in your spreadsheet, and upload it again."
    ),
    "workbook_damaged": _("The workbook is damaged. Save it again in your spreadsheet."),
    "workbook_limit": _("The workbook is too large. Split it in two."),
    "workbook_locked": _("The workbook has a password. Save it without one."),
    "workbook_old": _("The workbook has an old format. Save it as XLSX."),
    "workbook_other": _("This is not a workbook that can be read. Save it as XLSX or CSV."),
    "too_many_drafts": _("You have too many drafts. Pay or discard one first."),
    "bad_start": _("The time must be ahead, and within 30 days."),
    "not_checked": _("Check the rows first."),
    "no_such_cell": _("There is no such cell any more."),
    "bad_row": _("Rows are wrong, and the batch was to be paid as a whole or not at all."),
    "bad_rows": _("Rows cannot be paid, and the batch was to be paid as a whole or not at all."),
    "insufficient_funds": _("The deposit was too small."),
    "approval_rejected": _("The batch was not approved."),
    "withdrawn": _("The batch was withdrawn."),
}
"""Why a file, a draft or a batch is refused, by its code."""

WORDS: Mapping[type[Exception], str] = {
    AccountPausedError: _("The account is paused, so nothing can be submitted or sent."),
    AccountUnclearError: _("It is not clear which account is meant. Choose one."),
    BatchNotFoundError: _("There is no such batch."),
    BatchStoppedError: _("The batch has nothing that this can be done with."),
    ContentionError: _("It kept changing at this moment, and nothing was recorded. Try again."),
    CursorError: _("The address of this page is out of date. Begin with the first page of the list."),
    DecisionNotFoundError: _("There is no such decision."),
    DraftChangedError: _(
        "The draft was changed in the meantime, perhaps in another tab. This is how it is now."
    ),
    ExportRefusedError: _(
        "This pack cannot be made or taken. Its days must be in order and not ahead, and one with personal "
        "data is only for the person who asked for it."
    ),
    DraftNotFoundError: _("This draft is gone: it was paid or discarded, or it was older than seven days."),
    ListingRefusedError: _("The list cannot be made like this. Choose a narrower filter."),
    LogArchivedError: _(
        "Its history is archived in a file. An administrator can bring it back, with the command below."
    ),
    LookupError: _("This is not here any more."),
    MissingKeyError: _("A key is missing in the account's connection. An administrator adds it in Airflow."),
    NotificationRefusedError: _("A notification cannot be set up like this."),
    WebhookRefusedError: _("A webhook cannot be set up like this."),
    NothingToPayAgainError: _("No order of this batch can be paid again: none failed, or all were."),
    OrderNotFoundError: _("There is no such order."),
    OverrideRefusedError: _("Its state does not allow this. Perhaps another person was quicker."),
    ReasonRefusedError: _("Please give a reason of 3 to 500 characters. Nothing was recorded."),
    RecheckRefusedError: _("This order was never sent, so SAT cannot know it."),
    RightsFileError: _("The rights cannot be read, so no one has any. An administrator corrects the file."),
    RulesRefusedError: _("The rules cannot be changed like this. Perhaps another person was quicker."),
    RunsError: _("Airflow did not carry this out. Try again; if it stays so, ask an administrator."),
    SATError: _("SAT did not answer as it should. Nothing was changed. Try again in a few minutes."),
    SelectionChangedError: _("The chosen orders have changed since you saw them. Look at them again."),
    StartRefusedError: _("The run cannot be started or cancelled now. Look at the batch again."),
    StepError: _("This is not possible now. Look at it again."),
    StoreRefusedError: _("The form holds a text that cannot be kept."),
    StoreUnavailableError: _("The database is away for a moment. Try again."),
    SubmissionRefusedError: _("The file cannot become a batch."),
    UnsettledPositionError: _("The log is not settled up to this position yet. Try again in a moment."),
    WrongAccountError: _("The connection in Airflow is another account's. An administrator corrects it."),
}
"""By type; an error that is not listed is told like its nearest listed base class."""

FACTS: Mapping[str, str] = {
    "row": _("row %(value)s"),
    "column": _("column %(value)s"),
    "columns": _("columns: %(value)s"),
    "sheet": _("sheet: %(value)s"),
    "found": _("found: %(value)s"),
    "most": _("at most: %(value)s"),
    "days": _("at most %(value)s days ahead"),
}
"""Facts of an error, by name."""


class Explained(NamedTuple):
    """An error for people.

    :param said: a sentence in the person's language.
    :param detail: the English message, for support; empty where it adds nothing.
    """

    said: str
    detail: str


def explained(error: Exception, wording: Wording) -> Explained | None:
    """What went wrong, in the person's language; None for an error of another kind."""
    code = str(getattr(error, "code", ""))
    known = (WORDS[kind] for kind in type(error).__mro__ if kind in WORDS)
    said = REFUSALS.get(code) or next(known, None)
    if said is None:
        return None
    facts: Mapping[str, int | str] = getattr(error, "facts", {})
    told = [
        wording.text(FACTS[name]) % {"value": wording.number(fact) if isinstance(fact, int) else fact}
        for name, fact in facts.items()
        if name in FACTS and fact != ""
    ]
    return Explained(f"{wording.text(said)} ({'; '.join(told)})" if told else wording.text(said), str(error))
