"""An export of an evidence pack: who requested it and why, what was written, who received it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime

from sat_hook.domain.decision import Decider, Decision, Record, RefusalReason, nothing_yet, refuse
from sat_hook.domain.event_record import Event, Frozen, StreamKind, register


@register
class ExportRequested(Event):
    """A person, the event's actor, requested the evidence of a period.

    ``recorded_before`` is exclusive. ``reason`` is never empty when personal data was requested.
    """

    recorded_from: AwareDatetime
    recorded_before: AwareDatetime
    with_personal_data: bool
    reason: str


@register
class ExportWritten(Event):
    """The pack was written. ``digest`` is its SHA-256; the checkpoints are its first and last."""

    uri: str
    digest: str
    size_bytes: int
    events: int
    first_checkpoint: int | None
    last_checkpoint: int | None


@register
class ExportHandedOut(Event):
    """A person, the event's actor, was given the pack with this digest."""

    digest: str


class Export(Frozen):
    """The fold of an export's events."""

    export_id: str
    version: int = 0
    requested_at: AwareDatetime
    recorded_from: AwareDatetime
    recorded_before: AwareDatetime
    with_personal_data: bool
    reason: str
    uri: str | None = None
    digest: str | None = None
    size_bytes: int = 0
    handed_out: int = 0


@dataclass(frozen=True, slots=True)
class HandOutExport:
    """Record that the actor received the newest pack."""


ExportCommand = Record | HandOutExport


def decide_export(export: Export | None, command: ExportCommand) -> Decision:
    """The events that ``command`` appends to ``export``, or why it changes nothing."""
    match command:
        case Record(event=ExportRequested() as requested):
            return (requested,) if export is None else refuse(RefusalReason.ALREADY_SO)
        case _ if export is None:
            return refuse(RefusalReason.NO_SUCH_EXPORT)
        case Record(event=ExportWritten() as written):
            if (export.uri, export.digest) == (written.uri, written.digest):
                return refuse(RefusalReason.ALREADY_SO, "the same pack is already there")
            return (written,)
        case HandOutExport():
            if export.digest is None:
                return refuse(
                    RefusalReason.WRONG_STATE,
                    f"export {export.export_id}: found no pack yet; expected the DAG audit_export to end",
                )
            return (ExportHandedOut(digest=export.digest),)
        case _:
            raise TypeError(f"{command} is not a command of an export")


def evolve_export(export: Export | None, export_id: str, event: Event, occurred_at: datetime) -> Export:
    """The export after ``event``."""
    match event:
        case ExportRequested() if export is None:
            return Export(
                export_id=export_id,
                version=1,
                requested_at=occurred_at,
                recorded_from=event.recorded_from,
                recorded_before=event.recorded_before,
                with_personal_data=event.with_personal_data,
                reason=event.reason,
            )
        case ExportWritten() if export is not None:
            change: dict[str, object] = {
                "uri": event.uri,
                "digest": event.digest,
                "size_bytes": event.size_bytes,
            }
        case ExportHandedOut() if export is not None:
            change = {"handed_out": export.handed_out + 1}
        case _:
            raise ValueError(f"{event.type_name} does not follow in the stream of an export")
    return export.model_copy(update={**change, "version": export.version + 1})


EXPORT_DECIDER: Decider[Export | None, ExportCommand] = Decider(
    stream_kind=StreamKind.EXPORT, initial_state=nothing_yet, decide=decide_export, evolve=evolve_export
)
