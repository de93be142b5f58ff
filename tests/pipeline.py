"""The steps of a batch run in this process, one after the other, as the DAG runs them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.testing import SandboxServer
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.clients.settings import AccountSettings
from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import BatchSource, ShortFundsPolicy
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.order import Order
from sat_hook.pipeline.chunks import plan_chunks
from sat_hook.pipeline.execution import ChunkExecutor
from sat_hook.pipeline.funding import Reservation, observation_of, reserve
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import (
    BadRowsPolicy,
    ExecutionLimits,
    FundingLimits,
    PollingLimits,
    QuotingLimits,
)
from sat_hook.pipeline.quoting import Quoter, close_quoting
from sat_hook.pipeline.results import BatchSummary, ResultFile, complete, write_results
from sat_hook.pipeline.spool import LocalSpool
from sat_hook.pipeline.status_polling import StatusPoller, orders_in_flight
from sat_hook.pipeline.submission import Submission, submit
from sat_hook.pipeline.validation import catalogue_of, validate_orders
from sat_hook.protocol.calls import account_call
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.signing import Signer, Verifier
from sat_hook.store.database import Database
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.poll_schedule import PollScope, PostgresPollSchedule
from sat_hook.store.postgres import PostgresEventStore
from tests.orders import ACCOUNT, BY_TEST

QUICK_POLLS = PollingLimits(first_delay_seconds=0.1, growth=1.2, longest_delay_seconds=0.5)
QUICK_QUOTES = QuotingLimits(tries=2, first_pause_seconds=0.01)


def account_settings(server: SandboxServer, **changes: object) -> AccountSettings:
    """The sandbox's demo account."""
    values: dict[str, object] = {
        "account": ACCOUNT,
        "environment": Environment.CUSTOM,
        "base_url": server.api_url,
        "token_url": server.token_url,
        "client_id": "demo",
        "client_secret": "demo",
        "signer": Signer(server.keys.client_private_pem),
        "verifier": Verifier([server.keys.sat_public_pem]),
        **changes,
    }
    return AccountSettings(**values)  # type: ignore[arg-type]


@dataclass
class Line:
    """A database, a spool and a SAT server, and the steps of a batch between them."""

    store: PostgresEventStore
    spool: LocalSpool
    server: SandboxServer
    settings: AccountSettings
    execution: ExecutionLimits = field(default_factory=ExecutionLimits)

    @property
    def handler(self) -> CommandHandler:
        return CommandHandler(self.store, SystemClock())

    @property
    def funds(self) -> PostgresFunds:
        return PostgresFunds(self.store.database)

    def submit(
        self,
        content: bytes,
        *,
        name: str = "orders.csv",
        reference: str | None = None,
        account: str = ACCOUNT,
    ) -> Submission:
        """Spool the bytes and register them."""
        return submit(
            self.store,
            self.spool,
            SystemClock(),
            account=account,
            reference=reference,
            source=BatchSource.FILE,
            file_name=name,
            content=content,
            provenance=BY_TEST,
        )

    def take_in(self, batch_id: str, policy: BadRowsPolicy = BadRowsPolicy.PROCEED) -> None:
        """Intake and validation."""
        take_in(self.handler, self.spool, batch_id, BY_TEST, policy)
        products = asyncio.run(self._products())
        validate_orders(self.handler, batch_id, catalogue_of(products), BY_TEST, policy)

    def quote(self, batch_id: str) -> None:
        """Quote everything and close the quoting."""
        asyncio.run(self._quote(batch_id))
        close_quoting(self.handler, batch_id, BY_TEST)

    def reserve(
        self, batch_id: str, policy: ShortFundsPolicy = ShortFundsPolicy.PARTIAL, lag_seconds: float = 0.0
    ) -> Reservation:
        """Look at the deposit and set funds aside."""
        limits = FundingLimits(saldo_lag_seconds=lag_seconds)
        return reserve(self.funds, SystemClock(), batch_id, self.look(), policy, BY_TEST, limits)

    def look(self) -> BalanceObservation:
        """What SAT says that the deposit holds."""
        with BlockingSATClient(self.settings, SystemClock()) as sat:
            return observation_of(ACCOUNT, sat.ask(account_call()), SystemClock().now())

    def execute(self, batch_id: str, chunk_rows: int = 100, *, reserve_first: bool = True) -> None:
        """Send every chunk, one after the other, as far as the deposit reaches."""
        if reserve_first:
            self.reserve(batch_id)
        asyncio.run(self._execute(batch_id, chunk_rows))

    def wait(self, batch_id: str, seconds: float = 120.0) -> None:
        """Poll until nothing is in flight."""
        asyncio.run(self._wait(batch_id, seconds))

    def finish(self, batch_id: str) -> tuple[BatchSummary, ResultFile]:
        """Close the batch and write its results."""
        summary = complete(self.handler, batch_id, BY_TEST)
        return summary, write_results(self.handler, self.spool, self.spool, batch_id, BY_TEST)

    def run(self, content: bytes, *, name: str = "orders.csv") -> str:
        """All the steps; returns the batch id."""
        batch_id = self.submit(content, name=name).batch_id
        self.take_in(batch_id)
        self.quote(batch_id)
        self.execute(batch_id)
        self.wait(batch_id)
        return batch_id

    def batch(self, batch_id: str) -> Batch:
        """How a batch stands."""
        return load_batch(self.store, batch_id)

    def orders(self, batch_id: str) -> dict[str, Order]:
        """The batch's orders by the submitter's order id."""
        return {order.order_id: order for order in each_order(self.store, OrderSlice(batch_id))}

    async def _products(self) -> list[object]:
        async with AsyncSATClient(self.settings, SystemClock()) as sat:
            return list(await sat.list_products())

    async def _quote(self, batch_id: str) -> None:
        async with AsyncSATClient(self.settings, SystemClock()) as sat:
            catalogue = catalogue_of(await sat.list_products())
            quoter = Quoter(self.handler, sat, catalogue, QUICK_QUOTES)
            await quoter.quote_slice(OrderSlice(batch_id), BY_TEST)

    async def _execute(self, batch_id: str, chunk_rows: int) -> None:
        async with AsyncSATClient(self.settings, SystemClock()) as sat:
            catalogue = catalogue_of(await sat.list_products())
            for chunk in plan_chunks(self.store, batch_id, chunk_rows):
                executor = ChunkExecutor(self.handler, sat, catalogue, BY_TEST, self.execution)
                await executor.run(chunk.of(batch_id))

    async def _wait(self, batch_id: str, seconds: float) -> None:
        schedule = PostgresPollSchedule(self.store.database)
        async with AsyncSATClient(self.settings, SystemClock()) as sat, asyncio.timeout(seconds):
            poller = StatusPoller(self.handler, schedule, sat, random.Random(1), QUICK_POLLS)
            while orders_in_flight(self.handler, batch_id):
                await poller.poll_due(PollScope(batch_id=batch_id), BY_TEST)
                await asyncio.sleep(0.05)


@contextmanager
def line_of(
    writer_dsn: str, folder: Path, faults: dict[str, object] | None = None, **changes: object
) -> Iterator[Line]:
    """A line with a SAT server of its own in this process."""
    with SandboxServer(seed=7, faults=faults) as server:
        database = Database(writer_dsn, "tests")
        try:
            settings = account_settings(server, **changes)
            yield Line(PostgresEventStore(database), LocalSpool(folder / "spool"), server, settings)
        finally:
            database.close()
