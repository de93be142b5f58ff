"""Tells webhooks: reads events from the log, notes a message for each webhook that wants it, and posts them.

The log is read from a cursor up to a closed position, so no event is left out. A message is posted at least
once: a process that dies after posting it and before noting it posts it again, with the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import SecretStr

from sat_hook.clients.webhooks import Network, Post, WebhookClient
from sat_hook.domain.errors import UnknownEventError
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.identity import webhooks_id
from sat_hook.domain.ports import Clock
from sat_hook.domain.webhooks import TOPICS, Webhook, WebhookMessage, messages_about, webhooks_in_force
from sat_hook.pipeline.limits import WebhookLimits
from sat_hook.store.event_store import EventStore
from sat_hook.store.webhooks import ClaimedMessage, MessageState, Settled, WebhookQueue

PURGED_AT_ONCE = 10_000
"""Most messages that one run forgets."""

SecretsOf = Callable[[str], tuple[SecretStr, ...]]
"""The secrets that a connection holds. It may raise any exception."""


@dataclass(slots=True)
class WebhookReport:
    """One run.

    :param trouble: what went wrong, in words without addresses and secrets.
    """

    new: int = 0
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    trouble: list[str] = field(default_factory=list)


def webhooks_of(store: EventStore) -> dict[str, tuple[Webhook, int]]:
    """The webhooks by name, each with the position at which it was added."""
    return webhooks_in_force(store.read_stream(StreamId(StreamKind.WEBHOOK, webhooks_id())))


def tell_webhooks(
    store: EventStore,
    queue: WebhookQueue,
    secrets_of: SecretsOf,
    networks: Sequence[Network],
    clock: Clock,
    limits: WebhookLimits,
) -> WebhookReport:
    """Note what is new, post what is due, and forget what was settled long ago.

    :raises StoreUnavailableError: the database is away; the next call goes on.
    """
    report = WebhookReport()
    webhooks = collect_messages(store, queue, limits, report)
    asyncio.run(deliver_messages(queue, webhooks, secrets_of, networks, clock, limits, report))
    forget_old_messages(queue, clock.now(), limits)
    return report


def collect_messages(
    store: EventStore, queue: WebhookQueue, limits: WebhookLimits, report: WebhookReport
) -> dict[str, Webhook]:
    """Note the messages about all events since the last call; return the webhooks by name.

    :raises StoreUnavailableError: the database is away; what was noted stays noted.
    """
    closed = store.horizon()
    # Read after the horizon: every webhook that was added below it is among them.
    webhooks = webhooks_of(store)
    after = max(queue.read_up_to(), min((added for _, added in webhooks.values()), default=closed))
    wanted = {topic for webhook, _ in webhooks.values() for topic in webhook.topics}
    types = [name for name, topic in TOPICS.items() if topic in wanted]
    while types and (events := queue.events(after, closed, types, limits.page)):
        after = events[-1].position
        report.new += queue.add(_messages(store, queue, events, webhooks, report), after)
    queue.add((), closed)
    return {name: webhook for name, (webhook, _) in webhooks.items()}


def _messages(
    store: EventStore,
    queue: WebhookQueue,
    events: Sequence[RecordedEvent],
    webhooks: Mapping[str, tuple[Webhook, int]],
    report: WebhookReport,
) -> list[WebhookMessage]:
    orders = queue.orders_after([event for event in events if event.stream.kind is StreamKind.ORDER])
    messages: list[WebhookMessage] = []
    for event in events:
        is_batch = event.stream.kind is StreamKind.BATCH
        state = store.load_batch(event.stream.key) if is_batch else orders.get(event.position)
        if state is None and event.stream.kind is StreamKind.ORDER:
            state = store.load_orders([event.stream.key]).get(event.stream.key)
        try:
            messages += messages_about(event, state, webhooks)
        except (UnknownEventError, ValueError) as error:
            # It costs itself; the verification of the log finds it, too.
            report.trouble.append(f"position {event.position}: {type(error).__name__}")
    return messages


async def deliver_messages(
    queue: WebhookQueue,
    webhooks: Mapping[str, Webhook],
    secrets_of: SecretsOf,
    networks: Sequence[Network],
    clock: Clock,
    limits: WebhookLimits,
    report: WebhookReport,
) -> None:
    """Post what is due. A slow webhook costs the others nothing; a failing one rests until the next run.

    :raises StoreUnavailableError: the database is away; leased messages are due again when the lease ends.
    """
    until = clock.now() + timedelta(seconds=limits.pass_seconds)
    async with WebhookClient(networks, limits.timeout_seconds) as client, asyncio.TaskGroup() as group:
        for webhook in webhooks.values():
            sending = _Delivery(queue, webhook, client, clock, limits, report)
            group.create_task(sending.run(secrets_of, until))


def forget_old_messages(queue: WebhookQueue, now: datetime, limits: WebhookLimits) -> int:
    """Forget messages that were settled long ago; returns how many."""
    delivered, dead = (
        now - timedelta(seconds=seconds)
        for seconds in (limits.keep_delivered_seconds, limits.keep_dead_seconds)
    )
    return queue.purge(delivered, dead, PURGED_AT_ONCE)


@dataclass(slots=True)
class _Delivery:
    """A run's attempts for one webhook."""

    queue: WebhookQueue
    webhook: Webhook
    client: WebhookClient
    clock: Clock
    limits: WebhookLimits
    report: WebhookReport

    async def run(self, secrets_of: SecretsOf, until: datetime) -> None:
        """Post messages until none is due, the time is up, or too many fail in a row."""
        try:
            secrets = await asyncio.to_thread(secrets_of, self.webhook.connection)
        except Exception as error:
            # Its text may hold what the connection holds. The messages wait.
            words = f"connection {self.webhook.connection} is unusable ({type(error).__name__})"
            self.report.trouble.append(f"webhook {self.webhook.name}: {words}")
            return
        failures = 0
        while failures < self.limits.failures_to_stop and (now := self.clock.now()) < until:
            lease_until = now + timedelta(seconds=self.limits.lease_seconds)
            claimed = await asyncio.to_thread(
                self.queue.claim, self.webhook.name, now, lease_until, self.limits.in_flight
            )
            if not claimed:
                return
            troubles = await asyncio.gather(*(self._post(message, secrets) for message in claimed))
            now = self.clock.now()
            settled = [self._settled(*pair, now) for pair in zip(claimed, troubles, strict=True)]
            await asyncio.to_thread(self.queue.settle, settled, now)
            self._count(settled)
            failures = failures + len(claimed) if None not in troubles else 0

    async def _post(self, message: ClaimedMessage, secrets: tuple[SecretStr, ...]) -> str | None:
        post = Post(self.webhook.url, message.message_id, message.body, secrets)
        return await self.client.post(post, self.clock.now())

    def _settled(self, message: ClaimedMessage, trouble: str | None, now: datetime) -> Settled:
        if trouble is None:
            return Settled(message.number, MessageState.DELIVERED, now, None)
        last_try = message.first_tried_at + timedelta(seconds=self.limits.give_up_after_seconds)
        if now >= last_try:
            return Settled(message.number, MessageState.DEAD, now, trouble)
        pause = timedelta(seconds=self.limits.pause_seconds(message.tries))
        return Settled(message.number, MessageState.WAITING, min(now + pause, last_try), trouble)

    def _count(self, settled: Sequence[Settled]) -> None:
        states = [one.state for one in settled]
        dead = states.count(MessageState.DEAD)
        self.report.delivered += states.count(MessageState.DELIVERED)
        self.report.failed += states.count(MessageState.WAITING)
        self.report.dead += dead
        if dead:
            self.report.trouble.append(f"webhook {self.webhook.name}: gave up {dead} messages")
