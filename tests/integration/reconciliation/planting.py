"""Days with known contents: orders whose every event has its time, looks at the deposit, settlement files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sat_hook.domain import books_events
from sat_hook.domain import order_events as happened
from sat_hook.domain.books_commands import RecordTopUp
from sat_hook.domain.books_events import SettlementMapping
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Event, Provenance
from sat_hook.domain.identity import digest_of, payload_digest, request_id_of
from sat_hook.domain.order import Order
from sat_hook.reconciliation.book_commands import certify, prepare, settle_break
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.day_close import Closed, close_day
from sat_hook.reconciliation.model import Break
from sat_hook.reconciliation.settlement import keep_settlement
from sat_hook.store.event_store import Change, StatusEvidence
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from tests.orders import BY_TEST, ManualClock

DAY = BusinessDay(date(2026, 11, 2))
NOON = datetime(2026, 11, 2, 5, tzinfo=UTC)
OPENS, CLOSES = DAY.opens_at.astimezone(UTC), DAY.closes_at.astimezone(UTC)
PRICE = 52_000
SALDO = 10_000_000
BATCH = "B" + "A" * 25
SECOND = timedelta(seconds=1)
BY_FINANCE = Provenance("user:finance", "plugin:explain")
BY_CHIEF = Provenance("user:chief", "plugin:certify")
MAPPING = SettlementMapping(product_code="product", client_number="number")


def signed_text(request_id: str, status: str, rupiah: int | None) -> str:
    """What SAT signs about an order."""
    attributes = {"status": status, "sales_price": rupiah}
    return json.dumps({"data": {"type": "order", "id": request_id, "attributes": attributes}})


@dataclass
class Planted:
    """One account in a log of its own or of several accounts, and where its settlement files are kept."""

    store: PostgresEventStore
    folder: Path
    account: str
    clock: ManualClock = field(default_factory=lambda: ManualClock(CLOSES + timedelta(minutes=30)))
    orders: dict[str, Order] = field(default_factory=dict)
    net_rupiah: int = 0

    @property
    def keeper(self) -> BookKeeper:
        """The books."""
        return BookKeeper(self.store, self.clock)

    @property
    def spool(self) -> LocalSpool:
        """Where files are kept."""
        return LocalSpool(self.folder)

    def request_id(self, name: str) -> str:
        """The request id of an order."""
        return request_id_of(self.account, name)

    def happen(
        self, name: str, at: datetime, *events: Event, evidence: tuple[StatusEvidence, ...] = ()
    ) -> None:
        """Events of an order at a moment."""
        key = self.request_id(name)
        change = Change.of_order(key, self.orders.get(key), events, at, evidence)
        assert self.store.append([change], BY_TEST, at) == frozenset()
        assert isinstance(change.after, Order)
        self.orders[key] = change.after

    def receive(self, name: str, at: datetime, price: int = PRICE, product: str = "50k-simpati") -> None:
        """An order is taken in and quoted."""
        number = self.number(name)
        self.happen(
            name,
            at,
            happened.OrderReceived(
                account=self.account,
                order_id=name,
                batch_id=BATCH,
                row_number=2,
                product_code=product,
                client_number=number,
                amount_rupiah=None,
                max_rupiah=None,
                downline_id=None,
                fields=(),
                payload_digest=payload_digest(product, number, None, None, None, ()),
            ),
            happened.OrderValidated(is_inquiry=False, list_price_rupiah=price),
            happened.OrderQuoted(
                price_rupiah=price,
                source=happened.QuoteSource.CATALOGUE,
                admin_fee_rupiah=None,
                valid_until=at + timedelta(days=3),
            ),
        )

    @staticmethod
    def number(name: str) -> str:
        """The client number of an order."""
        return "0812" + str(int(digest_of(name.encode())[:8], 16)).zfill(10)

    def send(self, name: str, at: datetime, price: int = PRICE, *, accepted: bool = True) -> None:
        """Taken in, sent, and answered or not."""
        self.receive(name, at - 10 * SECOND, price)
        requested = happened.CheckoutRequested(
            attempt=1, body="{}", price_rupiah=price, send_before=at + SECOND, settled_after=at + 60 * SECOND
        )
        self.happen(name, at, requested)
        if accepted:
            answer: Event = happened.CheckoutAccepted(
                attempt=1,
                reported_status="Pending",
                sales_price_rupiah=price,
                partner_fee_rupiah=100,
                response_digest="d" * 64,
            )
            self.net_rupiah -= price
        else:
            answer = happened.CheckoutUnknown(attempt=1, reason="timeout", code=None, http_status=None)
        self.happen(name, at + SECOND, answer)

    def end(
        self,
        name: str,
        at: datetime,
        kind: type[happened.SignedStatus] = happened.OrderSucceeded,
        price: int | None = PRICE,
        *,
        said: str | None = None,
        said_rupiah: int | None = None,
        kept: bool = True,
    ) -> None:
        """A signed status ends the order; what is kept as evidence may be made to differ."""
        word = said or ("Success" if kind is happened.OrderSucceeded else "Failed")
        text = signed_text(self.request_id(name), word, said_rupiah if said_rupiah is not None else price)
        digest = digest_of(text.encode())
        proof = StatusEvidence(digest, self.request_id(name), text, "sig", "key", at)
        facts: dict[str, object] = {
            "evidence_digest": digest,
            "observed_at": at,
            "sales_price_rupiah": price,
            "admin_fee_rupiah": 0,
            "partner_fee_rupiah": 100,
        }
        if kind is happened.OrderSucceeded:
            facts["fulfilled_at"] = at
        elif kind is happened.EvidenceContradicted:
            facts["reported_status"] = "Failed"
        elif kind is not happened.ReversalDoubted:
            facts |= {"error_code": "S02", "error_detail": "Product is not available"}
            self.net_rupiah += price or 0
        self.happen(name, at, kind(**facts), evidence=(proof,) if kept else ())

    def succeed(self, name: str, at: datetime = NOON, price: int = PRICE) -> None:
        """A whole life with a good end."""
        self.send(name, at, price)
        self.end(name, at + 5 * SECOND, price=price)

    def observe(self, at: datetime, rupiah: int | None = None) -> None:
        """A look at the deposit; by default it holds what the orders so far leave of it."""
        saldo = SALDO + self.net_rupiah if rupiah is None else rupiah
        seen = books_events.DepositObserved(
            account=self.account,
            saldo_rupiah=saldo,
            requested_at=at,
            received_at=at,
            response_digest="a" * 64,
        )
        self.keeper.post(self.account, Record(seen), BY_TEST)

    def top_up(self, rupiah: int, at: datetime = NOON, reference: str = "BCA-1") -> None:
        """A person records a top-up."""
        event = books_events.TopUpRecorded(
            account=self.account, reference=reference, amount_rupiah=rupiah, credited_at=at, note=""
        )
        by = Provenance("user:finance", "plugin:top-up")
        self.keeper.post(self.account, RecordTopUp(event, self.clock.now()), by)

    def settlement_row(self, name: str, rupiah: int = PRICE, status: str = "Success", **other: str) -> str:
        """One line of a settlement file."""
        values = {
            "request_id": self.request_id(name),
            "product": "50k-simpati",
            "number": self.number(name),
            **other,
        }
        return f"{values['request_id']},{rupiah},{status},{values['product']},{values['number']}"

    def settle(
        self,
        *rows: str,
        day: date = DAY.day,
        replaces: bool = False,
        name: str = "s.csv",
        mapping: SettlementMapping = MAPPING,
    ) -> None:
        """A settlement file comes."""
        content = "\r\n".join(("request_id,amount,status,product,number", *rows, "")).encode("utf-8-sig")
        event = keep_settlement(
            self.spool,
            account=self.account,
            day=day,
            name=name,
            content=content,
            mapping=mapping,
            replaces_earlier=replaces,
        )
        self.keeper.post(self.account, Record(event), BY_TEST)

    def set_aside(self, name: str, reason: str, day: date = DAY.day) -> None:
        """A settlement file comes that does not count."""
        event = books_events.SettlementSetAside(
            account=self.account,
            day=day,
            name=name,
            digest="b" * 64,
            cause=books_events.SetAsideCause.UNUSABLE,
            reason=f"{name}: {reason}",
            rivals=(),
        )
        self.keeper.post(self.account, Record(event), BY_TEST)

    def decide(self, break_id: str, state: BreakState, reason: str, by: Provenance = BY_FINANCE) -> bool:
        """A person explains, resolves or writes off a break."""
        return settle_break(self.keeper, self.account, break_id, state, reason, by)

    def sign(self, note: str = "all looked at") -> None:
        """One person prepares the day, and another certifies it."""
        prepare(self.keeper, self.account, DAY.day, note, BY_FINANCE)
        certify(self.keeper, self.account, DAY.day, note, BY_CHIEF)

    def close(self, day: BusinessDay = DAY) -> Closed:
        """Close the day."""
        return close_day(self.keeper, self.spool, self.account, day, BY_TEST)

    def ordinary_day(self) -> None:
        """Three orders that succeeded, one that failed, one refused, one in transit; everything agrees."""
        self.observe(OPENS + SECOND)
        for number in range(1, 4):
            self.succeed(f"good-{number}", NOON + number * 60 * SECOND)
        self.send("bad", NOON + 600 * SECOND)
        self.end("bad", NOON + 610 * SECOND, happened.OrderFailed)
        self.receive("refused", NOON)
        requested = happened.CheckoutRequested(
            attempt=1, body="{}", price_rupiah=PRICE, send_before=NOON, settled_after=NOON
        )
        self.happen("refused", NOON, requested)
        self.happen(
            "refused",
            NOON + SECOND,
            happened.CheckoutRejected(attempt=1, code="P04", detail="Product not found", http_status=400),
        )
        self.send("on its way", CLOSES - 30 * SECOND)

    def usual_rows(self, *without: str) -> list[str]:
        """The settlement file's lines of the ordinary day."""
        return [self.settlement_row(name) for name in ("good-1", "good-2", "good-3") if name not in without]


def described(item: Break) -> tuple[str, str, str | None, int]:
    """What a test compares of a break."""
    return item.match.value, item.category.value, item.order_id, item.amount_rupiah
