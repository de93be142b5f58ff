"""Wait for funds, inside the triggerer: observe the deposit, without reserving or recording anything.

All waits for an account in an event loop share what they see, so that many of them ask SAT as often as one.
Two instances at once are harmless (law 7), because both only read. The task that this wakes checks the funds
again under the account's lock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from sat_hook.commands.handler import load_batch
from sat_hook.domain.funds import BalanceObservation
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.pipeline.funding import lacking_rupiah, look_at_deposit, missing_rupiah
from sat_hook.pipeline.limits import FundingLimits
from sat_hook.protocol.errors import SATError
from sat_hook.store.clock import look_at_clock
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.triggers.connection_refresh import REREAD_SECONDS, changed_connection
from sat_hook.triggers.of_event_loop import OfEventLoop

FUNDED = "funded"
GAVE_UP = "gave_up"
SHARED_SECONDS = 2.0
"""An observation counts for the other waits of its account for this long."""


class _SharedLook:
    """The last observation of a deposit, or the error of the last try."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._seen: BalanceObservation | SATError | None = None
        self._asked_at = 0.0

    async def look(self, ask: Callable[[], Awaitable[BalanceObservation]]) -> BalanceObservation:
        """What another wait has just seen, or a new observation.

        :raises SATError: for every wait that shares the failed try.
        """
        async with self._lock:
            if self._seen is None or time.monotonic() - self._asked_at > SHARED_SECONDS:
                asked_at = time.monotonic()
                try:
                    self._seen = await ask()
                except SATError as error:
                    self._seen = error
                self._asked_at = asked_at
        if isinstance(self._seen, SATError):
            raise self._seen
        return self._seen


#: By account and address of SAT.
_looks: OfEventLoop[tuple[str, str], _SharedLook] = OfEventLoop(lambda _: _SharedLook())


class SATFundsTrigger(BaseTrigger):
    """Fires when the deposit suffices, or when the deadline has passed.

    :param sat_conn_id: the account's connection.
    :param db_conn_id: the application database's connection.
    :param deadline: ISO 8601 with offset; when to stop waiting.
    :param saldo_lag_seconds: how old a saldo may be when SAT answers it.
    :param batch_id: wait until every order of this batch without a reservation is covered; or else
    :param wanted_rupiah: wait until this amount is free.
    """

    def __init__(
        self,
        *,
        sat_conn_id: str,
        db_conn_id: str,
        deadline: str,
        saldo_lag_seconds: float,
        batch_id: str | None = None,
        wanted_rupiah: int = 0,
    ) -> None:
        super().__init__()
        self.sat_conn_id = sat_conn_id
        self.db_conn_id = db_conn_id
        self.deadline = deadline
        self.saldo_lag_seconds = saldo_lag_seconds
        self.batch_id = batch_id
        self.wanted_rupiah = wanted_rupiah

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("sat_conn_id", "db_conn_id", "deadline", "saldo_lag_seconds", "batch_id", "wanted_rupiah")
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {name: getattr(self, name) for name in names},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        application = ApplicationHook(self.db_conn_id, "sat trigger")
        async with application.shared() as database:
            event = await self._funded(application, SATHook(self.sat_conn_id, database))
        yield event

    async def _funded(self, application: ApplicationHook, hook: SATHook) -> TriggerEvent:
        settings = await hook.asettings()
        account = settings.account
        shared = _looks.of((account, settings.base_url))
        deadline = datetime.fromisoformat(self.deadline)
        limits = replace(application.settings.funding, saldo_lag_seconds=self.saldo_lag_seconds)
        clock = application.handler.clock
        looks = 0
        missing: int | None = None
        while True:
            changed: SATHook | None = None
            reread_at = time.monotonic() + REREAD_SECONDS
            async with hook.async_client() as sat:
                while changed is None:
                    try:
                        await asyncio.to_thread(look_at_clock, clock)
                        seen = await shared.look(partial(look_at_deposit, sat, clock, account))
                        found: int | None = await asyncio.to_thread(
                            partial(self._missing, application, seen, limits)
                        )
                    except (SATError, StoreUnavailableError) as error:
                        self.log.warning("The deposit could not be looked at, trying again: %s", error)
                        found = missing
                    if found == 0:
                        return TriggerEvent(self._payload(FUNDED, 0))
                    if found is not None and found != missing:
                        self.log.info("Account %s: Rp %s are missing.", account, f"{found:,}")
                    missing = found
                    remaining = (deadline - clock.now()).total_seconds()
                    if remaining <= 0:
                        return TriggerEvent(self._payload(GAVE_UP, missing))
                    await asyncio.sleep(min(remaining, limits.pause_seconds(looks)))
                    looks += 1
                    if time.monotonic() >= reread_at:
                        changed = await changed_connection(hook, application.database, self.log)
                        reread_at = time.monotonic() + REREAD_SECONDS
            hook = changed

    def _payload(self, end: str, missing_rupiah: int | None) -> dict[str, Any]:
        return {"end": end, "missing_rupiah": missing_rupiah, "deadline": self.deadline}

    def _missing(self, application: ApplicationHook, seen: BalanceObservation, limits: FundingLimits) -> int:
        if self.batch_id is None:
            return lacking_rupiah(application.funds, seen, self.wanted_rupiah, limits)
        batch = load_batch(application.store, self.batch_id)
        return missing_rupiah(application.funds, batch, seen, limits)
