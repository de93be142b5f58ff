"""The nightly steps over one account's books: observe the deposit, ask SAT, read its files, close the day.

Modules that need pandas are imported when a step runs: a DAG file must load without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple

from sat_hook.application.ports import Ports
from sat_hook.domain.alerts import MAXIMUM_TEXT_CHARACTERS, Alert, AlertKind
from sat_hook.domain.books_events import DepositObserved
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.partitions import Partition
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.funding import record_observation
from sat_hook.pipeline.status_query import AskedReport, ask_about
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.model import Break
from sat_hook.store.breaks import BreakTable
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import NamedSpool

if TYPE_CHECKING:
    from sat_hook.reconciliation.close_computation import DayComputation
    from sat_hook.reconciliation.day_close import Closed
    from sat_hook.reconciliation.settlement_intake import Arrivals, Folder

MAXIMUM_ALERTS = 1_000
MAXIMUM_ASKED = 20_000
_log = logging.getLogger(__name__)


class PlannedPartition(NamedTuple):
    """A partition of a day at a position of the log: its number, of so many partitions."""

    position: int
    number: int
    partitions: int


async def observe_deposit(
    ports: Ports, store: PostgresEventStore, provenance: Provenance
) -> BalanceObservation:
    """Observe the deposit and store the observation in the books; raises SATError.

    Scheduled observations, one of them at the cut-off, are the two ends of the saldo equations.
    """
    seen = await ports.look_at_deposit()
    observed = DepositObserved(
        account=seen.account,
        saldo_rupiah=seen.saldo_rupiah,
        requested_at=seen.requested_at,
        received_at=seen.received_at,
        response_digest=seen.response_digest,
    )
    BookKeeper(store, ports.clock).observe(observed, provenance)
    record_observation(ports.funds, ports.clock, seen, provenance, ports.limits.funding)
    return seen


async def ask_before_close(
    ports: Ports, store: PostgresEventStore, day: BusinessDay, most: int, provenance: Provenance
) -> AskedReport:
    """Query orders that are open, disputed or without a signature, at most ``most`` of them."""
    from sat_hook.reconciliation.status_candidates import orders_to_ask

    chosen = orders_to_ask(BookKeeper(store, ports.clock), ports.account, day, most)
    async with ports.sat() as sat:
        return await ask_about(ports.handler, sat, chosen, provenance)


@dataclass(frozen=True, slots=True)
class NightlyClose:
    """The steps that need no connection to SAT.

    :param results: the spool of reports, and of settlement files once they are read.
    :param alert: raises alerts.
    """

    store: PostgresEventStore
    clock: Clock
    account: str
    results: NamedSpool
    alert: Callable[[Sequence[Alert]], object]
    provenance: Provenance

    @property
    def keeper(self) -> BookKeeper:
        return BookKeeper(self.store, self.clock)

    def take_in(self, folder: Folder, day: date) -> Arrivals:
        """Import the settlement files that have arrived; raise an alert for each that is set aside."""
        from sat_hook.reconciliation.file_breaks import break_of_file
        from sat_hook.reconciliation.settlement_intake import Intake

        arrivals = Intake(self.keeper, self.results, self.account, day, self.provenance).take_in(folder)
        self._tell([break_of_file(event) for event in arrivals.aside])
        return arrivals

    def partitions(self, day: date, cut_off_minutes: int) -> list[PlannedPartition]:
        """The partitions of a large day, which tasks can compute before it is closed.

        There are none for a day that fits in one, for a certified day, and when earlier days have to be
        closed again first, because the day begins with their close.
        """
        from sat_hook.reconciliation.day_sequence import days_to_close

        books = self.keeper.books(self.account)
        if day in books.certified or len(days_to_close(books, day)) > 1:
            return []
        position = self.keeper.input_position(day)
        count = self._computation(BusinessDay(day, cut_off_minutes), position).partitions()
        return [PlannedPartition(position, number, count) for number in range(count if count > 1 else 0)]

    def close_partition(self, day: date, cut_off_minutes: int, planned: PlannedPartition) -> int:
        """Compute one partition and keep it for the close of its day; return its number of orders.

        :raises SettlementLostError: a settlement file can no longer be read; the close sets it aside.
        """
        computation = self._computation(BusinessDay(day, cut_off_minutes), planned.position)
        return computation.keep_partition(Partition(planned.number, planned.partitions))

    def _computation(self, day: BusinessDay, position: int) -> DayComputation:
        from sat_hook.reconciliation.close_computation import DayComputation

        recorded, database = self.keeper.recorded(self.account), self.store.database
        return DayComputation(
            database, self.results, recorded, self.account, day, position, kept=self.results
        )

    def close(
        self, day: date, cut_off_minutes: int, prepared_at: int | None = None
    ) -> tuple[Closed, list[str]]:
        """Close a day and write its report; close earlier days again when new facts are known.

        New breaks raise an alert. When an earlier day cannot be closed again, it keeps its last close, the
        days after it are still closed, and then the error is raised.

        :param prepared_at: the position at which its partitions were computed.
        :returns: the close of the day, and the URIs of its report.
        """
        from sat_hook.reconciliation.day_close import PreparedClose, close_day
        from sat_hook.reconciliation.day_sequence import days_to_close
        from sat_hook.reconciliation.kept_partitions import KeptPartitions

        failed: Exception | None = None
        books = self.keeper.books(self.account)
        *earlier, _ = days_to_close(books, day)
        for again in earlier:
            # An earlier day keeps the cut-off that it was closed with.
            known = BusinessDay(again, books.closes[again].event.cut_off_minutes)
            try:
                self._conclude(close_day(self.keeper, self.results, self.account, known, self.provenance))
            except Exception as error:
                _log.exception("%s could not be closed again.", again)
                failed = failed or error
        own = BusinessDay(day, cut_off_minutes)
        prepared = None if prepared_at is None or earlier else PreparedClose(prepared_at, self.results)
        closed = close_day(self.keeper, self.results, self.account, own, self.provenance, prepared)
        uris = self._conclude(closed)
        if prepared is not None:
            # Their orders are in the report now, and they are large.
            kept = KeptPartitions(self.results, self.account, own, prepared.position)
            kept.remove(len(closed.close.orders.parts))
        # The pages of breaks read tables that follow the log: now, and not when a person waits for them.
        BreakTable(self.store.database).catch_up()
        if failed is not None:
            raise failed
        return closed, uris

    def _conclude(self, closed: Closed) -> list[str]:
        """Write the report of a close and raise alerts for its new breaks; return the report's URIs."""
        from sat_hook.reconciliation.kept_reports import keep_report
        from sat_hook.reconciliation.versions import versions_of

        close, database = closed.close, self.store.database
        # Another run may have closed the day at a later position meanwhile, and writes that report.
        found = versions_of(database, self.account, close.day)
        versions = [one for one in found if one.close.position <= close.position]
        report = keep_report(self.results, versions, close)
        new = [item for item in close.open_breaks if item.first_seen == close.day]
        _log.info(
            "%s closed at position %s: %s orders, %s breaks open, %s of them new.",
            close.day,
            close.position,
            f"{len(close.orders):,}",
            len(close.open_breaks),
            len(new),
        )
        self._tell(new)
        return sorted(report.files.values())

    def _tell(self, breaks: Sequence[Break]) -> None:
        """Raise an alert for new breaks, each once."""
        now = self.clock.now()
        self.alert([_alert(self.account, item, now) for item in breaks[:MAXIMUM_ALERTS]])


def _alert(account: str, item: Break, now: datetime) -> Alert:
    end = f"; {item.amount_rupiah:,} rupiah" if item.amount_rupiah else ""
    text = f"{item.break_id} ({item.category.value}, {item.day}): {item.what}"
    return Alert(
        key=f"break/{item.break_id}",
        kind=AlertKind.RECONCILIATION_BREAK,
        account=account,
        text=f"{text[: MAXIMUM_TEXT_CHARACTERS - len(end)]}{end}",
        occurred_at=now,
        subject=item.request_id or item.evidence.file_name,
    )
