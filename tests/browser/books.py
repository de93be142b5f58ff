"""A closed day with breaks for the office: its file lacks an order, charges a failed one, and a stranger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.office import Office
from tests.integration.reconciliation.planting import CLOSES, SECOND, Planted

BRANCH = "cabang"


@dataclass
class OfficeBooks(Planted):
    """The books of the branch; files are where the web application keeps them."""

    kept: Any = None

    @property
    def spool(self) -> Any:
        """The host's own."""
        return self.kept


def close_a_day(office: Office) -> OfficeBooks:
    """A day of the branch with three breaks."""
    day = OfficeBooks(office.store, Path(), BRANCH, kept=office.host.results())
    day.ordinary_day()
    day.observe(CLOSES + SECOND)
    day.settle(
        *day.usual_rows("good-2"),
        day.settlement_row("bad"),
        day.settlement_row("stranger", 25_000),
        name="settlement-2026-11-02.csv",
    )
    day.close()
    return day
