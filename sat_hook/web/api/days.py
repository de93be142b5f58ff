"""Routes of an account's books: top-ups, breaks, settlement files, and daily reports and signatures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from fastapi.responses import StreamingResponse

from sat_hook.application.break_acts import BreakAct
from sat_hook.application.day_books import Signature
from sat_hook.application.rights import Right
from sat_hook.web.api.models import route
from sat_hook.web.dependencies import (
    MAXIMUM_BODY_TEXT,
    AccountPath,
    CurrentPerson,
    DayBooksDep,
    DayPath,
    Moment,
    Reason,
)
from sat_hook.web.files import archive_of, as_download

router = APIRouter(prefix="/books/{account}", tags=["books"])

_Text = Annotated[str, Body(max_length=MAXIMUM_BODY_TEXT)]


@router.post("/top-ups", **route(Right.FINANCE))
def record_top_up(
    account: AccountPath,
    person: CurrentPerson,
    books: DayBooksDep,
    amount_rupiah: Annotated[int, Body(gt=0, strict=True)],
    reference: _Text,
    credited_at: Annotated[Moment, Body()],
    reason: _Text,
) -> dict[str, str | int | bool]:
    """Record a top-up of the deposit. The same reference is always the same top-up."""
    name, is_new = books.record_top_up(
        account,
        reference=reference,
        amount_rupiah=amount_rupiah,
        credited_at=credited_at,
        reason=reason,
        person=person,
    )
    return {"account": name, "reference": reference, "amount_rupiah": amount_rupiah, "is_new": is_new}


@router.post("/breaks/{break_id}/{decision}", **route(Right.FINANCE))
def decide_break(
    account: AccountPath,
    break_id: Annotated[str, Path(pattern="^K[A-Z2-7]{15}$")],
    decision: Annotated[str, Path(pattern="^(explain|resolve|write-off)$")],
    person: CurrentPerson,
    books: DayBooksDep,
    reason: Reason,
) -> dict[str, str | bool]:
    """Explain, resolve or write off a break."""
    act = BreakAct(decision)
    is_new = books.decide_break(account, break_id, act, reason, person)
    return {"break_id": break_id, "state": act.state.value, "is_new": is_new}


@router.get(
    "/days/{day}/report", **route(Right.FINANCE, Right.SIGN_OFF, Right.AUDIT, files="application/zip")
)
def report(
    account: AccountPath,
    day: DayPath,
    person: CurrentPerson,
    books: DayBooksDep,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> StreamingResponse:
    """Return a version of a day's report as a ZIP of its files, written first if needed."""
    name, kept = books.report(account, day, version, person)
    number = kept.version.number
    return StreamingResponse(
        archive_of(books.installation.results(), kept),
        media_type="application/zip",
        headers={
            **as_download(f"reconciliation-{name}-{day}-version-{number}.zip"),
            "X-SAT-Report-Version": str(number),
        },
    )


@router.post("/days/{day}/settlement", **route(Right.FINANCE))
def choose_settlement(
    account: AccountPath, day: DayPath, person: CurrentPerson, books: DayBooksDep, file: _Text, reason: _Text
) -> dict[str, str | bool]:
    """Choose which of several settlement files with the same orders counts from the next close on."""
    name, is_new = books.choose_settlement(account, day, file, reason, person)
    return {"account": name, "day": day.isoformat(), "file": file, "is_new": is_new}


@router.post("/days/{day}/{signature}", **route(Right.SIGN_OFF))
def sign(
    account: AccountPath,
    day: DayPath,
    signature: Annotated[str, Path(pattern="^(prepare|certify)$")],
    person: CurrentPerson,
    books: DayBooksDep,
    reason: Reason,
) -> dict[str, Any]:
    """Sign the newest close of a day: first its preparer, then another person, whose signature freezes it."""
    signed = books.sign(account, day, Signature(signature), reason, person)
    return {
        "day": signed.day.isoformat(),
        "position": signed.position,
        "result_digest": signed.result_digest,
        "prepared_by": signed.prepared_by,
        "certified_by": signed.certified_by,
        "checkpoint": signed.checkpoint,
        "open_breaks": signed.open_breaks,
    }
