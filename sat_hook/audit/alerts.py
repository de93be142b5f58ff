"""Alerts of a verification: damage, stopped checkpoints, unchecked signatures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sat_hook.audit.findings import Finding
from sat_hook.audit.log_verification import Verification
from sat_hook.domain.alerts import MAXIMUM_TEXT_CHARACTERS, Alert, AlertKind
from sat_hook.domain.business_day import business_day, to_the_minute
from sat_hook.domain.errors import UnreadableCheckpointError
from sat_hook.store.checkpoints import CheckpointTable, Leaf
from sat_hook.store.database import Database

EVERY_ACCOUNT = "*"
MAXIMUM_FINDINGS_TOLD = 20
"""Most findings of one verification with their own alert; further findings are only counted."""
LATE_AFTER = timedelta(hours=1)
"""Alert when an event has no published checkpoint this long after it was recorded."""


@dataclass(slots=True)
class LogTrouble:
    """Collects the findings of one verification, any number of them."""

    now: datetime
    found: int = 0
    _told: list[Finding] = field(default_factory=list)

    def __call__(self, finding: Finding) -> None:
        self.found += 1
        if len(self._told) < MAXIMUM_FINDINGS_TOLD:
            self._told.append(finding)

    def alerts(self) -> list[Alert]:
        """One alert for each of the first findings; if there are more, one a day with their number."""
        alerts = [self._alert(_key(finding), str(finding)) for finding in self._told]
        if self.found > len(self._told):
            text = f"{self.found:,} problems were found in all; run: sat log verify"
            alerts.append(self._alert(f"log_damaged/all/{_day(self.now)}", text))
        return alerts

    def _alert(self, key: str, text: str) -> Alert:
        return Alert(key, AlertKind.LOG_DAMAGED, EVERY_ACCOUNT, _line(text), self.now)


def lateness(database: Database, verified: Verification, now: datetime) -> list[Alert]:
    """Alerts about events without a checkpoint for an hour, and about unpublished checkpoints.

    :raises StoreUnavailableError: the database gave up.
    """
    late: dict[str, str] = {}
    since = verified.chain.uncovered_since
    if since is not None and now - since > LATE_AFTER:
        late["events"] = (
            f"{verified.chain.uncovered_events:,} events wait for a checkpoint, the oldest since "
            f"{to_the_minute(since)} WIB: does the DAG audit_checkpoint run?"
        )
    published = verified.published_number
    if published is not None and published < verified.chain.checkpoints:
        made_at = _made_at(database, published + 1)
        if made_at is not None and now - made_at > LATE_AFTER:
            late["checkpoints"] = (
                f"checkpoints from {published + 1:,} on are not published, the oldest made "
                f"{to_the_minute(made_at)} WIB: does the DAG audit_checkpoint run?"
            )
    return [
        Alert(f"log_unproven/{what}/{_day(now)}", AlertKind.LOG_UNPROVEN, EVERY_ACCOUNT, _line(text), now)
        for what, text in late.items()
    ]


def backdated_events(verified: Verification, now: datetime) -> list[Alert]:
    """One alert for each stretch of events that were recorded much earlier than those before them.

    No damage is proven: a clock may have been set back. A person has to know which it was.
    """
    return [
        Alert(
            f"log_unproven/backdated/{leaf.position}",
            AlertKind.LOG_UNPROVEN,
            EVERY_ACCOUNT,
            _line(backdated_text(leaf)),
            now,
        )
        for leaf in verified.chain.backdated
    ]


def backdated_text(leaf: Leaf) -> str:
    """What is odd about the first event of such a stretch."""
    return (
        f"the event at position {leaf.position:,} says that it was recorded at "
        f"{to_the_minute(leaf.recorded_at)} WIB, more than an hour before an event at a lower position: it "
        "was added later, or the database's clock was set back"
    )


def unchecked_statuses(verified: Verification, keyless: Sequence[str], now: datetime) -> list[Alert]:
    """One alert a day for each account whose signed statuses could not be checked because keys are missing.

    :param keyless: the connections that have no SAT key, or cannot be read.
    """
    connections = ", ".join(keyless)
    return [
        Alert(
            f"log_unproven/signatures/{account}/{_day(now)}",
            AlertKind.LOG_UNPROVEN,
            account,
            _line(f"SAT's signatures of {number:,} statuses were not checked: no key in {connections}"),
            now,
        )
        for account, number in sorted(verified.statuses_unchecked.items())
    ]


def _made_at(database: Database, number: int) -> datetime | None:
    for checkpoint in CheckpointTable(database).at(number):
        with suppress(UnreadableCheckpointError):  # the verification itself reports it
            return checkpoint.text.made_at
    return None


def _key(finding: Finding) -> str:
    where = f"{finding.place}/{finding.version or ''}/{finding.position or ''}"
    return f"log_damaged/{finding.kind.value}/{where}"


def _day(moment: datetime) -> str:
    return business_day(moment).isoformat()


def _line(text: str) -> str:
    return text if len(text) <= MAXIMUM_TEXT_CHARACTERS else f"{text[: MAXIMUM_TEXT_CHARACTERS - 1]}…"
