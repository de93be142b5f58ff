"""Group commits: many concurrent senders share one transaction, without a fixed interval."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, OrderCommandResult
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order
from sat_hook.pipeline.micro_batching import MicroBatcher
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.telemetry.probes import Probe, counted, timed

TRIES = 5
FIRST_PAUSE_SECONDS = 0.2


class GroupCommitter:
    """Collects commands from many tasks of one event loop and applies them together, see
    :class:`~sat_hook.pipeline.micro_batching.Groups`. An order may have one command at a time.
    """

    def __init__(
        self,
        handler: CommandHandler,
        provenance: Provenance,
        *,
        group_size: int = 200,
        group_wait_seconds: float = 0.005,
    ) -> None:
        self._handler = handler
        self._provenance = provenance
        self._groups = MicroBatcher(self._apply, size=group_size, wait_seconds=group_wait_seconds)

    async def __aenter__(self) -> GroupCommitter:
        await self._groups.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._groups.__aexit__(kind, error, trace)

    async def commit(self, ask: OrderCommandRequest, known: Order | None = None) -> OrderCommandResult:
        """Apply one command together with all others that wait; return after the transaction has committed.

        :raises StoreUnavailableError: when the database stayed away. Whether the commit happened is unknown;
            the version fence of the next command finds out.
        """
        return await self._groups.put((ask, known))

    async def _apply(
        self, group: list[tuple[OrderCommandRequest, Order | None]]
    ) -> Sequence[OrderCommandResult]:
        commands = [ask for ask, _ in group]
        known = {ask.request_id: order for ask, order in group if order is not None}
        account = next((order.account for order in known.values()), "")
        pause = FIRST_PAUSE_SECONDS
        for remaining in reversed(range(TRIES)):
            try:
                with timed(Probe.GROUP_COMMIT, account):
                    done = await self._handler.offload(
                        lambda: self._handler.apply(commands, self._provenance, known)
                    )
                counted(Probe.COMMANDS, len(commands), account)
                return [done[ask.request_id] for ask in commands]
            except StoreUnavailableError:
                # Trying again is safe: if the lost commit did happen, the fence turns the retry into a
                # conflict, and the next decision sees the order as it is (an intent then reads "in flight").
                if not remaining:
                    raise
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("the loop returns or raises on its last try")
