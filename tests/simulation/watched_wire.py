"""Invariants of every written checkout, of its reply, and of the money that SAT took."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from sandbox.world import World
from sat_hook.domain import order_events as happened
from sat_hook.protocol.exchange import TransportFault, WireRequest, WireResponse
from tests.simulation.knowledge import Knowledge, Transmission
from tests.simulation.processes import Process
from tests.simulation.reading import attributes_of, codes_of

EXECUTION_GRACE_SECONDS = 10.0


class WatchedWire(Knowledge):
    """Checks the wire, with SAT's judge."""

    def written(self, process: Process, request: WireRequest, account: str) -> None:
        """A checkout for ``account`` is about to be written."""
        body = request.body.decode("utf-8")
        request_id = json.loads(body)["data"]["id"]
        known = self.known.get(request_id)
        order = known.order if known else None
        self.note(process.name, f"writes the checkout of {request_id}")
        self.require(
            not process.works_on_a_backup,
            "a checkout is written from a database that was rolled back",
            request_id,
        )
        if known is None or order is None or order.checkout_body is None or order.send_before is None:
            self.broken("a checkout is written without a committed intent", request_id)
            return
        self.require(
            account == order.account, "a checkout is written on another account's connection", request_id
        )
        self.require(body == order.checkout_body, "a checkout other than the committed one", request_id)
        self.require(
            process.clock.now() < order.send_before, "a checkout is written after its window", request_id
        )
        self.require(
            abs(process.clock.skew_seconds) <= EXECUTION_GRACE_SECONDS,
            "a checkout is written by a machine whose clock is far off",
            request_id,
        )
        self.require(
            all(item.attempt != order.attempt for item in known.sent),
            "one attempt is written twice",
            request_id,
        )
        known.sent.append(Transmission(order.attempt, body, self._time.seconds, process))
        self.count(f"sent:attempt {order.attempt}")

    def left(self, process: Process, request: WireRequest) -> None:
        """The checkout that was about to be written was sent."""
        known = self.known[json.loads(request.body)["data"]["id"]]
        item = next(item for item in reversed(known.sent) if item.process is process)
        item.left = True

    def answered(self, process: Process, request: WireRequest, reply: WireResponse | TransportFault) -> None:
        """A checkout's reply, or its absence, reached the process."""
        request_id = json.loads(request.body)["data"]["id"]
        known = self.known[request_id]
        for item in reversed(known.sent):
            if item.process is process:
                item.reply = reply
                break
        text = (
            f"HTTP {reply.status} {sorted(codes_of(reply))}"
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
        """The answer to a status query reached the process."""
        if not isinstance(reply, WireResponse):
            return
        if request.path.startswith("/v2/order/"):
            request_id = request.path.rpartition("/")[2]
            codes = codes_of(reply) if reply.status >= 400 else frozenset()
            if reply.status == 400 and codes == {"P02"}:
                self.known[request_id].not_found_asked.append(asked_at_seconds)
            if reply.status == 200:
                self.known[request_id].told_at[process.name, reply.digest] = asked_at_seconds
            self.count(f"reply:status HTTP {reply.status} {sorted(codes)}")
            self.note(process.name, f"is told of {request_id}: HTTP {reply.status} {sorted(codes)}")
        elif reply.status == 200 and request.path == "/v2/account":
            self.saldos.add(int(attributes_of(reply.body).get("saldo") or 0))
        elif reply.status == 200 and request.path == "/v2/product-list":
            process.seen_prices.update(self._prices_of(reply.body))
        elif reply.status == 200 and request.path == "/v2/inquiry":
            attributes = attributes_of(reply.body)
            key = f"{attributes.get('product_code')}/{attributes.get('client_number')}"
            process.seen_prices[key] = int(attributes.get("sales_price") or 0)

    def _prices_of(self, body: bytes) -> Mapping[str, int]:
        prices = self._prices.get(body)
        if prices is None:
            items = json.loads(body).get("data") or []
            prices = {item["id"]: item["attributes"]["price"] for item in items}
            self._prices[body] = prices
        return prices

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
