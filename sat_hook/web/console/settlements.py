"""Settlement files: which count, upload one, build its mapping with the rows live, and import it."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile

from sat_hook.application.errors import FileRefusedError, RivalFilesError
from sat_hook.application.rights import Right
from sat_hook.application.settlements import Settlements, Upload
from sat_hook.commands.reasons import MAXIMUM_REASON_CHARACTERS
from sat_hook.domain.settlement_files import MAXIMUM_MAPPING_NAME_CHARACTERS
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement import mapping_from
from sat_hook.web.api.settlements import SettlementsDep, UploadId
from sat_hook.web.console import settlement_words
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import DayBooksDep, DayQuery, ShownFormDigest
from sat_hook.web.files import as_download, form_by

router = APIRouter(prefix="/settlements")

_Text = Annotated[str, Query(max_length=200)]
_Form = Annotated[FormData, Depends(form_by(Right.FINANCE))]
_WORDS = ("refund_words", "footer_words")
_COLUMNS = ("status", "product_code", "client_number", "kind", "moment", "sheet")
_NUMBERS = ("footer_rows", "utc_offset_hours", "header_row")
_PLAIN = ("request_id", "amount_rupiah", "thousands", "decimal", "prefix", "suffix", "date_order",
          "client_numbers", "mask_marks", "delimiter", "encoding")  # fmt: skip


@router.get("")
def list_files(
    site: SiteDep,
    settlements: SettlementsDep,
    account: _Text = "",
    day: DayQuery = None,
    cursor: str | None = None,
) -> Response:
    """The files by day: those that count, and those that do not with the reason; a place to upload one."""
    return _page(site, settlements, account=account.strip(), day=day, cursor=cursor)


@router.post("")
def upload(form: _Form, site: SiteDep, settlements: SettlementsDep) -> Response:
    """Keep a file to look at it."""
    file, account = form.get("file"), form.get("account")
    named = account if isinstance(account, str) else ""
    if not isinstance(file, UploadFile) or not file.filename:
        return _page(site, settlements, problem=site.wording.text(_("Choose a file first.")))
    try:
        upload_id = settlements.upload(named, file.filename, file.file.read(), site.person)
    except FileRefusedError as error:
        return _page(site, settlements, problem=str(error))
    return site.go(f"/settlements/uploads/{upload_id}")


@router.post("/choose")
def choose(
    site: SiteDep,
    books: DayBooksDep,
    account: Annotated[str, Form(max_length=200)],
    day: Annotated[date, Form()],
    digest: ShownFormDigest,
    reason: Annotated[str, Form(max_length=MAXIMUM_REASON_CHARACTERS)],
) -> Response:
    """Say which of several files with the same orders counts."""
    books.choose_settlement(account, day, digest, reason, site.person)
    return site.go("/settlements")


@router.get("/mappings/{account}/{name}")
def mapping_file(account: str, name: str, site: SiteDep, settlements: SettlementsDep) -> Response:
    """A kept mapping as ``mapping.json``, for the folder of the account's files."""
    for kept in settlements.mappings(site.person, account):
        if kept.name == name:
            content = kept.mapping.model_dump_json(indent=2)
            return Response(content, media_type="application/json", headers=as_download("mapping.json"))
    return site.go("/settlements")


@router.get("/uploads/{upload_id}")
def show_upload(upload_id: UploadId, site: SiteDep, settlements: SettlementsDep) -> Response:
    """An upload: its mapping, and the first hundred rows as it reads them."""
    return _upload(site, settlements, upload_id)


@router.post("/uploads/{upload_id}/preview")
def preview(upload_id: UploadId, form: _Form, site: SiteDep, settlements: SettlementsDep) -> Response:
    """The rows as the mapping of the form reads them. Changes nothing."""
    try:
        mapping = _mapping_of(form)
    except SettlementRefusedError as error:
        return _preview(site, None, str(error))
    return _preview(site, settlements.look(upload_id, site.person, mapping))


@router.post("/uploads/{upload_id}/mapping")
def read_by(upload_id: UploadId, form: _Form, site: SiteDep, settlements: SettlementsDep) -> Response:
    """Read the upload by the mapping of the form from now on; with a name, keep the mapping by it."""
    try:
        mapping = _mapping_of(form)
    except SettlementRefusedError as error:
        return _upload(site, settlements, upload_id, problem=str(error))
    settlements.read_by(upload_id, mapping, site.person)
    name = form.get("save_as")
    if isinstance(name, str) and name.strip():
        account = settlements.look(upload_id, site.person).account
        settlements.save_mapping(account, name, mapping, site.person)
    return site.go(f"/settlements/uploads/{upload_id}")


@router.post("/uploads/{upload_id}/kept")
def read_by_kept(
    upload_id: UploadId,
    site: SiteDep,
    settlements: SettlementsDep,
    name: Annotated[str, Form(max_length=MAXIMUM_MAPPING_NAME_CHARACTERS)],
) -> Response:
    account = settlements.look(upload_id, site.person).account
    for kept in settlements.mappings(site.person, account):
        if kept.name == name:
            settlements.read_by(upload_id, kept.mapping, site.person)
    return site.go(f"/settlements/uploads/{upload_id}")


@router.post("/uploads/{upload_id}/import")
def import_upload(
    upload_id: UploadId,
    site: SiteDep,
    settlements: SettlementsDep,
    day: Annotated[str, Form(pattern=r"^(\d{4}-\d\d-\d\d)?$")] = "",
    replaces: Annotated[bool, Form()] = False,
) -> Response:
    """Let the upload count for its day."""
    try:
        chosen = date.fromisoformat(day) if day else None
        event = settlements.import_upload(upload_id, chosen, site.person, replaces=replaces)
    except (SettlementRefusedError, RivalFilesError, ValueError) as error:
        return _upload(site, settlements, upload_id, problem=str(error))
    return site.go("/settlements", account=event.account, day=event.day)


@router.post("/uploads/{upload_id}/discard")
def discard(upload_id: UploadId, site: SiteDep, settlements: SettlementsDep) -> Response:
    settlements.discard(upload_id, site.person)
    return site.go("/settlements")


def _page(
    site: Site,
    settlements: Settlements,
    *,
    account: str = "",
    day: date | None = None,
    cursor: str | None = None,
    problem: str = "",
) -> Response:
    accounts = settlements.accounts(site.person)
    chosen = account if account in accounts else ""
    found = settlements.page(site.person, account=chosen or None, day=day, cursor=cursor)
    more = {"account": chosen, "day": day, "cursor": found.next}
    return site.page(
        "settlements",
        status=422 if problem else 200,
        found=found,
        accounts=accounts,
        chosen=chosen,
        day=day,
        problem=problem,
        uploads=settlements.uploads(site.person) if site.person.has(Right.FINANCE) else [],
        mappings=settlements.mappings(site.person),
        older=site.url("/settlements", **more) if found.next else "",
        words=settlement_words,
    )


def _preview(site: Site, upload: Upload | None, problem: str = "") -> Response:
    return site.page("settlement_preview", upload=upload, mapping_problem=problem, words=settlement_words)


def _upload(site: Site, settlements: Settlements, upload_id: str, problem: str = "") -> Response:
    found = settlements.look(upload_id, site.person)
    return site.page(
        "settlement_upload",
        status=422 if problem else 200,
        upload=found,
        mapping=found.mapping,
        statuses=_by_status(found.mapping),
        kept=settlements.mappings(site.person, found.account),
        problem=problem,
        mapping_problem="",
        words=settlement_words,
    )


def _by_status(mapping: SettlementMapping) -> dict[str, str]:
    """The words for each status, as a form shows them."""
    return {
        status: ", ".join(word for word, means in mapping.statuses.items() if means == status)
        for status in ("succeeded", "failed", "pending")
    }


def _mapping_of(form: FormData) -> SettlementMapping:
    """The mapping of a form.

    :raises SettlementRefusedError: it is not possible; the text names the member.
    """
    said: dict[str, Any] = {name: _text(form, name) for name in _PLAIN}
    said |= {name: _text(form, name).strip() or None for name in _COLUMNS}
    said |= {name: _words(form, name) for name in _WORDS}
    said["delimiter"] = {"tab": "\t"}.get(said["delimiter"], said["delimiter"])
    said["statuses"] = {
        word: status
        for status in ("succeeded", "failed", "pending")
        for word in _words(form, f"status_{status}")
    }
    said["negatives"] = [one for one in form.getlist("negatives") if isinstance(one, str)]
    said["negative_is_refund"] = _text(form, "negative_is_refund") == "yes"
    for name in _NUMBERS:
        text = _text(form, name).strip()
        said[name] = int(text) if text.lstrip("-").isdecimal() and len(text) < 6 else text
    return mapping_from(json.dumps(said))


def _words(form: FormData, name: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in _text(form, name).split(",") if word.strip()))


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
