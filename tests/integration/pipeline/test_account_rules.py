"""The account's rules at every step that lets something through, whatever a connection or a run says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sat_hook.audit.actions import actions_since
from sat_hook.audit.findings import Finding
from sat_hook.audit.rebuild import compare_projections
from sat_hook.commands.errors import ReasonRefusedError
from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.account_rules import looser_than
from sat_hook.domain.batch_events import BatchRunStarted
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.guards import NO_RULES, AccountRules, GuardRules
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.account_rules import (
    AskedRun,
    adopt_rules,
    dedup_horizon_seconds,
    origin_of_rules,
    rules_of_account,
    start_batch_run,
)
from sat_hook.pipeline.approval import approval_is_needed
from sat_hook.pipeline.approval_request import ApprovalPolicy
from sat_hook.pipeline.errors import RulesRefusedError, RunRefusedError
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.pipeline.rule_changes import propose_rules
from sat_hook.store.database import Database
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.account_rules import CONFIRMER, PROPOSER, confirmed_rules
from tests.orders import ACCOUNT, BY_TEST, ManualClock
from tests.quoted_batches import Row, orders_of, quoted_batch

CLIENT = "c" * 64
ALICE = Provenance("user:alice", "task bulk_disbursement.intake")


@pytest.fixture
def handler(database: ApplicationDatabase) -> Iterator[CommandHandler]:
    """The command handler on a database of its own."""
    with closing(Database(database.writer_dsn, "tests")) as opened:
        yield CommandHandler(PostgresEventStore(opened), ManualClock(datetime.now(UTC)))


def asked(of_connection: AccountRules = NO_RULES, **of_run: int | None) -> AskedRun:
    """A run with parameters of its own."""
    parameters = {name: str(value) for name, value in of_run.items()}
    return AskedRun("bulk_disbursement/r1", "sat_default", CLIENT, of_connection, of_run, parameters)


def guard(handler: CommandHandler, batch_id: str, rules: GuardRules) -> list[OrderState]:
    """Guard a batch by a run's rules; how its orders stand."""
    ledger = PostgresGuardLedger(handler.store.database)  # type: ignore[attr-defined]
    guard_batch(handler, ledger, batch_id, rules, BY_TEST)
    return [order.state for order in orders_of(handler, batch_id)]


def test_a_connection_that_drops_a_rule_loosens_nothing(handler: CommandHandler) -> None:
    """A threshold that the connection had once still counts after it was removed."""
    batch_id = quoted_batch(handler, "a", [Row(price_rupiah=10_000)])
    start_batch_run(handler, batch_id, asked(replace(NO_RULES, approval_over_rupiah=0)), ALICE)
    start_batch_run(handler, batch_id, replace(asked(NO_RULES), run="bulk_disbursement/r2"), ALICE)
    batch = load_batch(handler.store, batch_id)
    assert approval_is_needed(handler.store, batch, ApprovalPolicy(None))
    confirmed_rules(handler, ACCOUNT, approval_over_rupiah=50_000)
    assert not approval_is_needed(handler.store, batch, ApprovalPolicy(None))
    assert approval_is_needed(handler.store, batch, ApprovalPolicy(9_999)), "a run can be stricter"


@pytest.mark.parametrize("kind", ["order_limit_rupiah", "batch_limit_rupiah", "day_limit_rupiah"])
def test_the_account_s_limits_hold_whatever_a_run_says(handler: CommandHandler, kind: str) -> None:
    """A run without limits, or with wider ones, holds what the account's limit holds."""
    confirmed_rules(handler, ACCOUNT, **{kind: 15_000})
    for reference, rules in (("a", GuardRules(0)), ("b", GuardRules(0, **{kind: 10**9}))):
        number = f"0812{'1' if reference == 'a' else '2'}0000001"
        batch_id = quoted_batch(handler, reference, [Row(number, 16_000)])
        assert guard(handler, batch_id, rules) == [OrderState.HELD]


def test_a_looser_run_does_nothing_and_is_recorded(handler: CommandHandler) -> None:
    """The same business is not paid twice by a parameter; who tried, with what, is in the list of acts."""
    first = quoted_batch(handler, "a", [Row()])
    assert guard(handler, first, GuardRules(0)) == [OrderState.QUOTED]
    twin = quoted_batch(handler, "b", [Row()])
    with pytest.raises(RunRefusedError, match="duplicate_days: found 0; expected at least 7"):
        start_batch_run(handler, twin, asked(duplicate_days=0), ALICE)
    assert guard(handler, twin, GuardRules(0)) == [OrderState.HELD], "not even past the refusal"
    since = datetime.now(UTC) - timedelta(hours=1)
    database = handler.store.database  # type: ignore[attr-defined]
    [act] = [act for act in actions_since(database, since) if act.type_name == "BatchRunRefused"]
    assert act.provenance.actor == "user:alice"
    assert '"duplicate_days":"0"' in act.data


def test_who_started_a_run_with_which_rules_is_an_event(handler: CommandHandler) -> None:
    """One for each run, however often its task is tried; with the rules that were in force."""
    confirmed_rules(handler, ACCOUNT, approval_over_rupiah=900_000, day_limit_orders=40)
    batch_id = quoted_batch(handler, "a", [Row()])
    run = asked(replace(NO_RULES, dedup_horizon_hours=3), approval_over_rupiah=100_000, day_limit_orders=None)
    for _ in range(3):
        rules = start_batch_run(handler, batch_id, run, ALICE)
    stream = handler.store.read_stream(StreamId(StreamKind.BATCH, batch_id))
    [started] = [event for event in stream if event.type_name == "BatchRunStarted"]
    assert started.provenance.actor == "user:alice"
    assert isinstance(started.event, BatchRunStarted)
    assert started.event.rules.rules == rules
    assert (rules.approval_over_rupiah, rules.guards.day_limit_orders, rules.dedup_horizon_hours) == (
        100_000,
        40,
        3,
    )
    differences: list[Finding] = []
    compare_projections(handler.store.database, differences.append)  # type: ignore[attr-defined]
    assert differences == []


def test_the_time_for_a_resend_is_a_rule(handler: CommandHandler) -> None:
    """The deployment's holds until two people confirm one."""
    default = RecoveryLimits()
    rules = rules_of_account(handler.store, ACCOUNT)
    assert dedup_horizon_seconds(rules, default) == default.dedup_horizon_seconds
    confirmed_rules(handler, ACCOUNT, dedup_horizon_hours=2)
    rules = rules_of_account(handler.store, ACCOUNT)
    assert dedup_horizon_seconds(rules, default) == 2 * 3600
    assert looser_than(rules, {"dedup_horizon_hours": 2.5}) == {
        "dedup_horizon_hours": "found 2.5; expected at most 2"
    }


def test_where_the_rules_come_from_is_in_the_log(handler: CommandHandler) -> None:
    """First nowhere, then the connection, then two people."""
    assert origin_of_rules(handler.store, ACCOUNT) is None
    adopt_rules(handler, ACCOUNT, "sat_default", replace(NO_RULES, approval_over_rupiah=5), BY_TEST)
    adopted = origin_of_rules(handler.store, ACCOUNT)
    assert adopted is not None
    assert adopted.type_name == "AccountRulesAdopted"
    confirmed_rules(handler, ACCOUNT, approval_over_rupiah=7)
    confirmed = origin_of_rules(handler.store, ACCOUNT)
    assert confirmed is not None
    assert (confirmed.type_name, confirmed.provenance.actor) == ("AccountRulesConfirmed", CONFIRMER.actor)
    assert confirmed.position > adopted.position


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"aproval_over_rupiah": 5}, "did you mean approval_over_rupiah"),
        ({"approval_over_rupiah": "5"}, "found '5'; expected a whole number"),
        ({"approval_over_rupiah": 5.0}, "found 5.0; expected a whole number"),
        ({"duplicate_days": None}, "found None; expected a whole number"),
        ({"duplicate_days": 366}, "expected 0 to 365"),
        ({"dedup_horizon_hours": 721}, "expected 0 to 720"),
        ({"trust_callbacks": "yes"}, "expected true or false"),
        ({}, "nothing changes"),
    ],
)
def test_a_proposal_that_is_none_says_why(
    handler: CommandHandler, changes: dict[str, object], text: str
) -> None:
    """Name, found and expected; a reason is asked for like everywhere else."""
    confirmed_rules(handler, ACCOUNT, approval_over_rupiah=1)
    with pytest.raises(RulesRefusedError, match=text):
        propose_rules(handler, ACCOUNT, NO_RULES, changes, "by contract", PROPOSER)
    with pytest.raises(ReasonRefusedError):
        propose_rules(handler, ACCOUNT, NO_RULES, {"approval_over_rupiah": 9}, "", PROPOSER)
