"""New batch: upload or paste rows, say what the columns are, mend the rows, and pay them.

Every step is a page of the draft, so that it survives a reload and going back. Forms of the check's page are
sent by htmx, which replaces the page's content.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Query
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from sat_hook.application.draft_submissions import DraftSubmissions
from sat_hook.application.draft_views import LEFT_OUT, DraftView
from sat_hook.application.drafts import CellEdit, Drafts
from sat_hook.application.errors import DraftChangedError, DraftRefusedError
from sat_hook.application.rights import Right
from sat_hook.domain.batch_events import ShortFundsPolicy
from sat_hook.domain.business_day import WIB
from sat_hook.pipeline.draft import DraftOptions
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.pipeline.order_problems import FIELD_PREFIX, NOTE_PREFIX
from sat_hook.pipeline.order_sheet import note_for
from sat_hook.pipeline.row_findings import Light, RowFinding
from sat_hook.web.api.drafts import ColumnMappingsDep, DraftId, DraftsDep, DraftSubmissionsDep
from sat_hook.web.console import draft_words
from sat_hook.web.console.draft_pages import (
    REFUSED,
    Place,
    columns_page,
    pay_page,
    rows_page,
    start_page,
    why,
)
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import AccountsDep, ListingsDep, PayAgainDep, RunsDep
from sat_hook.web.files import MAXIMUM_FIELDS, as_download, form_by

MAXIMUM_MOMENT_TEXT = 30

router = APIRouter(prefix="/new")

_Version = Annotated[int, Form(ge=1)]


def _place(
    light: Annotated[str, Query(pattern=f"^({'|'.join(Light)}|{LEFT_OUT})?$")] = "",
    after: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    edit: Annotated[int | None, Query(ge=0)] = None,
    focus: Annotated[int | None, Query(ge=0)] = None,
) -> Place:
    return Place(light, after, edit, focus)


PlaceDep = Annotated[Place, Depends(_place)]


UploadForm = Annotated[FormData, Depends(form_by(Right.SUBMIT))]


@router.get("")
def new_batch(site: SiteDep, drafts: DraftsDep, accounts: AccountsDep) -> Response:
    """Where a file is dropped or rows are pasted, and the person's drafts."""
    return start_page(site, drafts, accounts.by_connection())


@router.post("")
def begin(form: UploadForm, site: SiteDep, drafts: DraftsDep, accounts: AccountsDep) -> Response:
    """Read a file, or pasted rows, into a draft, and check it where its columns are known."""
    account, pasted, upload = _text(form, "account"), _text(form, "pasted"), form.get("file")
    try:
        if isinstance(upload, UploadFile) and upload.filename:
            content, sheet = upload.file.read(), _text(form, "sheet").strip()
            draft = drafts.create(content, upload.filename, account, site.person, sheet or None)
        else:
            has_header = _text(form, "has_header") == "yes"
            name = site.wording.text(_("pasted rows"))
            draft = drafts.paste(pasted, account, site.person, has_header=has_header, name=name)
    except DraftRefusedError as error:
        known = accounts.by_connection()
        return start_page(site, drafts, known, problem=why(site, error), account=account, pasted=pasted)
    if draft.draft.unknown_titles:
        return site.go(f"/new/{draft.draft_id}/columns")
    return _checked(site, drafts, draft, Place("", 0))


@router.post("/again")
def pay_failed_again(
    batch_id: Annotated[str, Form(pattern="^B[A-Z2-7]{25}$")],
    site: SiteDep,
    drafts: DraftsDep,
    again: PayAgainDep,
) -> Response:
    return _checked(site, drafts, again.draft(batch_id, site.person), Place("", 0))


@router.get("/{draft_id}")
def go_on(draft_id: DraftId, site: SiteDep, drafts: DraftsDep) -> Response:
    """Go on with a draft where it was left."""
    view = drafts.find(draft_id, site.person)
    if view.draft.batch_id is not None:
        return site.go(f"/batches/{view.draft.batch_id}")
    return site.go(f"/new/{draft_id}/{'columns' if view.draft.unknown_titles else 'rows'}")


@router.post("/{draft_id}/discard")
def discard(draft_id: DraftId, site: SiteDep, drafts: DraftsDep) -> Response:
    drafts.discard(draft_id, site.person)
    return site.go("/new")


@router.get("/{draft_id}/columns")
def columns(draft_id: DraftId, site: SiteDep, drafts: DraftsDep) -> Response:
    """Our columns beside theirs, with the first values."""
    return columns_page(site, drafts, drafts.find(draft_id, site.person))


@router.post("/{draft_id}/columns")
def map_columns(
    draft_id: DraftId,
    site: SiteDep,
    drafts: DraftsDep,
    version: _Version,
    column: Annotated[list[str], Form(max_length=1_000)],
    save_as: Annotated[str, Form(max_length=256)] = "",
) -> Response:
    """Say what each column is, and check the rows."""
    view = drafts.find(draft_id, site.person)
    try:
        chosen = _chosen_columns(view, column)
        view = drafts.map_columns(draft_id, version, chosen, site.person, save_as.strip() or None)
    except (DraftRefusedError, DraftChangedError) as error:
        return columns_page(site, drafts, drafts.find(draft_id, site.person), error=error)
    return _checked(site, drafts, view, Place("", 0))


@router.post("/{draft_id}/mappings/delete")
def delete_mapping(
    draft_id: DraftId,
    site: SiteDep,
    drafts: DraftsDep,
    mappings: ColumnMappingsDep,
    name: Annotated[str, Form(max_length=256)],
) -> Response:
    """Delete a saved mapping of the draft's account."""
    mappings.delete(drafts.find(draft_id, site.person).draft.account, name, site.person)
    return site.go(f"/new/{draft_id}/columns")


@router.get("/{draft_id}/rows")
def rows(
    draft_id: DraftId, site: SiteDep, drafts: DraftsDep, listings: ListingsDep, at: PlaceDep
) -> Response:
    """What the check says in plain words, and the rows by verdict."""
    view = drafts.find(draft_id, site.person)
    if view.draft.batch_id is not None:
        return site.go(f"/batches/{view.draft.batch_id}")
    known = (view.check or {}).get("known_batch")
    may_see = known is not None and site.person.has(Right.VIEW)
    batch = listings.batch(known["batch_id"], site.person).row if known and may_see else None
    return rows_page(site, drafts, view, at, batch=batch)


@router.post("/{draft_id}/check")
def check(draft_id: DraftId, site: SiteDep, drafts: DraftsDep, at: PlaceDep) -> Response:
    return _checked(site, drafts, drafts.find(draft_id, site.person), at)


@router.post("/{draft_id}/cells")
async def edit_cells(
    request: Request, draft_id: DraftId, site: SiteDep, drafts: DraftsDep, at: PlaceDep
) -> Response:
    """Change cells of one row. A field ``cell-3`` is the text of its third cell."""
    form = await request.form(max_files=0, max_fields=MAXIMUM_FIELDS)
    return await asyncio.to_thread(_edit, form, draft_id, site, drafts, at)


@router.post("/{draft_id}/set-aside")
def set_aside(
    draft_id: DraftId,
    site: SiteDep,
    drafts: DraftsDep,
    at: PlaceDep,
    version: _Version,
    row: Annotated[list[int], Form()] = [],  # noqa: B006
    light: Annotated[Light | None, Form()] = None,
    reason: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Leave rows out: those chosen, all of a verdict, or all with a reason."""
    which = light or (drafts.rows_with(draft_id, reason, site.person) if reason else row)
    return _after(site, drafts, draft_id, at, lambda: drafts.set_aside(draft_id, version, which, site.person))


@router.post("/{draft_id}/restore")
def restore(
    draft_id: DraftId,
    site: SiteDep,
    drafts: DraftsDep,
    at: PlaceDep,
    version: _Version,
    row: Annotated[list[int], Form()] = [],  # noqa: B006
) -> Response:
    """Take rows in again."""
    return _after(site, drafts, draft_id, at, lambda: drafts.restore(draft_id, version, row, site.person))


@router.post("/{draft_id}/reference")
def rename(
    draft_id: DraftId,
    site: SiteDep,
    drafts: DraftsDep,
    version: _Version,
    reference: Annotated[str, Form(max_length=256)],
) -> Response:
    """Give the draft another reference, so that a file that was submitted before is a new batch."""
    options = drafts.find(draft_id, site.person).draft.options
    named = options.model_copy(update={"reference": reference.strip() or None})
    try:
        view = DraftSubmissions(drafts.installation).set_options(draft_id, version, named, site.person)
    except (DraftRefusedError, DraftChangedError) as error:
        return rows_page(site, drafts, drafts.find(draft_id, site.person), Place("", 0), error=error)
    return _checked(site, drafts, view, Place("", 0))


@router.get("/{draft_id}/pay")
def show_pay(draft_id: DraftId, site: SiteDep, drafts: DraftsDep) -> Response:
    """What will be paid, how, and when."""
    view = drafts.find(draft_id, site.person)
    if view.draft.batch_id is not None:
        return site.go(f"/batches/{view.draft.batch_id}")
    return pay_page(site, view) if view.is_checked else site.go(f"/new/{draft_id}/rows")


@router.post("/{draft_id}/pay")
def pay(
    draft_id: DraftId,
    site: SiteDep,
    drafts: DraftsDep,
    submissions: DraftSubmissionsDep,
    runs: RunsDep,
    version: _Version,
    on_bad_rows: Annotated[BadRowsPolicy, Form()],
    on_short_funds: Annotated[ShortFundsPolicy, Form()],
    reference: Annotated[str, Form(max_length=256)] = "",
    when: Annotated[str, Form(pattern="^(now|later)$")] = "now",
    start_at: Annotated[str, Form(max_length=MAXIMUM_MOMENT_TEXT)] = "",
) -> Response:
    """Submit what was checked, and start its run now or at a time."""
    view = drafts.find(draft_id, site.person)
    if view.draft.batch_id is not None:
        return site.go(f"/batches/{view.draft.batch_id}")
    if view.version != version or not view.is_checked:
        changed = DraftChangedError("the draft was changed in the meantime; look at it again")
        return rows_page(site, drafts, view, Place("", 0), error=changed)
    try:
        options = DraftOptions(
            reference=reference.strip() or None,
            on_bad_rows=on_bad_rows,
            on_short_funds=on_short_funds,
            start_at=_moment(start_at) if when == "later" else None,
        )
        view = _with_options(submissions, view, options, site)
        done = submissions.submit(draft_id, view.version, site.person, runs)
    except REFUSED as error:
        return pay_page(site, drafts.find(draft_id, site.person), error=error)
    return site.go(f"/batches/{done.batch_id}")


def _with_options(
    submissions: DraftSubmissions, view: DraftView, options: DraftOptions, site: Site
) -> DraftView:
    """The draft with these options. What was shown stays what is paid: another reference is checked again.

    :raises DraftChangedError: the check has another outcome than the one that was shown.
    """
    if options == view.draft.options:
        return view
    shown = view.check
    changed = submissions.set_options(view.draft_id, view.version, options, site.person)
    changed = submissions.check(changed.draft_id, site.person)
    same = ("payable", "total_rupiah", "known_batch", "rows", "approvers")
    if shown is None or changed.check is None or any(shown[name] != changed.check[name] for name in same):
        raise DraftChangedError("the check has another outcome now; look at it again")
    return changed


@router.get("/{draft_id}/bad-rows")
def bad_rows(draft_id: DraftId, site: SiteDep, drafts: DraftsDep) -> Response:
    """The rows that cannot be paid, with a column that says what to fix in the person's language."""
    name = PurePath(drafts.find(draft_id, site.person).draft.file_name).stem

    def said(finding: RowFinding) -> str:
        return draft_words.sentence(finding.code, finding.message, finding.parameters, site.wording)

    content = drafts.bad_rows_file(draft_id, site.person, said)
    return Response(content, headers=as_download(f"{name}-bad-rows.csv"), media_type="text/csv")


@router.get("/{draft_id}/{step}")
def back_to(draft_id: DraftId, step: str, site: SiteDep) -> Response:
    """The address of a form, opened again."""
    del step
    return site.go(f"/new/{draft_id}")


def _edit(form: FormData, draft_id: str, site: Site, drafts: Drafts, at: Place) -> Response:
    row, version = _whole(form, "row"), _whole(form, "version")
    edits = [
        CellEdit(row, int(name[5:]), text.replace("\r\n", "\n"))
        for name, text in form.multi_items()
        if isinstance(text, str) and name.startswith("cell-") and name[5:].isdecimal() and len(name) < 12
    ]
    typed = {edit.place: edit.text for edit in edits}
    return _after(
        site,
        drafts,
        draft_id,
        at._replace(focus=row),
        lambda: drafts.edit_cells(draft_id, version, edits, site.person),
        typed=(row, typed),
    )


def _after(
    site: Site,
    drafts: Drafts,
    draft_id: str,
    at: Place,
    change: Callable[[], DraftView],
    typed: tuple[int, dict[int, str]] | None = None,
) -> Response:
    """The rows after a change; when it is refused, as they are now, with what was typed."""
    try:
        change()
    except (DraftRefusedError, DraftChangedError) as error:
        view = drafts.find(draft_id, site.person)
        if typed is not None:
            at = at._replace(edit=typed[0])
        return rows_page(site, drafts, view, at, error=error, typed=typed[1] if typed else None)
    return RedirectResponse(site.url(f"/new/{draft_id}/rows", **at.query, focus=at.focus), 303)


def _checked(site: Site, drafts: Drafts, view: DraftView, at: Place) -> Response:
    """Check a draft and show its rows; its columns, when it is they that are wrong."""
    try:
        DraftSubmissions(drafts.installation).check(view.draft_id, site.person)
    except DraftRefusedError as error:
        return columns_page(site, drafts, view, error=error)
    except REFUSED as error:
        return rows_page(site, drafts, drafts.find(view.draft_id, site.person), at, error=error)
    return RedirectResponse(site.url(f"/new/{view.draft_id}/rows", **at.query), 303)


def _chosen_columns(view: DraftView, chosen: Sequence[str]) -> list[str | None]:
    """The columns as chosen: ``note`` and ``field`` are named by the title."""
    draft, named = view.draft, list[str | None]()
    if len(chosen) != len(draft.header):
        return list(chosen)  # refused as a mapping of other titles
    for place, (title, before, column) in enumerate(zip(draft.header, draft.columns, chosen, strict=True), 1):
        prefix = {"note": NOTE_PREFIX, "field": FIELD_PREFIX}.get(column)
        if prefix is None:
            named.append(column or None)
        elif before is not None and before.startswith(prefix):
            named.append(before)
        else:
            named.append(note_for(title, place) if prefix == NOTE_PREFIX else f"{prefix}{title.strip()}")
    return named


def _moment(text: str) -> datetime:
    """A time in WIB, as a browser's field writes it."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=WIB)
    except ValueError:
        raise DraftRefusedError("bad_start", f"found {text!r}; expected a day and a time") from None


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _whole(form: FormData, name: str) -> int:
    text = _text(form, name)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise HTTPException(422, f"{name}: found {text[:20]!r}; expected a whole number")
    return int(text)
