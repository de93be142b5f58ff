"""What a batch's approver is asked: the orders that would be sent, and the terms that pin them.

:class:`~sat_hook.domain.approval_events.ApprovalTerms` hold the file's digest, the number of orders, their
sum, and a digest over the request id, the price and the payload (product, client number, amounts, fields) of
every order that would be sent; for a held order also why it is held, and its version. If an approver left
orders out, the digest covers what was shown and what was left out, too.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sat_hook.domain.approval_events import ApprovalTerms, OrdersLeftOut
from sat_hook.domain.batch import Batch
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.grouping import Rows, row_ranges, rows_in
from sat_hook.domain.guards import AccountRules
from sat_hook.domain.identity import payload_digest
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_events import HoldReason
from sat_hook.domain.people import user_named
from sat_hook.store.event_store import EventStore, OrderSlice, each_order

WAITING_STATES = (OrderState.QUOTED, OrderState.HELD)


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """When persons must approve, as far as a connection and a run ask for it.

    :param over_rupiah: a batch that costs more than this in total needs approval; None is never, 0 is always.
    :param held_too: the request includes held orders, and the approval releases them. Without it
        they stay held.
    :param second_over_rupiah: a batch that costs more needs two persons.
    :param third_over_rupiah: a batch that costs more needs three persons.
    """

    over_rupiah: int | None = None
    held_too: bool = False
    second_over_rupiah: int | None = None
    third_over_rupiah: int | None = None

    @classmethod
    def of(cls, rules: AccountRules, *, held_too: bool = False) -> ApprovalPolicy:
        """What these rules ask for."""
        return cls(rules.approval_over_rupiah, held_too, *rules.approval_tiers.over_rupiah[1:])


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The request shown to an approver. It names no customer.

    :param maker: the user who submitted the batch; None when a service did.
    :param prices: what each order costs, by request id.
    :param held: how many of the orders are held, by reason.
    :param held_versions: the version of each held order, by request id: the only ones an approval releases.
    :param products: orders and rupiah by product.
    :param rows: the row of each order, by request id.
    :param earlier_terms: the same orders as earlier releases pinned them, without their payloads.
    """

    batch: Batch
    terms: ApprovalTerms
    maker: str | None
    prices: dict[str, int] = field(default_factory=dict, repr=False)
    held: Counter[str] = field(default_factory=Counter)
    products: dict[str, tuple[int, int]] = field(default_factory=dict)
    held_versions: dict[str, int] = field(default_factory=dict, repr=False)
    rows: dict[str, int] = field(default_factory=dict, repr=False)
    earlier_terms: ApprovalTerms | None = field(default=None, repr=False)

    def is_about(self, terms: ApprovalTerms | None) -> bool:
        """Whether ``terms`` pin exactly these orders, in the form of this release or an earlier one."""
        return terms is not None and terms in (self.terms, self.earlier_terms)


def request_of(
    store: EventStore, batch: Batch, policy: ApprovalPolicy, without: Collection[str] = ()
) -> ApprovalRequest:
    """What is asked now: every order that would be sent, except those of the request ids ``without``."""
    prices: dict[str, int] = {}
    held: Counter[str] = Counter()
    holds: dict[str, tuple[str, int]] = {}
    products: dict[str, tuple[int, int]] = {}
    payloads: dict[str, str] = {}
    rows: dict[str, int] = {}
    for order in to_be_sent(store, batch, policy):
        if order.request_id in without:
            continue
        price = price_of(order)
        prices[order.request_id] = price
        rows[order.request_id] = order.row_number
        payloads[order.request_id] = payload_digest(
            order.product_code,
            order.client_number,
            order.amount_rupiah,
            order.max_rupiah,
            order.downline_id,
            order.fields,
        )
        orders, rupiah = products.get(order.product_code, (0, 0))
        products[order.product_code] = (orders + 1, rupiah + price)
        if order.state is OrderState.HELD:
            reason = order.reason_code or ""
            held[reason] += 1
            # Nothing happens to an order while it is held, so its version names this very hold.
            holds[order.request_id] = (reason, order.version)
    terms = ApprovalTerms(
        digest=batch.digest,
        orders=len(prices),
        total_rupiah=sum(prices.values()),
        quotes_digest=quotes_digest(prices.items(), holds, payloads),
    )
    earlier = terms.model_copy(update={"quotes_digest": quotes_digest(prices.items(), holds)})
    if batch.left_out is not None:
        in_part = terms_of_rest(terms, batch.left_out.shown, batch.left_out.rows, batch.left_out.held_rows)
        if in_part == batch.asked_for:
            terms = in_part
    return ApprovalRequest(
        batch,
        terms,
        maker_of(store, batch.batch_id),
        prices,
        held,
        products,
        {request_id: version for request_id, (_, version) in holds.items()},
        rows,
        earlier,
    )


def leave_out(
    store: EventStore,
    request: ApprovalRequest,
    policy: ApprovalPolicy,
    left_out: Collection[str],
    approver: str,
    reason: str,
    now: datetime,
) -> OrdersLeftOut:
    """The event that leaves these orders (request ids of ``request``) out of it."""
    rest = request_of(store, request.batch, policy, left_out)
    rows = row_ranges(request.rows[key] for key in left_out if key not in request.held_versions)
    held = {request.rows[key] for key in left_out if key in request.held_versions}
    held_rows = row_ranges(held | _held_and_left_out(request.batch))
    return OrdersLeftOut(
        approver=approver,
        shown=request.terms,
        rest=terms_of_rest(rest.terms, request.terms, rows, held_rows),
        rows=rows,
        held_rows=held_rows,
        held=rest.held.total(),
        reason=reason,
        decided_at=now,
    )


def left_out_but_not_held(store: EventStore, batch: Batch) -> Iterator[Order]:
    """The orders that an approver left out and that are still quoted, unless a person released them since."""
    left_out = batch.left_out
    if left_out is None or not left_out.rows:
        return
    rows = rows_in(left_out.rows)
    for order in each_order(store, OrderSlice(batch.batch_id, (OrderState.QUOTED,))):
        is_as_shown = order.admitted_at is not None and order.admitted_at <= left_out.decided_at
        if order.row_number in rows and is_as_shown:
            yield order


def terms_of_rest(rest: ApprovalTerms, shown: ApprovalTerms, rows: Rows, held_rows: Rows) -> ApprovalTerms:
    """The terms of an approval in part: their digest (``3:`` in front) covers all of it."""
    text = json.dumps([rest.quotes_digest, shown.quotes_digest, rows, held_rows], separators=(",", ":"))
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()
    return rest.model_copy(update={"quotes_digest": f"3:{digest}"})


def to_be_sent(store: EventStore, batch: Batch, policy: ApprovalPolicy) -> Iterator[Order]:
    """The orders that an approval is about: admitted ones, and held ones if the policy includes them.

    What an approver left out is not among them: a person has to release it first.
    """
    states = WAITING_STATES if policy.held_too else (OrderState.QUOTED,)
    left_out = _held_and_left_out(batch)
    for order in each_order(store, OrderSlice(batch.batch_id, states)):
        if order.state is not OrderState.HELD:
            if order.admitted_at is not None:
                yield order
        elif order.reason_code != HoldReason.LEFT_OUT and order.row_number not in left_out:
            yield order


def _held_and_left_out(batch: Batch) -> frozenset[int]:
    return frozenset() if batch.left_out is None else rows_in(batch.left_out.held_rows)


def answers_of(batch: Batch) -> str:
    """A text that changes with every answer to what is asked about the batch, and with nothing else."""
    signed = [batch.asked_for.quotes_digest if batch.left_out and batch.asked_for else "", *batch.signers]
    ends = [batch.approver, batch.rejecter, batch.withdrawn, batch.refusal_code]
    approved = None if batch.approved is None else batch.approved.quotes_digest
    text = json.dumps([signed, approved, ends])
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def price_of(order: Order) -> int:
    """What a quoted or held order costs, in rupiah."""
    price = order.quote_rupiah if order.held_rupiah is None else order.held_rupiah
    assert price is not None, "only quoted orders are asked for"
    return price


def maker_of(store: EventStore, batch_id: str) -> str | None:
    """The user who submitted the batch; None when a service did and no user is known."""
    events = store.read_stream(StreamId(StreamKind.BATCH, batch_id))
    return user_of(events[0].provenance) if events else None


def user_of(provenance: Provenance) -> str | None:
    """The Airflow user who acted; None for a service."""
    return user_named(provenance.actor)


def quotes_digest(
    prices: Iterable[tuple[str, int]],
    held: Mapping[str, tuple[str, int]] | None = None,
    payloads: Mapping[str, str] | None = None,
) -> str:
    """SHA-256 (hex) over request ids and prices in rupiah, independent of their order.

    :param payloads: the digest of each order's payload, by request id. The digest then has ``2:`` in front;
        those of earlier releases have nothing in front, and cover no payloads.
    :param held: why an order is held and its version, by request id. An order that is held later, or again,
        thus makes another digest: no approval is about a hold that its approver was not shown.
    """
    holds = held or {}
    entries: list[list[str | int]] = [[request_id, price] for request_id, price in prices]
    for entry in entries:
        request_id = str(entry[0])
        entry += [] if payloads is None else [payloads[request_id]]
        entry += holds.get(request_id, ())
    entries.sort(key=lambda entry: entry[:2])
    text = json.dumps(entries, separators=(",", ":"))
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()
    return digest if payloads is None else f"2:{digest}"
