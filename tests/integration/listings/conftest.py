"""A small log with batches in several standings, and people who may see more or less of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from sat_hook.application.batch_standing import StoppedBatches
from sat_hook.application.listings import Listings
from sat_hook.application.rights import Person, Right
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain import approval_events, batch_events, order_events
from sat_hook.domain.account_rules import RuleValues
from sat_hook.domain.batch_commands import RequestApproval, WithdrawBatch
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.guards import NO_RULES
from sat_hook.domain.identity import request_id_of
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BY_TEST, T0, ManualClock
from tests.quoted_batches import Row, quoted_batch
from tests.web_host import FakeAccounts, FakeHost, FakeRuns

SEER = Person("vera", frozenset({Right.VIEW}))
READER = Person("nora", frozenset({Right.VIEW, Right.VIEW_NUMBERS}))
NOBODY = Person("nemo", frozenset(Right) - {Right.VIEW})
MAKER = Provenance("user:maria", "plugin:submit")
PRICES = (52_000, 10_500, 102_500, 25_000)


@dataclass
class Office:
    """The lists over a log of its own."""

    lists: Listings
    handler: CommandHandler
    store: PostgresEventStore
    clock: ManualClock

    def batch(self, reference: str, prices: tuple[int, ...] = PRICES, *, maker: Provenance = MAKER) -> str:
        """A quoted batch, submitted a minute after the one before."""
        self.clock.advance(60)
        rows = [
            Row(f"08121{number:06d}", price, f"product-{number % 2}")
            for number, price in enumerate(prices, 1)
        ]
        return quoted_batch(self.handler, reference, rows, maker=maker)

    def order_of(self, reference: str, row: int) -> str:
        """The request id of an order."""
        return request_id_of(ACCOUNT, f"{reference}-{row}")

    def happen(self, request_id: str, *events: order_events.Event) -> None:
        """What happens to an order, a minute later."""
        self.clock.advance(60)
        order = self.store.load_orders([request_id])[request_id]
        change = Change.of_order(request_id, order, events, self.clock.now())
        assert self.store.append([change], BY_TEST, self.clock.now()) == frozenset()

    def observe(self, saldo_rupiah: int, *, days_ago: int = 0) -> None:
        """A look at the deposit."""
        at = self.clock.now() - timedelta(days=days_ago)
        with PostgresFunds(self.store.database).locked(ACCOUNT) as funds:
            funds.record(BalanceObservation(ACCOUNT, saldo_rupiah, at, at), is_compared=False)

    def ask_for_approval(self, batch_id: str) -> approval_events.ApprovalTerms:
        """The batch waits for a person from now on."""
        terms = approval_events.ApprovalTerms(
            digest="0" * 64, orders=4, total_rupiah=sum(PRICES), quotes_digest="1" * 64
        )
        self.handler.apply_to_batch(batch_id, RequestApproval(terms, 1), BY_TEST)
        return terms

    def complete(self, batch_id: str) -> None:
        """Nothing of the batch is left to do."""
        completed = batch_events.BatchCompleted(counts={}, charged_rupiah=0)
        self.handler.apply_to_batch(batch_id, Record(completed), BY_TEST)

    def withdraw(self, batch_id: str) -> None:
        """A person takes it back."""
        self.handler.apply_to_batch(batch_id, WithdrawBatch("a mistake"), MAKER)

    def start_run(self, batch_id: str) -> None:
        """A run of Airflow begins."""
        run = batch_events.BatchRunStarted(
            run="bulk_disbursement/manual__1",
            connection="sat_default",
            rules=RuleValues.of(NO_RULES),
            parameters={"batch_id": batch_id},
        )
        self.handler.apply_to_batch(batch_id, Record(run), MAKER)


SENT = order_events.CheckoutRequested(
    attempt=1, body="{}", price_rupiah=52_000, send_before=T0, settled_after=T0
)
HELD = order_events.OrderHeld(reason=order_events.HoldReason.LIMIT, detail="08121000002 is over the limit")


@contextmanager
def office_in(database: ApplicationDatabase) -> Iterator[Office]:
    """An office with the log of this database, which is empty at first."""
    opened = Database(database.writer_dsn)
    store, clock = PostgresEventStore(opened), ManualClock()
    host = FakeHost(store=store)
    host.accounts = FakeAccounts({"sat_default": ACCOUNT, "other": "another"})
    yield Office(Listings(host, StoppedBatches(host, FakeRuns())), CommandHandler(store, clock), store, clock)
    opened.close()


@pytest.fixture
def office(database: ApplicationDatabase) -> Iterator[Office]:
    """An office of one test."""
    with office_in(database) as opened:
        yield opened
