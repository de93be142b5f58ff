"""Breaks: the list with its ages, and one break with its evidence."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field, StringConstraints
from starlette.datastructures import FormData, UploadFile

from sat_hook.application.break_acts import BreakAct
from sat_hook.application.break_rows import STANDING, BreakQuery, BreakSort
from sat_hook.application.breaks import MAXIMUM_FILE_BYTES
from sat_hook.application.errors import FileRefusedError
from sat_hook.application.rights import Right
from sat_hook.commands.reasons import MAXIMUM_REASON_CHARACTERS
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.presentation.charts import sparkline
from sat_hook.web.api.breaks import BreakId, BreaksDep, EvidenceDep, FileDigest
from sat_hook.web.console import break_words, words
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import ChosenDay, from_address
from sat_hook.web.files import as_download, form_by, parts_of

MAXIMUM_SELECTED = 200
NOBODY = "-"

router = APIRouter(prefix="/breaks")

_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Why = Annotated[str, Form(max_length=MAXIMUM_REASON_CHARACTERS)]
Selected = Annotated[list[str], Form(alias="break_id", max_length=MAXIMUM_SELECTED)]
_File = Annotated[FormData, Depends(form_by(Right.FINANCE, Right.SIGN_OFF))]


class BreakChoice(BaseModel):
    """What a person chose to see of the breaks: read from an address, written back into links.

    :param state: a state; ``all`` for every one; empty for those that stand.
    :param assignee: a user's name, :data:`NOBODY`, or empty for all.
    """

    account: _Text = ""
    state: Annotated[str, Field(pattern=f"^({'|'.join(BreakState)}|all)?$")] = ""
    category: Annotated[str, Field(pattern=f"^({'|'.join(BreakCategory)})?$")] = ""
    day: ChosenDay = None
    band: Annotated[str, Field(pattern=f"^({'|'.join(break_words.BANDS)})?$")] = ""
    assignee: _Text = ""
    sort: BreakSort = BreakSort.AGE
    cursor: str | None = None

    def filter(self) -> BreakQuery:
        states: tuple[BreakState, ...] | None = STANDING
        if self.state:
            states = None if self.state == "all" else (BreakState(self.state),)
        assignee = "" if self.assignee == NOBODY else self.assignee or None
        return BreakQuery(
            account=self.account or None,
            states=states,
            category=BreakCategory(self.category) if self.category else None,
            day=self.day,
            band=self.band or None,
            assignee=assignee,
        )

    @property
    def query(self) -> dict[str, object]:
        """The choice as the query of an address, without the cursor: the first page."""
        return {
            "account": self.account,
            "state": self.state,
            "category": self.category,
            "day": self.day,
            "band": self.band,
            "assignee": self.assignee,
            "sort": None if self.sort is BreakSort.AGE else self.sort.value,
        }

    @property
    def is_filtered(self) -> bool:
        """Whether some breaks are left out."""
        return any(value for name, value in self.query.items() if name != "sort")


ChoiceDep = Annotated[BreakChoice, Depends(from_address(BreakChoice))]


@router.get("")
def list_breaks(site: SiteDep, breaks: BreaksDep, choice: ChoiceDep) -> Response:
    """Breaks by account, state, category, day, age and assignee; how old they are, and the trend."""
    found = breaks.page(choice.filter(), site.person, sort=choice.sort, cursor=choice.cursor)
    ageing = breaks.ageing(site.person, choice.account or None)
    trend = sparkline([day.breaks for day in ageing.trend], site.wording.text("Breaks at each close"))
    return site.page(
        "breaks",
        found=found,
        choice=choice,
        ageing=ageing,
        trend=trend,
        accounts=breaks.accounts(site.person),
        assignees=breaks.assignees(site.person),
        older=site.url("/breaks", **choice.query, cursor=found.next) if found.next else "",
        nobody=NOBODY,
        words=break_words,
        sorts=BreakSort,
    )


@router.post("/assign")
def assign(
    site: SiteDep,
    breaks: BreaksDep,
    choice: ChoiceDep,
    assignee: Annotated[str, Form(max_length=200)] = "",
    break_ids: Selected = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Give the selected breaks to a user; to no one when no name is written."""
    if break_ids:
        breaks.assign(break_ids, assignee, site.person)
    return site.go("/breaks", **choice.query)


@router.get("/{break_id}")
def one_break(break_id: BreakId, site: SiteDep, evidence: EvidenceDep) -> Response:
    return _page(site, break_id, evidence)


@router.post("/{break_id}/assign")
def assign_one(
    break_id: BreakId,
    site: SiteDep,
    breaks: BreaksDep,
    assignee: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Give a break to a user, or to no one."""
    breaks.assign([break_id], assignee, site.person)
    return site.go(f"/breaks/{break_id}")


@router.post("/{break_id}/decide")
def decide_one(
    break_id: BreakId, site: SiteDep, breaks: BreaksDep, act: Annotated[BreakAct, Form()], reason: Why
) -> Response:
    """Explain, resolve or write off one break."""
    breaks.decide_one(act, break_id, reason, site.person)
    return site.go(f"/breaks/{break_id}")


@router.post("/{break_id}/comments")
def comment(break_id: BreakId, site: SiteDep, breaks: BreaksDep, text: Why) -> Response:
    breaks.comment(break_id, text, site.person)
    return site.go(f"/breaks/{break_id}")


@router.post("/{break_id}/files")
def attach(
    break_id: BreakId, form: _File, site: SiteDep, breaks: BreaksDep, evidence: EvidenceDep
) -> Response:
    upload = form.get("file")
    if not isinstance(upload, UploadFile) or not upload.filename:
        return _page(site, break_id, evidence, problem=site.wording.text(_("Choose a file first.")))
    content = upload.file.read(MAXIMUM_FILE_BYTES + 1)
    try:
        breaks.attach(break_id, upload.filename, content, site.person)
    except FileRefusedError as error:
        return _page(site, break_id, evidence, problem=str(error))
    return site.go(f"/breaks/{break_id}")


@router.get("/{break_id}/files/{digest}")
def attachment(break_id: BreakId, digest: FileDigest, site: SiteDep, breaks: BreaksDep) -> StreamingResponse:
    """A file of a break, as a download."""
    name, file = breaks.attachment(break_id, digest, site.person)
    return StreamingResponse(parts_of(file), media_type="application/octet-stream", headers=as_download(name))


def _page(site: Site, break_id: str, evidence: EvidenceDep, problem: str = "") -> Response:
    details = evidence.read(break_id, site.person)
    return site.page(
        "break",
        status=422 if problem else 200,
        details=details,
        row=details.row,
        problem=problem,
        suggested=[break_words.suggested(one, site.wording) for one in details.suggestions],
        acts=_acts(details.row.state) if site.person.has(Right.FINANCE) else [],
        words=break_words,
        most_bytes=MAXIMUM_FILE_BYTES,
        orders=words.ORDERS,
    )


def _acts(state: BreakState) -> list[tuple[BreakAct, break_words.ActWords]]:
    if state.is_final:
        return []
    return [(act, said) for act, said in break_words.ACTS.items() if act.state is not state]
