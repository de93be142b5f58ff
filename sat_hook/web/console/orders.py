"""The list of orders over all batches, and the page of one: its life, its proofs, what may be done now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response, StreamingResponse

from sat_hook.application.listings import Listings, OrderPage
from sat_hook.application.order_details import OrderDetails
from sat_hook.application.order_exports import OrderWords
from sat_hook.application.pages import MAXIMUM_PAGE
from sat_hook.application.status_rechecks import Recheck
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.business_day import WIB
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.held_orders import HeldDecision
from sat_hook.pipeline.overrides import Resolution
from sat_hook.presentation.text_tables import TableFormat
from sat_hook.protocol.outcomes import StatusVerdict
from sat_hook.store.order_lists import OrderFilter, OrderSort
from sat_hook.web.console import order_filters, words
from sat_hook.web.console.decisions import acts_for
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.order_acts import offered_to
from sat_hook.web.console.order_filters import OrderChoice, OrderChoiceDep
from sat_hook.web.console.order_history import moments_of
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import DecisionsDep, ListingsDep, OrderExportsDep, RequestId, StatusRechecksDep
from sat_hook.web.files import as_download, parts_of

router = APIRouter(prefix="/orders")

_Reason = Annotated[str, Form(max_length=500)]


ANSWERS = {
    StatusVerdict.SIGNED: (_("SAT answered, and its signed answer is in the timeline."), "good"),
    StatusVerdict.NOT_FOUND: (
        _("SAT does not know this order. That alone does not prove that it is not paid."),
        "wait",
    ),
    StatusVerdict.UNREADABLE: (_("SAT gave no answer that proves anything. Nothing has changed."), "wait"),
}
"""What a person reads after SAT was asked."""


@router.get("")
def list_orders(site: SiteDep, listings: ListingsDep, choice: OrderChoiceDep) -> Response:
    """Orders of all batches, the last change first unless a narrow filter allows another order."""
    which = choice.filter()
    found = listings.orders(
        which,
        site.person,
        sort=choice.sort if which.is_narrow else None,
        descending=choice.descending,
        cursor=choice.cursor,
        counted=which.is_narrow,
    )
    return _list(site, listings, choice, found)


@router.get("/export")
def export(
    site: SiteDep,
    exports: OrderExportsDep,
    choice: OrderChoiceDep,
    file_format: Annotated[TableFormat, Query(alias="format")],
    batch: Annotated[str, Query(pattern="^(B[A-Z2-7]{25})?$")] = "",
) -> StreamingResponse:
    said = OrderWords(site.wording, {state: one.text for state, one in words.ORDERS.items()}, words.WHY)
    content = exports.export(choice.filter(batch or None), file_format, site.person, said)
    headers = as_download(f"orders-{datetime.now(WIB):%Y-%m-%d-%H%M}.{file_format.value}")
    return StreamingResponse(parts_of(content), headers=headers, media_type=file_format.media_type)


@router.get("/search")
def search_again(site: SiteDep) -> Response:
    """A number is in no address, so a search cannot be reopened by one."""
    return site.go("/orders")


@router.post("/search")
def search(
    site: SiteDep,
    listings: ListingsDep,
    client_number: Annotated[str, Form(min_length=1, max_length=100)],
    batch: Annotated[str, Form(pattern="^(B[A-Z2-7]{25})?$")] = "",
) -> Response:
    """Orders of one client's number, of a batch or of all. The search is recorded."""
    which = OrderFilter(client_number=client_number.strip(), batch_id=batch or None)
    found = listings.orders(which, site.person, sort=OrderSort.CHANGED, descending=True, limit=MAXIMUM_PAGE)
    return _list(site, listings, OrderChoice(), found, searched=which.client_number or "")


@router.get("/{request_id}")
def order(request_id: RequestId, site: SiteDep, listings: ListingsDep) -> Response:
    """One order. Its upper part renews itself until the order has ended."""
    return _page(site, listings.order(request_id, site.person))


@router.post("/{request_id}/recheck")
def recheck(
    request_id: RequestId, site: SiteDep, listings: ListingsDep, rechecks: StatusRechecksDep, reason: _Reason
) -> Response:
    """Ask SAT for the order's status, and show what it answered."""
    found = rechecks.recheck(request_id, site.person, checked_reason(reason))
    return _page(site, listings.order(request_id, site.person), found)


@router.post("/{request_id}/resolve")
def resolve(
    request_id: RequestId,
    site: SiteDep,
    decisions: DecisionsDep,
    resolution: Annotated[Resolution, Form()],
    reason: _Reason,
) -> Response:
    """Decide an escalated order."""
    decisions.resolve(request_id, resolution, reason, site.person)
    return site.go(f"/orders/{request_id}")


@router.post("/{request_id}/withdraw")
def withdraw(request_id: RequestId, site: SiteDep, decisions: DecisionsDep, reason: _Reason) -> Response:
    """End an order that was not sent."""
    decisions.withdraw_order(request_id, reason, site.person)
    return site.go(f"/orders/{request_id}")


@router.post("/{request_id}/{decision}")
def decide(
    request_id: RequestId, decision: HeldDecision, site: SiteDep, decisions: DecisionsDep, reason: _Reason
) -> Response:
    """Release or cancel a held order."""
    decisions.decide_held_order(request_id, decision, reason, site.person)
    return site.go(f"/orders/{request_id}")


def _list(
    site: Site, listings: Listings, choice: OrderChoice, found: OrderPage, searched: str = ""
) -> Response:
    return site.page(
        "orders",
        orders=found,
        choice=choice,
        place="/orders",
        searched=searched,
        accounts=[row.account for row in listings.accounts(site.person)],
        older=site.url("/orders", **choice.query, cursor=found.next) if found.next and not searched else "",
        states=list(OrderState),
        acts=acts_for(site.person),
        columns=order_filters,
        words=words,
    )


def _page(site: Site, details: OrderDetails, recheck: Recheck | None = None) -> Response:
    offer = offered_to(site.person, details.row.state, details.maker)
    moments = list(moments_of(details.history, site.wording))
    is_held = details.row.state is OrderState.HELD
    held = (
        next((one for one in reversed(moments) if one.entry.kind == "OrderHeld"), None) if is_held else None
    )
    return site.page(
        "order",
        order=details.row,
        details=details,
        moments=moments,
        held=held if held is not None and held.detail else None,
        offer=offer,
        answer=None if recheck is None else ANSWERS[recheck.verdict],
        words=words,
    )
