"""Compares the derived tables with the log in one snapshot, or rebuilds them from it (law 5)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json
from pydantic import ValidationError

from sat_hook.audit.findings import Counted, Finding, FindingKind, Report
from sat_hook.audit.log_reader import Placed, each_stream
from sat_hook.domain.account import AccountStanding, fold_account
from sat_hook.domain.batch import Batch, fold_batch
from sat_hook.domain.event import UnknownEventError
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.export import Export, fold_export
from sat_hook.domain.grouping import grouped
from sat_hook.domain.order import Order
from sat_hook.domain.order_movements import OrderMovement, PlacedMovement, fold_with_movements, moving_types
from sat_hook.domain.order_sums import OrderSums, sums_of
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore, as_json, projection_row
from sat_hook.store.statements import queries

STREAMS_PER_GROUP = 500


class RebuildRefusedError(RuntimeError):
    """The log cannot be folded, so nothing was rebuilt or changed. Verify the log first."""


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


@dataclass(frozen=True, slots=True)
class Folded:
    """The fold of a stream's events, the first and the last of them, and the head that the store keeps."""

    stream: StreamId
    head: int | None
    first: RecordedEvent
    last: RecordedEvent
    after: Order | Batch | AccountStanding | Export
    movements: tuple[PlacedMovement, ...] = ()

    @property
    def version(self) -> int:
        """The version that the stream's head must have."""
        return self.last.version


def compare_projections(database: Database, report: Report) -> Comparison:
    """Fold the whole log and compare it with orders, batches and heads, in one snapshot.

    Price intervals are compared with the evidence of the price snapshots.

    :raises StoreUnavailableError: the database gave up.
    """
    closed = PostgresEventStore(database).close_position()
    counted = Counted(report)
    compared: Counter[StreamKind] = Counter()
    with database.transaction(snapshot=True) as connection:
        queries("audit").keep_derived_tables_in_place(connection)
        for group in grouped(each_folded(connection, counted), STREAMS_PER_GROUP):
            compared.update(folded.stream.kind for folded in group)
            compare_group(connection, group, counted)
        for table, stream in queries("audit").projections_without_events(connection):
            counted(
                Finding(
                    FindingKind.PROJECTION_WITHOUT_EVENTS, stream, None, None, f"a row in {table}", "no row"
                )
            )
        for position, request_id in queries("audit").movements_without_events(
            connection, types=moving_types()
        ):
            stream = str(StreamId(StreamKind.ORDER, request_id))
            counted(
                Finding(
                    FindingKind.PROJECTION_WITHOUT_EVENTS,
                    stream,
                    None,
                    position,
                    "a row in order_movements",
                    "no row",
                )
            )
        for stream, version in queries("audit").heads_without_events(connection):
            counted(
                Finding(
                    FindingKind.HEAD_WITHOUT_EVENTS,
                    stream,
                    None,
                    None,
                    f"head {version}, no event",
                    "no head",
                )
            )
        for (product,) in queries("audit").differing_product_prices(connection):
            counted(
                Finding(
                    FindingKind.PROJECTION_DIFFERS,
                    f"product_prices of {product or 'an unknown product'}",
                    None,
                    None,
                    "other intervals",
                    "what the price snapshots found",
                )
            )
    return Comparison(closed, compared[StreamKind.ORDER], compared[StreamKind.BATCH], counted.counts)


def rebuild_projections(database: Database) -> Rebuilt:
    """Empty the derived tables and fill them from the log, in one transaction under the log's lock.

    Appends wait until it ends; readers see the old rows until the commit.

    :param database: as the schema's owner.
    :raises RebuildRefusedError: the log cannot be folded; nothing was changed.
    :raises StoreUnavailableError: the database gave up; nothing was changed.
    """
    room = queries("audit")
    rebuilt: Counter[StreamKind] = Counter()

    def refuse(finding: Finding) -> None:
        raise RebuildRefusedError(str(finding))

    with database.transaction() as connection:
        room.wait_without_limit(connection)
        room.lock_log(connection)
        room.empty_derived_tables(connection)
        room.refill_product_prices(connection)
        room.collect_movements(connection)
        for group in grouped(each_folded(connection, Counted(refuse)), STREAMS_PER_GROUP):
            rebuilt.update(folded.stream.kind for folded in group)
            room.refill_heads(
                connection,
                streams=[str(folded.stream) for folded in group],
                versions=[folded.version for folded in group],
            )
            orders = [
                {**projection_row(folded.stream, folded.after), "changed_at": folded.last.occurred_at}
                for folded in group
                if folded.stream.kind is StreamKind.ORDER
            ]
            room.refill_orders(connection, orders=as_json(orders, exclude_none=True))
            movements = [moved.row() for folded in group for moved in folded.movements]
            room.refill_movements(connection, movements=as_json(movements, exclude_none=True))
            batches = [folded for folded in group if folded.stream.kind is StreamKind.BATCH]
            room.refill_batches(
                connection,
                keys=[folded.stream.key for folded in batches],
                documents=[Json(_document(folded)) for folded in batches],
                submitted_by=[folded.first.provenance.actor for folded in batches],
                submitted_at=[folded.first.occurred_at for folded in batches],
            )
            accounts = [folded for folded in group if folded.stream.kind is StreamKind.ACCOUNT]
            room.refill_accounts(
                connection,
                keys=[folded.stream.key for folded in accounts],
                documents=[Json(_document(folded)) for folded in accounts],
            )
        room.put_movements_in_order(connection)
    return Rebuilt(rebuilt[StreamKind.ORDER], rebuilt[StreamKind.BATCH])


def each_folded(connection: Connection, report: Report, until: int | None = None) -> Iterator[Folded]:
    """Every stream that folds, up to a position if one is given; for the others the reason is reported."""
    for stream, placed in each_stream(connection, report, until):
        folded = fold_stream(stream, list(placed), report)
        if folded is not None:
            yield folded


def fold_stream(stream: StreamId, placed: list[Placed], report: Report) -> Folded | None:
    """Fold one stream. Its events are few enough to fit into memory."""
    last = placed[-1]
    events = ((item.recorded.event, item.recorded.occurred_at) for item in placed)
    after: Order | Batch | AccountStanding | Export | None
    movements: list[PlacedMovement] = []
    try:
        match stream.kind:
            case StreamKind.ORDER:
                after, movements = fold_with_movements(stream.key, [item.recorded for item in placed])
            case StreamKind.BATCH:
                after = fold_batch(stream.key, events)
            case StreamKind.ACCOUNT:
                after = fold_account(stream.key, events)
            case StreamKind.EXPORT:
                after = fold_export(stream.key, events)
    except (UnknownEventError, ValidationError, ValueError) as error:
        # Validation errors quote values, so only our own messages are passed on.
        found = type(error).__name__ if isinstance(error, ValidationError) else str(error)
        report(
            Finding(
                FindingKind.STREAM_DOES_NOT_FOLD,
                str(stream),
                last.recorded.version,
                last.recorded.position,
                found,
                "events that follow each other",
            )
        )
        return None
    assert after is not None
    return Folded(stream, last.head, placed[0].recorded, last.recorded, after, tuple(movements))


def compare_group(
    connection: Connection, group: list[Folded], report: Report, *, same_shape: bool = True
) -> None:
    """Compare folds with the stored rows and heads.

    :param same_shape: False when another release filled the tables; members that only one of the two releases
        knows are then ignored.
    """
    room = queries("audit")
    documents_of = {
        StreamKind.ORDER: room.documents_of_orders,
        StreamKind.BATCH: room.documents_of_batches,
        StreamKind.ACCOUNT: room.documents_of_accounts,
    }
    kept = {
        kind: dict(read(connection, keys=[f.stream.key for f in group if f.stream.kind is kind]))
        for kind, read in documents_of.items()
    }
    if same_shape:
        _compare_sums(connection, group, report)
        _compare_submissions(connection, group, report)
        _compare_movements(connection, group, report)
    for folded in group:
        name, version = str(folded.stream), folded.version
        if folded.head is None:
            report(Finding(FindingKind.HEAD_MISSING, name, version, None, "no head", f"head {version}"))
        elif folded.head != version:
            report(
                Finding(
                    FindingKind.HEAD_MISMATCH, name, version, None, f"head {folded.head}", f"head {version}"
                )
            )
        if folded.stream.kind not in kept:
            continue  # exports have no table: they are few and folded on demand
        document = kept[folded.stream.kind].get(folded.stream.key)
        expected = _document(folded)
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


def _compare_sums(connection: Connection, group: list[Folded], report: Report) -> None:
    """Compare the stored sums of orders with their folds; orders without a row are reported elsewhere."""
    orders = {f.stream.key: (f, f.after) for f in group if isinstance(f.after, Order)}
    for key, changed_at, *sums in queries("audit").sums_of_orders(connection, keys=list(orders)):
        folded, order = orders[key]
        kept = {"changed_at": changed_at, **OrderSums(*sums)._asdict()}
        expected = {"changed_at": folded.last.occurred_at, **sums_of(order)._asdict()}
        if members := sorted(name for name in kept if kept[name] != expected[name]):
            report(_differs(folded, members))


def _compare_submissions(connection: Connection, group: list[Folded], report: Report) -> None:
    """Compare who submitted each batch, and when, with its first event."""
    batches = {folded.stream.key: folded for folded in group if folded.stream.kind is StreamKind.BATCH}
    for key, actor, moment in queries("audit").submissions_of_batches(connection, keys=list(batches)):
        folded = batches[key]
        wrong = {
            "submitted_by": actor != folded.first.provenance.actor,
            "submitted_at": moment != folded.first.occurred_at,
        }
        if any(wrong.values()):
            report(_differs(folded, (name for name, differs in wrong.items() if differs)))


def _compare_movements(connection: Connection, group: list[Folded], report: Report) -> None:
    """Compare what each event has left of its order; a stream is reported once."""
    positions = [moved.position for folded in group for moved in folded.movements]
    kept = {row[0]: row for row in queries("audit").movements_at(connection, positions=positions)}
    for folded in group:
        for moved in folded.movements:
            expected = tuple(moved.row().values())
            if (row := kept.get(moved.position)) != expected:
                found = "no row in order_movements" if row is None else "another row in order_movements"
                report(
                    Finding(
                        FindingKind.PROJECTION_MISSING if row is None else FindingKind.PROJECTION_DIFFERS,
                        str(folded.stream),
                        folded.version,
                        moved.position,
                        found,
                        "the fold of the stream's events",
                    )
                )
                break


def _differs(folded: Folded, members: Iterable[str]) -> Finding:
    return Finding(
        FindingKind.PROJECTION_DIFFERS,
        str(folded.stream),
        folded.version,
        None,
        f"other values in {', '.join(members)}",
        "the fold of the stream's events",
    )


def _document(folded: Folded) -> dict[str, Any]:
    """What the store keeps of a fold."""
    return folded.after.model_dump(mode="json", exclude_none=folded.stream.kind is StreamKind.ORDER)


def projection_shape() -> str:
    """A fingerprint of the shape of this release's derived tables."""
    models = (Order, Batch, AccountStanding)
    rows = (OrderSums._fields, OrderMovement._fields, ("changed_at",), ("submitted_by", "submitted_at"))
    schemas = [*(model.model_json_schema() for model in models), *rows]
    return hashlib.sha256(json.dumps(schemas, sort_keys=True).encode("utf-8")).hexdigest()


def rebuild_after_upgrade(database: Database) -> Rebuilt | None:
    """Rebuild the derived tables if another release filled them; None when there was nothing to do.

    The shape is stored in the schema's comment, so that a restored database carries it.

    :param database: as the schema's owner.
    :raises RebuildRefusedError: the log cannot be folded; nothing was changed.
    :raises StoreUnavailableError: the database gave up; nothing was changed.
    """
    room, wanted = queries("audit"), projection_shape()
    with database.transaction() as connection:
        found = room.kept_shape(connection)
    if found == wanted:
        return None
    rebuilt = rebuild_projections(database)
    with database.transaction() as connection:
        room.keep_shape(connection, shape=wanted)
    return rebuilt
