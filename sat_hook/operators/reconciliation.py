"""The nightly reconciliation as operators: observe the deposit, query, read files, close the day."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context, ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sat_hook.application.nightly_close import (
    MAXIMUM_ASKED,
    NightlyClose,
    PlannedPartition,
    ask_before_close,
    observe_deposit,
)
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.rupiah import rupiah
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.ports import task_ports
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.spool import results_spool
from sat_hook.operators.base import SATOperator
from sat_hook.operators.run_context import asked_by, failing_for_good

NOT_NAMED = "None"
"""The rendered day of a run whose first task failed."""


class SATBooksOperator(SATOperator):
    """Base of the steps over one account's books.

    :param day: the WIB day as ``YYYY-MM-DD`` (templated).
    :param cut_off_minutes: a day begins so many minutes after midnight WIB (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id", "day", "cut_off_minutes")
    ui_color = "#eee6f3"
    component = "sat books"

    def __init__(
        self,
        *,
        day: str = "",
        cut_off_minutes: int | str = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.day = day
        self.cut_off_minutes = cut_off_minutes

    def execute(self, context: Context) -> Any:
        """Run the step. An error that a retry cannot fix fails the task at once, with its reason.

        :raises AirflowSkipException: when the run closes no day.
        """
        if self.day == NOT_NAMED:
            raise AirflowSkipException("no day is closed: the log of the task day says why")
        application = self.application
        with failing_for_good(self.sat_conn_id):
            return self.step(application, asked_by(context))

    def step(self, application: ApplicationHook, provenance: Provenance) -> Any:
        """The step itself."""
        raise NotImplementedError

    @property
    def business_day(self) -> BusinessDay:
        """The day of this run.

        :raises AirflowFailException: when it is not a day.
        """
        return BusinessDay(_day_named(self.day), int(self.cut_off_minutes))

    def account(self, application: ApplicationHook) -> str:
        """The account's name in the log."""
        return account_of(self.sat_conn_id, application)


class SATNameDayOperator(BaseOperator):
    """Returns the WIB day that a run closes, as ``YYYY-MM-DD``.

    :param day: the day (templated); by default the last one that had ended when the run was due, however late
        it runs.
    :param cut_off_minutes: a day begins so many minutes after midnight WIB (templated).
    """

    template_fields: Sequence[str] = ("day", "cut_off_minutes")
    ui_color = "#eee6f3"

    def __init__(self, *, day: str = "", cut_off_minutes: int | str = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day = day
        self.cut_off_minutes = cut_off_minutes

    def execute(self, context: Context) -> str:
        """The day."""
        moment = _due_at(context["dag_run"])
        now = datetime.now(UTC)
        minutes = int(self.cut_off_minutes)
        running = BusinessDay.of(moment, minutes)
        if self.day:
            named = _day_named(self.day)
            if named >= BusinessDay.of(now, minutes).day:
                raise AirflowFailException(
                    f"day: {self.day} is not over yet; expected a WIB day that has ended"
                )
            return named.isoformat()
        closed = BusinessDay.of(running.opens_at - (running.closes_at - running.opens_at) / 2, minutes)
        if closed.closes_at > now:
            raise AirflowFailException(
                f"run of {moment:%F %T} UTC: found {closed.day}; expected a day that ended"
            )
        self.log.info("Closing %s (WIB), cut-off at %s.", closed.day, closed.closes_at)
        return closed.day.isoformat()


class SATObserveDepositOperator(SATBooksOperator):
    """Observe an account's deposit and store the observation in its books; return the saldo.

    Scheduled observations, one of them at the cut-off, are the two ends of the saldo equations.
    """

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        ports = task_ports(self.sat_conn_id, application)
        seen = asyncio.run(observe_deposit(ports, application.store, provenance))
        self.log.info("The deposit of %s holds %s.", seen.account, rupiah(seen.saldo_rupiah))
        return {"saldo_rupiah": seen.saldo_rupiah}


class SATAskAgainOperator(SATBooksOperator):
    """Query orders that are open, disputed or without a signature, before the day is closed.

    :param orders: the maximum number of orders (templated).
    """

    template_fields: Sequence[str] = (*SATBooksOperator.template_fields, "orders")

    def __init__(self, *, orders: int | str = MAXIMUM_ASKED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.orders = orders

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        ports = task_ports(self.sat_conn_id, application)
        day, most = self.business_day, int(self.orders)
        report = asyncio.run(ask_before_close(ports, application.store, day, most, provenance))
        self.log.info("Asked about %s orders, %s changed.", report.asked, report.changed)
        if report.unproven:
            self.log.warning("Answers that prove nothing: %s", dict(report.unproven))
        return {"asked": report.asked, "changed": report.changed, "unproven": report.unproven.total()}


class SATImportSettlementsOperator(SATBooksOperator):
    """Read the provider's new settlement files, each once, under its digest.

    The files are in ``<uri>/<account>/``: CSV or XLSX with the day in the name (``2026-11-22`` or
    ``20261122``). A name with ``corrected`` replaces the day's earlier files. So does a file of the same name
    with other bytes, when it is the day's only one. When two files have the same orders, a person must
    choose. ``mapping.json`` beside the files says how to read them.

    :param settlements_uri: the folder or object store (templated); by default the environment variable
        ``SAT_SETTLEMENTS_URI``. Skipped when there is neither.

    A file that cannot be used is set aside, with its own break and an alert. The other files are read.
    """

    template_fields: Sequence[str] = (*SATBooksOperator.template_fields, "settlements_uri")

    def __init__(self, *, settlements_uri: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settlements_uri = settlements_uri

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        uri = (self.settlements_uri or application.settings.settlements_uri).rstrip("/")
        if not uri:
            raise AirflowSkipException("no settlement files: SAT_SETTLEMENTS_URI is not set")
        account = self.account(application)
        folder = ObjectStoragePath(uri) / account
        if not folder.exists():
            raise AirflowSkipException(f"no settlement files: there is no {folder}")
        steps = nightly_close(application, account, provenance)
        arrivals = steps.take_in(folder, self.business_day.day)
        return {
            "imported": arrivals.imported,
            "found": arrivals.found,
            "set_aside": len(arrivals.aside),
        }


class SATPlanPartitionsOperator(SATBooksOperator):
    """Divide the days of large accounts into partitions for :class:`SATClosePartitionOperator`.

    Returns the arguments of one such task for each partition; none for a day that fits in one.

    :param sat_conn_ids: the accounts' connections (templated).
    """

    template_fields: Sequence[str] = (*SATBooksOperator.template_fields, "sat_conn_ids")

    def __init__(self, *, sat_conn_ids: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sat_conn_ids = sat_conn_ids

    def step(self, application: ApplicationHook, provenance: Provenance) -> list[dict[str, Any]]:
        planned: list[dict[str, Any]] = []
        for sat_conn_id in self.sat_conn_ids:
            try:
                steps = nightly_close(application, account_of(sat_conn_id, application), provenance)
                partitions = steps.partitions(self.business_day.day, int(self.cut_off_minutes))
            except Exception:
                # The close of this account says what is wrong, or computes the partitions itself.
                self.log.exception("The day of %s is not divided.", sat_conn_id)
                continue
            planned += [{"sat_conn_id": sat_conn_id, **partition._asdict()} for partition in partitions]
        return planned


class SATClosePartitionOperator(SATBooksOperator):
    """Compute one partition of a day's close and keep it in the spool of results, for the closing task.

    It changes nothing in the books. A repeated task replaces the kept file with an equal one.

    :param position: of the log; ``number`` is the partition's, of ``partitions``.
    """

    def __init__(self, *, position: int = 0, number: int = 0, partitions: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = PlannedPartition(position, number, partitions)

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        steps = nightly_close(application, self.account(application), provenance)
        orders = steps.close_partition(self.business_day.day, int(self.cut_off_minutes), self.planned)
        return {"orders": orders}


class SATCloseDayOperator(SATBooksOperator):
    """Close an account's day and write its report; close earlier days again when new facts are known.

    Returns counts and the place of the report. New breaks raise an alert. A repeated run has the same result.

    :param partitions: what :class:`SATPlanPartitionsOperator` returned (templated). Partitions that no task
        has kept are computed here, one after the other.
    """

    template_fields: Sequence[str] = (*SATBooksOperator.template_fields, "partitions")

    def __init__(self, *, partitions: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.partitions = partitions

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, Any]:
        steps = nightly_close(application, self.account(application), provenance)
        of_account = [one for one in self.partitions or () if one["sat_conn_id"] == self.sat_conn_id]
        prepared_at = of_account[0]["position"] if of_account else None
        closed, uris = steps.close(self.business_day.day, int(self.cut_off_minutes), prepared_at)
        return {
            "account": steps.account,
            "day": self.day,
            "position": closed.close.position,
            "result_digest": closed.digest,
            "orders": len(closed.close.orders),
            "open_breaks": len(closed.close.open_breaks),
            "unexplained_rupiah": closed.close.saldo.unexplained_rupiah if closed.close.saldo else None,
            "report": uris,
        }


def account_of(sat_conn_id: str, application: ApplicationHook) -> str:
    """The name in the log of a connection's account."""
    with closing(SATHook(sat_conn_id, application.database)) as hook:
        return hook.settings().account


def nightly_close(application: ApplicationHook, account: str, provenance: Provenance) -> NightlyClose:
    """The steps over the books of an account."""
    return NightlyClose(
        application.store,
        application.handler.clock,
        account,
        results_spool(application.settings),
        application.alerts.add,
        provenance,
    )


def _day_named(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise AirflowFailException(f"day: found {text!r}; expected YYYY-MM-DD, a WIB day") from None


def _due_at(run: Any) -> datetime:
    """The moment at which a run was due.

    A timetable with data intervals dates a run by the beginning of its interval and starts it at the end.
    """
    dated: datetime = run.logical_date or run.run_after
    interval_end: datetime | None = getattr(run, "data_interval_end", None)
    return dated if interval_end is None else max(dated, interval_end)
