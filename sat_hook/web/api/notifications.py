"""Routes of notifications: what a user wants to be told of, and alerts that someone has seen to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field

from sat_hook.application.notifications import ACKNOWLEDGING, MAXIMUM_ACKNOWLEDGED
from sat_hook.application.rights import Right
from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.notifications import Choice
from sat_hook.web.api.models import Document, route
from sat_hook.web.dependencies import CurrentPerson, NotificationsDep, Reason

router = APIRouter(tags=["notifications"])

_Key = Annotated[str, Field(max_length=500)]


class NotificationChoice(Document, of=Choice, without=("user",)):
    """What the user wants to be told of on a channel; with ``is_digest`` once a day at 08:00 WIB."""


class Notifications(Document):
    """The deployment's channels by name, and the user's choices."""

    channels: tuple[str, ...]
    choices: tuple[NotificationChoice, ...]


@router.get("/notifications", **route(Right.VIEW))
def show_notifications(person: CurrentPerson, notifications: NotificationsDep) -> Notifications:
    """Return what the user is told of, and where."""
    choices = tuple(map(NotificationChoice.model_validate, notifications.choices(person)))
    return Notifications(
        channels=tuple(channel.name for channel in notifications.channels(person)), choices=choices
    )


@router.post("/notifications", **route(Right.VIEW))
def choose_notifications(
    person: CurrentPerson,
    notifications: NotificationsDep,
    channel: Annotated[str, Body(max_length=200)],
    kinds: Annotated[list[AlertKind], Body(max_length=100, description="none: nothing on this channel")],
    address: Annotated[str, Body(max_length=400)] = "",
    is_digest: Annotated[bool, Body()] = False,
) -> NotificationChoice:
    """Keep what the user wants to be told of on a channel."""
    chosen = notifications.choose(channel, address, kinds, person, is_digest=is_digest)
    return NotificationChoice.model_validate(chosen)


@router.post("/alerts/acknowledge", **route(*ACKNOWLEDGING))
def acknowledge_alerts(
    person: CurrentPerson,
    notifications: NotificationsDep,
    keys: Annotated[list[_Key], Body(max_length=MAXIMUM_ACKNOWLEDGED)],
    reason: Reason,
) -> dict[str, int]:
    """Record that the user has seen to alerts. The answer counts those that no one had acknowledged."""
    return {"acknowledged": notifications.acknowledge(keys, reason, person)}
