"""Approval, maker-checker: users other than the maker review the batch; only what was shown is paid.

:mod:`sat_hook.pipeline.approval_request` says what is shown. By the rules' tiers, one, two or three different
persons sign the same terms; the last signature approves the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.approval_events import ApprovalRefusal, ApprovalRefused, ApprovalTerms
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_commands import (
    ApproveBatch,
    LeaveOut,
    RefuseBatch,
    RejectApproval,
    RequestApproval,
)
from sat_hook.domain.decision import Record, Refusal, RefusalReason
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import AccountRules, amount_of, counts
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Approve, Cancel, Hold, OrderCommand, Reject
from sat_hook.domain.order_events import HoldReason, RejectionReason
from sat_hook.domain.order_state import ENDED_UNSENT
from sat_hook.domain.people import USER_PREFIX, is_same_person
from sat_hook.pipeline.account_rules import rules_of_account
from sat_hook.pipeline.approval_request import (
    WAITING_STATES,
    ApprovalPolicy,
    ApprovalRequest,
    leave_out,
    left_out_but_not_held,
    maker_of,
    price_of,
    request_of,
    to_be_sent,
    user_of,
)
from sat_hook.pipeline.errors import (
    ApprovalRejectedError,
    ApprovalTermsChangedError,
    ApproverRefusedError,
    BatchStoppedError,
    LeftOutRefusedError,
)
from sat_hook.pipeline.withdrawal import finish_withdrawal
from sat_hook.store.event_store import EventStore, OrderSlice, each_order

HoldsRight = Callable[[str], bool]
"""Whether the answering user has the right of this name, beyond approving."""


def no_rights(_right: str) -> bool:
    """The answer of a caller that cannot know the user's rights."""
    return False


def approval_is_needed(store: EventStore, batch: Batch, policy: ApprovalPolicy) -> bool:
    """Whether orders of the batch may only be sent with an approval; see :func:`persons_needed`."""
    return batch.approval_required or persons_needed(store, batch, policy) > 0


def persons_needed(store: EventStore, batch: Batch, policy: ApprovalPolicy) -> int:
    """How many persons must approve the batch before its orders are sent.

    Of each tier the smaller amount counts: the policy's or that of the account's rules. A batch that once
    needed so many always needs them, so a later run with another policy cannot avoid it. The sum covers the
    whole batch, including orders already sent, so releasing it bit by bit cannot avoid it either.
    """
    persons = batch.persons if batch.approval_required else 0
    if policy.held_too and _orders_in(store, batch.batch_id, OrderState.HELD):
        persons = max(persons, 1)
    tiers = _rules_for(store, batch, policy).approval_tiers
    if not any(over is not None for over in tiers.over_rupiah):
        return persons
    total = 0
    for order in each_order(store, OrderSlice(batch.batch_id)):
        if counts(order) or order.state is OrderState.QUOTED:
            total += amount_of(order)
        elif policy.held_too and order.state is OrderState.HELD:
            total += price_of(order)
    return max(persons, tiers.persons(total))


def _rules_for(store: EventStore, batch: Batch, policy: ApprovalPolicy) -> AccountRules:
    asked = AccountRules(
        approval_over_rupiah=policy.over_rupiah,
        second_approval_over_rupiah=policy.second_over_rupiah,
        third_approval_over_rupiah=policy.third_over_rupiah,
    )
    return rules_of_account(store, batch.account).stricter(asked)


def ask_for_approval(
    handler: CommandHandler, batch_id: str, policy: ApprovalPolicy, provenance: Provenance
) -> ApprovalRequest | None:
    """Record and return the approval that the batch needs before it goes on; None when it needs none.

    An interrupted approval, withdrawal or rejection is finished first. A withdrawal and a rejection are
    final. While further persons must sign, the same request is returned again.

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
        is_waiting = any(_orders_in(handler.store, batch_id, state) for state in WAITING_STATES)
        # The rejection may be half recorded: its orders have ended, and the batch is not refused yet.
        is_whole = _end_rejected(handler, batch_id, batch.rejecter, _as_answerer(batch.rejecter, provenance))
        if is_waiting or is_whole:
            raise ApprovalRejectedError(
                f"batch {batch_id}: user {batch.rejecter!r} rejected the batch; no waiting order is sent"
            )
        return None
    _finish_leaving_out(handler, batch, provenance)
    persons = persons_needed(handler.store, batch, policy)
    if not persons:
        return None
    request = request_of(handler.store, batch, policy)
    if request.is_about(batch.approved) and batch.approver is not None:
        _approve_orders(handler, request, policy, _as_answerer(batch.approver, provenance))
    if not _lacking(handler.store, batch, policy):
        return None
    asking = RequestApproval(request.terms, request.held.total(), persons, batch.left_out)
    left_out = batch.left_out
    batch, refusal = handler.apply_to_batch(batch_id, asking, provenance)
    if refusal is not None and batch.left_out != left_out:
        # An approver has left orders out since they were read: what is asked for is the rest.
        return ask_for_approval(handler, batch_id, policy, provenance)
    if refusal is not None and refusal.reason is not RefusalReason.ALREADY_SO:
        raise ApprovalTermsChangedError(
            f"batch {batch_id} has changed while approval was asked for: {refusal.detail}; run the batch "
            "again"
        )
    return replace(request, batch=batch)


def approve(
    handler: CommandHandler,
    batch_id: str,
    policy: ApprovalPolicy,
    terms: ApprovalTerms,
    provenance: Provenance,
    *,
    left_out: Collection[str] = (),
    reason: str | None = None,
    has_right: HoldsRight = no_rights,
) -> Batch:
    """Record that the user in ``provenance`` approves the batch as ``terms`` show it, or in part.

    When further persons must sign, the batch's ``approved`` is not ``terms`` yet.

    :param left_out: request ids of orders that are not approved. They are then held; a reason is needed.
    :param has_right: whether the user has a right that the account's rules ask of this signature.
    :raises ApproverRefusedError: when that user is the maker, has signed before, or lacks a right; recorded.
        Ask again.
    :raises ApprovalTermsChangedError: when the batch has changed since it was shown; recorded.
    """
    batch = load_batch(handler.store, batch_id)
    approver = _checked_approver(handler, batch, provenance, has_right)
    _finish_leaving_out(handler, batch, provenance)
    request = request_of(handler.store, batch, policy)
    if not request.is_about(terms) or batch.asked_for != terms:
        found = request.terms
        text = (
            f"found {found.orders} orders for {found.total_rupiah} rupiah ({found.quotes_digest[:12]}…); "
            f"asked for were {terms.orders} for {terms.total_rupiah} ({terms.quotes_digest[:12]}…)"
        )
        _refuse(handler, batch, ApprovalRefusal.TERMS_CHANGED, text, provenance)
        raise ApprovalTermsChangedError(
            f"batch {batch_id} has changed since approval was asked for: {text}. Nothing was approved; run "
            "the batch again"
        )
    persons = persons_needed(handler.store, batch, policy)
    if left_out:
        request = _without(handler, request, policy, left_out, approver, reason or "", provenance)
        terms, reason = request.terms, None
    batch, refusal = handler.apply_to_batch(
        batch_id, ApproveBatch(terms, approver, persons, reason), provenance
    )
    if refusal is not None and batch.approved != terms:
        # The batch's approval comes first; only then are its orders approved one by one.
        raise _overtaken(handler, batch, refusal, provenance)
    if batch.approved == terms:
        _approve_orders(handler, request, policy, provenance)
    return batch


def _checked_approver(
    handler: CommandHandler, batch: Batch, provenance: Provenance, has_right: HoldsRight
) -> str:
    """The user who answers, when that user's approval may count at all."""
    approver = user_of(provenance)
    if approver is None:
        _refuse(handler, batch, ApprovalRefusal.NO_USER, "the answer names no user", provenance)
        raise ApproverRefusedError(f"batch {batch.batch_id}: the answer names no user, so it does not count")
    maker = maker_of(handler.store, batch.batch_id)
    if refusal := refusal_of(handler.store, batch, maker, approver, has_right):
        _refuse(handler, batch, *refusal, provenance)
        raise ApproverRefusedError(f"batch {batch.batch_id}: {refusal[1]}")
    return approver


def refusal_of(
    store: EventStore, batch: Batch, maker: str | None, approver: str, has_right: HoldsRight
) -> tuple[ApprovalRefusal, str] | None:
    """Why this user's approval would not count now; None when it would."""
    if maker is not None and is_same_person(approver, maker):
        text = f"user {approver!r} submitted the batch; expected another user to approve it"
        return ApprovalRefusal.OWN_BATCH, text
    if batch.is_signed_by(approver):
        text = f"user {approver!r} has signed already; expected another person to sign, too"
        return ApprovalRefusal.SIGNED_BEFORE, text
    signature = len(batch.signers) + 1
    tiers = rules_of_account(store, batch.account).approval_tiers
    missing = [right for right in tiers.rights_of(signature) if not has_right(right)]
    if missing:
        text = (
            f"signature {signature} needs the right {' and '.join(missing)}, which user {approver!r} is "
            "not known to have here; expected an answer in the console, by a user who has it"
        )
        return ApprovalRefusal.RIGHT_MISSING, text
    return None


def _without(
    handler: CommandHandler,
    request: ApprovalRequest,
    policy: ApprovalPolicy,
    left_out: Collection[str],
    approver: str,
    reason: str,
    provenance: Provenance,
) -> ApprovalRequest:
    """The request without these orders, once that is recorded and they are held."""
    batch = request.batch
    strange = sorted(set(left_out) - request.prices.keys())
    if strange or len(set(left_out)) == len(request.prices) or not reason.strip():
        found = f"order {strange[0]}, which was not asked for" if strange else "every order left out"
        if not strange and not reason.strip():
            found = "no reason"
        raise LeftOutRefusedError(
            f"batch {batch.batch_id}: found {found}; expected some of the orders that are asked for to be "
            "left out, for a reason. To approve none of them, reject the batch"
        )
    now = handler.clock.now()
    command = LeaveOut(leave_out(handler.store, request, policy, left_out, approver, reason, now))
    batch, refusal = handler.apply_to_batch(batch.batch_id, command, provenance)
    if refusal is not None:
        raise _overtaken(handler, batch, refusal, provenance)
    _finish_leaving_out(handler, batch, provenance)
    return request_of(handler.store, batch, policy)


def _finish_leaving_out(handler: CommandHandler, batch: Batch, provenance: Provenance) -> None:
    """Hold the orders that an approver left out. Whatever comes next repeats it when it was interrupted."""
    if batch.left_out is None:
        return
    by = _as_answerer(batch.left_out.approver, provenance)
    approver, why = batch.left_out.approver, batch.left_out.reason
    hold = Hold(HoldReason.LEFT_OUT, f"left out by {approver}: {why}", facts={"approver": approver})
    handler.apply_to_each(left_out_but_not_held(handler.store, batch), lambda _: hold, by)


def reject(
    handler: CommandHandler,
    batch_id: str,
    terms: ApprovalTerms,
    provenance: Provenance,
    reason: str | None = None,
) -> None:
    """Record that the user in ``provenance`` rejects the batch. Every order not sent yet ends unsent.

    A batch of which no order was ever sent is refused as a whole. The maker may reject too.

    :param terms: what the user was shown.
    :raises ApprovalTermsChangedError: when something else is asked for by now; recorded. Ask again.
    :raises ApprovalRejectedError: otherwise, once everything is recorded: the batch's run ends here.
    """
    rejecter = user_of(provenance) or provenance.actor
    batch, refusal = handler.apply_to_batch(batch_id, RejectApproval(terms, rejecter, reason), provenance)
    if refusal is not None and refusal.reason is RefusalReason.PRICE_CHANGED:
        _refuse(handler, batch, ApprovalRefusal.TERMS_CHANGED, refusal.detail, provenance)
        raise ApprovalTermsChangedError(
            f"batch {batch_id} has changed since it was shown: {refusal.detail}. Nothing was rejected; look "
            "at it again"
        )
    _end_rejected(handler, batch_id, rejecter, provenance)
    text = f"user {rejecter!r} rejected the batch"
    raise ApprovalRejectedError(f"batch {batch_id}: {text}; {terms.orders} orders were not sent")


def _overtaken(
    handler: CommandHandler, batch: Batch, refusal: Refusal, provenance: Provenance
) -> ApproverRefusedError | ApprovalTermsChangedError:
    """The error for an answer that another answer, or a change of the batch, came before."""
    if refusal.reason is RefusalReason.SAME_PERSON:
        _refuse(handler, batch, ApprovalRefusal.SIGNED_BEFORE, refusal.detail, provenance)
        return ApproverRefusedError(f"batch {batch.batch_id}: {refusal.detail}")
    _refuse(handler, batch, ApprovalRefusal.TERMS_CHANGED, refusal.detail, provenance)
    return ApprovalTermsChangedError(
        f"batch {batch.batch_id} has changed while it was approved: {refusal.detail}. Nothing was approved; "
        "run the batch again"
    )


def _end_rejected(handler: CommandHandler, batch_id: str, rejecter: str, provenance: Provenance) -> bool:
    """End the waiting orders of a rejected batch. The next run repeats it when it was interrupted.

    :returns: whether no order was ever sent, so that the batch is refused as a whole.
    """
    text = f"user {rejecter!r} rejected the batch"
    waiting = each_order(handler.store, OrderSlice(batch_id, WAITING_STATES))
    handler.apply_to_each(waiting, lambda order: _ending(order, text), provenance)
    left = {count.state for count in handler.store.count_by_state(batch_id)}
    is_whole = left <= set(ENDED_UNSENT)
    if is_whole:
        handler.apply_to_batch(batch_id, RefuseBatch("approval_rejected", text), provenance)
    return is_whole


def _lacking(store: EventStore, batch: Batch, policy: ApprovalPolicy) -> bool:
    """Whether an order that can be sent lacks an approval at its price."""
    return any(
        order.state is OrderState.HELD
        or order.approved_rupiah is None
        or order.approved_rupiah < price_of(order)
        for order in to_be_sent(store, batch, policy)
    )


def _approve_orders(
    handler: CommandHandler, request: ApprovalRequest, policy: ApprovalPolicy, provenance: Provenance
) -> None:
    """Approve each order at the price that was shown. An order whose price has changed since refuses.

    So does an order that was put on hold after it was shown: no approval releases it.
    """
    orders = to_be_sent(handler.store, request.batch, policy)
    shown = (order for order in orders if order.request_id in request.prices)
    handler.apply_to_each(shown, lambda order: _approval(order, request), provenance)


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
    refused = ApprovalRefused(reason=reason, detail=detail, approver=user_of(provenance) or "")
    handler.apply_to_batch(batch.batch_id, Record(refused), provenance)


def _as_answerer(user: str, provenance: Provenance) -> Provenance:
    """The provenance of an answer: the user who gave it, even when a later try finishes it."""
    return Provenance(f"{USER_PREFIX}{user}", f"{provenance.cause}, finishing a recorded answer")


def _orders_in(store: EventStore, batch_id: str, state: OrderState) -> int:
    return sum(count.orders for count in store.count_by_state(batch_id) if count.state is state)
