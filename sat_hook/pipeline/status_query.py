"""Query the status of given orders once, outside their schedule. Sends only GETs (law 7)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import grouped
from sat_hook.domain.order import Order
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.protocol.outcomes import StatusVerdict

GROUP = 200


@dataclass(frozen=True, slots=True)
class AskedReport:
    """One round: how many orders were queried, how many changed, which answers proved nothing."""

    asked: int = 0
    changed: int = 0
    unproven: Counter[str] = field(default_factory=Counter)


async def ask_about(
    handler: CommandHandler,
    sat: SATApi,
    request_ids: Sequence[str],
    provenance: Provenance,
    in_flight: int = 32,
) -> AskedReport:
    """Query the status of each order and record what the signed answers prove.

    :param in_flight: maximum concurrent queries.
    :raises StoreUnavailableError: when the database is away; what was recorded stays.
    """
    gate = asyncio.Semaphore(in_flight)
    changed, unproven = 0, Counter[str]()

    async def ask(request_id: str, before: Order | None) -> OrderCommandRequest | None:
        async with gate:
            # An answer is dated by its query: the status may have changed while the answer was under way.
            asked_at = handler.clock.now()
            outcome = await sat.ask_status(request_id)
        if outcome.verdict is StatusVerdict.UNREADABLE:
            unproven[str(outcome.reason)] += 1
        return status_command(request_id, outcome, asked_at, before)

    for group in grouped(request_ids, GROUP):
        before = await handler.offload(partial(handler.orders_before_asking, group))
        answers = await asyncio.gather(*(ask(key, before.get(key)) for key in group))
        commands = [answer for answer in answers if answer is not None]
        resolved = await handler.offload(partial(handler.apply, commands, provenance))
        changed += sum(1 for resolution in resolved.values() if resolution.is_accepted)
    return AskedReport(len(request_ids), changed, unproven)
