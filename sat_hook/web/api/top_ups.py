"""Routes of top-ups: lists with the rises of the deposit, statements of the bank, records, reversals."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import BOOK_READERS, Right
from sat_hook.application.top_ups import MAXIMUM_RECORDED_AT_ONCE, NewTopUp, TopUps
from sat_hook.domain.books_decisions import MAXIMUM_TOP_UP_RUPIAH
from sat_hook.web.api.book_models import RecordedTopUps, RiseOfAccount, Statement, TopUpPage
from sat_hook.web.api.models import Cursor, Limit, members_of, route
from sat_hook.web.dependencies import AccountQuery, CurrentPerson, Reason, service
from sat_hook.web.files import uploaded_by

router = APIRouter(prefix="/topups", tags=["books"])

_Account = Annotated[str, Query(min_length=1, max_length=200)]


TopUpsDep = Annotated[TopUps, Depends(service(TopUps))]


class TopUpToRecord(BaseModel):
    """A top-up of a statement."""

    model_config = ConfigDict(extra="forbid")

    reference: Annotated[str, Field(min_length=1, max_length=100)]
    amount_rupiah: Annotated[int, Field(gt=0, le=MAXIMUM_TOP_UP_RUPIAH, strict=True)]
    credited_at: AwareDatetime


@router.get("", **route(*BOOK_READERS))
def list_top_ups(
    person: CurrentPerson,
    top_ups: TopUpsDep,
    account: AccountQuery = None,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> TopUpPage:
    """List top-ups, the last credited first, and rises of the deposit that have none."""
    found = top_ups.page(person, account=account, cursor=cursor, limit=limit)
    rises = [
        RiseOfAccount(account=name, rupiah=rise.rupiah, since=rise.since, observed_at=rise.observed_at)
        for name, rise in found.rises
    ]
    return TopUpPage.model_validate(members_of(found) | {"rises": rises})


@router.post("/statement", **route(Right.FINANCE))
def read_statement(
    content: Annotated[bytes, Depends(uploaded_by(Right.FINANCE))],
    person: CurrentPerson,
    top_ups: TopUpsDep,
    account: _Account,
    name: Annotated[str, Query(max_length=255)] = "statement.csv",
) -> Statement:
    """Read the bank's statement in the body, CSV or MT940. Records nothing."""
    return Statement.model_validate(top_ups.read(account, name, content, person))


@router.post("", **route(Right.FINANCE))
def record(
    account: _Account,
    person: CurrentPerson,
    top_ups: TopUpsDep,
    items: Annotated[list[TopUpToRecord], Body(min_length=1, max_length=MAXIMUM_RECORDED_AT_ONCE)],
    reason: Reason,
) -> RecordedTopUps:
    """Record top-ups. A reference is always the same top-up; one that is refused costs only itself."""
    new = [NewTopUp(one.reference, one.amount_rupiah, one.credited_at) for one in items]
    return RecordedTopUps.model_validate(top_ups.record(account, new, reason, person))


@router.post("/reverse", **route(Right.FINANCE))
def reverse(
    account: _Account,
    reference: Annotated[str, Body(min_length=1, max_length=100)],
    person: CurrentPerson,
    top_ups: TopUpsDep,
    reason: Reason,
) -> dict[str, str | bool]:
    """Take back a wrong top-up by a second entry. Its reference may then be recorded again."""
    return {"reference": reference, "is_new": top_ups.reverse(account, reference, reason, person)}
