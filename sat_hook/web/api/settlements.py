"""Routes of settlement files: which count, uploads with their preview, mappings kept by name, imports."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query

from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import BOOK_READERS, Right
from sat_hook.application.settlements import Settlements
from sat_hook.domain.settlement_files import MAXIMUM_MAPPING_NAME_CHARACTERS
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.web.api.book_models import ImportedFile, KeptMapping, SettlementFile, SettlementUpload
from sat_hook.web.api.models import Cursor, Limit, Page, route
from sat_hook.web.dependencies import AccountQuery, BoundedDay, CurrentPerson, DayQuery, service
from sat_hook.web.files import uploaded_by

router = APIRouter(prefix="/settlements", tags=["books"])

_Account = Annotated[str, Query(min_length=1, max_length=200)]
UploadId = Annotated[str, Path(pattern="^U[A-Z2-7]{25}$")]


SettlementsDep = Annotated[Settlements, Depends(service(Settlements))]


@router.get("", **route(*BOOK_READERS))
def list_files(
    person: CurrentPerson,
    settlements: SettlementsDep,
    account: AccountQuery = None,
    day: DayQuery = None,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[SettlementFile]:
    """List settlement files, the newest day first: those that count, and why others do not."""
    found = settlements.page(person, account=account, day=day, cursor=cursor, limit=limit)
    return Page[SettlementFile].model_validate(found)


@router.get("/mappings", **route(*BOOK_READERS))
def list_mappings(
    person: CurrentPerson, settlements: SettlementsDep, account: AccountQuery = None
) -> Page[KeptMapping]:
    """List the mappings that were kept by name."""
    found = settlements.mappings(person, account)
    return Page[KeptMapping].of(found)


@router.post("/mappings", **route(Right.FINANCE))
def save_mapping(
    account: _Account,
    name: Annotated[str, Body(min_length=1, max_length=MAXIMUM_MAPPING_NAME_CHARACTERS)],
    mapping: SettlementMapping,
    person: CurrentPerson,
    settlements: SettlementsDep,
) -> dict[str, str | bool]:
    """Keep a mapping by its name."""
    return {"name": name, "is_new": settlements.save_mapping(account, name, mapping, person)}


@router.post("/uploads", **route(Right.FINANCE))
def upload(
    content: Annotated[bytes, Depends(uploaded_by(Right.FINANCE))],
    person: CurrentPerson,
    settlements: SettlementsDep,
    account: _Account,
    name: Annotated[str, Query(min_length=1, max_length=255)],
) -> SettlementUpload:
    """Keep the file in the body, of at most 20 MiB, for a day, and return how it would be read."""
    return SettlementUpload.model_validate(
        settlements.look(settlements.upload(account, name, content, person), person)
    )


@router.get("/uploads/{upload_id}", **route(Right.FINANCE))
def show_upload(upload_id: UploadId, person: CurrentPerson, settlements: SettlementsDep) -> SettlementUpload:
    """Return how one's own upload is read, with its first hundred rows."""
    return SettlementUpload.model_validate(settlements.look(upload_id, person))


@router.post("/uploads/{upload_id}/mapping", **route(Right.FINANCE))
def read_by(
    upload_id: UploadId, mapping: SettlementMapping, person: CurrentPerson, settlements: SettlementsDep
) -> SettlementUpload:
    """Read an upload by another mapping from now on."""
    settlements.read_by(upload_id, mapping, person)
    return SettlementUpload.model_validate(settlements.look(upload_id, person))


@router.post("/uploads/{upload_id}/import", **route(Right.FINANCE))
def import_upload(
    upload_id: UploadId,
    person: CurrentPerson,
    settlements: SettlementsDep,
    day: Annotated[BoundedDay | None, Body(description="where the name has no day")] = None,
    replaces: Annotated[bool, Body(description="files of the day with the same orders are replaced")] = False,
) -> ImportedFile:
    """Let an upload count for its day from the next close on."""
    return ImportedFile.model_validate(settlements.import_upload(upload_id, day, person, replaces=replaces))


@router.post("/uploads/{upload_id}/discard", status_code=204, **route(Right.FINANCE))
def discard(upload_id: UploadId, person: CurrentPerson, settlements: SettlementsDep) -> None:
    """Delete an upload."""
    settlements.discard(upload_id, person)
