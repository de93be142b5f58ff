"""Reports that were given out, made again from the log and compared byte for byte.

Every kind of report has an event that says as of which position it was made and what its digest was.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from sat_hook.audit.findings import Report
from sat_hook.domain.event_record import RecordedEvent


class Verdict(StrEnum):
    """What came of making a report again."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NOT_COMPARABLE = "not comparable"
    SUMS_ONLY = "equal in number and sum, their submitted files being removed by retention or archived"


class ReportMaker(Protocol):
    """Makes one kind of report again."""

    name: str
    """Of the kind, in the plural."""

    event_type: str
    """The event that says that such a report was given out."""

    def check(self, recorded: RecordedEvent, report: Report) -> Verdict:
        """Make the report of this event again; report with its place whatever differs."""
