"""The status of one order at SAT, for your own DAGs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context

from sat_hook.application.order_run import ask_status
from sat_hook.hooks.ports import task_ports
from sat_hook.hooks.telemetry import name_in_log
from sat_hook.operators.base import SATOperator
from sat_hook.operators.parameters import order_meant
from sat_hook.operators.run_context import failing_for_good, provenance_of
from sat_hook.pipeline.single_order import standing
from sat_hook.protocol.outcomes import StatusVerdict


class SATStatusOperator(SATOperator):
    """Query one order's status at SAT, and record what the answer proves. Returns the order's state.

    An order that is not in our log (paid by other means) is only queried: ``state`` is None, and
    ``reported_status`` is SAT's signed status, or None when the answer proved nothing. An order of another
    account than the connection's fails the task.

    :param order_id: the submitter's id (templated); or else
    :param request_id: the id at SAT (templated).
    """

    template_fields: Sequence[str] = ("order_id", "request_id", "sat_conn_id")
    component = "sat status"

    def __init__(
        self,
        *,
        order_id: str | None = None,
        request_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.request_id = request_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Query once. An answer that proves nothing does not fail the task."""
        application = self.application
        provenance = provenance_of(context)
        with failing_for_good(self.sat_conn_id):
            ports = task_ports(self.sat_conn_id, application)
            request_id = order_meant(ports.account, self.order_id, self.request_id)
            name_in_log(request_id=request_id)
            found = application.store.load_orders([request_id]).get(request_id)
            if found is not None:
                ports.require_account(found.account, f"order {request_id}")
                if found.state.was_never_sent:
                    self.log.info("Order %r is %s: it was never sent.", found.order_id, found.state.value)
                    return {**standing(found), "reported_status": None}
            outcome, order = asyncio.run(ask_status(ports, request_id, provenance))
        detail = outcome.detail if outcome.verdict is StatusVerdict.SIGNED else None
        self.log.info("SAT's answer about %s: %s %s", request_id, outcome.verdict.value, outcome.reason)
        known = {"request_id": request_id, "state": None} if order is None else standing(order)
        return {**known, "reported_status": None if detail is None else detail.status}
