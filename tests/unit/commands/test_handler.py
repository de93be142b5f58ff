"""One loop loads, decides, appends and retries, for every kind of stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from sat_hook.commands.aggregates import (
    BATCHES,
    EXPORTS,
    ORDERS,
    Aggregate,
    account_aggregate,
    books_aggregate,
)
from sat_hook.commands.errors import BatchNotFoundError, ContentionError
from sat_hook.commands.handler import ROUNDS, CommandHandler, OrderCommandRequest
from sat_hook.domain.account import PauseAccount, PriceListChanged
from sat_hook.domain.batch_commands import Submit, WithdrawBatch
from sat_hook.domain.batch_events import BatchSubmitted, GoodsDelivered
from sat_hook.domain.books_events import DepositObserved
from sat_hook.domain.decision import Record, RefusalReason
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId
from sat_hook.domain.export import ExportRequested, ExportWritten, HandOutExport
from sat_hook.domain.identity import account_id_of, batch_id_of, export_id_of
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_commands import Receive, Reject, Validate
from sat_hook.domain.order_events import RejectionReason
from sat_hook.store.event_store import Change
from sat_hook.testing.event_store import MemoryEventStore
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock, received, stream_of, submitted

ORDER = {number: stream_of(number).key for number in (1, 2, 3)}
EXPORT = export_id_of("user:ana", "a period", "now")
SUBMITTED = submitted().events[0]
PACK = ExportWritten(
    uri="file:///pack.zip",
    digest="d" * 64,
    size_bytes=9,
    events=1,
    first_checkpoint=None,
    last_checkpoint=None,
)


def seen(minutes: int) -> Record:
    """A look at the deposit so long after the first."""
    at = T0 + timedelta(minutes=minutes)
    return Record(
        DepositObserved(
            account=ACCOUNT, saldo_rupiah=minutes, requested_at=at, received_at=at, response_digest=None
        )
    )


def changed(snapshot: int) -> Record:
    """A price list that differs from the one before."""
    return Record(
        PriceListChanged(
            account=ACCOUNT,
            snapshot_id=snapshot,
            asked_at=T0,
            listed=3,
            changes=1,
            changes_digest="c" * 64,
            state_digest="s" * 64,
        )
    )


REQUEST = Record(
    ExportRequested(
        recorded_from=T0 - timedelta(days=1), recorded_before=T0, with_personal_data=False, reason=""
    )
)


@dataclass(frozen=True)
class Kind:
    """A kind of stream with commands that can follow each other.

    :param begins: brings the stream into being.
    :param first: overtakes ``second`` in a race.
    """

    aggregate: Aggregate[Any, Any]
    key: str
    begins: object
    first: object
    second: object

    def __str__(self) -> str:
        return type(self.begins).__name__


assert isinstance(SUBMITTED, BatchSubmitted)
KINDS = [
    Kind(
        ORDERS,
        ORDER[1],
        Receive(received(1)),
        Validate(False, 1000),
        Reject(RejectionReason.BATCH_REFUSED, ""),
    ),
    Kind(
        BATCHES,
        BATCH,
        Submit(SUBMITTED),
        Record(GoodsDelivered(orders=1, reason="for Budi")),
        WithdrawBatch("wrong file"),
    ),
    Kind(account_aggregate(ACCOUNT), account_id_of(ACCOUNT), PauseAccount("fraud"), changed(1), changed(2)),
    Kind(books_aggregate(ACCOUNT), account_id_of(ACCOUNT), seen(0), seen(1), seen(2)),
    Kind(
        EXPORTS,
        EXPORT,
        REQUEST,
        Record(PACK),
        Record(PACK.model_copy(update={"digest": "e" * 64})),
    ),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


@dataclass
class RacedStore(MemoryEventStore):
    """Lets another writer in right before each of the first appends."""

    clock: ManualClock = field(default_factory=ManualClock)
    overtake: list[Callable[[], object]] = field(default_factory=list)
    appends: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.clock)

    def append(
        self, changes: Sequence[Change], provenance: Provenance, occurred_at: datetime
    ) -> frozenset[StreamId]:
        self.appends += 1
        if self.overtake:
            self.overtake.pop(0)()
        return super().append(changes, provenance, occurred_at)


@pytest.fixture
def store() -> RacedStore:
    """An empty store, without a race."""
    return RacedStore()


@pytest.fixture
def handler(store: RacedStore) -> CommandHandler:
    """The handler on that store."""
    return CommandHandler(store, store.clock)


def types_in(store: MemoryEventStore) -> list[str]:
    """The log, by type."""
    return [recorded.type_name for recorded in store.log]


@each_kind
def test_the_first_command_brings_the_stream_into_being(
    kind: Kind, store: RacedStore, handler: CommandHandler
) -> None:
    """With version 1, and what the store keeps of it is what the result says."""
    result = handler.apply_to(kind.aggregate, kind.key, kind.begins, BY_TEST)
    assert result.is_accepted
    assert result.after.version == len(store.log) == 1
    assert kind.aggregate.load(store, [kind.key])[kind.key].version == 1


@each_kind
def test_a_lost_race_is_decided_again_on_the_new_state(
    kind: Kind, store: RacedStore, handler: CommandHandler
) -> None:
    """The command that was faster stands; the slower one sees it, and both events keep their order."""
    handler.apply_to(kind.aggregate, kind.key, kind.begins, BY_TEST)
    store.appends = 0
    store.overtake = [lambda: handler.apply_to(kind.aggregate, kind.key, kind.first, BY_TEST)]
    result = handler.apply_to(kind.aggregate, kind.key, kind.second, BY_TEST)
    versions = [recorded.version for recorded in store.log]
    assert versions == list(range(1, len(versions) + 1))
    assert result.after.version == versions[-1]
    assert result.is_accepted
    assert store.appends == 3, "the slow one, the fast one inside it, the slow one again"


@each_kind
def test_a_stream_that_never_rests_is_told(kind: Kind, store: RacedStore, handler: CommandHandler) -> None:
    """After ten rounds the step fails, worth a retry, and nothing of the command is recorded."""
    handler.apply_to(kind.aggregate, kind.key, kind.begins, BY_TEST)
    stream = store.log[0].stream

    def move() -> None:
        store._heads[stream] += 1

    store.overtake = [move] * ROUNDS
    with pytest.raises(ContentionError, match=f"{stream.kind.value} {stream.key} kept changing") as trouble:
        handler.apply_to(kind.aggregate, kind.key, kind.first, BY_TEST)
    assert trouble.value.is_worth_a_retry
    assert len(store.log) == 1


def test_one_lost_race_costs_no_other_order_its_outcome(store: RacedStore, handler: CommandHandler) -> None:
    """Of many orders in one append only the overtaken one is decided again."""
    handler.apply([OrderCommandRequest(ORDER[n], Receive(received(n))) for n in (1, 2, 3)], BY_TEST)
    validate = [OrderCommandRequest(ORDER[n], Validate(False, 1000)) for n in (1, 2, 3)]
    store.overtake = [lambda: handler.apply(validate[1:2], BY_TEST)]
    done = handler.apply(validate, BY_TEST)
    assert {key: result.is_accepted for key, result in done.items()} == {
        ORDER[1]: True,
        ORDER[2]: False,
        ORDER[3]: True,
    }
    refusal = done[ORDER[2]].refusal
    assert refusal is not None
    assert refusal.reason is RefusalReason.ALREADY_SO
    assert types_in(store).count("OrderValidated") == 3


def test_a_known_state_saves_the_read_and_is_fenced(store: RacedStore, handler: CommandHandler) -> None:
    """A caller's old copy of an order leads to one more round, never to a lost event."""
    key = ORDER[1]
    old = handler.apply([OrderCommandRequest(key, Receive(received(1)))], BY_TEST)[key].after
    assert old is not None
    handler.apply([OrderCommandRequest(key, Validate(False, 1000))], BY_TEST)
    done = handler.apply(
        [OrderCommandRequest(key, Reject(RejectionReason.BATCH_REFUSED, ""))], BY_TEST, {key: old}
    )
    after = done[key].after
    assert after is not None
    assert (after.version, after.state) == (3, OrderState.REJECTED)


def test_a_missing_batch_is_refused_as_a_missing_batch(store: RacedStore, handler: CommandHandler) -> None:
    """Not as a missing order; who needs the batch gets an error that no retry cures."""
    missing = batch_id_of(ACCOUNT, "never submitted")
    result = handler.apply_to(BATCHES, missing, WithdrawBatch("why"), BY_TEST)
    assert result.refusal is not None
    assert result.refusal.reason is RefusalReason.NO_SUCH_BATCH
    with pytest.raises(BatchNotFoundError, match=missing) as trouble:
        handler.apply_to_batch(missing, WithdrawBatch("why"), BY_TEST)
    assert not trouble.value.is_worth_a_retry
    assert store.log == []


def test_what_does_not_exist_is_named_by_its_kind(handler: CommandHandler) -> None:
    """An order and an export likewise."""
    order = handler.apply_to(ORDERS, ORDER[1], Validate(False, 1), BY_TEST)
    export = handler.apply_to(EXPORTS, EXPORT, HandOutExport(), BY_TEST)
    assert [result.refusal.reason for result in (order, export) if result.refusal is not None] == [
        RefusalReason.NO_SUCH_ORDER,
        RefusalReason.NO_SUCH_EXPORT,
    ]


def test_both_readings_of_an_account_stand_at_one_version(
    store: RacedStore, handler: CommandHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The books never hold an event that the standing beside them does not count."""
    books = books_aggregate(ACCOUNT)
    key = account_id_of(ACCOUNT)
    handler.apply_to(books, key, seen(0), BY_TEST)
    read = store.read_stream

    def read_late(stream: StreamId) -> list[RecordedEvent]:
        monkeypatch.setattr(store, "read_stream", read)
        handler.apply_to(books, key, seen(1), BY_TEST)
        return read(stream)

    monkeypatch.setattr(store, "read_stream", read_late)
    ledger = books.load(store, [key])[key]
    assert (ledger.standing.version, ledger.books.version, len(ledger.books.observations)) == (1, 1, 1)
