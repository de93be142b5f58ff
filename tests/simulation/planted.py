"""Bugs planted on purpose: the simulation has to find each of them, or it proves nothing.

Every bug is put into the product's own code for the time of a ``with`` block. Where two checks guard the same
law, the bug takes both away: it is the law that has to be watched, not the check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

from sat_hook.clients import asynchronous
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.guard import SendGuard
from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_decisions as decisions
from sat_hook.domain import order_events as happened
from sat_hook.domain.funds import Outstanding, is_reserved
from sat_hook.domain.guards import Usage, rule_on
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.pipeline import approval, execution, finality, guarding, intake, recovery, sending
from sat_hook.pipeline.committer import GroupCommitter
from sat_hook.pipeline.execution import ChunkExecutor
from sat_hook.pipeline.pausing import PauseWatch
from sat_hook.pipeline.recovery import Recovery
from sat_hook.pipeline.resolver import Ask, Resolution, Resolver
from sat_hook.pipeline.trusting import BY_CALLBACK, TrustedCallbacks
from sat_hook.protocol import outcomes
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireResponse
from sat_hook.protocol.outcomes import CheckoutOutcome, CheckoutVerdict
from sat_hook.receiver.app import Receiver
from sat_hook.store import funds as store_funds
from sat_hook.store.memory import MemoryEventStore
from sat_hook.store.memory_polls import MemoryPollSchedule
from sat_hook.store.poll_schedule import DuePoll
from tests.simulation.seals import SealVerifier

Plant = Callable[[ExitStack], None]


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """A bug, and how the watch says it when it finds it (the beginning of the text)."""

    name: str
    planted: str
    found_as: str
    plant: Plant

    @contextmanager
    def planted_in(self) -> Iterator[None]:
        """The product with this bug."""
        with ExitStack() as stack:
            self.plant(stack)
            yield


BUGS: list[PlantedBug] = []


def bug(name: str, planted: str, found_as: str) -> Callable[[Plant], Plant]:
    """Registers a function that plants a bug."""

    def register(plant: Plant) -> Plant:
        BUGS.append(PlantedBug(name, planted, found_as, plant))
        return plant

    return register


def _decide_by(stack: ExitStack, command: type, decide: Callable[[Any, Any], Any]) -> None:
    stack.enter_context(patch.dict(decisions._DECISIONS, {command: decide}))


def _classify_checkout_by(stack: ExitStack, wrong: Callable[[Any, str], CheckoutOutcome | None]) -> None:
    real = asynchronous.classify_checkout

    def classify(reply: WireResponse | TransportFault, request_id: str) -> CheckoutOutcome:
        return wrong(reply, request_id) or real(reply, request_id)

    stack.enter_context(patch.object(asynchronous, "classify_checkout", classify))


def _status_of(reply: WireResponse | TransportFault) -> int:
    return reply.status if isinstance(reply, WireResponse) else 0


def _rejected(code: str) -> CheckoutOutcome:
    return CheckoutOutcome(CheckoutVerdict.REJECTED, "rejected", code=code)


# Law 1: intent before call.


@bug(
    "intent after the call",
    "the intent is committed together with the outcome",
    "a checkout is written without a committed intent",
)
def _intent_after_call(stack: ExitStack) -> None:
    commit = GroupCommitter.commit
    put_off: dict[str, tuple[Ask, Order | None]] = {}

    async def late(self: GroupCommitter, ask: Ask, known: Order | None = None) -> Resolution:
        if isinstance(ask.command, asked.RequestCheckout) and known is not None:
            answer = decisions.decide(known, ask.command)
            if isinstance(answer, tuple):
                put_off[ask.request_id] = ask, known
                after = known
                for event in answer:
                    after = evolve(after, ask.request_id, event, ask.command.now)
                return Resolution(after, answer, None)
        if ask.request_id in put_off:
            await commit(self, *put_off.pop(ask.request_id))
        return await commit(self, ask, known)

    stack.enter_context(patch.object(GroupCommitter, "commit", late))


@bug(
    "send window ignored",
    "a request is written whenever its sender gets to it",
    "a checkout is written after its window",
)
def _send_window_ignored(stack: ExitStack) -> None:
    def before_writing(self: SendGuard) -> None:
        self.written = True

    stack.enter_context(patch.object(SendGuard, "before_writing", before_writing))


# Law 2: one request id for life, and when the same is sent again.


@bug(
    "new id on a resend",
    "what is sent again gets a fresh request id",
    "a checkout is written without a committed intent",
)
def _new_id_on_resend(stack: ExitStack) -> None:
    place_order = AsyncSATClient.place_order
    seen: set[str] = set()

    async def place(
        self: AsyncSATClient, body: bytes, request_id: str, window: Any = None
    ) -> CheckoutOutcome:
        if request_id in seen:
            body = body.replace(request_id.encode(), b"R" + request_id[1:].encode())
        seen.add(request_id)
        return await place_order(self, body, request_id, window)

    stack.enter_context(patch.object(AsyncSATClient, "place_order", place))


@bug(
    "new id on a second intake",
    "the request id is drawn when a row is read, not derived",
    "one business order was charged twice",
)
def _new_id_on_second_intake(stack: ExitStack) -> None:
    derive = intake.request_id_of
    numbers = count()
    stack.enter_context(
        patch.object(
            intake, "request_id_of", lambda account, order_id: derive(account, f"{order_id}/{next(numbers)}")
        )
    )
    stack.enter_context(patch.object(intake, "_is_own", lambda order, received: True))


def _resend_freely(stack: ExitStack) -> None:
    stack.enter_context(patch.object(decisions, "_refuse_resend", lambda order, command: None))


@bug(
    "resend without asking",
    "an unknown order is sent again at once",
    "a resend without a not-found given after",
)
def _resend_without_asking(stack: ExitStack) -> None:
    _resend_freely(stack)
    stack.enter_context(
        patch.object(recovery, "is_known_to_be_absent", lambda order: order.state is OrderState.UNKNOWN)
    )


@bug(
    "resend before the deadline",
    "a not-found counts although the last attempt may still be under way",
    "a resend without a not-found given after",
)
def _resend_before_deadline(stack: ExitStack) -> None:
    _resend_freely(stack)
    real = decisions._record_not_found

    def record(order: Order, command: asked.RecordNotFound) -> Any:
        # The order's own deadline is taken away for the decision.
        passed = None if order.settled_after is None else command.asked_at
        return real(order.model_copy(update={"settled_after": passed}), command)

    _decide_by(stack, asked.RecordNotFound, record)
    stack.enter_context(
        patch.object(
            recovery,
            "is_known_to_be_absent",
            lambda order: order.state is OrderState.UNKNOWN and order.not_found_at is not None,
        )
    )


@bug("resend with another body", "the body is made anew for every attempt", "a resend with another body")
def _resend_with_another_body(stack: ExitStack) -> None:
    real_body = sending.checkout_body

    def body_of(order: Order) -> bytes:
        return real_body(order.model_copy(update={"downline_id": f"try-{order.attempt}"}))

    real_request = decisions._request_checkout

    def request(order: Order, command: asked.RequestCheckout) -> Any:
        return real_request(order.model_copy(update={"checkout_body": command.body}), command)

    real_intent = sending.Sender._intent

    def intent(self: Any, order: Order, resend_until: Any) -> asked.RequestCheckout:
        return replace(real_intent(self, order, resend_until), body=body_of(order).decode())

    stack.enter_context(patch.object(sending.Sender, "_intent", intent))
    _decide_by(stack, asked.RequestCheckout, request)


@bug(
    "resend beyond the horizon",
    "an order is sent again however long SAT has had to forget its id",
    "a resend beyond the horizon",
)
def _resend_beyond_horizon(stack: ExitStack) -> None:
    def until(self: Recovery, order: Order) -> datetime:
        assert order.first_sent_at is not None
        return order.first_sent_at + timedelta(days=365)

    stack.enter_context(patch.object(Recovery, "_resend_until", until))


@bug(
    "submitting taken for abandoned",
    "a second run sends what another run is sending",
    "a resend without a not-found given after",
)
def _submitting_taken_for_abandoned(stack: ExitStack) -> None:
    real_slice = execution.OrderSlice

    def slice_of(batch_id: str, states: tuple[OrderState, ...], *rows: int) -> Any:
        return real_slice(batch_id, (*states, OrderState.SUBMITTING), *rows)

    real = decisions._request_checkout

    def request(order: Order, command: asked.RequestCheckout) -> Any:
        if order.state is OrderState.SUBMITTING:
            order = order.model_copy(update={"state": OrderState.QUOTED})
        return real(order, replace(command, based_on_version=None))

    def reserved(order: Order, up_to_row: int) -> bool:
        return is_reserved(order.model_copy(update={"state": OrderState.QUOTED}), up_to_row)

    stack.enter_context(patch.object(execution, "OrderSlice", slice_of))
    stack.enter_context(patch.object(execution, "is_reserved", reserved))
    _decide_by(stack, asked.RequestCheckout, request)


# Law 3: unknown is a state.


@bug(
    "P03 taken as failure",
    "a duplicate request id counts as a rejection",
    "failed without a listed rejection",
)
def _p03_as_failure(stack: ExitStack) -> None:
    stack.enter_context(patch.object(outcomes, "DEFINITE_CHECKOUT_REJECTIONS", frozenset({"P03", "P04"})))
    stack.enter_context(patch.object(outcomes, "DUPLICATE_REQUEST_ID", "none"))


@bug("5xx taken as failure", "a server error counts as a rejection", "failed without a listed rejection")
def _5xx_as_failure(stack: ExitStack) -> None:
    _classify_checkout_by(
        stack,
        lambda reply, _: (
            _rejected("S00") if isinstance(reply, WireResponse) and reply.status >= 500 else None
        ),
    )


@bug(
    "unlisted code taken as failure",
    "any HTTP 400 counts as a rejection",
    "failed without a listed rejection",
)
def _unlisted_as_failure(stack: ExitStack) -> None:
    _classify_checkout_by(
        stack,
        lambda reply, _: (
            _rejected("P98") if isinstance(reply, WireResponse) and reply.status == 400 else None
        ),
    )


@bug(
    "timeout taken as failure", "no answer in time counts as a rejection", "failed without a listed rejection"
)
def _timeout_as_failure(stack: ExitStack) -> None:
    def wrong(reply: Any, _: str) -> CheckoutOutcome | None:
        is_timeout = isinstance(reply, TransportFault) and reply.kind is FaultKind.TIMEOUT
        return _rejected("timeout") if is_timeout else None

    _classify_checkout_by(stack, wrong)


@bug(
    "reset taken as never sent",
    "a broken connection counts as proof that nothing left",
    "called never sent, although it was",
)
def _reset_as_never_sent(stack: ExitStack) -> None:
    def wrong(reply: Any, _: str) -> CheckoutOutcome | None:
        is_reset = isinstance(reply, TransportFault) and reply.kind is FaultKind.CONNECTION_RESET
        return CheckoutOutcome(CheckoutVerdict.NOT_SENT, "connection_reset") if is_reset else None

    _classify_checkout_by(stack, wrong)


@bug(
    "P02 taken as failure",
    "an order that SAT does not know counts as failed",
    "failed without a listed rejection",
)
def _p02_as_failure(stack: ExitStack) -> None:
    def record(order: Order, command: asked.RecordNotFound) -> Any:
        if not order.state.is_in_flight:
            return decisions._record_not_found(order, command)
        return (
            happened.CheckoutRejected(attempt=order.attempt, code="P02", detail="not found", http_status=400),
        )

    _decide_by(stack, asked.RecordNotFound, record)


@bug(
    "rejection after an ambiguous send",
    "a listed rejection ends an order that may have arrived before",
    "a rejection ended an order that had been sent before",
)
def _rejection_after_ambiguous_send(stack: ExitStack) -> None:
    real = decisions._record_reply

    def record(order: Order, command: asked.RecordReply) -> Any:
        return real(order.model_copy(update={"may_have_arrived": False}), command)

    _decide_by(stack, asked.RecordReply, record)


@bug(
    "redirect followed",
    "a redirect of a checkout counts as its acceptance",
    "called accepted without SAT having said so",
)
def _redirect_followed(stack: ExitStack) -> None:
    _classify_checkout_by(
        stack,
        lambda reply, _: (
            CheckoutOutcome(CheckoutVerdict.ACCEPTED, "accepted", reported_status="Pending")
            if isinstance(reply, WireResponse) and reply.status // 100 == 3
            else None
        ),
    )


@bug(
    "another id accepted",
    "the id in a checkout's reply is not compared",
    "called accepted without SAT having said so",
)
def _another_id_accepted(stack: ExitStack) -> None:
    real = outcomes.parse_order

    def wrong(reply: Any, request_id: str) -> CheckoutOutcome | None:
        if not isinstance(reply, WireResponse) or reply.status != 200:
            return None
        try:
            status = real(reply.body).status
        except outcomes.UnreadableReplyError:
            return None
        return CheckoutOutcome(CheckoutVerdict.ACCEPTED, "accepted", reported_status=status)

    _classify_checkout_by(stack, wrong)


@bug(
    "acceptance taken as success",
    "an accepted checkout ends the order, though nothing is signed",
    "a status without its evidence",
)
def _acceptance_as_success(stack: ExitStack) -> None:
    real = decisions._record_reply

    def ended(event: Any, order: Order) -> Any:
        if not isinstance(event, happened.CheckoutAccepted):
            return event
        return happened.OrderSucceeded(
            evidence_digest=event.response_digest or "0" * 64,
            observed_at=order.send_before or datetime.now(UTC),
            sales_price_rupiah=event.sales_price_rupiah,
            admin_fee_rupiah=None,
            partner_fee_rupiah=None,
            fulfilled_at=None,
        )

    def record(order: Order, command: asked.RecordReply) -> Any:
        answer = real(order, command)
        return tuple(ended(event, order) for event in answer) if isinstance(answer, tuple) else answer

    _decide_by(stack, asked.RecordReply, record)


@bug(
    "unknown status taken as success",
    "a signed status that nobody knows ends the order",
    "OrderSucceeded on a status",
)
def _unknown_status_as_success(stack: ExitStack) -> None:
    real = decisions._record_status

    def record(order: Order, command: asked.RecordStatus) -> Any:
        if command.status not in ("Pending", "Failed"):
            command = replace(command, status="Success")
        return real(order, command)

    _decide_by(stack, asked.RecordStatus, record)


@bug(
    "escalation as failure", "an order that was given up is called failed", "ended by an operator who is none"
)
def _escalation_as_failure(stack: ExitStack) -> None:
    def escalate(order: Order, command: asked.Escalate) -> Any:
        if not order.state.is_in_flight:
            return decisions._escalate(order, command)
        return (happened.FailedByOperator(reason=command.reason),)

    _decide_by(stack, asked.Escalate, escalate)


@bug("nobody is told", "orders that do not end are left as they are", "an order never ends")
def _nobody_is_told(stack: ExitStack) -> None:
    async def escalate(self: Recovery, orders: list[Order], now: datetime) -> int:
        return 0

    stack.enter_context(patch.object(Recovery, "_escalate", escalate))
    stack.enter_context(patch("tests.simulation.line.escalate_in_flight", lambda *_: 0))


# Law 4: one resolver under one fence.


@bug(
    "version fence ignored",
    "events are appended whatever version they were decided on",
    "events were appended under a version that had passed",
)
def _version_fence_ignored(stack: ExitStack) -> None:
    real = MemoryEventStore.append

    def append(
        self: MemoryEventStore, changes: Any, provenance: Any, occurred_at: datetime
    ) -> frozenset[Any]:
        free = [replace(item, expected_version=self._heads.get(item.stream, 0)) for item in changes]
        return real(self, free, provenance, occurred_at)

    stack.enter_context(patch.object(MemoryEventStore, "append", append))


@bug(
    "projection not transactional",
    "a crash between event and projection leaves the projection behind",
    "the projection is not the fold",
)
def _projection_not_transactional(stack: ExitStack) -> None:
    real = MemoryEventStore._append_one
    numbers = count(1)

    def append(self: MemoryEventStore, change: Any, provenance: Any, occurred_at: datetime) -> None:
        key = change.stream.key
        before = self.orders.get(key)
        real(self, change, provenance, occurred_at)
        if before is not None and next(numbers) % 40 == 0:
            self.orders[key] = before

    stack.enter_context(patch.object(MemoryEventStore, "_append_one", append))


@bug(
    "stale evidence applied",
    "the last answer to arrive wins, however old it is",
    "older evidence was applied over newer",
)
def _stale_evidence_applied(stack: ExitStack) -> None:
    real = decisions._record_status

    def record(order: Order, command: asked.RecordStatus) -> Any:
        return real(order.model_copy(update={"evidence_at": None}), command)

    _decide_by(stack, asked.RecordStatus, record)


# Law 6: callbacks and signatures.


@bug(
    "callback trusted unsigned",
    "the receiver takes whatever comes",
    "a forged callback was taken for genuine",
)
def _callback_trusted(stack: ExitStack) -> None:
    real = Receiver._verified

    class Trusting:
        def verify(self, body: bytes, signature: str | None) -> str:
            return "whatever"

    def verified(self: Receiver, opened: Any, verifier: Any, *rest: Any) -> Any:
        return real(self, opened, Trusting(), *rest)  # type: ignore[arg-type]

    stack.enter_context(patch.object(Receiver, "_verified", verified))


@bug(
    "late callback taken at its word",
    "a trusted callback ends its order whatever became of it meanwhile",
    "a callback ended what was not in flight",
)
def _late_callback_trusted(stack: ExitStack) -> None:
    def end(self: TrustedCallbacks, resolver: Resolver, request_ids: Sequence[str]) -> frozenset[str]:
        asks = {}
        for callback in self.inbox.callbacks_of(self.account, request_ids, 8):
            ask = self._verified(resolver, callback)
            if ask is not None and isinstance(ask.command, asked.RecordCallback):
                asks[ask.request_id] = replace(ask, command=ask.command.status)
        done = resolver.apply(asks.values(), BY_CALLBACK)
        return frozenset(key for key, resolution in done.items() if resolution.is_accepted)

    stack.enter_context(patch.object(TrustedCallbacks, "end", end))


def _classify_status_by(stack: ExitStack, wrong: Callable[..., Any]) -> None:
    stack.enter_context(patch.object(asynchronous, "classify_status", wrong))


@bug(
    "bad signature accepted", "a status counts whoever signed it", "a status whose evidence SAT did not sign"
)
def _bad_signature_accepted(stack: ExitStack) -> None:
    real = asynchronous.classify_status

    class Trusting:
        def verify(self, body: bytes, signature: str | None) -> str:
            return SealVerifier.fingerprints[0]

    _classify_status_by(stack, lambda reply, request_id, _: real(reply, request_id, Trusting()))  # type: ignore[arg-type]


@bug("status of another order", "the id in a signed status is not compared", "evidence about another order")
def _status_of_another_order(stack: ExitStack) -> None:
    real = asynchronous.classify_status

    def classify(reply: Any, request_id: str, verifier: Any) -> Any:
        outcome = real(reply, request_id, verifier)
        if outcome.reason == outcomes.UnknownReason.ID_MISMATCH and isinstance(reply, WireResponse):
            other = outcomes.parse_order(reply.body).request_id
            return real(reply, other, verifier)
        return outcome

    _classify_status_by(stack, classify)


@bug(
    "evidence thrown away",
    "a signed status is applied, its signed bytes are not kept",
    "a status without its evidence",
)
def _evidence_thrown_away(stack: ExitStack) -> None:
    real = finality.status_ask

    def ask_of(request_id: str, outcome: Any, asked_at: datetime) -> Ask | None:
        ask = real(request_id, outcome, asked_at)
        return None if ask is None else replace(ask, evidence=())

    stack.enter_context(patch.object(finality, "status_ask", ask_of))


# Guards.


@bug(
    "price envelope ignored",
    "an order is sent without looking at the price once more",
    "an intent below the price that its own task had just read",
)
def _price_envelope_ignored(stack: ExitStack) -> None:
    async def check(self: ChunkExecutor, order: Order) -> None:
        return None

    stack.enter_context(patch.object(ChunkExecutor, "_price_check", check))


@bug(
    "kill switch ignored",
    "senders do not look whether the account is paused",
    "an intent of a paused account",
)
def _kill_switch_ignored(stack: ExitStack) -> None:
    async def look(self: PauseWatch) -> bool:
        return False

    stack.enter_context(patch.object(PauseWatch, "_look", look))


@bug(
    "reservation ignored",
    "orders are sent whether or not funds stand behind them",
    "an intent without funds behind it",
)
def _reservation_ignored(stack: ExitStack) -> None:
    stack.enter_context(patch.object(ChunkExecutor, "_reserved", lambda self, batch, orders: orders))


@bug(
    "saldo taken for free money",
    "what is reserved or under way is not taken off the saldo",
    "more is committed than the saldo bears",
)
def _saldo_taken_for_free(stack: ExitStack) -> None:
    stack.enter_context(
        patch.object(store_funds._MemoryAccountFunds, "outstanding", lambda self, before: Outstanding(0, 0))
    )


@bug(
    "guards ignored",
    "orders are sent whether or not a guard let them through",
    "an intent that no guard let through",
)
def _guards_ignored(stack: ExitStack) -> None:
    stack.enter_context(patch.object(ChunkExecutor, "_admitted", lambda self, orders: orders))
    stack.enter_context(patch("tests.simulation.line.guard_batch", lambda *_: None))


@bug(
    "duplicates let through",
    "the same business under another order id is not looked for",
    "an intent for business that is under way or done already",
)
def _duplicates_let_through(stack: ExitStack) -> None:
    stack.enter_context(
        patch.object(guarding, "rule_on", lambda orders, kin, *rest: rule_on(orders, [], *rest))
    )


@bug(
    "limits counted batch by batch",
    "what other orders of the batch and the day use is not counted",
    "an intent above a limit",
)
def _limits_ignored(stack: ExitStack) -> None:
    def rule(orders: Any, kin: Any, batch_used: Any, day_used: Any, *rest: Any) -> Any:
        return rule_on(orders, kin, Usage(), Usage(), *rest)

    stack.enter_context(patch.object(guarding, "rule_on", rule))


@bug("maker approves", "who submitted a batch may approve it", "approved by its maker")
def _maker_approves(stack: ExitStack) -> None:
    stack.enter_context(patch.object(approval, "maker_of", lambda store, batch_id: None))


@bug(
    "approval not waited for",
    "approval is asked for, and the batch goes on",
    "an intent that nobody approved",
)
def _approval_not_waited_for(stack: ExitStack) -> None:
    real = approval.ask_for_approval

    def ask(*arguments: Any) -> None:
        real(*arguments)

    stack.enter_context(patch("tests.simulation.line.ask_for_approval", ask))
    stack.enter_context(patch.object(ChunkExecutor, "_unapproved", lambda self, order, price: None))


# Liveness.


@bug(
    "claimed and forgotten",
    "an order that was asked about once is never asked about again",
    "given up although SAT had ended it",
)
def _claimed_and_forgotten(stack: ExitStack) -> None:
    real = MemoryPollSchedule.claim_due

    def claim(
        self: MemoryPollSchedule, scope: Any, now: datetime, lease_until: datetime, limit: int
    ) -> list[DuePoll]:
        return real(self, scope, now, now + timedelta(days=3650), limit)

    stack.enter_context(patch.object(MemoryPollSchedule, "claim_due", claim))
