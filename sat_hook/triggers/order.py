"""Wait for the end of one order, inside the triggerer."""

from __future__ import annotations

from typing import Any, ClassVar

from sat_hook.domain.order import OrderState
from sat_hook.triggers.order_wait import ENDED, GAVE_UP, SATOrderWaitTrigger
from sat_hook.triggers.order_watch import Wait, is_over

__all__ = ["ENDED", "GAVE_UP", "SATOrderTrigger", "is_over"]


class SATOrderTrigger(SATOrderWaitTrigger):
    """Fires when the order has ended or was escalated, or when the deadline has passed.

    :param request_id: the order; ``batch_id`` is its batch.
    """

    arguments: ClassVar[tuple[str, ...]] = ("request_id", *SATOrderWaitTrigger.arguments)

    def __init__(self, *, request_id: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.request_id: str = request_id
        self._said: OrderState | None = None

    def news(self, wait: Wait) -> str | None:
        if wait.state is None or wait.state is self._said:
            return None
        self._said = wait.state
        return f"Order {self.request_id} is {wait.state.value}."
