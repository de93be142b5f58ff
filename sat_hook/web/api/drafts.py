"""Routes of drafts: upload or paste rows, map, mend and check them, submit them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from sat_hook.application.column_mappings import ColumnMappings
from sat_hook.application.draft_submissions import DraftSubmissions
from sat_hook.application.draft_views import LEFT_OUT, MAXIMUM_PAGE_ROWS, DraftView
from sat_hook.application.drafts import CellEdit, Drafts, order_template
from sat_hook.application.rights import Right
from sat_hook.pipeline.draft import MAXIMUM_CHANGES, DraftOptions
from sat_hook.pipeline.row_findings import Light
from sat_hook.presentation.text_tables import TableFormat
from sat_hook.web.api.models import route
from sat_hook.web.dependencies import CurrentPerson, HostDep, PayAgainDep, service
from sat_hook.web.files import TABLES, as_download, uploaded_by

MAXIMUM_ROWS_NAMED = 100_000

router = APIRouter(tags=["drafts"])

DraftsDep = Annotated[Drafts, Depends(service(Drafts))]
DraftSubmissionsDep = Annotated[DraftSubmissions, Depends(service(DraftSubmissions))]
ColumnMappingsDep = Annotated[ColumnMappings, Depends(service(ColumnMappings))]
DraftId = Annotated[str, Path(pattern="^D[A-Z2-7]{25}$")]
Account = Annotated[str, Query(max_length=200, description="an Airflow connection of type sat")]
Version = Annotated[int, Body(ge=1, description="the version of the draft that the person saw")]


Content = Annotated[bytes, Depends(uploaded_by(Right.SUBMIT))]


@router.get("/drafts", **route(Right.SUBMIT))
def list_drafts(person: CurrentPerson, drafts: DraftsDep) -> list[dict[str, Any]]:
    """List one's own drafts, the last changed first."""
    return [_document(view) for view in drafts.all_of(person)]


@router.post("/drafts", **route(Right.SUBMIT))
def create_draft(
    content: Content,
    person: CurrentPerson,
    drafts: DraftsDep,
    account: Account,
    file_name: Annotated[str, Query(max_length=255)] = "orders.csv",
    sheet: Annotated[str | None, Query(max_length=255, description="a sheet of a workbook")] = None,
) -> dict[str, Any]:
    """Read the file in the body, CSV or XLSX, into a draft."""
    return _document(drafts.create(content, file_name, account, person, sheet))


@router.post("/drafts/paste", **route(Right.SUBMIT))
def paste_draft(
    content: Content,
    person: CurrentPerson,
    drafts: DraftsDep,
    account: Account,
    has_header: Annotated[bool, Query(description="false: the first row is an order")] = True,
) -> dict[str, Any]:
    """Read rows that were copied from a spreadsheet, as text in the body, into a draft."""
    text = content.decode("utf-8", "replace")
    return _document(drafts.paste(text, account, person, has_header=has_header))


@router.post("/drafts/again", **route(Right.SUBMIT))
def pay_again(
    person: CurrentPerson,
    again: PayAgainDep,
    batch_id: Annotated[str, Body(pattern="^B[A-Z2-7]{25}$", embed=True)],
) -> dict[str, Any]:
    """Begin a draft with the failed orders of a batch under new order ids. Also needs `view_numbers`."""
    return _document(again.draft(batch_id, person))


@router.get("/drafts/{draft_id}", **route(Right.SUBMIT))
def show_draft(draft_id: DraftId, person: CurrentPerson, drafts: DraftsDep) -> dict[str, Any]:
    """Return a draft: its columns, changes, options and the outcome of its last check."""
    return _document(drafts.find(draft_id, person))


@router.post("/drafts/{draft_id}/discard", status_code=204, **route(Right.SUBMIT))
def discard_draft(draft_id: DraftId, person: CurrentPerson, drafts: DraftsDep) -> None:
    """Delete a draft."""
    drafts.discard(draft_id, person)


@router.get("/drafts/{draft_id}/rows", **route(Right.SUBMIT))
def rows_of_draft(
    draft_id: DraftId,
    person: CurrentPerson,
    drafts: DraftsDep,
    light: Annotated[str | None, Query(pattern=f"^({'|'.join(Light)}|{LEFT_OUT})$")] = None,
    after: Annotated[int, Query(ge=0, description="next_after of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAXIMUM_PAGE_ROWS)] = 100,
) -> dict[str, Any]:
    """Return some rows, with what the last check found in them."""
    page = drafts.rows(draft_id, person, light, after, limit)
    return {"rows": [asdict(row) for row in page.rows], "next_after": page.next_after}


@router.post("/drafts/{draft_id}/columns", **route(Right.SUBMIT))
def map_columns(
    draft_id: DraftId,
    person: CurrentPerson,
    drafts: DraftsDep,
    version: Version,
    columns: Annotated[list[str | None], Body(max_length=1_000)],
    save_as: Annotated[str | None, Body(max_length=256)] = None,
) -> dict[str, Any]:
    """Say which of our columns each title is, and keep that by a name for the next upload."""
    return _document(drafts.map_columns(draft_id, version, columns, person, save_as))


@router.post("/drafts/{draft_id}/cells", **route(Right.SUBMIT))
def edit_cells(
    draft_id: DraftId,
    person: CurrentPerson,
    drafts: DraftsDep,
    version: Version,
    edits: Annotated[list[tuple[int, int, str]], Body(max_length=MAXIMUM_CHANGES)],
) -> dict[str, Any]:
    """Change cells, each as its row, its column and the new text."""
    return _document(drafts.edit_cells(draft_id, version, [CellEdit(*edit) for edit in edits], person))


@router.post("/drafts/{draft_id}/set-aside", **route(Right.SUBMIT))
def set_aside(
    draft_id: DraftId,
    person: CurrentPerson,
    drafts: DraftsDep,
    version: Version,
    rows: Annotated[list[int] | None, Body(max_length=MAXIMUM_ROWS_NAMED)] = None,
    light: Annotated[Light | None, Body()] = None,
    code: Annotated[str | None, Body(max_length=64, description="of a finding of the last check")] = None,
) -> dict[str, Any]:
    """Leave rows out: those named, or those that the last check gave a light or a finding."""
    chosen = drafts.rows_with(draft_id, code, person) if code else rows or []
    return _document(drafts.set_aside(draft_id, version, light or chosen, person))


@router.post("/drafts/{draft_id}/restore", **route(Right.SUBMIT))
def restore(
    draft_id: DraftId,
    person: CurrentPerson,
    drafts: DraftsDep,
    version: Version,
    rows: Annotated[list[int], Body(max_length=MAXIMUM_ROWS_NAMED)],
) -> dict[str, Any]:
    """Take rows into the file again."""
    return _document(drafts.restore(draft_id, version, rows, person))


@router.post("/drafts/{draft_id}/options", **route(Right.SUBMIT))
def set_options(
    draft_id: DraftId,
    person: CurrentPerson,
    submissions: DraftSubmissionsDep,
    version: Version,
    options: Annotated[DraftOptions, Body()],
) -> dict[str, Any]:
    """Set the reference, the policies and the start."""
    return _document(submissions.set_options(draft_id, version, options, person))


@router.post("/drafts/{draft_id}/check", **route(Right.SUBMIT))
def check_draft(draft_id: DraftId, person: CurrentPerson, submissions: DraftSubmissionsDep) -> dict[str, Any]:
    """Check every row, the prices, the deposit, the guards and the approval. Records nothing of it."""
    return _document(submissions.check(draft_id, person))


@router.get("/drafts/{draft_id}/bad-rows", **route(Right.SUBMIT, files="text/csv"))
def bad_rows(draft_id: DraftId, person: CurrentPerson, drafts: DraftsDep) -> Response:
    """Return the rows that cannot be paid, with a column that says what to fix."""
    content = drafts.bad_rows_file(draft_id, person)
    return Response(content, headers=as_download("bad-rows.csv"), media_type="text/csv")


@router.post("/drafts/{draft_id}/submit", **route(Right.SUBMIT))
def submit_draft(
    draft_id: DraftId,
    request: Request,
    person: CurrentPerson,
    submissions: DraftSubmissionsDep,
    host: HostDep,
    version: Annotated[int, Body(ge=1, embed=True)],
) -> dict[str, Any]:
    """Submit the draft's file as a batch, and start its run now or at its time."""
    done = submissions.submit(draft_id, version, person, host.runs(request))
    return {
        "batch_id": done.batch_id,
        "is_new": done.is_new,
        "run_id": done.run.run_id,
        "run_url": done.run.url,
        "starts_at": done.run.run_after,
    }


@router.get("/column-mappings", **route(Right.SUBMIT))
def list_mappings(
    person: CurrentPerson, mappings: ColumnMappingsDep, account: Account
) -> list[dict[str, Any]]:
    """List the saved mappings of an account."""
    return [asdict(mapping) for mapping in mappings.of_account(account, person)]


@router.post("/column-mappings/delete", status_code=204, **route(Right.SUBMIT))
def delete_mapping(
    person: CurrentPerson,
    mappings: ColumnMappingsDep,
    account: Account,
    name: Annotated[str, Body(max_length=256, embed=True)],
) -> None:
    """Delete a saved mapping."""
    mappings.delete(account, name, person)


@router.get(
    "/order-templates/{file_format}",
    **route(Right.SUBMIT, files=TABLES),
)
def template(
    file_format: TableFormat, person: CurrentPerson, host: HostDep, account: Account = ""
) -> Response:
    """Return an empty order file; a workbook has the catalogue's products to choose from."""
    content = order_template(host, file_format, person, account or None)
    headers = as_download(f"order-template.{file_format.value}")
    return Response(content, headers=headers, media_type=file_format.media_type)


def _document(view: DraftView) -> dict[str, Any]:
    draft = view.draft.model_dump(mode="json")
    return {
        "draft_id": view.draft_id,
        "version": view.version,
        "created_at": view.created_at,
        "changed_at": view.changed_at,
        **draft,
        "unknown_titles": list(view.draft.unknown_titles),
        "check": view.check,
        "is_checked": view.is_checked,
    }
