"""An account that reads a price list once an hour, on a real database."""

from __future__ import annotations

from datetime import timedelta

from sat_hook.catalogue.snapshot import SnapshotReport, SnapshotRules, take_snapshot
from sat_hook.domain.prices import ListedProduct, SnapshotOutcome
from sat_hook.store.alerts import AlertBook
from sat_hook.store.database import Database
from sat_hook.store.prices import PriceHistory
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BY_TEST, T0, ManualClock
from tests.price_lists import ListingSAT, product
from tests.sql import execute

HOUR = 3600.0
LIST = tuple(product(f"product-{number:02}", 1000 * (number + 1)) for number in range(20))
LATER = T0 + timedelta(days=30)


class Shop:
    """A SAT, a history, a clock; the account reads the list once an hour."""

    def __init__(self, database: ApplicationDatabase) -> None:
        self.database = database
        self.clock = ManualClock()
        self.sat = ListingSAT(self.clock, *LIST)
        self.writer = Database(database.writer_dsn)
        self.history = PriceHistory(self.writer)
        self.alerts = AlertBook(self.writer)

    def snapshot(self, **rules: int) -> SnapshotReport:
        """Read the list, then let an hour pass."""
        report = take_snapshot(
            self.sat,
            self.history,
            self.clock,
            ACCOUNT,
            BY_TEST,
            rules=SnapshotRules(**rules),
            alerts=self.alerts,
        )
        self.clock.advance(HOUR)
        return report

    def change(self, code: str, **members: object) -> None:
        """From now on the product is listed like this."""
        self.sat.products = [
            line._replace(**members) if line.code == code else line for line in self.sat.products
        ]

    def remove(self, *codes: str) -> None:
        """From now on SAT does not know these."""
        self.sat.products = [line for line in self.sat.products if line.code not in codes]

    def listed(self) -> dict[str, ListedProduct]:
        """What the history says is listed now."""
        return self.history.listed_at(ACCOUNT, self.clock.now())

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """What the owner reads."""
        return execute(self.database.owner_dsn, statement)

    def outcomes(self) -> list[SnapshotOutcome]:
        """Of every attempt, the oldest first."""
        return [s.outcome for s in reversed(self.history.snapshots(ACCOUNT, T0, LATER))]
