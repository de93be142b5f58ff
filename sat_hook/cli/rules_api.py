"""The plugin's routes for an account's rules, called as the user who runs the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sat_hook.cli.airflow_api import AirflowApi


class RulesApi(AirflowApi):
    """One user's session with Airflow, for an account's rules.

    Every method raises :class:`CommandError` with a message for that user.
    """

    def rules(self, account: str) -> dict[str, Any]:
        """Return the rules in force, where each comes from, and what is proposed."""
        return self._document(self._ask("GET", self._path(account)))

    def propose(self, account: str, changes: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """Propose rules. Returns the proposal's number and all of its values."""
        body = {"changes": dict(changes), "reason": reason}
        return self._document(self._ask("POST", f"{self._path(account)}/proposals", json=body))

    def answer(self, account: str, proposal: int, answer: str, reason: str) -> dict[str, Any]:
        """``confirm`` or ``decline`` a proposal. Returns the account's rules after it."""
        path = f"{self._path(account)}/{proposal}/{answer}"
        return self._document(self._ask("POST", path, json={"reason": reason}))

    @staticmethod
    def _path(account: str) -> str:
        return f"/sat/v1/accounts/{quote(account, safe='')}/rules"
