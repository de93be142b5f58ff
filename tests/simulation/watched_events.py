"""Invariants of an order's events."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sandbox.orders import Status
from sat_hook.domain import order_events as happened
from sat_hook.domain.event_record import Event, Provenance
from sat_hook.domain.order import Order, OrderState
from sat_hook.protocol.errors import SignatureError
from sat_hook.protocol.exchange import WireResponse
from sat_hook.protocol.messages import OrderDetail, parse_order
from tests.simulation.knowledge import Known
from tests.simulation.processes import Process
from tests.simulation.reading import codes_of, id_of
from tests.simulation.watched_guards import WatchedGuards

LISTED_REJECTIONS = frozenset({"P04"})
REPLY_TIMEOUT_SECONDS = 30.0
PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 2400.0
RIGHT_WITHIN = timedelta(seconds=2.5)


class WatchedEvents(WatchedGuards):
    """Checks events against what was sent, answered and signed."""

    def _check_event(
        self,
        process: Process,
        request_id: str,
        known: Known,
        event: Event,
        provenance: Provenance,
        occurred_at: datetime,
    ) -> None:
        order = known.order
        wrong = abs(occurred_at - self._time.start - timedelta(seconds=self._time.seconds))
        self.require(wrong <= RIGHT_WITHIN, "an event is dated by a clock that is wrong", request_id)
        match event:
            case happened.OrderReceived():
                again = order is not None and order.state is OrderState.REJECTED and not known.sent
                self.require(order is None or again, "an order was received twice", request_id)
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
                self._check_signed(process, request_id, known, event)
            case happened.StatusMismatched():
                self.require(
                    self._is_about_another(known, event.evidence_digest),
                    "called about something else, though it is about this order",
                    request_id,
                )
            case (
                happened.OrderRejected()
                | happened.OrderHeld()
                | happened.OrderCancelled()
                | happened.OrderWithdrawn()
            ):
                left = any(item.left for item in known.sent)
                self.require(not left, f"{event.type_name} after a checkout had left", request_id)
                if not isinstance(event, happened.OrderCancelled | happened.OrderWithdrawn):
                    self.count(f"reason:{event.type_name} {event.reason}")
            case happened.OrderEscalated():
                self.require(event.reason.strip(), "escalated without a reason", request_id)
                if order is None or order.mismatch is None:
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
        known: Known,
        event: happened.CheckoutRequested,
        occurred_at: datetime,
    ) -> None:
        order = known.order
        assert order is not None
        doc = json.loads(event.body)
        self.require(doc["data"]["id"] == request_id, "an intent for another request id", request_id)
        if self._paused_at is not None and process.last_frozen_at < self._paused_at:
            # A process that was frozen when the account was paused checks a second after it resumes.
            late = self._time.seconds - max(self._paused_at, process.frozen_until)
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
        """Only orders that do not end may be given up, not those whose status was never asked for."""
        assert self.world is not None
        charged = self.world.ledger.order(request_id)
        if charged is None or charged.status is Status.PENDING:
            return
        known_for = self._time.seconds - max(
            self.weather.storm_seconds, self._time.at(charged.accepted_at), self.known[request_id].looked_at
        )
        self.require(known_for < PATIENCE_SECONDS, "given up although SAT had ended it", request_id)

    def _check_accepted(self, request_id: str, known: Known, event: happened.CheckoutAccepted) -> None:
        for item in known.sent:
            reply = item.reply if item.attempt == event.attempt else None
            if (
                isinstance(reply, WireResponse)
                and reply.status == 200
                and id_of(reply.body) == request_id
                and not _names_another(known.order, parse_order(reply.body))
            ):
                self.count(f"reason:accepted {event.reported_status}")
                return
        self.broken("called accepted without SAT having said so", request_id)

    def _check_rejected(self, request_id: str, known: Known, event: happened.CheckoutRejected) -> None:
        left = [item for item in known.sent if item.left]
        self.require(len(left) == 1, "a rejection ended an order that had been sent before", request_id)
        reply = left[0].reply
        codes = codes_of(reply)
        self.require(
            isinstance(reply, WireResponse) and reply.status == 400 and codes and codes <= LISTED_REJECTIONS,
            f"failed without a listed rejection ({event.code})",
            request_id,
        )
        self.count(f"code:{event.code}")

    def _is_about_another(self, known: Known, digest: str) -> bool:
        item = known.evidence.get(digest)
        return item is not None and _names_another(known.order, parse_order(item.body.encode("utf-8")))

    def _check_signed(
        self, process: Process, request_id: str, known: Known, event: happened.SignedStatus
    ) -> None:
        item = known.evidence.get(event.evidence_digest)
        self.require(item is not None, "a status without its evidence", request_id)
        assert item is not None
        try:
            self._seals.sat_verifier.verify(item.body.encode("utf-8"), item.signature)
        except SignatureError:
            self.broken("a status whose evidence SAT did not sign", request_id)
        detail = parse_order(item.body.encode("utf-8"))
        self.require(detail.request_id == request_id, "evidence about another order", request_id)
        self.require(
            not _names_another(known.order, detail),
            "a status about another product or number was taken for this order's",
            request_id,
        )
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
        known.was_given_back |= isinstance(event, happened.OrderFailed | happened.OrderReversed)
        if getattr(event, "error_code", ""):
            self.count(f"code:{event.error_code}")  # type: ignore[attr-defined]
        order = known.order
        assert order is not None
        self.require(known.sent, "a status of an order that was never sent", request_id)
        # In true time, not by the clocks of the asking processes. A callback's content has no date.
        asked_at = known.told_at.get((process.name, event.evidence_digest))
        if asked_at is not None:
            self.require(
                not order.has_signed_end or asked_at >= known.evidence_asked_at,
                "older evidence was applied over newer",
                request_id,
            )
            known.evidence_asked_at = max(known.evidence_asked_at, asked_at)


def _names_another(order: Order | None, detail: OrderDetail) -> bool:
    """The local SAT server writes both as they were sent, or falsifies one of them."""
    assert order is not None
    return (detail.product_code, detail.client_number) != (order.product_code, order.client_number)
