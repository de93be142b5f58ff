"""Operators for prices: read the list and store changes, announce them, write the weekly page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import date
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sat_hook.application.price_watch import USUAL_RULES, PriceWatch
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.spool import results_spool
from sat_hook.operators.base import SATOperator
from sat_hook.operators.run_context import asked_by, failing_for_good


class SATPricesOperator(SATOperator):
    """Base of the work on an account's prices."""

    ui_color = "#e6e9f5"
    component = "sat prices"

    @property
    def watch(self) -> PriceWatch:
        """The account's prices."""
        return PriceWatch(self.application.database, SATHook(self.sat_conn_id).settings().account)


class SATSnapshotPricesOperator(SATPricesOperator):
    """Read the price list of an account and store what changed; return counts.

    A list that cannot be read, or lacks too many products, is stored as an attempt and fails the task. Price
    jumps raise alerts.

    :param missing_limit_percent: a list that lacks more products than this is not accepted (templated).
    :param jump_percent: a price that moved by at least this much raises an alert (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "missing_limit_percent", "jump_percent")

    def __init__(
        self,
        *,
        missing_limit_percent: int | str = USUAL_RULES.missing_limit_percent,
        jump_percent: int | str = USUAL_RULES.jump_percent,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.missing_limit_percent = missing_limit_percent
        self.jump_percent = jump_percent

    def execute(self, context: Context) -> dict[str, Any]:
        """One snapshot."""
        application = self.application
        with (
            failing_for_good(self.sat_conn_id),
            closing(SATHook(self.sat_conn_id, application.database)) as sat,
        ):
            report = PriceWatch(application.database, sat.settings().account).snapshot(
                sat, int(self.missing_limit_percent), int(self.jump_percent), asked_by(context)
            )
        return {
            "snapshot_id": report.snapshot.snapshot_id,
            "listed": report.snapshot.listed,
            "changes": len(report.changes),
            "jumps": report.jumps,
        }


class SATAnnouncePricesOperator(SATPricesOperator):
    """Announce an account's unannounced price changes, as events of the task's outlets.

    The task is skipped when nothing changed, so DAGs that wait for the asset do not run. See
    :func:`sat_hook.catalogue.announcement.announcement_of` for the event's extra.

    :param jump_percent: a change of at least this much is called a jump (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "jump_percent")

    def __init__(self, *, jump_percent: int | str = USUAL_RULES.jump_percent, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.jump_percent = jump_percent

    def execute(self, context: Context) -> dict[str, Any]:
        """Fill in the extra of the outlets' events; return counts."""
        ti = context["ti"]
        announcer = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}[{ti.map_index}]"
        extra = self.watch.announce(announcer, int(self.jump_percent))
        if extra is None:
            raise AirflowSkipException("no price has changed")
        for asset in self.outlets:
            context["outlet_events"][asset].extra = extra
        return {"kind": extra["kind"], "changes": sum(extra["counts"].values()), "jumps": extra["jumps"]}


class SATSummarisePricesOperator(SATPricesOperator):
    """Write the weekly page of an account's prices to the result files; returns its URI.

    The same week gives the same file, so it can be run again.

    :param day: a day (WIB) of the week, for example ``2026-11-23``; empty for the last complete week
        (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "day")

    def __init__(self, *, day: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day = day

    def execute(self, context: Context) -> str:
        """One page."""
        del context
        try:
            day = date.fromisoformat(self.day) if self.day else None
            return self.watch.write_week(day, results_spool(self.application.settings))
        except ValueError as error:
            raise AirflowFailException(f"parameter day: {error}") from error
