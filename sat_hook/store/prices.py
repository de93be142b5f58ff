"""The history of product prices: attempts to read a list, their changes, and what was listed when.

Attempts and changes are evidence and only grow. The intervals are derived from them in the same transaction.
:meth:`PriceHistory.locked` is one transaction under one lock per account, so concurrent snapshots are
    recorded one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import starmap
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection

from sat_hook.domain.prices import (
    ChangeKind,
    KnownProduct,
    ListedProduct,
    PricePeriod,
    PriceSnapshot,
    ProductChange,
    RecordedChange,
    SnapshotOutcome,
)
from sat_hook.store.database import OneTransaction
from sat_hook.store.event_store import EventStore
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import Statements, queries, run, streamed

MAXIMUM_SIMILAR_CODES = 5


@dataclass(frozen=True, slots=True)
class Unannounced:
    """A snapshot whose changes must be announced."""

    snapshot_id: int
    asked_at: datetime
    changes: int


@dataclass(frozen=True, slots=True)
class OrderMargin:
    """One sent order, with the price that was listed at that moment. Rupiah, UTC.

    ``listed_rupiah``, ``is_inquiry``, ``listed_since`` are None when no price list is known for that moment;
    ``sales_price_rupiah`` is what SAT charged, ``partner_fee_rupiah`` our commission (protocol 5.6).
    """

    order_id: str
    request_id: str
    batch_id: str
    row_number: int
    product_code: str
    product_name: str | None
    state: str
    ordered_at: datetime
    listed_rupiah: int | None
    is_inquiry: bool | None
    listed_since: datetime | None
    quote_rupiah: int | None
    sales_price_rupiah: int | None
    admin_fee_rupiah: int | None
    partner_fee_rupiah: int | None


class ChangePlace(NamedTuple):
    """The place of a change in the list of changes, the newest first."""

    seen_at: datetime
    snapshot_id: int
    code: str

    @classmethod
    def of(cls, recorded: RecordedChange) -> ChangePlace:
        return cls(recorded.seen_at, recorded.snapshot_id, recorded.change.code)


@dataclass(frozen=True, slots=True)
class DayMargin:
    """What the succeeded orders of a product cost and earned that were first sent on one WIB day. Rupiah.

    :param without_fee: how many of them have no partner fee, so their margin is unknown.
    """

    day: date
    product_code: str
    orders: int
    sales_price_rupiah: int
    margin_rupiah: int
    without_fee: int


class LockedHistory:
    """One account's history, locked against other recorders.

    :ivar connection: the transaction, for other writes that must commit or roll back with it.
    :ivar store: the event store inside the same transaction.
    """

    def __init__(self, connection: Connection, account: str) -> None:
        self.connection = connection
        self.store: EventStore = PostgresEventStore(OneTransaction(connection))
        self._account = account
        self._prices = queries("prices")

    def last_complete_at(self) -> datetime | None:
        """When the newest accepted price list was requested; None before the first."""
        return _moment_or_none(self._prices.last_complete_at(self.connection, account=self._account))

    def known(self) -> dict[str, KnownProduct]:
        """Every product of the account by code, as last listed."""
        return _known(self.connection, self._account)

    def keep(self, snapshot: PriceSnapshot, changes: Sequence[ProductChange]) -> int:
        """Store a complete snapshot with its changes; returns its number."""
        snapshot_id = _record(self.connection, snapshot)
        if changes:
            self._keep_changes(snapshot_id, snapshot.asked_at, changes)
        return snapshot_id

    def keep_attempt(self, snapshot: PriceSnapshot) -> int:
        """Keep an attempt from which nothing follows; returns its number."""
        return _record(self.connection, snapshot)

    def _keep_changes(self, snapshot_id: int, at: datetime, changes: Sequence[ProductChange]) -> None:
        new = [change.code for change in changes if change.kind is ChangeKind.APPEARED]
        if new:
            self._prices.add_products(self.connection, account=self._account, codes=new, seen_at=at)
        nothing = (None,) * len(ListedProduct._fields)
        columns = list(zip(*(change.after or nothing for change in changes), strict=True))
        _, names, prices_rupiah, are_inquiry, statuses, operator_names, category_names = map(list, columns)
        self._prices.record_changes(
            self.connection,
            snapshot_id=snapshot_id,
            account=self._account,
            codes=[change.code for change in changes],
            kinds=[change.kind.value for change in changes],
            names=names,
            prices_rupiah=prices_rupiah,
            are_inquiry=are_inquiry,
            statuses=statuses,
            operator_names=operator_names,
            category_names=category_names,
        )
        self._prices.close_intervals(self.connection, snapshot_id=snapshot_id, at=at)
        self._prices.open_intervals(self.connection, snapshot_id=snapshot_id, at=at)


class PriceHistory(Statements, room="prices"):
    """Prices of all accounts. Every method may also raise StoreRefusedError."""

    @contextmanager
    def locked(self, account: str) -> Iterator[LockedHistory]:
        """To record a price list: one transaction, alone on this account, committed at the block's end."""
        with self._database.transaction() as connection:
            self._sql.lock_history(connection, account=account)
            yield LockedHistory(connection, account)

    def record_attempt(self, snapshot: PriceSnapshot) -> int:
        """Keep an attempt from which nothing follows; returns its number."""
        with self._database.transaction() as connection:
            return _record(connection, snapshot)

    def known(self, account: str) -> dict[str, KnownProduct]:
        """Every product of an account by code, as last listed."""
        with self._database.transaction() as connection:
            return _known(connection, account)

    def accounts(self) -> list[str]:
        """Accounts whose prices were ever requested."""
        return [account for (account,) in self._run(self._sql.accounts)]

    def snapshots(
        self, account: str, since: datetime, until: datetime, limit: int = 10_000, *, before_id: int = 0
    ) -> list[PriceSnapshot]:
        """The attempts in [since, until), newest first; at ``until`` those before an attempt, too."""
        chosen = {"account": account, "since": since, "until": until, "limit": limit, "before_id": before_id}
        return [_snapshot_from(account, row) for row in self._run(self._sql.snapshots_between, **chosen)]

    def complete_moments(self, account: str, since: datetime, until: datetime) -> list[datetime]:
        """When the accepted lists in [since, until) were requested, preceded by the last one before it."""
        statement = self._sql.complete_moments
        rows = run(self._database, statement, account=account, since=since, until=until)
        return [moment for (moment,) in rows]

    def at(self, account: str, code: str, moment: datetime) -> PricePeriod | None:
        """One product as it was listed at a moment; None when it was not."""
        rows = self._run(self._sql.product_at, account=account, product_code=code, at=moment)
        return _period_from(rows[0]) if rows else None

    def periods(self, account: str, code: str) -> list[PricePeriod]:
        """Every listing of one product, oldest first."""
        rows = self._run(self._sql.product_history, account=account, product_code=code)
        return [_period_from(row) for row in rows]

    def similar_codes(self, account: str, text: str) -> list[str]:
        """A few codes similar to ``text``."""
        chosen = {"account": account, "product_code": text, "limit": MAXIMUM_SIMILAR_CODES}
        return [code for (code,) in self._run(self._sql.similar_codes, **chosen)]

    def changes(
        self,
        account: str,
        since: datetime,
        until: datetime,
        limit: int = 1_000_000,
        *,
        after: tuple[int, str] = (0, ""),
    ) -> list[RecordedChange]:
        """The changes in [since, until), oldest first.

        :param after: of the moment ``since``, the snapshot and product of the change before the first one.
        """
        chosen = {"account": account, "since": since, "until": until, "limit": limit}
        place = {"after_id": after[0], "after_code": after[1]}
        return [_change_from(row) for row in self._run(self._sql.changes_between, **chosen, **place)]

    def newest_changes(
        self, account: str, since: datetime, until: datetime, after: ChangePlace | None, limit: int
    ) -> list[RecordedChange]:
        """A page of the changes in [since, until), the newest first.

        :param after: the last change of the page before.
        """
        place = after or ChangePlace(until, 0, "")
        rows = self._run(
            self._sql.newest_changes,
            account=account,
            since=since,
            until=until,
            is_first=after is None,
            after_at=place.seen_at,
            after_snapshot=place.snapshot_id,
            after_code=place.code,
            limit=limit,
        )
        return [_change_from(row) for row in rows]

    def listed_at(self, account: str, moment: datetime) -> dict[str, ListedProduct]:
        """The whole price list of a moment, by code."""
        rows = self._run(self._sql.listed_at, account=account, at=moment)
        return {row[0]: ListedProduct(*row) for row in rows}

    def unannounced(self, account: str, announced_by: str) -> list[Unannounced]:
        """Snapshots whose changes are unannounced, or were announced by ``announced_by`` itself."""
        rows = self._run(self._sql.unannounced, account=account, announced_by=announced_by)
        return [Unannounced(*row) for row in rows]

    def changes_of(self, account: str, snapshot: Unannounced) -> list[RecordedChange]:
        # Complete snapshots of an account never share a moment.
        found = self.changes(account, snapshot.asked_at, _just_after(snapshot.asked_at))
        return [change for change in found if change.snapshot_id == snapshot.snapshot_id]

    def mark_announced(self, snapshot_ids: Sequence[int], announced_by: str, at: datetime) -> None:
        """Mark these changes as announced; earlier announcements keep their announcer."""
        chosen = {"snapshot_ids": list(snapshot_ids), "announced_by": announced_by, "announced_at": at}
        self._run(self._sql.mark_announced, **chosen)

    def margins(self, account: str, since: datetime, until: datetime) -> Iterator[OrderMargin]:
        """Orders that were first sent in [since, until), oldest first."""
        with self._database.transaction() as connection:
            # Streamed: a month may hold millions of orders.
            rows = streamed(connection, self._sql.margins, account=account, since=since, until=until)
            yield from starmap(OrderMargin, rows)

    def margins_by_day(self, account: str, since: datetime, until: datetime) -> list[DayMargin]:
        """Succeeded orders first sent in [since, until), by day and product, the newest day first."""
        rows = self._run(self._sql.margins_by_day, account=account, since=since, until=until)
        return [DayMargin(*row) for row in rows]


def _known(connection: Connection, account: str) -> dict[str, KnownProduct]:
    return {
        row[0]: KnownProduct(ListedProduct(*row[:7]), row[8])
        for row in queries("prices").known_products(connection, account=account)
    }


def _record(connection: Connection, snapshot: PriceSnapshot) -> int:
    number = queries("prices").record_snapshot(
        connection,
        account=snapshot.account,
        outcome=snapshot.outcome.value,
        reason=snapshot.reason,
        asked_at=snapshot.asked_at,
        ended_at=snapshot.ended_at,
        response_digest=snapshot.response_digest,
        listed=snapshot.listed,
        missing=snapshot.missing,
        unconfirmed=snapshot.unconfirmed,
        contradictory=snapshot.contradictory,
        changes=snapshot.changes,
        state_digest=snapshot.state_digest,
        missing_limit_percent=snapshot.missing_limit_percent,
        actor=snapshot.actor,
        cause=snapshot.cause,
    )
    return int(number)


def _snapshot_from(account: str, row: Sequence[Any]) -> PriceSnapshot:
    return PriceSnapshot(
        account=account,
        snapshot_id=row[0],
        outcome=SnapshotOutcome(row[1]),
        reason=row[2],
        asked_at=row[3],
        ended_at=row[4],
        listed=row[5],
        missing=row[6],
        unconfirmed=row[7],
        contradictory=row[8],
        changes=row[9],
        response_digest=row[10],
        state_digest=row[11],
        missing_limit_percent=row[12],
        actor=row[13],
        cause=row[14],
    )


def _period_from(row: Sequence[Any]) -> PricePeriod:
    return PricePeriod(ListedProduct(*row[:7]), row[7], row[8], row[9])


def _change_from(row: Sequence[Any]) -> RecordedChange:
    snapshot_id, seen_at, code, kind = row[:4]
    before, after = row[4:10], row[10:16]
    kind = ChangeKind(kind)
    return RecordedChange(
        snapshot_id,
        seen_at,
        ProductChange(
            kind,
            None if kind is ChangeKind.APPEARED else ListedProduct(code, *before),
            None if kind is ChangeKind.DISAPPEARED else ListedProduct(code, *after),
        ),
    )


def _moment_or_none(value: object) -> datetime | None:
    assert value is None or isinstance(value, datetime)
    return value


def _just_after(moment: datetime) -> datetime:
    return moment + timedelta(microseconds=1)
