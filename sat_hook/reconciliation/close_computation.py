"""Computes the close of an account's WIB day as a function of the log up to a position. Writes nothing.

The orders are read in partitions, one after the other: memory holds one of them. What a partition has found
is in :mod:`sat_hook.reconciliation.partition_close`; here the partitions are added up. The result does not
depend on their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from sat_hook.domain.books import fold_books
from sat_hook.domain.breaks import MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.partitions import MAXIMUM_PARTITIONS, Partition
from sat_hook.reconciliation import control_totals, deposit_match
from sat_hook.reconciliation.adjustments import all_adjustments
from sat_hook.reconciliation.break_factory import Found, joined
from sat_hook.reconciliation.carry_forward import Judge, break_of, carry, decided
from sat_hook.reconciliation.day_orders import DayOrders, OrderPart, OwnFolder, PartInMemory
from sat_hook.reconciliation.deposit_match import OrderTerms
from sat_hook.reconciliation.file_breaks import file_breaks
from sat_hook.reconciliation.kept_partitions import KeptPartitions
from sat_hook.reconciliation.ledger import Tally
from sat_hook.reconciliation.model import Break, DayClose, MatchTotals, SaldoEquation
from sat_hook.reconciliation.partition_close import DayBooks, PartitionClose, close_partition
from sat_hook.reconciliation.settlement import Keep
from sat_hook.reconciliation.settlement_cache import SettlementCache, files_near
from sat_hook.reconciliation.settlement_findings import is_of_refund
from sat_hook.store.database import Database
from sat_hook.store.days import DayReader
from sat_hook.store.log_archives import LogArchives
from sat_hook.store.spool import LocalSpool, NamedSpool

if TYPE_CHECKING:
    import pandas as pd

MOVEMENTS_PER_PARTITION = 3_000_000
"""A day with more of them is closed in partitions: about a million orders, and a gigabyte of memory."""


@dataclass(frozen=True, slots=True)
class DayComputation:
    """The computation of a day's close as of a position.

    :param recorded: the account's stream.
    :param reader: where movements come from; by default the rows that appends have kept.
    :param kept: where tasks have kept partitions; those that are not there are computed.
    """

    database: Database
    keep: Keep
    recorded: Sequence[RecordedEvent]
    account: str
    day: BusinessDay
    position: int
    reader: type[DayReader] = DayReader
    kept: NamedSpool | None = None

    def partitions(self) -> int:
        """How many partitions the day has; they depend on the number of its movements alone."""
        return self._count(self._books())

    def keep_partition(self, partition: Partition) -> int:
        """Compute a partition and keep it; return its number of orders.

        :raises SettlementLostError: a settlement file can no longer be read.
        """
        assert self.kept is not None
        close, orders = self._partition(self._books(), partition)
        self._kept_in(self.kept).keep(partition, close, orders)
        return len(orders)

    def close(self) -> DayClose:
        """Compute the close.

        :raises SettlementLostError: a settlement file can no longer be read.
        :raises LogArchivedError: events of the day are in an archive file only.
        """
        books = self._books()
        count = self._count(books)
        if count == 1:
            close, orders = self._partition(books, Partition())
            return self._together(books, [close], DayOrders((PartInMemory(orders),)))
        folder = OwnFolder()
        parts: list[OrderPart] = []
        closes: list[PartitionClose] = []
        for partition in Partition.all_of(count):
            close, part = self._in_file(books, partition, folder.path)
            closes.append(close)
            parts.append(part)
        return self._together(books, closes, DayOrders(tuple(parts), folder=folder))

    def _books(self) -> DayBooks:
        LogArchives(self.database).require_since(self.day.opens_at)
        books = fold_books(self.account, self.recorded, up_to=self.position, for_day=self.day.day)
        return DayBooks(books, self.day, self.position)

    def _count(self, books: DayBooks) -> int:
        with self.reader.opened(self.database, self.account, self.position) as opened:
            return partitions_of(opened.count_movements(books.span.since))

    def _kept_in(self, spool: NamedSpool) -> KeptPartitions:
        return KeptPartitions(spool, self.account, self.day, self.position)

    def _in_file(
        self, books: DayBooks, partition: Partition, folder: Path
    ) -> tuple[PartitionClose, OrderPart]:
        found = self._kept_in(self.kept).load(partition, folder) if self.kept is not None else None
        if found is None:
            own = self._kept_in(LocalSpool(folder / "computed"))
            own.keep(partition, *self._partition(books, partition))
            found = own.load(partition, folder)
        assert found is not None
        return found

    def _partition(self, books: DayBooks, partition: Partition) -> tuple[PartitionClose, pd.DataFrame]:
        shelf = SettlementCache(self.keep, partition)
        # Many installations would end a transaction that idles while a file is read.
        shelf.put(files_near(books.books, books.day.day))
        with self.reader.opened(self.database, self.account, self.position, partition) as opened:
            return close_partition(books, opened, shelf)

    def _together(self, books: DayBooks, parts: Sequence[PartitionClose], orders: DayOrders) -> DayClose:
        with self.reader.opened(self.database, self.account, self.position) as opened:
            log = Tally(*opened.totals(books.span.opens_at, books.span.closes_at))
        return _Together(books, parts, log).close(orders)


def partitions_of(movements: int) -> int:
    """The number of partitions of a day with so many movements."""
    return min(max(1, -(-movements // MOVEMENTS_PER_PARTITION)), MAXIMUM_PARTITIONS)


def compute_close(
    database: Database,
    keep: Keep,
    recorded: Sequence[RecordedEvent],
    account: str,
    day: BusinessDay,
    position: int,
    reader: type[DayReader] = DayReader,
    kept: NamedSpool | None = None,
) -> DayClose:
    """Compute the close of a day as of a position, see :class:`DayComputation`. Writes nothing."""
    return DayComputation(database, keep, recorded, account, day, position, reader, kept).close()


class _Together:
    """All partitions of a day.

    :param log: the totals of the day's events of all accounts.
    """

    def __init__(self, day: DayBooks, parts: Sequence[PartitionClose], log: Tally) -> None:
        self._context = day
        self._books = day.books
        self._parts = parts
        self._log = log
        self._terms = OrderTerms.sum(part.terms for part in parts)

    def close(self, orders: DayOrders) -> DayClose:
        context, day = self._context, self._context.day
        found = self._joined(lambda part: part.found)
        equation = self._equation()
        broken = deposit_match.judge_equation(context.finder(MatchKind.SALDO), equation) if equation else None
        controls = control_totals.control_totals(
            self._log,
            reduce(Tally.plus, (part.report for part in self._parts)),
            reduce(Tally.plus, (part.foreign for part in self._parts)),
            sum(part.lost for part in self._parts),
            context.opening,
            self._terms.in_transit_opening_rupiah,
            context.yesterday,
        )
        of_day = [item for one in found for item in one.breaks]
        late = [*self._joined(lambda part: part.late_files), *self._joined(lambda part: part.late_successes)]
        breaks = self._with_earlier(
            [
                *of_day,
                *self._parts[0].doubts,
                *([broken] if broken else []),
                *control_totals.control_breaks(
                    context.finder(MatchKind.CONTROL),
                    day,
                    controls,
                    context.opening,
                    context.closing,
                    context.last,
                ),
                *file_breaks(self._books, day.day),
                *(item for one in late for item in one.breaks),
            ]
        )
        kinds = [item.match for item in breaks if item.first_seen == day.day]
        own = Counter(item.match for item in of_day)
        matches = (
            self._match(0, own[MatchKind.EVIDENCE]),
            self._match(1, own[MatchKind.SETTLEMENT]),
            deposit_match.totals_of(equation, kinds.count(MatchKind.SALDO)),
            control_totals.totals_of(controls, kinds.count(MatchKind.CONTROL)),
        )
        top_ups = deposit_match.top_ups_between(self._books, context.span.opening_at, context.span.closing_at)
        return DayClose(
            account=self._books.account,
            business_day=day,
            position=context.span.position,
            orders=replace(orders, breaks=Counter(item.request_id for item in breaks if item.request_id)),
            matches=matches,
            saldo=equation,
            breaks=tuple(breaks),
            controls=controls,
            settlement_files=self._parts[0].files,
            top_ups=tuple(deposit_match.shown_top_up(posted) for posted in top_ups),
            adjustments=all_adjustments(
                self._books, context.span, [part.adjustments for part in self._parts]
            ),
        )

    def _joined(self, of_part: Callable[[PartitionClose], Iterable[Found]]) -> list[Found]:
        return joined(found for part in self._parts for found in of_part(part))

    def _match(self, place: int, breaks: int) -> MatchTotals:
        """Return a match of all partitions."""
        parts = [part.matches[place] for part in self._parts]
        numbers = {
            field.name: sum(getattr(part, field.name) for part in parts)
            for field in fields(MatchTotals)
            if field.name not in ("kind", "was_made", "note")
        }
        return replace(parts[0], **{**numbers, "breaks": breaks})

    def _equation(self) -> SaldoEquation | None:
        opening, closing, yesterday = self._context.opening, self._context.closing, self._context.yesterday
        if opening is None or closing is None:
            return None
        kept = yesterday.event.saldo if yesterday is not None else None
        in_transit = self._terms.in_transit_opening_rupiah
        credited = deposit_match.top_ups_between(self._books, opening.observed_at, closing.observed_at)
        return deposit_match.equation_of(
            opening,
            closing,
            self._terms,
            sum(posted.event.amount_rupiah for posted in credited),
            kept.in_transit_closing_rupiah if kept is not None else in_transit,
        )

    def _with_earlier(self, found: Sequence[Break]) -> list[Break]:
        context, day = self._context, self._context.day
        carried: list[Break] = []
        if context.last is not None:
            # A break that a person ended is not carried; but while its evidence stands, it is not a new break
            # either.
            again = self._books.given_up_in(context.last, {item.break_id for item in found})
            carried = [*context.carried, *map(break_of, again)]
        judges = {match: self._judge(match) for match in (MatchKind.EVIDENCE, MatchKind.SETTLEMENT)}
        together = carry(self._books, carried, found, judges, context.span.before)
        standing = {
            item.request_id
            for item in together
            if item.match is MatchKind.SETTLEMENT and item.day < day.day and not item.state.is_final
        }
        # The break of the sale says what is left of it after every refund since.
        together = [
            item
            for item in together
            if item.day < day.day
            or item.request_id not in standing
            or not is_of_refund(item, self._books.account)
        ]
        breaks = decided(self._books, together, day.cut_off_minutes)
        return sorted(breaks, key=lambda item: (item.first_seen, item.break_id))

    def _judge(self, match: MatchKind) -> Judge:
        def judge(day: date, items: Sequence[Break]) -> Iterable[Break]:
            del items  # the partitions have judged all that are carried
            return (
                item
                for part in self._parts
                for standing in part.standing
                if (standing.match, standing.day) == (match, day)
                for item in standing.breaks
            )

        return judge
