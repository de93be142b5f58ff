"""Computes what a day's close needs from the orders of one partition. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

import pandas as pd

from sat_hook.domain.books import AccountBooks, PostedSettlement
from sat_hook.domain.books_events import SettlementImported
from sat_hook.domain.breaks import MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.order import OrderState
from sat_hook.domain.partitions import Partition
from sat_hook.reconciliation import deposit_match
from sat_hook.reconciliation.adjustments import order_adjustments
from sat_hook.reconciliation.break_factory import REST, BreakFactory, Found
from sat_hook.reconciliation.carry_forward import break_of
from sat_hook.reconciliation.control_totals import tally_of
from sat_hook.reconciliation.day_sequence import closed_day, day_in_chain, day_of, nearer_days
from sat_hook.reconciliation.deposit_match import OrderTerms
from sat_hook.reconciliation.file_breaks import doubts
from sat_hook.reconciliation.ledger import Span, Tally, ledger_of, read_ledger
from sat_hook.reconciliation.model import ORDER_COLUMNS, Adjustment, Break, MatchTotals, SettlementFile
from sat_hook.reconciliation.netting import sold, taken_of
from sat_hook.reconciliation.settlement_cache import SettlementCache
from sat_hook.reconciliation.settlement_findings import DayFiles
from sat_hook.reconciliation.settlement_match import SettlementMatch, late_missing, match_settlement, no_file
from sat_hook.reconciliation.settlement_rows import SettlementRows
from sat_hook.reconciliation.status_match import judge_again, match_evidence
from sat_hook.store.days import DayReader

REFUND_DAYS = 35
"""Refunds are searched for in the files of this many days after the sale."""


class Standing(NamedTuple):
    """What a match of an earlier day finds now for the breaks that are carried from it."""

    match: MatchKind
    day: date
    breaks: tuple[Break, ...]


@dataclass(frozen=True, slots=True)
class PartitionClose:
    """What the orders of one partition add to a close, besides themselves.

    :param report: the totals of the account's orders, ``foreign`` of other accounts'; ``lost`` is the number
        of orders without a beginning.
    :param matches: the first two matches, without the numbers of their breaks.
    :param found: by these matches; ``late_files`` and ``late_successes`` are about earlier days.
    :param doubts: about settlement files as a whole. Like ``files``, they are equal in all partitions.
    :param adjustments: see :func:`~sat_hook.reconciliation.adjustments.order_adjustments`.
    """

    report: Tally
    foreign: Tally
    lost: int
    terms: OrderTerms
    matches: tuple[MatchTotals, MatchTotals]
    found: tuple[Found, ...]
    late_files: tuple[Found, ...]
    late_successes: tuple[Found, ...]
    doubts: tuple[Break, ...]
    standing: tuple[Standing, ...]
    adjustments: tuple[tuple[Adjustment, ...], ...]
    files: tuple[SettlementFile, ...]


class DayBooks:
    """What the books say about a day that is closed, the same for all partitions."""

    def __init__(self, books: AccountBooks, day: BusinessDay, position: int) -> None:
        self.books = books
        self.day = day = day_in_chain(books, day.day, day.cut_off_minutes)
        self.last = books.before(day.day)
        follows = self.last is not None and self.last.event.day == day.day - timedelta(days=1)
        self.yesterday = self.last if follows and self.last is not None and self.last.event.saldo else None
        self.opening = deposit_match.opening_look(books, day, self.yesterday)
        self.closing = deposit_match.look_near(books, day.closes_at)
        self.span = Span(
            opens_at=day.opens_at,
            closes_at=day.closes_at,
            opening_at=self.opening.observed_at if self.opening else day.opens_at,
            closing_at=self.closing.observed_at if self.closing else day.closes_at,
            position=position,
            before=self.last.event.position if self.last is not None else 0,
            follows=self.yesterday is not None,
        )

    @property
    def carried(self) -> list[Break]:
        """The breaks that are carried from the last close."""
        return [] if self.last is None else [break_of(item) for item in self.books.carried_from(self.last)]

    def finder(self, match: MatchKind, day: date | None = None) -> BreakFactory:
        """Makes the breaks of a match; of an earlier day's, as it does on that day."""
        return BreakFactory(self.books.account, match, day or self.day.day)

    def day_of(self, moment: datetime) -> date:
        """The day that a moment is in, by the cut-offs that days were closed with."""
        return day_of(self.books, moment, self.day.cut_off_minutes)

    def closed_day(self, day: date) -> BusinessDay:
        """An earlier day with its cut-offs."""
        return closed_day(self.books, day, self.day.cut_off_minutes)


def close_partition(
    day: DayBooks, reader: DayReader, shelf: SettlementCache
) -> tuple[PartitionClose, pd.DataFrame]:
    """Compute the part of the reader's partition, and the rows of its orders.

    :param shelf: has the rows of the same partition.
    :returns: the orders have the columns of :data:`~sat_hook.reconciliation.model.ORDER_COLUMNS`; ``breaks``
        is 0, because only the whole close knows them.
    """
    return _Closing(day, reader, shelf).close()


class _Closing:
    """The shared state of one computation's steps."""

    def __init__(self, day: DayBooks, reader: DayReader, shelf: SettlementCache) -> None:
        self._context = day
        self._books = day.books
        self._day = day.day
        self._span = day.span
        self._finder = day.finder
        self._day_of = day.day_of
        self._reader = reader
        self._shelf = shelf

    def close(self) -> tuple[PartitionClose, pd.DataFrame]:
        ledger = read_ledger(self._reader, self._span)
        rows = ledger.rows
        signed = match_evidence(self._reader, self._finder(MatchKind.EVIDENCE), rows, self._span)
        finder = self._finder(MatchKind.SETTLEMENT)
        settled = self._settle(finder, self._day, rows)
        late_files, late_doubts = self._late_settlements()
        orders = rows.assign(evidence=rows["end_proof"], settlement=settled.standing, breaks=0)
        part = PartitionClose(
            report=tally_of(rows),
            foreign=ledger.foreign,
            lost=len(ledger.lost),
            terms=OrderTerms.of(rows),
            matches=(signed.totals, settled.totals),
            found=(signed.found, *settled.found),
            late_files=tuple(late_files),
            late_successes=tuple(self._late_successes(rows)),
            doubts=(*self._doubts(finder), *late_doubts),
            standing=tuple(self._standing()),
            adjustments=tuple(map(tuple, order_adjustments(self._reader, self._books, rows, self._span))),
            files=tuple(
                _shown_file(posted, self._shelf.rows(posted))
                for posted in self._books.settlements_of(self._day.day)
            ),
        )
        return part, orders[list(ORDER_COLUMNS)].astype(ORDER_COLUMNS)

    @property
    def _partition(self) -> Partition:
        return self._reader.partition

    def _settle(self, finder: BreakFactory, day: BusinessDay, rows: pd.DataFrame) -> SettlementMatch:
        files = self._files_of(day.day)
        return no_file(rows) if files is None else match_settlement(finder, day, rows, files, self._look_up)

    def _doubts(self, finder: BreakFactory) -> Iterable[Break]:
        files = self._books.settlements_of(finder.day)
        return doubts(finder, [(posted, self._shelf.rows(posted)) for posted in files])

    def _look_up(self, request_ids: Collection[str]) -> pd.DataFrame:
        return ledger_of(self._reader, self._span, request_ids)

    def _files_of(self, day: date) -> DayFiles | None:
        files = self._books.settlements_of(day)
        if not files:
            return None
        near = [
            posted
            for neighbour in (day - timedelta(days=1), day + timedelta(days=1))
            for posted in self._books.settlements_of(neighbour)
        ]

        def find_near(request_ids: Collection[str]) -> frozenset[str]:
            wanted = list(request_ids)
            found: set[str] = set()
            for posted in near if wanted else ():
                ids = sold(self._shelf.rows(posted).frame)
                found.update(ids[ids.isin(wanted)])
            return frozenset(found)

        def find_own(orders: pd.DataFrame) -> frozenset[str]:
            found: set[str] = set()
            own = orders["sent_at"].map(lambda sent: self._day_of(sent))
            for sent_on, ids in orders["request_id"].groupby(own):
                for nearer in nearer_days(sent_on, day):
                    found |= self._named(nearer, ids)
            return frozenset(found)

        def find_taken(orders: pd.DataFrame) -> pd.Series[int]:
            first = orders["sent_at"].map(lambda sent: self._day_of(sent) - timedelta(days=1)).min()
            since = max(first, day - timedelta(days=REFUND_DAYS))
            days = [since + timedelta(days=passed) for passed in range((day - since).days)]
            files = [posted for one in days for posted in self._books.settlements_of(one)]
            return taken_of(orders, [self._rows_of(posted, orders["request_id"]) for posted in files])

        return DayFiles(
            imported=tuple(posted.event for posted in files),
            rows=tuple(self._shelf.rows(posted) for posted in files),
            find_near=find_near,
            find_own=find_own,
            find_taken=find_taken,
            next_has_come=bool(self._books.settlements_of(day + timedelta(days=1))),
        )

    def _named(self, day: date, request_ids: pd.Series[str]) -> set[str]:
        """Return which of some orders are in the files that count for a day. Files of distant days are not
        kept in memory.
        """
        found: set[str] = set()
        for posted in self._books.settlements_of(day):
            theirs = sold(self._shelf.passing(posted).frame)
            found.update(theirs[theirs.isin(request_ids)])
        return found

    def _rows_of(self, posted: PostedSettlement, request_ids: pd.Series[str]) -> pd.DataFrame:
        """Return the rows of some orders in a file. A file of a distant day is not kept in memory."""
        frame = self._shelf.passing(posted).frame
        return frame[frame["request_id"].isin(request_ids)]

    def _late_settlements(self) -> tuple[list[Found], list[Break]]:
        """Return what files show that came after their day was certified, as adjustments of today."""
        found: list[Found] = []
        about_files: list[Break] = []
        for day, certificate in sorted(self._books.certified.items()):
            since = self._books.told_up_to(certificate)
            files = self._books.settlements_of(day)
            if day == self._day.day or not any(posted.posted.position > since for posted in files):
                continue
            business_day = self._context.closed_day(day)
            opens_at, closes_at = business_day.opens_at, business_day.closes_at
            span = Span(opens_at, closes_at, opens_at, closes_at, self._span.position, 0)
            finder = replace(
                self._finder(MatchKind.SETTLEMENT, day), seen_on=self._day.day, is_adjustment=True
            )
            found += self._settle(finder, business_day, read_ledger(self._reader, span).rows).found
            about_files += self._doubts(finder)
        return found, about_files

    def _late_successes(self, rows: pd.DataFrame) -> Iterator[Found]:
        """Orders of earlier days that succeeded in this one, and that are missing from their own day's files
        and all later ones. Checked once the day's own files have come."""
        opens_at, closes_at = pd.Timestamp(self._day.opens_at), pd.Timestamp(self._day.closes_at)
        is_news = (rows["ended_at"] >= opens_at) | (rows["before_state"] != OrderState.SUCCEEDED.value)
        is_late = (rows["sent_at"] < opens_at) & (rows["ended_at"] < closes_at) & is_news
        is_late &= rows["state"] == OrderState.SUCCEEDED.value
        if not is_late.any() or not self._books.settlements_of(self._day.day):
            return
        late = rows[is_late]
        sent_on = late["sent_at"].map(lambda sent: self._day_of(sent))
        for day, orders in late.groupby(sent_on):
            files = self._files_of(day)
            if files is None:
                continue
            later = {
                one
                for passed in range((self._day.day - day).days + 1)
                for one in self._named(day + timedelta(days=1 + passed), orders["request_id"])
            }
            finder = replace(
                self._finder(MatchKind.SETTLEMENT, day),
                seen_on=self._day.day,
                is_adjustment=day in self._books.certified,
            )
            yield late_missing(finder, self._context.closed_day(day), orders, files, later)

    def _standing(self) -> Iterator[Standing]:
        """Repeat the matches of earlier days for the breaks that are carried from them. A break that names no
        order is judged in each partition."""
        judges = {
            MatchKind.EVIDENCE: self._judge_evidence,
            MatchKind.SETTLEMENT: self._judge_settlement,
        }
        again: dict[tuple[MatchKind, date], list[Break]] = {}
        carried = [item for item in self._context.carried if not item.subject.startswith(REST)]
        for item, is_own in zip(
            carried, self._partition.holds([item.request_id or "" for item in carried]), strict=True
        ):
            if item.match in judges and (is_own or not item.request_id):
                again.setdefault((item.match, item.day), []).append(item)
        for (match, day), items in again.items():
            yield Standing(match, day, tuple(judges[match](day, items)))

    def _judge_evidence(self, day: date, items: Sequence[Break]) -> Iterable[Break]:
        rows = self._look_up([item.request_id for item in items if item.request_id])
        return judge_again(self._reader, self._finder(MatchKind.EVIDENCE, day), rows, self._span)

    def _judge_settlement(self, day: date, items: Sequence[Break]) -> Iterable[Break]:
        files = self._files_of(day)
        if files is None:
            return ()
        ids = [item.request_id for item in items if item.request_id]
        rows = self._look_up(ids)
        business_day = self._context.closed_day(day)
        # The ledger takes an order's day from the span it is read for; here the day is an earlier one.
        rows["is_sent_in_day"] = rows["sent_at"].between(
            pd.Timestamp(business_day.opens_at), pd.Timestamp(business_day.closes_at), inclusive="left"
        )
        subjects = {item.subject for item in items}
        chosen = []
        for imported, table in zip(files.imported, files.rows, strict=True):
            keys = imported.digest + ":" + table.frame["file_row"].astype("str")
            kept = table.frame["request_id"].isin(ids) | keys.isin(subjects)
            chosen.append(replace(table, frame=table.frame[kept].reset_index(drop=True)))
        later, refunds = self._refunds_since(day, ids)
        finder = self._finder(MatchKind.SETTLEMENT, day)
        found = match_settlement(
            finder,
            business_day,
            rows,
            replace(files, imported=(*files.imported, *later), rows=(*chosen, *refunds)),
            self._look_up,
        )
        breaks = [item for one in found.found for item in one.breaks]
        return (*breaks, *self._doubts(finder))

    def _refunds_since(
        self, day: date, request_ids: Collection[str]
    ) -> tuple[list[SettlementImported], list[SettlementRows]]:
        """Return refunds of some orders of an earlier day in the files since then, including today's."""
        last = min((self._day.day - day).days, REFUND_DAYS) if request_ids else 0
        days = dict.fromkeys([*(day + timedelta(days=since) for since in range(1, last + 1)), self._day.day])
        later, found = [], []
        for since in days if last > 0 else ():
            for posted in self._books.settlements_of(since):
                table = self._shelf.refunds(posted)
                is_one = table.frame["request_id"].isin(request_ids)
                if is_one.any():
                    later.append(posted.event)
                    found.append(replace(table, frame=table.frame[is_one].reset_index(drop=True)))
        return later, found


def _shown_file(posted: PostedSettlement, rows: SettlementRows) -> SettlementFile:
    return SettlementFile(
        name=posted.event.name,
        digest=posted.event.digest,
        rows=posted.event.rows,
        rupiah=rows.file_rupiah,
        position=posted.posted.position,
    )
