"""Wait for the end of one order, inside the triggerer."""

from __future__ import annotations

from typing import Any, ClassVar

from sat_hook.domain.order import OrderState
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.triggers.order_wait import ENDED, GAVE_UP, SATOrderWaitTrigger

__all__ = ["ENDED", "GAVE_UP", "SATOrderTrigger"]


class SATOrderTrigger(SATOrderWaitTrigger):
    """Fires when the order has ended or was escalated, or when the deadline has passed.

    It queries all due orders of the order's batch, and shares them with other waits for the same batch.

    :param request_id: the order; ``batch_id`` is its batch.
    """

    arguments: ClassVar[tuple[str, ...]] = ("request_id", *SATOrderWaitTrigger.arguments)

    def __init__(self, *, request_id: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.request_id = request_id
        self._state: OrderState | None = None
        self._said: OrderState | None = None

    def left(self, application: ApplicationHook) -> int:
        order = application.store.load_orders([self.request_id]).get(self.request_id)
        self._state = None if order is None else order.state
        return int(self._state is not None and not is_over(self._state))

    def news(self, application: ApplicationHook) -> str | None:
        del application  # the state was read just now
        if self._state is None or self._state is self._said:
            return None
        self._said = self._state
        return f"Order {self.request_id} is {self._state.value}."


def is_over(state: OrderState) -> bool:
    """Whether the wait is over: the order has ended or is escalated."""
    return state.is_final or state is OrderState.ESCALATED
