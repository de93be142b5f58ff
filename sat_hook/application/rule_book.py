"""An account's rules: show them, propose a change, confirm or decline it as another person.

Each needs a right of the person, who is the actor of its event (law 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.domain.account import AccountStanding
from sat_hook.domain.guards import AccountRules
from sat_hook.pipeline.rule_changes import confirm_rules, decline_rules, propose_rules, rules_as_shown


@dataclass(frozen=True, slots=True)
class RuleBook(Service):
    """The rules of accounts."""

    def show(self, named: str, person: Person) -> dict[str, Any]:
        """The rules in force, the origin of each, and the proposal."""
        person.require(Right.VIEW)
        accounts = self.installation.accounts
        account, connection = accounts.account_of(named), accounts.connection_of(named)
        return rules_as_shown(
            self.store,
            account,
            connection,
            self._asked_by(connection),
            self.installation.settings().recovery,
        )

    def propose(self, named: str, changes: Mapping[str, Any], reason: str, person: Person) -> AccountStanding:
        """Propose the rules with some changes. They are in force once another person confirms them."""
        person.require(Right.PROPOSE_RULES)
        base = self._asked_by(self.installation.accounts.connection_of(named))
        by = person.by("propose-rules")
        return propose_rules(self.handler, self.account_of(named), base, changes, reason, by)

    def confirm(self, named: str, proposal: int, reason: str, person: Person) -> AccountStanding:
        """Confirm a proposal, as a person other than its proposer. Its rules are then in force."""
        person.require(Right.CONFIRM_RULES)
        by = person.by("confirm-rules")
        return confirm_rules(self.handler, self.account_of(named), proposal, reason, by)

    def decline(self, named: str, proposal: int, reason: str, person: Person) -> AccountStanding:
        person.require(Right.PROPOSE_RULES, Right.CONFIRM_RULES)
        by = person.by("decline-rules")
        return decline_rules(self.handler, self.account_of(named), proposal, reason, by)

    def _asked_by(self, connection: str) -> AccountRules:
        return self.installation.accounts.connect(connection).asked_rules()
