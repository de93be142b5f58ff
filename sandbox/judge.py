"""The SAT server without a socket: turns a request into its outcome.

Synchronous and single-threaded, so it runs under a simulated clock as well as behind :mod:`sandbox.server`. A
request passes two steps: :meth:`Judge.arrive` (faults on the way to SAT) and, after the delay that this
returns, :meth:`Judge.carry_out` (SAT's processing, and faults on the way back).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote

from sandbox import refusals
from sandbox.calls import Call, Operation, Target, query_values, recognise
from sandbox.catalogue import INACTIVE
from sandbox.checkout import check_out, let_quote_change
from sandbox.deposit import Movement
from sandbox.faults import (
    BadSignature,
    Error,
    GarbledReply,
    LateArrival,
    OtherTypes,
    P02ThoughCharged,
    RequestLost,
    ResponseLost,
    StaleFailure,
    StaleSaldo,
    TokenExpiry,
    Unauthorized,
)
from sandbox.orders import ABOUT_ANOTHER, Order, Status, misdirect
from sandbox.rewriting import rewritten
from sandbox.samples import BROKEN_INQUIRY_NUMBER
from sandbox.wire import HTML_TYPE, Outcome, Reply, Request, encode, refuse, resource
from sandbox.world import ACCOUNT_ID, World
from sat_hook.protocol.signing import SIGNATURE_HEADER

BUILD_HASH = "b05b97a"
MAX_BODY_BYTES = 256 * 1024
_HTML_PAGE = (
    b"<html><head><title>Error</title></head><body><h1>The request could not be served</h1></body></html>\n"
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that will be processed ``delay_seconds`` from now."""

    call: Call
    delay_seconds: float = 0.0


class Judge:
    """One SAT account behind the wire protocol (sections 2 to 9)."""

    def __init__(self, world: World) -> None:
        self.world = world

    def answer(self, request: Request) -> Outcome:
        """Both steps at once, for callers that ignore delays."""
        arrival = self.arrive(request)
        return arrival if isinstance(arrival, Outcome) else self.carry_out(arrival)

    def arrive(self, request: Request) -> Arrival | Outcome:
        """The way to SAT: the request is lost, refused, delayed, held back, or arrives."""
        world = self.world
        now = world.advance()
        if len(request.body) > MAX_BODY_BYTES:
            return Outcome(refuse(refusals.TOO_LARGE))
        call = recognise(request)
        if isinstance(call, Reply):
            return Outcome(call)
        if call.operation is Operation.CHECKOUT and call.form is not None and call.request_id:
            world.ledger.write(
                "posted",
                now,
                request_id=call.request_id,
                product_code=call.form.product_code,
                client_number=call.form.client_number,
                reference=call.form.reference,
            )
        target = call.target
        if loss := world.faults.draw(RequestLost, target, now):
            if call.operation is Operation.CHECKOUT and world.ledger.entry(call.request_id):
                world.ledger.write("lost", now, request_id=call.request_id)
            return Outcome(None, loss.manner)
        if late := world.faults.draw(LateArrival, target, now):
            self._hold(call, late, now)
            return Outcome(None, late.manner)
        if denial := world.faults.draw(Unauthorized, target, now):
            if denial.revoke:
                world.tokens.revoke_all()
            return Outcome(refuse(refusals.UNAUTHORIZED))
        if error := world.faults.draw(Error, target, now, lambda rule: rule.when == "before"):
            return Outcome(_error_page(error))
        return Arrival(call, world.faults.delay_seconds("request", target, now))

    def carry_out(self, arrival: Arrival) -> Outcome:
        """SAT's processing and the way back: the answer is lost, replaced, garbled, delayed, or plain."""
        world, call = self.world, arrival.call
        now = world.advance()
        outcome = self._operate(call, now)
        if outcome.reply is None:
            return outcome
        target = call.target
        if loss := world.faults.draw(ResponseLost, target, now):
            return replace(outcome, reply=None, loss=loss.manner)
        reply = outcome.reply
        if error := world.faults.draw(Error, target, now, lambda rule: rule.when == "after"):
            reply = _error_page(error)
        elif garbling := world.faults.draw(GarbledReply, target, now):
            reply = _garble(reply, garbling.manner, call, world.signer.sign)
        elif reply.status == 200 and (other := world.faults.draw(OtherTypes, target, now)):
            reply = _signed_anew(reply, rewritten(reply.body, other), world.signer.sign)
        return replace(
            outcome, reply=reply, delay_seconds=world.faults.delay_seconds("response", target, now)
        )

    def _operate(self, call: Call, now: float) -> Outcome:
        world = self.world
        if call.operation is Operation.TOKEN:
            return Outcome(self._token(call, now))
        if call.operation is Operation.PING:
            return Outcome(Reply(200, encode({"buildhash": BUILD_HASH, "sandbox": True, "status": "ok"})))
        if not world.tokens.is_valid(call.request.headers.get("authorization"), now):
            return Outcome(refuse(refusals.UNAUTHORIZED))
        if call.operation is Operation.ACCOUNT:
            return Outcome(self._account(call, now))
        if call.operation is Operation.PRODUCTS:
            return Outcome(self._products(call))
        if call.operation is Operation.INQUIRY:
            return Outcome(self._inquiry(call))
        if call.operation is Operation.STATUS:
            return Outcome(self._status(call, now))
        outcome = check_out(world, call)
        self._let_arrive(call.request_id, "resend")
        return outcome

    def _token(self, call: Call, now: float) -> Reply:
        settings = self.world.scenario.tokens
        shortened = self.world.faults.draw(TokenExpiry, call.target, now)
        lifetime = shortened.lifetime_seconds if shortened else settings.lifetime_seconds
        return self.world.tokens.answer(call.request, now, lifetime, settings.reissue_same)

    def _account(self, call: Call, now: float) -> Reply:
        deposit = self.world.ledger.deposit
        stale = self.world.faults.draw(StaleSaldo, call.target, now)
        saldo = deposit.balance_at(now - stale.lag_seconds) if stale else deposit.balance_rupiah
        return Reply(200, encode({"data": resource("account", ACCOUNT_ID, {"saldo": saldo})}))

    def _products(self, call: Call) -> Reply:
        world = self.world
        codes = [
            code for value in query_values(call.request.query, "product_code") for code in value.split(",")
        ]
        products = world.catalogue.listing(
            [code for code in codes if code], inactive_too=world.scenario.list_inactive
        )
        if not products:
            return refuse(refusals.NO_PRODUCT)
        reply = Reply(200, encode({"data": [product.document() for product in products]}))
        for product in products:
            if not product.is_inquiry:
                let_quote_change(world, product, "", Operation.PRODUCTS)
        return reply

    def _inquiry(self, call: Call) -> Reply:
        world, form = self.world, call.form
        if form is None:
            return refuse(refusals.MALFORMED, call.problem)
        product = world.catalogue.get(form.product_code)
        if product is None or product.status == INACTIVE:
            return refuse(refusals.NO_PRODUCT)
        if form.client_number == BROKEN_INQUIRY_NUMBER:
            return refuse(refusals.INTERNAL)
        bill = world.bill(product, form.client_number)
        document = {"data": resource("inquiry", form.client_number, bill.attributes(form.fields))}
        let_quote_change(world, product, form.client_number, Operation.INQUIRY)
        return Reply(200, encode(document, world.scenario.json_style))

    def _status(self, call: Call, now: float) -> Reply:
        world = self.world
        entry = world.ledger.entry(call.request_id)
        order = entry.current if entry else None
        if entry is None or order is None or self._is_denied(call, order, now):
            if entry is not None:
                entry.asked[refusals.NOT_FOUND.code] += 1
            self._let_arrive(call.request_id, "p02")
            return refuse(refusals.NOT_FOUND)
        entry.asked["answered"] += 1
        body, signature = self._sealed(call, order, now)
        bad = world.faults.draw(BadSignature, _aimed_at(call, order), now)
        reply = Reply(200, body)
        if bad is None:
            return reply.with_headers(**{SIGNATURE_HEADER: signature})
        if bad.manner == "missing":
            return reply
        if bad.manner == "stranger":
            forged = world.signer.forge(body)
        else:
            forged = world.signer.sign(body + b" ") if bad.manner == "other_body" else "not-base64!"
        return reply.with_headers(**{SIGNATURE_HEADER: forged})

    def _sealed(self, call: Call, order: Order, now: float) -> tuple[bytes, str]:
        """The order's document and signature; with a fault, those of a server with stale data."""
        stale = None
        if order.status is Status.SUCCESS:
            stale = self.world.faults.draw(StaleFailure, _aimed_at(call, order), now)
        if stale is None:
            return self.world.seal(order)
        failed = replace(
            order, status=Status.FAILED, error_code=stale.code, error_detail=stale.detail, fulfilled_at=None
        )
        body = encode(failed.document(), self.world.scenario.json_style)
        return body, self.world.signer.sign(body)

    def _is_denied(self, call: Call, order: Order, now: float) -> bool:
        age_seconds = now - order.accepted_at
        rule = self.world.faults.draw(
            P02ThoughCharged,
            _aimed_at(call, order),
            now,
            lambda rule: rule.for_seconds is None or age_seconds < rule.for_seconds,
        )
        return rule is not None

    def _hold(self, call: Call, rule: LateArrival, now: float) -> None:
        if rule.until == "seconds":
            self.world.schedule(now + rule.seconds, lambda: self._arrive_late(call))
        else:
            self.world.held[call.request_id].append((call, rule))

    def _let_arrive(self, request_id: str, cause: str) -> None:
        held = self.world.held.get(request_id)
        if held:
            ready = [call for call, rule in held if rule.until == cause]
            self.world.held[request_id] = [(call, rule) for call, rule in held if rule.until != cause]
            for call in ready:
                self._arrive_late(call)

    def _arrive_late(self, call: Call) -> None:
        # Its token was valid when it was sent, and its sender has stopped waiting.
        check_out(self.world, call)

    def top_up(self, rupiah: int) -> None:
        """Pay into the deposit."""
        self.world.advance()
        self.world.move(Movement.TOP_UP, rupiah, "judge")

    def spend_elsewhere(self, rupiah: int) -> None:
        """Spend from the same deposit as another party."""
        self.world.advance()
        self.world.move(Movement.FOREIGN_SPEND, rupiah, "judge")


def _aimed_at(call: Call, order: Order) -> Target:
    return replace(call.target, client_number=order.client_number, product=order.product_code)


def _error_page(rule: Error) -> Reply:
    if rule.body == "html":
        return Reply(rule.status, _HTML_PAGE, {"content-type": HTML_TYPE})
    if rule.body == "json":
        return Reply(rule.status, encode({"message": "error"}))
    if rule.body == "empty":
        return Reply(rule.status, b"")
    return refuse(replace(refusals.INTERNAL, http_status=rule.status))


def _garble(reply: Reply, manner: str, call: Call, sign: Callable[[bytes], str]) -> Reply:
    if manner == "redirect":
        # The target looks like the order's answer: a client that follows takes a GET's body for a checkout's.
        place = f"/api/v2/order/{quote(call.request_id, safe='')}" if call.request_id else "/api/ping"
        return Reply(302, b"").with_headers(location=place)
    if manner == "accepted_202":
        return replace(reply, status=202)
    if manner == "not_json":
        return Reply(200, _HTML_PAGE, {"content-type": HTML_TYPE})
    body = reply.body[: len(reply.body) // 2] if manner == "truncated" else _altered(reply.body, manner)
    return _signed_anew(reply, body, sign)


def _signed_anew(reply: Reply, body: bytes, sign: Callable[[bytes], str]) -> Reply:
    signed = {SIGNATURE_HEADER: sign(body)} if SIGNATURE_HEADER in reply.headers else {}
    return replace(reply, body=body).with_headers(**signed)


def _altered(body: bytes, manner: str) -> bytes:
    document = json.loads(body)
    if manner == "no_data":
        document.pop("data", None)
    data = document.get("data")
    if isinstance(data, dict):
        if manner == "other_id":
            data["id"] = "X" + data["id"]
        elif manner in ABOUT_ANOTHER:
            if "product_code" in data["attributes"]:
                misdirect(data["attributes"], manner)
        elif "status" in data["attributes"]:
            data["attributes"]["status"] = "Processing"
    return encode(document)
