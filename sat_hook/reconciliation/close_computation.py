"""Computes the close of an account's WIB day as a function of the log up to a position. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pandas as pd

from sat_hook.domain.books import AccountBooks, PostedSettlement, fold_books
from sat_hook.domain.books_events import SettlementImported
from sat_hook.domain.breaks import MatchKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.order import OrderState
from sat_hook.reconciliation import control_totals, deposit_match
from sat_hook.reconciliation.adjustments import adjustments_of
from sat_hook.reconciliation.break_factory import BreakFactory
from sat_hook.reconciliation.carry_forward import break_of, carry, decided
from sat_hook.reconciliation.day_sequence import closed_day, day_in_chain, day_of, nearer_days
from sat_hook.reconciliation.file_breaks import doubts, file_breaks
from sat_hook.reconciliation.ledger import Ledger, Span, Tally, ledger_of, read_ledger
from sat_hook.reconciliation.model import ORDER_COLUMNS, Break, DayClose, SaldoEquation, SettlementFile
from sat_hook.reconciliation.netting import sold, taken_of
from sat_hook.reconciliation.settlement import Keep
from sat_hook.reconciliation.settlement_cache import SettlementCache, files_near
from sat_hook.reconciliation.settlement_findings import DayFiles, is_of_refund
from sat_hook.reconciliation.settlement_match import SettlementMatch, late_missing, match_settlement, no_file
from sat_hook.reconciliation.settlement_rows import SettlementRows
from sat_hook.reconciliation.status_match import judge_again, match_evidence
from sat_hook.store.database import Database
from sat_hook.store.days import DayReader

REFUND_DAYS = 35
"""Refunds are searched for in the files of this many days after the sale."""


def compute_close(
    database: Database,
    keep: Keep,
    recorded: Iterable[RecordedEvent],
    account: str,
    day: BusinessDay,
    position: int,
    reader: type[DayReader] = DayReader,
) -> DayClose:
    """Compute the close of a day as of a position. Writes nothing.

    :param recorded: the account's stream.
    :param reader: where movements come from; by default the rows that appends have kept.
    """
    books = fold_books(account, recorded, up_to=position, for_day=day.day)
    shelf = SettlementCache(keep)
    # Many installations would end a transaction that idles while a file is read.
    shelf.put(files_near(books, day.day))
    with reader.opened(database, account, position) as opened:
        return _Closing(opened, shelf, books, day).close()


class _Closing:
    """The shared state of one computation's steps."""

    def __init__(
        self, reader: DayReader, shelf: SettlementCache, books: AccountBooks, day: BusinessDay
    ) -> None:
        self._reader = reader
        self._shelf = shelf
        self._books = books
        self._day = day = day_in_chain(books, day.day, day.cut_off_minutes)
        self._last = books.before(day.day)
        follows = self._last is not None and self._last.event.day == day.day - timedelta(days=1)
        self._yesterday = (
            self._last if follows and self._last is not None and self._last.event.saldo else None
        )
        self._opening = deposit_match.opening_look(books, day, self._yesterday)
        self._closing = deposit_match.look_near(books, day.closes_at)
        self._span = Span(
            opens_at=day.opens_at,
            closes_at=day.closes_at,
            opening_at=self._opening.observed_at if self._opening else day.opens_at,
            closing_at=self._closing.observed_at if self._closing else day.closes_at,
            position=reader.position,
            before=self._last.event.position if self._last is not None else 0,
            follows=self._yesterday is not None,
        )

    def close(self) -> DayClose:
        ledger = read_ledger(self._reader, self._span)
        log = Tally(*self._reader.totals(self._span.opens_at, self._span.closes_at))
        signed = match_evidence(self._reader, self._finder(MatchKind.EVIDENCE), ledger.rows, self._span)
        settled = self._settle(self._day, ledger)
        equation, in_transit = self._equation(ledger)
        broken = deposit_match.judge_equation(self._finder(MatchKind.SALDO), equation) if equation else None
        controls = control_totals.control_totals(log, ledger, self._opening, in_transit, self._yesterday)
        found = [
            *signed.breaks,
            *settled.breaks,
            *([broken] if broken else []),
            *control_totals.control_breaks(
                self._finder(MatchKind.CONTROL), self._day, controls, self._opening, self._closing, self._last
            ),
            *file_breaks(self._books, self._day.day),
            *self._late_settlements(),
            *self._late_successes(ledger.rows),
        ]
        breaks = self._with_earlier(found)
        kinds = [item.match for item in breaks if item.first_seen == self._day.day]
        matches = (
            signed.totals,
            settled.totals,
            deposit_match.totals_of(equation, kinds.count(MatchKind.SALDO)),
            control_totals.totals_of(controls, kinds.count(MatchKind.CONTROL)),
        )
        top_ups = deposit_match.top_ups_between(self._books, self._span.opening_at, self._span.closing_at)
        return DayClose(
            account=self._books.account,
            business_day=self._day,
            position=self._span.position,
            orders=_orders(ledger.rows, settled, breaks),
            matches=matches,
            saldo=equation,
            breaks=tuple(breaks),
            controls=controls,
            settlement_files=tuple(
                _shown_file(posted, self._shelf.rows(posted))
                for posted in self._books.settlements_of(self._day.day)
            ),
            top_ups=tuple(deposit_match.shown_top_up(posted) for posted in top_ups),
            adjustments=adjustments_of(self._reader, self._books, ledger.rows, self._span),
        )

    def _finder(self, match: MatchKind, day: date | None = None) -> BreakFactory:
        return BreakFactory(self._books.account, match, day or self._day.day)

    def _equation(self, ledger: Ledger) -> tuple[SaldoEquation | None, int]:
        in_transit = int(ledger.rows["in_transit_opening_rupiah"].sum())
        if self._opening is None or self._closing is None:
            return None, in_transit
        kept = self._yesterday.event.saldo if self._yesterday is not None else None
        credited = deposit_match.top_ups_between(
            self._books, self._opening.observed_at, self._closing.observed_at
        )
        equation = deposit_match.equation_of(
            self._opening,
            self._closing,
            ledger.rows,
            sum(posted.event.amount_rupiah for posted in credited),
            kept.in_transit_closing_rupiah if kept is not None else in_transit,
        )
        return equation, in_transit

    def _settle(self, day: BusinessDay, ledger: Ledger) -> SettlementMatch:
        files = self._files_of(day.day)
        if files is None:
            return no_file(ledger.rows)
        finder = self._finder(MatchKind.SETTLEMENT, day.day)
        found = match_settlement(finder, day, ledger.rows, files, self._look_up)
        return replace(found, breaks=(*found.breaks, *self._doubts(finder)))

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

    def _day_of(self, moment: datetime) -> date:
        return day_of(self._books, moment, self._day.cut_off_minutes)

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

    def _late_settlements(self) -> list[Break]:
        """Return what files show that came after their day was certified, as adjustments of today."""
        found: list[Break] = []
        for day, certificate in sorted(self._books.certified.items()):
            since = self._books.told_up_to(certificate)
            files = self._books.settlements_of(day)
            if day == self._day.day or not any(posted.posted.position > since for posted in files):
                continue
            business_day = closed_day(self._books, day, self._day.cut_off_minutes)
            span = Span(
                business_day.opens_at,
                business_day.closes_at,
                business_day.opens_at,
                business_day.closes_at,
                self._span.position,
                0,
            )
            ledger = read_ledger(self._reader, span)
            found += [
                replace(item, first_seen=self._day.day, is_adjustment=True)
                for item in self._settle(business_day, ledger).breaks
            ]
        return found

    def _late_successes(self, rows: pd.DataFrame) -> list[Break]:
        """Orders of earlier days that succeeded in this one, and that are missing from their own day's files
        and all later ones. Checked once the day's own files have come."""
        opens_at, closes_at = pd.Timestamp(self._day.opens_at), pd.Timestamp(self._day.closes_at)
        is_news = (rows["ended_at"] >= opens_at) | (rows["before_state"] != OrderState.SUCCEEDED.value)
        is_late = (rows["sent_at"] < opens_at) & (rows["ended_at"] < closes_at) & is_news
        is_late &= rows["state"] == OrderState.SUCCEEDED.value
        if not is_late.any() or not self._books.settlements_of(self._day.day):
            return []
        found: list[Break] = []
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
            business_day = closed_day(self._books, day, self._day.cut_off_minutes)
            missing = late_missing(
                self._finder(MatchKind.SETTLEMENT, day), business_day, orders, files, later
            )
            found += [
                replace(item, first_seen=self._day.day, is_adjustment=day in self._books.certified)
                for item in missing
            ]
        return found

    def _with_earlier(self, found: Sequence[Break]) -> list[Break]:
        carried: list[Break] = []
        if self._last is not None:
            # A break that a person ended is not carried; but while its evidence stands, it is not a new break
            # either.
            again = self._books.given_up_in(self._last, {item.break_id for item in found})
            carried = [break_of(booked) for booked in (*self._books.carried_from(self._last), *again)]
        together = carry(
            self._books,
            carried,
            found,
            {MatchKind.EVIDENCE: self._judge_evidence, MatchKind.SETTLEMENT: self._judge_settlement},
            self._span.before,
        )
        standing = {
            item.request_id
            for item in together
            if item.match is MatchKind.SETTLEMENT and item.day < self._day.day and not item.state.is_final
        }
        # The break of the sale says what is left of it after every refund since.
        together = [
            item
            for item in together
            if item.day < self._day.day
            or item.request_id not in standing
            or not is_of_refund(item, self._books.account)
        ]
        breaks = decided(self._books, together, self._day.cut_off_minutes)
        return sorted(breaks, key=lambda item: (item.first_seen, item.break_id))

    def _judge_evidence(self, day: date, items: Sequence[Break]) -> Iterable[Break]:
        rows = self._look_up([item.request_id for item in items if item.request_id])
        return judge_again(self._reader, self._finder(MatchKind.EVIDENCE, day), rows, self._span)

    def _judge_settlement(self, day: date, items: Sequence[Break]) -> Iterable[Break]:
        files = self._files_of(day)
        if files is None:
            return ()
        ids = [item.request_id for item in items if item.request_id]
        rows = self._look_up(ids)
        business_day = closed_day(self._books, day, self._day.cut_off_minutes)
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
        return (*found.breaks, *self._doubts(finder))

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


def _orders(rows: pd.DataFrame, settled: SettlementMatch, breaks: Sequence[Break]) -> pd.DataFrame:
    """Return the rows as the report shows them."""
    named = pd.Series([item.request_id for item in breaks if item.request_id], dtype="str").value_counts()
    count = rows["request_id"].map(named).fillna(0) if len(named) else 0
    orders = rows.assign(evidence=rows["end_proof"], settlement=settled.standing, breaks=count)
    return orders[list(ORDER_COLUMNS)].astype(ORDER_COLUMNS)


def _shown_file(posted: PostedSettlement, rows: SettlementRows) -> SettlementFile:
    return SettlementFile(
        name=posted.event.name,
        digest=posted.event.digest,
        rows=posted.event.rows,
        rupiah=int(rows.frame["rupiah"].sum()),
        position=posted.posted.position,
    )
