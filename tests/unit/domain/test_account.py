"""An account: paused and resumed by people, each once."""

from __future__ import annotations

import pytest

from sat_hook.domain.account import (
    AccountStanding,
    PauseAccount,
    PriceListChanged,
    ResumeAccount,
    decide_account,
    evolve_account,
    fold_account,
)
from sat_hook.domain.decision import Record, Refusal
from sat_hook.domain.event_record import Event
from sat_hook.domain.order_events import OrderReleased
from tests.orders import T0

FRESH = AccountStanding(account_id="A", account="demo")


def after(standing: AccountStanding, *events: Event) -> AccountStanding:
    """The standing after events."""
    for event in events:
        standing = evolve_account(standing, event)
    return standing


def test_an_account_is_paused_and_resumed_once() -> None:
    """Each decision changes something or is refused; the fold gives the same standing."""
    paused_events = decide_account(FRESH, PauseAccount("fraud alarm"))
    assert not isinstance(paused_events, Refusal)
    paused = after(FRESH, *paused_events)
    assert (paused.is_paused, paused.pause_reason, paused.version) == (True, "fraud alarm", 1)
    assert isinstance(decide_account(paused, PauseAccount("again")), Refusal)
    resumed_events = decide_account(paused, ResumeAccount("all clear"))
    assert not isinstance(resumed_events, Refusal)
    resumed = after(paused, *resumed_events)
    assert (resumed.is_paused, resumed.version) == (False, 2)
    assert isinstance(decide_account(resumed, ResumeAccount("again")), Refusal)
    assert fold_account("A", ((event, T0) for event in (*paused_events, *resumed_events))) == resumed


def test_a_changed_price_list_is_an_event_and_changes_no_standing() -> None:
    """The log names the snapshot and its digests; whether the account may send is another matter."""
    event = PriceListChanged(
        account="demo",
        snapshot_id=7,
        asked_at=T0,
        listed=20,
        changes=3,
        changes_digest="a" * 64,
        state_digest="b" * 64,
    )
    assert decide_account(FRESH, Record(event)) == (event,)
    assert after(FRESH, event) == FRESH.model_copy(update={"version": 1})


def test_a_foreign_event_is_a_programming_error() -> None:
    """An order's event in an account's stream is never skipped silently."""
    with pytest.raises(ValueError, match="OrderReleased"):
        fold_account("A", [(OrderReleased(reason="x"), T0)])
