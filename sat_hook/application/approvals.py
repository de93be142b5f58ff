"""Approvals: what waits for a person, what an approver has to know of it, and the answers.

An answer is recorded in the log, and the batch's run goes on by itself: its waiting task watches the log
beside Airflow's own question (:mod:`sat_hook.triggers.approval`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median_low

from sat_hook.application.approval_questions import (
    Answered,
    ApprovalQuestion,
    Cost,
    LeftOut,
    MakersMonth,
    NotAnswered,
    PriceMove,
    Signature,
    WaitingApproval,
)
from sat_hook.application.batch_standing import awaits_approval
from sat_hook.application.errors import OwnBatchError
from sat_hook.application.order_details import order_row
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.commands.errors import BatchNotFoundError, OverrideRefusedError
from sat_hook.commands.handler import load_batch
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.approval_events import ApprovalRefusal, ApprovalRequested, ApprovalTerms
from sat_hook.domain.batch import Batch
from sat_hook.domain.errors import StepError
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.guards import ApprovalTiers
from sat_hook.domain.masking import masked_words
from sat_hook.domain.order import OrderState
from sat_hook.domain.people import is_same_person, user_named
from sat_hook.pipeline.account_rules import rules_of_account
from sat_hook.pipeline.approval import approve, refusal_of, reject
from sat_hook.pipeline.approval_request import WAITING_STATES, ApprovalPolicy, maker_of, price_of, to_be_sent
from sat_hook.pipeline.errors import ApprovalRejectedError, ApprovalTermsChangedError, LeftOutRefusedError
from sat_hook.store.approvals import ApprovalStore, ProductAsked
from sat_hook.store.batch_lists import BatchFilter, BatchLists, FoundBatch
from sat_hook.store.log import last_events
from sat_hook.store.order_lists import OrderFilter, OrderLists, OrderSort
from sat_hook.store.prices import PriceHistory

SHOWN_ORDERS = 10
SHOWN_PRODUCTS = 50
MONTH = timedelta(days=30)
MONTH_S_BATCHES = 200
ANSWERS_AT_ONCE = 100
LEFT_OUT_ROWS = 1_000
"""Orders that may be left out one by one; whole products may hold any number."""


@dataclass(frozen=True, slots=True)
class Approvals(Service):
    """The approvals of batches."""

    def waiting(self, person: Person) -> tuple[WaitingApproval, ...]:
        """The batches that wait for an approval, the longest wait first."""
        person.require(Right.VIEW)
        found = [one for one in self._batches().open_batches() if awaits_approval(one.batch)]
        rows = self._rows(found, person)
        return tuple(sorted(rows, key=lambda row: (row.asked_at or row.submitted_at, row.batch_id)))

    def one(self, batch_id: str, person: Person) -> ApprovalQuestion | None:
        """What is asked about a batch; None when nothing is.

        :raises BatchNotFoundError: there is no such batch.
        """
        person.require(Right.VIEW)
        found = self._batches().batches_of([batch_id]).get(batch_id)
        if found is None:
            raise BatchNotFoundError(f"there is no batch {batch_id}")
        if not awaits_approval(found.batch):
            return None
        batch, database = found.batch, self.database
        with_held = batch.asked_held > 0
        shown = ApprovalStore(database)
        products = shown.products(batch_id, with_held=with_held)
        fresh = shown.new_recipients(batch_id, batch.account, SHOWN_ORDERS, with_held=with_held)
        states = (OrderState.QUOTED, OrderState.HELD) if with_held else (OrderState.QUOTED,)
        which = OrderFilter(batch_id=batch_id, states=states)
        largest = OrderLists(database).orders(which, OrderSort.AMOUNT, None, SHOWN_ORDERS, descending=True)
        sees_numbers = person.has(Right.VIEW_NUMBERS)
        (waiting,) = self._rows([found], person)
        left_out = batch.left_out
        return ApprovalQuestion(
            waiting=waiting,
            left_out_orders=0 if left_out is None else left_out.shown.orders - left_out.rest.orders,
            left_out_by=None if left_out is None else left_out.approver,
            left_out_reason=None if left_out is None else masked_words(left_out.reason),
            products=tuple(products),
            largest=tuple(order_row(order, with_number=sees_numbers) for order in largest.orders),
            recipients_looked_at=fresh.looked_at,
            new_recipients=fresh.count,
            new_orders=tuple(order_row(order, with_number=sees_numbers) for order in fresh.orders),
            price_moves=self._price_moves(found, products[:SHOWN_PRODUCTS], waiting.asked_at),
            month=self._month_of(found),
        )

    def cost_of(self, batch_id: str, left_out: LeftOut, person: Person) -> Cost:
        """What is left out of a request: each order counts once.

        :raises LeftOutRefusedError: more than :data:`LEFT_OUT_ROWS` orders are named.
        """
        person.require(Right.VIEW)
        store, products = self.store, frozenset(left_out.product_codes)
        batch = load_batch(store, batch_id)
        shown = ApprovalStore(store.database).products(batch_id, with_held=batch.asked_held > 0)
        named = store.load_orders(_limited(left_out.request_ids)).values()
        alone = [
            price_of(order)
            for order in named
            if order.batch_id == batch_id
            and order.product_code not in products
            and order.state in WAITING_STATES
        ]
        whole = [product for product in shown if product.product_code in products]
        return Cost(
            len(alone) + sum(product.orders for product in whole),
            sum(alone) + sum(product.total_rupiah for product in whole),
        )

    def approve(
        self,
        batch_id: str,
        terms_digest: str,
        person: Person,
        *,
        left_out: LeftOut | None = None,
        reason: str | None = None,
    ) -> Answered:
        """Sign what was shown under ``terms_digest``, or all of it but what is left out, for a reason.

        :raises BatchNotFoundError: there is no such batch.
        :raises ReasonRefusedError: something is left out for no reason.
        :raises ApproverRefusedError: the person submitted the batch, has signed, or lacks the tier's right.
        :raises ApprovalTermsChangedError: something else is asked for by now, or nothing.
        :raises LeftOutRefusedError: what is left out was not asked for, or is all of it.
        """
        person.require(Right.APPROVE)
        handler = self.handler
        batch = load_batch(handler.store, batch_id)
        terms, policy = _shown(batch, terms_digest), _policy(batch)
        chosen = self._chosen(batch, policy, left_out or LeftOut())
        if chosen or reason:
            reason = checked_reason(reason or "")
        batch = approve(
            handler,
            batch_id,
            policy,
            terms,
            person.by("approve"),
            left_out=chosen,
            reason=reason,
            has_right=lambda right: right in person.rights,
        )
        is_approved = batch.approved == batch.asked_for
        if is_approved and not (batch.approver and is_same_person(person.name, batch.approver)):
            raise _nothing_asked(batch)  # another person's answer came first
        return Answered(batch_id, is_approved, 0 if is_approved else batch.persons - len(batch.signers))

    def approve_several(
        self, terms_digests: Sequence[tuple[str, str]], person: Person, reason: str | None = None
    ) -> list[Answered | NotAnswered]:
        """Sign several batches as they were shown. One that cannot be signed does not keep the others.

        :param terms_digests: each batch's id and what was shown of it.
        :raises OverrideRefusedError: there are more than :data:`ANSWERS_AT_ONCE`.
        """
        person.require(Right.APPROVE)
        if len(terms_digests) > ANSWERS_AT_ONCE:
            raise OverrideRefusedError(
                f"found {len(terms_digests)} batches; expected at most {ANSWERS_AT_ONCE} at once"
            )
        answers: list[Answered | NotAnswered] = []
        for batch_id, digest in terms_digests:
            try:
                answers.append(self.approve(batch_id, digest, person, reason=reason))
            except StepError as error:
                answers.append(NotAnswered(batch_id, error))
        return answers

    def reject(self, batch_id: str, terms_digest: str, reason: str, person: Person) -> None:
        """Reject what was shown under ``terms_digest``. Every order that was not sent ends unsent.

        :raises BatchNotFoundError: there is no such batch.
        :raises ReasonRefusedError: no reason is given.
        :raises ApprovalTermsChangedError: something else is asked for by now, or nothing.
        """
        person.require(Right.APPROVE)
        reason, handler = checked_reason(reason), self.handler
        terms = _shown(load_batch(handler.store, batch_id), terms_digest)
        try:
            reject(handler, batch_id, terms, person.by("reject"), reason)
        except ApprovalRejectedError:
            # That is what the person wanted; it is an error only for the batch's run.
            return

    def refuse_maker_of_run(self, dag_id: str, run_id: str, person: Person) -> None:
        """Check that a person may approve what a run of Airflow asks.

        :raises OwnBatchError: the person submitted the run's batch.
        """
        store = self.store
        batch_id = store.batch_of_run(f"{dag_id}/{run_id}")
        maker = None if batch_id is None else maker_of(store, batch_id)
        if maker is not None and is_same_person(maker, person.name):
            raise OwnBatchError(
                f"batch {batch_id}: found its maker, user {person.name!r}; expected another person to "
                "approve it"
            )

    def _rows(self, found: Sequence[FoundBatch], person: Person) -> list[WaitingApproval]:
        streams = {one.batch.batch_id: StreamId(StreamKind.BATCH, one.batch.batch_id) for one in found}
        store, rows = self.store, []
        asked = last_events(store.database, list(streams.values()), [ApprovalRequested.__name__])
        for one in found:
            batch, maker = one.batch, user_named(one.submitted_by)
            terms, at = batch.asked_for, asked.get(streams[batch.batch_id])
            assert terms is not None, "only batches with a request are shown"
            refusal = refusal_of(store, batch, maker, person.name, lambda right: right in person.rights)
            if refusal is None and not person.has(Right.APPROVE):
                refusal = ApprovalRefusal.RIGHT_MISSING, f"the right {Right.APPROVE} is missing"
            rows.append(
                WaitingApproval(
                    batch_id=batch.batch_id,
                    file_name=batch.file_name,
                    reference=batch.reference,
                    account=batch.account,
                    maker=maker,
                    submitted_at=one.submitted_at,
                    asked_at=None if at is None else at.at,
                    orders=terms.orders,
                    total_rupiah=terms.total_rupiah,
                    terms_digest=terms.quotes_digest,
                    held=batch.asked_held,
                    persons=batch.persons,
                    signers=batch.signers,
                    signatures=_signatures(batch, rules_of_account(store, batch.account).approval_tiers),
                    refusal=None if refusal is None else refusal[0],
                    refusal_text=None if refusal is None else refusal[1],
                )
            )
        return rows

    def _chosen(self, batch: Batch, policy: ApprovalPolicy, left_out: LeftOut) -> list[str]:
        named = _limited(left_out.request_ids)
        if not left_out.product_codes:
            return list(named)
        asked = to_be_sent(self.store, batch, policy)
        of_products = (order.request_id for order in asked if order.product_code in left_out.product_codes)
        return list(dict.fromkeys((*named, *of_products)))

    def _price_moves(
        self, found: FoundBatch, products: Sequence[ProductAsked], asked_at: datetime | None
    ) -> tuple[PriceMove, ...]:
        database = self.database
        before = ApprovalStore(database).batch_before(found)
        if before is None:
            return ()
        history, account, now = PriceHistory(database), found.batch.account, asked_at or found.submitted_at
        moves = []
        for product in products:
            then, later = (history.at(account, product.product_code, moment) for moment in (before, now))
            if then is None or later is None or then.product.price_rupiah == later.product.price_rupiah:
                continue
            moves.append(
                PriceMove(product.product_code, then.product.price_rupiah, later.product.price_rupiah)
            )
        return tuple(moves)

    def _month_of(self, found: FoundBatch) -> MakersMonth | None:
        if user_named(found.submitted_by) is None:
            return None
        which = BatchFilter(submitted_by=found.submitted_by, since=found.submitted_at - MONTH)
        batches = self._batches().batches(which, None, MONTH_S_BATCHES + 1)
        others = [
            one.batch
            for one in batches[:MONTH_S_BATCHES]
            if one.batch.batch_id != found.batch.batch_id and one.submitted_at <= found.submitted_at
        ]
        totals = [batch.total_rupiah for batch in others if batch.total_rupiah is not None]
        numbers = [batch.quoted for batch in others if batch.quoted is not None]
        return MakersMonth(
            batches=len(others),
            is_cut=len(batches) > MONTH_S_BATCHES,
            orders=sum(numbers),
            total_rupiah=sum(totals),
            paid_rupiah=sum(batch.charged_rupiah or 0 for batch in others),
            typical_rupiah=median_low(totals) if totals else None,
            typical_orders=median_low(numbers) if numbers else None,
            largest_rupiah=max(totals, default=None),
        )

    def _batches(self) -> BatchLists:
        return BatchLists(self.database)


def _shown(batch: Batch, terms_digest: str) -> ApprovalTerms:
    """What a person was shown. Whether it is still asked for is checked with the answer."""
    if not awaits_approval(batch) or batch.asked_for is None:
        raise _nothing_asked(batch)
    return batch.asked_for.model_copy(update={"quotes_digest": terms_digest})


def _policy(batch: Batch) -> ApprovalPolicy:
    """What the request asks for: its run's amounts are in the batch's number of people."""
    return ApprovalPolicy(held_too=batch.asked_held > 0)


def _signatures(batch: Batch, tiers: ApprovalTiers) -> tuple[Signature, ...]:
    return tuple(
        Signature(
            batch.signers[number - 1] if number <= len(batch.signers) else None,
            (Right.APPROVE, *(right for right in tiers.rights_of(number) if right != Right.APPROVE)),
        )
        for number in range(1, max(batch.persons, len(batch.signers)) + 1)
    )


def _limited(request_ids: tuple[str, ...]) -> tuple[str, ...]:
    if len(request_ids) > LEFT_OUT_ROWS:
        raise LeftOutRefusedError(
            f"found {len(request_ids)} orders to be left out one by one; expected at most {LEFT_OUT_ROWS}. "
            "Leave out whole products, or reject the batch"
        )
    return request_ids


def _nothing_asked(batch: Batch) -> ApprovalTermsChangedError:
    ends = (
        (batch.rejecter, "rejected"),
        (batch.withdrawn and "its maker", "withdrawn"),
        (batch.approver, "approved"),
    )
    said = next((f"{how} by {who}" for who, how in ends if who), "no request for an approval")
    return ApprovalTermsChangedError(
        f"batch {batch.batch_id}: found {said}; expected a request that waits. Nothing was recorded"
    )
