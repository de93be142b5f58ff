"""Operators for prices: read the list and store changes, announce them, write the weekly page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import date
from typing import Any
from urllib.parse import quote

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sat_hook.catalogue.announcement import announcement_of
from sat_hook.catalogue.snapshot import SnapshotReport, SnapshotRules, take_snapshot
from sat_hook.catalogue.weekly import Week, read_week
from sat_hook.catalogue.weekly_page import weekly_page
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.prices import SnapshotOutcome
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.spool import results_spool
from sat_hook.operators.base import SATOperator
from sat_hook.operators.errors import PriceListDoubtedError
from sat_hook.operators.run_context import asked_by
from sat_hook.protocol.errors import SATError
from sat_hook.store.alerts import AlertBook
from sat_hook.store.prices import PriceHistory

DEFAULTS = SnapshotRules()


class SATSnapshotPricesOperator(SATOperator):
    """Read the price list of an account and store what changed; return counts.

    A list that cannot be read, or lacks too many products, is stored as an attempt and fails the task. Price
    jumps raise alerts.

    :param missing_limit_percent: a list that lacks more products than this is not accepted (templated).
    :param jump_percent: a price that moved by at least this much raises an alert (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "missing_limit_percent", "jump_percent")
    ui_color = "#e6e9f5"
    component = "sat prices"

    def __init__(
        self,
        *,
        missing_limit_percent: int | str = DEFAULTS.missing_limit_percent,
        jump_percent: int | str = DEFAULTS.jump_percent,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.missing_limit_percent = missing_limit_percent
        self.jump_percent = jump_percent

    def execute(self, context: Context) -> dict[str, Any]:
        """One snapshot."""
        application = self.application
        with closing(SATHook(self.sat_conn_id, application.database)) as sat:
            try:
                report = take_snapshot(
                    sat,
                    PriceHistory(application.database),
                    SystemClock(),
                    sat.settings().account,
                    asked_by(context),
                    rules=SnapshotRules(int(self.missing_limit_percent), int(self.jump_percent)),
                    alerts=AlertBook(application.database),
                )
            except SATError as error:
                if not error.retryable:
                    raise AirflowFailException(f"connection {self.sat_conn_id}: {error}") from error
                raise
        self._tell(report)
        return {
            "snapshot_id": report.snapshot.snapshot_id,
            "listed": report.snapshot.listed,
            "changes": len(report.changes),
            "jumps": report.jumps,
        }

    def _tell(self, report: SnapshotReport) -> None:
        snapshot = report.snapshot
        if snapshot.outcome is SnapshotOutcome.SUSPECT:
            raise PriceListDoubtedError(
                f"the price list is not believed: {snapshot.reason}. If products really are missing, run the "
                "DAG with a higher missing_limit_percent"
            )
        if snapshot.outcome is SnapshotOutcome.OVERTAKEN:
            self.log.warning("A younger price list was recorded first: %s.", snapshot.reason)
            return
        self.log.info("%s products are listed, %s changed.", snapshot.listed, len(report.changes))
        if snapshot.unconfirmed:
            self.log.warning(
                "%s products are not on the list, and SAT did not confirm that they are gone: they stay as "
                "they were.",
                snapshot.unconfirmed,
            )
        if report.jumps:
            self.log.warning("%s prices moved by %s %% or more.", report.jumps, self.jump_percent)


class SATAnnouncePricesOperator(SATOperator):
    """Announce an account's unannounced price changes, as events of the task's outlets.

    The task is skipped when nothing changed, so DAGs that wait for the asset do not run. See
    :func:`sat_hook.catalogue.announcement.announcement_of` for the event's extra.

    :param jump_percent: a change of at least this much is called a jump (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "jump_percent")
    ui_color = "#e6e9f5"
    component = "sat prices"

    def __init__(
        self,
        *,
        jump_percent: int | str = DEFAULTS.jump_percent,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.jump_percent = jump_percent

    def execute(self, context: Context) -> dict[str, Any]:
        """Fill in the extra of the outlets' events; return counts."""
        history = PriceHistory(self.application.database)
        account = SATHook(self.sat_conn_id).settings().account
        ti = context["ti"]
        # The same for every try of this task only: changes that a dead try had noted are announced again.
        announcer = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}[{ti.map_index}]"
        waiting = history.unannounced(account, announcer)
        if not waiting:
            raise AirflowSkipException("no price has changed")
        changes = [change for snapshot in waiting for change in history.changes_of(account, snapshot)]
        extra = announcement_of(account, changes, int(self.jump_percent))
        for asset in self.outlets:
            context["outlet_events"][asset].extra = extra
        history.mark_announced([item.snapshot_id for item in waiting], announcer, SystemClock().now())
        self.log.info("Announced as %s: %s changes, %s jumps.", extra["kind"], len(changes), extra["jumps"])
        return {"kind": extra["kind"], "changes": len(changes), "jumps": extra["jumps"]}


class SATSummarisePricesOperator(SATOperator):
    """Write the weekly page of an account's prices to the result files; returns its URI.

    The same week gives the same file, so it can be run again.

    :param day: a day (WIB) of the week, for example ``2026-11-23``; empty for the last complete week
        (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "day")
    ui_color = "#e6e9f5"
    component = "sat prices"

    def __init__(
        self,
        *,
        day: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.day = day

    def execute(self, context: Context) -> str:
        """One page."""
        del context
        now = SystemClock().now()
        week = Week.of(date.fromisoformat(self.day)) if self.day else Week.last_before(now)
        if week.since >= now:
            raise AirflowFailException(f"parameter day: found {self.day}; expected a week that has begun")
        application = self.application
        history = PriceHistory(application.database)
        account = SATHook(self.sat_conn_id).settings().account
        summary = read_week(history, account, week, now)
        if not summary.was_watched:
            self.log.warning("No price list of week %s is known.", week.name)
        name = f"prices/{quote(account, safe='')}/{week.name}.html"
        uri = results_spool(application.settings).write(name, weekly_page(summary).encode("utf-8"))
        self.log.info(
            "Week %s: %s dearer, %s cheaper, %s came, %s went. Page: %s",
            week.name,
            len(summary.rises),
            len(summary.falls),
            len(summary.appeared) + len(summary.returned),
            len(summary.disappeared),
            uri,
        )
        return uri
