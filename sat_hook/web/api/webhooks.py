"""Routes of webhooks: the systems that are told of events, and what became of their messages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field

from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import Right
from sat_hook.application.webhooks import MAXIMUM_RESENT, READING, WebhookRow
from sat_hook.domain.webhooks import WebhookTopic
from sat_hook.store.webhooks import MessageRow, MessageState, Unsettled
from sat_hook.web.api.models import Cursor, Document, Limit, Page, at, route
from sat_hook.web.dependencies import CurrentPerson, Reason, WebhooksDep

router = APIRouter(tags=["webhooks"])

NamePath = Annotated[str, Path(max_length=100)]
_Id = Annotated[str, Field(max_length=100)]


class UnsettledMessages(Document, of=Unsettled):
    """How many messages, and since when the oldest."""


class Webhook(Document, of=WebhookRow, without=("webhook",)):
    """A webhook and how it stands. ``accounts`` empty: it is told of all."""

    name: str = at("webhook", "name")
    url: str = at("webhook", "url")
    connection: str = at("webhook", "connection")
    topics: tuple[WebhookTopic, ...] = at("webhook", "topics")
    accounts: tuple[str, ...] = at("webhook", "accounts")
    waiting: UnsettledMessages | None
    dead: UnsettledMessages | None


class Message(Document, of=MessageRow, without=("number",)):
    """A message and what became of it. ``body`` is the JSON text that is sent."""


@router.get("/webhooks", **route(*READING))
def list_webhooks(person: CurrentPerson, webhooks: WebhooksDep) -> Page[Webhook]:
    """Return the webhooks by name."""
    return Page[Webhook].of(webhooks.webhooks(person))


@router.post("/webhooks", **route(Right.WEBHOOKS))
def set_webhook(
    person: CurrentPerson,
    webhooks: WebhooksDep,
    name: Annotated[str, Body(max_length=100)],
    url: Annotated[str, Body(max_length=1_000)],
    connection: Annotated[str, Body(max_length=200, description="its password holds the secrets")],
    topics: Annotated[list[WebhookTopic], Body(max_length=20)],
    reason: Reason,
    accounts: Annotated[list[_Id], Body(max_length=100, description="none: all accounts")] = [],  # noqa: B006
) -> Webhook:
    """Add a webhook, or give the one of this name other members."""
    found = webhooks.set(name, url, connection, topics, accounts, reason, person)
    return Webhook.model_validate(found)


@router.post("/webhooks/{name}/remove", **route(Right.WEBHOOKS))
def remove_webhook(
    person: CurrentPerson, webhooks: WebhooksDep, name: NamePath, reason: Reason
) -> dict[str, str]:
    """Remove a webhook, and forget its messages."""
    webhooks.remove(name, reason, person)
    return {"removed": name}


@router.get("/webhook-messages", **route(*READING))
def list_messages(
    person: CurrentPerson,
    webhooks: WebhooksDep,
    state: MessageState = MessageState.DEAD,
    webhook: Annotated[str | None, Query(max_length=100)] = None,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[Message]:
    """Return messages in a state, the newest first."""
    found = webhooks.messages(person, state=state, webhook=webhook, cursor=cursor, limit=limit)
    return Page[Message].model_validate(found)


@router.post("/webhooks/{name}/resend", **route(Right.WEBHOOKS))
def resend_messages(
    person: CurrentPerson,
    webhooks: WebhooksDep,
    name: NamePath,
    messages: Annotated[list[_Id], Body(max_length=MAXIMUM_RESENT)],
    reason: Reason,
) -> dict[str, int]:
    """Send messages that were delivered or given up once more, with the same ids."""
    return {"resent": webhooks.resend(name, messages, reason, person)}
