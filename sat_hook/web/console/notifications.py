"""The page of notifications: the alerts, who has seen them, and what the person wants to be told of."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response

from sat_hook.application.notifications import ACKNOWLEDGING, MAXIMUM_ACKNOWLEDGED, Notifications
from sat_hook.commands.errors import ReasonRefusedError
from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.errors import NotificationRefusedError
from sat_hook.web.console.error_words import Explained, explained
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.console.words import ALERTS
from sat_hook.web.dependencies import NotificationsDep

router = APIRouter(prefix="/notifications")

CHANNELS = {"mail": _("E-mail"), "slack": _("Slack"), "telegram": _("Telegram")}
"""The usual names of channels; others are shown as they are set up."""

_Kinds = Annotated[list[AlertKind] | None, Form()]


@router.get("")
def list_alerts(
    site: SiteDep,
    notifications: NotificationsDep,
    kind: Annotated[str, Query(max_length=40)] = "",
    account: Annotated[str, Query(max_length=128)] = "",
    seen: bool = False,
    cursor: str | None = None,
) -> Response:
    """The alerts that no one has acknowledged, or all of them."""
    return _page(site, notifications, kind, account, seen=seen, cursor=cursor)


@router.post("/acknowledge")
def acknowledge(
    site: SiteDep,
    notifications: NotificationsDep,
    reason: Annotated[str, Form(max_length=500)],
    alert: Annotated[list[str] | None, Form(max_length=MAXIMUM_ACKNOWLEDGED)] = None,
) -> Response:
    """Record that the person has seen these alerts to it."""
    try:
        notifications.acknowledge(alert or (), reason, site.person)
    except (ReasonRefusedError, NotificationRefusedError) as error:
        return _page(site, notifications, refused=explained(error, site.wording))
    return site.go("/notifications")


@router.post("/choices/{channel}")
def choose(
    channel: str,
    site: SiteDep,
    notifications: NotificationsDep,
    kind: _Kinds = None,
    address: Annotated[str, Form(max_length=400)] = "",
    is_digest: Annotated[bool, Form()] = False,
) -> Response:
    """Keep what the person wants to be told of on a channel."""
    try:
        notifications.choose(channel, address, kind or (), site.person, is_digest=is_digest)
    except NotificationRefusedError as error:
        return _page(site, notifications, refused=explained(error, site.wording))
    return site.go("/notifications")


def _page(
    site: Site,
    notifications: Notifications,
    kind: str = "",
    account: str = "",
    *,
    seen: bool = False,
    cursor: str | None = None,
    refused: Explained | None = None,
) -> Response:
    kinds = [AlertKind(kind)] if kind in list(AlertKind) else None
    found = notifications.alerts(
        site.person, kinds=kinds, account=account or None, only_open=not seen, cursor=cursor
    )
    chosen = {"kind": kind, "account": account, "seen": "true" if seen else ""}
    choices = {choice.channel: choice for choice in notifications.choices(site.person)}
    return site.page(
        "notifications",
        422 if refused else 200,
        rows=found.items,
        older=site.url("/notifications", **chosen, cursor=found.next) if found.next else "",
        chosen=chosen,
        kinds=ALERTS,
        channel_names=CHANNELS,
        channels=[(one, choices.get(one.name)) for one in notifications.channels(site.person)],
        may_acknowledge=any(site.person.has(right) for right in ACKNOWLEDGING),
        refused=refused,
    )
