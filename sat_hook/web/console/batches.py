"""The list of batches, and the page of one: live progress, its steps, its orders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response
from pydantic import StringConstraints

from sat_hook.application.batch_details import BatchDetails
from sat_hook.application.batch_standing import BatchQuery, BatchStanding
from sat_hook.application.pay_again import FAILED_STATES
from sat_hook.application.rights import Right
from sat_hook.domain.business_day import midnight
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_state import NOT_PAID
from sat_hook.store.order_lists import OrderSort
from sat_hook.web.console import draft_words, error_words, order_filters, words
from sat_hook.web.console.batch_steps import steps_of
from sat_hook.web.console.decisions import acts_for
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.order_filters import OrderChoiceDep
from sat_hook.web.console.site import SiteDep
from sat_hook.web.dependencies import (
    BatchId,
    BatchStartsDep,
    DayQuery,
    DecisionsDep,
    ListingsDep,
    PayAgainDep,
    RunsDep,
)

router = APIRouter(prefix="/batches")

_Text = Annotated[str, StringConstraints(strip_whitespace=True), Query(max_length=128)]

SEGMENTS = (
    ("good", (OrderState.SUCCEEDED,)),
    (
        "busy",
        (
            OrderState.RECEIVED,
            OrderState.QUOTED,
            OrderState.SUBMITTING,
            OrderState.PENDING,
            OrderState.UNKNOWN,
        ),
    ),
    ("wait", (OrderState.HELD, OrderState.ESCALATED)),
    ("bad", NOT_PAID),
)
"""The parts of a batch's bar: paid, being paid, waiting for you, not paid."""

BEFORE_PAYING = (
    BatchStanding.CHECKING,
    BatchStanding.SCHEDULED,
    BatchStanding.AWAITING_APPROVAL,
    BatchStanding.SHORT_OF_FUNDS,
)


@router.get("")
def list_batches(
    site: SiteDep,
    listings: ListingsDep,
    text: _Text = "",
    standing: Annotated[str, Query(pattern="^[a-z_]{0,30}$")] = "",
    maker: _Text = "",
    account: _Text = "",
    since: DayQuery = None,
    until: DayQuery = None,
    cursor: str | None = None,
) -> Response:
    """Batches by file, reference, state, maker, account and day; the newest first."""
    chosen = {
        "text": text,
        "standing": standing,
        "maker": maker,
        "account": account,
        "since": since or "",
        "until": until or "",
    }
    query = BatchQuery(
        text=text or None,
        standing=BatchStanding(standing) if standing in list(BatchStanding) else None,
        maker=maker or None,
        account=account or None,
        since=None if since is None else midnight(since),
        before=None if until is None else midnight(until) + timedelta(days=1),
    )
    found = listings.batches(query, site.person, cursor=cursor)
    return site.page(
        "batches",
        rows=found.items,
        older=site.url("/batches", **chosen, cursor=found.next) if found.next else "",
        chosen=chosen,
        accounts=[row.account for row in listings.accounts(site.person)],
        words=words,
    )


@router.get("/{batch_id}")
def batch(
    batch_id: BatchId,
    site: SiteDep,
    listings: ListingsDep,
    starts: BatchStartsDep,
    runs: RunsDep,
    again: PayAgainDep,
    choice: OrderChoiceDep,
    is_empty: bool = False,
) -> Response:
    """One batch. Its upper part renews itself until the batch is complete.

    :param is_empty: whether the page shows no order yet; it is loaded again once there are some.
    """
    details = listings.batch(batch_id, site.person)
    progress = details.progress
    # Nothing more can be run of a batch that has ended, so its runs are not looked up.
    run = None if progress.batch.state.is_final else starts.last_run(batch_id, site.person, runs)
    orders = None
    if not site.is_part:
        # The upper part, which asks for itself every few seconds, shows no order.
        orders = listings.orders(
            choice.filter(batch_id),
            site.person,
            sort=choice.sort or OrderSort.ROW,
            descending=choice.descending,
            cursor=choice.cursor,
            counted=True,
        )
    following = orders.next if orders else None
    page = site.page(
        "batch",
        batch=details.row,
        details=details,
        progress=progress,
        segments=segments_of(details),
        words_of_open_orders=words_of_open_orders(details),
        needs=[(reason_words(need.code, site.wording), need.rows) for need in details.needs],
        steps=list(steps_of(details, site.wording)),
        run=run,
        left=again.left(batch_id, site.person) if details.row.standing is BatchStanding.STOPPED else None,
        may_pay_again=site.person.has(Right.SUBMIT)
        and site.person.has(Right.VIEW_NUMBERS)
        and any(details.row.orders.get(state) for state in FAILED_STATES),
        orders=orders,
        choice=choice,
        place=f"/batches/{batch_id}",
        older=site.url(f"/batches/{batch_id}", **choice.query, cursor=following) if following else "",
        results=f"{site.request.scope.get('root_path', '')}/v1/batches/{batch_id}/results",
        columns=order_filters,
        refusals=error_words.REFUSALS,
        states=list(OrderState),
        acts=acts_for(site.person),
        words=words,
        today=datetime.now(UTC),
    )
    if site.is_part and is_empty and progress.orders:
        page.headers["HX-Refresh"] = "true"
    return page


@router.post("/{batch_id}/withdraw")
def withdraw(
    batch_id: BatchId, site: SiteDep, decisions: DecisionsDep, reason: Annotated[str, Form()]
) -> Response:
    """End every unsent order of the batch."""
    decisions.withdraw_batch(batch_id, reason, site.person)
    return site.go(f"/batches/{batch_id}")


@router.post("/{batch_id}/run")
def run_again(batch_id: BatchId, site: SiteDep, starts: BatchStartsDep, runs: RunsDep) -> Response:
    """Run what is left of the batch; its first run when there was none."""
    starts.run_rest(batch_id, site.person, runs)
    return site.go(f"/batches/{batch_id}")


@router.post("/{batch_id}/cancel-start")
def cancel_start(
    batch_id: BatchId,
    site: SiteDep,
    starts: BatchStartsDep,
    runs: RunsDep,
    reason: Annotated[str, Form()],
) -> Response:
    """Withdraw a batch whose run begins later, and end that run. A batch whose run has begun goes on."""
    starts.withdraw_planned(batch_id, reason, site.person, runs)
    return site.go(f"/batches/{batch_id}")


def reason_words(code: str, wording: Wording) -> str:
    """Why rows need a person, for many rows at once; the code itself where there are no words for it."""
    said = words.WHY.get(code) or draft_words.OF_MANY_ROWS.get(code) or draft_words.FINDINGS.get(code)
    return wording.text(said) if said else code.replace("_", " ")


def words_of_open_orders(details: BatchDetails) -> str:
    """What the orders that are neither paid nor failed are: being paid only once one was sent."""
    if details.row.standing is BatchStanding.STOPPED:
        return _("left to pay")
    is_sent = any(state.is_in_flight and count for state, count in details.row.orders.items())
    return _("not sent yet") if details.row.standing in BEFORE_PAYING and not is_sent else _("being paid")


def segments_of(details: BatchDetails) -> list[tuple[int, str]]:
    """How many orders each part of the bar stands for, with its tone."""
    counts = details.row.orders
    return [(sum(counts.get(state, 0) for state in states), tone) for tone, states in SEGMENTS]
