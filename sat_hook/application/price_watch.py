"""The scheduled work on one account's prices: read the list, announce changes, write the week's page."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

from sat_hook.application.prices import week_of
from sat_hook.catalogue.absence_check import PriceSource
from sat_hook.catalogue.announcement import announcement_of
from sat_hook.catalogue.errors import PriceListDoubtedError
from sat_hook.catalogue.snapshot import SnapshotReport, SnapshotRules, take_snapshot
from sat_hook.catalogue.weekly import read_week
from sat_hook.catalogue.weekly_page import weekly_page
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.prices import SnapshotOutcome
from sat_hook.presentation.language import Language, Wording
from sat_hook.store.alerts import AlertBook
from sat_hook.store.database import Database
from sat_hook.store.prices import PriceHistory
from sat_hook.store.spool import NamedSpool

USUAL_RULES = SnapshotRules()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PriceWatch:
    """The prices of one account."""

    database: Database
    account: str

    def snapshot(
        self, source: PriceSource, missing_limit_percent: int, jump_percent: int, provenance: Provenance
    ) -> SnapshotReport:
        """Read the list and store what changed. Price jumps raise alerts.

        :raises SATError: SAT did not return a list; the attempt is stored.
        :raises PriceListDoubtedError: the list lacks too many products; it is stored as an attempt.
        """
        report = take_snapshot(
            source,
            PriceHistory(self.database),
            SystemClock(),
            self.account,
            provenance,
            rules=SnapshotRules(missing_limit_percent, jump_percent),
            alerts=AlertBook(self.database),
        )
        snapshot = report.snapshot
        if snapshot.outcome is SnapshotOutcome.SUSPECT:
            raise PriceListDoubtedError(
                f"the price list is not believed: {snapshot.reason}. If products really are missing, run the "
                "DAG with a higher missing_limit_percent"
            )
        if snapshot.outcome is SnapshotOutcome.OVERTAKEN:
            _log.warning("A younger price list was recorded first: %s.", snapshot.reason)
            return report
        _log.info("%s products are listed, %s changed.", snapshot.listed, len(report.changes))
        if snapshot.unconfirmed:
            _log.warning(
                "%s products are not on the list, and SAT did not confirm that they are gone: they stay as "
                "they were.",
                snapshot.unconfirmed,
            )
        if report.jumps:
            _log.warning("%s prices moved by %s %% or more.", report.jumps, jump_percent)
        return report

    def announce(self, announcer: str, jump_percent: int) -> dict[str, Any] | None:
        """The unannounced changes as the extra of an asset's event, noted as announced; None without any.

        :param announcer: the same for every try of a task, which announces again what a dead try had noted.
        """
        history = PriceHistory(self.database)
        waiting = history.unannounced(self.account, announcer)
        if not waiting:
            return None
        changes = [change for snapshot in waiting for change in history.changes_of(self.account, snapshot)]
        extra = announcement_of(self.account, changes, jump_percent)
        history.mark_announced([item.snapshot_id for item in waiting], announcer, SystemClock().now())
        _log.info("Announced as %s: %s changes, %s jumps.", extra["kind"], len(changes), extra["jumps"])
        return extra

    def write_week(self, day: date | None, results: NamedSpool) -> str:
        """Write the page of a week in both languages, the last complete one by default; return the URI of the
        English one, beside which the Indonesian one ends in ``-id``.

        :raises ListingRefusedError: the week has not begun.
        """
        now = SystemClock().now()
        week = week_of(day, now)
        summary = read_week(PriceHistory(self.database), self.account, week, now)
        if not summary.was_watched:
            _log.warning("No price list of week %s is known.", week.name)
        folder = f"prices/{quote(self.account, safe='')}"
        endings = {Language.INDONESIAN: "-id", Language.ENGLISH: ""}
        uri = ""
        for language, ending in endings.items():
            page = weekly_page(summary, Wording(language)).encode("utf-8")
            uri = results.write(f"{folder}/{week.name}{ending}.html", page)
        _log.info(
            "Week %s: %s dearer, %s cheaper, %s came, %s went. Page: %s",
            week.name,
            len(summary.rises),
            len(summary.falls),
            len(summary.appeared) + len(summary.returned),
            len(summary.disappeared),
            uri,
        )
        return uri
