"""Changes of an account's rules: one person proposes a complete set, another confirms or declines it.

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
    ConfirmRules,
    DeclineRules,
    ProposeRules,
    RulesCommand,
    RuleValues,
)
from sat_hook.domain.decision import RefusalReason
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import AccountRules
from sat_hook.pipeline.errors import RulesRefusedError
from sat_hook.presentation.hints import did_you_mean

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
