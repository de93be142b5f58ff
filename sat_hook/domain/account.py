"""An account: decisions that apply to all of it, like a pause. Pure, built like an order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, Field

from sat_hook.domain.account_rules import RulesCommand, RulesEvent, RulesStanding, decide_rules, evolve_rules
from sat_hook.domain.books_events import BooksEvent
from sat_hook.domain.decision import Decider, Decision, Record, RefusalReason, refuse
from sat_hook.domain.event_record import Event, Frozen, StreamKind, register
from sat_hook.domain.funds import Movement, MovementKind
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.legacy_events import EarlierRulesEvent


@register
class AccountPaused(Event):
    """A person stopped all sending from this account."""

    account: str
    reason: str


@register
class AccountResumed(Event):
    """A person let the account send again."""

    account: str
    reason: str


@register
class ForeignSpendSuspected(Event):
    """The deposit held less than our own orders explain: another party seems to spend from it. Rupiah.

    ``expected_rupiah`` is the lowest deposit that our orders explain since the observation ``compared_with``.
    """

    account: str
    expected_rupiah: int
    found_rupiah: int
    observed_at: AwareDatetime
    compared_with: AwareDatetime


@register
class TopUpSeen(Event):
    """The deposit held more than refunds of our own orders explain: it was topped up. Rupiah.

    ``expected_rupiah`` is the highest deposit that our orders explain since the observation
    ``compared_with``.
    """

    account: str
    expected_rupiah: int
    found_rupiah: int
    observed_at: AwareDatetime
    compared_with: AwareDatetime


@register
class PriceListChanged(Event):
    """A price list of the account differs from the one before.

    The lines are in the evidence of the snapshot; the digests bind them to the log. ``changes_digest`` covers
    what changed, ``state_digest`` covers all ``listed`` products afterwards.
    """

    account: str
    snapshot_id: int
    asked_at: AwareDatetime
    listed: int
    changes: int
    changes_digest: str
    state_digest: str


@register
class AccountClientBound(Event):
    """The account pays as this SAT client. From now on no other account may pay as it.

    ``client`` is a digest of the client id and SAT's host.
    """

    account: str
    connection: str
    client: str


@register
class ClientNumberSearched(Event):
    """A person searched the account's orders by a client's number, which is kept masked.

    ``orders`` is how many were found, up to the number that is counted.
    """

    account: str
    client_number: str
    orders: int


class ExportedContent(StrEnum):
    """What a file of orders holds: the orders of a filter, or the result file of a batch."""

    ORDERS = "orders"
    RESULTS = "results"


@register
class OrdersExported(Event):
    """A person took orders of the account, with customers' numbers, as a file.

    ``criteria`` is the filter, by the names of its members. ``rows`` is how many of the account's orders, or
    rows of the result file, it held.
    """

    account: str
    content: ExportedContent
    batch_id: str | None
    criteria: dict[str, str]
    file_format: str
    rows: int


class AccountStanding(Frozen):
    """The fold of an account's events. An account without events may send.

    ``foreign_spend_rupiah`` and ``top_up_rupiah`` are the lowest possible sums of what was seen.
    ``clients`` are the SAT clients that the account has paid as.
    """

    account_id: str
    account: str
    version: int = 0
    is_paused: bool = False
    pause_reason: str | None = None
    foreign_spend_rupiah: int = 0
    top_up_rupiah: int = 0
    last_movement_at: AwareDatetime | None = None
    rules: RulesStanding = RulesStanding()
    clients: tuple[str, ...] = Field(default=(), exclude_if=lambda clients: not clients)


@dataclass(frozen=True, slots=True)
class PauseAccount:
    """Stop all sending from the account."""

    reason: str


@dataclass(frozen=True, slots=True)
class ResumeAccount:
    """Let the account send again."""

    reason: str


@dataclass(frozen=True, slots=True)
class BindClient:
    """Record that the account pays as a SAT client; once for each client."""

    connection: str
    client: str


@dataclass(frozen=True, slots=True)
class ReportMovement:
    """Record that our own orders do not explain an observed deposit; once for each observation."""

    movement: Movement
    observed_at: datetime
    compared_with: datetime


AccountCommand = PauseAccount | ResumeAccount | BindClient | ReportMovement | Record | RulesCommand


def decide_account(standing: AccountStanding, command: AccountCommand) -> Decision:
    """The events that ``command`` appends, or why it changes nothing."""
    if isinstance(command, RulesCommand):
        return decide_rules(standing.account, standing.version, standing.rules, command)
    match command:
        case PauseAccount(reason=reason):
            if standing.is_paused:
                return refuse(RefusalReason.ALREADY_SO, standing.pause_reason or "")
            return (AccountPaused(account=standing.account, reason=reason),)
        case ResumeAccount(reason=reason):
            if not standing.is_paused:
                return refuse(RefusalReason.ALREADY_SO)
            return (AccountResumed(account=standing.account, reason=reason),)
        case BindClient(connection=connection, client=client):
            if client in standing.clients:
                return refuse(RefusalReason.ALREADY_SO)
            return (AccountClientBound(account=standing.account, connection=connection, client=client),)
        case Record(event=PriceListChanged() | ClientNumberSearched() | OrdersExported() as event):
            return (event,)
        case ReportMovement():
            return _report_movement(standing, command)
        case _:
            raise TypeError(f"{command} is not a command of an account")


def _report_movement(standing: AccountStanding, command: ReportMovement) -> Decision:
    if standing.last_movement_at is not None and command.observed_at <= standing.last_movement_at:
        return refuse(RefusalReason.STALE_EVIDENCE, f"reported up to {standing.last_movement_at}")
    kinds: dict[MovementKind, type[ForeignSpendSuspected] | type[TopUpSeen]] = {
        MovementKind.FOREIGN_SPEND: ForeignSpendSuspected,
        MovementKind.TOP_UP: TopUpSeen,
    }
    return (
        kinds[command.movement.kind](
            account=standing.account,
            expected_rupiah=command.movement.expected_rupiah,
            found_rupiah=command.movement.found_rupiah,
            observed_at=command.observed_at,
            compared_with=command.compared_with,
        ),
    )


def evolve_account(standing: AccountStanding, event: Event) -> AccountStanding:
    """The account after ``event``."""
    match event:
        case AccountPaused():
            change: dict[str, object] = {"is_paused": True, "pause_reason": event.reason}
        case AccountResumed():
            change = {"is_paused": False, "pause_reason": None}
        case ForeignSpendSuspected():
            change = {
                "foreign_spend_rupiah": standing.foreign_spend_rupiah
                + event.expected_rupiah
                - event.found_rupiah,
                "last_movement_at": event.observed_at,
            }
        case TopUpSeen():
            change = {
                "top_up_rupiah": standing.top_up_rupiah + event.found_rupiah - event.expected_rupiah,
                "last_movement_at": event.observed_at,
            }
        case AccountClientBound():
            change = {"clients": (*standing.clients, event.client)}
        case PriceListChanged() | ClientNumberSearched() | OrdersExported():
            change = {}
        case EarlierRulesEvent():
            change = {"rules": evolve_rules(standing.rules, event.current())}
        case RulesEvent():
            change = {"rules": evolve_rules(standing.rules, event)}
        case BooksEvent():
            # The books are folded separately: sat_hook.domain.books.
            change = {}
        case _:
            raise ValueError(f"{event.type_name} is not an event of an account")
    return standing.model_copy(update={**change, "version": standing.version + 1})


def new_account(account: str) -> AccountStanding:
    """The account with this name before its first event: it may send."""
    return AccountStanding(account_id=account_id_of(account), account=account)


def account_decider(account: str) -> Decider[AccountStanding, AccountCommand]:
    """The rules of the account with this name."""
    return Decider(
        stream_kind=StreamKind.ACCOUNT,
        initial_state=lambda _account_id: new_account(account),
        decide=decide_account,
        evolve=lambda standing, _account_id, event, _occurred_at: evolve_account(standing, event),
    )


def fold_account(account_id: str, events: Iterable[tuple[Event, datetime]]) -> AccountStanding | None:
    """The account after all of ``events``, or None when there are none."""
    standing: AccountStanding | None = None
    for event, _ in events:
        if standing is None:
            account = getattr(event, "account", None)
            if not isinstance(account, str):
                raise ValueError(f"the stream of {account_id} begins with {event.type_name}")
            standing = AccountStanding(account_id=account_id, account=account)
        standing = evolve_account(standing, event)
    return standing
