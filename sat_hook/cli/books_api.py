"""The plugin's routes for closed days, called as the user who runs the command."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from sat_hook.cli.airflow_api import BOOKS_DAG_ID, UPLOAD_SECONDS, AirflowApi, Download, downloaded


class BooksApi(AirflowApi):
    """One user's session with Airflow, for the books of accounts."""

    def cut_off_minutes(self) -> int:
        """Return the cut-off with which the DAG closes days; midnight if the DAG does not say."""
        answer = self._ask("GET", f"/api/v2/dags/{BOOKS_DAG_ID}/details", accept=(404,))
        parameters = self._document(answer).get("params")
        described = parameters.get("cut_off_minutes") if isinstance(parameters, dict) else None
        value = described.get("value") if isinstance(described, dict) else described
        return value if isinstance(value, int) else 0

    def report(self, account: str, day: str, version: int | None) -> Download:
        """Return a version of a day's report as a ZIP; the newest by default."""
        path = f"/sat/v1/books/{quote(account, safe='')}/days/{quote(day, safe='')}/report"
        query = None if version is None else {"version": str(version)}
        reply = self._ask("GET", path, query=query, seconds=UPLOAD_SECONDS)
        return downloaded(reply, f"reconciliation-{day}.zip")

    def choose_settlement(self, account: str, day: str, file: str, reason: str) -> dict[str, Any]:
        """Choose which settlement file of a day counts."""
        path = f"/sat/v1/books/{quote(account, safe='')}/days/{quote(day, safe='')}/settlement"
        return self._document(self._ask("POST", path, json={"file": file, "reason": reason}))
