"""Make delivered result files again from the log: the batches' part of ``sat replay``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import zip_longest

from sat_hook.audit.findings import Finding, FindingKind, Report
from sat_hook.audit.replay import Verdict
from sat_hook.commands.errors import BatchNotFoundError
from sat_hook.domain.batch_events import BatchResultsWritten
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.identity import digest_of
from sat_hook.domain.legacy_events import BatchResultsWritten as ResultsWrittenSomewhen
from sat_hook.pipeline.result_rows import EARLIER_FORMS
from sat_hook.pipeline.results import ResultFile, render_results
from sat_hook.store.as_of import as_of_position
from sat_hook.store.errors import LogArchivedError, SpoolError
from sat_hook.store.event_store import EventStore
from sat_hook.store.spool import SpoolReader

MAXIMUM_LINES_NAMED = 5


class ResultFiles:
    """The result files of batches, and the summaries recorded with them."""

    name = "result files"
    event_type = BatchResultsWritten.__name__

    def __init__(self, store: EventStore, spool: SpoolReader) -> None:
        self._store = store
        self._spool = spool

    def check(self, recorded: RecordedEvent, report: Report) -> Verdict:
        """:class:`ReportMaker`."""
        event = recorded.event
        if isinstance(event, ResultsWrittenSomewhen):
            return self._check_without_position(recorded, event)
        assert isinstance(event, BatchResultsWritten)
        try:
            file = self._render(recorded, event.position, event.digest)
        except (SpoolError, BatchNotFoundError) as error:
            report(Finding.at(FindingKind.REPORT_UNAVAILABLE, recorded, str(error), "what it was made from"))
            return Verdict.DIFFERS
        except LogArchivedError:
            return Verdict.ARCHIVED
        differences = list(self._differences(recorded, event, file))
        for finding in differences:
            report(finding)
        if differences:
            return Verdict.DIFFERS
        return Verdict.EQUAL if file.digest == event.digest else Verdict.SUMS_ONLY

    def _check_without_position(self, recorded: RecordedEvent, event: ResultsWrittenSomewhen) -> Verdict:
        """Compare as of the position before the event. A difference there proves nothing."""
        try:
            digest = self._render(recorded, recorded.position - 1, event.digest).digest
        except (SpoolError, BatchNotFoundError):
            return Verdict.NOT_COMPARABLE
        except LogArchivedError:
            return Verdict.ARCHIVED
        return Verdict.EQUAL if digest == event.digest else Verdict.NOT_COMPARABLE

    def _render(self, recorded: RecordedEvent, position: int, digest: str) -> ResultFile:
        """The file as this release writes it, or as an earlier release did if that is the delivered form."""
        batch_id = recorded.stream.key
        file = render_results(as_of_position(self._store, position), self._spool, batch_id)
        for form in EARLIER_FORMS if file.digest != digest else ():
            earlier = render_results(as_of_position(self._store, position), self._spool, batch_id, form)
            if earlier.digest == digest:
                return earlier
        return file

    def _differences(
        self, recorded: RecordedEvent, event: BatchResultsWritten, file: ResultFile
    ) -> Iterator[Finding]:
        if file.digest != event.digest and file.notice is None:
            yield Finding.at(
                FindingKind.REPORT_DIFFERS,
                recorded,
                f"{file.rows} rows with digest {file.digest[:12]}…{self._where(event, file)}",
                f"{event.rows} rows with digest {event.digest[:12]}…",
            )
        summary = file.summary
        found = (summary.orders_by_state, summary.charged_rupiah)
        if found != (event.counts, event.charged_rupiah):
            yield Finding.at(
                FindingKind.SUMMARY_DIFFERS,
                recorded,
                f"{_counted(summary.orders_by_state)}, {summary.charged_rupiah} rupiah",
                f"{_counted(event.counts)}, {event.charged_rupiah} rupiah",
            )

    def _where(self, event: BatchResultsWritten, file: ResultFile) -> str:
        """Lines and columns that differ from the delivered file, if it still exists."""
        try:
            with self._spool.open(event.uri) as stream:
                kept = stream.read()
        except SpoolError:
            return " (the file that was given out is gone)"
        if digest_of(kept) != event.digest:
            return " (the file that was given out has been replaced)"
        places = list(_places(kept, file.content))
        if not places:
            return ": other bytes, the same cells"
        more = f" and {len(places) - MAXIMUM_LINES_NAMED} more" if len(places) > MAXIMUM_LINES_NAMED else ""
        return f": {'; '.join(places[:MAXIMUM_LINES_NAMED])}{more}"


def _places(before: bytes, after: bytes) -> Iterator[str]:
    """``line 3 column sat_state``. Cells are not shown, because most hold customer data."""
    left, right = (
        csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=_delimiter(content))
        for content in (before, after)
    )
    header: list[str] = []
    for number, (old, new) in enumerate(zip_longest(left, right), 1):
        header = header or list(new or old or [])
        if old is None or new is None:
            yield f"line {number} is {'new' if old is None else 'missing'}"
        elif old != new:
            columns = [
                header[place] if place < len(header) else str(place + 1)
                for place, (one, other) in enumerate(zip_longest(old, new))
                if one != other
            ]
            yield f"line {number} column {', '.join(columns)}"


def _delimiter(content: bytes) -> str:
    """The separator, which results take from the submitted file. The result's own columns show it."""
    head = content[: content.find(b"\n")]
    return next((mark for mark in ",;\t|" if f"{mark}sat_state".encode() in head), ",")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "no orders"
