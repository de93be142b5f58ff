"""Compute closed days again at their own log positions: the reconciliation's part of ``sat replay``."""

from __future__ import annotations

from collections.abc import Iterator

from sat_hook.audit.findings import Finding, FindingKind, Report
from sat_hook.audit.replay import Verdict
from sat_hook.domain.books_events import BookedBreak, BreaksRecorded, DayClosed
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.reconciliation import deposit_match
from sat_hook.reconciliation.carry_forward import booked_of
from sat_hook.reconciliation.close_computation import compute_close
from sat_hook.reconciliation.close_digest import digest_of_close
from sat_hook.reconciliation.errors import ReconciliationError
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.settlement import Keep
from sat_hook.store.days import RefoldedDayReader
from sat_hook.store.errors import LogArchivedError, SpoolError
from sat_hook.store.evidence import Evidence
from sat_hook.store.postgres import PostgresEventStore

MAXIMUM_BREAKS_NAMED = 5


class ClosedDays:
    """A :class:`~sat_hook.audit.replay.ReportMaker` for the results of closing a day.

    Orders are folded from the log with the current code; stored rows of movements are not used. Signed texts
    are read again, so a role without the right to read them compares nothing.
    """

    name = "closed days"
    event_type = DayClosed.__name__

    def __init__(self, store: PostgresEventStore, keep: Keep) -> None:
        self._store = store
        self._keep = keep

    def check(self, recorded: RecordedEvent, report: Report) -> Verdict:
        """Close the day of this event again; report each difference with its place."""
        event = recorded.event
        assert isinstance(event, DayClosed)
        with self._store.database.transaction() as connection:
            if not Evidence(connection).may_read_bytes():
                return Verdict.NOT_COMPARABLE
        stream = self._store.read_stream(recorded.stream)
        day = BusinessDay(event.day, event.cut_off_minutes)
        try:
            close = compute_close(
                self._store.database,
                self._keep,
                stream,
                event.account,
                day,
                event.position,
                RefoldedDayReader,
            )
        except (ReconciliationError, SpoolError) as error:
            report(Finding.at(FindingKind.REPORT_UNAVAILABLE, recorded, str(error), "what it was made from"))
            return Verdict.DIFFERS
        except LogArchivedError:
            return Verdict.ARCHIVED
        digest = digest_of_close(close)
        if digest == event.result_digest:
            return Verdict.EQUAL
        booked = _breaks_of(recorded, event, stream)
        where = "; ".join(_differences(event, booked, close)) or "other orders, matches or controls"
        report(
            Finding.at(
                FindingKind.REPORT_DIFFERS,
                recorded,
                f"day {event.day} with digest {digest[:12]}…: {where}",
                f"digest {event.result_digest[:12]}…",
            )
        )
        return Verdict.DIFFERS


def _breaks_of(
    recorded: RecordedEvent, event: DayClosed, stream: list[RecordedEvent]
) -> dict[str, BookedBreak]:
    """The breaks recorded with the close, in the events that follow it."""
    found: dict[str, BookedBreak] = {}
    for later in stream[recorded.version :]:
        part = later.event
        if not isinstance(part, BreaksRecorded) or (part.day, part.position) != (event.day, event.position):
            break
        found |= {item.break_id: item for item in part.breaks}
    return found


def _differences(event: DayClosed, booked: dict[str, BookedBreak], close: DayClose) -> Iterator[str]:
    """The main results for people: numbers, the saldo equation, and the breaks."""
    now = {item.break_id: booked_of(item) for item in close.breaks}
    open_now = sum(1 for item in close.breaks if item.state is BreakState.OPEN)
    if len(close.orders) != event.orders:
        yield f"{len(close.orders)} orders instead of {event.orders}"
    if open_now != event.open_breaks:
        yield f"{open_now} open breaks instead of {event.open_breaks}"
    for title, ids in (
        ("new", now.keys() - booked.keys()),
        ("gone", booked.keys() - now.keys()),
        ("other", {one for one in now.keys() & booked.keys() if now[one] != booked[one]}),
    ):
        if ids:
            named = ", ".join(sorted(ids)[:MAXIMUM_BREAKS_NAMED])
            more = f" and {len(ids) - MAXIMUM_BREAKS_NAMED} more" if len(ids) > MAXIMUM_BREAKS_NAMED else ""
            yield f"{title} breaks {named}{more}"
    terms = deposit_match.terms_of(close.saldo).model_dump() if close.saldo is not None else {}
    recorded = event.saldo.model_dump() if event.saldo is not None else {}
    members = sorted(one for one in terms.keys() | recorded.keys() if terms.get(one) != recorded.get(one))
    if members:
        yield f"other {', '.join(members)}"
