"""An account's rules: show them, propose a change, confirm or decline it as another person.

The actor of each event comes from the provenance that the caller passes (law 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sat_hook.application.installation import Installation
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.account import AccountStanding
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import AccountRules
from sat_hook.pipeline.rule_changes import confirm_rules, decline_rules, propose_rules
from sat_hook.pipeline.rules_page import rules_as_shown


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules of accounts. Accounts are named by their connections or by their names in the log."""

    installation: Installation

    def show(self, named: str) -> dict[str, Any]:
        """The rules in force, the origin of each, and the proposal."""
        accounts = self.installation.accounts
        account, connection = accounts.account_of(named), accounts.connection_of(named)
        return rules_as_shown(
            self.installation.store(),
            account,
            connection,
            self._asked_by(connection),
            self.installation.settings().recovery,
        )

    def propose(
        self, named: str, changes: Mapping[str, Any], reason: str, provenance: Provenance
    ) -> AccountStanding:
        """Propose the rules with some changes. They are in force once another person confirms them."""
        base = self._asked_by(self.installation.accounts.connection_of(named))
        return propose_rules(self._handler(), self._account_of(named), base, changes, reason, provenance)

    def confirm(self, named: str, proposal: int, reason: str, provenance: Provenance) -> AccountStanding:
        """Confirm a proposal, as a person other than its proposer. Its rules are then in force."""
        return confirm_rules(self._handler(), self._account_of(named), proposal, reason, provenance)

    def decline(self, named: str, proposal: int, reason: str, provenance: Provenance) -> AccountStanding:
        """Decline a proposal."""
        return decline_rules(self._handler(), self._account_of(named), proposal, reason, provenance)

    def _asked_by(self, connection: str) -> AccountRules:
        return self.installation.accounts.connect(connection).asked_rules()

    def _account_of(self, named: str) -> str:
        return self.installation.accounts.account_of(named)

    def _handler(self) -> CommandHandler:
        return CommandHandler(self.installation.store(), SystemClock())
