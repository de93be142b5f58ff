"""The pages of a draft, rendered: its start, its columns, its rows, and how it is paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fastapi.responses import Response

from sat_hook.application.batch_standing import BatchRow
from sat_hook.application.column_mappings import ColumnMappings
from sat_hook.application.draft_submissions import LONGEST_WAIT_DAYS
from sat_hook.application.draft_views import DraftView
from sat_hook.application.drafts import Drafts
from sat_hook.application.errors import RunsError
from sat_hook.domain.business_day import WIB
from sat_hook.domain.errors import StepError
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.pipeline.order_columns import RESULT_COLUMNS
from sat_hook.pipeline.order_problems import FIELD_PREFIX, NOTE_PREFIX
from sat_hook.protocol.errors import SATError
from sat_hook.web.console import draft_words, words
from sat_hook.web.console.draft_words import FINDINGS
from sat_hook.web.console.error_words import Explained, explained
from sat_hook.web.console.site import Site

PAGE_ROWS = 50
SAMPLE_ROWS = 3

REFUSED = (SubmissionRefusedError, StepError, SATError, RunsError)
"""Errors that a draft's page shows by itself, so that the person can go on."""


class Place(NamedTuple):
    """A place in the check's page: the rows that it shows, and the one that is being changed."""

    light: str
    after: int
    edit: int | None = None
    focus: int | None = None

    @property
    def query(self) -> dict[str, object]:
        """Of its address, without the row."""
        return {"light": self.light, "after": self.after or None}


def start_page(
    site: Site,
    drafts: Drafts,
    accounts: Mapping[str, str],
    *,
    problem: Explained | None = None,
    account: str = "",
    pasted: str = "",
) -> Response:
    """Where a file is dropped or rows are pasted, and the person's drafts.

    :param problem: why the upload for ``account`` was refused; ``pasted`` are its rows, if they were pasted.
    """
    root = site.request.scope.get("root_path", "")
    return site.page(
        "new",
        422 if problem else 200,
        drafts=[view for view in drafts.all_of(site.person) if view.draft.batch_id is None],
        accounts=list(accounts.values()),
        templates=f"{root}/v1/order-templates",
        problem=problem,
        chosen=account,
        pasted=pasted,
    )


def columns_page(site: Site, drafts: Drafts, view: DraftView, error: Exception | None = None) -> Response:
    """Our columns beside theirs, with the first values."""
    return site.page(
        "draft_columns",
        _status(error),
        step="columns",
        view=view,
        draft=view.draft,
        samples=drafts.rows(view.draft_id, site.person, limit=SAMPLE_ROWS).rows,
        mappings=ColumnMappings(drafts.installation).of_account(view.draft.account, site.person),
        results=RESULT_COLUMNS,
        note=NOTE_PREFIX,
        field=FIELD_PREFIX,
        problem=why(site, error),
    )


def rows_page(
    site: Site,
    drafts: Drafts,
    view: DraftView,
    at: Place,
    *,
    error: Exception | None = None,
    typed: dict[int, str] | None = None,
    batch: BatchRow | None = None,
) -> Response:
    """What the check says, and the rows.

    :param error: why a change was refused.
    :param typed: the texts of the row that was being changed, by place.
    :param batch: the batch that the file became before.
    """
    draft = view.draft
    found = drafts.rows(view.draft_id, site.person, at.light or None, at.after, PAGE_ROWS)
    page = site.page(
        "draft_rows",
        _status(error),
        step="rows",
        view=view,
        draft=draft,
        check=view.check,
        at=at,
        rows=[
            (row, draft_words.shown_findings(row, draft.columns, draft.account, site.wording))
            for row in found.rows
        ],
        next_after=found.next_after,
        typed=typed or {},
        left_out=len(draft.rows_left_out),
        reasons=[
            (need, _general(site, need["code"]))
            for need in (view.check or {}).get("needs", ())
            if need["code"]
        ],
        problem=why(site, error),
        batch=batch,
        words=words,
        states={state.value: said for state, said in words.ORDERS.items()},
    )
    if error is not None:
        page.headers["HX-Push-Url"] = "false"  # the address of a form is no page
    return page


def pay_page(site: Site, view: DraftView, error: Exception | None = None) -> Response:
    """What will be paid, how, and when."""
    start = view.draft.options.start_at
    return site.page(
        "draft_pay",
        _status(error),
        step="pay",
        view=view,
        draft=view.draft,
        check=view.check,
        start_at=start.astimezone(WIB).strftime("%Y-%m-%d %H:%M") if start else "",
        longest_days=LONGEST_WAIT_DAYS,
        left_out=len(view.draft.rows_left_out),
        problem=why(site, error),
    )


def _general(site: Site, code: str) -> str:
    """A reason without the amounts and ids of a row: its first sentence, or the code where it has them."""
    said = site.wording.text(FINDINGS.get(code, code)).partition(". ")[0]
    return code if "%(" in said else said


def why(site: Site, error: Exception | None) -> Explained | None:
    """Why something was refused, in the person's language."""
    return None if error is None else explained(error, site.wording)


def _status(error: Exception | None) -> int:
    match error:
        case None:
            return 200
        case SubmissionRefusedError():
            return 422
        case SATError():
            return 502
        case _:
            return 409
