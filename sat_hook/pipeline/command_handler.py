"""The command handler: every change to an order, a batch or an account is decided here (law 4).

State is read, :func:`decide` answers, the events are appended under the version that was read. Whoever lost
a race reads again and decides again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sat_hook.domain.account import AccountCommand, AccountStanding, decide_account, evolve_account
from sat_hook.domain.batch import Batch, decide_batch, evolve_batch
from sat_hook.domain.batch_commands import BatchCommand
from sat_hook.domain.event import Event
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.order import Order, Refusal, RefusalReason, evolve
from sat_hook.domain.order_commands import OrderCommand
from sat_hook.domain.order_decisions import decide
from sat_hook.domain.ports import Clock, Offload
from sat_hook.pipeline.clock_skew import look_at_clock
from sat_hook.pipeline.errors import BatchNotFoundError, ContentionError
from sat_hook.store.event_store import BatchReader, Change, EventStore, StatusEvidence

ROUNDS = 10
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OrderCommandRequest:
    """A command for one order, with the evidence that it rests on."""

    request_id: str
    command: OrderCommand
    evidence: tuple[StatusEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What became of an ask: the order as it now stands, and either new events or the refusal."""

    order: Order | None
    events: tuple[Event, ...]
    refusal: Refusal | None

    @property
    def is_accepted(self) -> bool:
        """True when the command changed the order."""
        return self.refusal is None

    @property
    def is_old(self) -> bool:
        """True when the evidence may be older than what the log has."""
        return self.refusal is not None and self.refusal.reason is RefusalReason.STALE_EVIDENCE


class CommandHandler:
    """Decides and appends, for many orders at once. Safe to use from several threads.

    :param offload: how asynchronous steps have this, which blocks, done.
    """

    def __init__(self, store: EventStore, clock: Clock, offload: Offload | None = None) -> None:
        self.store = store
        self.clock = clock
        self.offload: Offload = offload or _in_thread

    def orders_before_asking(self, request_ids: Iterable[str]) -> dict[str, Order]:
        """The orders as they stand, and with them the time at which SAT is asked about them. Blocks."""
        look_at_clock(self.clock)
        return self.store.load_orders(request_ids)

    def apply(
        self,
        commands: Iterable[OrderCommandRequest],
        provenance: Provenance,
        known: Mapping[str, Order] | None = None,
    ) -> dict[str, CommandResult]:
        """Decide every ask and append the events in one transaction (more, where somebody else was faster).

        :param asks: at most one for each order.
        :param known: states that the caller has just read or made; they save a read and are fenced anyway.
        :returns: a resolution for each request id.
        :raises ContentionError: when an order kept changing for ten rounds.
        """
        look_at_clock(self.clock)
        waiting = {ask.request_id: ask for ask in commands}
        states = {key: order for key, order in (known or {}).items() if key in waiting}
        resolved: dict[str, CommandResult] = {}
        for _ in range(ROUNDS):
            unread = [key for key in waiting if key not in states]
            found = self.store.load_orders(unread) if unread else {}
            changes: list[Change] = []
            # One moment for the fold and for the log: a rebuild has only the log's.
            moment = self.clock.now()
            for key, ask in waiting.items():
                order = states.get(key) or found.get(key)
                answer = decide(order, ask.command)
                if isinstance(answer, Refusal):
                    resolved[key] = CommandResult(order, (), answer)
                else:
                    changes.append(_change(order, ask, answer, moment))
            conflicts = self.store.append(changes, provenance, moment)
            for change in changes:
                if change.stream not in conflicts and isinstance(change.after, Order):
                    resolved[change.stream.key] = CommandResult(change.after, change.events, None)
            waiting = {stream.key: waiting[stream.key] for stream in sorted(conflicts)}
            if not waiting:
                return resolved
            states = {}
        raise ContentionError(f"{len(waiting)} orders kept changing while they were decided on")

    def apply_to_batch(
        self, batch_id: str, command: BatchCommand, provenance: Provenance
    ) -> tuple[Batch, Refusal | None]:
        """Decide one command of a batch.

        :returns: the batch as it now stands, and the refusal when nothing was changed.
        :raises BatchNotFoundError: when there is no such batch and the command does not begin one.
        """
        look_at_clock(self.clock)
        for _ in range(ROUNDS):
            batch = self.store.load_batch(batch_id)
            answer = decide_batch(batch, command)
            if isinstance(answer, Refusal):
                if batch is None:
                    raise BatchNotFoundError(f"there is no batch {batch_id}")
                return batch, answer
            after = batch
            for event in answer:
                after = evolve_batch(after, batch_id, event)
            assert after is not None
            stream = StreamId(StreamKind.BATCH, batch_id)
            change = Change(stream, batch.version if batch else 0, answer, after)
            if not self.store.append([change], provenance, self.clock.now()):
                return after, None
        raise ContentionError(f"batch {batch_id} kept changing while it was decided on")

    def apply_to_account(
        self, account: str, command: AccountCommand, provenance: Provenance
    ) -> tuple[AccountStanding, Refusal | None]:
        """Decide one command of an account; returns where it stands, and the refusal if nothing changed."""
        look_at_clock(self.clock)
        account_id = account_id_of(account)
        for _ in range(ROUNDS):
            standing = standing_of(self.store, account)
            answer = decide_account(standing, command)
            if isinstance(answer, Refusal):
                return standing, answer
            after = standing
            for event in answer:
                after = evolve_account(after, event)
            stream = StreamId(StreamKind.ACCOUNT, account_id)
            change = Change(stream, standing.version, answer, after)
            if not self.store.append([change], provenance, self.clock.now()):
                return after, None
        raise ContentionError(f"account {account!r} kept changing while it was decided on")


def standing_of(store: EventStore, account: str) -> AccountStanding:
    """Where an account stands; one that nobody ever decided anything about may send."""
    account_id = account_id_of(account)
    return store.load_account(account_id) or AccountStanding(account_id=account_id, account=account)


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def _change(
    order: Order | None, ask: OrderCommandRequest, events: tuple[Event, ...], moment: datetime
) -> Change:
    after = order
    for event in events:
        after = evolve(after, ask.request_id, event, moment)
    assert after is not None
    stream = StreamId(StreamKind.ORDER, ask.request_id)
    return Change(stream, order.version if order else 0, events, after, ask.evidence)


def load_batch(store: BatchReader, batch_id: str) -> Batch:
    """The batch; raises BatchNotFoundError when there is none."""
    batch = store.load_batch(batch_id)
    if batch is None:
        raise BatchNotFoundError(f"there is no batch {batch_id}")
    return batch
