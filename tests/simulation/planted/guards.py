"""Bugs in what may be sent: prices, funds, limits, duplicates, approval, the kill switch."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from sat_hook.application import batch_run, recovery
from sat_hook.application.batch_run import BatchRun
from sat_hook.application.ports import Ports
from sat_hook.domain.batch import Batch
from sat_hook.domain.funds import Outstanding
from sat_hook.domain.guards import NO_RULES, GuardRules, Usage, rule_on
from sat_hook.domain.order import Order
from sat_hook.pipeline import approval, guards
from sat_hook.pipeline.execution import ChunkExecutor, Gate
from sat_hook.pipeline.pause_watch import PauseWatch
from sat_hook.testing import funds
from tests.simulation.planted.planting import bug, bug_of, world_with

CHEAP_REPLIES = {
    "fault": "other_types", "rate": 0.5, "name": "cheap", "manner": "negative", "operations": ["checkout"]
}  # fmt: skip


@bug(
    "price envelope ignored",
    "an order is sent without looking at the price once more",
    "an intent below the price that its own task had just read",
)
def _price_envelope_ignored(stack: ExitStack) -> None:
    real = ChunkExecutor._price_check

    async def check(self: ChunkExecutor, order: Order) -> Any:
        # An expired quote is renewed all the same, or the order would never be sent.
        assert order.quote_valid_until is not None
        return await real(self, order) if self._clock.now() >= order.quote_valid_until else None

    stack.enter_context(patch.object(ChunkExecutor, "_price_check", check))


@bug(
    "kill switch ignored",
    "senders do not look whether the account is paused",
    "an intent of a paused account",
)
def _kill_switch_ignored(stack: ExitStack) -> None:
    real = PauseWatch._look

    async def look(self: PauseWatch) -> bool:
        self._accounts = ()
        return await real(self)

    stack.enter_context(patch.object(PauseWatch, "_look", look))


bug_of(
    "reservation ignored",
    "orders are sent whether or not funds stand behind them",
    "an intent without funds behind it",
    (ChunkExecutor, "_reserved", lambda self, batch, orders: orders),
)


bug_of(
    "saldo taken for free money",
    "what is reserved or under way is not taken off the saldo",
    "more is committed than the saldo bears",
    (funds._MemoryAccountFunds, "outstanding", lambda self, before: Outstanding(0, 0)),
)


bug_of(
    "guards ignored",
    "orders are sent whether or not a guard let them through",
    "an intent that no guard let through",
    (ChunkExecutor, "_admitted", lambda self, orders: orders),
    (ChunkExecutor, "_is_of_an_earlier_day", lambda self, order: False),
    (BatchRun, "guard", lambda self: None),
)


bug_of(
    "duplicates let through",
    "the same business under another order id is not looked for",
    "an intent for business that is under way or done already",
    (guards, "rule_on", lambda orders, kin, *rest: rule_on(orders, [], *rest)),
)


@bug(
    "limits counted batch by batch",
    "what other orders of the batch and the day use is not counted",
    "an intent above a limit",
)
def _limits_ignored(stack: ExitStack) -> None:
    def rule(orders: Any, kin: Any, batch_used: Any, day_used: Any, *rest: Any) -> Any:
        return rule_on(orders, kin, Usage(), Usage(), *rest)

    stack.enter_context(patch.object(guards, "rule_on", rule))


@bug(
    "a cheap reply frees the limit",
    "an order counts for what the reply to its checkout names, whatever that is",
    "an intent above a limit of rupiah",
)
def _cheap_reply_frees_the_limit(stack: ExitStack) -> None:
    def counted(order: Order) -> int:
        return (order.quote_rupiah if order.charged_rupiah is None else order.charged_rupiah) or 0

    # Few worlds have both limits in rupiah and replies that are too cheap.
    tight = GuardRules(batch_limit_rupiah=150_000, day_limit_rupiah=200_000)
    stack.enter_context(patch("tests.simulation.weather._rules", lambda chance: tight))
    world_with(stack, CHEAP_REPLIES)
    for module in ("sat_hook.domain.guards", "sat_hook.testing.guards"):
        stack.enter_context(patch(f"{module}.amount_of", counted))
    for module in ("sat_hook.domain.rupiah", "sat_hook.domain.order", "sat_hook.domain.unknown_amounts"):
        stack.enter_context(patch(f"{module}.is_amount", lambda rupiah: True))


bug_of(
    "connection loosens rules",
    "what a connection asks for counts instead of the account's rules",
    "an intent",
    *((module, "rules_of_account", lambda store, account: NO_RULES) for module in (guards, approval)),
)


bug_of(
    "maker approves",
    "who submitted a batch may approve it",
    "approved by its maker",
    (approval, "maker_of", lambda store, batch_id: None),
)


bug_of(
    "one person signs twice",
    "the second signature by the same person counts",
    "approved by too few people",
    (Batch, "is_signed_by", lambda self, approver: False),
)


@bug(
    "approval not waited for",
    "approval is asked for, and the batch goes on",
    "an intent without an approval",
)
def _approval_not_waited_for(stack: ExitStack) -> None:
    real = BatchRun.ask_approval

    def ask(self: BatchRun) -> None:
        real(self)

    stack.enter_context(patch.object(BatchRun, "ask_approval", ask))
    stack.enter_context(patch.object(ChunkExecutor, "_unapproved", lambda self, order, price: None))


bug_of(
    "gate left open",
    "orders are sent whatever became of the guards and of the approval before",
    "an intent that no",
    (BatchRun, "_gate", lambda self: Gate()),
    (ChunkExecutor, "_stop_when_approval_matters", lambda *_: False),
)


bug_of(
    "account not compared",
    "a batch is paid on whatever connection its run names",
    "a checkout is written on another account's connection",
    (Ports, "require_account", lambda self, owner, what: None),
)


bug_of(
    "rollback not noticed",
    "a database that was restored to an older state sends like any other",
    "a checkout is written from a database that was rolled back",
    *((module, "pause_if_rolled_back", lambda ports, provenance: None) for module in (batch_run, recovery)),
)
