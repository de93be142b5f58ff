"""Compares the derived tables with the log in one snapshot, or rebuilds them from it (law 5)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter

from psycopg2.extensions import connection as Connection
from pydantic import ValidationError

from sat_hook.audit.breaks_in_log import compare_breaks
from sat_hook.audit.errors import RebuildRefusedError
from sat_hook.audit.findings import Counted, Finding, FindingKind, Report, report_unplaced
from sat_hook.domain.account import AccountStanding, fold_account
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_decisions import BATCH_DECIDER
from sat_hook.domain.console_users import USER_DECIDER
from sat_hook.domain.errors import UnknownEventError
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.export import EXPORT_DECIDER
from sat_hook.domain.grouping import grouped
from sat_hook.domain.guards import LimitUsage, Usage
from sat_hook.domain.order import Order
from sat_hook.domain.order_movements import OrderMovement, OrderSums, PlacedMovement, fold_with_movements
from sat_hook.domain.rights_seen import RIGHTS_DECIDER
from sat_hook.domain.verifications import VERIFICATION_DECIDER
from sat_hook.domain.webhooks import WEBHOOK_DECIDER
from sat_hook.store.breaks import FollowedTables
from sat_hook.store.database import Database
from sat_hook.store.event_store import Document
from sat_hook.store.log import Placed, each_stream
from sat_hook.store.log_archives import archives_in
from sat_hook.store.order_rows import ORDER_COLUMNS
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.projections import (
    KEPT,
    SUBMISSION_COLUMNS,
    DerivedTables,
    DifferingUsage,
    Folded,
    kept_still,
    remove_invented,
    repair_usage,
    streams_by_name,
)

STREAMS_PER_GROUP = 500
STREAMS_PER_LOCK = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what differed."""

    closed_position: int
    orders: int
    batches: int
    counts: Counter[FindingKind]

    @property
    def is_clean(self) -> bool:
        """True when every derived row agrees with the log."""
        return not self.counts


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many rows were written."""

    orders: int
    batches: int


def compare_projections(database: Database, report: Report) -> Comparison:
    """Fold the whole log and compare it with orders, batches and heads, in one snapshot.

    Price intervals are compared with the evidence of the price snapshots, breaks with what the accounts'
    events say up to where each reader of breaks has followed them.

    :raises StoreUnavailableError: the database gave up.
    """
    closed = PostgresEventStore(database).horizon()
    counted = Counted(report)
    compared: Counter[StreamKind] = Counter()
    used = LimitUsage()
    with database.transaction(snapshot=True) as connection:
        tables = DerivedTables(connection)
        tables.keep_in_place()
        for group in grouped(each_folded(connection, counted), STREAMS_PER_GROUP):
            compared.update(folded.stream.kind for folded in group)
            compare_group(tables, group, counted)
            used.add((None, folded.after) for folded in group if isinstance(folded.after, Order))
        for table, stream, position in tables.rows_without_events():
            kind, found = FindingKind.PROJECTION_WITHOUT_EVENTS, f"a row in {table}"
            counted(Finding(kind, stream, None, position, found, "no row"))
        for stream, version in tables.heads_without_events():
            found = f"head {version}, no event"
            counted(Finding.at(FindingKind.HEAD_WITHOUT_EVENTS, stream, found, "no head"))
        for product in tables.differing_prices():
            place = f"product_prices of {product or 'an unknown product'}"
            expected = "what the price snapshots found"
            counted(Finding.at(FindingKind.PROJECTION_DIFFERS, place, "other intervals", expected))
        report_usage(_differing_usage(tables, used), counted)
        compare_breaks(FollowedTables(connection), counted)
    return Comparison(closed, compared[StreamKind.ORDER], compared[StreamKind.BATCH], counted.counts)


def report_usage(differing: Iterable[DifferingUsage], report: Report) -> None:
    """Report where the use of limits is not that of the orders."""
    for account, scope, found, expected in differing:
        place = f"limit_usage of {account}, {scope}"
        found_text, expected_text = (f"{use.orders} orders, {use.rupiah} rupiah" for use in (found, expected))
        report(Finding.at(FindingKind.PROJECTION_DIFFERS, place, found_text, expected_text))


def _differing_usage(tables: DerivedTables, expected: LimitUsage) -> Iterator[DifferingUsage]:
    kept = dict(tables.usage())
    for key in sorted(kept.keys() | expected.keys()):
        if (found := kept.get(key, Usage())) != (wanted := expected.get(key, Usage())):
            yield DifferingUsage(*key, found, wanted)


def rebuild_projections(database: Database) -> Rebuilt:
    """Make the derived tables what the log says, some streams at a time, while appends go on.

    The whole log is folded first, without a change. Then the rows of a few streams at a time are written
    while their heads are locked, as an append locks them: an append waits only for its own streams.

    :param database: as the schema's owner.
    :raises RebuildRefusedError: the log cannot be folded; nothing was changed.
    :raises StoreUnavailableError: the database gave up; rows that were written are right.
    """
    rebuilt: Counter[StreamKind] = Counter()

    def refuse(finding: Finding) -> None:
        raise RebuildRefusedError(str(finding))

    report = Counted(refuse)
    with database.transaction(snapshot=True) as connection:
        for _ in each_folded(connection, report):
            pass
    remove_invented(database)
    for streams in streams_by_name(database, STREAMS_PER_LOCK):
        with kept_still(database, streams) as (tables, events):
            group = [
                folded
                for stream, recorded in groupby(events, key=attrgetter("stream"))
                if (folded := fold_stream(stream, [Placed(event, None) for event in recorded], report))
            ]
            tables.refill(group)
        rebuilt.update(folded.stream.kind for folded in group)
    repair_usage(database)
    return Rebuilt(rebuilt[StreamKind.ORDER], rebuilt[StreamKind.BATCH])


def each_folded(connection: Connection, report: Report, until: int | None = None) -> Iterator[Folded]:
    """Every stream that folds, up to a position if one is given; for the others the reason is reported.

    Archived streams are left out.
    """
    for stream, placed in each_stream(connection, partial(report_unplaced, report), last_position=until):
        events = list(placed)
        if events[0].recorded.version > 1 and archives_in(connection).is_archived(stream):
            continue  # its earlier events are in a file only; its rows stay as they are
        folded = fold_stream(stream, events, report)
        if folded is not None:
            yield folded


def fold_stream(stream: StreamId, placed: list[Placed], report: Report) -> Folded | None:
    """Fold one stream. Its events are few enough to fit into memory."""
    last = placed[-1]
    events = ((item.recorded.event, item.recorded.occurred_at) for item in placed)
    after: Document | None
    movements: list[PlacedMovement] = []
    try:
        match stream.kind:
            case StreamKind.ORDER:
                after, movements = fold_with_movements(stream.key, [item.recorded for item in placed])
            case StreamKind.BATCH:
                after = BATCH_DECIDER.fold(stream.key, events)
            case StreamKind.ACCOUNT:
                after = fold_account(stream.key, events)
            case StreamKind.EXPORT:
                after = EXPORT_DECIDER.fold(stream.key, events)
            case StreamKind.USER:
                after = USER_DECIDER.fold(stream.key, events)
            case StreamKind.LOG:
                after = VERIFICATION_DECIDER.fold(stream.key, events)
            case StreamKind.RIGHTS:
                after = RIGHTS_DECIDER.fold(stream.key, events)
            case StreamKind.WEBHOOK:
                after = WEBHOOK_DECIDER.fold(stream.key, events)
    except (UnknownEventError, ValidationError, ValueError) as error:
        # Validation errors quote values, so only our own messages are passed on.
        found = type(error).__name__ if isinstance(error, ValidationError) else str(error)
        kind, expected = FindingKind.STREAM_DOES_NOT_FOLD, "events that follow each other"
        report(Finding.at(kind, last.recorded, found, expected))
        return None
    assert after is not None
    return Folded(stream, last.head, placed[0].recorded, last.recorded, after, tuple(movements))


def compare_group(
    tables: DerivedTables, group: list[Folded], report: Report, *, same_shape: bool = True
) -> None:
    """Compare folds with the stored rows and heads.

    :param same_shape: False when another release filled the tables; members that only one of the two releases
        knows are then ignored.
    """
    kept = tables.documents(group)
    if same_shape:
        _compare_columns(tables, group, report)
        _compare_movements(tables, group, report)
    for folded in group:
        name, version = str(folded.stream), folded.version
        if folded.head is None:
            report(Finding(FindingKind.HEAD_MISSING, name, version, None, "no head", f"head {version}"))
        elif folded.head != version:
            kind, found = FindingKind.HEAD_MISMATCH, f"head {folded.head}"
            report(Finding(kind, name, version, None, found, f"head {version}"))
        if folded.stream.kind not in KEPT:
            continue
        document, expected = kept.get(folded.stream), folded.document
        if document is None:
            report(Finding(FindingKind.PROJECTION_MISSING, name, version, None, "no row", "a row"))
        elif document != expected:
            # An unset member is absent, or null if an older release wrote it.
            known = document.keys() | expected.keys()
            compared = known if same_shape else document.keys() & type(folded.after).model_fields.keys()
            members = sorted(m for m in compared if document.get(m) != expected.get(m))
            if not members:
                continue
            report(_differs(folded, members))


def _compare_columns(tables: DerivedTables, group: list[Folded], report: Report) -> None:
    """Compare what is stored beside the documents; streams without a row are reported elsewhere."""
    stored = tables.columns(group)
    for folded in group:
        expected = folded.columns
        kept = stored.get(folded.stream, expected)
        if members := sorted(name for name in kept if kept[name] != expected[name]):
            report(_differs(folded, members))


def _compare_movements(tables: DerivedTables, group: list[Folded], report: Report) -> None:
    """Compare what each event has left of its order; a stream is reported once."""
    kept = tables.movements_at([moved.position for folded in group for moved in folded.movements])
    for folded in group:
        for moved in folded.movements:
            expected = tuple(moved.row().values())
            if (row := kept.get(moved.position)) != expected:
                found = "no row in order_movements" if row is None else "another row in order_movements"
                kind = FindingKind.PROJECTION_MISSING if row is None else FindingKind.PROJECTION_DIFFERS
                place, wanted = str(folded.stream), "the fold of the stream's events"
                report(Finding(kind, place, folded.version, moved.position, found, wanted))
                break


def _differs(folded: Folded, members: Iterable[str]) -> Finding:
    name, found = str(folded.stream), f"other values in {', '.join(members)}"
    expected = "the fold of the stream's events"
    return Finding(FindingKind.PROJECTION_DIFFERS, name, folded.version, None, found, expected)


def projection_shape() -> str:
    """A fingerprint of the shape of this release's derived tables."""
    models = (Order, Batch, AccountStanding)
    rows = (OrderSums._fields, OrderMovement._fields, (*ORDER_COLUMNS, "changed_at"), SUBMISSION_COLUMNS)
    schemas = [*(model.model_json_schema() for model in models), *rows]
    return hashlib.sha256(json.dumps(schemas, sort_keys=True).encode("utf-8")).hexdigest()


def rebuild_after_upgrade(database: Database) -> Rebuilt | None:
    """Rebuild the derived tables if another release filled them; None when there was nothing to do.

    The shape is stored in the schema's comment, so that a restored database carries it.

    :param database: as the schema's owner.
    :raises RebuildRefusedError: the log cannot be folded; nothing was changed.
    :raises StoreUnavailableError: the database gave up; nothing was changed.
    """
    wanted = projection_shape()
    with database.transaction() as connection:
        if DerivedTables(connection).shape() == wanted:
            return None
    rebuilt = rebuild_projections(database)
    with database.transaction() as connection:
        DerivedTables(connection).keep_shape(wanted)
    return rebuilt
