"""Exports of evidence packs: requested, written, handed out. Each step is an event.

The actor comes from the authenticated route that calls these functions, never from the request's body (law
13).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sat_hook.audit.errors import ExportNotFoundError, ExportRefusedError
from sat_hook.commands import aggregates
from sat_hook.commands.aggregates import EXPORTS
from sat_hook.commands.handler import CommandHandler
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.decision import Record, RefusalReason
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.export import Export, ExportCommand, ExportRequested, ExportWritten, HandOutExport
from sat_hook.domain.identity import export_id_of
from sat_hook.domain.ports import Clock
from sat_hook.store.event_store import EventStore

MAXIMUM_PERIOD_DAYS = 400


def request_export(
    store: EventStore,
    clock: Clock,
    *,
    recorded_from: datetime,
    recorded_before: datetime,
    with_personal_data: bool,
    reason: str,
    provenance: Provenance,
) -> Export:
    """Record the actor's request for the evidence of a period; the future is left out.

    :param recorded_before: exclusive.
    :param reason: required for personal data.
    :raises ExportRefusedError: the period is empty or too long.
    :raises OverrideRefusedError: personal data without a reason.
    """
    now = clock.now()
    until = min(recorded_before, now)
    if recorded_from >= until:
        raise ExportRefusedError(
            f"period: found {recorded_from.isoformat()} to {recorded_before.isoformat()}; expected one that "
            "begins before it ends, and in the past"
        )
    if until - recorded_from > timedelta(days=MAXIMUM_PERIOD_DAYS):
        raise ExportRefusedError(
            f"period: found {(until - recorded_from).days} days; expected at most {MAXIMUM_PERIOD_DAYS}"
        )
    requested = ExportRequested(
        recorded_from=recorded_from,
        recorded_before=until,
        with_personal_data=with_personal_data,
        reason=checked_reason(reason) if with_personal_data or reason.strip() else "",
    )
    period = f"{recorded_from.isoformat()}/{until.isoformat()}"
    export_id = export_id_of(provenance.actor, period, now.isoformat())
    return _apply(store, clock, export_id, Record(requested), provenance)


def load_export(store: EventStore, export_id: str) -> Export:
    """The export; raises ExportNotFoundError."""
    export = aggregates.load_export(store, export_id)
    if export is None:
        raise ExportNotFoundError(f"there is no export {export_id}; ask for one with: sat audit export")
    return export


def requested_by(store: EventStore, export_id: str) -> str:
    return store.read_stream(StreamId(StreamKind.EXPORT, export_id))[0].provenance.actor


def record_written(
    store: EventStore, clock: Clock, export_id: str, written: ExportWritten, provenance: Provenance
) -> Export:
    """Record the written pack, unless the same one is already recorded."""
    return _apply(store, clock, export_id, Record(written), provenance)


def hand_out(store: EventStore, clock: Clock, export_id: str, provenance: Provenance) -> Export:
    """Record that the actor receives the pack; called before the first byte is sent.

    A pack with personal data goes only to the actor who requested it, so that every recipient has given a
    reason in the log.

    :raises ExportNotFoundError: there is no such export.
    :raises ExportRefusedError: its pack is not written yet, or another actor requested it with personal
        data.
    """
    export = load_export(store, export_id)
    # Compared exactly: another spelling of the name is not enough to receive personal data.
    if export.with_personal_data and (asker := requested_by(store, export_id)) != provenance.actor:
        raise ExportRefusedError(
            f"export {export_id} with personal data: found {provenance.actor}; expected {asker}, who gave "
            "the reason for it (ask for a pack of your own: sat audit export)"
        )
    return _apply(store, clock, export_id, HandOutExport(), provenance)


def _apply(
    store: EventStore, clock: Clock, export_id: str, command: ExportCommand, provenance: Provenance
) -> Export:
    result = CommandHandler(store, clock).apply_to(EXPORTS, export_id, command, provenance)
    if result.after is None:
        raise ExportNotFoundError(f"there is no export {export_id}")
    if result.refusal is not None and result.refusal.reason is not RefusalReason.ALREADY_SO:
        raise ExportRefusedError(result.refusal.detail)
    return result.after
