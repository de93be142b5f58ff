"""Rechecks: ask for the status of SUCCEEDED and FAILED orders again, days after their end.

SAT may reverse a success, or pay an order that it called failed. The result of a recheck is decided like any
other signed status and recorded as a new event. Recorded events never change, and this module never sends.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sat_hook.commands.handler import CommandHandler, OrderCommandResult
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order
from sat_hook.domain.order_events import EvidenceContradicted, ReversalDoubted, StatusMismatched
from sat_hook.domain.rechecks import RecheckFinding
from sat_hook.pipeline.limits import RecheckLimits
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.protocol.outcomes import StatusOutcome, StatusVerdict
from sat_hook.store.rechecks import DueRecheck, RecheckCount, RecheckKey, RecheckSchedule

# Events that record a fact about an ended order and leave its state as it is.
_NEWS = (EvidenceContradicted, ReversalDoubted, StatusMismatched)


@dataclass(slots=True)
class RecheckReport:
    """One run over one account.

    :param asked: orders whose status was queried.
    :param found: findings of the rechecks that were answered.
    :param unproven: answers that proved nothing, by reason; they are asked for again.
    :param given_up: rechecks that were closed without an answer.
    """

    asked: int = 0
    found: Counter[RecheckFinding] = field(default_factory=Counter)
    unproven: Counter[str] = field(default_factory=Counter)
    given_up: int = 0


class Rechecker:
    """Makes the due rechecks of an account. Two runs at the same time share them."""

    def __init__(
        self,
        handler: CommandHandler,
        watch: RecheckSchedule,
        sat: SATApi,
        provenance: Provenance,
        limits: RecheckLimits,
    ) -> None:
        self._handler = handler
        self._clock = handler.clock
        self._watch = watch
        self._sat = sat
        self._provenance = provenance
        self._limits = limits

    async def run(self, account: str) -> RecheckReport:
        """Schedule rechecks for newly ended orders and make the due ones, up to the limits of one run.

        :raises StoreUnavailableError: when the database is away; claimed orders come due again.
        """
        report = RecheckReport()
        for days in self._limits.days:
            await self._handler.offload(partial(self._watch.enroll, days, self._limits.hour))
        began = self._clock.now()
        while report.asked < self._limits.orders and self._seconds_since(began) < self._limits.pass_seconds:
            lease_until = self._clock.now() + timedelta(seconds=self._limits.lease_seconds)
            most = min(self._limits.claim, self._limits.orders - report.asked)
            claimed = await self._handler.offload(
                partial(self._watch.claim_due, account, self._limits.days, began, lease_until, most)
            )
            if not claimed:
                break
            keys = sorted({look.request_id for look in claimed})
            before = await self._handler.offload(partial(self._handler.orders_before_asking, keys))
            answers = await self._ask_all(keys)
            await self._handler.offload(partial(self._record, claimed, answers, before, report))
            report.asked += len(answers)
        now = self._clock.now()
        overdue_before = now - timedelta(seconds=self._limits.give_up_after_seconds)
        report.given_up = await self._handler.offload(
            partial(self._watch.give_up, account, overdue_before, now)
        )
        return report

    def _seconds_since(self, began: datetime) -> float:
        return (self._clock.now() - began).total_seconds()

    async def _ask_all(self, request_ids: list[str]) -> dict[str, tuple[StatusOutcome, datetime]]:
        gate = asyncio.Semaphore(self._limits.in_flight)

        async def ask(request_id: str) -> tuple[StatusOutcome, datetime]:
            async with gate:
                asked_at = self._clock.now()
                return await self._sat.ask_status(request_id), asked_at

        answers = await asyncio.gather(*(ask(request_id) for request_id in request_ids))
        return dict(zip(request_ids, answers, strict=True))

    def _record(
        self,
        claimed: list[DueRecheck],
        answers: dict[str, tuple[StatusOutcome, datetime]],
        before: dict[str, Order],
        report: RecheckReport,
    ) -> None:
        signed = [
            ask
            for request_id, (outcome, asked_at) in answers.items()
            if outcome.verdict is StatusVerdict.SIGNED
            and (ask := status_command(request_id, outcome, asked_at, before.get(request_id))) is not None
        ]
        done = self._handler.apply(signed, self._provenance, before)
        findings: dict[RecheckKey, RecheckFinding] = {}
        postponed: dict[RecheckKey, tuple[datetime, str]] = {}
        for look in claimed:
            outcome, _ = answers[look.request_id]
            if look.request_id in done and not done[look.request_id].is_old:
                findings[look.key] = _finding(before.get(look.request_id), done[look.request_id])
            elif outcome.verdict is StatusVerdict.NOT_FOUND and not _is_signed_for(
                before.get(look.request_id)
            ):
                findings[look.key] = RecheckFinding.NOT_FOUND
            else:
                pause = timedelta(seconds=self._limits.pause_seconds(look.tries))
                postponed[look.key] = (self._clock.now() + pause, str(outcome.reason))
                report.unproven[str(outcome.reason)] += 1
        self._watch.close(findings, self._clock.now())
        self._watch.postpone(postponed)
        report.found.update(findings.values())


def _is_signed_for(order: Order | None) -> bool:
    """Whether SAT once signed that it knows the order: "not found" is then not an answer."""
    return order is not None and order.evidence_digest is not None


def _finding(before: Order | None, done: OrderCommandResult) -> RecheckFinding:
    """A first signed Failed of a rejected order confirms what was known; only another state is a finding."""
    moved = before is not None and done.after is not None and done.after.state is not before.state
    is_news = any(isinstance(event, _NEWS) for event in done.events)
    return RecheckFinding.CHANGED if moved or is_news else RecheckFinding.SAME


def missed_alerts(counts: Sequence[RecheckCount], now: datetime) -> list[Alert]:
    """An alert for each account, recheck and day on which rechecks were missed."""
    return [
        Alert(
            key=f"final_watch_missed/{count.account}/D+{count.days}/{count.due_on.isoformat()}",
            kind=AlertKind.FINAL_WATCH_MISSED,
            account=count.account,
            text=f"{count.missed} orders were not looked at on {count.due_on.isoformat()} (D+{count.days})",
            occurred_at=now,
        )
        for count in counts
        if count.missed
    ]
