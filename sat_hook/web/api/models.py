"""The documents that the API answers with. Rupiah are whole numbers; times carry their offset."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, cast

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from sat_hook.application.attention import NeedKind
from sat_hook.application.batch_details import BatchStep
from sat_hook.application.batch_standing import BatchStanding
from sat_hook.application.cursors import MAXIMUM_CURSOR_CHARACTERS
from sat_hook.application.decision_acts import BulkAct
from sat_hook.application.listings import MAXIMUM_PAGE
from sat_hook.domain.batch import BatchState
from sat_hook.domain.order import OrderState
from sat_hook.protocol.outcomes import StatusVerdict

Cursor = Annotated[
    str | None, Query(max_length=MAXIMUM_CURSOR_CHARACTERS, description="`next` of the page before")
]
Limit = Annotated[int, Query(ge=1, le=MAXIMUM_PAGE, description="the most items of the page")]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]

T = TypeVar("T")


class Document(BaseModel):
    """Made from the application's rows."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


def members_of(details: object) -> dict[str, Any]:
    """The members of an application's row."""
    return {field.name: getattr(details, field.name) for field in fields(cast("Any", details))}


def rows_of(details: object, *, row: str) -> dict[str, Any]:
    """The members of a row's details, with the row itself under its own name."""
    members = members_of(details)
    return {row: members.pop("row"), **members}


class Page(Document, Generic[T]):
    """A page of a list. ``next`` is the cursor of the next page, null at the end."""

    items: tuple[T, ...]
    next: str | None = None


class Batch(Document):
    """A batch. See :class:`sat_hook.application.batch_standing.BatchRow`."""

    batch_id: str
    file_name: str
    reference: str
    maker: str | None
    submitted_at: datetime
    account: str
    standing: BatchStanding
    state: BatchState
    starts_at: datetime | None
    rows: int
    set_aside: int
    orders: dict[OrderState, int]
    quoted_rupiah: int
    paid_rupiah: int
    run_paid_rupiah: int | None
    needs_rows: int


class Need(Document):
    """Rows of a batch that need a person for the same reason."""

    standing: str
    code: str
    rows: int


class HistoryEntry(Document):
    """One event of an order or a batch, without customers' data."""

    position: int
    version: int
    kind: str
    at: datetime
    actor: str
    cause: str
    parameters: dict[str, Any]


class Approval(Document):
    """A batch's approval: asked for, and answered or not."""

    asked_at: datetime
    orders: int
    total_rupiah: int
    held: int
    approver: str | None
    approved_at: datetime | None
    rejecter: str | None


class BatchRun(Document):
    """A run of a batch in Airflow."""

    dag_id: str
    run_id: str
    at: datetime
    actor: str
    parameters: dict[str, Any]
    is_refused: bool


class BatchResult(Document):
    """A batch's newest result file."""

    at: datetime
    position: int | None
    digest: str
    rows: int


class Decided(Document):
    """What somebody did with a batch, and why."""

    at: datetime
    actor: str
    reason: str | None


class BatchDetails(Document):
    """A batch with its steps, approval, runs, results and history."""

    batch: Batch
    source: str
    digest: str
    size_bytes: int
    steps: dict[BatchStep, datetime]
    needs: tuple[Need, ...]
    pays_again: Batch | None
    paid_again_by: tuple[Batch, ...]
    pause_reason: str | None
    approval: Approval | None
    runs: tuple[BatchRun, ...]
    result: BatchResult | None
    withdrawal: Decided | None
    refusal: Decided | None
    history: tuple[HistoryEntry, ...]


class StateFigures(Document):
    """How many orders of a batch are in a state, and their rupiah."""

    state: OrderState
    orders: int
    quoted_rupiah: int
    charged_rupiah: int


class BatchSummary(Document):
    """A batch in figures, now or as of a log position. Progress, pauses and funds are of now alone."""

    batch_id: str
    state: BatchState
    is_over: bool
    account: str
    file_name: str
    size_bytes: int
    reference: str | None
    rows: int
    orders: int
    set_aside: int
    moved_on: int
    quoted_rupiah: int | None
    paid_rupiah: int
    counts: tuple[StateFigures, ...]
    ended: int
    unsent: int
    for_people: int
    needs_in_words: str
    refusal_code: str | None
    refusal_message: str | None
    results_uri: str | None
    results_position: int | None
    pause_reason: str | None
    progress_in_words: str | None
    progress_in_short: str | None


class Order(Document):
    """An order. The client's number is masked for users who may not see numbers."""

    request_id: str
    order_id: str
    batch_id: str
    file_name: str
    row_number: int
    account: str
    product_code: str
    client_number: str
    state: OrderState
    reason_code: str | None
    reason: str | None
    amount_rupiah: int | None
    quote_rupiah: int | None
    charged_rupiah: int | None
    changed_at: datetime


class OrderPage(Page[Order]):
    """A page of orders. ``count`` is null unless it was asked for; there may be more than are counted."""

    count: int | None
    is_more: bool


class Evidence(Document):
    """A signed status that is kept, without its contents."""

    digest: str
    signature: str
    key_fingerprint: str
    observed_at: datetime
    recorded_at: datetime


class Callback(Document):
    """A verified callback."""

    received_at: datetime
    key_fingerprint: str
    remote_address: str
    repeats: int
    last_repeat_at: datetime | None
    is_waiting: bool


class Listing(Document):
    """A product as a price list has it. SAT's status: 1 active, 2 inactive, 3 temporarily inactive."""

    code: str
    name: str
    price_rupiah: int | None
    is_inquiry: bool
    status: int
    operator_name: str
    category_name: str


class Price(Document):
    """A product as it was listed in a period; ``until`` is null while it still is."""

    product: Listing
    since: datetime
    until: datetime | None


class Product(Document):
    """A product as it was listed last; ``gone_at`` is null while it is listed."""

    account: str
    product: Listing
    changed_at: datetime
    gone_at: datetime | None


class Alert(Document):
    """What people were told of, or shall be."""

    key: str
    kind: str
    text: str
    occurred_at: datetime


class OrderDetails(Document):
    """An order with its history, evidence, callbacks, price and alerts."""

    order: Order
    maker: str | None
    history: tuple[HistoryEntry, ...]
    evidence: tuple[Evidence, ...]
    callbacks: tuple[Callback, ...]
    price: Price | None
    alerts: tuple[Alert, ...]


class Recheck(Document):
    """SAT's answer about an order. Only a signed one can change it; ``reason`` is why another does not."""

    request_id: str
    state: OrderState
    verdict: StatusVerdict
    reason: str
    is_changed: bool


class Undone(Document):
    """An order that a decision does not reach, and why. ``order_id`` is null when there is no such order."""

    request_id: str
    code: str
    text: str
    order_id: str | None
    batch_id: str | None
    row_number: int | None


class Decidable(Document):
    """Orders in one state, held or escalated for one reason."""

    state: OrderState
    reason_code: str | None
    orders: int
    rupiah: int


class BulkPreview(Document):
    """What a decision would do. ``undone`` names the first orders that it cannot reach; all are counted."""

    act: BulkAct
    digest: str
    orders: int
    rupiah: int
    by_standing: tuple[Decidable, ...]
    batch_ids: tuple[str, ...]
    undone: tuple[Undone, ...]
    undone_by_code: dict[str, int]


class BulkResult(Document):
    """A decision and what it has done so far. ``orders`` is how many were chosen.

    ``ended_at`` is null while it is under way. It goes on by itself, also after a restart of the server.
    """

    decision_id: str
    act: BulkAct
    decided_by: str
    begun_at: datetime
    ended_at: datetime | None
    orders: int
    done: int
    done_rupiah: int
    undone: tuple[Undone, ...]
    undone_by_code: dict[str, int]


class Goods(Document):
    """How many orders of a batch have succeeded, and how many of them have a voucher or a serial."""

    orders: int
    vouchers: int
    serials: int


class Delivery(Document):
    """A delivery that was made."""

    at: datetime
    user: str
    orders: int
    reason: str


class Deliverable(Document):
    """What a batch has to deliver, and its deliveries, last first. ``goods`` is null for large batches."""

    batch: Batch
    paid: int
    goods: Goods | None
    earlier: tuple[Delivery, ...]


class NeedsPerson(Document):
    """Something of an account that needs a person: batches, orders, a paused account, or alerts."""

    kind: NeedKind
    account: str
    count: int
    since: datetime | None
    batch_ids: tuple[str, ...]
    missing_rupiah: int | None
    code: str | None


class SaldoPoint(Document):
    """What a deposit held."""

    observed_at: datetime
    saldo_rupiah: int


class Deposit(Document):
    """An account's deposit; numbers are null before the first observation."""

    account: str
    connection: str | None
    observed_at: datetime | None
    saldo_rupiah: int | None
    reserved_rupiah: int | None
    sent_rupiah: int | None
    free_rupiah: int | None
    days: tuple[SaldoPoint, ...]


class Account(Document):
    """An account: whether it may send, and when SAT was heard of last."""

    account: str
    connection: str | None
    is_paused: bool
    pause_reason: str | None
    paused_at: datetime | None
    paused_by: str | None
    last_callback_at: datetime | None
    last_answer_at: datetime | None


class Key(Document):
    """A key of an account."""

    use: str
    fingerprint: str
    last_used_at: datetime | None


class AccountDetails(Document):
    """An account with its rules in force, where each comes from, and its keys."""

    account: Account
    rules: dict[str, Any]
    keys: tuple[Key, ...]
