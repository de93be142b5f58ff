"""What a connection and a run ask for before anything is sent."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.application.batch_run import BatchRun
from sat_hook.application.run_facts import RunFacts
from sat_hook.application.settings import DeploymentSettings
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.account_rules import TIERS
from sat_hook.domain.guards import AccountRules, GuardRules
from sat_hook.hooks.errors import SATConnectionError
from sat_hook.hooks.ports import ports_of
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.sat_connection import EXTRA_FIELDS, GUARD_FIELDS
from sat_hook.operators.parameters import limit_of, limits_of
from sat_hook.provider import get_provider_info
from sat_hook.testing.event_store import MemoryEventStore
from tests.orders import BATCH, BY_TEST, T0, ManualClock, submitted

ADDRESSES = {
    "environment": "custom",
    "base_url": "http://127.0.0.1:9/api",
    "token_url": "http://127.0.0.1:9/token",
}


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the extra fields of the connection ``sat_rules``."""

    def make(**extra: object) -> SATHook:
        value = json.dumps({"conn_type": "sat", "login": "id", "password": "secret", "extra": extra})
        monkeypatch.setenv("AIRFLOW_CONN_SAT_RULES", value)
        return SATHook("sat_rules")

    return make


def test_a_connection_may_have_rules(connection: Any) -> None:
    """Numbers or their text, as forms and JSON give them; nothing is no limit."""
    hook = connection(order_limit_rupiah=100_000, day_limit_orders="50", approval_over_rupiah="0")
    assert hook.rules() == AccountRules(
        GuardRules(duplicate_days=0, order_limit_rupiah=100_000, day_limit_orders=50), 0
    )
    assert connection().rules() == AccountRules(GuardRules(duplicate_days=0), None)


@pytest.mark.parametrize("value", ["many", "-1", "1.5", True])
def test_a_rule_that_is_no_number_is_named(connection: Any, value: object) -> None:
    """Connection, field, found and expected: a limit that cannot be read is never no limit."""
    with pytest.raises(SATConnectionError, match=r"field day_limit_rupiah: found .*whole number"):
        connection(day_limit_rupiah=value).rules()


def test_a_rule_that_cannot_be_read_stops_only_what_needs_rules(connection: Any) -> None:
    """Orders in flight are still followed and handed over; nothing starts, is admitted or is sent."""
    clock = ManualClock()
    store = MemoryEventStore(clock)
    hook = connection(account="demo", day_limit_rupiah="many", **ADDRESSES)
    handler = CommandHandler(store, clock)
    application = SimpleNamespace(database=None, handler=handler, settings=DeploymentSettings())
    store.append([submitted()], BY_TEST, T0)
    run = BatchRun(ports_of(hook, cast(Any, application)), BATCH, RunFacts(BY_TEST))
    assert run.in_flight() == 0
    assert run.escalate("no end") == 0
    for step in (run.start, run.guard, run.ask_approval, lambda: asyncio.run(run.execute())):
        with pytest.raises(SATConnectionError, match="field day_limit_rupiah"):
            step()
    assert store.close_position() == 1


def test_every_rule_has_its_field_in_the_form() -> None:
    """What the form does not show cannot be seen to be set."""
    [connection_type] = get_provider_info()["connection-types"]
    names = {*GUARD_FIELDS, *TIERS}
    assert names <= connection_type["conn-fields"].keys()
    assert names <= EXTRA_FIELDS


def test_a_run_s_rules_are_read_from_rendered_parameters() -> None:
    """Templates give text: numbers, or None for what is empty and so left to the account."""
    rendered = {"duplicate_days": "0", "order_limit_rupiah": "None", "day_limit_orders": "3"}
    assert limits_of(rendered) == {"duplicate_days": 0, "order_limit_rupiah": None, "day_limit_orders": 3}
    with pytest.raises(AirflowFailException, match="found 'day_limit'; expected one of duplicate_days"):
        limits_of({"day_limit": 1})
    with pytest.raises(AirflowFailException, match="parameter day_limit_orders: found 'few'"):
        limit_of("day_limit_orders", "few")
