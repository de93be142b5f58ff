"""The kinds of streams for the command handler: decider, loading of states, stored documents."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from sat_hook.domain.account import AccountCommand, AccountStanding, account_decider
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_commands import BatchCommand
from sat_hook.domain.batch_decisions import BATCH_DECIDER
from sat_hook.domain.books import fold_books
from sat_hook.domain.books_commands import BooksCommand
from sat_hook.domain.books_decisions import AccountLedger, books_decider
from sat_hook.domain.console_users import USER_DECIDER, ConsoleUser, UserCommand
from sat_hook.domain.decision import Decider, Record
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.export import EXPORT_DECIDER, Export, ExportCommand
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import OrderCommand
from sat_hook.domain.order_decisions import ORDER_DECIDER
from sat_hook.domain.rights_seen import RIGHTS_DECIDER, RightsStanding, SeeRights
from sat_hook.domain.verifications import VERIFICATION_DECIDER, LogStanding
from sat_hook.domain.webhooks import WEBHOOK_DECIDER, WebhookStanding
from sat_hook.store.event_store import Document, EventStore


class Versioned(Protocol):
    """A state that knows how many events it was folded from."""

    @property
    def version(self) -> int:
        """The version of the stream."""


State = TypeVar("State", bound=Versioned | None)
Command = TypeVar("Command")
D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[State, Command]):
    """A kind of stream.

    :param decider: its rules.
    :param load: the states of the existing streams, by key.
    :param document: the part of a state that the store keeps beside the events.
    """

    decider: Decider[State, Command]
    load: Callable[[EventStore, Collection[str]], Mapping[str, State]]
    document: Callable[[State], Document]


def account_aggregate(account: str) -> Aggregate[AccountStanding, AccountCommand]:
    return Aggregate(account_decider(account), _load_accounts, _itself)


def books_aggregate(account: str) -> Aggregate[AccountLedger, BooksCommand]:
    """The books of the account with this name: the same stream, read completely."""
    return Aggregate(books_decider(account), partial(_load_ledgers, account), lambda ledger: ledger.standing)


def load_export(store: EventStore, export_id: str) -> Export | None:
    return _folded(EXPORT_DECIDER, store, export_id)


def _folded(decider: Decider[State, Command], store: EventStore, key: str) -> State:
    """The state of a stream of few events, of which the store keeps no document."""
    recorded = store.read_stream(StreamId(decider.stream_kind, key))
    return decider.fold(key, ((item.event, item.occurred_at) for item in recorded))


def _load_folded(
    decider: Decider[State, Command], store: EventStore, keys: Collection[str]
) -> Mapping[str, State]:
    return {key: _folded(decider, store, key) for key in keys}


def _itself(state: D | None) -> D:
    assert state is not None, "an event brings its stream into being"
    return state


def _load_orders(store: EventStore, keys: Collection[str]) -> Mapping[str, Order]:
    return store.load_orders(keys)


def _load_batches(store: EventStore, keys: Collection[str]) -> Mapping[str, Batch]:
    found = ((key, store.load_batch(key)) for key in keys)
    return {key: batch for key, batch in found if batch is not None}


def _load_accounts(store: EventStore, keys: Collection[str]) -> Mapping[str, AccountStanding]:
    found = ((key, store.load_account(key)) for key in keys)
    return {key: standing for key, standing in found if standing is not None}


def _load_ledgers(account: str, store: EventStore, keys: Collection[str]) -> Mapping[str, AccountLedger]:
    ledgers: dict[str, AccountLedger] = {}
    for key, standing in _load_accounts(store, keys).items():
        recorded = store.read_stream(StreamId(StreamKind.ACCOUNT, key))
        # Fold the books up to the state's version: events may be appended between the two reads.
        seen = (item for item in recorded if item.version <= standing.version)
        ledgers[key] = AccountLedger(standing, fold_books(account, seen))
    return ledgers


ORDERS: Aggregate[Order | None, OrderCommand] = Aggregate(ORDER_DECIDER, _load_orders, _itself)
BATCHES: Aggregate[Batch | None, BatchCommand] = Aggregate(BATCH_DECIDER, _load_batches, _itself)
EXPORTS: Aggregate[Export | None, ExportCommand] = Aggregate(
    EXPORT_DECIDER, partial(_load_folded, EXPORT_DECIDER), _itself
)
USERS: Aggregate[ConsoleUser, UserCommand] = Aggregate(
    USER_DECIDER, partial(_load_folded, USER_DECIDER), _itself
)
VERIFICATIONS: Aggregate[LogStanding, Record] = Aggregate(
    VERIFICATION_DECIDER, partial(_load_folded, VERIFICATION_DECIDER), _itself
)
RIGHTS: Aggregate[RightsStanding, SeeRights] = Aggregate(
    RIGHTS_DECIDER, partial(_load_folded, RIGHTS_DECIDER), _itself
)
WEBHOOKS: Aggregate[WebhookStanding, Record] = Aggregate(
    WEBHOOK_DECIDER, partial(_load_folded, WEBHOOK_DECIDER), _itself
)
