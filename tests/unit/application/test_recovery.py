"""What a recovery round is given by its run, by the account's rules and by the deployment."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import pytest

from sat_hook.application import recovery
from sat_hook.application.batch_run import RunFacts
from sat_hook.application.ports import StepLimits
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.pipeline.recovery import RecoveryReport
from sat_hook.protocol.errors import SystemTroubleError
from tests.orders import BY_TEST
from tests.unit.application.test_batch_run import ports_of


@pytest.mark.parametrize(("asked", "expected"), [(None, 7200.0), (0.0, 0.0), (60.0, 60.0)])
def test_what_the_run_asks_for_counts(
    monkeypatch: pytest.MonkeyPatch, asked: float | None, expected: float
) -> None:
    """A run that gives up at once does so; only a run that says nothing gets the deployment's patience."""
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
        ports_of(),
        sat=lambda: nullcontext(cast(Any, Away())),
        limits=StepLimits(recovery=RecoveryLimits(give_up_after_seconds=7200.0)),
    )
    asyncio.run(recovery.recover_orders(ports, RunFacts(BY_TEST), give_up_after_seconds=asked))
    assert given[0].give_up_after_seconds == expected
