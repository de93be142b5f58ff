"""The messages of webhooks: what they are to be told, and what became of it. Operational state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from operator import itemgetter

from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.order import Order
from sat_hook.domain.order_decisions import ORDER_DECIDER
from sat_hook.domain.webhooks import WebhookMessage, WebhookTopic
from sat_hook.store.log import cursor_of, move_cursor, recorded_from_row
from sat_hook.store.statements import Statements

READER = "webhooks"
LAST_MESSAGE = 2**63 - 1


class MessageState(StrEnum):
    """What became of a message. A dead one was tried for as long as it may be."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message that this caller may send; ``tries`` counts the attempts, including this one."""

    number: int
    message_id: str
    body: str
    tries: int
    first_tried_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an attempt.

    :param next_try_at: when a message that still waits is due again.
    :param trouble: why it was not delivered.
    """

    number: int
    state: MessageState
    next_try_at: datetime
    trouble: str | None


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message and what became of it.

    :param body: the JSON text that is sent.
    :param next_try_at: when it is tried next; None when it is settled.
    :param settled_at: when it was delivered, or given up.
    :param trouble: why the last attempt failed.
    """

    topic: WebhookTopic
    state: MessageState
    number: int
    webhook: str
    message_id: str
    account: str
    position: int
    body: str
    created_at: datetime
    tries: int
    next_try_at: datetime | None
    settled_at: datetime | None
    trouble: str | None


@dataclass(frozen=True, slots=True)
class Unsettled:
    """How many messages of a webhook are in a state, and since when the oldest."""

    messages: int
    oldest_at: datetime


class WebhookQueue(Statements, room="webhooks"):
    """The table ``sat.webhook_messages``."""

    def read_up_to(self) -> int:
        """The position up to which the log has been read."""
        return cursor_of(self._database, READER)

    def events(self, after: int, up_to: int, types: Sequence[str], limit: int) -> list[RecordedEvent]:
        """A page of the events of some types, by position."""
        rows = self._run(
            self._sql.events_for_webhooks,
            after_position=after,
            up_to_position=up_to,
            types=list(types),
            limit=limit,
        )
        return list(map(recorded_from_row, rows))

    def orders_after(self, events: Sequence[RecordedEvent]) -> dict[int, Order | None]:
        """The order right after each of these events of orders, by the event's position.

        Archived orders are left out.
        """
        rows = self._run(
            self._sql.events_up_to,
            streams=[str(event.stream) for event in events],
            versions=[event.version for event in events],
        )
        found = {}
        for _, group in groupby(rows, key=itemgetter(2, 0)):
            recorded = [recorded_from_row(row[1:]) for row in group]
            last = recorded[-1]
            if recorded[0].version > 1:
                continue  # its beginning is archived
            pairs = ((item.event, item.occurred_at) for item in recorded)
            found[last.position] = ORDER_DECIDER.fold(last.stream.key, pairs)
        return found

    def add(self, messages: Sequence[WebhookMessage], read_up_to: int) -> int:
        """Store messages, and how far the log was read, in one transaction; returns how many are new."""
        with self._database.transaction() as connection:
            new = 0
            if messages:
                rows = self._sql.add_webhook_messages(
                    connection,
                    webhooks=[one.webhook for one in messages],
                    message_ids=[one.message_id for one in messages],
                    topics=[one.topic.value for one in messages],
                    accounts=[one.account for one in messages],
                    positions=[one.position for one in messages],
                    bodies=[one.body for one in messages],
                )
                new = len(list(rows))
            move_cursor(connection, READER, read_up_to)
        return new

    def claim(self, webhook: str, now: datetime, lease_until: datetime, limit: int) -> list[ClaimedMessage]:
        """Claim messages that are due; no other caller gets them before ``lease_until``."""
        rows = self._run(
            self._sql.claim_webhook_messages,
            webhook=webhook,
            now=now,
            lease_until=lease_until,
            limit=limit,
        )
        return [ClaimedMessage(*row) for row in rows]

    def settle(self, settled: Sequence[Settled], now: datetime) -> None:
        """Record what became of attempts."""
        self._run(
            self._sql.settle_webhook_messages,
            numbers=[one.number for one in settled],
            states=[one.state.value for one in settled],
            next_tries=[one.next_try_at for one in settled],
            troubles=[one.trouble for one in settled],
            now=now,
        )

    def page(
        self, state: MessageState, webhook: str | None, limit: int, before_number: int = LAST_MESSAGE
    ) -> list[MessageRow]:
        """A page of messages, the newest first."""
        rows = self._run(
            self._sql.webhook_messages_page,
            state=state.value,
            webhook=webhook,
            before_number=before_number,
            limit=limit,
        )
        return [MessageRow(WebhookTopic(topic), MessageState(found), *rest) for topic, found, *rest in rows]

    def unsettled(self) -> dict[tuple[str, MessageState], Unsettled]:
        """The messages that wait or are dead, counted by webhook and state."""
        rows = self._run(self._sql.unsettled_webhook_messages)
        return {(webhook, MessageState(state)): Unsettled(*rest) for webhook, state, *rest in rows}

    def settled(self, webhook: str, message_ids: Sequence[str]) -> list[str]:
        """Those of a webhook's messages that were delivered or are dead, by their ids."""
        ids = {"webhook": webhook, "message_ids": list(message_ids)}
        return [found for (found,) in self._run(self._sql.settled_webhook_messages, **ids)]

    def resend(self, webhook: str, message_ids: Sequence[str], now: datetime) -> None:
        """Let settled messages be sent once more, with the same ids."""
        ids = {"webhook": webhook, "message_ids": list(message_ids)}
        self._run(self._sql.resend_webhook_messages, **ids, now=now)

    def drop(self, webhook: str) -> None:
        """Forget the messages of a webhook that was removed."""
        self._run(self._sql.drop_webhook_messages, webhook=webhook)

    def purge(self, delivered_before: datetime, dead_before: datetime, limit: int) -> int:
        """Forget messages that were settled long ago; returns how many."""
        chosen = {"delivered_before": delivered_before, "dead_before": dead_before, "limit": limit}
        return int(self._run(self._sql.purge_webhook_messages, **chosen))
