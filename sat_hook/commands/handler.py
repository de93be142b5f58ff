"""The command handler decides every change to a stream, for all callers (law 4).

It reads a state, lets the stream's :class:`~sat_hook.domain.decision.Decider` decide, and appends the events
under the version that it read. A command that lost a race is read and decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from sat_hook.commands.aggregates import BATCHES, ORDERS, Aggregate, Command, State, account_aggregate
from sat_hook.commands.errors import BatchNotFoundError, ContentionError
from sat_hook.domain.account import AccountCommand, AccountStanding, new_account
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_commands import BatchCommand
from sat_hook.domain.decision import Refusal, RefusalReason
from sat_hook.domain.event_record import Event, Provenance, StreamId
from sat_hook.domain.grouping import grouped
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import OrderCommand
from sat_hook.domain.ports import Clock, Offload
from sat_hook.store.clock import look_at_clock
from sat_hook.store.event_store import BatchReader, Change, EventStore, StatusEvidence

ROUNDS = 10
T = TypeVar("T")
StateOf = TypeVar("StateOf", covariant=True)


@dataclass(frozen=True, slots=True)
class OrderCommandRequest:
    """A command for one order, with its evidence."""

    request_id: str
    command: OrderCommand
    evidence: tuple[StatusEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandResult(Generic[StateOf]):
    """The result of a command: the current state, and either new events or the refusal."""

    after: StateOf
    events: tuple[Event, ...]
    refusal: Refusal | None

    @property
    def is_accepted(self) -> bool:
        """True when the command changed the stream."""
        return self.refusal is None

    @property
    def is_old(self) -> bool:
        """True when the evidence may be older than the log."""
        return self.refusal is not None and self.refusal.reason is RefusalReason.STALE_EVIDENCE


OrderCommandResult = CommandResult[Order | None]


class CommandHandler:
    """Decides and appends, for many streams at once. Safe to use from several threads.

    :param offload: runs the handler, which blocks, for asynchronous steps.
    """

    def __init__(self, store: EventStore, clock: Clock, offload: Offload | None = None) -> None:
        self.store = store
        self.clock = clock
        self.offload: Offload = offload or _in_thread

    def orders_before_asking(self, request_ids: Iterable[str]) -> dict[str, Order]:
        """The orders' current states, and the time at which SAT is queried about them. Blocks."""
        look_at_clock(self.clock)
        return self.store.load_orders(request_ids)

    def apply(
        self,
        requests: Iterable[OrderCommandRequest],
        provenance: Provenance,
        known: Mapping[str, Order] | None = None,
    ) -> dict[str, OrderCommandResult]:
        """Decide commands of many orders and append the events in one transaction (more, after a lost race).

        :param requests: at most one for each order.
        :param known: states that the caller has just read or made. They save a read and are still fenced.
        :returns: a result for each request id.
        :raises ContentionError: when an order kept changing for ten rounds.
        """
        asked = {request.request_id: request for request in requests}
        return self._apply(
            ORDERS,
            {key: request.command for key, request in asked.items()},
            provenance,
            known=known or {},
            evidence={key: request.evidence for key, request in asked.items() if request.evidence},
        )

    def apply_to_each(
        self, orders: Iterable[Order], command: Callable[[Order], OrderCommand], provenance: Provenance
    ) -> int:
        """Decide a command of each order, in groups; return how many were accepted.

        :param orders: as they were just read.
        :raises ContentionError: when an order kept changing for ten rounds.
        """
        accepted = 0
        for group in grouped(orders):
            requests = [OrderCommandRequest(order.request_id, command(order)) for order in group]
            results = self.apply(requests, provenance, {order.request_id: order for order in group})
            accepted += sum(result.is_accepted for result in results.values())
        return accepted

    def apply_to(
        self, aggregate: Aggregate[State, Command], key: str, command: Command, provenance: Provenance
    ) -> CommandResult[State]:
        """Decide one command of one stream.

        :raises ContentionError: when the stream kept changing for ten rounds.
        """
        return self._apply(aggregate, {key: command}, provenance)[key]

    def apply_to_batch(
        self, batch_id: str, command: BatchCommand, provenance: Provenance
    ) -> tuple[Batch, Refusal | None]:
        """Decide one command of a batch.

        :returns: the batch's current state, and the refusal when nothing was changed.
        :raises BatchNotFoundError: when there is no such batch and the command does not create one.
        """
        result = self.apply_to(BATCHES, batch_id, command, provenance)
        if result.after is None:
            raise BatchNotFoundError(f"there is no batch {batch_id}")
        return result.after, result.refusal

    def apply_to_account(
        self, account: str, command: AccountCommand, provenance: Provenance
    ) -> tuple[AccountStanding, Refusal | None]:
        """Decide one command of an account; return its state, and the refusal if nothing changed."""
        result = self.apply_to(account_aggregate(account), account_id_of(account), command, provenance)
        return result.after, result.refusal

    def _apply(
        self,
        aggregate: Aggregate[State, Command],
        commands: Mapping[str, Command],
        provenance: Provenance,
        *,
        known: Mapping[str, State] | None = None,
        evidence: Mapping[str, tuple[StatusEvidence, ...]] | None = None,
    ) -> dict[str, CommandResult[State]]:
        look_at_clock(self.clock)
        decider, document, evidence = aggregate.decider, aggregate.document, evidence or {}
        decide, evolve, kind = decider.decide, decider.evolve, decider.stream_kind
        waiting = dict(commands)
        states = {key: state for key, state in (known or {}).items() if key in waiting}
        results: dict[str, CommandResult[State]] = {}
        for _ in range(ROUNDS):
            if unread := [key for key in waiting if key not in states]:
                states.update(aggregate.load(self.store, unread))
            changed: list[tuple[Change, State]] = []
            # The fold and the log use the same time, because a rebuild has only the log's.
            moment = self.clock.now()
            for key, command in waiting.items():
                before = states[key] if key in states else decider.initial_state(key)
                decision = decide(before, command)
                if isinstance(decision, Refusal):
                    results[key] = CommandResult(before, (), decision)
                    continue
                folds, after = [], before
                for event in decision:
                    after = evolve(after, key, event, moment)
                    folds.append(document(after))
                change = Change(
                    StreamId(kind, key),
                    before.version if before is not None else 0,
                    decision,
                    folds[-1],
                    evidence.get(key, ()),
                    tuple(folds[:-1]),
                    before if isinstance(before, Order) else None,
                )
                changed.append((change, after))
            conflicts = self.store.append([change for change, _ in changed], provenance, moment)
            for change, after in changed:
                if change.stream not in conflicts:
                    results[change.stream.key] = CommandResult(after, change.events, None)
            if not conflicts:
                return results
            waiting = {stream.key: waiting[stream.key] for stream in sorted(conflicts)}
            states = {}
        named = f"{kind} {next(iter(waiting))}" if len(waiting) == 1 else f"{len(waiting)} streams ({kind})"
        raise ContentionError(f"{named} kept changing while a command was decided; nothing was recorded")


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def standing_of(store: EventStore, account: str) -> AccountStanding:
    """An account's state. An account without events may send."""
    return store.load_account(account_id_of(account)) or new_account(account)


def load_batch(store: BatchReader, batch_id: str) -> Batch:
    """The batch; raises BatchNotFoundError when there is none."""
    batch = store.load_batch(batch_id)
    if batch is None:
        raise BatchNotFoundError(f"there is no batch {batch_id}")
    return batch
