"""The findings of an audit and their places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from sat_hook.domain.event_record import RecordedEvent


class FindingKind(StrEnum):
    """The kinds of damage that an audit looks for."""

    DIGEST_MISMATCH = "digest_mismatch"
    VERSION_GAP = "version_gap"
    VERSION_ORDER = "version_order"
    UNKNOWN_EVENT = "unknown_event"
    UNREADABLE_EVENT = "unreadable_event"
    HEAD_MISSING = "head_missing"
    HEAD_MISMATCH = "head_mismatch"
    HEAD_WITHOUT_EVENTS = "head_without_events"
    EVIDENCE_MISSING = "evidence_missing"
    EVIDENCE_CHANGED = "evidence_changed"
    EVIDENCE_SIGNATURE = "evidence_signature"
    EVIDENCE_CONTRADICTS = "evidence_contradicts"
    EVIDENCE_KEY_WITHDRAWN = "evidence_key_withdrawn"
    STREAM_DOES_NOT_FOLD = "stream_does_not_fold"
    PROJECTION_MISSING = "projection_missing"
    PROJECTION_DIFFERS = "projection_differs"
    PROJECTION_WITHOUT_EVENTS = "projection_without_events"
    REPORT_DIFFERS = "report_differs"
    REPORT_UNAVAILABLE = "report_unavailable"
    SUMMARY_DIFFERS = "summary_differs"
    CHECKPOINT_UNREADABLE = "checkpoint_unreadable"
    CHECKPOINT_DIGEST = "checkpoint_digest"
    CHECKPOINT_SIGNATURE = "checkpoint_signature"
    CHECKPOINT_CHAIN = "checkpoint_chain"
    CHECKPOINT_EVENTS = "checkpoint_events"
    CHECKPOINT_STRAY = "checkpoint_stray"
    PUBLISHED_MISSING = "published_missing"
    PUBLISHED_DIFFERS = "published_differs"
    PUBLISHED_BEYOND = "published_beyond"
    ARCHIVE_UNREADABLE = "archive_unreadable"
    ARCHIVE_DIFFERS = "archive_differs"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem and its place. It holds no customer's data.

    :param place: the stream, or the table if the problem is not in a stream.
    :param version: version within the stream; None when the problem is not at one event.
    :param position: position in the log, likewise.
    """

    kind: FindingKind
    place: str
    version: int | None
    position: int | None
    found: str
    expected: str

    @classmethod
    def at(cls, kind: FindingKind, where: RecordedEvent | str, found: str, expected: str) -> Finding:
        """A problem of one event, or of a place that is no event."""
        if isinstance(where, str):
            return cls(kind, where, None, None, found, expected)
        return cls(kind, str(where.stream), where.version, where.position, found, expected)

    def __str__(self) -> str:
        where = self.place
        if self.version is not None:
            where += f" version {self.version}"
        if self.position is not None:
            where += f" (position {self.position})"
        text = f"{where}: {self.kind.value}: found {self.found}, expected {self.expected}"
        # A damaged log may contain terminal escape sequences.
        return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


Report = Callable[[Finding], None]
"""Called with each finding as soon as it is found, so that memory does not grow with their number."""


@dataclass(slots=True)
class Counted:
    """Passes findings on and counts them."""

    report: Report
    counts: Counter[FindingKind] = field(default_factory=Counter)

    def __call__(self, finding: Finding) -> None:
        self.counts[finding.kind] += 1
        self.report(finding)


def report_unplaced(report: Report, version: int, position: int) -> None:
    """Report an event whose stream is of no kind of this release."""
    found = "an event of no stream of this release"
    expected = "one of an order, a batch, an account or an export"
    report(Finding(FindingKind.UNKNOWN_EVENT, "a stream of another kind", version, position, found, expected))
