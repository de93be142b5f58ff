"""What needs a person, what deposits hold, and how accounts stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sat_hook.application.batch_standing import StoppedBatches, awaits_approval
from sat_hook.application.installation import AccountNames, Installation, names_of
from sat_hook.domain.account import AccountPaused, AccountStanding, new_account
from sat_hook.domain.alerts import Alert
from sat_hook.domain.approval_events import ApprovalRequested
from sat_hook.domain.batch import BatchState
from sat_hook.domain.business_day import business_day, midnight
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.funds import available_rupiah
from sat_hook.domain.masking import masked_words
from sat_hook.domain.order import OrderState
from sat_hook.domain.people import user_named
from sat_hook.pipeline.rule_changes import rules_as_shown
from sat_hook.store.account_lists import AccountKeys, AccountLists, RefusedCallbacks, SaldoPoint
from sat_hook.store.alerts import AlertBook
from sat_hook.store.batch_lists import BatchCounts, BatchLists, FoundBatch
from sat_hook.store.database import Database
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.log import last_events
from sat_hook.store.order_lists import OrderLists

MAXIMUM_ALERTS = 200
"""The newest alerts of all accounts, of which an account shows its own."""
"""Batches of which the last run is looked up in Airflow."""


class NeedKind(StrEnum):
    """What needs a person."""

    APPROVALS = "approvals"
    HELD = "held"
    ESCALATED = "escalated"
    SHORT_OF_FUNDS = "short_of_funds"
    STOPPED = "stopped"
    PAUSED = "paused"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedRow:
    """Something of an account that needs a person.

    :param count: batches, orders, accounts or alerts.
    :param since: since when the oldest of them.
    :param batch_ids: the batches, for approvals, funds, and those that stopped; the oldest first.
    :param missing_rupiah: what the deposit lacks for them, for funds.
    :param code: the kind of the alerts, for alerts.
    """

    kind: NeedKind
    account: str
    count: int
    since: datetime | None
    batch_ids: tuple[str, ...] = ()
    missing_rupiah: int | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositRow:
    """An account's deposit. Rupiah; None before its first observation.

    :param saldo_rupiah: what it held when it was observed last.
    :param reserved_rupiah: reserved for orders that are not sent yet.
    :param sent_rupiah: of sent orders whose debit that observation may not show yet.
    :param free_rupiah: the rest; negative when others spent reserved funds.
    :param days: what it held at the end of each of the last days on which it was observed.
    """

    account: str
    connection: str | None
    observed_at: datetime | None
    saldo_rupiah: int | None
    reserved_rupiah: int | None
    sent_rupiah: int | None
    free_rupiah: int | None
    days: tuple[SaldoPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """An account as a list shows it.

    :param connection: its Airflow connection; None when there is none any more.
    :param paused_at: since when nothing is sent; None when the account may send.
    :param last_callback_at: when a verified callback came last; None when none of the newest callbacks of all
        accounts is its.
    :param last_answer_at: when SAT last answered with a saldo or a price list.
    """

    account: str
    connection: str | None
    is_paused: bool
    pause_reason: str | None
    paused_at: datetime | None
    paused_by: str | None
    last_callback_at: datetime | None
    last_answer_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key of an account.

    :param use: ``signs_requests`` for our own, ``verifies_statuses`` for SAT's.
    :param fingerprint: the first 16 hexadecimal digits of SHA-256 over the public key.
    :param last_used_at: when a callback last came that it signed; None when that is not known.
    :param since: since when it is in use.
    :param is_older: it may have been in use before that.
    """

    use: str
    fingerprint: str
    last_used_at: datetime | None
    since: datetime
    is_older: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackHealth:
    """How an account's callbacks come in. An order also ends without one, by a query.

    :param last_at: when a verified callback came last; None when that was not lately.
    :param within_a_day: how many came within 24 hours.
    :param waiting: how many wait for a status check, the first one since ``waiting_since``.
    :param refused: how many were refused within 24 whole hours, by reason, the most frequent first.
    """

    last_at: datetime | None
    within_a_day: int
    waiting: int
    waiting_since: datetime | None
    refused: tuple[RefusedCallbacks, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDetails:
    """An account with its rules in force and their origins, its keys, how callbacks come in, and its newest
    alerts that reached no person.
    """

    row: AccountRow
    rules: Mapping[str, Any]
    keys: tuple[KeyRow, ...]
    callbacks: CallbackHealth
    alerts: tuple[Alert, ...]


class AccountFunds(NamedTuple):
    """What an account's deposit held and what is out of it; None before the first observation."""

    observed_at: datetime | None = None
    saldo_rupiah: int | None = None
    reserved_rupiah: int | None = None
    sent_rupiah: int | None = None
    free_rupiah: int | None = None


def funds_of(installation: Installation, account: str) -> AccountFunds:
    """The deposit of an account, as it was observed last."""
    with PostgresFunds(installation.store().database).looking(account) as looked:
        observation = looked.last_observation()
        if observation is None:
            return AccountFunds()
        lag_seconds = installation.settings().funding.saldo_lag_seconds
        out = looked.outstanding(observation.includes_before(lag_seconds))
    return AccountFunds(
        observation.requested_at,
        observation.saldo_rupiah,
        out.reserved_rupiah,
        out.sent_rupiah,
        available_rupiah(observation, out),
    )


def needs(installation: Installation, stopped: StoppedBatches) -> tuple[NeedRow, ...]:
    """What needs a person, by kind and account; what nothing needs is left out."""
    order, database = list(NeedKind), installation.store().database
    lists = BatchLists(database)
    found = sorted(lists.open_batches(), key=lambda one: one.submitted_at)
    awaiting = [one for one in found if awaits_approval(one.batch)]
    going_on = [
        one
        for one in found
        if not awaits_approval(one.batch) and one.batch.withdrawn is None and one.batch.rejecter is None
    ]
    counts = lists.counts([one.batch.batch_id for one in going_on])
    rows = [
        *_approvals_in_need(database, awaiting),
        *_batches_short_of_funds(installation, going_on, counts),
        *_stopped_batches(going_on, counts, stopped),
        *_orders_in_need(database),
        *_accounts_in_need(database),
    ]
    return tuple(sorted(rows, key=lambda row: (order.index(row.kind), row.account, row.code or "")))


def _approvals_in_need(database: Database, awaiting: Sequence[FoundBatch]) -> Iterator[NeedRow]:
    for account, batches in _by_account(awaiting).items():
        asked = last_events(
            database,
            [StreamId(StreamKind.BATCH, found.batch.batch_id) for found in batches],
            [ApprovalRequested.__name__],
        )
        yield NeedRow(
            kind=NeedKind.APPROVALS,
            account=account,
            count=len(batches),
            since=min((event.at for event in asked.values()), default=None),
            batch_ids=_ids(batches),
        )


def _batches_short_of_funds(
    installation: Installation, going_on: Sequence[FoundBatch], counts: Mapping[str, BatchCounts]
) -> Iterator[NeedRow]:
    quoted = [found for found in going_on if found.batch.state is BatchState.QUOTED]
    for account, batches in _by_account(quoted).items():
        free = funds_of(installation, account).free_rupiah
        if free is None:
            continue
        short = [found for found in batches if counts[found.batch.batch_id].unreserved_rupiah > max(0, free)]
        if short:
            wanted = sum(counts[found.batch.batch_id].unreserved_rupiah for found in short)
            yield NeedRow(
                kind=NeedKind.SHORT_OF_FUNDS,
                account=account,
                count=len(short),
                since=short[0].submitted_at,
                batch_ids=_ids(short),
                missing_rupiah=wanted - max(0, free),
            )


def _stopped_batches(
    going_on: Sequence[FoundBatch], counts: Mapping[str, BatchCounts], stopped: StoppedBatches
) -> Iterator[NeedRow]:
    ids = stopped.among(going_on, counts)
    for account, batches in _by_account([one for one in going_on if one.batch.batch_id in ids]).items():
        yield NeedRow(
            kind=NeedKind.STOPPED,
            account=account,
            count=len(batches),
            since=batches[0].submitted_at,
            batch_ids=_ids(batches),
        )


def _by_account(batches: Sequence[FoundBatch]) -> dict[str, list[FoundBatch]]:
    found = defaultdict(list)
    for one in batches:
        found[one.batch.account].append(one)
    return found


def _ids(batches: list[FoundBatch]) -> tuple[str, ...]:
    return tuple(found.batch.batch_id for found in batches)


def _orders_in_need(database: Database) -> Iterator[NeedRow]:
    for waiting in OrderLists(database).orders_for_people():
        kind = NeedKind.HELD if waiting.state is OrderState.HELD else NeedKind.ESCALATED
        yield NeedRow(kind=kind, account=waiting.account, count=waiting.orders, since=waiting.since)


def _accounts_in_need(database: Database) -> Iterator[NeedRow]:
    lists = AccountLists(database)
    paused = [standing for standing in lists.standings() if standing.is_paused]
    since = last_events(database, [_stream_of(standing) for standing in paused], [AccountPaused.__name__])
    for standing in paused:
        at = since.get(_stream_of(standing))
        yield NeedRow(
            kind=NeedKind.PAUSED, account=standing.account, count=1, since=None if at is None else at.at
        )
    for alerts in lists.untold_alerts():
        yield NeedRow(
            kind=NeedKind.ALERTS,
            account=alerts.account,
            count=alerts.alerts,
            since=alerts.since,
            code=alerts.kind,
        )


def deposits(installation: Installation, days: int, only: str | None = None) -> tuple[DepositRow, ...]:
    """The deposit of every account, or of ``only`` the one with that name in the log."""
    store = installation.store()
    lists, today = AccountLists(store.database), business_day(store.database_time())
    since = midnight(today - timedelta(days=days - 1))
    return tuple(
        DepositRow(
            account=account,
            connection=connection,
            **funds_of(installation, account)._asdict(),
            days=tuple(lists.daily_observations(account, since, days)),
        )
        for account, connection in _connections(installation, lists).items()
        if only in (None, account)
    )


def accounts(installation: Installation) -> tuple[AccountRow, ...]:
    """Every account that has a connection, a batch or another event."""
    lists = AccountLists(installation.store().database)
    connections = _connections(installation, lists)
    standings = {standing.account: standing for standing in lists.standings()}
    return tuple(
        _account_row(installation, standings.get(account) or new_account(account), connection)
        for account, connection in connections.items()
    )


def account_details(installation: Installation, named: str) -> AccountDetails:
    """One account; the errors of an unusable connection are the installation's."""
    names: AccountNames = names_of(installation.accounts, named)
    connection = installation.accounts.connect(names.connection)
    settings = connection.settings()
    events = installation.store()
    lists = AccountLists(events.database)
    standings = {standing.account: standing for standing in lists.standings()}
    standing = standings.get(names.account) or new_account(names.account)
    called_back = lists.last_callback(names.account)
    used = {} if called_back is None else {called_back[1]: called_back[0]}
    within_a_day, waiting, waiting_since = lists.callbacks(names.account)
    return AccountDetails(
        row=_account_row(installation, standing, names.connection),
        rules=rules_as_shown(
            events,
            names.account,
            names.connection,
            connection.asked_rules(),
            installation.settings().recovery,
        ),
        keys=tuple(
            KeyRow(
                use=key.use,
                fingerprint=key.fingerprint,
                last_used_at=used.get(key.fingerprint),
                since=key.first_seen_at,
                is_older=key.is_older,
            )
            for key in AccountKeys(events.database).record(settings)
        ),
        callbacks=CallbackHealth(
            last_at=None if called_back is None else called_back[0],
            within_a_day=within_a_day,
            waiting=waiting,
            waiting_since=waiting_since,
            refused=tuple(lists.refused_callbacks(names.account)),
        ),
        alerts=tuple(
            told.alert
            for told in AlertBook(events.database).recent(MAXIMUM_ALERTS)
            if told.alert.account == names.account and not told.was_told
        ),
    )


def _account_row(installation: Installation, standing: AccountStanding, connection: str | None) -> AccountRow:
    database, stream = installation.store().database, _stream_of(standing)
    lists, wanted = AccountLists(database), [stream] if standing.is_paused else []
    paused = last_events(database, wanted, [AccountPaused.__name__]).get(stream)
    called_back = lists.last_callback(standing.account)
    return AccountRow(
        account=standing.account,
        connection=connection,
        is_paused=standing.is_paused,
        pause_reason=masked_words(standing.pause_reason or "") or None,
        paused_at=None if paused is None else paused.at,
        paused_by=None if paused is None else user_named(paused.actor) or paused.actor,
        last_callback_at=None if called_back is None else called_back[0],
        last_answer_at=lists.last_answer(standing.account),
    )


def _stream_of(standing: AccountStanding) -> StreamId:
    return StreamId(StreamKind.ACCOUNT, standing.account_id)


def _connections(installation: Installation, lists: AccountLists) -> dict[str, str | None]:
    """Every account by its name in the log, with its connection."""
    connections = {account: name for name, account in installation.accounts.by_connection().items()}
    return {account: connections.get(account) for account in sorted({*lists.accounts(), *connections})}
