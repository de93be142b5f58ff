"""The stream of the log itself: its verifications (what, how far, by which keys) and archives. Pure."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime

from sat_hook.domain.decision import Decider, Decision, Record
from sat_hook.domain.event_record import Event, Frozen, StreamKind, register
from sat_hook.domain.log_archives import EventsArchived, EventsRestored


@register
class LogVerified(Event):
    """The log was verified, by a task on its own or for the event's actor.

    Everything up to ``closed_position`` was looked at, from ``first_checkpoint`` on; 1 is the beginning.
    ``covered_position`` is the last position under a checkpoint, ``uncovered_events`` are later ones.
    ``published_checkpoint`` is the newest published copy, None where no place of publication was read.
    ``key_ids`` are the audit keys that were trusted. ``statuses_checked`` is how many of SAT's signed
    statuses were compared with their events, None without SAT's keys. ``findings`` counts the problems by
    kind.
    """

    is_everything: bool
    began_at: AwareDatetime
    closed_position: int
    events: int
    streams: int
    first_checkpoint: int
    checkpoints: int
    covered_position: int
    uncovered_events: int
    published_checkpoint: int | None
    key_ids: tuple[str, ...]
    statuses_checked: int | None
    findings: dict[str, int]


class LogStanding(Frozen):
    """The fold of the verifications: how many there were, and the last one."""

    version: int = 0
    verified_at: AwareDatetime | None = None
    is_whole: bool = False


def decide_verification(standing: LogStanding, command: Record) -> Decision:
    """Every verification and every archive is recorded as it came out."""
    del standing
    if not isinstance(command.event, LogVerified | EventsArchived | EventsRestored):
        raise TypeError(f"{command.event.type_name} is not an event of the log itself")
    return (command.event,)


def evolve_verification(standing: LogStanding, event: Event, occurred_at: datetime) -> LogStanding:
    """The standing after one more event."""
    match event:
        case LogVerified():
            is_whole = not event.findings
            return LogStanding(version=standing.version + 1, verified_at=occurred_at, is_whole=is_whole)
        case EventsArchived() | EventsRestored():
            return standing.model_copy(update={"version": standing.version + 1})
        case _:
            raise ValueError(f"{event.type_name} does not follow in the stream of the log itself")


VERIFICATION_DECIDER: Decider[LogStanding, Record] = Decider(
    stream_kind=StreamKind.LOG,
    initial_state=lambda _key: LogStanding(),
    decide=decide_verification,
    evolve=lambda standing, _key, event, occurred_at: evolve_verification(standing, event, occurred_at),
)
