"""What a recovery round is given by its run, by the account's rules and by the deployment."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import pytest

from sat_hook.application import recovery
from sat_hook.application.ports import Ports, StepLimits
from sat_hook.application.run_facts import RunFacts
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.pipeline.recovery import RecoveryReport
from sat_hook.protocol.errors import SystemTroubleError
from tests.orders import BY_TEST
from tests.unit.application.test_batch_run import bound_elsewhere, ports_of


@pytest.mark.parametrize(("asked", "expected"), [(None, 7200.0), (0.0, 0.0), (60.0, 60.0)])
def test_what_the_run_asks_for_counts(
    monkeypatch: pytest.MonkeyPatch, asked: float | None, expected: float
) -> None:
    """A run that gives up at once does so; only a run that says nothing gets the deployment's patience."""
    assert limits_of_a_round(monkeypatch, ports_of(), asked).give_up_after_seconds == expected


def test_nothing_is_sent_again_as_the_client_of_another_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAT does not know the orders under that client, which is no leave to pay them from its deposit."""
    assert limits_of_a_round(monkeypatch, ports_of()).dedup_horizon_seconds > 0
    assert limits_of_a_round(monkeypatch, bound_elsewhere()).dedup_horizon_seconds == 0


def limits_of_a_round(
    monkeypatch: pytest.MonkeyPatch, ports: Ports, give_up_after_seconds: float | None = None
) -> RecoveryLimits:
    """What a round is given; SAT does not answer for the deposit."""
    given: list[RecoveryLimits] = []

    class Round:
        def __init__(self, *_: Any, limits: RecoveryLimits, **__: Any) -> None:
            given.append(limits)

        async def run(self, account: str) -> RecoveryReport:
            return RecoveryReport()

    class Away:
        async def ask(self, call: Any) -> Any:
            raise SystemTroubleError("S00")

    monkeypatch.setattr(recovery, "Recovery", Round)
    ports = replace(
        ports,
        sat=lambda: nullcontext(cast(Any, Away())),
        limits=StepLimits(recovery=RecoveryLimits(give_up_after_seconds=7200.0)),
    )
    run = recovery.recover_orders(ports, RunFacts(BY_TEST), give_up_after_seconds=give_up_after_seconds)
    asyncio.run(run)
    return given[0]
