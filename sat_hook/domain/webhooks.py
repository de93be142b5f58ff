"""Webhooks: the systems that are told of events, and the message about an event. Pure.

A message follows the convention of standardwebhooks.com: ``type``, ``timestamp`` and ``data``. Its data never
holds a customer's number, a voucher or free text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import BatchCompleted
from sat_hook.domain.books_events import BreaksRecorded
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.decision import Decider, Decision, Record, RefusalReason, refuse
from sat_hook.domain.errors import WebhookRefusedError
from sat_hook.domain.event_record import Event, Frozen, RecordedEvent, StreamKind, register
from sat_hook.domain.identity import webhook_message_id
from sat_hook.domain.order import Order
from sat_hook.domain.order_events import END_TYPES

MAXIMUM_WEBHOOKS = 50
"""Most webhooks of an installation."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class WebhookTopic(StrEnum):
    """What a message is about: its ``type``."""

    BATCH_COMPLETED = "batch.completed"
    ORDER_ENDED = "order.ended"
    ORDER_HELD = "order.held"
    ORDER_ESCALATED = "order.escalated"
    BREAK_FOUND = "break.found"


TOPICS: Mapping[str, WebhookTopic] = {
    **dict.fromkeys(
        (*END_TYPES, "OrderCancelled", "OrderRejected", "OrderWithdrawn"), WebhookTopic.ORDER_ENDED
    ),
    "OrderHeld": WebhookTopic.ORDER_HELD,
    "OrderEscalated": WebhookTopic.ORDER_ESCALATED,
    "BatchCompleted": WebhookTopic.BATCH_COMPLETED,
    "BreaksRecorded": WebhookTopic.BREAK_FOUND,
}
"""The types of events that webhooks may be told of."""


@register
class WebhookSet(Event):
    """A person, the event's actor, added a webhook, or gave it other members.

    ``connection`` names the connection that holds its secrets. Without ``accounts`` it is told of all.
    """

    name: str
    url: str
    connection: str
    topics: tuple[WebhookTopic, ...]
    accounts: tuple[str, ...]
    reason: str


@register
class WebhookRemoved(Event):
    """A person removed a webhook. What it was not told yet is not sent."""

    name: str
    reason: str


@register
class WebhookMessagesResent(Event):
    """A person had messages of a webhook sent once more, by their ids."""

    name: str
    messages: tuple[str, ...]
    reason: str


class Webhook(Frozen):
    """A webhook in force. ``set_at`` is when it was changed last."""

    name: str
    url: str
    connection: str
    topics: tuple[WebhookTopic, ...]
    accounts: tuple[str, ...]
    set_at: AwareDatetime

    def wants(self, topic: WebhookTopic, account: str) -> bool:
        """Whether its filter lets a message through."""
        return topic in self.topics and (not self.accounts or account in self.accounts)


class WebhookStanding(Frozen):
    """The fold of the webhooks' events: those in force, by name."""

    version: int = 0
    webhooks: dict[str, Webhook] = Field(default_factory=dict)


def checked_name(name: str) -> str:
    """A webhook's name.

    :raises WebhookRefusedError: it is none.
    """
    if not NAME.fullmatch(name):
        raise WebhookRefusedError(
            f"name: found {name[:80]!r}; expected 1 to 64 small letters, digits, hyphens or underscores"
        )
    return name


def decide_webhooks(standing: WebhookStanding, command: Record) -> Decision:
    """What a person did, as an event, unless it changes nothing."""
    event = command.event
    before = standing.webhooks.get(getattr(event, "name", ""))
    match event:
        case WebhookSet():
            if before is not None and _members(event) == before.model_dump(exclude={"set_at"}):
                return refuse(RefusalReason.ALREADY_SO)
            if before is None and len(standing.webhooks) >= MAXIMUM_WEBHOOKS:
                detail = (
                    f"found {MAXIMUM_WEBHOOKS} webhooks, which is the most; expected one to be removed first"
                )
                return refuse(RefusalReason.WRONG_STATE, detail)
        case WebhookRemoved() | WebhookMessagesResent():
            if before is None:
                return refuse(RefusalReason.ALREADY_SO, f"found no webhook {event.name!r}")
        case _:
            raise TypeError(f"{event.type_name} is not an event of a webhook")
    return (event,)


def evolve_webhooks(standing: WebhookStanding, event: Event, occurred_at: datetime) -> WebhookStanding:
    """The webhooks after one more event."""
    webhooks = dict(standing.webhooks)
    match event:
        case WebhookSet(name=name):
            webhooks[name] = Webhook(**_members(event), set_at=occurred_at)
        case WebhookRemoved(name=name):
            del webhooks[name]
        case WebhookMessagesResent():
            pass
        case _:
            raise ValueError(f"{event.type_name} does not follow in the stream of webhooks")
    return WebhookStanding(version=standing.version + 1, webhooks=webhooks)


def _members(event: WebhookSet) -> dict[str, Any]:
    return event.model_dump(exclude={"reason"})


WEBHOOK_DECIDER: Decider[WebhookStanding, Record] = Decider(
    stream_kind=StreamKind.WEBHOOK,
    initial_state=lambda _key: WebhookStanding(),
    decide=decide_webhooks,
    evolve=lambda standing, _key, event, occurred_at: evolve_webhooks(standing, event, occurred_at),
)


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """A message for one webhook.

    :param message_id: its ``webhook-id``: the same at every attempt, and for a database that was restored.
    :param body: the JSON text that is signed and sent.
    """

    message_id: str
    webhook: str
    topic: WebhookTopic
    account: str
    position: int
    body: str


def webhooks_in_force(recorded: Iterable[RecordedEvent]) -> dict[str, tuple[Webhook, int]]:
    """The webhooks by name, each with the position at which it was added.

    :param recorded: the events of their stream.
    """
    standing = WebhookStanding()
    added: dict[str, int] = {}
    for item in recorded:
        standing = evolve_webhooks(standing, item.event, item.occurred_at)
        added = {name: added.get(name, item.position) for name in standing.webhooks}
    return {name: (webhook, added[name]) for name, webhook in standing.webhooks.items()}


def messages_about(
    recorded: RecordedEvent, state: Order | Batch | None, webhooks: Mapping[str, tuple[Webhook, int]]
) -> Iterator[WebhookMessage]:
    """The messages about an event, for each webhook that was there before it and wants them.

    :param state: the order or the batch right after the event.
    """
    topic = TOPICS[recorded.type_name]
    for subject, account, data in _contents(recorded, state):
        body = json.dumps(
            {
                "type": topic.value,
                "timestamp": recorded.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "data": {"position": recorded.position, "account": account, **data},
            },
            separators=(",", ":"),
        )
        for name, (webhook, added_at) in webhooks.items():
            if recorded.position > added_at and webhook.wants(topic, account):
                message_id = webhook_message_id(name, subject)
                yield WebhookMessage(message_id, name, topic, account, recorded.position, body)


def _contents(
    recorded: RecordedEvent, state: Order | Batch | None
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What the message is about, as a key that is never used again; the account; the data."""
    match recorded.event, state:
        case BreaksRecorded() as found, _:
            for item in found.breaks:
                # A break that is carried, or of a day that is closed once more, was told before.
                if item.first_seen == found.day and item.state is BreakState.OPEN:
                    yield (
                        f"break/{item.break_id}/{item.first_seen}",
                        found.account,
                        {
                            "break_id": item.break_id,
                            "day": item.day.isoformat(),
                            "match": item.match.value,
                            "category": item.category.value,
                            "amount_rupiah": item.amount_rupiah,
                            "request_id": item.request_id,
                            "order_id": item.order_id,
                        },
                    )
        case BatchCompleted() as completed, Batch() as batch:
            yield (
                f"event/{recorded.position}",
                batch.account,
                {
                    "batch_id": batch.batch_id,
                    "reference": batch.reference,
                    "counts": completed.counts,
                    "charged_rupiah": completed.charged_rupiah,
                },
            )
        case _, Order() as order:
            yield (
                f"event/{recorded.position}",
                order.account,
                {
                    "order_id": order.order_id,
                    "request_id": order.request_id,
                    "batch_id": order.batch_id,
                    "row_number": order.row_number,
                    "product_code": order.product_code,
                    "state": order.state.value,
                    "reason_code": order.reason_code,
                    "quote_rupiah": order.quote_rupiah,
                    "charged_rupiah": order.charged_rupiah,
                },
            )
