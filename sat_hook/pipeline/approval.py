"""Approval, maker-checker: a user other than the maker reviews the batch; only what was shown is paid.

A request is pinned by :class:`~sat_hook.domain.batch_events.ApprovalTerms`: the file's digest, the
number of orders, their sum, and a digest over the request id, the price and the payload (product, client
number, amounts, fields) of every order that would be sent; for a held order also why it is held, and its
version.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, load_batch
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_commands import (
    ApproveBatch,
    RefuseApproval,
    RefuseBatch,
    RejectApproval,
    RequestApproval,
)
from sat_hook.domain.batch_events import ApprovalRefusal, ApprovalTerms
from sat_hook.domain.decision import RefusalReason
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.grouping import grouped
from sat_hook.domain.guards import amount_of, counts, smaller_limit
from sat_hook.domain.identity import payload_digest
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Approve, Cancel, OrderCommand, Reject
from sat_hook.domain.order_events import RejectionReason
from sat_hook.domain.people import USER_PREFIX, is_same_person, user_named
from sat_hook.pipeline.account_rules import rules_of_account
from sat_hook.pipeline.errors import (
    ApprovalRejectedError,
    ApprovalTermsChangedError,
    ApproverRefusedError,
    BatchStoppedError,
)
from sat_hook.pipeline.withdrawal import finish_withdrawal
from sat_hook.store.event_store import EventStore, OrderSlice, each_order

WAITING_STATES = (OrderState.QUOTED, OrderState.HELD)


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """When a person must approve.

    :param over_rupiah: a batch that costs more than this in total needs approval; None is never, 0 is always.
    :param held_too: the request includes held orders, and the approval releases them. Without it
        they stay held.
    """

    over_rupiah: int | None = None
    held_too: bool = False


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The request shown to an approver. It names no customer.

    :param maker: the user who submitted the batch; None when a service did.
    :param prices: what each order costs, by request id.
    :param held: how many of the orders are held, by reason.
    :param held_versions: the version of each held order, by request id: the only ones an approval releases.
    :param products: orders and rupiah by product.
    :param earlier_terms: the same orders as earlier releases pinned them, without their payloads.
    """

    batch: Batch
    terms: ApprovalTerms
    maker: str | None
    prices: dict[str, int] = field(default_factory=dict, repr=False)
    held: Counter[str] = field(default_factory=Counter)
    products: dict[str, tuple[int, int]] = field(default_factory=dict)
    held_versions: dict[str, int] = field(default_factory=dict, repr=False)
    earlier_terms: ApprovalTerms | None = field(default=None, repr=False)

    def is_about(self, terms: ApprovalTerms | None) -> bool:
        """Whether ``terms`` pin exactly these orders, in the form of this release or an earlier one."""
        return terms is not None and terms in (self.terms, self.earlier_terms)


def approval_is_needed(store: EventStore, batch: Batch, policy: ApprovalPolicy) -> bool:
    """Whether orders of the batch may only be sent with an approval.

    The smaller threshold counts: the policy's or that of the account's rules. A batch that once needed
    approval always needs it, so a later run with another policy cannot avoid it. The sum covers the whole
    batch, including orders already sent, so releasing it bit by bit cannot avoid it either.
    """
    if batch.approval_required:
        return True
    if policy.held_too and _orders_in(store, batch.batch_id, OrderState.HELD):
        return True
    over_rupiah = smaller_limit(
        policy.over_rupiah, rules_of_account(store, batch.account).approval_over_rupiah
    )
    if over_rupiah is None:
        return False
    total = 0
    for order in each_order(store, OrderSlice(batch.batch_id)):
        if counts(order) or order.state is OrderState.QUOTED:
            total += amount_of(order)
    return total > over_rupiah


def ask_for_approval(
    handler: CommandHandler, batch_id: str, policy: ApprovalPolicy, provenance: Provenance
) -> ApprovalRequest | None:
    """Record and return the approval that the batch needs before it goes on; None when it needs none.

    An interrupted approval, withdrawal or rejection is finished first. A withdrawal and a rejection are
    final.

    :raises BatchStoppedError: when the batch is refused.
    :raises ApprovalRejectedError: when a rejection was recorded and orders were still waiting.
    :raises ApprovalTermsChangedError: when a user rejected the batch at the same moment.
    """
    batch = load_batch(handler.store, batch_id)
    if batch.state is BatchState.REFUSED:
        raise BatchStoppedError(f"batch {batch_id} was refused: {batch.refusal_message}")
    if batch.withdrawn is not None:
        finish_withdrawal(handler, batch, provenance)
        return None
    if batch.rejecter is not None:
        waiting = sum(_orders_in(handler.store, batch_id, state) for state in WAITING_STATES)
        if waiting:
            _end_rejected(handler, batch_id, batch.rejecter, _as_answerer(batch.rejecter, provenance))
            raise ApprovalRejectedError(
                f"batch {batch_id}: user {batch.rejecter!r} rejected the batch; {waiting} orders were not "
                "sent"
            )
        return None
    if not approval_is_needed(handler.store, batch, policy):
        return None
    request = _request(handler.store, batch, policy)
    if request.is_about(batch.approved) and batch.approver is not None:
        _approve_orders(handler, request, policy, _as_answerer(batch.approver, provenance))
    if not _lacking(handler.store, batch_id, policy):
        return None
    asking = RequestApproval(request.terms, request.held.total())
    _, refusal = handler.apply_to_batch(batch_id, asking, provenance)
    if refusal is not None and refusal.reason is not RefusalReason.ALREADY_SO:
        raise ApprovalTermsChangedError(
            f"batch {batch_id} has changed while approval was asked for: {refusal.detail}; run the batch "
            "again"
        )
    return request


def approve(
    handler: CommandHandler,
    batch_id: str,
    policy: ApprovalPolicy,
    terms: ApprovalTerms,
    provenance: Provenance,
) -> Batch:
    """Record that the user in ``provenance`` approves the batch as ``terms`` show it.

    :raises ApproverRefusedError: when that user is the maker; recorded. Ask again.
    :raises ApprovalTermsChangedError: when the batch has changed since it was shown; recorded.
    """
    batch = load_batch(handler.store, batch_id)
    approver = user_of(provenance)
    if approver is None:
        _refuse(handler, batch, ApprovalRefusal.NO_USER, "the answer names no user", provenance)
        raise ApproverRefusedError(f"batch {batch_id}: the answer names no user, so it does not count")
    maker = maker_of(handler.store, batch_id)
    if maker is not None and is_same_person(approver, maker):
        text = f"user {approver!r} submitted the batch; expected another user to approve it"
        _refuse(handler, batch, ApprovalRefusal.OWN_BATCH, text, provenance)
        raise ApproverRefusedError(f"batch {batch_id}: {text}")
    request = _request(handler.store, batch, policy)
    found = request.terms
    if not request.is_about(terms) or batch.asked_for != terms:
        text = (
            f"found {found.orders} orders for {found.total_rupiah} rupiah ({found.quotes_digest[:12]}…); "
            f"asked for were {terms.orders} for {terms.total_rupiah} ({terms.quotes_digest[:12]}…)"
        )
        _refuse(handler, batch, ApprovalRefusal.TERMS_CHANGED, text, provenance)
        raise ApprovalTermsChangedError(
            f"batch {batch_id} has changed since approval was asked for: {text}. Nothing was approved; run "
            "the batch again"
        )
    batch, refusal = handler.apply_to_batch(batch_id, ApproveBatch(terms, approver), provenance)
    if refusal is not None and refusal.reason is not RefusalReason.ALREADY_SO:
        # The batch's approval comes first; only then are its orders approved one by one.
        _refuse(handler, batch, ApprovalRefusal.TERMS_CHANGED, refusal.detail, provenance)
        raise ApprovalTermsChangedError(
            f"batch {batch_id} has changed while it was approved: {refusal.detail}. Nothing was approved; "
            "run the batch again"
        )
    _approve_orders(handler, request, policy, provenance)
    return batch


def reject(handler: CommandHandler, batch_id: str, terms: ApprovalTerms, provenance: Provenance) -> None:
    """Record that the user in ``provenance`` rejects the batch. Every order not sent yet ends unsent.

    A batch of which no order was ever sent is refused as a whole. The maker may reject too.

    :raises ApprovalRejectedError: always, once everything is recorded: the batch's run ends here.
    """
    rejecter = user_of(provenance) or provenance.actor
    handler.apply_to_batch(batch_id, RejectApproval(terms, rejecter), provenance)
    _end_rejected(handler, batch_id, rejecter, provenance)
    text = f"user {rejecter!r} rejected the batch"
    raise ApprovalRejectedError(f"batch {batch_id}: {text}; {terms.orders} orders were not sent")


def _end_rejected(handler: CommandHandler, batch_id: str, rejecter: str, provenance: Provenance) -> None:
    """End the waiting orders of a rejected batch. The next run repeats it when it was interrupted."""
    text = f"user {rejecter!r} rejected the batch"
    for group in grouped(each_order(handler.store, OrderSlice(batch_id, WAITING_STATES))):
        commands = [OrderCommandRequest(order.request_id, _ending(order, text)) for order in group]
        handler.apply(commands, provenance, {order.request_id: order for order in group})
    left = {count.state for count in handler.store.count_by_state(batch_id)}
    if left <= {OrderState.REJECTED, OrderState.CANCELLED}:
        handler.apply_to_batch(batch_id, RefuseBatch("approval_rejected", text), provenance)


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


def _request(store: EventStore, batch: Batch, policy: ApprovalPolicy) -> ApprovalRequest:
    prices: dict[str, int] = {}
    held: Counter[str] = Counter()
    holds: dict[str, tuple[str, int]] = {}
    products: dict[str, tuple[int, int]] = {}
    payloads: dict[str, str] = {}
    for order in _to_be_sent(store, batch.batch_id, policy):
        price = _price(order)
        prices[order.request_id] = price
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
    return ApprovalRequest(
        batch,
        terms,
        maker_of(store, batch.batch_id),
        prices,
        held,
        products,
        {request_id: version for request_id, (_, version) in holds.items()},
        terms.model_copy(update={"quotes_digest": quotes_digest(prices.items(), holds)}),
    )


def _to_be_sent(store: EventStore, batch_id: str, policy: ApprovalPolicy) -> Iterator[Order]:
    states = WAITING_STATES if policy.held_too else (OrderState.QUOTED,)
    for order in each_order(store, OrderSlice(batch_id, states)):
        if order.state is OrderState.HELD or order.admitted_at is not None:
            yield order


def _lacking(store: EventStore, batch_id: str, policy: ApprovalPolicy) -> bool:
    """Whether an order that can be sent lacks an approval at its price."""
    return any(
        order.state is OrderState.HELD
        or order.approved_rupiah is None
        or order.approved_rupiah < _price(order)
        for order in _to_be_sent(store, batch_id, policy)
    )


def _price(order: Order) -> int:
    price = order.quote_rupiah if order.held_rupiah is None else order.held_rupiah
    assert price is not None, "only quoted orders are asked for"
    return price


def _approve_orders(
    handler: CommandHandler, request: ApprovalRequest, policy: ApprovalPolicy, provenance: Provenance
) -> None:
    """Approve each order at the price that was shown. An order whose price has changed since refuses.

    So does an order that was put on hold after it was shown: no approval releases it.
    """
    prices = request.prices
    orders = _to_be_sent(handler.store, request.batch.batch_id, policy)
    for group in grouped(order for order in orders if order.request_id in prices):
        commands = [OrderCommandRequest(order.request_id, _approval(order, request)) for order in group]
        handler.apply(commands, provenance, {order.request_id: order for order in group})


def _approval(order: Order, request: ApprovalRequest) -> Approve:
    price_rupiah = request.prices[order.request_id]
    if request.held_versions.get(order.request_id) != order.version:
        return Approve(price_rupiah)
    return Approve(price_rupiah, f"approved with the batch, though held for {order.reason_code}")


def _ending(order: Order, text: str) -> OrderCommand:
    if order.state is OrderState.HELD:
        return Cancel(text)
    return Reject(RejectionReason.APPROVAL_REJECTED, text)


def _refuse(
    handler: CommandHandler, batch: Batch, reason: ApprovalRefusal, detail: str, provenance: Provenance
) -> None:
    command = RefuseApproval(reason, detail, user_of(provenance) or "")
    handler.apply_to_batch(batch.batch_id, command, provenance)


def _as_answerer(user: str, provenance: Provenance) -> Provenance:
    """The provenance of an answer: the user who gave it, even when a later try finishes it."""
    return Provenance(f"{USER_PREFIX}{user}", f"{provenance.cause}, finishing a recorded answer")


def _orders_in(store: EventStore, batch_id: str, state: OrderState) -> int:
    return sum(count.orders for count in store.count_by_state(batch_id) if count.state is state)
