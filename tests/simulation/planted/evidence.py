"""Bugs in recording: the fence of versions, callbacks, signatures and evidence (laws 4, 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any
from unittest.mock import patch

from sat_hook.clients import asynchronous
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest
from sat_hook.domain import order_commands as asked
from sat_hook.domain import order_decisions as decisions
from sat_hook.domain import status_decisions
from sat_hook.domain.order import Order
from sat_hook.pipeline import status_polling
from sat_hook.pipeline.trusted_callbacks import BY_CALLBACK, TrustedCallbacks
from sat_hook.protocol import outcomes
from sat_hook.protocol.exchange import WireResponse
from sat_hook.receiver.app import Receiver
from sat_hook.store.clock import StoreClock
from sat_hook.testing import poll_schedule
from sat_hook.testing.event_store import MemoryEventStore
from tests.simulation.planted.planting import bug, bug_of, decide_by, world_with
from tests.simulation.seals import SealVerifier


def _garbled(manner: str, operation: str) -> dict[str, Any]:
    rule = {"fault": "garbled_reply", "rate": 0.2, "name": manner, "manner": manner}
    return {**rule, "operations": [operation]}


@bug(
    "version fence ignored",
    "events are appended whatever version they were decided on",
    "events were appended under a version that had passed",
)
def _version_fence_ignored(stack: ExitStack) -> None:
    real = MemoryEventStore.append

    def append(
        self: MemoryEventStore, changes: Any, provenance: Any, occurred_at: datetime
    ) -> frozenset[Any]:
        free = [replace(item, expected_version=self._heads.get(item.stream, 0)) for item in changes]
        return real(self, free, provenance, occurred_at)

    stack.enter_context(patch.object(MemoryEventStore, "append", append))


@bug(
    "projection not transactional",
    "a crash between event and projection leaves the projection behind",
    "the projection is not the fold",
)
def _projection_not_transactional(stack: ExitStack) -> None:
    real = MemoryEventStore._append_one
    numbers = count(1)

    def append(self: MemoryEventStore, change: Any, provenance: Any, occurred_at: datetime) -> None:
        key = change.stream.key
        before = self.orders.get(key)
        real(self, change, provenance, occurred_at)
        if before is not None and next(numbers) % 40 == 0:
            self.orders[key] = before

    stack.enter_context(patch.object(MemoryEventStore, "_append_one", append))


@bug(
    "stale evidence applied",
    "the last answer to arrive wins, however old it is",
    "older evidence was applied over newer",
)
def _stale_evidence_applied(stack: ExitStack) -> None:
    world_with(stack, {"fault": "stale_failure", "rate": 0.6, "name": "stale"})
    real = status_decisions.record_status

    def record(order: Order, command: asked.RecordStatus) -> Any:
        return real(order.model_copy(update={"evidence_at": None}), command)

    decide_by(stack, asked.RecordStatus, record)


bug_of(
    "status about something else",
    "product and client number of a signed status are not compared",
    "a status about another product or number was taken for this order's",
    (status_decisions, "differing_members", lambda *_: ()),
)


@bug(
    "reply about something else",
    "product and client number of a checkout's reply are not compared",
    "called accepted without SAT having said so",
)
def _reply_about_something_else(stack: ExitStack) -> None:
    world_with(stack, _garbled("other_product", "checkout"))
    stack.enter_context(patch.object(decisions, "differing_members", lambda *_: ()))


@bug(
    "doubt filed away",
    "a success after a reversal is recorded, and SAT is not asked again",
    "a success after a reversal was never asked about again",
)
def _doubt_filed_away(stack: ExitStack) -> None:
    world_with(stack, {"fault": "stale_failure", "rate": 0.6, "name": "stale"})
    stack.enter_context(patch.object(poll_schedule, "_is_doubted", lambda *_: False))


bug_of(
    "own clock believed",
    "what is recorded is dated by the wall clock of the machine that records it",
    "an event is dated by a clock that is wrong",
    (StoreClock, "now", lambda self: self._own.now()),
)


@bug(
    "callback trusted unsigned",
    "the receiver takes whatever comes",
    "a forged callback was taken for genuine",
)
def _callback_trusted(stack: ExitStack) -> None:
    real = Receiver._verified

    class Trusting:
        def verify(self, body: bytes, signature: str | None) -> str:
            return "whatever"

    def verified(self: Receiver, opened: Any, verifier: Any, *rest: Any) -> Any:
        return real(self, opened, Trusting(), *rest)  # type: ignore[arg-type]

    stack.enter_context(patch.object(Receiver, "_verified", verified))


@bug(
    "late callback taken at its word",
    "a trusted callback ends its order whatever became of it meanwhile",
    "a callback ended what was not in flight",
)
def _late_callback_trusted(stack: ExitStack) -> None:
    def end(self: TrustedCallbacks, handler: CommandHandler, request_ids: Sequence[str]) -> frozenset[str]:
        commands = {}
        for callback in self.inbox.callbacks_of(self.account, request_ids, 8):
            ask = self._verified(handler, callback)
            if ask is not None and isinstance(ask.command, asked.RecordCallback):
                commands[ask.request_id] = replace(ask, command=ask.command.status)
        done = handler.apply(commands.values(), BY_CALLBACK)
        return frozenset(key for key, resolution in done.items() if resolution.is_accepted)

    stack.enter_context(patch.object(TrustedCallbacks, "end", end))


def _classify_status_by(stack: ExitStack, wrong: Callable[..., Any]) -> None:
    stack.enter_context(patch.object(asynchronous, "classify_status", wrong))


@bug(
    "bad signature accepted",
    "a status counts without a check of its signature",
    "a status whose evidence SAT did not sign",
)
def _bad_signature_accepted(stack: ExitStack) -> None:
    world_with(stack, {"fault": "bad_signature", "rate": 0.2, "name": "stranger", "manner": "stranger"})
    real = asynchronous.classify_status

    class Trusting:
        def verify(self, body: bytes, signature: str | None) -> str:
            return SealVerifier.fingerprints[0]

    _classify_status_by(stack, lambda reply, request_id, _: real(reply, request_id, Trusting()))  # type: ignore[arg-type]


@bug("status of another order", "the id in a signed status is not compared", "evidence about another order")
def _status_of_another_order(stack: ExitStack) -> None:
    world_with(stack, _garbled("other_id", "status"))
    real = asynchronous.classify_status

    def classify(reply: Any, request_id: str, verifier: Any) -> Any:
        outcome = real(reply, request_id, verifier)
        if outcome.reason == outcomes.UnknownReason.ID_MISMATCH and isinstance(reply, WireResponse):
            other = outcomes.parse_order(reply.body).request_id
            return real(reply, other, verifier)
        return outcome

    _classify_status_by(stack, classify)


@bug(
    "evidence thrown away",
    "a signed status is applied, its signed bytes are not kept",
    "a status without its evidence",
)
def _evidence_thrown_away(stack: ExitStack) -> None:
    real = status_polling.status_command

    def ask_of(request_id: str, outcome: Any, asked_at: datetime, before: Any) -> OrderCommandRequest | None:
        ask = real(request_id, outcome, asked_at, before)
        return None if ask is None else replace(ask, evidence=())

    stack.enter_context(patch.object(status_polling, "status_command", ask_of))
