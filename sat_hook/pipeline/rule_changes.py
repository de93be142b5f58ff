"""An account's rules for people: each with its origin; one person proposes a complete set, another confirms
it.

The actor comes from the authenticated route that calls these (law 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sat_hook.commands.handler import CommandHandler, standing_of
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.account import AccountStanding
from sat_hook.domain.account_rules import (
    RIGHT_NAMES,
    RULE_NAMES,
    AccountRulesAdopted,
    AccountRulesConfirmed,
    ConfirmRules,
    DeclineRules,
    ProposeRules,
    RulesCommand,
    RuleValues,
)
from sat_hook.domain.decision import RefusalReason
from sat_hook.domain.event_record import Provenance, RecordedEvent
from sat_hook.domain.guards import NO_RULES, AccountRules
from sat_hook.domain.legacy_events import EarlierRulesEvent
from sat_hook.domain.masking import masked_words
from sat_hook.pipeline.account_rules import dedup_horizon_seconds, origin_of_rules
from sat_hook.pipeline.errors import RulesRefusedError
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.presentation.hints import did_you_mean
from sat_hook.store.event_store import EventStore

_KINDS = {"trust_callbacks": "true or false"} | dict.fromkeys(
    RIGHT_NAMES, "the name of a right, several joined with +, or null"
)


def propose_rules(
    handler: CommandHandler,
    account: str,
    base: AccountRules,
    changes: Mapping[str, Any],
    reason: str,
    provenance: Provenance,
) -> AccountStanding:
    """Propose the account's rules with ``changes``; the other rules stay the same, and all are recorded.

    :param base: the connection's rules, which count until two people have confirmed rules.
    :raises RulesRefusedError: for an invalid name or value, or while another proposal waits.
    """
    standing = standing_of(handler.store, account).rules
    in_force = standing.in_force
    current = RuleValues.of(in_force if standing.are_confirmed else in_force.stricter(base))
    for name in changes:
        if name not in RULE_NAMES:
            raise RulesRefusedError(
                f"rule {name!r}: found no such rule{did_you_mean(name, RULE_NAMES)}; "
                f"expected one of {', '.join(RULE_NAMES)}"
            )
    try:
        values = RuleValues.model_validate({**current.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        kind = _KINDS.get(str(first["loc"][0]), "a whole number from 0 on, or null")
        raise RulesRefusedError(
            f"rule {first['loc'][0]}: found {first['input']!r}; expected {kind}"
        ) from None
    return _apply(
        handler, account, ProposeRules(values, checked_reason(reason), provenance.actor), provenance
    )


def confirm_rules(
    handler: CommandHandler, account: str, proposal: int, reason: str, provenance: Provenance
) -> AccountStanding:
    """Confirm a proposal, as a person other than its proposer. Its rules are then in force.

    :raises RulesRefusedError: when it no longer waits, or when its proposer confirms it.
    """
    command = ConfirmRules(proposal, checked_reason(reason), provenance.actor)
    return _apply(handler, account, command, provenance)


def decline_rules(
    handler: CommandHandler, account: str, proposal: int, reason: str, provenance: Provenance
) -> AccountStanding:
    """Decline a proposal. Its proposer may do so too.

    :raises RulesRefusedError: when it no longer waits.
    """
    command = DeclineRules(proposal, checked_reason(reason), provenance.actor)
    return _apply(handler, account, command, provenance)


def _apply(
    handler: CommandHandler, account: str, command: RulesCommand, provenance: Provenance
) -> AccountStanding:
    standing, refusal = handler.apply_to_account(account, command, provenance)
    if refusal is not None:
        already = "nothing changes: " if refusal.reason is RefusalReason.ALREADY_SO else ""
        raise RulesRefusedError(f"rules of account {account!r}: {already}{refusal.detail}")
    return standing


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
