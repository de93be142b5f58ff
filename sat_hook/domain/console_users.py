"""The users of the console: when each of them signed in, and which alerts they acknowledged. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sat_hook.domain.decision import Decider, Decision, RefusalReason, refuse
from sat_hook.domain.event import Event, Frozen, register
from sat_hook.domain.event_record import StreamKind

SESSIONS_KEPT = 50
"""Sessions of a user that are recognized; an older one is recorded once more when it is used again."""


@register
class ConsoleSignedIn(Event):
    """A person opened the console with a login that was not used there before.

    ``session`` is the beginning of a digest of the login's token: it tells logins apart and opens nothing.
    """

    user: str
    session: str


@register
class AlertsAcknowledged(Event):
    """A person, the event's actor, has seen these alerts to it. ``alerts`` are their keys."""

    alerts: tuple[str, ...]
    reason: str


class ConsoleUser(Frozen):
    """The fold of a user's events. ``sessions`` are the last ones, the newest at the end."""

    version: int = 0
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignIn:
    """Record the user's session, once."""

    user: str
    session: str


@dataclass(frozen=True, slots=True)
class AcknowledgeAlerts:
    """Record that the user has seen alerts to it, by their keys."""

    alerts: tuple[str, ...]
    reason: str


UserCommand = SignIn | AcknowledgeAlerts


def decide_user(user: ConsoleUser, command: UserCommand) -> Decision:
    """The event of a command; a session that is known signs in no more."""
    match command:
        case SignIn(session=session) if session in user.sessions:
            return refuse(RefusalReason.ALREADY_SO)
        case SignIn(user=name, session=session):
            return (ConsoleSignedIn(user=name, session=session),)
        case AcknowledgeAlerts(alerts=alerts, reason=reason):
            return (AlertsAcknowledged(alerts=alerts, reason=reason),)


def evolve_user(user: ConsoleUser, event: Event) -> ConsoleUser:
    """The user after ``event``."""
    match event:
        case ConsoleSignedIn():
            sessions = (*user.sessions, event.session)[-SESSIONS_KEPT:]
            return ConsoleUser(version=user.version + 1, sessions=sessions)
        case AlertsAcknowledged():
            return user.model_copy(update={"version": user.version + 1})
        case _:
            raise ValueError(f"{event.type_name} does not follow in the stream of a user")


def fold_user(events: Iterable[tuple[Event, datetime]]) -> ConsoleUser:
    """The user after all of ``events``."""
    user = ConsoleUser()
    for event, _ in events:
        user = evolve_user(user, event)
    return user


USER_DECIDER: Decider[ConsoleUser, UserCommand] = Decider(
    stream_kind=StreamKind.USER,
    initial_state=lambda _key: ConsoleUser(),
    decide=decide_user,
    evolve=lambda user, _key, event, _occurred_at: evolve_user(user, event),
)
