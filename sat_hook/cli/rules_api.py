"""The plugin's routes for an account's rules, as the person who runs the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sat_hook.cli.airflow_api import AirflowApi


class RulesApi(AirflowApi):
    """One person's session with Airflow, about an account's rules.

    Every method raises :class:`CommandError` with a sentence for that person.
    """

    def rules(self, account: str) -> dict[str, Any]:
        """Which rules are in force, where each comes from, and what is proposed."""
        return self._document(self._ask("GET", self._path(account)))

    def propose(self, account: str, changes: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """Propose rules; the proposal's number and all of its values."""
        body = {"changes": dict(changes), "reason": reason}
        return self._document(self._ask("POST", f"{self._path(account)}/proposals", json=body))

    def answer(self, account: str, proposal: int, answer: str, reason: str) -> dict[str, Any]:
        """``confirm`` or ``decline`` a proposal; the account's rules then."""
        path = f"{self._path(account)}/{proposal}/{answer}"
        return self._document(self._ask("POST", path, json={"reason": reason}))

    @staticmethod
    def _path(account: str) -> str:
        return f"/sat/v1/accounts/{quote(account, safe='')}/rules"
