"""Orders that wait for their end beside a running receiver, and a poller that asks SAT about them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.event_record import Event, RecordedEvent, StreamId, StreamKind
from sat_hook.domain.order import Order
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.limits import PollingLimits
from sat_hook.pipeline.status_polling import PollReport, StatusPoller
from sat_hook.pipeline.trusted_callbacks import TrustedCallbacks
from sat_hook.protocol.exchange import WireResponse
from sat_hook.protocol.outcomes import StatusOutcome, classify_status
from sat_hook.protocol.signing import Signer, Verifier
from sat_hook.store.callbacks import PostgresCallbackInbox
from sat_hook.store.database import Database
from sat_hook.store.poll_schedule import PollScope, PostgresPollSchedule
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.receiver.serving import PRIVATE_PEM, PUBLIC_PEM, Served, serving, settings_for
from tests.orders import ACCOUNT, BY_TEST, T0, change_of, received, stream_of
from tests.unit.domain.situations import HISTORIES

SAT = Signer(PRIVATE_PEM)
KEYS = Verifier([PUBLIC_PEM])
# So slow that nothing but a callback makes an order due within a test.
NO_POLLS = PollingLimits(first_delay_seconds=3600.0, longest_delay_seconds=3600.0)


class AnswersStatuses:
    """Stands where the client stands: signed answers by order, Pending where none was set."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.asked: list[str] = []

    async def ask_status(self, request_id: str) -> StatusOutcome:
        """A signed answer, counted."""
        self.asked.append(request_id)
        attributes = {"status": self.answers.get(request_id, "Pending"), "sales_price": 52_000}
        document = {"data": {"type": "order", "id": request_id, "attributes": attributes}}
        body = json.dumps(document).encode()
        return classify_status(WireResponse(200, {"signature": SAT.sign(body)}, body), request_id, KEYS)


@dataclass
class WaitingOrders:
    """A database with orders, the receiver of their account, and a poller that asks SAT."""

    database: ApplicationDatabase
    served: Served
    store: PostgresEventStore
    sat: AnswersStatuses = field(default_factory=AnswersStatuses)
    clock: Clock = field(default_factory=SystemClock)

    @property
    def handler(self) -> CommandHandler:
        return CommandHandler(self.store, self.clock)

    def take_in(self, number: int, situation: str) -> str:
        """Order ``number`` as it stands in a situation of the domain's tests; returns its request id."""
        change = change_of(None, number, received(number), *HISTORIES[situation][1:])
        assert self.store.append([change], BY_TEST, T0) == frozenset()
        return stream_of(number).key

    def append(self, number: int, *events: Event) -> None:
        """What happened to the order since."""
        change = change_of(self.order(stream_of(number).key), number, *events)
        assert self.store.append([change], BY_TEST, T0) == frozenset()

    def order(self, request_id: str) -> Order:
        """The order as it stands."""
        return self.store.load_orders([request_id])[request_id]

    def events(self, request_id: str) -> list[RecordedEvent]:
        """What happened to the order."""
        return self.store.read_stream(StreamId(StreamKind.ORDER, request_id))

    def trusting(self, verifier: Verifier | None = KEYS, account: str = ACCOUNT) -> TrustedCallbacks:
        """What a connection with trust_callbacks adds."""
        return TrustedCallbacks(PostgresCallbackInbox(self.store.database), account, verifier)

    def poll(self, trusted: TrustedCallbacks | None = None) -> PollReport:
        """One pass over the account, as the trigger and the janitor make it."""
        schedule = PostgresPollSchedule(self.store.database)
        poller = StatusPoller(
            self.handler,
            schedule,
            self.sat,  # type: ignore[arg-type]
            random.Random(1),
            NO_POLLS,
            trusted,
        )
        return asyncio.run(poller.poll_due(PollScope(account=ACCOUNT), BY_TEST))


@contextmanager
def waiting_orders_of(database: ApplicationDatabase) -> Iterator[WaitingOrders]:
    """All of it, on this database."""
    opened = Database(database.writer_dsn)
    with serving(settings_for(database.receiver_dsn)) as served:
        yield WaitingOrders(database, served, PostgresEventStore(opened))
    opened.close()
