"""An account: what people decided about it as a whole. Pure, in the same manner as an order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from sat_hook.domain.event import Event, register
from sat_hook.domain.order import Refusal, RefusalReason


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


class AccountStanding(BaseModel):
    """The fold of an account's events. An account without events may send."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_id: str
    account: str
    version: int = 0
    is_paused: bool = False
    pause_reason: str | None = None


@dataclass(frozen=True, slots=True)
class PauseAccount:
    """Stop all sending from the account."""

    reason: str


@dataclass(frozen=True, slots=True)
class ResumeAccount:
    """Let the account send again."""

    reason: str


AccountCommand = PauseAccount | ResumeAccount


def decide_account(standing: AccountStanding, command: AccountCommand) -> tuple[Event, ...] | Refusal:
    """The events that ``command`` appends, or why it changes nothing."""
    match command:
        case PauseAccount(reason=reason):
            if standing.is_paused:
                return Refusal(reason=RefusalReason.ALREADY_SO, detail=standing.pause_reason or "")
            return (AccountPaused(account=standing.account, reason=reason),)
        case ResumeAccount(reason=reason):
            if not standing.is_paused:
                return Refusal(reason=RefusalReason.ALREADY_SO)
            return (AccountResumed(account=standing.account, reason=reason),)


def evolve_account(standing: AccountStanding, event: Event) -> AccountStanding:
    """The account after ``event``."""
    match event:
        case AccountPaused():
            change: dict[str, object] = {"is_paused": True, "pause_reason": event.reason}
        case AccountResumed():
            change = {"is_paused": False, "pause_reason": None}
        case _:
            raise ValueError(f"{event.type_name} is not an event of an account")
    return standing.model_copy(update={**change, "version": standing.version + 1})


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
