"""Routes of orders: list, show and export them, ask SAT, resolve, withdraw, release, cancel."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse

from sat_hook.application import status_rechecks
from sat_hook.application.errors import ListingRefusedError
from sat_hook.application.order_details import OrderRow
from sat_hook.application.pages import MAXIMUM_CURSOR_CHARACTERS, MAXIMUM_PAGE, USUAL_PAGE
from sat_hook.application.rights import Right
from sat_hook.domain import alerts
from sat_hook.domain import order as domain
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.held_orders import HeldDecision
from sat_hook.pipeline.overrides import Resolution
from sat_hook.presentation.text_tables import TableFormat
from sat_hook.store.callbacks import CallbackSeen
from sat_hook.store.order_lists import MAXIMUM_COUNTED, KeptEvidence, OrderFilter, OrderSort
from sat_hook.web.api.models import Cursor, Document, HistoryEntry, Limit, Page, members_of, route, rows_of
from sat_hook.web.api.price_records import Price
from sat_hook.web.dependencies import (
    MAXIMUM_BODY_TEXT,
    AccountQuery,
    BatchId,
    CurrentPerson,
    DecisionsDep,
    ListingsDep,
    OrderExportsDep,
    Reason,
    RequestId,
    StatusRechecksDep,
)
from sat_hook.web.files import TABLES, as_download, parts_of

router = APIRouter(tags=["orders"])


class Order(Document, of=OrderRow):
    """An order. The client's number is masked for users who may not see numbers."""


class OrderPage(Page[Order]):
    """A page of orders. ``count`` is null unless it was asked for; there may be more than are counted."""

    count: int | None
    is_more: bool


class Evidence(Document, of=KeptEvidence):
    """A signed status that is kept, without its contents."""


class Callback(Document, of=CallbackSeen):
    """A verified callback."""


class Alert(Document, of=alerts.Alert, without=("account", "batch_id", "subject")):
    """What people were told of, or shall be."""

    kind: str


class OrderDetails(Document):
    """An order with its history, evidence, callbacks, price and alerts."""

    order: Order
    maker: str | None
    history: tuple[HistoryEntry, ...]
    evidence: tuple[Evidence, ...]
    callbacks: tuple[Callback, ...]
    price: Price | None
    alerts: tuple[Alert, ...]


class Recheck(Document, of=status_rechecks.Recheck, without=("order",)):
    """SAT's answer about an order. Only a signed one can change it; ``reason`` is why another does not."""

    request_id: str
    state: OrderState


_Rupiah = Annotated[int | None, Query(ge=0, le=10**12)]
_Counted = Annotated[bool, Query(description=f"count them, up to {MAXIMUM_COUNTED:,}")]


def _filter(
    request: Request,
    account: AccountQuery = None,
    state: Annotated[list[OrderState] | None, Query()] = None,
    product_code: Annotated[str | None, Query(max_length=200)] = None,
    reason_code: Annotated[str | None, Query(max_length=100)] = None,
    least_rupiah: _Rupiah = None,
    most_rupiah: _Rupiah = None,
    text: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="the beginning of an order id or a request id"),
    ] = None,
) -> OrderFilter:
    """The filter in the query.

    :raises ListingRefusedError: it holds a customer's number. Servers and proxies keep addresses.
    """
    if "client_number" in request.query_params:
        raise ListingRefusedError("client_number: found it in the address; expected POST /v1/orders/search")
    return OrderFilter(
        account=account,
        states=None if state is None else tuple(state),
        product_code=product_code,
        reason_code=reason_code,
        least_rupiah=least_rupiah,
        most_rupiah=most_rupiah,
        text=text,
    )


_Filter = Annotated[OrderFilter, Depends(_filter)]


@router.get("/orders", **route(Right.VIEW))
def list_orders(
    which: _Filter,
    person: CurrentPerson,
    listings: ListingsDep,
    sort: OrderSort | None = None,
    descending: bool = False,
    counted: _Counted = False,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> OrderPage:
    """List orders of all batches, the last change first.

    A page may be short, or empty, and still have a next one. Other sorts need an id, or states that few
    orders are in.
    """
    found = listings.orders(
        which, person, sort=sort, descending=descending, cursor=cursor, limit=limit, counted=counted
    )
    return OrderPage.model_validate(found)


@router.post("/orders/search", **route(Right.VIEW_NUMBERS))
def search_orders(
    person: CurrentPerson,
    listings: ListingsDep,
    client_number: Annotated[str, Body(pattern=r"\S", max_length=100, description="the whole number")],
    account: Annotated[str | None, Body(max_length=200)] = None,
    cursor: Annotated[str | None, Body(max_length=MAXIMUM_CURSOR_CHARACTERS)] = None,
    limit: Annotated[int, Body(ge=1, le=MAXIMUM_PAGE)] = USUAL_PAGE,
) -> OrderPage:
    """List the orders of a customer's number, the last change first. The search is recorded.

    Also needs `view`.
    """
    which = OrderFilter(client_number=client_number.strip(), account=account)
    return OrderPage.model_validate(
        listings.orders(
            which, person, sort=OrderSort.CHANGED, descending=True, cursor=cursor, limit=limit, counted=True
        )
    )


@router.get("/batches/{batch_id}/orders", **route(Right.VIEW))
def list_orders_of_batch(
    batch_id: BatchId,
    which: _Filter,
    person: CurrentPerson,
    listings: ListingsDep,
    sort: OrderSort = OrderSort.ROW,
    descending: bool = False,
    counted: _Counted = False,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> OrderPage:
    """List the orders of a batch."""
    found = listings.orders(
        replace(which, batch_id=batch_id),
        person,
        sort=sort,
        descending=descending,
        cursor=cursor,
        limit=limit,
        counted=counted,
    )
    return OrderPage.model_validate(found)


@router.get("/orders/export", **route(Right.VIEW_NUMBERS, files=TABLES))
def export_orders(
    which: _Filter,
    person: CurrentPerson,
    exports: OrderExportsDep,
    batch_id: Annotated[str | None, Query(pattern="^B[A-Z2-7]{25}$")] = None,
    file_format: Annotated[TableFormat, Query(alias="format")] = TableFormat.CSV,
) -> StreamingResponse:
    """Return the orders of a filter as a file of text, without goods."""
    content = exports.export(replace(which, batch_id=batch_id), file_format, person)
    headers = as_download(f"orders.{file_format.value}")
    return StreamingResponse(parts_of(content), headers=headers, media_type=file_format.media_type)


@router.get("/orders/named", **route(Right.VIEW))
def list_orders_named(
    reference: Annotated[
        str, Query(min_length=1, max_length=200, description="a whole order id or request id")
    ],
    person: CurrentPerson,
    listings: ListingsDep,
) -> Page[Order]:
    """List the orders with an id: several where accounts share order ids."""
    found = listings.orders_named(reference, person)
    return Page[Order].of(found)


@router.get("/orders/{request_id}", **route(Right.VIEW))
def show_order(request_id: RequestId, person: CurrentPerson, listings: ListingsDep) -> OrderDetails:
    """Return one order with its history, evidence, callbacks, price and alerts."""
    found = listings.order(request_id, person)
    alerts = tuple(told.alert for told in found.alerts)
    return OrderDetails.model_validate(rows_of(found, row="order") | {"alerts": alerts})


@router.get("/orders/{request_id}/events", **route(Right.VIEW))
def list_events(request_id: RequestId, person: CurrentPerson, listings: ListingsDep) -> Page[HistoryEntry]:
    """List the events of an order, the first one first, without customers' data."""
    return Page[HistoryEntry].of(listings.order(request_id, person).history)


@router.post("/orders/{request_id}/recheck", **route(Right.SUBMIT, Right.DECIDE))
def recheck(
    request_id: RequestId,
    person: CurrentPerson,
    rechecks: StatusRechecksDep,
    reason: Annotated[str, Body(embed=True, max_length=MAXIMUM_BODY_TEXT)] = "",
) -> Recheck:
    """Ask SAT for the status of an order that was sent, and record who asked and what a signed answer proves.

    Nothing is ever sent to be paid.
    """
    found = rechecks.recheck(request_id, person, reason)
    return Recheck.model_validate(members_of(found) | {"request_id": request_id, "state": found.order.state})


@router.post("/orders/{request_id}/resolve", **route(Right.DECIDE))
def resolve(
    request_id: RequestId,
    person: CurrentPerson,
    decisions: DecisionsDep,
    resolution: Annotated[str, Body(alias="as", pattern="^(succeeded|failed|resend)$")],
    reason: Reason,
) -> dict[str, str]:
    """Decide an escalated order. Later signed evidence that contradicts it is recorded."""
    order = decisions.resolve(request_id, Resolution(resolution), reason, person)
    return {"request_id": request_id, "order_id": order.order_id, "state": order.state.value}


@router.post("/orders/{request_id}/withdraw", **route(Right.SUBMIT, Right.DECIDE))
def withdraw(
    request_id: RequestId, person: CurrentPerson, decisions: DecisionsDep, reason: Reason
) -> dict[str, str]:
    """End an unsent order. An order that may have been sent is refused."""
    return _document(decisions.withdraw_order(request_id, reason, person))


@router.post("/orders/{request_id}/{decision}", **route(Right.DECIDE))
def decide_held(
    request_id: RequestId,
    decision: Annotated[str, Path(pattern="^(release|cancel)$")],
    person: CurrentPerson,
    decisions: DecisionsDep,
    reason: Reason,
) -> dict[str, str]:
    """Release or cancel a held order. A released order is sent with the next run of its batch."""
    return _document(decisions.decide_held_order(request_id, HeldDecision(decision), reason, person))


def _document(order: domain.Order) -> dict[str, str]:
    return {
        "request_id": order.request_id,
        "order_id": order.order_id,
        "batch_id": order.batch_id,
        "state": order.state.value,
    }
