"""An account's rules as shown to people: each rule in force and its origin."""

from __future__ import annotations

from typing import Any

from sat_hook.commands.handler import standing_of
from sat_hook.domain.account_rules import RULE_NAMES, AccountRulesAdopted, AccountRulesConfirmed, RuleValues
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.guards import NO_RULES, AccountRules
from sat_hook.domain.legacy_events import EarlierRulesEvent
from sat_hook.domain.masking import masked_words
from sat_hook.pipeline.account_rules import dedup_horizon_seconds, origin_of_rules
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.store.event_store import EventStore

SECONDS_PER_HOUR = 3600


def rules_as_shown(
    store: EventStore,
    account: str,
    connection: str,
    of_connection: AccountRules,
    deployment: RecoveryLimits,
) -> dict[str, Any]:
    """The rules of an account as a document: values, origins and the proposal.

    :param of_connection: the connection's rules, which can only be stricter.
    """
    standing = standing_of(store, account).rules
    own = standing.in_force
    rules = own if standing.are_confirmed else own.stricter(of_connection)
    in_force = RuleValues.of(rules.stricter(of_connection))
    of_account, asked, nothing = RuleValues.of(own), RuleValues.of(of_connection), RuleValues.of(NO_RULES)
    origin = _origin(origin_of_rules(store, account))
    shown = []
    for name in RULE_NAMES:
        value, by_connection = getattr(in_force, name), getattr(asked, name)
        is_asked = by_connection not in (None, getattr(nothing, name))
        from_connection = is_asked and by_connection == value and getattr(of_account, name) != value
        if from_connection:
            kind, source = "connection", f"connection {connection}"
        elif value is None:
            kind, source = "none", "no rule"
        else:
            kind, source = "account", origin["text"]
        shown.append(
            {
                "rule": name,
                "in_force": value,
                "of_account": getattr(of_account, name),
                "of_connection": by_connection if is_asked else None,
                "source": source,
                "source_kind": kind,
            }
        )
    proposal = standing.proposal
    return {
        "account": account,
        "connection": connection,
        "are_confirmed": standing.are_confirmed,
        "origin": origin,
        "rules": shown,
        "dedup_horizon_hours": dedup_horizon_seconds(own, deployment) / SECONDS_PER_HOUR,
        "proposal": None
        if proposal is None
        else {
            **proposal.model_dump(),
            "values": _all(proposal.values),
            "reason": masked_words(proposal.reason),
        },
    }


def _all(values: RuleValues) -> dict[str, Any]:
    """Every rule, also those that are not set: a proposal may take one away."""
    return {name: getattr(values, name) for name in RULE_NAMES}


def _origin(recorded: RecordedEvent | None) -> dict[str, Any]:
    if recorded is None:
        return {"position": None, "text": "default: nothing is in the log yet"}
    facts: dict[str, Any]
    event, position = recorded.event, recorded.position
    if isinstance(event, EarlierRulesEvent):
        event = event.current()
    if isinstance(event, AccountRulesConfirmed):
        facts = {
            "proposed_by": event.proposed_by,
            "confirmed_by": event.confirmed_by,
            "reason": masked_words(event.reason),
        }
        text = (
            f"log position {position}: proposed by {event.proposed_by}, confirmed by {event.confirmed_by}, "
            f"{recorded.recorded_at:%Y-%m-%d}: {masked_words(event.reason)}"
        )
    else:
        assert isinstance(event, AccountRulesAdopted)
        facts = {"connection": event.connection}
        text = (
            f"log position {position}: adopted from connection {event.connection}, "
            f"{recorded.recorded_at:%Y-%m-%d}, confirmed by no people"
        )
    return {"position": position, "text": text, "at": recorded.recorded_at, **facts}
