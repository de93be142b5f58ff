"""Top-ups: the list with rises of the deposit, recording one, reading a bank's statement, reversing one."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile

from sat_hook.application.rights import Right
from sat_hook.application.top_ups import MAXIMUM_RECORDED_AT_ONCE, NewTopUp, ReadStatement, Recorded, TopUps
from sat_hook.commands.reasons import MAXIMUM_REASON_CHARACTERS
from sat_hook.domain.business_day import WIB
from sat_hook.reconciliation.errors import BooksRefusedError, StatementRefusedError
from sat_hook.web.api.top_ups import TopUpsDep
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.files import form_by

MAXIMUM_MOMENT_CHARACTERS = 30

router = APIRouter(prefix="/topups")

_Text = Annotated[str, Query(max_length=200)]
_Reason = Annotated[str, Form(max_length=MAXIMUM_REASON_CHARACTERS)]
_Account = Annotated[str, Form(max_length=200)]
_Reference = Annotated[str, Form(max_length=200)]
_Upload = Annotated[FormData, Depends(form_by(Right.FINANCE))]
_RUPIAH = re.compile(r"(?:Rp\s*)?([0-9]{1,3}(?:[.,][0-9]{3}){1,4}|[0-9]{1,14})")


@router.get("")
def list_top_ups(
    site: SiteDep, top_ups: TopUpsDep, account: _Text = "", cursor: str | None = None
) -> Response:
    """Top-ups, the last credited first; rises of the deposit that have none; a form for one more."""
    return _page(site, top_ups, account=account.strip(), cursor=cursor)


@router.post("")
def record(
    site: SiteDep,
    top_ups: TopUpsDep,
    account: _Account,
    reference: _Reference,
    amount: Annotated[str, Form(max_length=30)],
    credited_at: Annotated[str, Form(max_length=MAXIMUM_MOMENT_CHARACTERS)],
    reason: _Reason,
) -> Response:
    typed = {"reference": reference, "amount": amount, "credited_at": credited_at, "reason": reason}
    rupiah, moment = _rupiah(amount), _moment(credited_at)
    if rupiah is None or moment is None:
        problem = _("Write the amount as whole rupiah, for example 50.000.000.")
        if rupiah is not None:
            problem = _("Choose the day and the time at which the bank credited it.")
        return _page(site, top_ups, account=account, problem=site.wording.text(problem), typed=typed)
    found = top_ups.record(account, [NewTopUp(reference, rupiah, moment)], reason, site.person)
    if found.refused:
        return _page(site, top_ups, account=account, problem=found.refused[0][1], typed=typed)
    return site.go("/topups")


@router.get("/statement")
def statement_again(site: SiteDep) -> Response:
    """A statement is not kept, so its address leads to the list."""
    return site.go("/topups")


@router.post("/statement")
def read_statement(form: _Upload, site: SiteDep, top_ups: TopUpsDep) -> Response:
    """Read a bank's statement; its lines can then be chosen."""
    upload, account = form.get("file"), form.get("account")
    named = account if isinstance(account, str) else ""
    if not isinstance(upload, UploadFile) or not upload.filename:
        problem = site.wording.text(_("Choose a file first."))
        return _page(site, top_ups, account=named, problem=problem)
    try:
        read = top_ups.read(named, upload.filename, upload.file.read(), site.person)
    except StatementRefusedError as error:
        return _page(site, top_ups, account=named, problem=str(error))
    return _statement(site, read, upload.filename)


@router.post("/statement/record")
def record_lines(
    site: SiteDep,
    top_ups: TopUpsDep,
    account: _Account,
    reason: _Reason,
    lines: Annotated[list[str], Form(alias="line", max_length=MAXIMUM_RECORDED_AT_ONCE)] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Record the chosen lines. Each is its moment, amount and reference."""
    chosen = []
    for line in lines:
        moment, _mark, rest = line.partition(" ")
        rupiah, _mark, reference = rest.partition(" ")
        at = _moment(moment)
        if at is None or not rupiah.isdecimal() or len(rupiah) > 14:
            raise BooksRefusedError("line: found no moment, amount and reference; read the statement again")
        chosen.append(NewTopUp(reference, int(rupiah), at))
    found = top_ups.record(account, chosen, reason, site.person)
    return _page(site, top_ups, account="", recorded=found)


@router.post("/reverse")
def reverse(
    site: SiteDep, top_ups: TopUpsDep, account: _Account, reference: _Reference, reason: _Reason
) -> Response:
    """Take back a wrong top-up by a second entry."""
    top_ups.reverse(account, reference, reason, site.person)
    return site.go("/topups")


def _page(
    site: Site,
    top_ups: TopUps,
    *,
    account: str = "",
    cursor: str | None = None,
    problem: str = "",
    typed: dict[str, str] | None = None,
    recorded: Recorded | None = None,
) -> Response:
    accounts = top_ups.accounts(site.person)
    chosen = account if account in accounts else ""
    found = top_ups.page(site.person, account=chosen or None, cursor=cursor)
    return site.page(
        "top_ups",
        status=422 if problem else 200,
        found=found,
        accounts=accounts,
        chosen=chosen,
        problem=problem,
        typed=typed or {},
        recorded=recorded,
        older=site.url("/topups", account=chosen, cursor=found.next) if found.next else "",
    )


def _statement(site: Site, read: ReadStatement, name: str) -> Response:
    return site.page("top_up_statement", read=read, name=name, most=MAXIMUM_RECORDED_AT_ONCE)


def _rupiah(text: str) -> int | None:
    """Whole rupiah as people type them: 50000000, 50.000.000 or Rp 50,000,000."""
    found = _RUPIAH.fullmatch(text.strip())
    return None if found is None else int(re.sub("[.,]", "", found[1]))


def _moment(text: str) -> datetime | None:
    """A moment of a form: without a zone it is in WIB."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=WIB)
