"""The state of one sandbox and its passing of time. The only I/O is the journal."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.callbacks import Outbox
from sandbox.calls import Call
from sandbox.catalogue import Catalogue, Product
from sandbox.chance import Chance
from sandbox.clock import Clock
from sandbox.deposit import Movement
from sandbox.drawing import Faults
from sandbox.faults import LateArrival, PriceChange
from sandbox.journal import FileJournal, Journal, NoJournal
from sandbox.keys import KeyPairs, PartnerVerifier, sat_signer
from sandbox.ledger import Ledger
from sandbox.orders import Order, Status, Turn
from sandbox.samples import Bill, bill_of, goods_of
from sandbox.scenario import Scenario
from sandbox.tokens import DEMO_CREDENTIALS, TokenDesk
from sandbox.wire import encode

ACCOUNT_ID = "2203"
OPENING_RUPIAH = 50_000_000
DEFAULT_SEED = 1


@dataclass(slots=True)
class BillChange:
    """How much a number's bill has changed since its first quote, and the result of an outdated amount."""

    change_rupiah: int
    at_checkout: str


class World:
    """One SAT account: catalogue, deposit, orders, faults and pending callbacks."""

    def __init__(
        self,
        keys: KeyPairs,
        clock: Clock,
        *,
        seed: int = DEFAULT_SEED,
        scenario: Scenario | None = None,
        credentials: Mapping[str, str] = DEMO_CREDENTIALS,
        journal: Journal | None = None,
        callback_url: str | None = None,
    ) -> None:
        self.clock = clock
        self.scenario = scenario or Scenario()
        self.seed = self.scenario.seed if self.scenario.seed is not None else seed
        self.chance = Chance(self.seed)
        self.callback_url = callback_url
        self.catalogue = Catalogue()
        self.bill_changes: dict[tuple[str, str], BillChange] = {}
        self.held: dict[str, list[tuple[Call, LateArrival]]] = defaultdict(list)
        self.verifier = PartnerVerifier(keys.client_public_pem)
        self.signer = sat_signer(keys)
        self.tokens = TokenDesk(credentials, self.chance)
        self.journal = journal or NoJournal()
        now = self.now()
        opening = self.scenario.deposit_rupiah
        opening = OPENING_RUPIAH if opening is None else opening
        self.ledger = Ledger(opening, now, self.journal)
        self.faults = self._faults(now)
        self.outbox = Outbox(self.ledger, self.signer, self.chance)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._read_back(self.journal.records() if isinstance(self.journal, FileJournal) else ())

    def now(self) -> float:
        """POSIX seconds."""
        return self.clock.now().timestamp()

    def advance(self) -> float:
        """Process everything due by now, each at its own time; returns now."""
        now = self.now()
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2]()
        return now

    def next_due(self) -> float | None:
        """When the next scheduled action is due, or ``None``."""
        times = [self._agenda[0][0]] if self._agenda else []
        callback = self.outbox.next_due()
        return min([*times, *([] if callback is None else [callback])], default=None)

    def schedule(self, at: float, happening: Callable[[], None]) -> None:
        """Schedule an action."""
        heapq.heappush(self._agenda, (at, next(self._numbers), happening))

    def schedule_order(self, order: Order) -> None:
        """Schedule the remaining turns of an order."""
        for step in order.steps:
            self.schedule(step.at, lambda order=order, at=step.at: self._turn(order, at))  # type: ignore[misc]

    def seal(self, order: Order) -> tuple[bytes, str]:
        """The order's document and SAT's signature over exactly these bytes, made once per state."""
        style = self.scenario.json_style
        if order.sealed is None or order.sealed[0] is not style:
            body = encode(order.document(), style)
            order.sealed = (style, body, self.signer.sign(body))
        return order.sealed[1:]

    def bill(self, product: Product, client_number: str) -> Bill:
        """The current bill."""
        change = self.bill_changes.get((product.code, client_number))
        return bill_of(product, client_number, change.change_rupiah if change else 0)

    def move(self, movement: Movement, rupiah: int, reason: str) -> None:
        """Top up, or spend as another party."""
        self.ledger.write("moved", self.now(), movement=movement.value, rupiah=rupiah, reason=reason)

    def change_price(self, product: Product, client_number: str, rule: PriceChange) -> None:
        """Change the product's price, or for an inquiry product this number's bill; never below 0."""
        if product.is_inquiry:
            bill = self.bill(product, client_number)
            base = bill.base_price_rupiah
            change = self.bill_changes.get((product.code, client_number))
            moved = (change.change_rupiah if change else 0) + _changed(base, rule) - base
            self._write_and_apply(
                "bill_changed",
                product_code=product.code,
                client_number=client_number,
                change_rupiah=moved,
                at_checkout=rule.at_checkout,
            )
        else:
            price = _changed(product.price_rupiah, rule)
            self._write_and_apply("repriced", product_code=product.code, rupiah=price)

    def change_status(self, product: Product, status: int) -> None:
        """Change the product's status."""
        self._write_and_apply("product_status", product_code=product.code, status=status)

    def change_scenario(self, scenario: Scenario) -> None:
        """Use new rules from now on; orders in progress keep their scheduled turns."""
        self.scenario = scenario
        self.faults = self._faults(self.now())

    def _faults(self, now: float) -> Faults:
        return Faults(
            self.scenario,
            self.chance,
            now,
            lambda label, subject: self.journal.append(
                {"kind": "fired", "at": self.now(), "label": label, "subject": subject}
            ),
        )

    def _turn(self, order: Order, at: float) -> None:
        turn = order.steps[0].turn
        goods: dict[str, Any] = {}
        if turn is Turn.SUCCEED:
            product = self.catalogue.get(order.product_code)
            assert product is not None
            found = goods_of(product, order.client_number, order.request_id, order.charged_rupiah)
            goods = {
                "admin_fee": found.admin_fee_rupiah,
                "client_name": found.client_name,
                "fulfillment_result": None
                if found.lines is None
                else [{"name": name, "value": value} for name, value in found.lines],
                "serial_number": found.serial_number,
                "voucher_code": found.voucher_code,
            }
        self.ledger.write(
            "turned",
            at,
            request_id=order.request_id,
            generation=order.generation,
            turn=turn.value,
            goods=goods,
        )
        if turn in (Turn.SUCCEED, Turn.FAIL):
            self._announce(order, at)

    def _announce(self, order: Order, at: float) -> None:
        if self.callback_url is not None:
            self.outbox.announce(order, *self.seal(order), self.faults, at)

    def _write_and_apply(self, kind: str, **members: Any) -> None:
        record = {"kind": kind, "at": self.now(), **members}
        self.journal.append(record)
        self._apply(record)

    def _apply(self, record: Mapping[str, Any]) -> None:
        kind = record["kind"]
        if kind == "repriced":
            self.catalogue.reprice(record["product_code"], record["rupiah"])
        elif kind == "product_status":
            self.catalogue.set_status(record["product_code"], record["status"])
        elif kind == "bill_changed":
            key = (record["product_code"], record["client_number"])
            self.bill_changes[key] = BillChange(record["change_rupiah"], record["at_checkout"])
        elif kind == "fired":
            self.faults.remember(record["label"], record["subject"])
        else:
            self.ledger.apply(record)

    def _read_back(self, records: Iterable[Mapping[str, Any]]) -> None:
        fresh = True
        for record in records:
            fresh = False
            self._apply(record)
        if fresh:
            self.ledger.write("opened", self.now(), rupiah=self.ledger.deposit.opening_rupiah)
            return
        self.ledger.audit()
        for entry in self.ledger.entries.values():
            for order in entry.orders:
                self.schedule_order(order)
            last = entry.current
            if last and last.status is not Status.PENDING and not _is_told(entry.callbacks):
                self._announce(last, self.now())


def _changed(rupiah: int, rule: PriceChange) -> int:
    return max(0, rupiah + rule.change_rupiah + round(rupiah * rule.change_percent / 100))


def _is_told(callbacks: Iterable[Mapping[str, Any]]) -> bool:
    return any(callback["answer"] in (200, "dropped", "withheld") for callback in callbacks)
