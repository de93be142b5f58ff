"""The users of the console: their sign-ins, their rights, the alerts that they acknowledged. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from sat_hook.domain.decision import Decider, Decision, RefusalReason, refuse
from sat_hook.domain.event_record import Event, Frozen, StreamKind, register

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


@register
class UserRightsSeen(Event):
    """A user came with other roles or rights than those recorded last, or for the first time.

    ``given_rights`` and ``taken_rights`` are the difference to the event before.
    """

    user: str
    roles: tuple[str, ...]
    rights: tuple[str, ...]
    given_rights: tuple[str, ...]
    taken_rights: tuple[str, ...]


class ConsoleUser(Frozen):
    """The fold of a user's events. ``sessions`` are the last ones, the newest at the end.

    ``rights_seen`` are the roles and rights that the user had last; None before they were seen.
    """

    version: int = 0
    sessions: tuple[str, ...] = ()
    # Earlier releases did not have it: it is left out of golden histories while there is none.
    rights_seen: Annotated[UserRightsSeen | None, Field(exclude_if=lambda seen: seen is None)] = None


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


@dataclass(frozen=True, slots=True)
class SeeUserRights:
    """Record the roles and rights that the user has, unless they are those recorded last."""

    user: str
    roles: tuple[str, ...]
    rights: tuple[str, ...]


UserCommand = SignIn | AcknowledgeAlerts | SeeUserRights


def decide_user(user: ConsoleUser, command: UserCommand) -> Decision:
    """The event of a command; a session that is known signs in no more."""
    match command:
        case SignIn(session=session) if session in user.sessions:
            return refuse(RefusalReason.ALREADY_SO)
        case SignIn(user=name, session=session):
            return (ConsoleSignedIn(user=name, session=session),)
        case AcknowledgeAlerts(alerts=alerts, reason=reason):
            return (AlertsAcknowledged(alerts=alerts, reason=reason),)
        case SeeUserRights(user=name, roles=roles, rights=rights):
            before = user.rights_seen
            if before is not None and (before.roles, before.rights) == (roles, rights):
                return refuse(RefusalReason.ALREADY_SO)
            had = () if before is None else before.rights
            return (
                UserRightsSeen(
                    user=name,
                    roles=roles,
                    rights=rights,
                    given_rights=tuple(right for right in rights if right not in had),
                    taken_rights=tuple(right for right in had if right not in rights),
                ),
            )


def evolve_user(user: ConsoleUser, event: Event) -> ConsoleUser:
    """The user after ``event``."""
    match event:
        case ConsoleSignedIn():
            sessions = (*user.sessions, event.session)[-SESSIONS_KEPT:]
            return user.model_copy(update={"version": user.version + 1, "sessions": sessions})
        case AlertsAcknowledged():
            return user.model_copy(update={"version": user.version + 1})
        case UserRightsSeen():
            return user.model_copy(update={"version": user.version + 1, "rights_seen": event})
        case _:
            raise ValueError(f"{event.type_name} does not follow in the stream of a user")


USER_DECIDER: Decider[ConsoleUser, UserCommand] = Decider(
    stream_kind=StreamKind.USER,
    initial_state=lambda _key: ConsoleUser(),
    decide=decide_user,
    evolve=lambda user, _key, event, _occurred_at: evolve_user(user, event),
)
