"""The nightly reconciliation as operators: look at the deposit, ask again, take files in, close the day.

What needs pandas is imported when a step runs: a DAG file must load without it.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context, ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.books import PostedSettlement, record_settlement
from sat_hook.domain.books_events import DepositObserved
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.identity import digest_of
from sat_hook.domain.recorded import Provenance
from sat_hook.hooks.application import DEFAULT_CONNECTION, ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.spool import results_spool
from sat_hook.operators.funds import look
from sat_hook.operators.runs import asked_by, failing_for_good
from sat_hook.pipeline.alerting import raise_alerts
from sat_hook.pipeline.asking import AskedReport, ask_about
from sat_hook.pipeline.funding import record_observation
from sat_hook.reconciliation.keeping import BookKeeper
from sat_hook.reconciliation.model import BusinessDay
from sat_hook.reconciliation.trouble import SettlementRefusedError
from sat_hook.store.alerts import AlertBook

if TYPE_CHECKING:
    from sat_hook.reconciliation.closing import Closed

SETTLEMENTS_URI_VARIABLE = "SAT_SETTLEMENTS_URI"
MAPPING_FILE = "mapping.json"
CORRECTED = "corrected"
LOOKED_INTO_AGAIN = timedelta(days=35)
"""Files of so many days are read every night: one whose bytes were changed may look the same from outside."""
_DAY_IN_NAME = re.compile(r"(?<![0-9])(20[0-9]{2})(-?)([01][0-9])\2([0-3][0-9])(?![0-9])")
_SUFFIXES = (".csv", ".txt", ".xlsx")
MAXIMUM_ASKED = 20_000
MAXIMUM_ALERTS = 1_000


class SATBooksOperator(BaseOperator):
    """Base of the steps over one account's books.

    :param sat_conn_id: the account's connection (templated).
    :param day: the WIB day as ``YYYY-MM-DD`` (templated).
    :param cut_off_minutes: a day begins so many minutes after midnight WIB (templated).
    :param db_conn_id: the application database's connection.
    """

    template_fields: Sequence[str] = ("sat_conn_id", "day", "cut_off_minutes")
    ui_color = "#eee6f3"

    def __init__(
        self,
        *,
        sat_conn_id: str = SATHook.default_conn_name,
        day: str = "",
        cut_off_minutes: int | str = 0,
        db_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sat_conn_id = sat_conn_id
        self.day = day
        self.cut_off_minutes = cut_off_minutes
        self.db_conn_id = db_conn_id

    def execute(self, context: Context) -> Any:
        """Run the step. Trouble that a retry cannot cure fails the task at once, with its reason."""
        application = ApplicationHook(self.db_conn_id, "sat books")
        with failing_for_good(self.sat_conn_id):
            return self.step(application, asked_by(context))

    def step(self, application: ApplicationHook, provenance: Provenance) -> Any:
        """The step itself."""
        raise NotImplementedError

    @property
    def business_day(self) -> BusinessDay:
        """The day of this run."""
        return BusinessDay(date.fromisoformat(self.day), int(self.cut_off_minutes))

    def account(self, application: ApplicationHook) -> str:
        """The account's name in the log."""
        with closing(SATHook(self.sat_conn_id, application.database)) as hook:
            return hook.settings().account


class SATNameDayOperator(BaseOperator):
    """Says which WIB day a run closes; returns it as ``YYYY-MM-DD``.

    :param day: that day, when somebody named one (templated); else the last one that had ended when the run
        was due, however late it runs.
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
            try:
                named = date.fromisoformat(self.day)
            except ValueError:
                raise AirflowFailException(
                    f"day: found {self.day!r}; expected YYYY-MM-DD, a WIB day"
                ) from None
            if named >= BusinessDay.of(now, minutes).day:
                raise AirflowFailException(f"day: found {self.day}; expected a WIB day that has ended")
            return named.isoformat()
        closed = BusinessDay.of(running.opens_at - (running.closes_at - running.opens_at) / 2, minutes)
        if closed.closes_at > now:
            raise AirflowFailException(
                f"run of {moment:%F %T} UTC: found {closed.day}; expected a day that ended"
            )
        self.log.info("Closing %s (WIB), cut-off at %s.", closed.day, closed.closes_at)
        return closed.day.isoformat()


class SATObserveDepositOperator(SATBooksOperator):
    """Look at an account's deposit and keep the look in its books; returns the saldo.

    Looks on a schedule, one of them at the cut-off, are the ends of the saldo equations.
    """

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        clock = application.resolver.clock
        with closing(SATHook(self.sat_conn_id, application.database)) as hook:
            seen = look(hook, clock)
        event = DepositObserved(
            account=seen.account,
            saldo_rupiah=seen.saldo_rupiah,
            requested_at=seen.requested_at,
            received_at=seen.received_at,
            response_digest=seen.response_digest,
        )
        BookKeeper(application.store, clock).observe(event, provenance)
        record_observation(application.funds, clock, seen, provenance)
        self.log.info("The deposit of %s holds Rp %s.", seen.account, f"{seen.saldo_rupiah:,}")
        return {"saldo_rupiah": seen.saldo_rupiah}


class SATAskAgainOperator(SATBooksOperator):
    """Ask about orders that are open, disputed or without a signature, before the day is closed.

    :param orders: at most so many (templated).
    """

    template_fields: Sequence[str] = (*SATBooksOperator.template_fields, "orders")

    def __init__(self, *, orders: int | str = MAXIMUM_ASKED, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.orders = orders

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        from sat_hook.reconciliation.asking import orders_to_ask

        keeper = BookKeeper(application.store, application.resolver.clock)
        account = self.account(application)
        chosen = orders_to_ask(keeper, account, self.business_day, int(self.orders))
        report = asyncio.run(self._ask(application, chosen, provenance))
        self.log.info("Asked about %s orders, %s changed.", report.asked, report.changed)
        if report.unproven:
            self.log.warning("Answers that prove nothing: %s", dict(report.unproven))
        return {"asked": report.asked, "changed": report.changed, "unproven": report.unproven.total()}

    async def _ask(
        self, application: ApplicationHook, chosen: Sequence[str], provenance: Provenance
    ) -> AskedReport:
        hook = SATHook(self.sat_conn_id, application.database)
        await hook.asettings()
        async with hook.async_client() as sat:
            return await ask_about(application.resolver, sat, chosen, provenance)


class SATImportSettlementsOperator(SATBooksOperator):
    """Take the provider's settlement files in that have come: each once, under its digest.

    Looked for in ``<uri>/<account>/``: CSV or XLSX with the day in the name (``2026-11-22`` or ``20261122``).
    A name with ``corrected`` replaces what came before for the day, and so does a file that comes again under
    its name with other bytes, when it is the day's only one. How to read them stands in ``mapping.json``
    beside them.

    :param settlements_uri: the folder or object store (templated); by default the environment variable
        ``SAT_SETTLEMENTS_URI``. Skipped when there is neither.
    """

    template_fields: Sequence[str] = (*SATBooksOperator.template_fields, "settlements_uri")

    def __init__(self, *, settlements_uri: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settlements_uri = settlements_uri

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        from sat_hook.reconciliation.settlement import keep_settlement, mapping_from

        uri = (self.settlements_uri or os.environ.get(SETTLEMENTS_URI_VARIABLE, "")).rstrip("/")
        if not uri:
            raise AirflowSkipException(f"no settlement files: {SETTLEMENTS_URI_VARIABLE} is not set")
        account = self.account(application)
        folder = ObjectStoragePath(uri) / account
        if not folder.exists():
            raise AirflowSkipException(f"no settlement files: there is no {folder}")
        described = folder / MAPPING_FILE
        mapping = mapping_from(described.read_text("utf-8") if described.exists() else "")
        keeper, spool, imported = (
            BookKeeper(application.store, application.resolver.clock),
            results_spool(),
            0,
        )
        found = [path for path in folder.iterdir() if path.name.lower().endswith(_SUFFIXES)]
        # What replaces comes after what it replaces, even in one night.
        for path in sorted(found, key=lambda path: (_is_correction(path.name), path.name)):
            day = day_in_name(path.name)
            if day is None:
                self.log.warning("%s: found no single day in the name; expected YYYY-MM-DD", path.name)
                continue
            books = keeper.books(account)
            known = [item for item in books.settlements if item.event.name == path.name]
            if known and not self._has_changed(path, day, known[-1]):
                continue
            if known and {item.event.name for item in books.settlements_of(day)} != {path.name}:
                raise SettlementRefusedError(
                    f"{path.name}: found other bytes than were taken in under this name, and other "
                    f"files of {day}; expected a new name, with {CORRECTED!r} in it if it replaces them all"
                )
            event = keep_settlement(
                spool,
                account=account,
                day=day,
                name=path.name,
                content=path.read_bytes(),
                mapping=mapping,
                replaces_earlier=bool(known) or _is_correction(path.name),
            )
            if keeper.post(account, partial(record_settlement, event=event), provenance):
                self.log.info("%s: %s rows for %s.", path.name, f"{event.rows:,}", day)
                imported += 1
        return {"imported": imported, "found": len(found)}

    def _has_changed(self, path: ObjectStoragePath, day: date, known: PostedSettlement) -> bool:
        """Whether a file has other bytes than the last that were taken in under its name."""
        seen = path.stat()
        if seen.st_size != known.event.size_bytes:
            return True
        is_old = day < self.business_day.day - LOOKED_INTO_AGAIN
        if is_old and seen.st_mtime < known.posted.at.timestamp():
            return False
        return digest_of(path.read_bytes()) != known.event.digest


class SATCloseDayOperator(SATBooksOperator):
    """Close an account's day and write its report; earlier days of which more is known now are closed again.

    Returns counts and where the report is. New breaks raise an alert. Runs again with the same result.
    """

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, Any]:
        from sat_hook.reconciliation.chain import days_to_close
        from sat_hook.reconciliation.closing import close_day

        keeper = BookKeeper(application.store, application.resolver.clock)
        account, spool = self.account(application), results_spool()
        closed: Closed | None = None
        uris: list[str] = []
        books = keeper.books(account)
        for day in days_to_close(books, self.business_day.day):
            # An earlier day keeps the cut-off that it was closed with.
            known = books.closes.get(day) if day != self.business_day.day else None
            minutes = int(self.cut_off_minutes) if known is None else known.event.cut_off_minutes
            closed = close_day(keeper, spool, account, BusinessDay(day, minutes), provenance)
            uris = self._write(closed)
            self._tell(application, closed)
        assert closed is not None
        return {
            "account": account,
            "day": self.day,
            "position": closed.close.position,
            "result_digest": closed.digest,
            "orders": len(closed.close.orders),
            "open_breaks": len(closed.close.open_breaks),
            "unexplained_rupiah": closed.close.saldo.unexplained_rupiah if closed.close.saldo else None,
            "report": uris,
        }

    def _write(self, closed: Closed) -> list[str]:
        from sat_hook.reconciliation.report import write_report

        close, spool = closed.close, results_spool()
        place = f"reconciliation/{close.account}/{close.day}/{close.position}"
        with tempfile.TemporaryDirectory(prefix="sat-report-") as folder:
            return [
                spool.write(f"{place}/{file.name}", file.path.read_bytes())
                for file in write_report(close, Path(folder))
            ]

    def _tell(self, application: ApplicationHook, closed: Closed) -> None:
        close = closed.close
        new = [item for item in close.open_breaks if item.first_seen == close.day]
        self.log.info(
            "%s closed at position %s: %s orders, %s breaks open, %s of them new.",
            close.day,
            close.position,
            f"{len(close.orders):,}",
            len(close.open_breaks),
            len(new),
        )
        alerts = [
            Alert(
                key=f"break/{item.break_id}",
                kind=AlertKind.RECONCILIATION_BREAK,
                account=close.account,
                text=f"{item.break_id} ({item.category.value}, {item.day}): {item.what}; "
                f"{item.amount_rupiah:,} rupiah",
                occurred_at=datetime.now(UTC),
                subject=item.request_id,
            )
            for item in new[:MAXIMUM_ALERTS]
            if item.state is BreakState.OPEN
        ]
        raise_alerts(AlertBook(application.database), alerts)


def _due_at(run: Any) -> datetime:
    """The moment at which a run was due.

    A timetable with data intervals dates a run by the beginning of its interval and starts it at the end.
    """
    dated: datetime = run.logical_date or run.run_after
    interval_end: datetime | None = getattr(run, "data_interval_end", None)
    return dated if interval_end is None else max(dated, interval_end)


def day_in_name(name: str) -> date | None:
    """The day that a file's name says, if it says a single one."""
    days = set()
    for year, _, month, day in _DAY_IN_NAME.findall(name):
        with suppress(ValueError):
            days.add(date(int(year), int(month), int(day)))
    return days.pop() if len(days) == 1 else None


def _is_correction(name: str) -> bool:
    return CORRECTED in name.lower()
