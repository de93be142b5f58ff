"""Rules of an account as two people confirm them."""

from __future__ import annotations

from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.account import AccountStanding
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import AccountRules
from sat_hook.pipeline.rule_changes import confirm_rules, propose_rules

PROPOSER = Provenance("user:rosa", "plugin:propose-rules")
CONFIRMER = Provenance("user:carl", "plugin:confirm-rules")


def confirmed_rules(handler: CommandHandler, account: str, **changes: object) -> AccountStanding:
    """Propose and confirm; rules that are not named stay as they are."""
    proposed = propose_rules(handler, account, AccountRules(), changes, "as the contract says", PROPOSER)
    assert proposed.rules.proposal is not None
    return confirm_rules(handler, account, proposed.rules.proposal.number, "checked", CONFIRMER)
