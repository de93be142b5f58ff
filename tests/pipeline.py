"""Runs the steps of a batch in this process, one after the other, as the DAG does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sandbox.testing import SandboxServer
from sat_hook.application.batch_run import BatchRun
from sat_hook.application.ports import Ports, StepLimits, ports_on
from sat_hook.application.run_facts import RunFacts
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.clients.settings import AccountSettings
from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import BatchSource, ShortFundsPolicy
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.order import Order
from sat_hook.domain.pricing import CatalogueEntry
from sat_hook.pipeline.batch_summary import BatchSummary
from sat_hook.pipeline.execution import ChunkExecutor, ExecutionReport, Gate
from sat_hook.pipeline.funding import Reservation
from sat_hook.pipeline.limits import (
    BadRowsPolicy,
    ExecutionLimits,
    FundingLimits,
    PollingLimits,
    QuotingLimits,
)
from sat_hook.pipeline.results import ResultFile
from sat_hook.pipeline.submission import Submission, submit
from sat_hook.pipeline.validation import catalogue_of
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.messages import Product
from sat_hook.protocol.signing import Verifier
from sat_hook.store.database import Database
from sat_hook.store.event_store import OrderSlice, each_order
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool, NamedSpool
from tests.keys import key_pairs, signer_of
from tests.orders import ACCOUNT, BY_TEST

QUICK_POLLS = PollingLimits(first_delay_seconds=0.1, growth=1.2, longest_delay_seconds=0.5)
QUICK_QUOTES = QuotingLimits(tries=2, first_pause_seconds=0.01)


def account_settings(server: SandboxServer, **changes: object) -> AccountSettings:
    """Return settings for the sandbox's demo account."""
    values: dict[str, object] = {
        "account": ACCOUNT,
        "environment": Environment.CUSTOM,
        "base_url": server.api_url,
        "token_url": server.token_url,
        "client_id": "demo",
        "client_secret": "demo",
        "signer": signer_of(server.keys.client_private_pem),
        "verifier": Verifier([server.keys.sat_public_pem]),
        **changes,
    }
    return AccountSettings(**values)  # type: ignore[arg-type]


@dataclass
class Line:
    """A database, a spool and a SAT server, and the run of a batch between them."""

    store: PostgresEventStore
    spool: NamedSpool
    server: SandboxServer
    settings: AccountSettings
    execution: ExecutionLimits = field(default_factory=ExecutionLimits)

    @property
    def handler(self) -> CommandHandler:
        return CommandHandler(self.store, SystemClock())

    @property
    def funds(self) -> PostgresFunds:
        return PostgresFunds(self.store.database)

    @property
    def ports(self) -> Ports:
        """Return the account's ports on the line's database and SAT server, with short waits."""
        return ports_on(
            self.store.database,
            self.handler,
            self.settings,
            partial(AsyncSATClient, self.settings, SystemClock()),
            submissions=self.spool,
            results=self.spool,
            limits=StepLimits(
                quoting=QUICK_QUOTES,
                execution=self.execution,
                polling=QUICK_POLLS,
                funding=FundingLimits(saldo_lag_seconds=0.0),
            ),
        )

    def run_of(self, batch_id: str) -> BatchRun:
        """Return the run of a batch that a test stands for."""
        return BatchRun(self.ports, batch_id, RunFacts(BY_TEST, run="tests/line"))

    def only_order(self, batch_id: str) -> Order:
        """The batch's one order."""
        (order,) = self.orders(batch_id).values()
        return order

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

    def quoted(self, content: bytes, *, name: str = "orders.csv") -> str:
        """Return a batch of these orders that is taken in and quoted."""
        batch_id = self.submit(content, name=name).batch_id
        self.take_in(batch_id)
        self.quote(batch_id)
        return batch_id

    def take_in(self, batch_id: str, policy: BadRowsPolicy = BadRowsPolicy.PROCEED) -> None:
        """Run intake and validation."""
        run = self.run_of(batch_id)
        run.intake(policy)
        asyncio.run(run.validate(policy))

    def products(self) -> list[Product]:
        """SAT's catalogue."""
        with BlockingSATClient(self.settings, SystemClock()) as sat:
            return sat.list_products()

    def quote(self, batch_id: str) -> None:
        """Quote everything and close the quoting."""
        run = self.run_of(batch_id)
        asyncio.run(run.quote())
        run.close_quotes()

    def reserve(
        self, batch_id: str, policy: ShortFundsPolicy = ShortFundsPolicy.PARTIAL, lag_seconds: float = 0.0
    ) -> Reservation:
        """Read the deposit and reserve funds."""
        limits = FundingLimits(saldo_lag_seconds=lag_seconds)
        return asyncio.run(self.run_of(batch_id).reserve(policy, limits))

    def look(self) -> BalanceObservation:
        """Return the deposit as SAT reports it."""
        return asyncio.run(self.ports.look_at_deposit())

    def execute(self, batch_id: str, chunk_rows: int = 100, *, reserve_first: bool = True) -> None:
        """Run the guards, and send every chunk in turn, as far as the deposit reaches."""
        run = self.run_of(batch_id)
        run.guard()
        if reserve_first:
            self.reserve(batch_id)
        for chunk in run.plan_chunks(chunk_rows):
            asyncio.run(run.execute(chunk))

    def send(
        self,
        batch_id: str,
        gate: Gate | None = None,
        *,
        catalogue: Mapping[str, CatalogueEntry] | None = None,
        limits: ExecutionLimits | None = None,
        handler: CommandHandler | None = None,
    ) -> ExecutionReport:
        """Send the whole batch as one chunk behind the test's own gate, without guards or funds."""

        async def execute() -> ExecutionReport:
            async with AsyncSATClient(self.settings, SystemClock()) as sat:
                known = catalogue_of(await sat.list_products()) if catalogue is None else catalogue
                executor = ChunkExecutor(
                    handler or self.handler,
                    sat,
                    known,
                    BY_TEST,
                    limits or self.execution,
                    QuotingLimits(),
                    gate or Gate(),
                )
                return await executor.run(OrderSlice(batch_id))

        return asyncio.run(execute())

    def wait(self, batch_id: str, seconds: float = 120.0) -> None:
        """Poll until nothing is in flight."""
        asyncio.run(self._wait(self.run_of(batch_id), seconds))

    def finish(self, batch_id: str) -> tuple[BatchSummary, ResultFile]:
        """Close the batch and write its results."""
        return self.run_of(batch_id).results()[:2]

    def run(self, content: bytes, *, name: str = "orders.csv") -> str:
        """Run all the steps. Returns the batch id."""
        batch_id = self.quoted(content, name=name)
        self.execute(batch_id)
        self.wait(batch_id)
        return batch_id

    def batch(self, batch_id: str) -> Batch:
        """Return the state of a batch."""
        return load_batch(self.store, batch_id)

    def orders(self, batch_id: str) -> dict[str, Order]:
        """The batch's orders by the submitter's order id."""
        return {order.order_id: order for order in each_order(self.store, OrderSlice(batch_id))}

    async def _wait(self, run: BatchRun, seconds: float) -> None:
        async with run.ports.sat() as sat, asyncio.timeout(seconds):
            while (await run.wait(sat)).left:  # noqa: ASYNC110 - the end comes from SAT
                await asyncio.sleep(0.05)


@contextmanager
def line_of(
    writer_dsn: str, folder: Path, faults: dict[str, object] | None = None, **changes: object
) -> Iterator[Line]:
    """Open a line with its own SAT server in this process."""
    with SandboxServer(keys=key_pairs(), seed=7, faults=faults) as server:
        database = Database(writer_dsn, "tests")
        try:
            settings = account_settings(server, **changes)
            yield Line(PostgresEventStore(database), LocalSpool(folder / "spool"), server, settings)
        finally:
            database.close()
