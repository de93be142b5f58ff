"""Recreates reports that were given out from the log and compares them byte for byte.

Every kind of report has an event with the position as of which it was made, and its digest.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from sat_hook.audit.findings import Report
from sat_hook.domain.event_record import RecordedEvent


class Verdict(StrEnum):
    """The result of recreating a report."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NOT_COMPARABLE = "not comparable"
    SUMS_ONLY = "equal in number and sum, their submitted files being removed by retention or archived"


class ReportMaker(Protocol):
    """Recreates one kind of report."""

    name: str
    """The plural name of the kind."""

    event_type: str
    """The event type of a report that was given out."""

    def check(self, recorded: RecordedEvent, report: Report) -> Verdict:
        """Recreate the report of this event and report every difference with its place."""
