"""What a run of a batch decides by itself: whose batch it is, which rules count, what time it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from sat_hook.application.batch_run import BatchRun
from sat_hook.application.errors import MissingKeyError, WrongAccountError
from sat_hook.application.ports import Ports, StepLimits
from sat_hook.application.run_facts import RunFacts
from sat_hook.clients.settings import AccountSettings
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.account import BindClient
from sat_hook.domain.approval_events import ApprovalTerms
from sat_hook.domain.batch_events import BatchRunStarted, ShortFundsPolicy
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.guards import NO_RULES, AccountRules, GuardRules
from sat_hook.pipeline.approval_request import ApprovalPolicy
from sat_hook.pipeline.funding import look_at_deposit
from sat_hook.pipeline.limits import FundingLimits
from sat_hook.protocol.calls import Call, Reply
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.errors import ProductNotFoundError
from sat_hook.protocol.exchange import WireResponse
from sat_hook.protocol.messages import Product
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.funds import MemoryFunds
from sat_hook.testing.guards import MemoryGuardLedger
from sat_hook.testing.poll_schedule import MemoryPollSchedule
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock, change_of, received, submitted

TERMS = ApprovalTerms(digest="0" * 64, orders=1, total_rupiah=1, quotes_digest="2:0")
FACTS = RunFacts(BY_TEST, user="siti", run="bulk_disbursement/r1")


def ports_of(account: str = ACCOUNT, rules: AccountRules = NO_RULES) -> Ports:
    """A batch of the account ``demo`` in memory, seen by an account, and a SAT that must not be called."""
    clock = ManualClock()
    store = MemoryEventStore(clock)
    store.append([submitted()], BY_TEST, T0)
    settings = AccountSettings(
        account=account,
        environment=Environment.CUSTOM,
        base_url="http://sat.test/api",
        token_url="http://sat.test/token",
        client_id="demo",
        client_secret="demo",
    )

    def sat() -> Any:
        raise AssertionError("SAT was called")

    spool = cast(Any, None)
    return Ports(
        connection="sat_default",
        settings=settings,
        rules=lambda: rules,
        handler=CommandHandler(store, clock),
        sat=sat,
        funds=MemoryFunds(store),
        guards=MemoryGuardLedger(store),
        schedule=MemoryPollSchedule(store),
        submissions=spool,
        results=spool,
        rollback=lambda: None,
        alert=lambda alerts: None,
        chance=random.Random(1),
        trusted=None,
        limits=StepLimits(),
    )


STEPS: dict[str, Callable[[BatchRun], Any]] = {
    "start": lambda run: run.start(),
    "validate": lambda run: asyncio.run(run.validate()),
    "check_balance": lambda run: asyncio.run(run.check_balance(ShortFundsPolicy.WAIT, FundingLimits())),
    "plan_chunks": lambda run: run.plan_chunks(1),
    "quote": lambda run: asyncio.run(run.quote()),
    "close_quotes": lambda run: run.close_quotes(),
    "guard": lambda run: run.guard(),
    "ask_approval": lambda run: run.ask_approval(),
    "answer_approval": lambda run: run.answer_approval(TERMS, BY_TEST, approves=True),
    "reserve": lambda run: asyncio.run(run.reserve(ShortFundsPolicy.WAIT, FundingLimits())),
    "execute": lambda run: asyncio.run(run.execute()),
    "in_flight": lambda run: run.in_flight(),
    "escalate": lambda run: run.escalate("no end"),
    "results": lambda run: run.results(),
}


@pytest.mark.parametrize("step", STEPS)
def test_no_step_touches_another_account_s_batch(step: str) -> None:
    """Nothing is recorded, and SAT, which knows an order by its own account alone, is not called."""
    ports = ports_of("other")
    with pytest.raises(WrongAccountError, match="belongs to account 'demo'; connection sat_default is"):
        STEPS[step](BatchRun(ports, BATCH, FACTS))
    assert ports.store.close_position() == 1


def bound_elsewhere() -> Ports:
    """The ports of the batch's account, whose connection has the client id of another account."""
    ports = ports_of()
    bind = BindClient("sat_other", ports.settings.client)
    ports.handler.apply_to_account("other", bind, BY_TEST)
    return ports


def test_nothing_is_sent_as_the_client_of_another_account() -> None:
    """The money would come from the other deposit, where SAT knows none of these orders."""
    with pytest.raises(WrongAccountError, match="pays as the client of account 'other'"):
        asyncio.run(BatchRun(bound_elsewhere(), BATCH, FACTS).execute())


def test_a_wait_asks_nothing_as_another_account() -> None:
    """A connection is read again while a batch waits; SAT would say that it knows no such order."""
    with pytest.raises(WrongAccountError, match="belongs to account 'demo'"):
        asyncio.run(BatchRun(ports_of("other"), BATCH, FACTS).wait(cast(Any, None), lambda: 1))


def test_an_account_without_keys_takes_nothing_in() -> None:
    """Its orders could not be sent, or could not end; the field of the connection is named."""
    with pytest.raises(MissingKeyError, match="connection 'sat_default', field private_key"):
        BatchRun(ports_of(), BATCH, FACTS).intake()


@pytest.mark.parametrize(
    ("of_connection", "of_run", "policy"),
    [
        (1_000, None, ApprovalPolicy(1_000)),
        (1_000, 5_000, ApprovalPolicy(1_000)),
        (1_000, 0, ApprovalPolicy(0)),
        (None, 5_000, ApprovalPolicy(5_000)),
        (None, None, ApprovalPolicy(None)),
    ],
)
def test_a_run_cannot_loosen_the_threshold_of_its_connection(
    of_connection: int | None, of_run: int | None, policy: ApprovalPolicy
) -> None:
    """The smaller counts; a run without one leaves the connection's in force."""
    ports = ports_of(rules=replace(NO_RULES, approval_over_rupiah=of_connection))
    run = BatchRun(ports, BATCH, FACTS, {"approval_over_rupiah": of_run})
    assert run.policy == policy
    held_too = BatchRun(ports, BATCH, FACTS, approve_held=True).policy
    assert held_too == ApprovalPolicy(of_connection, held_too=True)


def test_the_stricter_rule_of_connection_and_run_counts() -> None:
    """Rule by rule; what a run does not name is left to the account. It is recorded under who asked."""
    ports = ports_of(rules=AccountRules(GuardRules(duplicate_days=9, order_limit_rupiah=100)))
    run = BatchRun(
        ports, BATCH, FACTS, {"order_limit_rupiah": 70, "day_limit_orders": 3, "duplicate_days": None}
    )
    assert run.asked.guards == GuardRules(duplicate_days=9, order_limit_rupiah=70, day_limit_orders=3)
    run.start()
    events = ports.store.read_stream(StreamId(StreamKind.BATCH, BATCH))
    (started,) = (e for e in events if isinstance(e.event, BatchRunStarted))
    assert started.provenance.actor == "user:siti"
    assert isinstance(started.event, BatchRunStarted)
    assert started.event.rules.order_limit_rupiah == 70
    position = ports.store.close_position()
    run.start()
    assert ports.store.close_position() == position


class NoProducts:
    """A SAT that answers P04, whatever is asked of its catalogue."""

    async def list_products(self, codes: Sequence[str] | None = None) -> list[Product]:
        raise ProductNotFoundError("P04", codes=("P04",))


def test_a_refusal_of_the_whole_catalogue_rejects_no_order() -> None:
    """It says nothing of any product, so the step fails and the batch stays as it is."""
    ports = replace(ports_of(), sat=lambda: nullcontext(cast(Any, NoProducts())))
    ports.store.append([change_of(None, 1, received(1))], BY_TEST, T0)
    position = ports.store.close_position()
    run = BatchRun(ports, BATCH, FACTS)
    for step in (run.validate, run.quote, run.execute):
        with pytest.raises(ProductNotFoundError):
            asyncio.run(step())
    assert ports.store.close_position() == position


def test_a_refusal_of_the_only_product_rejects_its_order() -> None:
    """A batch of one product learns from it that SAT does not have the product."""
    ports = replace(ports_of(), sat=lambda: nullcontext(cast(Any, NoProducts())))
    ports.store.append([change_of(None, 1, received(1))], BY_TEST, T0)
    run = BatchRun(ports, BATCH, FACTS, products=("50k-simpati",))
    assert asyncio.run(run.validate()).rejected == 1


def test_a_look_at_the_deposit_is_dated_by_the_database() -> None:
    """A machine whose own clock is wrong dates nothing that is compared with times in the log."""

    class Sat:
        async def ask(self, call: Call[Any]) -> Reply[Any]:
            body = b'{"data":{"type":"account","id":"1","attributes":{"saldo":500}}}'
            response = WireResponse(200, {}, body)
            return Reply(call.read(body), response, T0 + timedelta(hours=7))

    clock = ManualClock()
    ports = replace(ports_of(), sat=lambda: nullcontext(cast(Any, Sat())))
    seen = asyncio.run(ports.look_at_deposit())
    assert (seen.saldo_rupiah, seen.requested_at, seen.received_at) == (500, T0, T0)
    assert seen == asyncio.run(look_at_deposit(cast(Any, Sat()), clock, ACCOUNT))
    assert seen.response_digest is not None
