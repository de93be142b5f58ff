"""What must hold after every step, checked by somebody who trusts neither the pipeline nor SAT.

The watch sees every committed change, every checkout that is written and every answer that comes back, and
it folds the events by itself. It knows the rules from the design's laws; it asks the product's code for
nothing but the fold of an event and the parsing of a body.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sandbox.orders import Status
from sandbox.world import World
from sat_hook.domain import order_events as happened
from sat_hook.domain.account import AccountPaused, AccountResumed
from sat_hook.domain.batch_events import ApprovalRequested, BatchApproved, BatchSubmitted, FundsReserved
from sat_hook.domain.event import Event
from sat_hook.domain.order import Order, OrderState, evolve
from sat_hook.domain.recorded import Provenance, StreamId, StreamKind
from sat_hook.pipeline.trusting import BY_CALLBACK
from sat_hook.protocol.exchange import TransportFault, WireRequest, WireResponse
from sat_hook.protocol.messages import parse_order
from sat_hook.protocol.signing import SignatureError
from sat_hook.store.event_store import Change, StatusEvidence
from tests.simulation.processes import Process
from tests.simulation.seals import Seals
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.weather import Weather

LISTED_REJECTIONS = frozenset({"P04"})
REPLY_TIMEOUT_SECONDS = 30.0
PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 2400.0


class BrokenInvariantError(AssertionError):
    """Something happened that must never happen."""

    def __init__(self, what: str, subject: str) -> None:
        super().__init__(f"{what} ({subject})")
        self.what = what
        self.subject = subject


@dataclass(slots=True)
class Transmission:
    """One checkout that was written to a socket."""

    attempt: int
    body: str
    at_seconds: float
    process: Process
    left: bool = False
    was_frozen: bool = False
    reply: WireResponse | TransportFault | None = None


@dataclass(slots=True)
class _Known:
    """What the watch knows of one order."""

    order: Order | None = None
    before: Order | None = None
    last_writer: Process | None = None
    version: int = 0
    events: list[tuple[Event, datetime]] = field(default_factory=list)
    sent: list[Transmission] = field(default_factory=list)
    not_found_asked: list[float] = field(default_factory=list)
    evidence: dict[str, StatusEvidence] = field(default_factory=dict)
    looked_at: float = 0.0
    was_released: bool = False


class Watch:
    """The invariants of one run."""

    def __init__(
        self,
        time: VirtualTime,
        weather: Weather,
        seals: Seals,
        dedup_horizon_seconds: float,
        note: Callable[[str, str], None],
    ) -> None:
        self.weather = weather
        self.counters: Counter[str] = Counter()
        self.note = note
        self.first_break: BrokenInvariantError | None = None
        self.known: dict[str, _Known] = defaultdict(_Known)
        self._time = time
        self._seals = seals
        self._horizon = timedelta(seconds=dedup_horizon_seconds)
        self._versions: Counter[StreamId] = Counter()
        self._paused_at: float | None = None
        self._reserved_up_to: Counter[str] = Counter()
        self.saldos: set[int] = set()
        self.world: World | None = None
        self._makers: dict[str, str] = {}
        self._asked_for: set[str] = set()
        self._judged_orders = 0
        self._prices: dict[bytes, dict[str, int]] = {}

    def count(self, what: str) -> None:
        """One more of something that has to happen now and then."""
        self.counters[what] += 1

    def broken(self, what: str, subject: str) -> None:
        """Remember the first break and stop whoever is running.

        :raises BrokenInvariantError: always. It may be swallowed on its way, so the run looks here as well.
        """
        error = BrokenInvariantError(what, subject)
        self.note("WATCH", f"BROKEN: {error}")
        self.first_break = self.first_break or error
        raise error

    def require(self, condition: object, what: str, subject: str) -> None:
        """:raises BrokenInvariantError: when ``condition`` does not hold."""
        if not condition:
            self.broken(what, subject)

    # The log.

    def before_the_last_commit(self, request_id: str, process: Process) -> Order | None:
        """The order as it was before somebody else's last commit, or None."""
        known = self.known.get(request_id)
        if known is None or known.last_writer is process:
            return None
        return known.before

    def appended(
        self,
        process: Process,
        changes: Sequence[Change],
        conflicts: frozenset[StreamId],
        provenance: Provenance,
        occurred_at: datetime,
    ) -> None:
        """Changes were committed, but for the conflicting ones."""
        for change in changes:
            stream = change.stream
            if stream in conflicts:
                self.count("store:conflict")
                self.note(process.name, f"conflict on {stream}")
                self.require(
                    self._versions[stream] != change.expected_version,
                    "a change was refused although its version was the current one",
                    str(stream),
                )
                continue
            self.require(
                self._versions[stream] == change.expected_version,
                "events were appended under a version that had passed",
                str(stream),
            )
            self._versions[stream] += len(change.events)
            if stream.kind is StreamKind.ORDER:
                self._order_changed(process, change, provenance, occurred_at)
                continue
            for event in change.events:
                self.count(f"event:{event.type_name}")
                self.note(process.name, f"{stream.kind.value}: {event.type_name}")
                self._other_happened(stream.key, event, provenance)

    def _other_happened(self, key: str, event: Event, provenance: Provenance) -> None:
        match event:
            case BatchSubmitted():
                self._makers[key] = provenance.actor
            case ApprovalRequested():
                self._asked_for.add(key)
            case BatchApproved():
                self._check_approver(key, provenance)
            case AccountPaused():
                self._paused_at = self._time.seconds
            case AccountResumed():
                self._paused_at = None
            case FundsReserved():
                self._reserved_up_to[key] = event.up_to_row
                committed = sum(map(self._committed(event.included_before), self.known.values()))
                self.require(
                    committed <= event.saldo_rupiah,
                    f"more is committed than the saldo bears: {committed} of {event.saldo_rupiah} rupiah",
                    key,
                )
                self.require(
                    event.saldo_rupiah in self.saldos, "a reservation on a saldo that SAT never told", key
                )
            case _:
                pass

    def _check_approver(self, batch_id: str, provenance: Provenance) -> None:
        self.require(provenance.actor.startswith("user:"), "approved by nobody", batch_id)
        self.require(provenance.actor != self._makers.get(batch_id), "approved by its maker", batch_id)

    def _check_guards(self, request_id: str, known: _Known, price_rupiah: int) -> None:
        """What a person released is that person's; everything else keeps to the limits."""
        order, rules = known.order, self.weather.rules
        assert order is not None
        self.require(order.admitted_at is not None, "an intent that no guard let through", request_id)
        if order.batch_id in self._asked_for:
            self.require(
                order.approved_rupiah is not None and price_rupiah <= order.approved_rupiah,
                "an intent that nobody approved",
                request_id,
            )
        if known.was_released:
            return
        # Of two twins it is enough that a person let one through, knowing of the other.
        kept = [
            other.order
            for key, other in self.known.items()
            if key != request_id
            and other.order is not None
            and not other.was_released
            and _may_cost(other.order)
        ]
        business = order.product_code, order.client_number
        twins = [other for other in kept if (other.product_code, other.client_number) == business]
        self.require(not twins, "an intent for business that is under way or done already", request_id)
        limit = rules.order_limit_rupiah
        self.require(limit is None or price_rupiah <= limit, "an intent above the order's limit", request_id)
        batch = [other for other in kept if other.batch_id == order.batch_id]
        self._check_usage(request_id, price_rupiah, batch, rules.batch_limit_orders, rules.batch_limit_rupiah)
        if order.admitted_at is not None:
            day = _day_of(order.admitted_at)
            day_orders = [o for o in kept if o.admitted_at is not None and _day_of(o.admitted_at) == day]
            limits = rules.day_limit_orders, rules.day_limit_rupiah
            self._check_usage(request_id, price_rupiah, day_orders, *limits)

    def _check_usage(
        self,
        request_id: str,
        price_rupiah: int,
        others: Sequence[Order],
        orders: int | None,
        rupiah: int | None,
    ) -> None:
        self.require(orders is None or len(others) < orders, "an intent above a limit of orders", request_id)
        used = sum(_at_least(other) for other in others)
        self.require(
            rupiah is None or used + price_rupiah <= rupiah, "an intent above a limit of rupiah", request_id
        )

    def _committed(self, included_before: datetime) -> Callable[[_Known], int]:
        """What each order may still take from a saldo that includes what came before a moment."""

        def rupiah(known: _Known) -> int:
            order = known.order
            if order is None:
                return 0
            if order.state is OrderState.QUOTED:
                counts = self.has_funds(order)
            elif order.state.was_never_sent:
                counts = False
            elif order.debit_proven_at is not None:
                counts = order.debit_proven_at >= included_before
            else:
                counts = not order.state.is_final
            return max(order.quote_rupiah or 0, order.charged_rupiah or 0) if counts else 0

        return rupiah

    def has_funds(self, order: Order) -> bool:
        """Whether funds stand behind a quoted order."""
        return order.row_number <= self._reserved_up_to[order.batch_id] and not order.must_be_reserved_again

    def _order_changed(
        self, process: Process, change: Change, provenance: Provenance, occurred_at: datetime
    ) -> None:
        request_id = change.stream.key
        known = self.known[request_id]
        known.before = known.order
        known.last_writer = process
        for item in change.evidence:
            known.evidence.setdefault(item.digest, item)
        if provenance == BY_CALLBACK:
            self.count("callback:taken at its word")
            self.require(
                known.order is not None and known.order.state.is_in_flight,
                "a callback ended what was not in flight",
                request_id,
            )
        for event in change.events:
            before = known.order
            self._check_event(process, request_id, known, event, provenance, occurred_at)
            known.order = evolve(before, request_id, event, occurred_at)
            known.events.append((event, occurred_at))
            state = before.state.value if before else "nothing"
            step = f"{state} -{event.type_name}-> {known.order.state.value}"
            self.counters[f"transition:{step}"] += 1
            self.note(process.name, f"{request_id} {step}")
        self.require(change.after == known.order, "the projection is not the fold of the events", request_id)

    def projected(self, request_id: str, stored: Order | None) -> None:
        """What the store shows of an order right after a change of it."""
        self.require(
            stored == self.known[request_id].order, "the projection is not the fold of the log", request_id
        )

    def _check_event(
        self,
        process: Process,
        request_id: str,
        known: _Known,
        event: Event,
        provenance: Provenance,
        occurred_at: datetime,
    ) -> None:
        order = known.order
        match event:
            case happened.OrderReceived():
                self.require(order is None, "an order was received twice", request_id)
            case happened.CheckoutRequested():
                self._check_intent(process, request_id, known, event, occurred_at)
            case happened.CheckoutNotSent():
                sent = any(item.attempt == event.attempt and item.left for item in known.sent)
                self.require(not sent, "called never sent, although it was", request_id)
                self.count(f"reason:not sent {event.reason}")
            case happened.CheckoutAccepted():
                self._check_accepted(request_id, known, event)
            case happened.CheckoutRejected():
                self._check_rejected(request_id, known, event)
            case happened.CheckoutUnknown():
                self.count(f"reason:unknown {event.reason}")
                self.count(f"code:{event.code}")
            case happened.StatusNotFound():
                self.require(known.not_found_asked, "called not found, though SAT never said so", request_id)
                self.count("code:P02")
            case happened.SignedStatus():
                self._check_signed(request_id, known, event)
            case happened.OrderRejected() | happened.OrderHeld() | happened.OrderCancelled():
                left = any(item.left for item in known.sent)
                self.require(not left, f"{event.type_name} after a checkout had left", request_id)
                if not isinstance(event, happened.OrderCancelled):
                    self.count(f"reason:{event.type_name} {event.reason}")
            case happened.OrderEscalated():
                self.require(event.reason.strip(), "escalated without a reason", request_id)
                self._check_given_up(request_id)
            case happened.OrderReleased():
                known.was_released = True
            case happened.OrderApproved():
                batch_id = order.batch_id if order is not None else ""
                self._check_approver(batch_id, provenance)
            case happened.ResendAllowedByOperator():
                known.looked_at = self._time.seconds
            case happened.SucceededByOperator() | happened.FailedByOperator():
                self.require(
                    provenance.actor.startswith("user:"), "ended by an operator who is none", request_id
                )
            case _:
                pass

    def _check_intent(
        self,
        process: Process,
        request_id: str,
        known: _Known,
        event: happened.CheckoutRequested,
        occurred_at: datetime,
    ) -> None:
        order = known.order
        assert order is not None
        doc = json.loads(event.body)
        self.require(doc["data"]["id"] == request_id, "an intent for another request id", request_id)
        if self._paused_at is not None and process.last_frozen_at < self._paused_at:
            late = self._time.seconds - self._paused_at
            self.require(late <= PAUSE_SECONDS, "an intent of a paused account", request_id)
        first = next((e for e, _ in known.events if isinstance(e, happened.CheckoutRequested)), None)
        if order.state is OrderState.QUOTED:
            self.require(self.has_funds(order), "an intent without funds behind it", request_id)
            self._check_guards(request_id, known, event.price_rupiah)
            self.require(
                order.quote_valid_until is not None and occurred_at < order.quote_valid_until,
                "an intent on a stale quote",
                request_id,
            )
            key = f"{order.product_code}/{order.client_number}" if order.is_inquiry else order.product_code
            seen = process.seen_prices.get(key)
            self.require(
                seen is None or seen <= event.price_rupiah,
                "an intent below the price that its own task had just read",
                request_id,
            )
        if not any(item.left for item in known.sent):
            return
        self.require(first and first.body == event.body, "a resend with another body", request_id)
        assert order.settled_after is not None
        last = known.sent[-1]
        answers = [e.asked_at for e, _ in known.events if isinstance(e, happened.StatusNotFound)]
        self.require(
            answers and answers[-1] >= order.settled_after,
            "a resend without a not-found given after the last attempt's deadline",
            request_id,
        )
        self.require(
            any(asked >= last.at_seconds + REPLY_TIMEOUT_SECONDS for asked in known.not_found_asked),
            "a resend although no not-found was given after the last attempt was over",
            request_id,
        )
        assert order.first_sent_at is not None
        self.require(
            occurred_at < order.first_sent_at + self._horizon, "a resend beyond the horizon", request_id
        )

    def _check_given_up(self, request_id: str) -> None:
        """Giving up is for orders that do not end, not for those that nobody asked about."""
        assert self.world is not None
        charged = self.world.ledger.order(request_id)
        if charged is None or charged.status is Status.PENDING:
            return
        known_for = self._time.seconds - max(
            self.weather.storm_seconds, self._time.at(charged.accepted_at), self.known[request_id].looked_at
        )
        self.require(known_for < PATIENCE_SECONDS, "given up although SAT had ended it", request_id)

    def _check_accepted(self, request_id: str, known: _Known, event: happened.CheckoutAccepted) -> None:
        for item in known.sent:
            reply = item.reply if item.attempt == event.attempt else None
            if isinstance(reply, WireResponse) and reply.status == 200 and _id_of(reply.body) == request_id:
                self.count(f"reason:accepted {event.reported_status}")
                return
        self.broken("called accepted without SAT having said so", request_id)

    def _check_rejected(self, request_id: str, known: _Known, event: happened.CheckoutRejected) -> None:
        left = [item for item in known.sent if item.left]
        self.require(len(left) == 1, "a rejection ended an order that had been sent before", request_id)
        reply = left[0].reply
        codes = _codes_of(reply)
        self.require(
            isinstance(reply, WireResponse) and reply.status == 400 and codes and codes <= LISTED_REJECTIONS,
            f"failed without a listed rejection ({event.code})",
            request_id,
        )
        self.count(f"code:{event.code}")

    def _check_signed(self, request_id: str, known: _Known, event: happened.SignedStatus) -> None:
        item = known.evidence.get(event.evidence_digest)
        self.require(item is not None, "a status without its evidence", request_id)
        assert item is not None
        try:
            self._seals.sat_verifier.verify(item.body.encode("utf-8"), item.signature)
        except SignatureError:
            self.broken("a status whose evidence SAT did not sign", request_id)
        detail = parse_order(item.body.encode("utf-8"))
        self.require(detail.request_id == request_id, "evidence about another order", request_id)
        status = {
            happened.OrderSucceeded: "Success",
            happened.OrderFailed: "Failed",
            happened.OrderReversed: "Failed",
        }.get(type(event))
        if status is not None:
            self.require(
                detail.status == status, f"{event.type_name} on a status {detail.status}", request_id
            )
        elif isinstance(event, happened.OrderPending):
            self.require(
                detail.status not in ("Success", "Failed"), "pending on the status of an end", request_id
            )
        if getattr(event, "error_code", ""):
            self.count(f"code:{event.error_code}")  # type: ignore[attr-defined]
        order = known.order
        assert order is not None
        self.require(known.sent, "a status of an order that was never sent", request_id)
        self.require(
            order.evidence_at is None or event.observed_at >= order.evidence_at,
            "older evidence was applied over newer",
            request_id,
        )

    # The wire.

    def written(self, process: Process, request: WireRequest) -> None:
        """A checkout is about to be written."""
        body = request.body.decode("utf-8")
        request_id = json.loads(body)["data"]["id"]
        known = self.known.get(request_id)
        order = known.order if known else None
        self.note(process.name, f"writes the checkout of {request_id}")
        if known is None or order is None or order.checkout_body is None or order.send_before is None:
            self.broken("a checkout is written without a committed intent", request_id)
            return
        self.require(body == order.checkout_body, "a checkout other than the committed one", request_id)
        self.require(
            process.clock.now() < order.send_before, "a checkout is written after its window", request_id
        )
        self.require(
            all(item.attempt != order.attempt for item in known.sent),
            "one attempt is written twice",
            request_id,
        )
        known.sent.append(Transmission(order.attempt, body, self._time.seconds, process))
        self.count(f"sent:attempt {order.attempt}")

    def left(self, process: Process, request: WireRequest, *, was_frozen: bool) -> None:
        """The checkout that was about to be written has left."""
        known = self.known[json.loads(request.body)["data"]["id"]]
        item = next(item for item in reversed(known.sent) if item.process is process)
        item.left = True
        item.was_frozen = was_frozen

    def answered(self, process: Process, request: WireRequest, reply: WireResponse | TransportFault) -> None:
        """A checkout's reply, or its absence, reached the process."""
        request_id = json.loads(request.body)["data"]["id"]
        known = self.known[request_id]
        for item in reversed(known.sent):
            if item.process is process:
                item.reply = reply
                break
        text = (
            f"HTTP {reply.status} {sorted(_codes_of(reply))}"
            if isinstance(reply, WireResponse)
            else str(reply.kind)
        )
        self.note(process.name, f"learns of {request_id}: {text}")
        self.count(f"reply:checkout {text}")

    def told(
        self,
        process: Process,
        request: WireRequest,
        reply: WireResponse | TransportFault,
        asked_at_seconds: float,
    ) -> None:
        """The answer to a question reached the process."""
        if not isinstance(reply, WireResponse):
            return
        if request.path.startswith("/v2/order/"):
            request_id = request.path.rpartition("/")[2]
            codes = _codes_of(reply) if reply.status >= 400 else frozenset()
            if reply.status == 400 and codes == {"P02"}:
                self.known[request_id].not_found_asked.append(asked_at_seconds)
            self.count(f"reply:status HTTP {reply.status} {sorted(codes)}")
            self.note(process.name, f"is told of {request_id}: HTTP {reply.status} {sorted(codes)}")
        elif reply.status == 200 and request.path == "/v2/account":
            self.saldos.add(int(_attributes_of(reply.body).get("saldo") or 0))
        elif reply.status == 200 and request.path == "/v2/product-list":
            process.seen_prices.update(self._prices_of(reply.body))
        elif reply.status == 200 and request.path == "/v2/inquiry":
            attributes = _attributes_of(reply.body)
            key = f"{attributes.get('product_code')}/{attributes.get('client_number')}"
            process.seen_prices[key] = int(attributes.get("sales_price") or 0)

    def _prices_of(self, body: bytes) -> Mapping[str, int]:
        prices = self._prices.get(body)
        if prices is None:
            items = json.loads(body).get("data") or []
            prices = {item["id"]: item["attributes"]["price"] for item in items}
            self._prices[body] = prices
        return prices

    # The judge.

    def judged(self, world: World) -> None:
        """SAT did something; the deposit checks itself at every movement."""
        ledger = world.ledger
        if ledger.accepted == self._judged_orders:
            return
        self._judged_orders = ledger.accepted
        business: Counter[tuple[str, ...]] = Counter()
        for request_id, entry in ledger.entries.items():
            if not entry.orders:
                continue
            self.require(len(entry.orders) == 1, "one request id was charged twice", request_id)
            known = self.known.get(request_id)
            order_id = known.order.order_id if known and known.order else ""
            business[entry.product_code, entry.client_number, entry.reference, order_id] += 1
            intents = (
                [e for e, _ in known.events if isinstance(e, happened.CheckoutRequested)] if known else []
            )
            self.require(intents, "a charge without a committed intent", request_id)
        for key, charges in business.items():
            self.require(charges == 1, "one business order was charged twice", "/".join(key[:2]))


def _may_cost(order: Order) -> bool:
    """Whether an order has been sent and may cost money."""
    if order.attempt == 0 or order.state.was_never_sent:
        return False
    return order.state not in (OrderState.FAILED, OrderState.REVERSED)


def _at_least(order: Order) -> int:
    """What an order uses of a limit: its quote, or less when SAT charged less.

    A charge above the quote is SAT's doing, and may come after the guards had looked at the next order.
    """
    quote = order.quote_rupiah or 0
    return quote if order.charged_rupiah is None else min(quote, order.charged_rupiah)


def _day_of(moment: datetime) -> date:
    """The business day in Jakarta."""
    return (moment + timedelta(hours=7)).date()


def _attributes_of(body: bytes) -> dict[str, Any]:
    try:
        attributes = json.loads(body)["data"]["attributes"]
    except (ValueError, KeyError, TypeError):
        return {}
    return attributes if isinstance(attributes, dict) else {}


def _id_of(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["data"]["id"])
    except (ValueError, KeyError, TypeError):
        return None


def _codes_of(reply: WireResponse | TransportFault | None) -> frozenset[str]:
    if not isinstance(reply, WireResponse):
        return frozenset()
    try:
        return frozenset(str(entry["code"]) for entry in json.loads(reply.body)["errors"])
    except (ValueError, KeyError, TypeError):
        return frozenset()
